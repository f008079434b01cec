"""Which ledger records are beyond their bounds, and their removal in batches.

Ended runs only; it never touches a job or a run that is under way.
"""

from __future__ import annotations

from functools import partial

from .schema import BATCH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from sqlalchemy import Connection

    from ...core.plan import Decision
    from .database import Database
    from .history import History


class Retention:
    """The bounds of one store's ledger.

    :param keep: how many ended runs of each job are kept, None for no bound
    :param age: how many microseconds ended runs are kept, None for no bound
    """

    def __init__(self, db: Database, history: History, keep: int | None, age: int | None) -> None:
        self._db = db
        self._history = history
        self._keep = keep
        self.age = age
        #: how many records each job got since it was last pruned; None before the first look at all of them
        self._written: dict[str, int] | None = None

    def forget(self) -> None:
        """Forget what is known of the records: they are those of another database now."""
        self._written = None

    def count(self, decisions: Iterable[Decision]) -> None:
        """Take note of new records."""
        written = self._written
        if written is not None:
            for decision in decisions:
                job_id = decision.job.id
                written[job_id] = written.get(job_id, 0) + len(decision.runs) + len(decision.records)

    def prune(self, now: int) -> None:
        """Delete ended runs that are too old, or too many for their job."""
        if self.age is not None:
            self._prune(partial(self._history.older, instant=now - self.age))
        if self._keep is not None:
            for job_id in self._crowded(self._keep):
                self._prune(partial(self._history.beyond, job_id=job_id, keep=self._keep))

    def _crowded(self, keep: int) -> list[str]:
        """Return the jobs that may have too many records: at first all are looked at, then those that got some."""
        written = self._written
        if written is None:
            self._written = {}
            return self._db.read(partial(self._history.crowded, keep=keep))
        # Looking costs more than some records above the bound.
        crowded = [job_id for job_id, count in list(written.items()) if count > keep // 10]
        for job_id in crowded:
            written.pop(job_id, None)
        return crowded

    def _prune(self, find: Callable[[Connection], list[tuple[str, int]]]) -> None:
        """Delete the records that ``find`` finds, in batches, so that nobody waits long."""
        while True:
            keys = self._db.read(find)
            if keys:
                self._db.write(partial(self._history.forget, keys=keys))
            if len(keys) < BATCH:
                return
