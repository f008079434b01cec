"""What a scheduler finds in its stores: jobs, records, nodes, edits.

It looks only; it changes nothing.
"""

from __future__ import annotations

from ..callables import lacking
from ..clock import moment
from ..core.extras import KEEPS_PLACE
from ..core.queries import JobQuery, RunQuery
from ..core.states import CLAIMED, WAITING
from ..errors import QueryError
from ..interrupts import is_interrupt
from ..texts import repr_of
from ..triggers.base import AskedBy
from ..util import suggestion
from .arguments import in_zone, instant_of, key_of, store_of
from .book import STATE_PAUSED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ..core.changes import Change
    from ..core.nodes import Node
    from ..core.queries import Count, Page
    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


def query_of(kind: type[Any], query: Any, fields: Mapping[str, Any]) -> Any:
    """Return what is asked for: a query, or one made of its fields.

    :raises QueryError: if it is neither, or a field is unknown or wrong
    """
    if query is not None:
        if not isinstance(query, kind):
            raise QueryError(f"query must be a {kind.__name__}, got {repr_of(query)}")
        if fields:
            raise QueryError(
                f"query must be given alone, got {', '.join(fields)} beside it; make them part of it"
            )
        return query
    known = kind.__dataclass_fields__
    for name in fields:
        if name not in known:
            raise QueryError(
                f"{kind.__name__} must have fields that exist, got {name!r}"
                + (suggestion(name, known) or f"; there are {', '.join(known)}")
            )
    return kind(**fields)


def jobs(
    book: JobBook, jobstore: str | None, query: Any, fields: Any, limit: int, cursor: str | None
) -> Page[Job]:
    """Return a page of jobs."""
    alias, store = store_of(book, jobstore)
    page = store.find_jobs(query_of(JobQuery, query, fields), limit, cursor)
    book.bound(page.items, alias)
    return page


def job_count(book: JobBook, jobstore: str | None, query: Any, fields: Any) -> Count:
    """Return how many jobs match."""
    return store_of(book, jobstore)[1].count_jobs(query_of(JobQuery, query, fields))


def runs(
    book: JobBook, jobstore: str | None, query: Any, fields: Any, limit: int, cursor: str | None
) -> Page[Run]:
    """Return a page of records."""
    page = store_of(book, jobstore)[1].find_runs(query_of(RunQuery, query, fields), limit, cursor)
    in_zone(book, page.items)
    return page


def run_count(book: JobBook, jobstore: str | None, query: Any, fields: Any) -> Count:
    """Return how many records match."""
    return store_of(book, jobstore)[1].count_runs(query_of(RunQuery, query, fields))


def counts(
    book: JobBook, jobstore: str | None, since: Any, until: Any, query: Any, fields: Any
) -> dict[int, dict[str, int]]:
    """Return how many records there are by hour and status."""
    asked = query_of(RunQuery, query, fields) if query is not None or fields else None
    first, end = instant_of("since", since), instant_of("until", until)
    return store_of(book, jobstore)[1].run_counts(first, end, asked)


def run(book: JobBook, jobstore: str | None, job_id: str, nominal: Any) -> Run | None:
    """Return a record with what is kept beside it; of a time that has none of its own, that of several times that stands for it."""
    _, store = store_of(book, jobstore)
    key = key_of("nominal", nominal)
    found = store.get_run(job_id, key) or standing_for(book, store, job_id, key)
    if found is not None:
        in_zone(book, [found])
    return found


def last(
    book: JobBook, jobstore: str | None, ids: Collection[str], n: int, statuses: Any
) -> dict[str, list[Run]]:
    """Return the newest records of jobs."""
    if isinstance(ids, str):
        ids = [ids]
    wanted = RunQuery(job_ids=ids, statuses=statuses)
    if type(n) is not int or not 1 <= n <= 100:
        raise QueryError(f"n must be an integer from 1 to 100, got {repr_of(n)}")
    found = store_of(book, jobstore)[1].last_runs(wanted.job_ids or (), n, wanted.statuses)
    for records in found.values():
        in_zone(book, records)
    return found


def under_way(book: JobBook, jobstore: str | None) -> list[Run]:
    """Return the runs under way on all nodes, with their progress and notes."""
    _, store = store_of(book, jobstore)
    query, cursor = RunQuery(statuses="claimed"), None
    found: list[Run] = []
    while True:
        page = store.find_runs(query, 1000, cursor)
        parts = store.parts_of([(run.job_id, run.nominal) for run in page.items])
        for run in page.items:
            run.parts = parts.get((run.job_id, run.nominal), {})
        found += page.items
        cursor = page.cursor
        if cursor is None:
            in_zone(book, found)
            return found


