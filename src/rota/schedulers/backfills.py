"""Backfill: ``backfill()`` has the missing times of a job run, and ``cancel_backfill()`` ends that.

It counts, keeps in the store what is to be done, and does the first step; the nodes of the store do the rest.
"""

from __future__ import annotations

from contextlib import suppress

from ..clock import moment
from ..core.backfill import CANCELLED, MOST, Backfill, backfill_of, last_instant, times_from, wanted_among
from ..engine.backfills import EndsEarly, open_some, records_of, unfinished_of
from ..errors import JobLookupError, JobValueError, SchedulerNotRunningError, StoreConflictError
from ..jobstores.held_rows import as_soon_as_free
from ..texts import repr_of
from ..triggers.base import AskedBy
from .arguments import instant_of, store_of
from .book import TRIES
from .edits import edit, note
from .ends import tell_of_ends
from .manual_runs import check_asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


class Missing(int):
    """How many times of a job a backfill runs, with the first and the last of them."""

    first: datetime | None
    last: datetime | None


def backfill(
    book: JobBook,
    job_id: str,
    start: datetime,
    end: datetime,
    only_missing: bool,
    dry_run: bool,
    jobstore: str | None,
    chain: bool,
) -> Missing:
    """Have the times of a job in a range run; return how many."""
    book.require_started("a backfill")
    alias, store = store_of(book, jobstore)
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    first, last = instant_of("start", start), instant_of("end", end)
    if first > last:
        raise JobValueError(
            f"end must not be before start, got {repr_of(start)} and {repr_of(end)}; exchange them"
        )
    for name, flag, remedy in (
        ("only_missing", only_missing, "False runs every time of the range again"),
        ("chain", chain, "False starts none of the jobs that come after this one"),
    ):
        if not isinstance(flag, bool):
            raise JobValueError(f"{name} must be True or False, got {repr_of(flag)}; {remedy}")
    job, _ = book.scheduler._lookup_job(job_id, alias)
    _check(book, job, alias)
    now = store.now()
    if only_missing:
        _check_ledger(store, job, start, first, now)
    wanted = Backfill(first, min(last, now), now, only_missing, chain)
    with AskedBy(book.scheduler):
        found = _count(book, store, job, wanted)
        if dry_run or not found:
            return found
        if job.id in store.backfills():
            with suppress(EndsEarly):  # a node tells it
                as_soon_as_free(open_some, store, job.id)  # which forgets one that is done
        engine.stores[alias].asked.tell()  # the answer to what follows may be lost
        if not as_soon_as_free(store.keep_backfill, job.id, wanted.text(), None):
            raise JobValueError(f'Job "{job.id}" has a backfill already{_shown(book, store, job)}')
        what = "missing times" if only_missing else "times"
        said = (
            f"backfill of {found} {what} from {moment(first).isoformat()} to {moment(wanted.end).isoformat()}"
        )
        note(book, job, said)
        book.log.info('Job "%s": %s', job.id, said)
        try:
            as_soon_as_free(open_some, store, job.id)
        except EndsEarly as exc:  # it could tell its times before
            book.log.warning('The backfill of job "%s" goes on later: %s', job.id, exc)
    engine.stores[alias].asked.tell()  # it may have looked too early
    engine.stores[alias].asked.begin_at(store.now())
    book.wake_host()
    return found


def cancel_backfill(book: JobBook, job_id: str, jobstore: str | None) -> int:
    """End the backfill of a job, and cancel what waits of it; return how many runs were cancelled."""
    alias, store = store_of(book, jobstore)
    is_there = store.lookup_job(job_id) is not None
    for _ in range(TRIES):
        text = store.backfills().get(job_id)
        if text is None or as_soon_as_free(store.keep_backfill, job_id, None, text):
            break
    else:
        raise StoreConflictError(
            f'The backfill of job "{job_id}" is changed by others all the time; try again'
        )
    if not is_there:
        if text is None:
            raise JobLookupError(job_id)
        return 0
    if text is not None:
        # The job gets another version, so that no step that is under way on another node opens anything.
        with suppress(JobLookupError):  # its schedule is over, and only what waits keeps it
            edit(book, job_id, alias, lambda draft: None, CANCELLED)
    cancelled = _cancel_waiting(store, job_id)
    tell_of_ends(book.scheduler, book.engine, book.listening.mask, alias, cancelled, book.log)
    return len(cancelled)


def _cancel_waiting(store: BaseJobStore, job_id: str) -> list[Run]:
    """Cancel the runs of a job that a backfill has opened and that wait; what has started goes on."""
    cancelled: list[Run] = []
    while True:
        waiting = unfinished_of(store, job_id, None, 1000)
        for run in waiting:
            now = store.now()
            ended = as_soon_as_free(store.cancel_run, job_id, run.nominal, CANCELLED, now, True)
            if ended is not None and ended.finished_at == now and ended.reason == CANCELLED:
                cancelled.append(ended)
        if len(waiting) < 1000:
            return cancelled


def _check(book: JobBook, job: Job, alias: str) -> None:
    """Refuse a job whose times cannot be run again."""
    check_asked(book, job, alias)
    if job.trigger.follows_end:
        raise JobValueError(
            f'Job "{job.id}" counts each time from the end of its run, and has none in between that could be missing; '
            f"run_job() runs it once more"
        )


def _check_ledger(store: BaseJobStore, job: Job, start: Any, first: int, now: int) -> None:
    """Refuse a start of which the ledger does not know whether its times ran."""
    known_from = store.remembers_from(job.id, now)
    if known_from is not None and first < known_from:
        raise JobValueError(
            f'start must not be older than the ledger remembers, which is {moment(known_from).isoformat()} for job "{job.id}", '
            f"got {repr_of(start)}; begin then, keep more records (keep_runs=, keep_days= of the store), or run every time of the "
            f"range again by only_missing=False"
        )


def _count(book: JobBook, store: BaseJobStore, job: Job, wanted: Backfill) -> Missing:
    """Count the times that are to run, step by step.

    :raises JobValueError: if there are too many times in the range, or the job's trigger raises
    """
    end = min(wanted.end, last_instant(job, store.now()))
    following, looked_at, count = wanted.start, 0, 0
    first: int | None = None
    last: int | None = None
    while following <= end:
        times, following = times_from(job, following, end)
        if not times:
            break
        looked_at += len(times)
        if looked_at > MOST:
            raise JobValueError(
                f"a backfill must be of {MOST:,} times of its job at most, got more from {moment(wanted.start).isoformat()} to "
                f"{moment(wanted.end).isoformat()}; do it in parts"
            )
        found = wanted_among(job, times, records_of(store, job.id, times[0], times[-1]), wanted)
        count += len(found)
        if found:
            first, last = found[0] if first is None else first, found[-1]
    missing = Missing(count)
    zone = book.scheduler.timezone
    missing.first = None if first is None else moment(first, zone)
    missing.last = None if last is None else moment(last, zone)
    return missing


def _shown(book: JobBook, store: BaseJobStore, job: Job) -> str:
    known = backfill_of(store.backfills().get(job.id, ""))
    if known is None:
        return "; try again"
    zone = book.scheduler.timezone
    return (
        f", from {moment(known.start, zone).isoformat()} to {moment(known.end, zone).isoformat()}; wait until that is done, or "
        f"cancel_backfill() first"
    )
