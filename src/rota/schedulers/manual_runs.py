"""Runs that are asked for by hand: ``run_job()``.

It decides nothing about the schedule, which stays as it is.
"""

from __future__ import annotations

from ..core.plan import once_more
from ..core.states import QUARANTINED
from ..engine.requests import request
from ..errors import JobValueError, MaxInstancesReachedError, SchedulerNotRunningError
from ..triggers.base import AskedBy
from .book import TRIES, changed_all_the_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..core.plan import Decision
    from ..core.run import Run
    from .book import JobBook


def run_now(book: JobBook, job_id: str, jobstore: str | None) -> Run:
    """Have a job run once, now; return the run as it was asked for."""
    book.require_started("a run by hand")
    scheduler = book.scheduler
    for _ in range(TRIES):
        job, alias = scheduler._lookup_job(job_id, jobstore)
        if alias is None:  # stopped meanwhile
            raise SchedulerNotRunningError
        if job.state == QUARANTINED:
            raise JobValueError(f'Job "{job_id}" is quarantined and cannot run: {job.error}')
        if job.sealed is not None:
            raise JobValueError(
                f'Job "{job_id}" is signed, and nobody would accept a request for a run of it that is not; give the store the '
                f"signing_key (the command line takes it from ROTA_SIGNING_KEY)"
            )
        if not scheduler._lookup_jobstore(alias).durable:
            book.check_executor(job.executor)
            book.check_resources(job)
        now = scheduler._lookup_jobstore(alias).now()
        taken = scheduler._lookup_jobstore(alias).recorded({job_id: now}).get(job_id, ())
        with AskedBy(scheduler):
            decision = once_more(job, now, {first for first, _, _ in taken})
        if job.running < job.max_instances and _request(book, alias, decision):
            book.log.debug('A run of job "%s" was asked for', job_id)
            run = decision.runs[0]
            if scheduler._lookup_jobstore(alias).durable:
                run.job = None  # whoever takes the run has an object of its own
            return run
        if not decision.runs:  # somebody took its key meanwhile: another one is chosen
            continue
        if job.running >= job.max_instances:
            raise MaxInstancesReachedError(job)
    raise changed_all_the_time(job_id)


def _request(book: JobBook, alias: str, decision: Decision) -> bool:
    """Claim the run of a decision; False if the job was changed meanwhile, or runs as often as it may."""
    engine = book.engine
    if engine is None:
        raise SchedulerNotRunningError
    if not request(engine.stores[alias], engine.node, decision):
        return False
    book.wake_host()
    return True
