"""The port of all executors, and the steps in which any of them carries a run out.

An executor knows neither store nor scheduler: a run's end goes through the callback that came with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextvars import ContextVar, copy_context
from functools import partial
from itertools import pairwise
from threading import RLock

from ..clock import SYSTEM_CLOCK, Clock, instant
from ..core.run import CANCELLED, FAILED, MISSED, Run, end, fail, is_expired, succeed
from ..errors import CommandStoppedError, MaxInstancesReachedError, NoCurrentRunError
from ..events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from ..logs import ClassLogger, get_logger

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Container, Coroutine, Sequence
    from contextvars import Context
    from datetime import datetime
    from typing import Any

    from ..job import Job

    #: called once for each run, from any thread, after the run has ended
    Done = Callable[[Run], None]

__all__ = (
    "BaseExecutor",
    "MaxInstancesReachedError",
    "current_run",
    "logging",
    "run_coroutine_job",
    "run_job",
)

#: How many runs an executor without workers of its own takes at once.
UNBOUNDED = 1000

#: The flag of ``async def`` in a code object, and what markcoroutinefunction() leaves on others (inspect is slow to load).
_CO_COROUTINE = 0x80
_COROUTINE_MARKS = ("_is_coroutine_mark", "_is_coroutine_marker", "_is_coroutine")


def __getattr__(name: str) -> Any:
    if name == "logging":  # public code is seen to import it from here; see rota.logs
        import logging

        return logging
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_current: ContextVar[Run] = ContextVar("rota.current_run")


def current_run() -> Run:
    """Return the run that the calling code belongs to: its id, attempt, nominal time, deadline and cancel flag.

    Works in threads, coroutines and worker processes, and in what they call.

    :raises NoCurrentRunError: outside a run
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentRunError(
            "current_run() was called outside a run; only code that a job calls has one"
        ) from None


class BaseExecutor(ABC):
    """Base class of all executors.

    A third-party executor implements :meth:`_do_submit_job` and calls :meth:`_run_job_success` or
    :meth:`_run_job_error` when the job has ended, as in APScheduler 3. Rota's own are :class:`NativeExecutor`.
    """

    #: whether shutdown() takes a while even when nothing is under way; a host on a loop then does it aside
    slow_to_stop = False
    _scheduler: Any = None
    _logger: Any = ClassLogger("rota.executors")
    _clock: Clock = SYSTEM_CLOCK
    _context: Context

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready; the scheduler calls it when it starts or when the executor is added to it.

        :param scheduler: the scheduler that starts this executor
        :param alias: alias of this executor in the scheduler
        """
        self._scheduler = scheduler
        self._logger = get_logger(f"rota.executors.{alias}")
        self._clock = getattr(scheduler, "clock", None) or SYSTEM_CLOCK
        self._context = copy_context()

    def shutdown(self, wait: bool = True) -> None:  # noqa: B027  # optional to override, as in APScheduler
        """Stop the executor; it can be started again.

        :param wait: whether to wait until all runs that were handed over have ended
        """

    def cancel(self) -> None:  # noqa: B027  # an executor that cannot cancel has nothing to do
        """Ask the runs that are under way to stop, and end those that have not started as cancelled."""

    def forked(self) -> None:
        """Forget the runs and the locks of the parent process; called in a forked child."""
        self.__dict__.pop("_instance_counts", None)
        self.__dict__.pop("_waiting_runs", None)
        if isinstance(self.__dict__.get("_lock"), type(RLock())):
            self.__dict__["_lock"] = RLock()

    def capacity(self) -> int:
        """Return how many more runs the executor has room for now."""
        return UNBOUNDED

    def roomy(self) -> bool:
        """Whether so much room has come free that another pass of the engine pays."""
        return self.capacity() > 0

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out. Thread-safe; it does not wait for them.

        A run whose ``then`` is set heads a group: its members are executed one after another.

        :param runs: heads of groups of claimed runs, with ``job`` set
        :param done: called once for every run (each member of a group) after it has ended
        """
        for head in runs:
            self._submit_legacy(head, done)

    # -- APScheduler's extension points --------------------------------------------------------------------------

    @abstractmethod
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Arrange for :func:`run_job` to be called (third-party executors)."""

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Execute a job for the given nominal times, without a ledger (APScheduler's interface).

        :raises MaxInstancesReachedError: if the job runs as often as it may already
        """
        with self._legacy_lock:
            if self._instances.get(job.id, 0) >= job.max_instances:
                raise MaxInstancesReachedError(job)
            self._instances[job.id] = self._instances.get(job.id, 0) + 1
        try:
            self._do_submit_job(job, run_times)
        except BaseException:
            self._leave(job.id)
            raise

    def _run_job_success(self, job_id: str, events: list[JobExecutionEvent]) -> None:
        """Take the events of a job that has been executed (third-party executors call it)."""
        by_time = {instant(event.scheduled_run_time): event for event in events}
        waiting = self._leave(job_id, by_time)
        if waiting is None:
            for event in events:
                self._scheduler._dispatch_event(event)
            return
        head, done = waiting
        for run in chain(head):
            _outcome_of_event(run, by_time.get(run.nominal), self._clock.now())
            done(run)

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: Any = None) -> None:
        """Take the error that kept a job from being executed (third-party executors call it)."""
        waiting = self._leave(job_id)
        self._logger.error("Error running job %s", job_id, exc_info=(type(exc), exc, traceback))
        if waiting is not None:
            head, done = waiting
            for run in chain(head):
                fail(run, exc, "", self._clock.now())
                done(run)

    def _submit_legacy(self, head: Run, done: Done) -> None:
        job = head.job
        assert job is not None
        runs = list(chain(head))
        with self._legacy_lock:
            self._waiting.setdefault(job.id, []).append((head, done))
            self._instances[job.id] = self._instances.get(job.id, 0) + 1
        try:
            self._do_submit_job(job, [run.scheduled_run_time for run in runs])
        except BaseException as exc:  # it is the outcome of the runs
            self._run_job_error(job.id, exc, exc.__traceback__)

    def _leave(self, job_id: str, ended: Container[int] = ()) -> tuple[Run, Done] | None:
        with self._legacy_lock:
            left = self._instances.get(job_id, 0) - 1
            if left > 0:
                self._instances[job_id] = left
            else:
                self._instances.pop(job_id, None)
            waiting = self._waiting.get(job_id)
            if not waiting:
                return None
            # Overlapping runs end in any order. An error does not tell which one it was: then the oldest is meant.
            index = next((i for i, (head, _) in enumerate(waiting) if head.nominal in ended), 0)
            found = waiting.pop(index)
            if not waiting:
                del self._waiting[job_id]
            return found

    # Third-party executors need not call our __init__(), so this state is made when it is first asked for.
    @property
    def _legacy_lock(self) -> Any:
        return self.__dict__.setdefault("_lock", RLock())

    @property
    def _instances(self) -> dict[str, int]:
        counts: dict[str, int] = self.__dict__.setdefault("_instance_counts", {})
        return counts

    @property
    def _waiting(self) -> dict[str, list[tuple[Run, Done]]]:
        waiting: dict[str, list[tuple[Run, Done]]] = self.__dict__.setdefault("_waiting_runs", {})
        return waiting


