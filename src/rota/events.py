"""Events and their codes: APScheduler 3's, and those that Rota adds above them.

Plain values; nothing here knows a scheduler. Codes are bits, so that a listener's mask is an OR of them.
"""

from __future__ import annotations

from .clock import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from .core.run import Run

__all__ = (
    "EVENT_ALL",
    "EVENT_ALL_JOBS_REMOVED",
    "EVENT_CLOCK_JUMPED",
    "EVENT_EXECUTOR_ADDED",
    "EVENT_EXECUTOR_REMOVED",
    "EVENT_JOBSTORE_ADDED",
    "EVENT_JOBSTORE_REMOVED",
    "EVENT_JOBSTORE_REPLACED",
    "EVENT_JOB_ADDED",
    "EVENT_JOB_CANCELLED",
    "EVENT_JOB_CANCEL_REQUESTED",
    "EVENT_JOB_ERROR",
    "EVENT_JOB_EXECUTED",
    "EVENT_JOB_LOST",
    "EVENT_JOB_MAX_INSTANCES",
    "EVENT_JOB_MISSED",
    "EVENT_JOB_MODIFIED",
    "EVENT_JOB_ON_FAILURE_ERROR",
    "EVENT_JOB_PAUSED",
    "EVENT_JOB_QUARANTINED",
    "EVENT_JOB_REFUSED",
    "EVENT_JOB_REMOVED",
    "EVENT_JOB_RESTORED",
    "EVENT_JOB_RETRYING",
    "EVENT_JOB_STARTED",
    "EVENT_JOB_SUBMITTED",
    "EVENT_JOB_TIMED_OUT",
    "EVENT_SCHEDULER_DEGRADED",
    "EVENT_SCHEDULER_PAUSED",
    "EVENT_SCHEDULER_RECOVERED",
    "EVENT_SCHEDULER_RESUMED",
    "EVENT_SCHEDULER_SHUTDOWN",
    "EVENT_SCHEDULER_STALLED",
    "EVENT_SCHEDULER_START",
    "EVENT_SCHEDULER_STARTED",
    "ClockEvent",
    "JobCancelRequestedEvent",
    "JobEvent",
    "JobExecutionEvent",
    "JobOnFailureErrorEvent",
    "JobPausedEvent",
    "JobQuarantineEvent",
    "JobRetryingEvent",
    "JobStartedEvent",
    "JobSubmissionEvent",
    "JobTimedOutEvent",
    "SchedulerEvent",
    "SchedulerHealthEvent",
    "SchedulerStalledEvent",
)

EVENT_SCHEDULER_STARTED = EVENT_SCHEDULER_START = 2**0
EVENT_SCHEDULER_SHUTDOWN = 2**1
EVENT_SCHEDULER_PAUSED = 2**2
EVENT_SCHEDULER_RESUMED = 2**3
EVENT_EXECUTOR_ADDED = 2**4
EVENT_EXECUTOR_REMOVED = 2**5
EVENT_JOBSTORE_ADDED = 2**6
EVENT_JOBSTORE_REMOVED = 2**7
EVENT_ALL_JOBS_REMOVED = 2**8
EVENT_JOB_ADDED = 2**9
EVENT_JOB_REMOVED = 2**10
EVENT_JOB_MODIFIED = 2**11
EVENT_JOB_EXECUTED = 2**12
EVENT_JOB_ERROR = 2**13
EVENT_JOB_MISSED = 2**14
EVENT_JOB_SUBMITTED = 2**15
EVENT_JOB_MAX_INSTANCES = 2**16
#: a job cannot be restored or its trigger raises; it is kept, and not run until it is healed
EVENT_JOB_QUARANTINED = 2**17
#: a quarantined job can be restored again
EVENT_JOB_RESTORED = 2**18
#: a run whose node died was recorded as lost; or the store in which a run was to be recorded is not there any more
EVENT_JOB_LOST = 2**19
#: a run was cancelled (by a shutdown that did not wait)
EVENT_JOB_CANCELLED = 2**20
#: the outcome of a run was refused by the store's fence: another node has taken the run over
EVENT_JOB_REFUSED = 2**21
#: the engine cannot do its work (a store fails); it goes on trying
EVENT_SCHEDULER_DEGRADED = 2**22
#: the engine works again
EVENT_SCHEDULER_RECOVERED = 2**23
#: the wall clock was set, or the machine slept
EVENT_CLOCK_JUMPED = 2**24
#: a job store was emptied, put back from a backup, or replaced while it was open; it is opened anew
EVENT_JOBSTORE_REPLACED = 2**25
#: a pass over the jobs has not got on for longer than a lease: a trigger does not return, or a job store
EVENT_SCHEDULER_STALLED = 2**26
#: a run is about to be called, on this node: one for each attempt
EVENT_JOB_STARTED = 2**27
#: a job was paused
EVENT_JOB_PAUSED = 2**28
#: a run that is under way on this node was asked to stop
EVENT_JOB_CANCEL_REQUESTED = 2**29
#: what a job wanted to be called with a failed run (``on_failure``) has failed itself, or could not be called
EVENT_JOB_ON_FAILURE_ERROR = 2**30
#: an attempt of a run has come to nothing, and another one will follow
EVENT_JOB_RETRYING = 2**31
#: the time of a run that is under way on this node is over (``timeout``, ``heartbeat_timeout``): one for each attempt
EVENT_JOB_TIMED_OUT = 2**32
EVENT_ALL = 2**33 - 1


