"""Keys that are not what a store wrote: jobs go into quarantine, runs get their end, counts are put right, nothing is thrown away.

It may not raise because of what a key holds. A job whose document is damaged keeps it, until somebody replaces or removes the job.
"""

from __future__ import annotations

import json

from ...clock import HELD
from ...codec.damaged import DAMAGED, is_time
from ...core.extras import extra_of, keeps_place
from ...core.states import ACTIVE, CLAIMED, LOST, end
from ...errors import DeserializationError
from ...texts import shortened
from ...triggers.base import BaseTrigger
from ..documents import fields_of, mended_fields, run_of
from ..retention import Pace
from .forms import changes_of, doc_of, parent_in, run_of_text, run_of_waiting
from .keys import (
    ACTIVE_RUNS,
    JOBS,
    WAITING_RUNS,
    active_key,
    active_of,
    child_key,
    damaged_key,
    ended_key,
    instant_of,
    is_number,
    quarantined_key,
    start_key,
    unquoted,
    waiting_folder,
)
from .port import KEEP, Change, Step, carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from ...clock import Clock
    from ...core.run import Run
    from ...job.handle import Job
    from ...logs import GuardedLogger
    from .chains import Chains
    from .forms import Doc
    from .jobs import Jobs
    from .port import Entry, Tree

#: How many jobs the first step looks at, and how many steps there are in a round.
LOOKED_AT = 100
STEPS = 10
#: Up to how many waiting runs there are when it is seen whether their jobs know of them.
WAITING = 5_000
#: Of so many waiting runs of a job it is seen whether they are found.
MENDED = 50