class NativeExecutor(BaseExecutor):
    """Base class of Rota's own executors: they implement :meth:`submit`; APScheduler's interface goes through it.

    A program's subclass that overrides :meth:`_do_submit_job` alone is given each job by that method, as in APScheduler.
    """

    #: the class whose ``submit()`` carries runs out
    _native: type[NativeExecutor]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "submit" in cls.__dict__:
            cls._native = cls
        elif "_do_submit_job" in cls.__dict__:
            cls.submit = BaseExecutor.submit  # type: ignore[method-assign]

    @abstractmethod
    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out; see :meth:`BaseExecutor.submit`."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        runs = [_run_for(job, run_time) for run_time in run_times]
        for run, following in pairwise(runs):
            run.then = following
        alias: str | None = getattr(job, "_jobstore_alias", None)
        events: list[JobExecutionEvent] = []

        def done(run: Run) -> None:
            events.append(_event_of_run(run, alias))
            if len(events) == len(runs):
                self._run_job_success(job.id, events)

        self._native.submit(self, runs[:1], done)


# -- the steps of a run ------------------------------------------------------------------------------------------


def chain(head: Run) -> Sequence[Run]:
    """Return the members of a group, in the order of their execution."""
    runs = [head]
    while runs[-1].then is not None:
        runs.append(runs[-1].then)
    return runs


def is_coroutine_function(func: Any) -> bool:
    """Whether calling something gives a coroutine; partials and objects with an async ``__call__`` count.

    What it cannot know (a lambda that returns a coroutine) is found when it is called.
    """
    while isinstance(func, partial):
        func = func.func
    code = getattr(func, "__code__", None)
    if code is None:
        code = getattr(getattr(type(func), "__call__", None), "__code__", None)  # noqa: B004  # not whether, but which
    if code is not None and code.co_flags & _CO_COROUTINE:
        return True
    return any(hasattr(func, mark) for mark in _COROUTINE_MARKS)