class _Event:
    """Shows an event's class and attributes, which are ordinary ones: programs read ``vars(event)`` and add their own."""

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in vars(self).items() if name != "run")
        return f"<{type(self).__name__} ({values})>"


class SchedulerEvent(_Event):
    """Something happened to the scheduler itself.

    :ivar int code: the event code
    :ivar str | None alias: alias of the job store or executor that was added or removed
    """

    def __init__(self, code: int, alias: str | None = None) -> None:
        self.code = code
        self.alias = alias


class SchedulerHealthEvent(SchedulerEvent):
    """The engine stopped (DEGRADED) or resumed (RECOVERED) to do its work with a job store, or that was replaced (REPLACED).

    :ivar str | None reason: the error, for DEGRADED and REPLACED
    """

    def __init__(self, code: int, alias: str | None, reason: str | None = None) -> None:
        super().__init__(code, alias)
        self.reason = reason


class SchedulerStalledEvent(SchedulerHealthEvent):
    """A pass hangs (STALLED): it has not got on for longer than a lease.

    :ivar str | None job_id: the job whose trigger does not return; None: it is the store that does not, or a job that runs inline
    """

    def __init__(self, code: int, alias: str | None, reason: str, job_id: str | None) -> None:
        super().__init__(code, alias, reason)
        self.job_id = job_id


class ClockEvent(SchedulerEvent):
    """The wall clock moved against the monotonic clock.

    :ivar float delta: seconds; positive if it jumped forward
    """

    def __init__(self, code: int, delta: float) -> None:
        super().__init__(code)
        self.delta = delta


class JobEvent(SchedulerEvent):
    """Something happened to a job.

    :ivar str job_id: the job
    :ivar str | None jobstore: alias of the job's store
    """

    def __init__(self, code: int, job_id: str, jobstore: str | None) -> None:
        self.code = code
        self.alias = None
        self.job_id = job_id
        self.jobstore = jobstore


class JobQuarantineEvent(JobEvent):
    """A job was put into quarantine.

    :ivar str reason: what is wrong with it
    """

    def __init__(self, code: int, job_id: str, jobstore: str | None, reason: str) -> None:
        super().__init__(code, job_id, jobstore)
        self.reason = reason


class JobPausedEvent(JobEvent):
    """A job was paused.

    :ivar str | None note: what whoever paused it says about it
    """

    def __init__(self, code: int, job_id: str, jobstore: str | None, note: str | None = None) -> None:
        super().__init__(code, job_id, jobstore)
        self.note = note


