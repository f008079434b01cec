"""Many jobs added in one step: inserted, or put in the place of stored jobs with the same ids.

One step inside a transaction of the caller, which may be repeated; it decides nothing about schedules.
"""

from __future__ import annotations

from operator import attrgetter

from ...core.states import ENDED
from ...errors import ConflictingIdError
from ..documents import KEPT
from .forms import is_marked, new_row, values_of, version_of_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager
    from typing import Any

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...job.handle import Job
    from .forms import NewRow
    from .jobs import Jobs

#: How many rows are sent together where the client makes rows while the server stores earlier ones: no more than a connection
#: buffers while the server is not reading (100 KB).
PORTION = 250


class Batch:
    """Jobs and their rows; each row is made once, however often the step is repeated.

    :param table: the store's jobs
    :param format: how the parts of a job are written
    :param jobs: the jobs, with their first times planned
    :param now: instant
    :param replace: called with a job and the stored job of the same id, changes the former; None: the same id is a conflict
    :param job_of: returns the job of a row
    :param pipelined: sends the statements of a connection without waiting for answers; rows are then made inside the transaction,
        while the server stores earlier ones (a quarter less time where the server has a processor of its own). None: all rows are
        made before the transaction
    :raises JobValueError, TransientJobError, SerializationError: if a job does not fit
    """

    def __init__(
        self,
        table: Jobs,
        format: JobFormat,
        jobs: Sequence[Job],
        now: int,
        replace: Callable[[Job, Job], None] | None,
        job_of: Callable[[Any], Job],
        pipelined: Callable[[Connection], AbstractContextManager[None]] | None,
    ) -> None:
        self._table = table
        self._format = format
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

        :param look: whether to look for rows of these ids first; if not, a row that exists is an IntegrityError
        :raises ConflictingIdError: if there are conflicts; it names them all
        :raises IntegrityError: if a row exists that was not seen
        :raises JobValueError, TransientJobError, SerializationError: if a job does not fit
        """
        # An earlier try of this step may have changed the jobs.
        for job, as_planned in self._planned:
            job.assign(as_planned)
        if self._pipelined is not None and not look:
            with self._pipelined(conn):
                self._store_in_portions(conn)
            return
        self._make_rows(self._jobs)
        rows, replace = self._rows, self._replace
        existing = {row.id: row for row in self._table.some(conn, rows)} if look else {}
        conflicts = [id for id, row in existing.items() if row.state not in (ENDED, KEPT)]
        if conflicts and replace is None:
            raise ConflictingIdError(*conflicts)
        new = [row for id, row in rows.items() if id not in existing]
        if new:
            self._table.insert(conn, *new)
        for job in self._jobs:
            stored = existing.get(job.id)
            if stored is not None and stored.state not in (ENDED, KEPT) and replace is not None:
                replace(job, self._job_of(stored))
                self._table.save(conn, job, values_of(job, self._format, self._now), None)
                continue
            if stored is not None:
                self._table.revive(conn, rows[job.id])
            if is_marked(job):
                self._table.mark(conn, job)
            job.version = version_of_new(rows[job.id])

    def _store_in_portions(self, conn: Connection) -> None:
        """Insert all, making the rows of a portion while the server inserts the portion before it."""
        jobs = sorted(self._jobs, key=attrgetter("id"))
        for start in range(0, len(jobs), PORTION):
            portion = jobs[start : start + PORTION]
            self._make_rows(portion)
            self._table.insert(conn, *(self._rows[job.id] for job in portion))
        for job in jobs:
            if is_marked(job):
                self._table.mark(conn, job)
            job.version = version_of_new(self._rows[job.id])

    def _make_rows(self, jobs: Iterable[Job]) -> None:
        """Make the rows that are missing."""
        rows, format, now = self._rows, self._format, self._now
        rows.update((job.id, new_row(job, format, now)) for job in jobs if job.id not in rows)