def perform(run: Run, context: Context, clock: Clock, logger: logging.Logger) -> Any:
    """Call a run's job and write the outcome into the run.

    The steps: too late or cancelled? call, outcome. Whatever the job raises (BaseException too, as in APScheduler) is
    its outcome.

    :param context: the context variables that the job sees; a copy of it is made for the run
    :return: None, or a coroutine that the caller has to await by :func:`perform_coroutine` (the run has not ended then)
    """
    job = run.job
    now = clock.now()
    if run.cancelled:
        return end(run, CANCELLED, "cancelled before it started", now)
    if job is not None and job.policy.expires is not None and is_expired(run, now):
        return end(run, MISSED, "expired", now)
    run.started_at = now
    try:
        retval = context.copy().run(_call, run, job)
        if retval is not None and type(retval).__name__ == "coroutine" and hasattr(retval, "send"):
            return retval
    except BaseException as exc:  # it is the outcome of the run
        if _is_killed(run, exc):
            end(run, CANCELLED, "cancelled while it was running", clock.now())
        elif isinstance(exc, CommandStoppedError):
            end(run, CANCELLED, str(exc), clock.now())
        else:
            record_failure(run, exc, clock.now(), logger)
    else:
        succeed(run, retval, clock.now())
    return None


def _is_killed(run: Run, exc: BaseException) -> bool:
    """Whether this is how gevent ends a greenlet that somebody asked to stop."""
    return run.cancelled and type(exc).__name__ == "GreenletExit"


async def perform_coroutine(
    run: Run, coroutine: Coroutine[Any, Any, Any], clock: Clock, logger: logging.Logger
) -> None:
    """Await the coroutine that :func:`perform` returned and write the outcome into the run.

    It needs a context of its own (a task has one), in which the run stays the current one.
    """
    _current.set(run)
    try:
        retval = await coroutine
    except BaseException as exc:  # it is the outcome of the run
        if type(exc).__name__ == "CancelledError":  # asyncio's or Twisted's, of which neither need be loaded
            end(run, CANCELLED, "cancelled while it was running", clock.now())
        else:
            record_failure(run, exc, clock.now(), logger)
    else:
        succeed(run, retval, clock.now())


def record_failure(run: Run, exc: BaseException, now: int, logger: logging.Logger) -> None:
    """End a run with the exception that it raised, and log it with its traceback."""
    import traceback

    formatted = "".join(traceback.format_tb(exc.__traceback__))
    fail(run, exc, formatted, now)
    logger.error('Job "%s" raised an exception', run.job or run.job_id, exc_info=exc)
    # Frames keep a job's locals alive through the exception that the event carries.
    traceback.clear_frames(exc.__traceback__)


def _call(run: Run, job: Any) -> Any:
    _current.set(run)
    kwargs = job._rare.kwargs
    return job.func(*job.args, **kwargs) if kwargs else job.func(*job.args)


# -- APScheduler's module functions, for third-party executors ---------------------------------------------------


def run_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """Call a job once for each nominal time and return the events (APScheduler's function, for custom executors)."""
    events = []
    for run_time in run_times:
        run = _run_for(job, run_time)
        if perform(run, copy_context(), SYSTEM_CLOCK, get_logger(logger_name)) is not None:
            raise TypeError(f"{job} is a coroutine function; use run_coroutine_job()")
        events.append(_event_of_run(run, jobstore_alias))
    return events


async def run_coroutine_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """The same as :func:`run_job` for coroutine functions."""
    events = []
    logger = get_logger(logger_name)
    for run_time in run_times:
        run = _run_for(job, run_time)
        coroutine = perform(run, copy_context(), SYSTEM_CLOCK, logger)
        if coroutine is not None:
            await perform_coroutine(run, coroutine, SYSTEM_CLOCK, logger)
        events.append(_event_of_run(run, jobstore_alias))
    return events


def _run_for(job: Job, run_time: datetime) -> Run:
    nominal = instant(run_time)
    return Run(job.id, nominal, nominal, job, job.executor)


def _event_of_run(run: Run, jobstore_alias: str | None) -> JobExecutionEvent:
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


def _outcome_of_event(run: Run, event: JobExecutionEvent | None, now: int) -> None:
    """Write into a run what a third-party executor reported by an event."""
    if event is None:
        end(run, FAILED, "the executor reported no outcome", now)
    elif event.code == EVENT_JOB_ERROR:
        fail(run, event.exception or RuntimeError("unknown"), event.traceback or "", now)
    elif event.code == EVENT_JOB_MISSED:
        end(run, MISSED, "too late", now)
    else:
        succeed(run, event.retval, now)
    if event is not None and event.run is not None:
        run.started_at, run.finished_at = event.run.started_at, event.run.finished_at
