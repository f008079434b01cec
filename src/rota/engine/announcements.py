"""Events and log lines about what became of jobs and runs.

It tells; it decides nothing and stores nothing.
"""

from __future__ import annotations

from ..clock import moment, trigger_zone
from ..core.overlaps import MAX_INSTANCES
from ..core.run import label
from ..core.states import CANCELLED, ENDED, FAILED, LOST, MISSED, QUARANTINED, SKIPPED, SUCCEEDED, TIMED_OUT
from ..events import (
    EVENT_JOB_CANCELLED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_LOST,
    EVENT_JOB_MAX_INSTANCES,
    EVENT_JOB_MISSED,
    EVENT_JOB_PAUSED,
    EVENT_JOB_QUARANTINED,
    EVENT_JOB_REFUSED,
    EVENT_JOB_REMOVED,
    JobEvent,
    JobExecutionEvent,
    JobPausedEvent,
    JobQuarantineEvent,
    JobSubmissionEvent,
)
from ..interrupts import is_interrupt
from ..logs import INFO, given_logger
from ..texts import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from ..core.plan import Decision
    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .outlet import Outlet

EVENT_OF_STATUS = {
    SUCCEEDED: EVENT_JOB_EXECUTED,
    FAILED: EVENT_JOB_ERROR,
    TIMED_OUT: EVENT_JOB_ERROR,
    MISSED: EVENT_JOB_MISSED,
    SKIPPED: EVENT_JOB_MISSED,
    CANCELLED: EVENT_JOB_CANCELLED,
    LOST: EVENT_JOB_LOST,
}
#: The events of ended runs.
RUN_EVENTS = EVENT_JOB_REFUSED
for _code in EVENT_OF_STATUS.values():
    RUN_EVENTS |= _code
#: Of how many jobs it is remembered at most that their last time was skipped.
MOST_SKIPPING = 10_000


def announce(outlet: Outlet, alias: str, run: Run, code: int) -> None:
    """Send the event of an ended run."""
    outlet.dispatch(event_of(alias, run, code))


def event_of(alias: str, run: Run, code: int) -> JobExecutionEvent:
    """Return the event of an ended run; it keeps what the job returned or raised, also when the run gives it up."""
    time = local(run.job, run.last)
    run.timezone = time.tzinfo  # the run gives up its job
    if run.name is None:
        label(run)
    return JobExecutionEvent(code, run.job_id, alias, time, run.retval, run.exception, run.traceback, run)


def announce_submission(outlet: Outlet, alias: str, job: Job, code: int, runs: Sequence[Run]) -> None:
    """Send the event that runs were handed to an executor, or left out."""
    times = [local(job, run.last) for run in runs]
    outlet.dispatch(JobSubmissionEvent(code, job.id, alias, times))


def announce_rest(
    outlet: Outlet, alias: str, decision: Decision, skipping: set[str], now: Callable[[], int]
) -> None:
    """Log and announce what a decision did besides handing out runs.

    :param skipping: the jobs whose last time was skipped; it is kept
    :param now: the clock of the store
    """
    job, logger = decision.job, outlet.logger
    for record in decision.records:
        if record.status == SKIPPED and record.reason == MAX_INSTANCES:
            announce_skipped(outlet, alias, job, record, skipping)
        elif record.status == MISSED:
            late = _lateness(record, now())
            _logger_of(outlet, record.executor).warning('Run time of job "%s" was missed by %s', job, late)
            if outlet.wanted() & EVENT_JOB_MISSED:
                announce(outlet, alias, record, EVENT_JOB_MISSED)
        record.job = None
    if decision.state == QUARANTINED:
        reason = decision.error or "unknown"
        logger.error(
            'Job "%s" is quarantined: %s. It is kept; repair it or its code, or remove it', job.id, reason
        )
        outlet.dispatch(JobQuarantineEvent(EVENT_JOB_QUARANTINED, job.id, alias, reason))
    elif decision.state == ENDED:
        if logger.enabled(INFO):
            logger.info("Removed job %s: its schedule is over", job.id)
        if outlet.wanted() & EVENT_JOB_REMOVED:
            outlet.dispatch(JobEvent(EVENT_JOB_REMOVED, job.id, alias))


def announce_skipped(outlet: Outlet, alias: str, job: Job, record: Run, skipping: set[str]) -> None:
    """Log and announce that a job has found no place for a run.

    :param skipping: the jobs whose last time was skipped; it is kept
    """
    log = outlet.logger.debug if job.id in skipping else outlet.logger.warning
    log(
        'Execution of job "%s" skipped: maximum number of running instances reached (%d)',
        job,
        job.max_instances,
    )
    if len(skipping) >= MOST_SKIPPING:  # jobs that are gone are among them
        skipping.clear()
    skipping.add(job.id)
    announce_submission(outlet, alias, job, EVENT_JOB_MAX_INSTANCES, [record])


def _logger_of(outlet: Outlet, alias: str) -> GuardedLogger:
    """Return the logger of an executor, by which programs look for what became of its jobs, over that of the outlet."""
    executor = outlet.executors.get(alias)
    given = None if executor is None else given_logger(executor)
    return outlet.logger.over(given or f"rota.executors.{alias}")


def local(job: Job | None, instant: int) -> datetime:
    """Return an instant as an aware datetime in the job's time zone."""
    try:
        timezone = trigger_zone(job.trigger) if job is not None else None
        return moment(instant, timezone) if timezone is not None else moment(instant)
    except BaseException as exc:  # a zone that fails costs the event its zone, not the run its start
        if is_interrupt(exc):
            raise
        return moment(instant)


def _lateness(record: Run, now: int) -> str:
    from datetime import timedelta  # import time

    return str(timedelta(microseconds=now - record.due))


def tell_of_pauses(outlet: Outlet, store: BaseJobStore, alias: str, node: str, runs: Iterable[Run]) -> None:
    """Tell of jobs that were paused as these runs have failed, and keep that among their edits.

    :param node: the id of this node in the store
    :param runs: runs whose ends are recorded
    """
    for run in runs:
        if not hasattr(run, "pauses"):
            continue
        from ..core.changes import Change  # import time: most jobs are never paused

        note, revision = run.pauses
        del run.pauses
        outlet.logger.warning('Job "%s" is paused: %s. resume_job() lets it go on', run.job_id, note)
        outlet.dispatch(JobPausedEvent(EVENT_JOB_PAUSED, run.job_id, alias, note))
        try:
            store.note_change(run.job_id, Change(revision, store.now(), node, f"paused: {note}"))
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            outlet.logger.warning(
                'That job "%s" is paused could not be kept among its edits: %s', run.job_id, error_text(exc)
            )
