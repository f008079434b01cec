"""Runs of a tree that wait for a time of their own: opened, given back, taken, cancelled. The job's document guards each step.

What may start is decided elsewhere; it is found by the times at which it may.
"""

from __future__ import annotations

import json
from copy import copy

from ...core.chains import starts_others
from ...core.extras import extra_of, keeps_place
from ...core.orphans import by_job
from ...core.states import CLAIMED, HOLDING_UP, LOST, WAITING
from ...core.transitions import not_ended_well
from ...core.waiting import Taking, given_back, has_no_job, is_asked, looked_at
from ...errors import StoreConflictError
from ...texts import storable
from ...triggers.base import BaseTrigger
from .damage import damaged_record, lost
from .forms import (
    REMOVED,
    cancellation,
    changes_of,
    counted,
    record_of,
    run_in,
    run_of_waiting,
    told_no_more,
    waits,
)
from .keys import (
    START_TIMES,
    active_key,
    cancel_key,
    ended_key,
    number,
    start_key,
    start_of,
    waiting_key,
)
from .opening import EACH, JOB, Opening
from .port import KEEP, Change, Step, carry_out, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from ...core.waiting import MayTake
    from ...job.handle import Job
    from .chains import Chains
    from .forms import Doc
    from .history import History
    from .jobs import Jobs
    from .port import Entry, Tree

    #: tells whether other processes have to hear of a due time
    IsSoon = Callable[[int | None], bool]

#: How many waiting runs are looked at for those that may start: at first, and at most.
LOOKED_AT = (200, 1_000, 5_000)


