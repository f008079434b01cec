"""Jobs that are added together: inserted, or put in the place of those of the same ids.

One step inside a transaction of the caller, which may be repeated; it decides nothing about schedules.
"""

from __future__ import annotations

from operator import attrgetter

from ...core.states import ENDED
from ...errors import ConflictingIdError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from sqlalchemy import Connection

    from ...job.handle import Job
    from .jobs import Jobs, NewRow

#: How many rows are sent together where the client makes rows while the server stores others: not more than the buffers of a
#: connection take while the server does not look (100 KB).
PORTION = 250


class Batch:
    """Some jobs and their rows, which are made once.

    :param table: the store's jobs
    :param jobs: the jobs, with their first times planned
    :param now: instant
    :param replace: called with a job and the stored one of the same id, changes the former; None: that is a conflict
    :param job_of: returns the job of a row
    :param pipelined: lets the statements of a connection go before those before them are answered. Rows are made inside the
        transaction then, while the server stores others (on a server of its own processor a quarter less time); None: all are made
        before it
    :raises JobValueError, TransientJobError, SerializationError: if a job does not fit
    """

    def __init__(
        self,
        table: Jobs,
        jobs: Sequence[Job],
        now: int,
        replace: Callable[[Job, Job], None] | None,
        job_of: Callable[[Any], Job],
        pipelined: Callable[[Connection], AbstractContextManager[None]] | None,
    ) -> None:
        self._table = table
        self._jobs = jobs
        self._now = now
        self._replace = replace
        self._job_of = job_of
        self._rows: dict[str, NewRow] = {}
        self._planned = [] if replace is None else [(job, job.copy()) for job in jobs]
        self._pipelined = pipelined if len(jobs) > PORTION else None
        if self._pipelined is None:
            self._make_rows(jobs)

    def store(self, conn: Connection, look: bool) -> None:
        """Store all of them.

        :param look: whether there may be rows of these ids; else that is an IntegrityError
        :raises ConflictingIdError: if there are conflicts; it names them all
        :raises IntegrityError: if a row exists that was not seen
        :raises JobValueError, TransientJobError, SerializationError: if a job does not fit whose row was not made before
        """
        # Nothing may be left of an earlier try, whose schedules may be gone meanwhile.
        for job, as_planned in self._planned:
            job.assign(as_planned)
        if self._pipelined is not None and not look:
            with self._pipelined(conn):
                self._store_in_portions(conn)
            return
        self._make_rows(self._jobs)
        rows, replace = self._rows, self._replace
        existing = {row.id: row for row in self._table.some(conn, rows)} if look else {}
        conflicts = [id for id, row in existing.items() if row.state != ENDED]
        if conflicts and replace is None:
            raise ConflictingIdError(*conflicts)
        new = [row for id, row in rows.items() if id not in existing]
        if new:
            self._table.insert(conn, *new)
        for job in self._jobs:
            stored = existing.get(job.id)
            if stored is not None and stored.state != ENDED and replace is not None:
                replace(job, self._job_of(stored))
                self._table.save(conn, job, self._table.values_of(job, self._now), None)
                continue
            if stored is not None:
                self._table.revive(conn, rows[job.id])
            job.version = self._table.version_of(rows[job.id])

    def _store_in_portions(self, conn: Connection) -> None:
        """Insert all, making the rows of a portion while the server inserts those of the one before."""
        jobs = sorted(self._jobs, key=attrgetter("id"))
        for start in range(0, len(jobs), PORTION):
            portion = jobs[start : start + PORTION]
            self._make_rows(portion)
            self._table.insert(conn, *(self._rows[job.id] for job in portion))
        for job in jobs:
            job.version = self._table.version_of(self._rows[job.id])

    def _make_rows(self, jobs: Iterable[Job]) -> None:
        """Make the rows that are not made yet."""
        rows, table, now = self._rows, self._table, self._now
        rows.update((job.id, table.new_row(job, now)) for job in jobs if job.id not in rows)