class _AttemptEvent(JobEvent):
    """An attempt of a run, on this node.

    :ivar datetime scheduled_run_time: the nominal time
    :ivar int attempt: which try of the run it is, from 1
    :ivar Run run: the run
    """

    def __init__(
        self, code: int, job_id: str, jobstore: str | None, scheduled_run_time: datetime, run: Run
    ) -> None:
        super().__init__(code, job_id, jobstore)
        self.scheduled_run_time = scheduled_run_time
        self.attempt = run.attempt
        self.run = run


class JobStartedEvent(_AttemptEvent):
    """A run has started on this node: its job is about to be called, in an attempt of its own.

    :ivar datetime scheduled_run_time: the nominal time
    :ivar int attempt: which try of the run this is, from 1
    :ivar datetime started_at: when it started (UTC)
    :ivar Run run: the run under way, as :func:`rota.current_run` returns it in the job
    """

    def __init__(
        self, code: int, job_id: str, jobstore: str | None, scheduled_run_time: datetime, run: Run
    ) -> None:
        super().__init__(code, job_id, jobstore, scheduled_run_time, run)
        self.started_at = moment(run.started_at or run.due)


class JobCancelRequestedEvent(JobEvent):
    """A run that is under way on this node was asked to stop; what becomes of it is told by another event.

    :ivar datetime scheduled_run_time: the nominal time
    :ivar str | None reason: what whoever asked says about it
    :ivar Run | None run: the run under way
    """

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str | None,
        scheduled_run_time: datetime,
        reason: str | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__(code, job_id, jobstore)
        self.scheduled_run_time = scheduled_run_time
        self.reason = reason
        self.run = run


class JobRetryingEvent(_AttemptEvent):
    """An attempt of a run has come to nothing on this node, and another one follows, on any node; told once for each attempt.

    :ivar datetime scheduled_run_time: the nominal time
    :ivar int attempt: which attempt it was, from 1
    :ivar datetime retry_at: when the next one may start
    :ivar BaseException | None exception: what it raised
    :ivar str | None traceback: the formatted traceback
    :ivar Run run: the record of the run, which waits
    """

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str | None,
        scheduled_run_time: datetime,
        retry_at: datetime,
        exception: BaseException | None,
        run: Run,
    ) -> None:
        super().__init__(code, job_id, jobstore, scheduled_run_time, run)
        self.retry_at = retry_at
        self.exception = exception
        self.traceback = run.traceback


class JobTimedOutEvent(_AttemptEvent):
    """The time of a run that is under way on this node is over; the run is stopped or asked to stop, and its end has another event.

    :ivar datetime scheduled_run_time: the nominal time
    :ivar int attempt: which try of the run this is, from 1
    :ivar str reason: "timeout", or "no heartbeat"
    :ivar Run run: the run under way
    """

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str | None,
        scheduled_run_time: datetime,
        reason: str,
        run: Run,
    ) -> None:
        super().__init__(code, job_id, jobstore, scheduled_run_time, run)
        self.reason = reason


class JobOnFailureErrorEvent(JobEvent):
    """What a job wanted to be called with a failed run (``on_failure``) has failed itself, or could not be called.

    :ivar datetime scheduled_run_time: the nominal time of the failed run
    :ivar str reason: what is wrong
    :ivar BaseException | None exception: what it raised
    :ivar Run run: the record of the failed run
    """

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str | None,
        reason: str,
        exception: BaseException | None,
        run: Run,
    ) -> None:
        super().__init__(code, job_id, jobstore)
        self.scheduled_run_time = run.scheduled_run_time
        self.reason = reason
        self.exception = exception
        self.run = run


class JobSubmissionEvent(JobEvent):
    """Runs of a job were handed to an executor, or left out because the job ran already as often as it may.

    :ivar list[datetime] scheduled_run_times: the nominal times
    """

    def __init__(
        self, code: int, job_id: str, jobstore: str | None, scheduled_run_times: list[datetime]
    ) -> None:
        super().__init__(code, job_id, jobstore)
        self.scheduled_run_times = scheduled_run_times


