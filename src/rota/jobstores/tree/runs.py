"""The claim protocol on a tree: claim, finish, give back, take over; each step reads, decides, and commits under conditions.

What somebody else has changed in between is read and decided again. It decides nothing that the planner has decided.
"""

from __future__ import annotations

import json

from ...codec.damaged import NO_VERSION
from ...core.chains import ends_among
from ...core.extras import extra_of
from ...core.orphans import by_job
from ...core.recorded import first_nominal, leave_out_recorded
from ...core.run import asked_to_stop
from ...core.states import CLAIMED, ENDED, QUARANTINED
from ...core.transitions import ends_pause, is_allowed, marked, moved, not_ended_well
from ...core.tries import end_superseded, hear, is_unasked, leave_to_next
from ...errors import StoreConflictError
from ...texts import storable
from ...triggers.base import BaseTrigger
from ..documents import check_times
from .forms import (
    REMOVED,
    changes_of,
    counted,
    joined,
    quarantine,
    record_of,
    run_in,
    run_of_waiting,
    told_no_more,
)
from .history import NEVER
from .keys import (
    ACTIVE_RUNS,
    active_key,
    active_of,
    cancel_key,
    ended_key,
    number,
    start_key,
    waiting_key,
)
from .port import Change, Step, carry_out, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ...codec.jobs import JobFormat
    from ...core.orphans import Search
    from ...core.plan import Decision
    from ...core.run import Run
    from ...job.handle import Job
    from ..retention import Retention
    from .chains import Chains
    from .forms import Doc
    from .history import History
    from .jobs import Jobs
    from .port import Entry, Tree

#: About how many bytes the keys of a record take.
KEYS = 1_000


