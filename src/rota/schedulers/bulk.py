"""Several jobs stored in one step: those of ``add_jobs()``, and those that have waited for ``start()``.

It plans their first runs as the book does for one; it starts nothing and runs nothing.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from operator import itemgetter

from ..core.policy import check_log, with_options
from ..core.states import NEW, QUARANTINED, set_job_state, undo_job_state
from ..errors import CallableMismatchError, ConflictingIdError, StoreConflictError, StoreError
from ..events import EVENT_JOB_ADDED, JobEvent
from ..job.rare import Rare
from ..triggers.base import AskedBy, BaseTrigger
from .beside import settle_edit
from .book import STATE_RUNNING, TRIES, need_a_look
from .listeners import tell
from .new_jobs import keep_schedule, may_owe, start_by_clock_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .book import JobBook


def add_together(book: JobBook, jobs: Sequence[Job], alias: str, replace: bool, connection: Any) -> None:
    """Plan the first runs of several jobs and store them, all or none; in the caller's transaction if there is one."""
    if connection is not None:
        book.require_started("adding jobs by a connection")
    scheduler = book.scheduler
    store = scheduler._lookup_jobstore(alias)
    check_unique(jobs)
    for executor in dict.fromkeys(job.executor for job in jobs):
        book.check_executor(executor)
    if need_a_look():
        _look_closely(book, jobs, alias, store, connection is None)
    now = store.now()
    planned = set()
    for job in jobs:
        if job.state == NEW:
            start_by_clock_of(store, job)
            book.new_jobs.plan_first(job, now)
            planned.add(job.id)
    left = _without_ended(book, store, jobs, alias, replace, planned, now, connection)
    if jobs and not left:
        return
    jobs = left
    _store(book, store, jobs, replace, planned, now, connection)
    book.bound(jobs, alias)
    if replace and Rare.some_paused:  # a job that was paused may have been among those that were replaced
        book.look_at_waiting(alias)
    if connection is None and book.listening.mask & EVENT_JOB_ADDED:
        for job in jobs:
            tell(scheduler, JobEvent(EVENT_JOB_ADDED, job.id, alias), book.log)
    book.log.info('Added %d jobs to job store "%s"', len(jobs), alias)
    due = [job for job in jobs if job.next_due is not None]
    if scheduler.state == STATE_RUNNING and due and connection is None:
        book.wake_for(min(due, key=lambda job: job.next_due or 0), alias)


def _store(
    book: JobBook,
    store: BaseJobStore,
    jobs: Sequence[Job],
    replace: bool,
    planned: set[str],
    now: int,
    connection: Any,
) -> None:
    """Store planned jobs, all or none."""
    if "add_job" in store.__dict__ or "update_job" in store.__dict__:
        store.obey_program()
    if replace and connection is None:
        _replace_together(book, store, jobs, planned, now)
    else:  # the transaction of the caller is left alone
        store.add_jobs(jobs, partial(keep_schedule, only=planned) if replace else None, connection)


class _Unsettled(Exception):
    """A job is about to replace one of which it is not recorded yet what it has left out; its state."""


def _replace_together(
    book: JobBook, store: BaseJobStore, jobs: Sequence[Job], planned: set[str], now: int
) -> None:
    """Store jobs, also over others of the same ids; what these have left out, paused or for want of room, is recorded before."""
    #: with which version a job is settled
    settled: dict[str, int] = {}

    #: the jobs that go on in the schedules of others, as they were planned
    kept: list[tuple[Any, ...]] = []

    def keep(job: Job, existing: Job) -> None:
        kept.append((job, job.trigger, job.state, job.next_nominal, job.next_due, job.paused))
        keep_schedule(job, existing, planned)
        if may_owe(existing) and settled.get(job.id) != existing.version:
            from ..core.pauses import lets_go  # import time: most programs pause no jobs

            if lets_go(existing, job, now):
                raise _Unsettled(existing.state)

    for _ in range(TRIES):
        try:
            store.add_jobs(jobs, keep)
            return
        except _Unsettled as exc:
            states = set(exc.args)
            for job, job.trigger, state, job.next_nominal, job.next_due, job.paused in reversed(kept):
                undo_job_state(job, state)
            kept.clear()
            _settle_all(book, store, jobs, planned, now, settled, states)
    raise StoreConflictError("The jobs that are to be replaced are changed by others all the time; try again")


def _settle_all(
    book: JobBook,
    store: BaseJobStore,
    jobs: Sequence[Job],
    planned: set[str],
    now: int,
    settled: dict[str, int],
    states: set[str],
) -> None:
    """Record what those in some states have left out of the jobs that are to be replaced."""
    from ..core.queries import JobQuery  # import time

    by_id, cursor = {job.id: job for job in jobs}, None
    query = JobQuery(states=states)
    while True:
        page = store.find_jobs(query, 500, cursor)
        for existing in page.items:
            if existing.id in by_id and may_owe(existing):
                draft = by_id[existing.id].copy()
                keep_schedule(draft, existing, planned)
                version = settle_edit(book.scheduler, store, existing, draft, now, book.log)
                if version is not None:
                    settled[existing.id] = version
        cursor = page.cursor
        if cursor is None:
            return


