"""The public methods by which a scheduler's jobs and runs are found and governed: signatures and what they promise.

Each asks :mod:`rota.schedulers.searches` or :mod:`rota.schedulers.governed`, which are loaded when one is called first.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from datetime import datetime
    from typing import Any

    from ..core.changes import Change
    from ..core.nodes import Node
    from ..core.queries import Count, JobQuery, Page, RunQuery
    from ..core.run import Run
    from ..job.handle import Job
    from .backfills import Missing
    from .book import JobBook


class Governs:
    """What is asked about the jobs and runs of the stores, and what is done with them beside the schedules.

    All of it needs a scheduler that was started, paused or not; one with ``runs_jobs=False`` will do. ``jobstore`` is the alias of
    the store to look into: the only one, or "default", unless another one is named.
    """

    _book: JobBook

    # -- finding -------------------------------------------------------------------------------------------------

    def find_jobs(
        self,
        query: JobQuery | None = None,
        limit: int = 100,
        cursor: str | None = None,
        jobstore: str | None = None,
        **fields: Any,
    ) -> Page[Job]:
        """Return a page of the jobs that a query wants: ``find_jobs(tags={"billing"}, sort="due")``.

        :param query: a :class:`~rota.core.queries.JobQuery`; or give its fields
        :param limit: the largest number of jobs, 1000 at most
        :param cursor: that of the page before; None: the first page
        :param fields: the fields of a query
        :raises QueryError: if the query, the limit or the cursor is wrong
        """
        from . import searches  # import time

        return searches.jobs(self._book, jobstore, query, fields, limit, cursor)

    def count_jobs(self, query: JobQuery | None = None, jobstore: str | None = None, **fields: Any) -> Count:
        """Return how many jobs a query wants: exact up to 10,000, "10,000+" beyond.

        :param query: as for :meth:`find_jobs`
        :raises QueryError: if the query is wrong
        """
        from . import searches  # import time

        return searches.job_count(self._book, jobstore, query, fields)

    def find_runs(
        self,
        query: RunQuery | None = None,
        limit: int = 100,
        cursor: str | None = None,
        jobstore: str | None = None,
        **fields: Any,
    ) -> Page[Run]:
        """Return a page of the records that a query wants, newest first: ``find_runs(statuses="failed", since=monday)``.

        :param query: a :class:`~rota.core.queries.RunQuery`; or give its fields
        :param limit: the largest number of records, 1000 at most
        :param cursor: that of the page before; None: the first page
        :param fields: the fields of a query
        :raises QueryError: if the query, the limit or the cursor is wrong
        """
        from . import searches  # import time

        return searches.runs(self._book, jobstore, query, fields, limit, cursor)

    def count_runs(self, query: RunQuery | None = None, jobstore: str | None = None, **fields: Any) -> Count:
        """Return how many records a query wants: exact up to 10,000, "10,000+" beyond.

        :param query: as for :meth:`find_runs`
        :raises QueryError: if the query is wrong
        """
        from . import searches  # import time

        return searches.run_count(self._book, jobstore, query, fields)

    def run_counts(
        self,
        since: datetime,
        until: datetime,
        query: RunQuery | None = None,
        jobstore: str | None = None,
        **fields: Any,
    ) -> dict[int, dict[str, int]]:
        """Return how many records there are by hour and status, for a heat map.

        :param since: the first hour
        :param until: the first hour that is not wanted
        :param query: which records are counted; if it asks for more than statuses, of the last seven days of the range
        :return: for each hour that has records (instant at its beginning), the number for each status
        :raises QueryError: if a time has no zone, or the query is wrong
        """
        from . import searches  # import time

        return searches.counts(self._book, jobstore, since, until, query, fields)

    def get_run(self, job_id: str, nominal: datetime | int, jobstore: str | None = None) -> Run | None:
        """Return the record of a nominal time, with its attempts, log, progress and note; None if there is none.

        Times that did not run may have one record for several of them; it is found by each of these.

        :param nominal: the time that the record is kept by: ``run.scheduled_run_time``, or ``run.nominal`` (microseconds since
            1970); or one of several for which it stands
        :raises QueryError: if it is neither, or has no time zone
        """
        from . import searches  # import time

        return searches.run(self._book, jobstore, job_id, nominal)

    def last_runs(
        self,
        ids: Collection[str],
        n: int = 1,
        statuses: str | Iterable[str] | None = None,
        jobstore: str | None = None,
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs, newest first; jobs without any are left out.

        :param ids: ids of jobs, 1000 at most
        :param n: how many of each job, 100 at most
        :param statuses: only records with one of these
        """
        from . import searches  # import time

        return searches.last(self._book, jobstore, ids, n, statuses)

    def get_running(self, jobstore: str | None = None) -> list[Run]:
        """Return the runs under way on all nodes that share the store, with their progress and notes."""
        from . import searches  # import time

        return searches.under_way(self._book, jobstore)

    def get_nodes(self, jobstore: str | None = None) -> list[Node]:
        """Return the nodes that hold a lease in the store, or held one within the last day.

        A store in memory has one node, which says something of itself once it was asked.
        """
        from . import searches  # import time

        return searches.nodes(self._book, jobstore)

    def get_changes(self, job_id: str, jobstore: str | None = None) -> list[Change]:
        """Return the last twenty edits of a job, newest first."""
        from . import searches  # import time

        return searches.edits(self._book, jobstore, job_id)

    def explain(self, job_id: str, at: datetime | int | None = None, jobstore: str | None = None) -> str:
        """Return in one sentence why a job does not run, or what became of one of its times.

        From its record, pauses and holds, the nodes that are there, and their executors.

        :param at: one of its nominal times, as a datetime or as ``run.nominal`` has it; None: the next one
        """
        from . import searches  # import time

        return searches.explanation(self._book, jobstore, job_id, at)

    # -- governing -----------------------------------------------------------------------------------------------

    def cancel_run(
        self, job_id: str, nominal: datetime | int, reason: str = "cancelled", jobstore: str | None = None
    ) -> Run:
        """Cancel a run, on whatever node it is, or a time to come.

        A run that waits ends at once, and so does one that was claimed and has not started, as others of its group or its executor
        are executed before it; that of an executor which calls jobs by APScheduler's methods ends when its turn comes. One that is
        under way is asked to stop: a coroutine or greenlet is cancelled, a plain function sees ``current_run().cancelled``;
        whatever it raises then, it is recorded as cancelled, and as succeeded if it returns all the same. Another node sees the
        request when it is woken up or renews its lease. A time of the schedule that is still to come is recorded as cancelled
        ("skipped ahead"), and does not run.

        :param nominal: the time that the run is kept by: ``run.scheduled_run_time``, or ``run.nominal`` (microseconds since 1970)
        :param reason: why, in words
        :return: the record as it is now
        :raises JobValueError: if the run has ended, or the instant is no time of the job
        :raises JobLookupError: if there is neither such a run nor such a job
        """
        from . import governed  # import time

        return governed.cancel(self._book, job_id, nominal, reason, jobstore)

    def rerun(
        self, job_id: str, nominal: datetime | int, jobstore: str | None = None, *, chain: bool = True
    ) -> Run:
        """Have a run that has ended executed once more: its record is opened again, and any node takes it.

        The job is called as it is now, with the arguments of the run if it had its own; its tries begin anew. The attempts before
        stay in ``get_run(…).attempts``, and that an earlier one has succeeded stays known. One time of a record that stands for
        several is taken out of it, in the same step, and has a record of its own from then on.

        :param nominal: the time that the run is kept by: ``run.scheduled_run_time``, or ``run.nominal`` (microseconds since 1970);
            or one of several for which a record stands
        :param chain: False: its end starts none of the jobs that come after this one
        :return: the run, with ``wait()``, ``result()`` and ``cancel()``, as of :meth:`run_job`
        :raises JobValueError: if there is no such record, or it has not ended
        :raises JobLookupError: if the job was removed
        """
        from .reruns import rerun  # import time

        return rerun(self._book, job_id, nominal, jobstore, chain)

    def backfill(
        self,
        job_id: str,
        start: datetime,
        end: datetime,
        only_missing: bool = True,
        dry_run: bool = False,
        jobstore: str | None = None,
        chain: bool = True,
    ) -> Missing:
        """Have the missing times of a job run: those of its schedule, as it is now, that have no record, or were left out.

        Left out is what was missed, or skipped as the job was paused, on hold, too late, merged with a later time, or ran as often
        as it may; what the job has skipped itself is not. Runs wait until a place is free and no time of the schedule is due, and
        start in their order; some are opened at a time, and further ones as these start, by any node, whatever becomes of this one.

        :param start: the first time that may run (with a zone)
        :param end: the last one. Times to come, and those that the schedule still owes, are not missing
        :param only_missing: False: every time of the range runs again that is not under way; the records stay, with their attempts
        :param dry_run: True: only count
        :param chain: False: the ends of these runs start none of the jobs that come after this one
        :return: how many times run: an integer, with ``first`` and ``last`` of them (datetimes, None without any)
        :raises JobValueError: if the range is wrong, begins before what the ledger remembers, or has more than a million times; if
            the job is quarantined, counts its times from the ends of its runs, or has a backfill that is not done
        :raises JobLookupError: if there is no such job
        """
        from .backfills import backfill  # import time

        return backfill(self._book, job_id, start, end, only_missing, dry_run, jobstore, chain)

    def cancel_backfill(self, job_id: str, jobstore: str | None = None) -> int:
        """End the backfill of a job: what waits of it is cancelled ("backfill cancelled"), what runs goes on.

        :return: how many runs were cancelled; the times of which no run was opened yet are not among them
        :raises JobLookupError: if there is no such job
        """
        from .backfills import cancel_backfill  # import time

        return cancel_backfill(self._book, job_id, jobstore)

    def hold(
        self,
        *,
        tag: str | None = None,
        executor: str | None = None,
        all: bool = False,
        note: str | None = None,
        jobstore: str | None = None,
    ) -> int:
        """Put jobs on hold: they are paused until :meth:`release`, whatever else is said to one of them.

        :param tag: the jobs that have this tag
        :param executor: the jobs of this executor
        :param all: all jobs
        :param note: why, in words
        :param jobstore: only those of this store; by default of all stores
        :return: how many were put on hold
        :raises OptionTypeError: unless one of these is given
        """
        from . import governed  # import time

        chosen = {"tag": tag, "executor": executor, "all": all}
        return governed.hold(self._book, jobstore, chosen, note, True)

    def release(
        self,
        *,
        tag: str | None = None,
        executor: str | None = None,
        all: bool = False,
        jobstore: str | None = None,
    ) -> int:
        """Let jobs go on that were put on hold; what they left out is recorded as skipped "on hold". A paused one stays paused.

        :param tag, executor, all, jobstore: as for :meth:`hold`
        :return: how many were released
        """
        from . import governed  # import time

        return governed.hold(
            self._book, jobstore, {"tag": tag, "executor": executor, "all": all}, None, False
        )

    def drain(self, node: str | None = None, jobstore: str | None = None) -> bool:
        """Have a node claim nothing more; it finishes its runs, and keeps its lease.

        :param node: its id (see :meth:`get_nodes`); None: this one
        :return: False if there is no such node
        """
        from . import governed  # import time

        return governed.drain(self._book, node, True, jobstore)

    def undrain(self, node: str | None = None, jobstore: str | None = None) -> bool:
        """Have a node that drains claim again; see :meth:`drain`."""
        from . import governed  # import time

        return governed.drain(self._book, node, False, jobstore)
