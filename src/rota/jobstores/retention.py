"""Which records a ledger keeps, when they are looked at, and how many one step of housekeeping takes; for all durable stores.

Counts and decides; it reads and deletes nothing.
"""

from __future__ import annotations

from ..clock import HOUR, MINUTE

#: How many records one step deletes, how many it looks at, and how many jobs it restores: each takes some milliseconds, and holds
#: nobody up for longer who waits for a lock.
FORGOTTEN = 200
LOOKED_AT = 1000
RESTORED = 50
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
