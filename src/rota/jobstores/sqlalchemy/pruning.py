"""The steps in which records beyond the bounds of retention are found and deleted.

Each step is a short transaction that an index leads; none changes a run that is under way.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from ...core.states import END_STATES
from .. import retention
from ..base import COUNTED
from ..retention import Pace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sqlalchemy import Connection

    from ...clock import Clock
    from ..retention import Retention
    from .counts import Counts
    from .history import Forgotten, History
    from .server import Server

#: How many records are left is counted anew after so many steps.
RECOUNT = 10
#: What so many deleted records have changed is written back at once: a page for each, and some more.
WRITTEN_BACK = 200
#: Less than every nominal time.
_NEVER = -(2**62)


class Pruning:
    """Deletes the records of one store that are beyond its bounds, in one round of steps.

    :param now: instant
    """

    def __init__(
        self, server: Server, history: History, counts: Counts, bounds: Retention, now: int, clock: Clock
    ) -> None:
        self._server = server
        self._history = history
        self._counts = counts
        self._bounds = bounds
        self._now = now
        self._clock = clock
        self._pace = Pace(retention.FORGOTTEN)
        #: how many records were deleted since that was written back
        self._deleted = 0

    def steps(self) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; see the port."""
        yield from self._bounds.round(self._now, self._of_job, self._older, self._of_all)
        while self._server.read(self._history.some_forgotten):
            self._server.step(self._history.forget_jobs)
            yield 0

    def _older(self, instant: int) -> Iterator[int]:
        """Delete the records that ended before an instant."""
        for status in END_STATES:
            yield from self._older_of(status, instant)

    def _older_of(self, status: str, instant: int) -> Iterator[int]:
        """Delete the records of a status that ended before an instant."""
        history, start = self._history, _NEVER
        left = 1  # if there are any, until they are counted
        for number in count():
            among = status, start, instant
            began, size = self._clock.monotonic(), self._pace.size
            looked_at = max(retention.LOOKED_AT, size)
            keys = self._server.read(partial(history.older, among=among, looked_at=looked_at, limit=size))
            self._forget(keys, began)
            if len(keys) == size:
                # PostgreSQL passes over what was deleted until that is vacuumed; so the next step begins behind it. They come in
                # their order, though none is asked for, as that would take longer; what were left out is found by the next round.
                start = max(nominal for _, nominal, _ in keys)
                yield left
                if self._write_back():
                    yield left
                if number % RECOUNT == 0:  # by a step of its own
                    among = status, start, instant
                    left = self._server.read(partial(history.count_older, among=among, limit=COUNTED))
                    yield left
                continue
            # Runs that ended long after their nominal time stay, and are passed over.
            following = self._server.read(partial(history.beyond_some, among=among, passed=looked_at))
            yield 0
            if following is None:
                return
            start = following if following > start else following + 1

    def _of_all(self, keep: int) -> Iterator[int]:
        """Delete the records beyond the newest ``keep`` of each job, some jobs at a time, in the order of ids."""
        history = self._history
        start: str | None = ""
        while start is not None:
            end = self._server.read(partial(history.job_after, start=start, passed=retention.LOOKED_AT))
            crowded: Sequence[str] = ()
            if end == start:  # it has more records than are looked at
                crowded = [start]
                end = self._server.read(partial(history.next_job, job_id=start))
            elif keep < retention.LOOKED_AT:
                crowded = self._server.read(partial(history.crowded, start=start, end=end, keep=keep))
            yield 0
            for job_id in crowded:
                yield from self._of_job(job_id, keep)
            start = end

    def _of_job(self, job_id: str, keep: int) -> Iterator[int]:
        edge = self._server.read(partial(self._history.edge, job_id=job_id, keep=keep))
        left = 1
        while edge is not None and left:
            began, size = self._clock.monotonic(), self._pace.size
            keys = self._server.read(
                partial(self._history.beyond, job_id=job_id, edge=edge, limit=size + COUNTED)
            )
            self._forget(keys[:size], began)
            left = max(len(keys) - size, 0)
            yield left
            if self._write_back():
                yield left

    def _write_back(self) -> bool:
        """Have so many deleted records written back, by a step of its own; return whether there was such a step.

        A commit of SQLite that finds a thousand pages in its log does so by itself, which makes it take two or three times as long
        as the others: the step that deletes has the longest one then.
        """
        if self._deleted < WRITTEN_BACK:
            return False
        self._deleted = 0
        return self._server.write_back()

    def _forget(self, keys: Sequence[Forgotten], began: int) -> None:
        if not keys:
            return

        def work(conn: Connection) -> None:
            # Due jobs wait for this step, and may as well not wait for a disk.
            self._server.database.commit_lazily(conn)
            self._counts.count_forgotten(conn, keys)
            self._history.forget(conn, keys)

        self._server.step(work)
        self._deleted += len(keys)
        self._pace.note(len(keys), self._clock.monotonic() - began)
