"""The part of the port that looks back and around: searching jobs and records, what is kept beside them, and who is there.

A store gives a part of what it has, in order, from a key on; pages, their bounds and their cursors are made of such parts in
:mod:`rota.jobstores.searching`. Nothing here plans, claims or ends.
"""

from __future__ import annotations

from ..core.policy import LONGEST_LOG

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ..core.changes import Change
    from ..core.details import RunParts
    from ..core.durations import Durations
    from ..core.hours import HourCounts
    from ..core.nodes import Node
    from ..core.queries import Count, JobQuery, Page, Part, RunQuery
    from ..core.run import Run
    from ..job.handle import Job


class Searchable:
    """What can be asked of a store beside the claim protocol. The defaults scan what is there, for stores in memory.

    A subclass overrides the methods whose names begin with an underscore; the others are the same for all stores.
    """

    #: how many bytes of a run's log are kept at most
    longest_log = LONGEST_LOG
    #: whether what a run says of its progress is written with the renewals of its node's lease, and not at once
    writes_beats_rarely = False
    #: how many records of all jobs are looked at together, at least, for some that fit: where to find the next ones costs as much
    looked_at_together = 1

    # -- searching -----------------------------------------------------------------------------------------------

    def find_jobs(self, query: JobQuery, limit: int = 100, cursor: str | None = None) -> Page[Job]:
        """Return a page of the jobs that a query wants, in the order of its ``sort``.

        A page ends after :data:`~rota.core.queries.LOOKED_AT` jobs or :data:`~rota.core.queries.DURATION`, whichever comes
        first; its cursor leads on. It is a key: pages stay right while jobs come and go.

        :param limit: the largest number of jobs, 1000 at most
        :param cursor: that of the page before; None: the first page
        :raises QueryError: if the limit or the cursor is wrong, or the store cannot answer in this order
        """
        from .searching import find_jobs  # import time

        return find_jobs(self, query, limit, cursor)

    def count_jobs(self, query: JobQuery) -> Count:
        """Return how many jobs a query wants: exact up to :data:`~rota.core.queries.COUNTED`, within the bounds of a page."""
        from .searching import count_jobs  # import time

        return count_jobs(self, query)

    def find_runs(self, query: RunQuery, limit: int = 100, cursor: str | None = None) -> Page[Run]:
        """Return a page of the records that a query wants, newest first; bounded like :meth:`find_jobs`.

        :param limit: the largest number of records, 1000 at most
        :param cursor: that of the page before; None: the first page
        :raises QueryError: if the limit or the cursor is wrong
        """
        from .searching import find_runs  # import time

        return find_runs(self, query, limit, cursor)

    def count_runs(self, query: RunQuery) -> Count:
        """Return how many records a query wants; see :meth:`count_jobs`."""
        from .searching import count_runs  # import time

        return count_runs(self, query)

    def run_counts(self, since: int, until: int, query: RunQuery | None = None) -> HourCounts:
        """Return how many records there are by hour and status.

        Each record counts at its nominal time, once. Of all, or of some statuses, what ended long ago is read from a small table
        that housekeeping fills, and the rest is counted, the newest first, for as long as a page may take; filtered by anything
        else, the last seven days of the range are counted, within the bounds of a few pages. Both say how far they have got.

        :param since: the first hour (instant within it)
        :param until: the first hour that is not wanted (instant within it)
        :param query: which records are counted; None: all
        :return: for each hour that has records (instant at its beginning), the number for each status; its ``searched_back_to``
            is None if all are counted
        """
        from .searching import run_counts  # import time

        return run_counts(self, since, until, query)

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts (see :meth:`Run.details`), None if there is none.

        :param nominal: the time that the record is kept by (instant); of a record of several times the first
        """
        from .searching import get_run  # import time

        return get_run(self, job_id, nominal)

    def last_runs(
        self, ids: Collection[str], n: int = 1, statuses: Collection[str] | None = None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs, newest first; jobs without any are left out.

        :param ids: ids of jobs, 1000 at most
        :param n: how many of each job, 100 at most
        :param statuses: only records with one of these
        """
        from .searching import last_runs  # import time

        return last_runs(self, ids, n, statuses)

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took that have succeeded; None if no run has been counted, or there is no such job.

        Housekeeping counts them, each once, so the newest ones may be missing; those that were forgotten since stay counted.
        """
        from .searching import durations  # import time

        return durations(self, job_id)

    # -- what a store overrides for searching --------------------------------------------------------------------

    @property
    def _place(self) -> str:
        """What tells this store's data from that of others: cursors hold for one place."""
        return f"{type(self).__name__}@{id(self)}"

    def _jobs_from(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        """Return a part of the jobs in the order of the query: those that match it among the next ones after a key.

        :param after: a key as :func:`~rota.core.queries.key_of_job` returns it; None: from the first
        :param count: how many jobs to look at, at most
        """
        from .searching import jobs_scanned  # import time

        return jobs_scanned(self, query, after, count)

    def _jobs_wanted(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        """Return the same of those whose last runs are as the query wants them, too.

        A store that can tell this before it makes jobs of what it reads overrides it.
        """
        from .searching import jobs_wanted  # import time

        return jobs_wanted(self, query, after, count)

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        """Return a part of the records, newest first: those that match the query among the next ones after a key.

        What the store has an index for (jobs, statuses, times) is not counted as looked at if it does not match.

        :param after: a key as :func:`~rota.core.queries.key_of_run` returns it; None: from the newest
        :param count: how many records to look at, at most
        """
        from .searching import runs_scanned  # import time

        return runs_scanned(self, query, after, count)

    # -- what is kept beside a record ----------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside the records of some runs, in one step; see :mod:`rota.core.details`.

        A part replaces that of the same name. Parts of a run that has no record are not kept. They go with the record.

        :param parts: for each run its key, and the texts by the names of their parts; None: the part goes
        :param owner: only the parts of runs are kept whose record names this node: what another one has taken over is its own
        """
        from .searching import write_parts  # import time

        write_parts(self, parts)  # a store in memory has one node

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what :meth:`write_parts` has kept of some runs; those of which nothing is kept are left out.

        :param keys: job id and nominal time of each, 1000 at most
        """
        from .searching import parts_of  # import time

        return parts_of(self, keys)

    # -- edits ---------------------------------------------------------------------------------------------------

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep what an edit has changed of a job: the last twenty are kept, and go with the job.

        :param change: its ``revision`` is the one that the edit has given the job
        """
        from .edits_in_memory import note_change  # import time

        note_change(self, job_id, change)

    def changes(self, job_id: str) -> list[Change]:
        """Return the last twenty edits of a job, newest first; none if nobody has edited it, or there is no such job.

        Edits of a removed job of the same id, which have higher revisions than the job, are not among them.
        """
        from .edits_in_memory import changes  # import time

        return changes(self, job_id)

    # -- nodes ---------------------------------------------------------------------------------------------------

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself beside its lease, until that is forgotten.

        :param node: the id of a node that has renewed its lease; of others nothing is kept
        :param about: what :func:`rota.core.nodes.about` returns
        :param now: instant
        """
        from .searching import describe  # import time

        describe(self, node, about)

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day, by their ids.

        :param now: instant
        """
        from .searching import nodes  # import time

        return nodes(self, now)
