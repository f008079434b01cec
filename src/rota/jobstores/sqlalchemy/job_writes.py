"""Adding and replacing jobs, in the order of the tries; other processes are told if a job is due soon.

What one try does is in ``jobs`` and ``bulk``; it decides nothing about schedules.
"""

from __future__ import annotations

from functools import partial

from sqlalchemy.exc import IntegrityError

from ...errors import ConflictingIdError, StoreConflictError, StoreError
from .bulk import Batch
from .forms import is_marked, new_row, values_of, version_of_new

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Connection

    from ...codec.jobs import JobFormat
    from ...job.handle import Job
    from .forms import NewRow
    from .jobs import Jobs
    from .transactions import Transactions
    from .wakeups import Wakeups

#: How often an unconditional change is tried against the changes of other processes.
TRIES = 10


class JobWrites:
    """Adds and replaces jobs of one store.

    :param format: how the parts of a job are written
    """

    def __init__(self, transactions: Transactions, jobs: Jobs, format: JobFormat, wakeups: Wakeups) -> None:
        self._transactions = transactions
        self._server = transactions.server
        self._jobs = jobs
        self._format = format
        self._wakeups = wakeups

    def add(self, job: Job, now: int) -> StoreError | None:
        """Store a job; return the error if it is stored and the other processes could not be told.

        :raises ConflictingIdError: if a job of that id exists
        """
        row = new_row(job, self._format, now)
        version = version_of_new(row)
        try:
            if is_marked(job):
                self._transactions.write(lambda conn: self._insert_marked(conn, row, job))
            else:
                self._transactions.guarded(
                    self._server.write_at_once, lambda conn: self._jobs.insert(conn, row)
                )
        except IntegrityError:
            stored = self._transactions.read(partial(self._jobs.one, job_id=job.id))
            # Our own row is there if the answer to a first try was lost.
            is_ours = stored is not None and stored.version == version
            if not is_ours and not self._transactions.write(partial(self._revived, row=row, job=job)):
                raise ConflictingIdError(job.id) from None  # the SQL says no more than that
        job.version = version
        if self._wakeups.is_soon(job.next_due):
            try:
                self._server.write_at_once(self._wakeups.tell)
            except StoreError as exc:
                return exc
        return None

    def _insert_marked(self, conn: Connection, row: NewRow, job: Job) -> None:
        self._jobs.insert(conn, row)
        self._jobs.mark(conn, job)

    def _revived(self, conn: Connection, row: NewRow, job: Job) -> bool:
        revived = self._jobs.revive(conn, row)
        if revived and is_marked(job):
            self._jobs.mark(conn, job)
        return revived

    def add_all(
        self,
        jobs: Sequence[Job],
        now: int,
        replace: Callable[[Job, Job], None] | None,
        job_of: Callable[[Any], Job],
        connection: Connection | None,
    ) -> None:
        """Store jobs in one transaction, or inside one of the caller's, whose commit tells the other processes.

        :param replace: called with a job and the stored one of the same id, changes the former; None: that is a conflict
        :param job_of: returns the job of a row
        :raises ConflictingIdError: if there are conflicts; it names them all
        :raises StoreConflictError: if other processes add jobs of these ids again and again
        """
        database = self._server.database
        pipelined = database.pipelined if connection is None and database.takes_arrays else None
        batch = Batch(self._jobs, self._format, jobs, now, replace, job_of, pipelined)

        def work(conn: Connection, look: bool) -> None:
            batch.store(conn, look)
            first = min((job.next_due for job in jobs if job.next_due is not None), default=None)
            self._wakeups.tell_if_soon(conn, first)

        if connection is not None:
            work(connection, True)
            return
        try:
            self._transactions.write(partial(work, look=replace is not None))
        except IntegrityError:
            try:
                self._transactions.write(partial(work, look=True))
            except IntegrityError as exc:
                raise StoreConflictError("Others add jobs of the same ids at this moment; try again") from exc

    def replace(self, job: Job, now: int) -> None:
        """Replace the job of that id, whatever other processes have changed.

        :raises JobLookupError: if there is none
        :raises StoreConflictError: if it was changed again and again meanwhile
        """
        values = values_of(job, self._format, now)
        for _ in range(TRIES):
            if self._saved(job, values, None):
                return
        raise StoreConflictError(f"Job {job.id} was changed by others {TRIES} times in a row; try again")

    def replace_version(self, job: Job, version: int, now: int) -> bool:
        """Replace the job of that id if it still has ``version``; return whether it had.

        :raises JobLookupError: if there is none
        """
        return self._saved(job, values_of(job, self._format, now), version)

    def _saved(self, job: Job, values: Mapping[str, Any], version: int | None) -> bool:
        def work(conn: Connection) -> bool:
            saved = self._jobs.save(conn, job, values, version)
            if saved:
                self._wakeups.tell_if_soon(conn, job.next_due)
            return saved

        return self._transactions.write(work)