def _look_closely(
    book: JobBook, jobs: Sequence[Job], alias: str, store: BaseJobStore, may_write: bool
) -> None:
    """Refuse new jobs that cannot run as they are to run."""
    for job in jobs:
        book.check_resources(job)
        book.check_policy(job)
        check_log(job.policy, store.longest_log)
    if BaseTrigger.some_chain:
        book.prepare_chains(jobs, alias, True, may_write)


def _without_ended(
    book: JobBook,
    store: BaseJobStore,
    jobs: Sequence[Job],
    alias: str,
    replace: bool,
    planned: set[str],
    now: int,
    connection: Any,
) -> Sequence[Job]:
    """Move jobs on whose next time has a record; return those that are to be stored, without those whose last time has one."""
    if not any(job.next_nominal is not None and job.next_nominal <= now for job in jobs):
        return jobs
    from ..engine.added_again import LOOK_BY_ID, LOOK_NEVER, pass_over  # import time

    # The transaction of the caller is left alone; there the claim decides about times that have a record.
    look = LOOK_BY_ID if connection is None else LOOK_NEVER
    with AskedBy(book.scheduler):
        over = pass_over(jobs, store, now, book.log, look)
    ended = {job.id for job in over if book.leave_out(store, job, alias, replace, job.id not in planned)}
    return [job for job in jobs if job.id not in ended] if ended else jobs


def add_all_pending(
    book: JobBook, jobs: Sequence[Job], alias: str, replace: bool, options: Mapping[str, dict[str, Any]]
) -> bool:
    """Keep several jobs for start(): all of them or none.

    :param options: the policies that were given, by the ids of the jobs that were given any
    :return: False if the scheduler was started meanwhile: then nothing is kept, and the jobs go to the store
    """
    check_unique(jobs)
    book.check_for_store(jobs, alias)
    if BaseTrigger.some_chain:
        book.prepare_chains(jobs, alias, False)
    with book.scheduler._jobstores_lock:
        if book.goes_to_stores():
            return False
        book.pending.keep_all(jobs, alias, replace, options)
    book.log.info("%d jobs are added when the scheduler starts", len(jobs))
    return True


def store_pending(book: JobBook, singly: bool) -> None:
    """Store the jobs that have waited for start(), in the order in which they were added.

    :param singly: whether each goes through ``_real_add_job()``, as the program overrides it
    """
    waiting = list(book.pending.entries)
    stored: set[int] = set()
    default = book.new_jobs.default_policy
    try:
        for (alias, replace), group in groupby(waiting, key=itemgetter(1, 2)):
            entries = list(group)
            jobs = [job for job, _, _ in entries]
            for job in jobs:
                job.policy = with_options(default, book.pending.options_of(job, alias))
            together = not singly and _stored_together(book, jobs, alias, replace)
            for entry, job in zip(entries, jobs, strict=True):
                if not together:
                    _add_late(book, job, alias, replace)
                book.pending.forget_options(job, alias)
                stored.add(id(entry))
    finally:  # what is stored is no longer pending, whatever became of the others, and whatever came or went meanwhile
        with book.scheduler._jobstores_lock:
            book.pending.take_out(stored)


def _add_late(book: JobBook, job: Job, alias: str, replace: bool) -> None:
    """Store a pending job; one whose name came to lead to another callable meanwhile costs itself, not the start."""
    add = book.scheduler._real_add_job
    try:
        add(job, alias, replace)
    except CallableMismatchError as exc:
        job.set_next(None)
        job.error = str(exc)
        set_job_state(job, QUARANTINED)
        book.log.error('Job "%s" is quarantined: %s', job.id, exc)
        add(job, alias, replace)


def _stored_together(book: JobBook, jobs: Sequence[Job], alias: str, replace: bool) -> bool:
    """Store jobs in one step; False if that is no gain, or not possible: one by one shows which is refused, and why.

    10 000 jobs in an SQLite file take 0.6 s; one transaction for each would take 30 s.
    """
    if len(jobs) < 2 or not book.scheduler._lookup_jobstore(alias).durable:
        return False
    before = [(job.trigger, job.state, job.next_nominal, job.next_due) for job in jobs]
    try:
        add_together(book, jobs, alias, replace, None)
    except StoreError:
        raise
    except Exception:
        for job, kept in zip(jobs, before, strict=True):
            job.trigger, state, job.next_nominal, job.next_due = kept
            undo_job_state(job, state)
        return False
    return True


def check_unique(jobs: Sequence[Job]) -> None:
    """Refuse jobs of which two have the same id.

    :raises ConflictingIdError: with the ids
    """
    seen: set[str] = set()
    twice = [job.id for job in jobs if job.id in seen or seen.add(job.id)]  # type: ignore[func-returns-value]
    if twice:
        raise ConflictingIdError(*twice)