class Runs:
    """Reads and writes the runs of one tree that are under way, and their counts in the jobs' documents.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param history: reads records
    :param bounds: counts records
    :param format: how the parts of a job are written
    :param chains: writes what ends leave at other jobs
    :param starting: returns those of some ended runs whose ends may start other jobs
    """

    def __init__(
        self,
        tree: Tree,
        jobs: Jobs,
        history: History,
        bounds: Retention,
        format: JobFormat,
        chains: Chains,
        starting: Callable[[Sequence[Run]], list[Run]],
    ) -> None:
        self._tree = tree
        self._jobs = jobs
        self._history = history
        self._bounds = bounds
        self._format = format
        self._chains = chains
        self._starting = starting

    # -- claim ---------------------------------------------------------------------------------------------------

    def claim(
        self, decisions: Sequence[Decision], node: str, now: int, seen: Mapping[str, Doc]
    ) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made, and has room (R1, R2); return those.

        :param seen: documents as they were lately; what has changed since is noticed
        """
        won: set[int] = set()
        pending = list(decisions)
        docs: dict[str, Doc | None] = {}
        for decision in pending:
            doc = seen.get(decision.job.id)
            if doc is not None and (doc.version == decision.version or doc.unreadable is not None):
                docs[doc.id] = doc
        for _ in tries():
            docs |= self._jobs.some(
                decision.job.id for decision in pending if docs.get(decision.job.id) is None
            )
            open_ones = [decision for decision in pending if _is_open(decision, docs[decision.job.id])]
            gone = self._superseded(open_ones)
            open_ones = [decision for decision in open_ones if gone.get(id(decision)) != {}]
            self._history.look_back(
                [doc for decision in open_ones if (doc := docs[decision.job.id]) is not None]
            )
            steps = [
                self._claim_step(decision, docs[decision.job.id], node, now, won, gone.get(id(decision), {}))  # type: ignore[arg-type]
                for decision in open_ones
            ]
            pending = [step.about for step in self._chains.carry_out(steps, now)]
            if not pending:
                break
            docs = {}
        return [decision for decision in decisions if id(decision) in won]

    def _superseded(self, decisions: Sequence[Decision]) -> dict[int, dict[Run, Entry]]:
        """Return the waiting retries that decisions supersede, as they are stored; none if one waits no more (R4)."""
        found: dict[int, dict[Run, Entry]] = {}
        for decision in decisions:
            runs = decision.superseded
            if runs:
                entries = self._tree.read([waiting_key(run.job_id, run.nominal) for run in runs])
                stored = {
                    kept: entry
                    for run, entry in zip(runs, entries, strict=True)
                    if (kept := run_of_waiting(run.job_id, number(run.nominal), entry)) is not None
                    and kept.attempt == run.attempt
                }
                found[id(decision)] = stored if len(stored) == len(runs) else {}
        return found

    def _claim_step(
        self,
        decision: Decision,
        doc: Doc,
        node: str,
        now: int,
        won: set[int],
        superseded: dict[Run, Entry],
    ) -> Step:
        if doc.unreadable is not None:
            return Step(decision, quarantine(doc, decision.error or ""), lambda: won.add(id(decision)))
        if len(decision.runs) + len(decision.records) + 5 > self._tree.max_changes:
            decision.records = joined(decision.records)
        if decision.job.policy.retry is not None:
            most = self._tree.max_changes - 5
            leave_to_next(decision, max(min(most // 4, most - 3 * len(superseded)), 1))
        self._leave_out_recorded(decision, doc)
        if not decision.runs:  # nothing is claimed that could end a retry
            superseded = {}
        # R3: the job moves, and has its runs and records, in one step.
        records = [*decision.runs, *decision.records]
        new = doc.copy()
        new.running += len(decision.runs) - len(superseded)
        new.waiting, new.placed = doc.waiting - len(superseded), doc.placed - len(superseded)
        new.nominal, new.due = decision.next_nominal, decision.next_due
        new.state, new.error = decision.state, storable(decision.error)
        new.version, new.updated = doc.version + 1, now
        if ends_pause(decision):
            new.rare = {name: value for name, value in doc.rare.items() if name != "paused"}
        new.recorded = max([record.last for record in records], default=doc.recorded or NEVER)
        new.recorded = max(new.recorded, doc.recorded or NEVER)
        stays = new.state != ENDED or new.running > 0 or new.waiting > 0
        changes = changes_of(doc, new if stays else None)
        check_times(decision)
        for run, entry in superseded.items():
            start = start_key(extra_of(run).not_before or 0, run.job_id, run.nominal)
            end_superseded([run], now)
            changes += [
                Change(waiting_key(run.job_id, run.nominal), None, entry.rev),
                Change(start, None),
                Change(ended_key(run.job_id, run.nominal), record_of(run)),
            ]
        for record in marked(decision, node, now):
            key = ended_key if record.ended else active_key
            changes.append(Change(key(record.job_id, record.nominal), record_of(record)))

        def done() -> None:
            moved(decision, new.running)
            if superseded:
                decision.superseded = list(superseded)
            won.add(id(decision))
            self._count(decision.job.id, len(decision.records))

        return Step(decision, changes, done, [*superseded, *ends_among((decision,))])

    def _leave_out_recorded(self, decision: Decision, doc: Doc) -> None:
        """Take out of a decision what has a record already (R4): the job was removed and added again, or set back by its user.

        Every record is written with a new version of its job, so what is read here is true of the version that was decided on.
        """
        since = first_nominal(decision)
        recorded = NEVER if doc.recorded is None else doc.recorded
        if since is not None and since <= recorded:
            leave_out_recorded(decision, self._history.recorded(doc.id, since))

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(
        self, runs: Sequence[Run], now: int, due: Callable[[int | None], bool]
    ) -> tuple[list[Run], bool]:
        """Write how runs ended, those of one job together; of a job that starts others one by one.

        :param now: instant
        :param due: whether others should be told of a due time
        :return: the runs whose end is refused (R5), and whether a job that waited for one of these runs became due (R6)
        """
        refused: list[Run] = []
        freed: list[Doc] = []
        pending = list(runs)
        for _ in tries():
            before = len(pending) + 1
            while pending and len(pending) < before:  # those of one job that do not fit into one step
                before = len(pending)
                pending = self._finish(pending, now, refused, freed, due)
            if not pending:
                break
        else:
            raise StoreConflictError(
                f"The outcomes of {len(pending)} runs could not be written: others changed their jobs each time"
            )
        stale = {id(run) for run in refused}
        return [run for run in runs if id(run) in stale], bool(freed)

    def _finish(
        self,
        runs: Sequence[Run],
        now: int,
        refused: list[Run],
        freed: list[Doc],
        due: Callable[[int | None], bool],
    ) -> list[Run]:
        """Write what can be written in one round; return the other runs."""
        active = dict(zip(map(id, runs), self._tree.read(list(map(_active_key, runs))), strict=True))
        mine = [run for run in runs if _is_owner(run, active[id(run)])]
        if len(mine) < len(runs):
            owned = set(map(id, mine))
            refused += self._unrecorded([run for run in runs if id(run) not in owned])
        for run in mine:
            _look_for_request(run, active[id(run)], now)
        docs = self._jobs.some(run.job_id for run in mine)
        later: list[Run] = []
        steps: list[Step] = []
        tell = False
        for job_id, group in by_job(mine).items():
            doc = docs[job_id]
            if doc is not None and doc.unreadable is not None:
                doc = None  # it is left as it is; what it counts is known when it is replaced
            starting = self._starting(group) if BaseTrigger.some_chain else ()
            texts = self._texts(group[:1] if starting else group, doc)
            some = group[: len(texts)]
            later += group[len(some) :]
            new = (
                None
                if doc is None
                else counted(doc.release(len(some), job_id in not_ended_well(some)), some, self._format, now)
            )
            changes = [] if doc is None else changes_of(doc, new)
            for run, text in zip(some, texts, strict=True):
                changes.append(Change(_active_key(run), None, active[id(run)].rev))
                changes += told_no_more(active[id(run)])
                changes.append(Change(ended_key(run.job_id, run.nominal), text))
            is_free = doc is not None and new is not None and new.due not in (doc.due, None)
            tell = tell or (is_free and due(new.due if new else None))
            done = self._finished(job_id, len(some), freed, new if is_free else None)
            steps.append(Step(some, changes, done, some if starting else ()))
        return later + [run for step in self._chains.carry_out(steps, now, tell) for run in step.about]

    def _texts(self, group: Sequence[Run], doc: Doc | None) -> list[str]:
        """Return the records of as many runs of a job as one step can write, one at least."""
        texts = [record_of(group[0])]
        if len(group) > 1:
            room = (
                self._tree.max_bytes
                - len(texts[0].encode())
                - (0 if doc is None else len(doc.text().encode()))
            )
            for run in group[1 : (self._tree.max_changes - 5) // 2]:
                text = record_of(run)
                room -= len(text.encode()) + KEYS
                if room < 0:
                    break
                texts.append(text)
        return texts

    def _finished(self, job_id: str, count: int, freed: list[Doc], doc: Doc | None) -> Callable[[], None]:
        def done() -> None:
            self._count(job_id, count)
            if doc is not None:
                freed.append(doc)

        return done

    def _unrecorded(self, runs: Sequence[Run]) -> list[Run]:
        """Return the runs whose very end is not in the ledger (R5): the answer to the first try may have been lost."""
        found = self._tree.read([ended_key(run.job_id, run.nominal) for run in runs])
        return [
            run
            for run, entry in zip(runs, found, strict=True)
            if (kept := run_in(entry)) is None
            or (kept.owner, kept.attempt, kept.status, kept.finished_at)
            != (run.owner, run.attempt, run.status, run.finished_at)
        ]

    # -- leases --------------------------------------------------------------------------------------------------

    def keep(self, in_hand: Collection[Run]) -> list[Run]:
        """Make sure of a node's runs after its lease had run out; return those that are not its any more.

        The keys of the other runs get new revisions: a node that has seen the lease run out cannot take them any more.
        """
        lost: list[Run] = []
        pending = list(in_hand)
        for _ in tries():
            if not pending:
                return lost
            found = list(zip(pending, self._tree.read(list(map(_active_key, pending))), strict=True))
            lost += [run for run, entry in found if not _is_owner(run, entry)]
            steps = [
                Step(run, [Change(_active_key(run), entry.value, entry.rev)])
                for run, entry in found
                if _is_owner(run, entry)
            ]
            pending = [step.about for step in carry_out(steps, self._tree)]
        raise StoreConflictError(f"{len(pending)} claimed runs are changed by others all the time")

    def rescue(
        self,
        search: Search,
        now: int,
        alive: Callable[[], Collection[str]],
        job_of: Callable[[Doc], Job],
        end_damaged: Callable[[Mapping[str, Entry]], list[Run]],
    ) -> list[Run]:
        """Take over runs that no living node owns, or end them; return those.

        :param alive: returns the nodes whose lease is not over
        :param end_damaged: ends the damaged ones among the claimed runs, and returns them
        """

        def look() -> tuple[list[Run], bool]:
            entries = self._tree.entries(ACTIVE_RUNS)
            living = alive() if entries else ()
            if search.node not in living:
                return [], True  # nothing is claimed; or its own runs may not be its own any more
            damaged = end_damaged(entries)
            orphans: dict[str, Run] = {}
            for name, entry in entries.items():
                run = run_in(entry)
                if (
                    run is not None
                    and run.status == CLAIMED
                    and (run.job_id, run.nominal) == active_of(name)
                    and search.is_orphan(run.job_id, run.nominal, run.owner, living)
                ):
                    orphans[name] = run
            if not orphans:
                return damaged, True
            taken, all_done = self._take(orphans, entries, search, now, job_of)
            return [*damaged, *taken], all_done

        return search.rescue(tries, look)

    def _take(
        self,
        orphans: Mapping[str, Run],
        entries: Mapping[str, Entry],
        search: Search,
        now: int,
        job_of: Callable[[Doc], Job],
    ) -> tuple[list[Run], bool]:
        """Give orphans to a node, or end them; return those, and whether nothing was left for another look."""
        before = {id(run): entries[name] for name, run in orphans.items()}
        docs = self._jobs.some(run.job_id for run in orphans.values())
        jobs = {
            doc.id: job_of(doc)
            for doc in docs.values()
            if doc is not None and doc.state != REMOVED and doc.unreadable is None
        }
        docs = {id: None if doc is None or doc.unreadable is not None else doc for id, doc in docs.items()}
        oldest_first = sorted(orphans.values(), key=lambda run: run.nominal)
        changed = search.sort_out(oldest_first, jobs, now)
        all_done = True
        taken: list[Run] = []
        steps: list[Step] = []
        for job_id, group in by_job(changed).items():
            some = self._first_of(group)
            all_done = all_done and len(some) == len(group)
            doc = docs[job_id]
            lost = sum(run.ended for run in some)
            # R2: written even if nothing in it changes, so that two nodes do not both take the same room.
            new = doc
            if lost:
                over = [run for run in some if run.ended]
                new = None if doc is None else doc.release(lost, job_id in not_ended_well(over))
                new = counted(new, over, self._format, now)
            changes = [] if doc is None else changes_of(doc, new)
            for run in some:
                gone = run.ended
                changes.append(
                    Change(_active_key(run), None if gone else record_of(run), before[id(run)].rev)
                )
                changes += _moved_cancel(before[id(run)], run)
                if gone:
                    changes.append(Change(ended_key(run.job_id, run.nominal), record_of(run)))
            ended = [run for run in some if run.ended]
            steps.append(Step(some, changes, lambda some=some: taken.extend(some), ended))  # type: ignore[misc]
        refused = self._chains.carry_out(steps, now)
        return taken, all_done and not refused

    def _first_of(self, group: Sequence[Run]) -> Sequence[Run]:
        """Return as many of these runs as one step can take or end."""
        room = self._tree.max_changes - 5
        if BaseTrigger.some_chain and any(run.ended for run in group):
            # An end may leave much at other jobs. What is taken is taken together: a part would start beside the rest.
            group = [run for run in group if not run.ended] or group[:1]
        for place, run in enumerate(group):
            room -= 2 + 2 * (getattr(run, "extra", None) is not None) if run.ended else 1
            if room < 0:
                return group[:place]
        return group

    def give_back(self, runs: Sequence[Run]) -> None:
        """Leave claimed runs, which were not started, to whoever comes first."""
        found = self._tree.read(list(map(_active_key, runs)))
        steps = []
        for run, entry in zip(runs, found, strict=True):
            kept = run_in(entry)
            if kept is not None and _is_owner(run, entry):
                kept.owner = None
                steps.append(Step(run, [Change(_active_key(run), record_of(kept), entry.rev)]))
        carry_out(steps, self._tree)

    def is_busy(self, node: str) -> bool:
        """Whether runs of a node are under way."""
        return any(
            (run := run_in(entry)) is not None and run.owner == node
            for entry in self._tree.entries(ACTIVE_RUNS).values()
        )

    def _count(self, job_id: str, records: int) -> None:
        if records:
            self._bounds.count(job_id, records)


def _is_open(decision: Decision, doc: Doc | None) -> bool:
    """Whether a decision is about the job as it is (R1), and there is room for its runs (R2)."""
    if doc is not None and doc.unreadable is not None:
        return decision.state == QUARANTINED and decision.version == NO_VERSION
    if doc is None or not doc.is_kept or doc.version != decision.version:
        return False
    running = doc.running - len(decision.superseded)
    return is_allowed(decision, running)


def _moved_cancel(before: Entry, run: Run) -> list[Change]:
    """Return the changes by which the node that has taken a run over is told that it is cancelled, and no other."""
    changes = told_no_more(before)
    if changes and not run.ended and run.owner is not None:
        key = cancel_key(run.owner, run.job_id, run.nominal)
        changes = [change for change in changes if change.key != key]
        changes.append(Change(key, json.dumps(extra_of(run).cancel, ensure_ascii=False)))
    return changes


def _active_key(run: Run) -> str:
    return active_key(run.job_id, run.nominal)


def _look_for_request(run: Run, entry: Entry, now: int) -> None:
    """Let a run that has failed know if its record says that somebody had asked it to stop before."""
    if is_unasked(run) and '"cancel"' in (entry.value or ""):
        record = run_in(entry)
        asked = None if record is None else asked_to_stop(record)
        if asked is not None:
            hear(run, asked, now)


def _is_owner(run: Run, entry: Entry) -> bool:
    """Whether a run has the owner and attempt that the store has of it (R5)."""
    kept = run_in(entry)
    return kept is not None and (kept.owner, kept.attempt) == (run.owner, run.attempt)
