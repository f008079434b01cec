"""Which records a durable store keeps, when it looks for those that are not kept, and how many one step of housekeeping takes.

Counts and decides; what is read and deleted, stores do.
"""

from __future__ import annotations

from ..clock import DAY, HOUR, MINUTE
from ..errors import ConfigurationError
from .base import COUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: How many records one step looks at.
LOOKED_AT = 1000
#: How many records the first step deletes, and how many jobs it restores.
FORGOTTEN = 100
RESTORED = 20
#: The steps that follow do more if that took less than half of the first time (microseconds), and less if it took longer than the
#: second one, within two bounds: due jobs wait for them.
DURATION, SLOW = 12_000, 48_000
MOST = 200
LEAST = 10
#: New records are counted for this number of jobs: those that get the most.
BUSY = 1000
#: How long the entry of a node is kept after its lease was over (microseconds).
NODES_KEPT = DAY
#: All records are looked at once an hour, or once in this part of the time for which they are kept, if that is shorter.
PARTS = 24


class Retention:
    """The bounds of one store's records.

    :param keep: how many ended runs of each job are kept, None for no bound
    :param age: how long ended runs are kept (microseconds), None for no bound
    """

    def __init__(self, keep: int | None, age: int | None) -> None:
        self.keep = keep
        self.age = age
        #: how many records the busiest jobs got since they were last looked at
        self._written: dict[str, int] = {}
        self._looked_at: int | None = None

    def forget(self) -> None:
        """Forget what is known of the records, as they are another store's now."""
        self._written, self._looked_at = {}, None

    def count(self, job_id: str, records: int) -> None:
        """Count new records of a job."""
        if self.keep is None:
            return
        written = self._written
        if job_id in written or len(written) < BUSY:
            written[job_id] = written.get(job_id, 0) + records
            return
        # A job that is not counted yet takes one from all the others, so those stay that get more than a thousandth of all records.
        self._written = {other: count - 1 for other, count in list(written.items()) if count > 1}

    def crowded(self) -> list[str]:
        """Return the ids of jobs that may have too many records by now."""
        # A tenth above the bound costs less than looking.
        most = (self.keep or 0) // 10
        written = self._written
        crowded = [job_id for job_id, count in list(written.items()) if count > most]
        for job_id in crowded:
            written.pop(job_id, None)
        return crowded

    def round(
        self,
        now: int,
        of_job: Callable[[str, int], Iterator[int]],
        older: Callable[[int], Iterator[int]],
        of_all: Callable[[int], Iterator[int]],
    ) -> Iterator[int]:
        """Delete records that are too old, or too many for their job, in steps; see ``prune_in_steps()`` of the port.

        :param of_job: deletes, in steps, the records of a job but so many, the newest
        :param older: deletes, in steps, the records that ended before an instant
        :param of_all: deletes, in steps, the records of each job but so many, the newest
        """
        keep = self.keep
        if not self.wants_all(now):
            if keep is not None:
                for job_id in self.crowded():
                    yield from of_job(job_id, keep)
            return
        self.begin()
        if self.age is not None:
            yield from older(now - self.age)
        if keep is not None:
            yield from of_all(keep)
        self.end(now)

    def wants_all(self, now: int) -> bool:
        """Whether it is time to look at all records."""
        every = HOUR if self.age is None else min(HOUR, max(self.age // PARTS, MINUTE))
        return self._looked_at is None or not 0 <= now - self._looked_at < every

    def begin(self) -> None:
        """Take note that all records are about to be looked at."""
        self._written = {}

    def end(self, now: int) -> None:
        """Take note that all records were looked at."""
        self._looked_at = now


def retention_of(keep_runs: int | None, keep_days: float | None) -> Retention:
    """Return the bounds that a store's options ask for.

    :raises ConfigurationError: if one of them is wrong
    """
    if keep_runs is not None and keep_runs < 1:
        raise ConfigurationError(f"keep_runs must be at least 1, or None for no bound, got {keep_runs!r}")
    if keep_days is not None and not keep_days > 0:
        raise ConfigurationError(f"keep_days must be more than 0, or None for no bound, got {keep_days!r}")
    return Retention(keep_runs, None if keep_days is None else int(keep_days * DAY))


class Pace:
    """How much the next step of one kind does: as much as takes no longer than SLOW on this disk, server and machine.

    Where less takes nearly as long, the time goes into something else (the way to the server, a busy machine): the next step is
    as large as the first one then, as smaller ones would only be more.

    :param size: how much the first step does
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._first = size
        self._least = min(size, LEAST)
        self._most = max(size, MOST)
        #: what the first of several steps that took too long did, and how long it took
        self._slow: tuple[int, int] | None = None

    def note(self, done: int, took: int) -> None:
        """Adapt the size to a step that was done.

        :param done: how much it did
        :param took: how long that took (microseconds)
        """
        if took <= SLOW:
            self._slow = None
            if done >= self.size:
                most = self._most if took < DURATION // 2 else self._first
                self.size = max(self.size, min(self.size * 2, most))
            return
        much, long = self._slow or (done, took)
        if 2 * done <= much and 2 * took * much > long * (much + done):  # nearer to as long than to its share
            self.size, self._slow = max(self.size, self._first), None
        else:
            self.size, self._slow = max(self.size // 2, self._least), (much, long)


def parts(
    some: Callable[[int], list[str]],
    those_after: Callable[[str | None, int], tuple[list[str], str | None]],
    pace: Pace,
) -> Iterator[tuple[list[str], int]]:
    """Yield the ids of all jobs in quarantine, as many at a time as a step looks at, each time with how many are left.

    No index leads from one job in quarantine to the next: if there are very many, all jobs are passed over.

    :param some: returns at most so many ids of jobs in quarantine
    :param those_after: looks at so many jobs of any state, in the order of their ids, from a place on (None: the first); returns
        the ids of those in quarantine, and the next place (None: there is none)
    :param pace: how many jobs the next step looks at
    """
    found = some(COUNTED)
    place: str | None = None
    if len(found) == COUNTED:
        found, place = those_after(None, LOOKED_AT)
        yield [], COUNTED
    while found or place is not None:
        if not found:
            found, place = those_after(place, LOOKED_AT)
        ids, found = found[: pace.size], found[pace.size :]
        yield ids, COUNTED if place is not None else len(found)
