"""Pages, counts and bounds of searching, made of the parts that a store gives; and what stores in memory give.

It asks a store by its port, for one part after another; it holds no lock of its own while it waits for one.
"""

from __future__ import annotations

from heapq import nsmallest
from operator import itemgetter
from typing import TypeVar

from ..clock import DAY, HOUR, moment
from ..core.durations import Durations, fold
from ..core.hours import HourCounts
from ..core.nodes import Node, text_of
from ..core.queries import (
    BY_DUE,
    BY_ID,
    BY_NAME,
    COUNTED,
    DURATION,
    LOOKED_AT,
    OUTCOMES,
    Count,
    Page,
    Part,
    RunQuery,
    check_limit,
    cursor_of,
    key_after,
    key_of_job,
    key_of_run,
)
from ..core.states import ENDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from ..core.details import RunParts
    from ..core.queries import JobQuery
    from ..core.run import Run
    from ..job.handle import Job

Item = TypeVar("Item")

#: How many jobs or records a store is asked for at once, at least and at most.
LEAST, STEP = 25, 500
#: How many days a filtered heat map covers.
DAYS = 7
#: How many pages a filtered heat map looks at.
PAGES = 5
#: How many jobs a store that has no order by name or due time sorts.
SORTED = 10_000

_KEYS: dict[str, tuple[type, ...]] = {BY_ID: (str,), BY_NAME: (str, str), BY_DUE: (int, int, str)}
_RUN_KEY = (int, str)


# ------------------------------------------------------------------------------------------------------------- pages


def find_jobs(store: Any, query: JobQuery, limit: int, cursor: str | None) -> Page[Job]:
    """Return a page of jobs; see the port."""
    check_limit(limit)
    place = store._place
    after = key_after(query, place, cursor, _KEYS[query.sort])
    found, last, looked_at = _page(
        store,
        lambda key, count: store._jobs_wanted(query, key, count),
        lambda job, part: key_of_job(job, query.sort) if part.keys is None else part.keys[job.id],
        after,
        limit,
    )
    return Page(found, None if last is None else cursor_of(query, place, last), looked_at)


def find_runs(store: Any, query: RunQuery, limit: int, cursor: str | None) -> Page[Run]:
    """Return a page of records; see the port."""
    check_limit(limit)
    place = store._place
    after = key_after(query, place, cursor, _RUN_KEY)
    least = 1 if query.wants_all or query.job_ids is not None else store.looked_at_together
    found, last, looked_at = _page(
        store,
        lambda key, count: store._runs_from(query, key, count),
        lambda run, _: key_of_run(run),
        after,
        limit,
        least,
    )
    page = Page(found, None if last is None else cursor_of(query, place, last), looked_at)
    if last is not None and len(found) < limit:
        page.searched_back_to = moment(-last[0])
    return page


def count_jobs(store: Any, query: JobQuery) -> Count:
    """Return how many jobs match; see the port."""
    return _counted(store, lambda key, count: store._jobs_wanted(query, key, count))


def count_runs(store: Any, query: RunQuery) -> Count:
    """Return how many records match; see the port."""
    return _counted(store, lambda key, count: store._runs_from(query, key, count))


def _page(
    store: Any,
    read: Callable[[tuple[Any, ...] | None, int], Part[Item]],
    key_of: Callable[[Item, Part[Item]], tuple[Any, ...]],
    after: tuple[Any, ...] | None,
    limit: int,
    least: int = 1,
) -> tuple[list[Item], tuple[Any, ...] | None, int]:
    """Return up to ``limit`` matches after a key, the key after which the next page begins, and how many were looked at.

    :param least: of how many the first part is, at least
    """
    found: list[Item] = []
    for part in _parts(store, read, after, min(STEP, max(limit, least))):
        found += part.found
        if len(found) > limit or (len(found) == limit and part.last is not None):
            del found[limit:]
            return found, key_of(found[-1], part), part.looked_at
        after, looked_at = part.last, part.looked_at
    return found, after, looked_at


