"""Looking back: reading the records of runs, and forgetting those that are beyond their bounds.

It touches no job and no run that is under way.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import starmap

from ...core.recorded import BEFORE, MOST, standing_from
from ...core.states import CLAIMED, ENDED, MANUAL, WAITING
from ...errors import DeserializationError
from .. import retention
from ..base import COUNTED
from ..retention import Pace
from .forms import changes_of, doc_of, run_of_text, standing_of
from .keys import (
    ACTIVE_RUNS,
    ENDED_RUNS,
    WAITING_RUNS,
    active_key,
    active_prefix,
    ended_folder,
    ended_key,
    instant_of,
    is_number,
    job_key,
    quoted,
    unquoted,
    waiting_folder,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...clock import Clock
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...logs import GuardedLogger
    from ..retention import Retention
    from .counts import Counts
    from .forms import Doc
    from .port import Entry, Tree

#: How many records are read at once.
BATCH = 200
#: Less than every nominal time.
NEVER = -(2**62)


class History:
    """The records of one tree.

    :param tree: the server
    :param bounds: which records are kept
    :param counts: counts records before they are deleted
    """

    def __init__(self, tree: Tree, bounds: Retention, counts: Counts) -> None:
        self._tree = tree
        self._counts = counts
        self._bounds = bounds

    # -- reading -------------------------------------------------------------------------------------------------

    def select(
        self, job_id: str | None, status: str | Iterable[str] | None, limit: int, logger: GuardedLogger
    ) -> list[Run]:
        """Return claimed runs and records, newest first."""
        wanted = None if status is None else {status} if isinstance(status, str) else set(status)
        prefix = "" if job_id is None else active_prefix(job_id)
        # Read before the ended ones, so that a run that ends in between is met twice, and not missed.
        entries = self._waiting(job_id, limit) if wanted is None or WAITING in wanted else {}
        if wanted is None or CLAIMED in wanted:
            entries |= self._tree.entries(ACTIVE_RUNS, prefix)
        found = {name: run for name, entry in entries.items() if (run := _record(name, entry.value, logger))}
        if wanted is not None and wanted <= {CLAIMED, WAITING}:
            return sorted(found.values(), key=_newest_first)[:limit]
        for batch in _batches(self._keys(job_id)):
            newest = sorted(found.values(), key=_newest_first)[:limit]
            if len(newest) == limit and instant_of(batch[0].rpartition("/")[2]) < newest[-1].nominal:
                break
            for key, entry in zip(batch, self._tree.read(batch), strict=True):
                run = _record(key, entry.value, logger)
                if run is not None:
                    name = active_key(run.job_id, run.nominal).partition("/")[2]
                    if wanted is None or run.status in wanted:
                        found[name] = run
                    else:
                        found.pop(name, None)
        return sorted(found.values(), key=_newest_first)[:limit]

    def _waiting(self, job_id: str | None, limit: int) -> dict[str, Entry]:
        """Return the newest waiting runs, by the names that they have when they are under way."""
        if job_id is None:
            names = [(name, part) for part, some in self._tree.below(WAITING_RUNS).items() for name in some]
        else:
            names = [(name, quoted(job_id)) for name in self._tree.names(waiting_folder(job_id))]
        some = sorted(names, reverse=True)[:limit]
        entries = self._tree.read([f"{WAITING_RUNS}/{part}/{name}" for name, part in some])
        return {f"{part}@{name}": entry for (name, part), entry in zip(some, entries, strict=True)}

    def look_back(self, docs: Iterable[Doc]) -> None:
        """Find out the latest recorded time of jobs that have not claimed anything since they were added."""
        new = [doc for doc in docs if doc.recorded is None and doc.unreadable is None]
        found = self._tree.last([ended_folder(doc.id) for doc in new]) if new else []
        named = {
            doc.id: instant_of(name)
            for doc, name in zip(new, found, strict=True)
            if name is not None and is_number(name)
        }
        entries = (
            self._tree.read([ended_key(job_id, time) for job_id, time in named.items()]) if named else []
        )
        values = dict(zip(named, (entry.value for entry in entries), strict=True))
        for doc, name in zip(new, found, strict=True):
            # A damaged name does not tell; then the records are looked at.
            doc.recorded = NEVER if name is None else -NEVER
            if doc.id in named:
                doc.recorded = self._reach_of(doc.id, named[doc.id], values[doc.id])

    def _reach_of(self, job_id: str, nominal: int, value: str | None) -> int:
        """Return up to what time the last records of a job reach, the very last of which is given.

        That of several times reaches further than its name says; a run by hand may lie inside it.
        """
        try:
            run = run_of_text(value)
        except DeserializationError:
            run = None
        if run is not None and run.origin != MANUAL:
            return run.last
        return max((last for _, last, _ in self.recorded(job_id, nominal)), default=nominal)

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        prefix = active_prefix(job_id)
        # Read before the ended ones, so that a run that ends in between is met twice, and not missed.
        active = self._tree.entries(ACTIVE_RUNS, prefix)
        found = {
            instant_of(text): entry.value
            for name, entry in active.items()
            if is_number(text := name.removeprefix(prefix))
        }
        waiting = self._tree.entries(waiting_folder(job_id))
        found |= {instant_of(name): entry.value for name, entry in waiting.items() if is_number(name)}
        times = sorted(instant_of(name) for name in self._tree.names(ended_folder(job_id)) if is_number(name))
        start = bisect_left(times, since)
        some = times[max(start - BEFORE, 0) : start + MOST]
        entries = self._tree.read([ended_key(job_id, nominal) for nominal in some]) if some else []
        found |= {nominal: entry.value for nominal, entry in zip(some, entries, strict=True)}
        return standing_from(starmap(standing_of, found.items()), since)

    def _keys(self, job_id: str | None) -> list[str]:
        """Return the keys of the records, newest first."""
        if job_id is not None:
            folder = ended_folder(job_id)
            return [f"{folder}/{name}" for name in reversed(self._tree.names(folder)) if is_number(name)]
        all_names = self._tree.below(ENDED_RUNS)
        keys = [(name, part) for part, names in all_names.items() for name in names if is_number(name)]
        keys.sort(key=lambda key: (-instant_of(key[0]), unquoted(key[1])))
        return [f"{ENDED_RUNS}/{part}/{name}" for name, part in keys]

    # -- forgetting ----------------------------------------------------------------------------------------------

    def prune(self, now: int, clock: Clock) -> Iterator[int]:
        """Delete records that are too old, or too many for their job, in steps; see the port."""
        bounds, pace = self._bounds, Pace(retention.FORGOTTEN)
        if not bounds.wants_all(now):
            if bounds.keep is not None:
                for job_id in bounds.crowded():
                    names = self._tree.names(ended_folder(job_id))
                    page = [(quoted(job_id), name) for name in names]
                    yield from self._prune(iter([page]), now, clock, pace)
            return
        bounds.begin()
        yield from self._prune(self._tree.pages(ENDED_RUNS), now, clock, pace)
        for _ in self._tree.sweep():
            yield 0
        bounds.end(now)

    def _prune(
        self, pages: Iterator[list[tuple[str, str]]], now: int, clock: Clock, pace: Pace
    ) -> Iterator[int]:
        """Delete what is beyond its bounds among records that come job by job, the oldest first."""
        keep, age = self._bounds.keep, self._bounds.age
        newest: deque[str] = deque()
        job = ""
        for page in pages:
            old = [] if age is None else [pair for pair in page if _is_before(pair[1], now - age)]
            gone = set()
            for start in range(0, len(old), BATCH):  # a run may have ended long after its nominal time
                gone |= self._ended_before(old[start : start + BATCH], now - (age or 0))
                yield 0
            beyond = list(gone)
            for part, name in page:
                key = _key_of(part, name)
                if part != job:
                    job = part
                    newest.clear()
                if keep is not None and key not in gone and is_number(name):
                    newest.append(key)
                    if len(newest) > keep:
                        beyond.append(newest.popleft())
            yield min(len(beyond), COUNTED)
            parts = {key.split("/")[1] for key in beyond}
            while beyond:
                began, size = clock.monotonic(), pace.size
                self._counts.delete(beyond[:size])
                pace.note(min(size, len(beyond)), clock.monotonic() - began)
                del beyond[:size]
                yield min(len(beyond), COUNTED)
            self._forget_ended(parts)

    def _forget_ended(self, parts: Iterable[str]) -> None:
        """Delete the jobs among some whose schedule is over, and of which no record is left.

        :param parts: the ids of jobs as they stand in keys
        """
        ids = [unquoted(part) for part in parts]
        found = zip(ids, self._tree.read([job_key(id) for id in ids]), strict=True) if ids else ()
        for id, entry in found:
            doc = doc_of(id, entry)
            if (
                doc is not None
                and doc.unreadable is None
                and (doc.state, doc.running, doc.waiting) == (ENDED, 0, 0)
                and not self._tree.names(ended_folder(id))
            ):
                self._tree.commit(changes_of(doc, None))

    def _ended_before(self, pairs: Sequence[tuple[str, str]], edge: int) -> set[str]:
        keys = [_key_of(part, name) for part, name in pairs]
        found = zip(keys, self._tree.read(keys), strict=True)
        return {key for key, entry in found if _ended_before(entry.value, edge)}


def _key_of(part: str, name: str) -> str:
    return f"{ENDED_RUNS}/{part}/{name}"


def _is_before(name: str, edge: int) -> bool:
    """Whether a name is that of a record of a nominal time before an instant."""
    return is_number(name) and instant_of(name) < edge


def _record(key: str, value: str | None, logger: GuardedLogger) -> Run | None:
    """Return the run of a record, None if there is none or it is not ours."""
    try:
        return run_of_text(value)
    except DeserializationError as exc:
        logger.error("The record %s is left alone: %s", key, exc)
        return None


def _ended_before(value: str | None, edge: int) -> bool:
    try:
        run = run_of_text(value)
    except DeserializationError:
        return False
    return run is not None and run.finished_at is not None and run.finished_at < edge


def _newest_first(run: Run) -> tuple[int, str]:
    return -run.nominal, run.job_id


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