class Damage:
    """Puts right what others have damaged in one tree.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param chains: writes what ends leave at other jobs
    """

    def __init__(self, tree: Tree, jobs: Jobs, chains: Chains) -> None:
        self._tree = tree
        self._jobs = jobs
        self._chains = chains
        #: the name up to which jobs were looked at
        self._at = ""

    # -- jobs ----------------------------------------------------------------------------------------------------

    def recount(self, jobs: Sequence[Job]) -> None:
        """Let the counts of jobs say how many of their runs are under way, or keep their places while they wait."""
        docs = self._jobs.some(job.id for job in jobs)
        counts = self._jobs.under_way()
        self._count_anew(docs.values(), counts)
        for job in jobs:
            doc = docs[job.id]
            job.running = counts[job.id] + (0 if doc is None else doc.placed)

    def steps(self, now: int, clock: Clock, logger: GuardedLogger) -> Iterator[tuple[list[Doc], list[Run]]]:
        """Look for jobs and runs that nobody would find because of what is stored of them, in steps; see the port.

        :return: for each step the documents of jobs that are to be put into quarantine or in order, or may be, and the runs that
            got an end
        """
        pace = Pace(LOOKED_AT)
        waiting = set(map(unquoted, self._tree.some_below(WAITING_RUNS, WAITING)[0]))
        for _ in range(STEPS):
            began = clock.monotonic()
            hidden = self._look_over(pace.size, waiting, now)
            pace.note(pace.size, clock.monotonic() - began)
            yield hidden, []
            if not self._at:
                break
        yield [], self.end_damaged(self._tree.entries(ACTIVE_RUNS), now, logger)

    def _look_over(self, limit: int, waiting: Collection[str], now: int) -> list[Doc]:
        """Look at the next jobs: counts and keys that contradict their documents are put right.

        :param waiting: ids of jobs of which runs wait
        :return: the documents of jobs that have to be put into quarantine, and that nobody would find; and of jobs in chains
        """
        names = self._tree.after(JOBS, self._at, limit + 1)
        some = names[:limit]
        self._at = some[-1] if len(names) > limit else ""
        entries = self._tree.read([f"{JOBS}/{name}" for name in some])
        found = [doc_of(unquoted(name), entry) for name, entry in zip(some, entries, strict=True)]
        docs = [doc for doc in found if doc is not None]
        for doc in docs:
            if doc.unreadable is None and (doc.waiting or doc.id in waiting):
                self._look_at_waiting(doc, now)
        self._count_anew(docs, self._jobs.under_way())
        hidden = []
        keys = [doc.index or quarantined_key(doc.id) for doc in docs]
        for doc, key, entry in zip(docs, keys, self._tree.read(keys), strict=True):
            if entry.value is not None:
                continue
            if doc.unreadable is not None:
                hidden.append(doc)
            elif doc.index is not None:  # nobody would find it
                self._tree.commit([Change(doc.key, KEEP, doc.rev), Change(key, "")])
        return hidden + self._look_at_chains(docs)

    def _look_at_chains(self, docs: Iterable[Doc]) -> list[Doc]:
        """Have jobs found by the ends of those that start them; return the documents of jobs that may be in no chain."""
        chained = [
            doc
            for doc in docs
            if doc.unreadable is None and doc.state == ACTIVE and '"after"' in doc.parts[3]
        ]
        keys = {child_key(parent, doc.id): doc for doc in chained if (parent := parent_in(doc)) is not None}
        for (key, doc), entry in zip(keys.items(), self._tree.read(list(keys)) if keys else (), strict=True):
            if entry.value is None:
                self._tree.commit([Change(doc.key, KEEP, doc.rev), Change(key, "")])
        return chained

    def _look_at_waiting(self, doc: Doc, now: int) -> None:
        """Put right the counts of a job's waiting runs, and have them found that nobody would find."""
        entries = self._tree.entries(waiting_folder(doc.id))
        runs = {name: run_of_waiting(doc.id, name, entry) for name, entry in entries.items()}
        # A damaged one is found at once, and gets its end.
        starts = [
            start_key(now if run is None else extra_of(run).not_before or now, doc.id, instant_of(name))
            for name, run in runs.items()
            if is_number(name)
        ][:MENDED]
        missing = [
            key for key, entry in zip(starts, self._tree.read(starts), strict=True) if entry.value is None
        ]
        new = doc.copy()
        new.waiting = len(runs)
        new.placed = sum(run is not None and keeps_place(extra_of(run)) for run in runs.values())
        if missing or (new.waiting, new.placed) != (doc.waiting, doc.placed):
            new.running = max(doc.running + new.placed - doc.placed, 0)
            after = new.release(0, doc.is_kept and not doc.is_visible and not doc.waiting)
            if self._tree.commit([*changes_of(doc, after), *(Change(key, "") for key in missing)]):
                doc.waiting, doc.placed, doc.running = new.waiting, new.placed, new.running

    def _count_anew(self, docs: Iterable[Doc | None], counts: Mapping[str, int]) -> None:
        """Put right counts of running runs; one that is changed by others meanwhile is looked at another time."""
        steps = []
        for doc in docs:
            if doc is None or doc.unreadable is not None:
                continue
            count = counts[doc.id] + doc.placed
            waits_in_vain = count == 0 and (doc.due == HELD or not doc.is_kept)
            if doc.running != count or waits_in_vain:
                new = doc.copy()
                new.running = count
                steps.append(Step(doc, changes_of(doc, new.release(0))))
        carry_out(steps, self._tree)

    # -- runs ----------------------------------------------------------------------------------------------------

    def end_damaged(self, entries: Mapping[str, Entry], now: int, logger: GuardedLogger) -> list[Run]:
        """End the claimed runs that are damaged; return them.

        :param entries: what the keys of claimed runs hold, by name
        """
        damaged = {name: entry for name, entry in entries.items() if not _is_whole(name, entry.value)}
        if not damaged:
            return []
        runs: list[Run] = []
        docs = self._jobs.some(key[0] for name in damaged if (key := active_of(name)) is not None)
        by_job: dict[str, list[tuple[str, Entry, Run]]] = {}
        for name, entry in damaged.items():
            key = active_of(name)
            if key is None:
                self._set_aside(name, entry, logger)
            else:
                run = lost(key[0], key[1], entry.value or "", now)
                by_job.setdefault(key[0], []).append((name, entry, run))
        for job_id, group in by_job.items():
            if not BaseTrigger.some_chain:
                runs += self._end(docs[job_id], group, now)
                continue
            for each in group:  # an end may leave much at other jobs
                runs += self._end(self._jobs.some([job_id])[job_id], [each], now)
        return runs

    def _end(self, doc: Doc | None, group: Sequence[tuple[str, Entry, Run]], now: int) -> list[Run]:
        """Write the ends of damaged runs of a job; return those that were written."""
        runs = [run for _, _, run in group]
        changes = (
            []
            if doc is None or doc.unreadable is not None
            else changes_of(doc, doc.release(len(group), True))
        )
        for _, entry, run in group:
            changes.append(Change(active_key(run.job_id, run.nominal), None, entry.rev))
            changes.append(Change(ended_key(run.job_id, run.nominal), damaged_record(run, entry.value or "")))
        if BaseTrigger.some_chain:
            changes += self._chains.left_by(runs, now)[0]
        return runs if self._tree.commit(changes) else []

    def _set_aside(self, name: str, entry: Entry, logger: GuardedLogger) -> None:
        """Move a key that is among those of claimed runs, and that no run can have, to the damaged keys."""
        there = damaged_key(ACTIVE_RUNS, name)
        if self._tree.commit([Change(there, entry.value), Change(f"{ACTIVE_RUNS}/{name}", None, entry.rev)]):
            logger.error("%s/%s is the key of no run, and was moved to %s", ACTIVE_RUNS, name, there)


def _is_whole(name: str, value: str | None) -> bool:
    """Whether the key of a claimed run holds that very run."""
    try:
        run = run_of_text(value)
    except DeserializationError:
        return False
    return run is None or (run.status == CLAIMED and (run.job_id, run.nominal) == active_of(name))


def lost(job_id: str, nominal: int, text: str, now: int) -> Run:
    """Return the end of a run under way whose document is damaged."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    known = data if isinstance(data, dict) else {}
    sound, wrong = mended_fields({**known, "job_id": job_id, "nominal": nominal})
    if not is_time(known.get("due")):
        sound["due"] = sound["nominal"]
    run = run_of({**sound, "status": CLAIMED})
    run.nominal = nominal
    said = wrong or "it is another run, or one that has ended"
    end(run, LOST, f"{DAMAGED}{said if known else shortened(repr(text), 80)}", now)
    return run


def damaged_record(run: Run, raw: str) -> str:
    """Return the record of a run whose document is damaged, with that."""
    fields = {**fields_of(run), "damaged": shortened(raw, 100_000)}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