def edits(book: JobBook, jobstore: str | None, job_id: str) -> list[Change]:
    """Return the last edits of a job."""
    return store_of(book, jobstore)[1].changes(job_id)


def nodes(book: JobBook, jobstore: str | None) -> list[Node]:
    """Return the nodes of a store."""
    _, store = store_of(book, jobstore)
    return store.nodes(store.now())


def explanation(book: JobBook, jobstore: str | None, job_id: str, at: Any) -> str:
    """Return why a job, or one time of it, did not run."""
    from ..core.states import ENDED  # import time
    from ..core.why import why

    alias, store = store_of(book, jobstore)
    nominal = None if at is None else key_of("at", at)
    now, job, record = store.now(), store.lookup_job(job_id), None
    if nominal is not None:
        record = store.get_run(job_id, nominal) or among_several(store, job_id, nominal)
    waiting = (
        None if record is not None else _waiting_run(store, job_id, None if nominal is not None else now)
    )
    if nominal is None and waiting is None and (job is None or job.state == ENDED):
        # Its schedule is over, and its last run may not be.
        record = next(iter(store.last_runs([job_id], 1).get(job_id, ())), None)
    # Who asks a store of this process only is the node.
    nodes = store.nodes(now) if store.durable else None
    ahead = 0 if record is None else _ahead_of(store, record)
    here = None if job is None else _stays_here(book, alias, job, nodes)
    is_waiting = waiting is not None or (record is not None and record.status == WAITING)
    under_way = _under_way(store, job_id)[::-1] if is_waiting else ()
    return why(job, record, nominal, now, nodes, book.scheduler.timezone, waiting, ahead, here, under_way)


def _stays_here(book: JobBook, alias: str, job: Job, nodes: Sequence[Node] | None) -> str | None:
    """Return why this scheduler starts nothing of a job, if it is the only node of its store; None: it does, or another may."""
    engine = book.engine
    state = None if engine is None else engine.stores.get(alias)
    if engine is None or state is None or not book.runs_jobs:
        return None
    own = engine.node if state.lease is None else state.lease.node
    if [node for node in nodes or () if node.alive and node.id != own]:
        return None
    if book.scheduler.state == STATE_PAUSED:
        return "This scheduler is paused, and starts nothing before its resume()."
    if state.asked.draining:
        return "This node is draining, and claims nothing more."
    names = ", ".join(map(repr, lacking(job)))
    return f"It needs the resource {names}, which scheduler.resources does not have." if names else None


def _under_way(store: BaseJobStore, job_id: str) -> list[Run]:
    return store.find_runs(RunQuery(job_ids=job_id, statuses=CLAIMED), 1000).items


def _ahead_of(store: BaseJobStore, run: Run) -> int:
    """Return how many runs that were claimed together with one are executed before it, and have not ended."""
    if run.status != CLAIMED or run.owner is None or run.started_at is not None:
        return 0
    claimed = _under_way(store, run.job_id)
    together = [each for each in claimed if (each.owner, each.claimed_at) == (run.owner, run.claimed_at)]
    return sum(each.nominal < run.nominal for each in together)


def _waiting_run(store: BaseJobStore, job_id: str, now: int | None) -> Run | None:
    """Return the newest run of a job that waits and keeps its place, with its attempts; else the earliest whose time has come.

    :param now: instant; None: only one that keeps its place is wanted
    """
    waiting = store.find_runs(RunQuery(job_ids=job_id, statuses=WAITING), 20).items
    kept = next((run for run in waiting if run.waiting_for in KEEPS_PLACE), None)
    if kept is not None:
        return store.get_run(job_id, kept.nominal)
    due = [run for run in waiting if now is not None and (run.extra.not_before or 0) <= now]
    return min(due, key=lambda run: run.extra.not_before or 0, default=None)


def standing_for(book: JobBook, store: BaseJobStore, job_id: str, nominal: int) -> Run | None:
    """Return the record of several times that stands for one of them, which is a time of the job as it is now."""
    from ..core.openings import stands_for  # import time

    found = among_several(store, job_id, nominal)
    if found is None:
        return None
    with AskedBy(book.scheduler):
        try:
            return found if stands_for(store.lookup_job(job_id), found, nominal) else None
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            return found  # its trigger cannot tell


def among_several(store: BaseJobStore, job_id: str, nominal: int) -> Run | None:
    """Return the record of several times among which one is, if there is one."""
    for found in store.find_runs(RunQuery(job_ids=job_id, until=moment(nominal + 1)), 20).items:
        if found.nominal <= nominal <= found.last:
            return found
    return None
