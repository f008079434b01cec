"""Runs of a tree that are opened: they wait for a time of their own, new ones, or in the place of records that have ended.

The job's document guards each step.
"""

from __future__ import annotations

import json
from copy import copy

from ...core.extras import extra_of, keeps_place
from ...core.openings import by_run
from ...core.orphans import by_job
from ...core.waiting import answers_for_key, opened
from ...errors import StoreConflictError
from .forms import REMOVED, asked_in, changes_of, record_of, run_in, waits
from .keys import active_key, asked_key, ended_key, waiting_key
from .port import Change, Step, carry_out, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...codec.jobs import JobFormat
    from ...core.openings import Cut
    from ...core.run import Run
    from .forms import Doc
    from .history import History
    from .jobs import Jobs
    from .port import Entry, Tree

    #: tells whether other processes have to hear of a due time
    IsSoon = Callable[[int | None], bool]

#: How many changes each waiting run needs at most, and its job.
EACH, JOB = 4, 5


class Opening:
    """Opens the runs of one tree.

    :param tree: the server
    :param jobs: reads the documents of jobs
    :param history: reads records
    :param format: reads and writes the arguments of runs
    """

    def __init__(self, tree: Tree, jobs: Jobs, history: History, format: JobFormat) -> None:
        self._tree = tree
        self._jobs = jobs
        self._history = history
        self._format = format

    def open(
        self,
        runs: Sequence[Run],
        now: int,
        is_soon: IsSoon,
        cuts: Sequence[Cut] = (),
        version: int | None = None,
    ) -> list[Run]:
        """Make runs wait that are asked for; see the port."""
        cut_of = by_run(cuts, runs) if cuts else {}
        versions: dict[str, int] = {} if version is None else {run.job_id: version for run in runs}
        for run in runs:
            self._format.extra_text(run)
            self._format.sign(run)
        found: dict[int, Run] = {}
        pending = list(runs)
        for _ in tries():
            before = len(pending) + 1
            while pending and len(pending) < before:  # those of one job that do not fit into one step
                before = len(pending)
                pending = self._open(pending, now, is_soon, found, cut_of, versions)
            if not pending:
                return [found[id(run)] for run in runs if id(run) in found]
        raise StoreConflictError(
            f"{len(pending)} runs could not be opened: others changed their jobs each time"
        )

    def _open(
        self,
        runs: Sequence[Run],
        now: int,
        is_soon: IsSoon,
        found: dict[int, Run],
        cut_of: Mapping[tuple[str, int], Cut],
        versions: dict[str, int],
    ) -> list[Run]:
        """Open what can be opened in one round; return the other runs."""
        docs = self._jobs.some(run.job_id for run in runs)
        asked = self._tree.read([asked_key(run.job_id, extra_of(run).key or "") for run in runs])
        known = {
            id(run): (entry, nominal)
            for run, entry in zip(runs, asked, strict=True)
            if extra_of(run).key is not None and (nominal := asked_in(entry, now)) is not None
        }
        keys = dict(zip(map(id, runs), asked, strict=True))
        repeated = [run for run in runs if id(run) in known]
        records = self.records([(run.job_id, known[id(run)][1]) for run in repeated])
        for run, (_, record) in zip(repeated, records, strict=True):
            if record is not None and answers_for_key(record):
                found[id(run)] = record
        new = [run for run in runs if id(run) not in found]
        places = dict(
            zip(map(id, new), self.records([(run.job_id, run.nominal) for run in new]), strict=True)
        )
        cuts = self._as_seen(new, cut_of)
        self._history.look_back([doc for doc in docs.values() if doc is not None])
        later: list[Run] = []
        steps = []
        earliest: int | None = None
        for job_id, group in by_job(new).items():
            doc = docs[job_id]
            if doc is None or doc.unreadable is not None or doc.state == REMOVED:
                continue  # there is no job
            if doc.version != versions.get(job_id, doc.version):  # R1
                continue
            free = [run for run in group if _is_free(run, *places[id(run)], cut_of, cuts)]
            some = _fitting(_distinct(free), (self._tree.max_changes - JOB) // EACH, cut_of)
            later += [run for run in free if run not in some]
            if some:
                mine = {id(run): places[id(run)] for run in some}
                of_some = {
                    id(run): cuts[id(cut)]
                    for run in some
                    if (cut := cut_of.get((run.job_id, run.nominal))) is not None
                }
                step = self._step(doc, some, mine, keys, now, found, of_some, versions)
                steps.append(step)
                first = min(extra_of(run).not_before or now for run in some)
                earliest = first if earliest is None else min(earliest, first)
        refused = carry_out(steps, self._tree, is_soon(earliest))
        return later + [run for step in refused for run in step.about]

    def _step(
        self,
        doc: Doc,
        runs: Sequence[Run],
        places: Mapping[int, tuple[Entry, Run | None]],
        keys: Mapping[int, Entry],
        now: int,
        found: dict[int, Run],
        cuts: Mapping[int, tuple[Cut, Entry]],
        versions: dict[str, int],
    ) -> Step:
        """Return the step that makes runs of a job wait.

        :param cuts: for some of the runs the cut, and the entry of its record
        :param versions: which version a job must have; it gets another one if a record is split (R1)
        """
        new = doc.copy()
        new.waiting += len(runs)
        new.placed += (placed := sum(keeps_place(extra_of(run)) for run in runs))
        new.running += placed
        new.version += bool(cuts)  # who has read the records before may have missed a piece (R1)
        # R4: a decision looks back from now on.
        new.recorded = max([doc.recorded or -(2**62), *(run.nominal for run in runs)])
        changes = changes_of(doc, new)
        written: list[tuple[Run, Run]] = []
        for cut, entry in {id(cut): (cut, entry) for cut, entry in cuts.values()}.values():
            first = cut.found.nominal
            left = {piece.nominal: record_of(piece) for piece in cut.left}
            changes.append(Change(ended_key(doc.id, first), left.pop(first, None), entry.rev))
            changes += [Change(ended_key(doc.id, nominal), text) for nominal, text in left.items()]
        for run in runs:
            entry, record = places[id(run)]
            extra = extra_of(run)
            if record is None or id(run) in cuts:
                record = copy(run)
            else:
                record.extra, record.signature = extra, run.signature
                changes.append(Change(ended_key(run.job_id, run.nominal), None, entry.rev))
            not_before = now if extra.not_before is None else extra.not_before
            opened(record, not_before)
            changes += waits(record, not_before)
            if extra.key is not None:
                asked = json.dumps([run.nominal, now])
                changes.append(Change(asked_key(run.job_id, extra.key), asked, keys[id(run)].rev))
            written.append((run, record))

        def done() -> None:
            found.update({id(run): record for run, record in written})
            if doc.id in versions:
                versions[doc.id] = new.version

        return Step(list(runs), changes, done)

    def _as_seen(
        self, runs: Sequence[Run], cut_of: Mapping[tuple[str, int], Cut]
    ) -> dict[int, tuple[Cut, Entry]]:
        """Return the cuts of some runs whose records are as they were looked at, each with the entry of the record."""
        wanted = {id(cut): cut for run in runs if (cut := cut_of.get((run.job_id, run.nominal))) is not None}
        keys = [(cut.found.job_id, cut.found.nominal) for cut in wanted.values()]
        found = zip(wanted.values(), self.records(keys) if keys else (), strict=True)
        return {
            id(cut): (cut, entry)
            for cut, (entry, record) in found
            if record is not None and record.ended and cut.is_same(record)
        }

    def records(self, keys: Sequence[tuple[str, int]]) -> list[tuple[Entry, Run | None]]:
        """Return for each nominal time the entry of its record, and the record, None if it is damaged or not there."""
        places = [[place(*key) for key in keys] for place in (active_key, waiting_key, ended_key)]
        entries = self._tree.read([place for some in places for place in some])
        found = []
        for number_, _ in enumerate(keys):
            those = [entries[number_ + index * len(keys)] for index in range(len(places))]
            entry = next((entry for entry in those if entry.value is not None), those[-1])
            found.append((entry, run_in(entry)))
        return found


def _is_free(
    run: Run,
    entry: Entry,
    record: Run | None,
    cut_of: Mapping[tuple[str, int], Cut],
    cuts: Mapping[int, object],
) -> bool:
    """Whether a run may be opened: its time has no record, or one that has ended (R4); that of its cut is as it was looked at."""
    cut = cut_of.get((run.job_id, run.nominal))
    if cut is not None:
        return id(cut) in cuts and (entry.value is None or run.nominal == cut.found.nominal)
    return entry.value is None if record is None else record.ended and run.attempt > 0


def _fitting(runs: Sequence[Run], most: int, cut_of: Mapping[tuple[str, int], Cut]) -> list[Run]:
    """Return as many runs as fit into one step; those of one cut are opened together."""
    groups: dict[object, list[Run]] = {}
    for run in runs:
        cut = cut_of.get((run.job_id, run.nominal))
        groups.setdefault(run if cut is None else id(cut), []).append(run)
    found: list[Run] = []
    for group in groups.values():
        if not found or len(found) + len(group) <= most:
            found += group
    return found


def _distinct(runs: Sequence[Run]) -> list[Run]:
    """Return the first run of each nominal time and of each key; the others are looked at again when these are there."""
    seen: set[object] = set()
    found = []
    for run in runs:
        names = {run.nominal, extra_of(run).key or run.nominal}
        if seen.isdisjoint(names):
            found.append(run)
        seen |= names
    return found
