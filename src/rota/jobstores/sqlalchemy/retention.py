"""The steps by which records beyond their bounds are found and deleted, and jobs in quarantine looked at.

Each step is a short transaction led by an index; none touches a run that is under way.
"""

from __future__ import annotations

from functools import partial

from ...core.run import END_STATES
from .. import retention
from ..base import COUNTED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..retention import Retention
    from .database import Database
    from .history import History
    from .jobs import Jobs

#: Less than every nominal time.
_NEVER = -(2**62)


class Pruning:
    """Deletes the records of one store that are beyond its bounds."""

    def __init__(self, db: Database, history: History, bounds: Retention) -> None:
        self._db = db
        self._history = history
        self._bounds = bounds

    def steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; see the port."""
        bounds = self._bounds
        keep = bounds.keep
        if not bounds.wants_all(now):
            if keep is not None:
                for job_id in bounds.crowded():
                    yield from self._of_job(job_id, keep)
            return
        bounds.begin()
        if bounds.age is not None:
            for status in END_STATES:
                yield from self._older(status, now - bounds.age)
        if keep is not None:
            yield from self._of_all(keep)
        bounds.end(now)

    def _older(self, status: str, instant: int) -> Iterator[int]:
        """Delete the records of a status that ended before an instant."""
        history, start = self._history, _NEVER
        while True:
            found = partial(
                history.older, status=status, start=start, instant=instant, looked_at=retention.LOOKED_AT
            )
            keys = self._db.read(partial(found, limit=retention.FORGOTTEN))
            self._forget(keys)
            if len(keys) == retention.FORGOTTEN:
                yield self._db.read(
                    partial(history.count_older, status=status, start=start, instant=instant, limit=COUNTED)
                )
                continue
            # Those that ended long after their nominal time stay, and are passed over.
            following = self._db.read(
                partial(
                    history.beyond_some,
                    status=status,
                    start=start,
                    instant=instant,
                    passed=retention.LOOKED_AT,
                )
            )
            yield 0
            if following is None:
                return
            start = following if following > start else following + 1

    def _of_all(self, keep: int) -> Iterator[int]:
        """Delete the records beyond the newest ``keep`` of each job: a part of the jobs with so many records after another."""
        history, start = self._history, ""
        while True:
            end = self._db.read(partial(history.job_after, start=start, passed=retention.LOOKED_AT))
            crowded: Sequence[str] = ()
            if end == start:
                crowded = [start]
                end = self._db.read(partial(history.next_job, job_id=start))
            elif keep < retention.LOOKED_AT:
                crowded = self._db.read(partial(history.crowded, start=start, end=end, keep=keep))
            for job_id in crowded:
                yield from self._of_job(job_id, keep)
            yield 0
            if end is None:
                return
            start = end

    def _of_job(self, job_id: str, keep: int) -> Iterator[int]:
        edge = self._db.read(partial(self._history.edge, job_id=job_id, keep=keep))
        while edge is not None:
            beyond = partial(self._history.beyond, job_id=job_id, edge=edge)
            keys = self._db.read(partial(beyond, limit=COUNTED))
            self._forget(keys[: retention.FORGOTTEN])
            left = max(len(keys) - retention.FORGOTTEN, 0)
            yield left
            if not left:
                return

    def _forget(self, keys: Sequence[tuple[str, int]]) -> None:
        if keys:
            self._db.write(partial(self._history.forget, keys=keys))


def quarantined(db: Database, jobs: Jobs) -> Iterator[tuple[Sequence[str], int]]:
    """Return the ids of all jobs in quarantine, some at a time, and how many are left."""
    found = db.read(partial(jobs.quarantined, limit=COUNTED))
    if len(found) < COUNTED:
        for first in range(0, len(found), retention.RESTORED):
            some = found[first : first + retention.RESTORED]
            yield some, len(found) - first - len(some)
        return
    # Of so many, no index leads to the next ones: all jobs are passed over in the order of their ids.
    start: str | None = ""
    while start is not None:
        part, start = db.read(partial(jobs.quarantined_after, start=start, passed=retention.LOOKED_AT))
        yield part[: retention.RESTORED], COUNTED
        for first in range(retention.RESTORED, len(part), retention.RESTORED):
            yield part[first : first + retention.RESTORED], COUNTED
