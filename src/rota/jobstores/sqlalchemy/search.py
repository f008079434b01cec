"""What can be asked of the SQL store beside the claim protocol: searching, what is kept beside records and jobs, counts.

The methods of the port; what each does in its transaction is in ``run_search``, ``job_search``, ``beside`` and ``counts``.
"""

from __future__ import annotations

from functools import cached_property, partial

from ..searchable import Searchable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.changes import Change
    from ...core.details import RunParts
    from ...core.durations import Durations
    from ...core.hours import HourCounts
    from ...core.nodes import Node
    from ...core.queries import Count, JobQuery, Part, RunQuery
    from ...core.run import Run
    from ...job.handle import Job
    from ..identity import Identity
    from .beside import Beside
    from .counts import Counts
    from .history import History
    from .job_search import JobSearch
    from .jobs import Jobs
    from .layout import Tables
    from .run_search import RunSearch
    from .transactions import Transactions


class SearchedTables(Searchable):
    """The tables of one store as they can be searched."""

    _identity: Identity
    _transactions: Transactions
    _tables: Tables
    _jobs: Jobs
    _history: History
    _jobs_of: Callable[[Iterable[Any]], list[Job]]

    @cached_property
    def _run_search(self) -> RunSearch:
        from .run_search import RunSearch  # import time

        return RunSearch(self._tables, self._history)

    @cached_property
    def _job_search(self) -> JobSearch:
        from .job_search import JobSearch  # import time

        return JobSearch(self._tables, self._jobs, self._run_search, self._jobs_of)

    @cached_property
    def _beside(self) -> Beside:
        from .beside import Beside  # import time

        return Beside(self._tables)

    @cached_property
    def _counts(self) -> Counts:
        from .counts import Counts  # import time

        return Counts(self._tables)

    @property
    def _place(self) -> str:
        return self._identity.value

    def _jobs_wanted(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
        return self._transactions.read(partial(self._job_search.part, query=query, after=after, count=count))

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        return self._transactions.read(partial(self._run_search.part, query=query, after=after, count=count))

    def count_jobs(self, query: JobQuery) -> Count:
        """Return how many jobs a query wants, by the indexes if these alone tell; see the port."""
        from ...core.queries import Count  # import time
        from .. import searching  # import time
        from .job_search import is_led  # import time

        if not is_led(query):
            return super().count_jobs(query)
        most: int = searching.COUNTED  # type: ignore[attr-defined]  # as that counts
        number = self._transactions.read(partial(self._job_search.count, query=query, most=most + 1))
        return Count(min(number, most), number <= most)

    def count_runs(self, query: RunQuery) -> Count:
        """Return how many records a query wants, by the index if that alone tells; see the port."""
        from ...core.queries import Count  # import time
        from .. import searching  # import time
        from .run_search import is_led  # import time

        if not is_led(query):
            return super().count_runs(query)
        most: int = searching.COUNTED  # type: ignore[attr-defined]  # as that counts
        number = self._transactions.read(partial(self._run_search.count, query=query, most=most + 1))
        return Count(min(number, most), number <= most)

    def run_counts(self, since: int, until: int, query: RunQuery | None = None) -> HourCounts:
        """Return how many records there are by hour and status; see the port."""
        from ...clock import DAY  # import time
        from ...core.hours import HourCounts, hour_of  # import time
        from .. import searching  # import time
        from .run_search import bounds_of, is_led, statuses_of  # import time

        clock: Clock = self.clock  # type: ignore[attr-defined]  # every store has one
        last = clock.monotonic()
        until_when = last + searching.DURATION  # type: ignore[attr-defined]  # as that does

        def is_late() -> bool:
            nonlocal last
            before, last = last, clock.monotonic()
            # A step may have twice as many records as the one before it.
            return bool(last >= until_when or last + 2 * (last - before) > until_when)

        if query is None or query.asks_only_statuses:
            statuses = None if query is None else query.statuses
            return self._transactions.read(
                partial(self._counts.by_hour, since=since, until=until, is_late=is_late, statuses=statuses)
            )
        if query.job_ids is not None or not is_led(query):
            return super().run_counts(since, until, query)
        end = hour_of(until)
        wanted = searching.within(query, max(hour_of(since), end - searching.DAYS * DAY), end)
        if wanted is None:
            return HourCounts()
        asked = bounds_of(wanted), statuses_of(wanted), is_late
        return self._transactions.read(lambda conn: self._counts.newest(conn, *asked))

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time with its parts."""
        run = self._transactions.read(partial(self._run_search.one, job_id=job_id, nominal=nominal))
        if run is not None:
            run.parts = self.parts_of([(job_id, nominal)]).get((job_id, nominal), {})
        return run

    def last_runs(
        self, ids: Collection[str], n: int = 1, statuses: Collection[str] | None = None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs."""
        return self._transactions.read(partial(self._run_search.last, ids=ids, n=n, statuses=statuses))

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took that have succeeded, as far as housekeeping has counted them."""
        return self._transactions.read(partial(self._counts.durations, job_id=job_id))

    # -- what is kept beside -------------------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None = None) -> None:
        """Keep texts beside the records of some runs."""
        self._transactions.step(partial(self._beside.write_parts, parts=parts, owner=owner))

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside the records of some runs."""
        return self._transactions.read(partial(self._beside.parts_of, keys=keys))

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep what an edit has changed of a job."""
        self._transactions.step(partial(self._beside.note_change, job_id=job_id, change=change))

    def changes(self, job_id: str) -> list[Change]:
        """Return the last edits of a job."""
        return self._transactions.read(partial(self._beside.changes, job_id=job_id))

    def describe(self, node: str, about: Mapping[str, Any], now: int) -> None:
        """Keep what a node says of itself beside its lease."""
        self._transactions.step(partial(self._beside.describe, node=node, about=about))

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day."""
        return self._transactions.read(partial(self._beside.nodes, now=now))
