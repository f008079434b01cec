"""What a tree counts of its records: how many there are by hour and status, and how long the runs of each job took.

Housekeeping counts what has ended, in steps, and what it deletes before that. It changes no job and no record but those to delete.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import groupby

from ...codec.damaged import is_time
from ...core import durations as durations_
from ...core.durations import PATIENCE, Durations, durations_of
from ...core.hours import KEPT, countable_until, hour_of
from ...core.states import END_STATES
from .forms import doc_of, run_in
from .keys import (
    ACTIVE_RUNS,
    COUNTED,
    ENDED_RUNS,
    HOURS,
    PARTS,
    WAITING_RUNS,
    active_of,
    durations_key,
    ended_key,
    hour_key,
    instant_of,
    is_number,
    job_key,
    number,
    unquoted,
)
from .port import KEEP, Change, Step, carry_out

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...core.run import Run
    from .port import Entry, Tree

    #: how many records there are, by hour and status
    Hours = Counter[tuple[int, str]]

#: How many records are read at once, and how many that are not counted yet are deleted in one step.
BATCH = 200
DELETED = 25
#: Of how many hours the counts are written in one step.
WRITTEN = 100
#: Before every nominal time.
_FIRST = -(2**62)


class Counts:
    """Counts the records of one tree.

    :param tree: the server
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    # -- reading -------------------------------------------------------------------------------------------------

    def hours(self, since: int, until: int) -> tuple[dict[int, dict[str, int]], int]:
        """Return what is counted of some hours, and from which nominal time on the records have to be counted besides."""
        counted = _counted_in(self._tree.read([COUNTED])[0])
        found = {hour: _counts_in(entry) for hour, entry in self._hours(since, until).items()}
        return {hour: counts for hour, counts in found.items() if counts}, counted

    def _hours(self, since: int, until: int) -> dict[int, Entry]:
        """Return the counts that are stored of some hours."""
        first, end = number(since), number(until)
        names = [name for name in self._tree.names(HOURS) if first <= name < end and is_number(name)]
        entries = self._tree.read([f"{HOURS}/{name}" for name in names])
        return {instant_of(name): entry for name, entry in zip(names, entries, strict=True)}

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took; see the port."""
        job, entry = self._tree.read([job_key(job_id), durations_key(job_id)])
        durations = _durations_in(entry, _created(job_id, job))
        return durations if durations is not None and durations.count else None

    # -- counting ------------------------------------------------------------------------------------------------

    def count(self, now: int) -> Iterator[None]:
        """Count what has ended since it was counted last, in steps; about once an hour there is something to count."""
        (counted,) = self._tree.read([COUNTED])
        unfinished = self._unfinished()
        edge = countable_until(now, min(map(min, unfinished.values()), default=None))
        since = _counted_in(counted)
        if (since == _FIRST and counted.value is not None) or since > now:
            # It is damaged: nobody knows what is counted, and nothing is counted twice.
            self._tree.commit([Change(COUNTED, str(edge), counted.rev)])
            return
        if edge <= since:
            return
        before = self._hours(max(since, now - KEPT), edge)
        hours: Hours = Counter()
        for page in self._tree.pages(ENDED_RUNS):
            yield None
            for start in range(0, len(page), BATCH):
                some = page[start : start + BATCH]
                yield from self._count(some, (max(since, now - KEPT), edge), unfinished, now, hours)
        yield from self._write(hours, before, counted, edge)
        old = [name for name in self._tree.names(HOURS) if name < number(hour_of(now - KEPT))]
        self._tree.delete(f"{HOURS}/{name}" for name in old)

    def _count(
        self,
        page: Sequence[tuple[str, str]],
        within: tuple[int, int],
        unfinished: Mapping[str, list[int]],
        now: int,
        hours: Hours,
    ) -> Iterator[None]:
        """Count the records of a page of names: those within some hours by hour, and the new ones of each job by duration."""
        names = {
            unquoted(part): [instant_of(name) for _, name in group if is_number(name)]
            for part, group in groupby(page, lambda pair: pair[0])
        }
        jobs = self._tree.read([job_key(job_id) for job_id in names])
        kept = self._tree.read([durations_key(job_id) for job_id in names])
        found: dict[str, tuple[Durations, int, int, Entry]] = {}
        wanted: list[tuple[str, int]] = []
        for (job_id, times), job, entry in zip(names.items(), jobs, kept, strict=True):
            created = _created(job_id, job)
            durations = _durations_in(entry, created) or Durations()
            until = _FIRST if durations.until is None else durations.until
            end = min((time for time in unfinished.get(job_id, ()) if time > now - PATIENCE), default=-_FIRST)
            if created is None:
                end = _FIRST  # there is no job
            else:
                found[job_id] = durations, end, created, entry
            wanted += [
                (job_id, time) for time in times if within[0] <= time < within[1] or until < time < end
            ]
        changed = set()
        for run in self._read(wanted):
            if within[0] <= run.nominal < within[1]:
                hours[hour_of(run.nominal), run.status] += 1
            if run.job_id in found:
                durations, end, *_ = found[run.job_id]
                if run.nominal < end and (durations.until is None or durations.until < run.nominal):
                    durations_.fold(durations, [_ended(run)], now)
                    changed.add(run.job_id)
        yield None
        steps = [
            Step(job_id, [Change(durations_key(job_id), _text_of(durations, created), entry.rev)])
            for job_id, (durations, _, created, entry) in found.items()
            if job_id in changed
        ]
        carry_out(steps, self._tree)  # what others have counted meanwhile is theirs

    def _unfinished(self) -> dict[str, list[int]]:
        """Return the nominal times of runs that have not ended, by their jobs."""
        found = {
            unquoted(part): [instant_of(name) for name in names if is_number(name)]
            for part, names in self._tree.below(WAITING_RUNS).items()
        }
        for key in map(active_of, self._tree.names(ACTIVE_RUNS)):
            if key is not None:
                found.setdefault(key[0], []).append(key[1])
        return {job_id: times for job_id, times in found.items() if times}

    def _read(self, keys: Sequence[tuple[str, int]]) -> list[Run]:
        """Return the records of some keys that are not damaged."""
        entries = self._tree.read([ended_key(*key) for key in keys])
        runs = zip(keys, map(run_in, entries), strict=True)
        return [run for key, run in runs if run is not None and (run.job_id, run.nominal) == key]

    def _write(self, hours: Hours, before: Mapping[int, Entry], counted: Entry, edge: int) -> Iterator[None]:
        """Add counts to those that are stored, the earliest hours first; nothing if others have counted some of it meanwhile.

        :param before: the counts as they were when the records were read
        """
        wanted = sorted({hour for hour, _ in hours})
        for start in range(0, max(len(wanted), 1), WRITTEN):
            some, following = wanted[start : start + WRITTEN], wanted[start + WRITTEN :]
            entries = self._tree.read(list(map(hour_key, some)))
            for hour, entry in zip(some, entries, strict=True):
                known = before.get(hour)
                if (entry.value is None) != (known is None) or (known is not None and known.rev != entry.rev):
                    return  # a record of it was counted and deleted; the next round counts anew
            until = following[0] if following else edge
            changes = [Change(COUNTED, str(until), counted.rev), *_added(hours, some, entries)]
            if not self._tree.commit(changes):
                return
            (counted,) = self._tree.read([COUNTED])
            yield None

    # -- deleting ------------------------------------------------------------------------------------------------

    def delete(self, keys: Sequence[str]) -> None:
        """Delete records and their parts; those that are not counted yet are counted in the same step."""
        (counted,) = self._tree.read([COUNTED])
        since = _counted_in(counted)
        new = [key for key in keys if is_number(name := key.rpartition("/")[2]) and instant_of(name) >= since]
        known = set(new)
        old = [key for key in keys if key not in known]
        self._tree.delete([*self._parts_of(old), *old])
        for start in range(0, len(new), DELETED):
            some = new[start : start + DELETED]
            entries = self._tree.read(some)
            runs = [run for run in map(run_in, entries) if run is not None]
            hours: Hours = Counter((hour_of(run.nominal), run.status) for run in runs)
            those = sorted({hour for hour, _ in hours})
            changes = [
                Change(COUNTED, KEEP, counted.rev),
                *(Change(key, None) for key in self._parts_of(some)),
                *(
                    Change(key, None, entry.rev)
                    for key, entry in zip(some, entries, strict=True)
                    if entry.value is not None
                ),
                *_added(hours, those, self._tree.read(list(map(hour_key, those)))),
                *self._timed(runs),
            ]
            self._tree.commit(changes)  # if others are at it, they have done it, or the next round does

    def _timed(self, runs: Sequence[Run]) -> list[Change]:
        """Return the changes that count how long some runs took."""
        changes = []
        ids = sorted({run.job_id for run in runs})
        jobs = self._tree.read([job_key(job_id) for job_id in ids])
        kept = self._tree.read([durations_key(job_id) for job_id in ids])
        for job_id, job, entry in zip(ids, jobs, kept, strict=True):
            created = _created(job_id, job)
            durations = _durations_in(entry, created) or Durations()
            new = sorted(
                (run.nominal, *_ended(run)[1:])
                for run in runs
                if run.job_id == job_id and (durations.until is None or run.nominal > durations.until)
            )
            if created is not None and new:
                durations_.fold(durations, new, new[-1][0])
                changes.append(Change(durations_key(job_id), _text_of(durations, created), entry.rev))
        return changes

    def _parts_of(self, keys: Sequence[str]) -> Sequence[str]:
        """Return the keys of the parts of records that are to be deleted."""
        return self._tree.existing([f"{PARTS}{key.removeprefix(ENDED_RUNS)}" for key in keys])


def _added(hours: Hours, wanted: Sequence[int], entries: Sequence[Entry]) -> list[Change]:
    """Return the changes that add counts to those that are stored of some hours."""
    changes = []
    for hour, entry in zip(wanted, entries, strict=True):
        counts = Counter(_counts_in(entry))
        counts.update({status: count for (other, status), count in hours.items() if other == hour})
        changes.append(Change(hour_key(hour), json.dumps(counts, separators=(",", ":")), entry.rev))
    return changes


def _ended(run: Run) -> tuple[int, str, int | None, int | None]:
    return run.nominal, run.status, run.started_at, run.finished_at


def _counted_in(entry: Entry) -> int:
    """Return up to which nominal time records are counted; a damaged text says nothing."""
    try:
        counted = int(entry.value or "")
    except ValueError:
        return _FIRST
    return counted if is_time(counted) and counted == hour_of(counted) else _FIRST


def _counts_in(entry: Entry) -> dict[str, int]:
    """Return the counts of an hour; what is damaged is left out."""
    try:
        found = json.loads(entry.value or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        status: count
        for status, count in found.items()
        if status in END_STATES and type(count) is int and 0 < count < -_FIRST
    }


def _created(job_id: str, entry: Entry) -> int | None:
    """Return when a job was added, None if there is none or it is damaged."""
    doc = doc_of(job_id, entry)
    return None if doc is None or not doc.is_visible or doc.unreadable is not None else doc.created


def _text_of(durations: Durations, created: int) -> str:
    """Return durations as a stored text, with what tells the job from a later one of the same id."""
    return f"{created} {durations_.text_of(durations)}"


def _durations_in(entry: Entry, created: int | None) -> Durations | None:
    """Return the durations in an entry; None if they are those of another job."""
    made, _, text = (entry.value or "").partition(" ")
    return durations_of(text) if created is not None and made == str(created) else None
