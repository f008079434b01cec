"""Looking back: reading the records of runs, and forgetting those that are beyond their bounds.

It touches no job and no run that is under way.
"""

from __future__ import annotations

from ...clock import HOUR
from ...core.run import CLAIMED
from ...errors import DeserializationError
from .layout import (
    ACTIVE_RUNS,
    ENDED_RUNS,
    active_key,
    active_prefix,
    ended_folder,
    instant_of,
    is_number,
    quoted,
    unquoted,
)
from .ledger import readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...core.run import Run
    from ...logs import GuardedLogger
    from .ledger import Ledger
    from .port import Tree

#: How many records are read or deleted at once.
BATCH = 200


class Records:
    """The ended runs of one tree.

    :param keep: how many of each job are kept, None for no bound
    :param age: how many microseconds they are kept, None for no bound
    """

    def __init__(self, tree: Tree, ledger: Ledger, keep: int | None, age: int | None) -> None:
        self._tree = tree
        self._ledger = ledger
        self._keep = keep
        self.age = age
        self._looked_at: int | None = None

    # -- reading -------------------------------------------------------------------------------------------------

    def select(
        self, job_id: str | None, status: str | Iterable[str] | None, limit: int, logger: GuardedLogger
    ) -> list[Run]:
        """Return claimed runs and records, newest first."""
        wanted = None if status is None else {status} if isinstance(status, str) else set(status)
        prefix = "" if job_id is None else active_prefix(job_id)
        entries = self._tree.entries(ACTIVE_RUNS, prefix) if wanted is None or CLAIMED in wanted else {}
        # Read before the ended ones, so that a run that ends in between is met twice, and not missed.
        found = {name: run for name, entry in entries.items() if (run := _record(name, entry.value, logger))}
        if wanted == {CLAIMED}:
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

    def prune(self, now: int) -> None:
        """Delete records that are too old, or too many for their job.

        Jobs that got records by this process are looked at when they have some above the bound, all others once an hour.
        """
        written = self._ledger.written
        if self._looked_at is None or not 0 <= now - self._looked_at < HOUR:
            written.clear()
            for part, names in self._tree.below(ENDED_RUNS).items():
                self._prune(f"{ENDED_RUNS}/{part}", names, now)
            self._tree.sweep()
            self._looked_at = now
            return
        if self._keep is None:
            return
        for job_id in [job_id for job_id, count in list(written.items()) if count > self._keep // 10]:
            written.pop(job_id, None)
            folder = f"{ENDED_RUNS}/{quoted(job_id)}"
            self._prune(folder, self._tree.names(folder), now)

    def _prune(self, folder: str, all_names: Sequence[str], now: int) -> None:
        names = [name for name in all_names if is_number(name)]
        kept = len(names) if self._keep is None else self._keep
        beyond = [f"{folder}/{name}" for name in names[: max(len(names) - kept, 0)]]
        self._tree.delete(beyond)
        if self.age is None:
            return
        edge = now - self.age
        for batch in _batches(
            [f"{folder}/{name}" for name in names[len(beyond) :] if instant_of(name) < edge]
        ):
            # A run may have ended long after its nominal time.
            entries = zip(batch, self._tree.read(batch), strict=True)
            self._tree.delete([key for key, entry in entries if _ended_before(entry.value, edge)])


def _record(key: str, value: str | None, logger: GuardedLogger) -> Run | None:
    """Return the run of a record, None if there is none or it is not ours."""
    try:
        return readable(value)
    except DeserializationError as exc:
        logger.error("The record %s is left alone: %s", key, exc)
        return None


def _ended_before(value: str | None, edge: int) -> bool:
    try:
        run = readable(value)
    except DeserializationError:
        return False
    return run is not None and run.finished_at is not None and run.finished_at < edge


def _newest_first(run: Run) -> tuple[int, str]:
    return -run.nominal, run.job_id


def _batches(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