class Waiting:
    """Reads and writes the waiting runs of one tree.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param history: reads records
    :param format: reads and writes the arguments of runs
    :param chains: writes what ends leave at other jobs
    """

    def __init__(self, tree: Tree, jobs: Jobs, history: History, format: JobFormat, chains: Chains) -> None:
        self._tree = tree
        self._jobs = jobs
        self._history = history
        self._format = format
        self._opening = Opening(tree, jobs, history, format)
        self._chains = chains

    # -- opening -------------------------------------------------------------------------------------------------

    def open(
        self,
        runs: Sequence[Run],
        now: int,
        is_soon: IsSoon,
        cuts: Sequence[Cut] = (),
        version: int | None = None,
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""
        return self._opening.open(runs, now, is_soon, cuts, version)

    # -- giving back ---------------------------------------------------------------------------------------------

    def give_back(self, runs: Sequence[Run], now: int, is_soon: IsSoon) -> tuple[list[Run], bool]:
        """Make claimed runs wait; return the refused ones, and whether a job became due; see the port."""
        refused: list[Run] = []
        freed: list[Doc] = []
        pending = list(runs)
        for _ in tries():
            before = len(pending) + 1
            while pending and len(pending) < before:
                before = len(pending)
                pending = self._give_back(pending, now, is_soon, refused, freed)
            if not pending:
                stale = set(map(id, refused))
                return [run for run in runs if id(run) in stale], bool(freed)
        raise StoreConflictError(
            f"{len(pending)} runs could not be given back: others changed their jobs each time"
        )

    def _give_back(
        self, runs: Sequence[Run], now: int, is_soon: IsSoon, refused: list[Run], freed: list[Doc]
    ) -> list[Run]:
        active = self._tree.read([active_key(run.job_id, run.nominal) for run in runs])
        waiting = self._tree.read([waiting_key(run.job_id, run.nominal) for run in runs])
        entries = dict(zip(map(id, runs), active, strict=True))
        mine: list[Run] = []
        for run, entry, other in zip(runs, active, waiting, strict=True):
            kept, done = run_in(entry), run_in(other)
            if is_asked(run, kept):
                refused.append(run)
            elif kept is not None and (kept.owner, kept.attempt, kept.status) == (
                run.owner,
                run.attempt,
                CLAIMED,
            ):
                mine.append(run)
            elif done is None or (done.attempt, _time_of(done)) != (run.attempt, _time_of(run)):
                refused.append(run)  # R5; else the answer to the first try was lost
        docs = self._jobs.some(run.job_id for run in mine)
        later: list[Run] = []
        steps = []
        earliest: list[int] = []
        for job_id, group in by_job(mine).items():
            doc = docs[job_id]
            if _is_removed(doc):
                refused += map(has_no_job, group)
                continue
            some = group[: (self._tree.max_changes - JOB) // EACH]
            later += group[len(some) :]
            changes: list[Change] = []
            new = None
            if doc is not None and doc.unreadable is None:
                left = doc.copy()
                left.waiting += len(some)
                left.placed += (placed := sum(keeps_place(extra_of(run)) for run in some))
                new = left.release(len(some) - placed)
                changes = changes_of(doc, new)
            for run in some:
                not_before = _time_of(run) or now
                record = copy(run)
                given_back(record, not_before)
                changes += [
                    Change(active_key(job_id, run.nominal), None, entries[id(run)].rev),
                    *told_no_more(entries[id(run)]),
                    *waits(record, not_before),
                ]
                earliest.append(not_before)
            is_free = doc is not None and new is not None and new.due != doc.due
            if is_free and new is not None and new.due is not None:
                earliest.append(new.due)
            steps.append(Step(some, changes, _given_back(some, now, freed, new if is_free else None)))
        not_done = carry_out(steps, self._tree, is_soon(min(earliest, default=None)))
        return later + [run for step in not_done for run in step.about]

    # -- taking --------------------------------------------------------------------------------------------------

    def take(
        self,
        node: str,
        now: int,
        room: Mapping[str, int] | None,
        job_of: Callable[[Doc], Job],
        may_take: MayTake | None = None,
    ) -> list[Run]:
        """Take waiting runs whose time has come, or end them; return those; see the port."""
        found: list[Run] = []
        left = None if room is None else dict(room)
        sizes = iter(LOOKED_AT)
        size = next(sizes)
        for _ in tries():
            names = self._tree.first([START_TIMES], number(now + 1), [size])[0]
            if not names:
                break
            taking = Taking(node, now, left, may_take)
            if taking.full:
                break
            if self._take(names, taking, now, job_of, found, left):
                continue  # others have changed some of their jobs
            if len(names) < size:
                break
            size = next(sizes, 0)
            if not size:
                break
        return found

    def _take(
        self,
        names: Sequence[str],
        taking: Taking,
        now: int,
        job_of: Callable[[Doc], Job],
        found: list[Run],
        left: dict[str, int] | None,
    ) -> list[Step]:
        """Take what may start among some names of starts; return the steps that were refused."""
        starts = [(name, start) for name in names if (start := start_of(name)) is not None]
        self._tree.delete(f"{START_TIMES}/{name}" for name in set(names) - {name for name, _ in starts})
        entries = self._tree.read([waiting_key(*start[1:]) for _, start in starts])
        docs = self._jobs.some(start[1] for _, start in starts)
        jobs = {id: job_of(doc) for id, doc in docs.items() if doc is not None and doc.state != REMOVED}
        running = {id: doc.running for id, doc in docs.items() if doc is not None}
        groups: dict[str, list[tuple[str, Entry, Run, bool]]] = {}
        waiting = _runs_of(starts, entries)
        taking.look_at(_due(waiting, now))
        for (name, (_, job_id, nominal)), entry, run in zip(starts, entries, waiting, strict=True):
            if run is None and entry.value is not None:
                run = lost(job_id, nominal, entry.value, now)
                if taking.leaves(run):
                    continue
                groups.setdefault(job_id, []).append((name, entry, run, False))
                continue
            if run is None or start_key(_time_of(run) or 0, job_id, nominal) != f"{START_TIMES}/{name}":
                # It leads to no run that waits for that time; a run that was given back in between has another key.
                same = Change(waiting_key(job_id, nominal), KEEP, entry.rev)
                self._tree.commit([same, Change(f"{START_TIMES}/{name}", None)])
                continue
            keeps = keeps_place(extra_of(run))
            if taking.take(
                run, jobs.get(job_id), running.get(job_id, 0), self._format.job_for, self._format.run_refusal
            ):
                groups.setdefault(job_id, []).append((name, entry, run, keeps))
                running[job_id] = running.get(job_id, 0) + (run.status == CLAIMED and not keeps)
            if taking.full:
                break
        steps, cut = [], []
        for job_id, group in groups.items():
            some = group[: (self._tree.max_changes - JOB) // EACH]
            if BaseTrigger.some_chain:  # an end may leave much at other jobs
                ends = [place for place, (_, _, run, _) in enumerate(some) if starts_others(run)]
                some = some[: ends[1]] if len(ends) > 1 else some
                cut += [Step(group, [])] if len(some) < len(group) else []
            steps.append(self._taking(docs[job_id], some, now, found, left))
        return self._chains.carry_out(steps, now) + cut

    def _taking(
        self,
        doc: Doc | None,
        group: Sequence[tuple[str, Entry, Run, bool]],
        now: int,
        found: list[Run],
        left: dict[str, int] | None,
    ) -> Step:
        """Return the step that takes runs of a job, or ends them (R3)."""
        changes: list[Change] = []
        new = None
        if doc is not None and doc.unreadable is None:
            taken = doc.copy()
            taken.waiting = max(doc.waiting - len(group), 0)
            placed = sum(keeps for *_, keeps in group)
            taken.placed = min(max(doc.placed - placed, 0), taken.waiting)
            taken.running += sum(run.status == CLAIMED and not keeps for _, _, run, keeps in group)
            over = [run for _, _, run, _ in group if run.ended]
            gone = sum(run.ended and keeps for _, _, run, keeps in group)
            new = counted(taken.release(gone, bool(not_ended_well(over))), over, self._format, now)
            changes = changes_of(doc, new)
        for name, entry, run, _ in group:
            changes += [
                Change(waiting_key(run.job_id, run.nominal), None, entry.rev),
                Change(f"{START_TIMES}/{name}", None),
            ]
            if run.status == CLAIMED:
                self._format.sign(run)  # its executor may be another one
                changes.append(Change(active_key(run.job_id, run.nominal), record_of(run)))
            else:
                text = damaged_record(run, entry.value or "") if run.status == LOST else record_of(run)
                changes.append(Change(ended_key(run.job_id, run.nominal), text))

        def done() -> None:
            for _, _, run, _ in group:
                found.append(run)
                if run.job is not None and new is not None:
                    run.job.running = new.running
                if left is not None and run.status == CLAIMED:
                    left[run.executor] -= 1

        return Step(group, changes, done, [run for _, _, run, _ in group if run.ended])

    def next(self, job_of: Callable[[Doc], Job]) -> int | None:
        """Return when somebody has to look at waiting runs next; see the port."""
        times: list[int] = []
        for limit in (
            1,
            *LOOKED_AT,
        ):  # more, if the jobs of the first are paused, or somebody has put other names there
            names = self._tree.first([START_TIMES], None, [limit])[0]
            starts = [start for name in names if (start := start_of(name)) is not None]
            times, is_free = self._looked_at(starts, job_of)
            if is_free or len(names) < limit:
                break
        return min(times, default=None)

    def _looked_at(
        self, starts: Sequence[tuple[int, str, int]], job_of: Callable[[Doc], Job]
    ) -> tuple[list[int], bool]:
        """Return when some waiting runs have to be looked at, and whether one may start before those that come after them."""
        docs = self._jobs.some({job_id for _, job_id, _ in starts})
        times: list[int] = []
        held_up: list[tuple[str, int]] = []
        is_free = False
        for time, job_id, nominal in starts:
            doc = docs[job_id]
            if doc is None or doc.unreadable is not None or doc.state not in HOLDING_UP:
                times.append(time)
                is_free = True
                break
            held_up.append((job_id, nominal))
        entries = self._tree.read([waiting_key(*key) for key in held_up])
        for (job_id, nominal), entry in zip(held_up, entries, strict=True):
            doc, run = docs[job_id], run_of_waiting(job_id, number(nominal), entry)
            if doc is not None and run is not None and (at := looked_at(run, job_of(doc))) is not None:
                times.append(at)
        return times, is_free

    # -- cancelling ----------------------------------------------------------------------------------------------

    def cancel(
        self,
        job_id: str,
        nominal: int,
        reason: str,
        now: int,
        is_soon: IsSoon,
        only_waiting: bool = False,
    ) -> Run | None:
        """Cancel a run; see the port."""
        for _ in tries():
            ((entry, run),) = self._opening.records([(job_id, nominal)])
            if run is None or run.ended:
                return run
            extra = extra_of(run)
            if run.status == WAITING:
                doc = self._jobs.some([job_id])[job_id]
                whole = None if doc is None or doc.unreadable is not None else doc
                changes = cancellation(whole, {run: entry}, reason, now)
                changes += self._chains.left_by([run], now)[0]
            elif extra.cancel is None and not only_waiting:
                extra.cancel = reason
                changes = [Change(active_key(job_id, nominal), record_of(run), entry.rev)]
                if run.owner is not None:
                    told = json.dumps(storable(reason), ensure_ascii=False)
                    changes.append(Change(cancel_key(run.owner, job_id, nominal), told))
            else:
                return run
            if self._tree.commit(changes, is_soon(now)):
                return run
        raise StoreConflictError(f"Run {nominal} of job {job_id} is changed by others all the time")


def _is_removed(doc: Doc | None) -> bool:
    return doc is None or (doc.unreadable is None and doc.state == REMOVED)


def _runs_of(
    starts: Sequence[tuple[str, tuple[int, str, int]]], entries: Sequence[Entry]
) -> list[Run | None]:
    """Return the waiting runs to which some starts lead; None: none, or it is damaged."""
    found = zip(starts, entries, strict=True)
    return [run_of_waiting(job_id, number(nominal), entry) for (_, (_, job_id, nominal)), entry in found]


def _due(runs: Sequence[Run | None], now: int) -> list[Run]:
    """Return the runs whose time has come."""
    return [run for run in runs if run is not None and (_time_of(run) or 0) <= now]


def _given_back(runs: Sequence[Run], now: int, freed: list[Doc], doc: Doc | None) -> Callable[[], None]:
    def done() -> None:
        for run in runs:
            given_back(run, _time_of(run) or now)
        if doc is not None:
            freed.append(doc)

    return done


def _time_of(run: Run) -> int | None:
    """Return when a run may start."""
    return extra_of(run).not_before
