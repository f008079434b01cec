"""Which records a ledger keeps, when they are looked at, and how many one step of housekeeping takes; for all durable stores.

Counts and decides; it reads and deletes nothing.
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
#: How many records a step deletes, and how many jobs it restores: the first one, …
FORGOTTEN = 100
RESTORED = 20
#: … and those that follow, so that each takes about so long (microseconds); but no more than so many, and not much fewer.
DURATION = 12_000
MOST = 200
LEAST = 10
#: Of so many jobs the records are counted, those that get the most.
BUSY = 1000
#: All records are looked at once an hour, or more often where they are kept for less than a day.
PARTS = 24


class Retention:
    """The bounds of one store's ledger.

    :param keep: how many ended runs of each job are kept, None for no bound
    :param age: how many microseconds ended runs are kept, None for no bound
    """

    def __init__(self, keep: int | None, age: int | None) -> None:
        self.keep = keep
        self.age = age
        #: how many records the busiest jobs got since they were last looked at
        self._written: dict[str, int] = {}
        self._looked_at: int | None = None

    def forget(self) -> None:
        """Forget what is known of the records: they are those of another store now."""
        self._written, self._looked_at = {}, None

    def count(self, job_id: str, records: int) -> None:
        """Take note of new records of a job."""
        if self.keep is None:
            return
        written = self._written
        if job_id in written or len(written) < BUSY:
            written[job_id] = written.get(job_id, 0) + records
            return
        # Each new job takes one from all others, so those that get more than a thousandth of all records stay.
        self._written = {other: count - 1 for other, count in list(written.items()) if count > 1}

    def crowded(self) -> list[str]:
        """Return the jobs that may have too many records by now."""
        # Looking costs more than some records above the bound.
        most = (self.keep or 0) // 10
        written = self._written
        crowded = [job_id for job_id, count in list(written.items()) if count > most]
        for job_id in crowded:
            written.pop(job_id, None)
        return crowded

    def wants_all(self, now: int) -> bool:
        """Whether it is time to look at the records of all jobs."""
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
    """How much the steps of one kind take on: as much as takes them about DURATION, on whatever disk, server and machine.

    :param size: how much the first one takes on
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._least = min(size, LEAST)
        self._most = max(size, MOST)

    def note(self, done: int, took: int) -> None:
        """Take note of a step: how much it did, and how many microseconds that took."""
        if took > DURATION:
            self.size = max(self.size // 2, self._least)
        elif took < DURATION // 2 and done >= self.size:
            self.size = min(self.size * 2, self._most)


def parts(
    some: Callable[[int], list[str]],
    those_after: Callable[[str | None, int], tuple[list[str], str | None]],
    pace: Pace,
) -> Iterator[tuple[list[str], int]]:
    """Return the ids of all jobs in quarantine, as many at a time as a step takes on, and how many are left.

    :param some: returns so many of them
    :param those_after: returns those among so many jobs of any state, by ids from a place on (None: the first), and the next place
        (None: there is none). No index leads from one job in quarantine to the next, so of very many all jobs are passed over
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