class JobExecutionEvent(JobEvent):
    """A run has ended, and the store knows it.

    :ivar datetime scheduled_run_time: the nominal time (for a range of missed times: the last one)
    :ivar retval: the return value, for EXECUTED
    :ivar exception: the exception, for ERROR
    :ivar str | None traceback: the formatted traceback, for ERROR
    :ivar Run | None run: the whole record: attempt, start, end, status, reason, count
    """

    def __init__(
        self,
        code: int,
        job_id: str,
        jobstore: str | None,
        scheduled_run_time: datetime,
        retval: Any = None,
        exception: BaseException | None = None,
        traceback: str | None = None,
        run: Run | None = None,
    ) -> None:
        super().__init__(code, job_id, jobstore)
        self.scheduled_run_time = scheduled_run_time
        self.retval = retval
        self.exception = exception
        self.traceback = traceback
        self.run = run

    @property
    def name(self) -> str | None:
        """The name of the job, which may be in no store any more: one that runs once is gone when its run ends."""
        return self.run.name if self.run is not None else None

    @property
    def func_ref(self) -> str | None:
        """The textual reference to what the job calls, None if it has none."""
        return self.run.func if self.run is not None else None

    @property
    def attempt(self) -> int:
        """Which try of the run this was, from 1."""
        return self.run.attempt if self.run is not None else 1

    @property
    def outcome(self) -> str | None:
        """The run's end state, such as ``"succeeded"``."""
        return self.run.status if self.run is not None else None

    @property
    def started_at(self) -> datetime | None:
        """When the run started (UTC), or None if it did not."""
        return None if self.run is None or self.run.started_at is None else moment(self.run.started_at)

    @property
    def finished_at(self) -> datetime | None:
        """When the run ended (UTC)."""
        return None if self.run is None or self.run.finished_at is None else moment(self.run.finished_at)


_OF_RUNS = (
    EVENT_JOB_EXECUTED
    | EVENT_JOB_ERROR
    | EVENT_JOB_MISSED
    | EVENT_JOB_LOST
    | EVENT_JOB_CANCELLED
    | EVENT_JOB_REFUSED
)
_OF_SUBMISSIONS = EVENT_JOB_SUBMITTED | EVENT_JOB_MAX_INSTANCES
_OF_HEALTH = EVENT_SCHEDULER_DEGRADED | EVENT_SCHEDULER_RECOVERED | EVENT_JOBSTORE_REPLACED
#: The codes with which events of each class, and of those derived from it, are sent.
CODES: dict[type[SchedulerEvent], int] = {
    SchedulerEvent: EVENT_ALL,
    SchedulerHealthEvent: _OF_HEALTH | EVENT_SCHEDULER_STALLED,
    SchedulerStalledEvent: EVENT_SCHEDULER_STALLED,
    ClockEvent: EVENT_CLOCK_JUMPED,
    JobEvent: (
        EVENT_JOB_ADDED
        | EVENT_JOB_REMOVED
        | EVENT_JOB_MODIFIED
        | EVENT_JOB_PAUSED
        | EVENT_JOB_QUARANTINED
        | EVENT_JOB_RESTORED
        | EVENT_JOB_STARTED
        | EVENT_JOB_CANCEL_REQUESTED
        | EVENT_JOB_TIMED_OUT
        | EVENT_JOB_ON_FAILURE_ERROR
        | EVENT_JOB_RETRYING
        | _OF_SUBMISSIONS
        | _OF_RUNS
    ),
    JobPausedEvent: EVENT_JOB_PAUSED,
    JobRetryingEvent: EVENT_JOB_RETRYING,
    JobStartedEvent: EVENT_JOB_STARTED,
    JobCancelRequestedEvent: EVENT_JOB_CANCEL_REQUESTED,
    JobTimedOutEvent: EVENT_JOB_TIMED_OUT,
    JobOnFailureErrorEvent: EVENT_JOB_ON_FAILURE_ERROR,
    JobQuarantineEvent: EVENT_JOB_QUARANTINED,
    JobSubmissionEvent: _OF_SUBMISSIONS,
    JobExecutionEvent: _OF_RUNS,
}
