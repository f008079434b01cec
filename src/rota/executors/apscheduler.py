"""APScheduler's run_job() for executors that were written for it, and runs as its events and back.

It carries out what it is asked for, in the caller's thread; it knows no executor.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from types import SimpleNamespace

from ..clock import SYSTEM_CLOCK, instant
from ..core.policy import DEFAULT_POLICY, Policy
from ..core.run import Run, said_by, time_of
from ..core.states import (
    CANCELLED,
    CLAIMED,
    FAILED,
    MISSED,
    SKIPPED,
    SNOOZED,
    WITHHELD,
    end,
    snooze,
    succeed,
    withhold,
)
from ..events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from ..logs import GuardedLogger
from ..texts import text_of
from .steps import (
    NOTHING_FOLLOWS,
    close_quietly,
    context_of,
    perform,
    perform_coroutine,
    submitted,
    wish_after,
    write_attempt,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
    from contextvars import Context
    from datetime import datetime
    from typing import Any

    from ..clock import Clock
    from ..job.handle import Job


def run_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """Call a job once for each nominal time and return the events (APScheduler's function, for custom executors)."""
    events = []
    for run, coroutine, _ in _performed(job, run_times, logger_name):
        if coroutine is not None:
            close_quietly(coroutine)
            raise TypeError(f"{job} is a coroutine function; use run_coroutine_job()")
        events.append(event_of_run(run, jobstore_alias))
    return events


async def run_coroutine_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """The same as :func:`run_job` for coroutine functions."""
    from asyncio import get_running_loop  # import time

    events = []
    for run, coroutine, (context, clock, logger) in _performed(job, run_times, logger_name):
        if coroutine is not None:
            work = perform_coroutine(run, coroutine, clock, logger)
            await context.copy().run(get_running_loop().create_task, work)
        events.append(event_of_run(run, jobstore_alias))
    return events


def _performed(
    job: Job, run_times: list[datetime], logger_name: str
) -> Iterator[tuple[Run, Coroutine[Any, Any, Any] | None, tuple[Context, Clock, GuardedLogger]]]:
    """Call a job once for each nominal time; yield each run, the coroutine that it has returned, and what that is awaited with."""
    context, logger = context_of(getattr(job, "_scheduler", None)), GuardedLogger(logger_name)
    claimed, clock = submitted.get(id(job)) or ((), _clock_of(job))
    carry_out = _performer_of(job)
    for run in runs_of(job, run_times, claimed):
        coroutine = None if _is_too_late(run, job, clock, logger) else carry_out(run, context, clock, logger)
        yield run, coroutine, (context, clock, logger)


def _performer_of(job: Any) -> Callable[..., Any]:
    """Return what carries out a run of a job: as its scheduler calls jobs, where that is in this process."""
    calls = getattr(getattr(job, "_scheduler", None), "_calls", None)
    return perform if calls is None else partial(perform, call=calls.call)


def _clock_of(job: Any) -> Clock:
    clock: Clock = getattr(getattr(job, "_scheduler", None), "clock", None) or SYSTEM_CLOCK
    return clock


def runs_of(job: Job, run_times: list[datetime], claimed: Sequence[Run]) -> Iterator[Run]:
    """Make a run for each time; it has the permission of the claimed one, and what follows a withheld one is withheld.

    What a job says is heard as said by the claimed run.
    """
    by_nominal = {run.nominal: run for run in claimed}
    before: Run | None = None
    for run_time in run_times:
        run = run_for(job, run_time)
        if run.nominal in by_nominal:
            claimed_run = by_nominal[run.nominal]
            run.permission = claimed_run.permission
            if Policy.some_time_out and hasattr(claimed_run, "watch"):
                run.watch = claimed_run.watch.of_copy(claimed_run)
            if claimed_run.status == CLAIMED:
                run.said = said_by(claimed_run)  # what the job says and logs is that of the claimed one
            if before is not None and before.status == WITHHELD:
                withhold(run)
        yield run
        before = run


def run_for(job: Job, run_time: datetime) -> Run:
    """Return a run of a job, apart from any ledger; the job may be a double that has only what APScheduler's run_job() reads."""
    nominal = instant(run_time)
    if not hasattr(job, "policy"):
        double: Any = _Double(job)
        job = double
    return Run(job.id, nominal, nominal, job, getattr(job, "executor", "default"))


class _Double:
    """What stands for a job that is none of ours: a program's own object around one."""

    policy = DEFAULT_POLICY
    executor = "default"
    func_ref = None

    def __init__(self, job: Any) -> None:
        self._job = job
        self.id = self.name = job.id
        self.func, self.args = job.func, job.args
        self._rare = SimpleNamespace(kwargs=job.kwargs)
        self.trigger = getattr(job, "trigger", None)

    def __str__(self) -> str:
        return text_of(self._job)


def _is_too_late(run: Run, job: Any, clock: Clock, logger: GuardedLogger) -> bool:
    """Whether a run is later than its job's grace time allows, which is asked here as in APScheduler; it has ended then."""
    grace = getattr(job, "misfire_grace_time", None)
    if grace is None or run.status != CLAIMED:
        return False
    now = time_of(run, clock)
    late = timedelta(microseconds=now - run.nominal)
    if late <= timedelta(seconds=grace):
        return False
    end(run, MISSED, "too late", now)
    logger.warning('Run time of job "%s" was missed by %s', job, late)
    return True


def event_of_run(run: Run, jobstore_alias: str | None) -> JobExecutionEvent:
    """Return the event that tells of an ended run."""
    code = {FAILED: EVENT_JOB_ERROR, MISSED: EVENT_JOB_MISSED}.get(run.status, EVENT_JOB_EXECUTED)
    return JobExecutionEvent(
        code,
        run.job_id,
        jobstore_alias,
        run.scheduled_run_time,
        run.retval,
        run.exception,
        run.traceback,
        run,
    )


def by_time(events: Iterable[Any]) -> dict[int, Any]:
    """Return the events of a report by their nominal times, without those that have none."""
    found = {}
    try:
        for event in events:
            found[instant(event.scheduled_run_time)] = event
    except BaseException:  # what they are is up to the third party
        pass
    return found


def write_outcome(run: Run, event: Any, now: int, logger: GuardedLogger) -> None:
    """Write into a run what a third-party executor reported by an event."""
    reported = getattr(event, "run", None)
    if isinstance(reported, Run) and reported.status == WITHHELD:
        withhold(run)
    elif isinstance(reported, Run) and reported.status == SNOOZED:
        run.wish = reported.wish
        snooze(run, now)
    elif isinstance(reported, Run) and reported.status in (SKIPPED, CANCELLED):
        end(run, reported.status, reported.reason, now)
    elif event is None:
        end(run, FAILED, "the executor reported no outcome", now)
    elif event.code == EVENT_JOB_ERROR:
        exc = event.exception
        if not isinstance(exc, BaseException):
            exc = RuntimeError("unknown" if exc is None else text_of(exc))
        complaint = None
        if isinstance(reported, Run):  # as run_job() has found it, which has called the job
            wish = getattr(reported, "wish", None)
        else:
            wish, complaint = wish_after(run, exc)
        write_attempt(run, exc, text_of(event.traceback) if event.traceback else "", wish, now)
        if complaint is not None:
            logger.error(NOTHING_FOLLOWS, run.job, complaint)
    elif event.code == EVENT_JOB_MISSED:
        end(run, MISSED, "too late", now)
    else:
        succeed(run, event.retval, now)
    if isinstance(reported, Run):
        run.started_at, run.finished_at = reported.started_at, reported.finished_at