def _parts(
    store: Any,
    read: Callable[[tuple[Any, ...] | None, int], Part[Item]],
    after: tuple[Any, ...] | None,
    step: int = STEP,
) -> Iterator[Part[Item]]:
    """Return one part after another, as long as the bounds of a page allow; each says how many were looked at so far.

    The first may be all that is wanted; each of the others has as many as the time that is left is enough for.
    """
    clock = store.clock
    began, looked_at, took = clock.monotonic(), 0, 0
    while True:
        part = read(after, min(step, LOOKED_AT - looked_at))
        looked_at += part.looked_at
        yield part._replace(looked_at=looked_at)
        after = part.last
        before, took = took, clock.monotonic() - began
        left, last = DURATION - took, max(took - before, 1)
        # Half of the last step's time is not enough where a step of one takes nearly as long as one of many.
        if after is None or looked_at >= LOOKED_AT or left <= 0 or left < last // 2:
            return
        step = max(LEAST, min(STEP, (part.looked_at or step) * left // last))


def _counted(store: Any, read: Callable[[tuple[Any, ...] | None, int], Part[Any]]) -> Count:
    number = 0
    part: Part[Any] | None = None
    for part in _parts(store, read, None):
        number += len(part.found)
        if number > COUNTED:
            return Count(COUNTED, False)
    return Count(number, part is None or part.last is None)


def jobs_wanted(store: Any, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
    """Return a part of the jobs whose last runs are as wanted, too."""
    part: Part[Job] = store._jobs_from(query, after, count)
    wanted = query.last_runs_wanted
    if wanted and part.found:
        last = store.last_runs([job.id for job in part.found], wanted, OUTCOMES)
        fitting = [job for job in part.found if query.fits(last.get(job.id, ()))]
        return part._replace(found=fitting)
    return part


# ------------------------------------------------------------------------------------------------------------ counts


def run_counts(store: Any, since: int, until: int, query: RunQuery | None) -> HourCounts:
    """Return how many records there are by hour and status, as far as a few pages go; see the port."""
    if query is not None and query.asks_only_statuses:
        return store.run_counts(since, until).of_statuses(query.statuses)  # type: ignore[no-any-return]
    first, end = since - since % HOUR, until - until % HOUR
    asked = RunQuery() if query is None else query
    if query is not None:
        first = max(first, end - DAYS * DAY)
    wanted = within(asked, first, end)
    counts = HourCounts()
    if wanted is None:
        return counts
    after: tuple[Any, ...] | None = None
    for _ in range(PAGES):
        for part in _parts(store, lambda key, count: store._runs_from(wanted, key, count), after):
            for run in part.found:
                hour = counts.setdefault(run.nominal - run.nominal % HOUR, {})
                hour[run.status] = hour.get(run.status, 0) + 1
            after = part.last
        if after is None:
            return counts
    counts.searched_back_to = moment(-after[0])  # type: ignore[index]  # it is no None here
    return counts


def within(query: RunQuery, first: int, end: int) -> RunQuery | None:
    """Return a query that is bounded to a range of hours, too; None: nothing can be in it."""
    from dataclasses import replace  # import time

    if query.first is not None:
        first = max(first, query.first)
    if query.end is not None:
        end = min(end, query.end)
    return None if first >= end else replace(query, since=moment(first), until=moment(end))


# --------------------------------------------------------------------------------------------------- stores in memory


def jobs_scanned(store: Any, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> Part[Job]:
    """Return a part of the jobs of a store that can only list all of them."""
    jobs = store.get_all_jobs()
    if ENDED in query.wanted_states:
        jobs = [*jobs, *store._ended_jobs()]
    return part_of_sorted(jobs, lambda job: key_of_job(job, query.sort), query.matches, after, count)


def runs_scanned(store: Any, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
    """Return a part of the records of a ledger in memory."""
    return part_of_sorted(store._ledger.everything(), key_of_run, query.matches, after, count)


def part_of_sorted(
    items: Collection[Item],
    key_of: Callable[[Item], tuple[Any, ...]],
    matches: Callable[[Item], bool],
    after: tuple[Any, ...] | None,
    count: int,
) -> Part[Item]:
    """Return the part after a key of all that there is; the whole counts as looked at, once for each call."""
    keyed = ((key_of(item), item) for item in items)
    following = (pair for pair in keyed if after is None or pair[0] > after)
    next_ones = nsmallest(count + 1, following, key=itemgetter(0))
    more = len(next_ones) > count
    looked_at = next_ones[:count]
    found = [item for _, item in looked_at if matches(item)]
    return Part(found, looked_at[-1][0] if more and looked_at else None, len(looked_at))


def get_run(store: Any, job_id: str, nominal: int) -> Run | None:
    """Return a record of a ledger in memory, with its parts."""
    for run in store._ledger.everything():
        if run.job_id == job_id and run.nominal == nominal:
            run.parts = store.parts_of([(job_id, nominal)]).get((job_id, nominal), {})
            return run  # type: ignore[no-any-return]
    return None


def last_runs(
    store: Any, ids: Collection[str], n: int, statuses: Collection[str] | None
) -> dict[str, list[Run]]:
    """Return the newest records of some jobs of a ledger in memory."""
    wanted = set(ids)
    found: dict[str, list[Run]] = {}
    for run in store._ledger.everything():
        if run.job_id in wanted and (statuses is None or run.status in statuses):
            found.setdefault(run.job_id, []).append(run)
    return {job_id: sorted(runs, key=key_of_run)[:n] for job_id, runs in found.items()}


def durations(store: Any, job_id: str) -> Durations | None:
    """Return how long the runs of a job took that are in a ledger in memory."""
    if store.lookup_job(job_id) is None:
        return None
    runs = sorted(
        (run for run in store._ledger.everything() if run.job_id == job_id), key=key_of_run, reverse=True
    )
    counted = Durations()
    fold(
        counted,
        ((run.nominal, run.status, run.started_at, run.finished_at) for run in runs),
        store.clock.now(),
    )
    return counted if counted.count else None


def write_parts(store: Any, parts: Sequence[RunParts]) -> None:
    """Keep texts beside records in memory: of as many runs as the ring keeps."""
    beside = store._ledger.beside
    with store._ledger.lock:
        for job_id, nominal, texts in parts:
            kept = beside.parts.pop((job_id, nominal), {})
            kept = {name: text for name, text in {**kept, **texts}.items() if text is not None}
            if kept:
                beside.parts[job_id, nominal] = kept
        while len(beside.parts) > store._ledger.size:
            del beside.parts[next(iter(beside.parts))]


def parts_of(store: Any, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
    """Return what is kept beside records in memory."""
    beside = store._ledger.beside
    with store._ledger.lock:
        return {key: dict(beside.parts[key]) for key in keys if key in beside.parts}


def describe(store: Any, node: str, about: Mapping[str, Any]) -> None:
    """Keep what the one node of a store in memory says of itself."""
    store._ledger.beside.node = (node, text_of(about))


def nodes(store: Any, now: int) -> list[Node]:
    """Return the one node of a store in memory, if it has said something of itself."""
    told = store._ledger.beside.node
    if told is None:
        return []
    node = Node(told[0], now, now, now, len(store._ledger.under_way))
    node.alive = True
    node.tell(told[1])
    node.draining = store._ledger.beside.draining == told[0]
    return [node]
