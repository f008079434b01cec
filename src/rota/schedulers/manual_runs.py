"""Runs that are asked for by hand: ``run_job()``.

It decides nothing about the schedule, which stays as it is.
"""

from __future__ import annotations

from ..core.plan import once_more
from ..core.states import QUARANTINED
from ..engine.requests import open_run, request
from ..errors import JobValueError, SchedulerNotRunningError
from ..texts import repr_of
from ..triggers.base import AskedBy
from .arguments import instant_of
from .book import TRIES, changed_all_the_time
from .results import asked

#: The longest key that a run can be asked for with (characters).
LONGEST_KEY = 191

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ..core.plan import Decision
    from ..core.run import Run
    from ..engine.store_state import StoreState
    from ..job.handle import Job
    from .book import JobBook


def run_now(
    book: JobBook,
    job_id: str,
    jobstore: str | None,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    key: str | None = None,
    not_before: datetime | None = None,
) -> Run:
    """Have a job run once, apart from its schedule; return the run as it was asked for."""
    waits = not (args is None and kwargs is None and key is None and not_before is None)
    book.require_started("a run by hand")
    scheduler = book.scheduler
    for _ in range(TRIES):
        job, alias = scheduler._lookup_job(job_id, jobstore)
        if alias is None:  # stopped meanwhile
            raise SchedulerNotRunningError
        check_asked(book, job, alias)
        now = scheduler._lookup_jobstore(alias).now()
        taken = scheduler._lookup_jobstore(alias).recorded({job_id: now}).get(job_id, ())
        with AskedBy(scheduler):
            decision = once_more(job, now, {first for first, _, _ in taken})
        run, state = decision.runs[0], _state(book, alias)
        if waits:
            _fill(run, job, args, kwargs, key, not_before)
        mine = asked(book, state, run, is_new=True)  # before anybody may end it
        if waits or job.running >= job.policy.limit:
            opened = open_run(state, run)
            if opened:
                book.wake_host()
                return mine if opened[0] is run else asked(book, state, opened[0], is_new=False)
            continue
        if _request(book, alias, decision):
            book.log.debug('A run of job "%s" was asked for', job_id)
            if decision.runs[0] is not run:
                mine = asked(book, state, decision.runs[0], is_new=False)
            if scheduler._lookup_jobstore(alias).durable:
                run.job = None  # whoever takes the run has an object of its own
            return mine
        # Without runs somebody took its key meanwhile: another one is chosen. Else it may run as often as it may (R2).
        waits = bool(decision.runs)
    raise changed_all_the_time(job_id)


def check_asked(book: JobBook, job: Job, alias: str) -> None:
    """Refuse a job that cannot be asked for."""
    if job.state == QUARANTINED:
        raise JobValueError(f'Job "{job.id}" is quarantined and cannot run: {job.error}')
    if job.sealed is not None:
        raise JobValueError(
            f'Job "{job.id}" is signed, and nobody would accept a request for a run of it that is not; give the store the '
            f"signing_key (the command line takes it from ROTA_SIGNING_KEY)"
        )
    if not book.scheduler._lookup_jobstore(alias).durable:
        book.check_executor(job.executor)
        book.check_resources(job)


def _fill(
    run: Run,
    job: Job,
    args: Sequence[Any] | None,
    kwargs: Mapping[str, Any] | None,
    key: str | None,
    not_before: datetime | None,
) -> None:
    """Give a run what it was asked for with."""
    from ..core.extras import extra_of  # import time
    from ..job.checks import checked_call

    extra = extra_of(run)
    given: Any = key
    if given is not None and not (
        isinstance(given, str) and 0 < len(given) <= LONGEST_KEY and given.isprintable()
    ):
        raise JobValueError(
            f"key must be a printable text of 1 to {LONGEST_KEY} characters, got {repr_of(given)}"
        )
    extra.key = key
    if args is not None or kwargs is not None:
        checked_call(job.func, job.args if args is None else args, job.kwargs if kwargs is None else kwargs)
        extra.args = None if args is None else tuple(args)
        extra.kwargs = None if kwargs is None else dict(kwargs)
    if not_before is not None:
        extra.not_before = instant_of("not_before", not_before)


def _state(book: JobBook, alias: str) -> StoreState:
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    return engine.stores[alias]


def _request(book: JobBook, alias: str, decision: Decision) -> bool:
    """Claim the run of a decision; False if the job was changed meanwhile, or runs as often as it may."""
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    if not request(_state(book, alias), engine.node, decision):
        return False
    book.wake_host()
    return True
