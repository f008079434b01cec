"""The port of all executors, and the bridge to those that were written for APScheduler 3.

An executor knows neither store nor scheduler: a run's end goes through the callback that came with it.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from itertools import pairwise
from threading import RLock

from ..clock import SYSTEM_CLOCK, Clock, instant
from ..core.run import Run, fail, time_of
from ..core.states import CANCELLED, CLAIMED, LOST, end
from ..errors import MaxInstancesReachedError
from ..interrupts import is_interrupt
from ..logs import GuardedLogger, LoggerAttribute
from ..texts import traceback_of
from .steps import (
    chain,
    context_of,
    current_run,
    is_coroutine_function,
    perform,
    perform_coroutine,
    submitted,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Collection, Sequence
    from contextvars import Context
    from datetime import datetime
    from typing import Any

    from ..events import JobExecutionEvent
    from ..job.handle import Job
    from .reports import run_coroutine_job, run_job

    #: called once for each run, from any thread, after the run has ended
    Done = Callable[[Run], None]

__all__ = (
    "BaseExecutor",
    "MaxInstancesReachedError",
    "chain",
    "current_run",
    "is_coroutine_function",
    "logging",
    "perform",
    "perform_coroutine",
    "run_coroutine_job",
    "run_job",
)

#: How many runs an executor without workers of its own takes at once.
UNBOUNDED = 1000
#: How many reports of a job that overlaps itself are remembered, so that none counts twice.
_REMEMBERED = 100


def __getattr__(name: str) -> Any:
    if name == "logging":  # public code is seen to import it from here; see rota.logs
        import logging

        return logging
    if name in ("run_coroutine_job", "run_job"):  # only executors of others call these
        from . import reports

        return getattr(reports, name)
    from ..compat.names import of_module  # rare

    return of_module(__name__, name)


class BaseExecutor(ABC):
    """Base class of all executors.

    A third-party executor implements :meth:`_do_submit_job` and calls :meth:`_run_job_success` or
    :meth:`_run_job_error` when the job has ended, as in APScheduler 3. Rota's own are :class:`NativeExecutor`.
    """

    #: whether shutdown() takes a while even when nothing is under way; a host on a loop then does it aside
    slow_to_stop = False
    #: True while the interpreter exits: a run that is ended by force is lost then, and not cancelled, so that it is executed
    #: again if its job says so
    exiting = False
    #: to be called when a run leaves its room to others before it ends; the engine sets it
    room_came_free: Callable[[], object] = staticmethod(bool)
    _scheduler: Any = None
    #: what the executor itself logs goes through this one
    _log: GuardedLogger = GuardedLogger("rota.executors")
    #: the logger as programs and their executors use it
    _logger: Any = LoggerAttribute("rota.executors")
    _clock: Clock = SYSTEM_CLOCK
    #: None before the start, as in APScheduler
    _lock: Any = None
    #: the context variables that runs see; each gets a copy
    _context: Context

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready; the scheduler calls it when it starts or when the executor is added to it.

        :param scheduler: the scheduler that starts this executor
        :param alias: alias of this executor in the scheduler
        """
        self._scheduler = scheduler
        self._logger = f"rota.executors.{alias}"
        self._clock = getattr(scheduler, "clock", None) or SYSTEM_CLOCK
        self._context = context_of(scheduler)
        self.__dict__.setdefault("_lock", RLock())
        self.obey_program()

    def obey_program(self) -> None:  # noqa: B027  # third-party executors are asked by these methods anyway
        """Look which of APScheduler's methods the program has replaced, so that they are not passed by."""

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
        self.__dict__.pop("_reported_times", None)
        self.__dict__.pop("_given_submissions", None)
        submitted.clear()
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

        All or nothing: what it has taken, only the executor ends. If it raises, it has taken none of the runs (and started
        none), and the caller ends them all. What is wrong with a single run is that run's outcome.

        :param runs: heads of groups of claimed runs, with ``job`` set
        :param done: called once for every run (each member of a group) after it has ended
        """
        for head in runs:
            self._submit_legacy(head, done)

    def function_room(self) -> int | None:
        """Return how many more plain functions there is room for, where :meth:`capacity` counts coroutines; else None."""
        return None

    def _report(self, run: Run, done: Done) -> None:
        """Hand an ended run to its callback: the one way out of every executor. It raises nothing but Ctrl-C."""
        if run.status == CLAIMED:
            fail(
                run,
                RuntimeError("the executor ended the run without an outcome"),
                "",
                time_of(run, self._clock),
            )
        elif self.exiting and run.status == CANCELLED and run.started_at is not None:
            end(run, LOST, "the program ended while it was running", time_of(run, self._clock))
        try:
            done(run)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self._log.error("Error while recording the end of %s", run, exc_info=exc)

    def _refuse(self, run: Run, exc: BaseException) -> None:
        """End a run with the error that kept the executor from carrying it out."""
        fail(run, exc, traceback_of(exc), time_of(run, self._clock))
        self._log.error('The run of job "%s" cannot be carried out', run.job_id, exc_info=exc)

    # -- APScheduler's extension points --------------------------------------------------------------------------

    @abstractmethod
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Arrange for :func:`run_job` to be called (third-party executors)."""

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Execute a job for the given nominal times, without a ledger (APScheduler's interface).

        :raises MaxInstancesReachedError: if the job runs as often as it may already
        """
        with self._legacy_lock:
            given = self._given.pop(job.id, None)  # what the engine has given to an override of this method
            if given is None and self._counts.get(job.id, 0) >= job.max_instances:
                raise MaxInstancesReachedError(job)
            submission = given or Submission(None, None, [instant(time) for time in run_times])
            self._enter(job.id, submission)
        try:
            self._do_submit_job(job, run_times)
        except BaseException:
            if self._leave(job.id, submission) and given is not None:
                self._given[job.id] = given  # whatever becomes of the error
            raise

    def _run_job_success(self, job_id: str, events: list[JobExecutionEvent]) -> None:
        """Take the events of a job that has been executed (third-party executors call it).

        A second report of the same run, and one of a job that was not submitted, is ignored.
        """
        from .reports import by_time, write_outcome  # import time

        reported = by_time(events)
        submission = self._find(job_id, reported)
        if submission is None:
            self._log.debug("A report for job %s is ignored: no run of it waits for one", job_id)
        elif submission.head is None or submission.done is None:
            for event in events:
                self._scheduler._dispatch_event(event)
        else:
            for run in chain(submission.head):
                try:
                    write_outcome(run, reported.get(run.nominal), time_of(run, self._clock))
                except BaseException as exc:  # an event that is not what it looks like
                    self._refuse(run, exc)
                self._report(run, submission.done)

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: Any = None) -> None:
        """Take the error that kept a job from being executed (third-party executors call it)."""
        submission = self._find(job_id, ())
        if submission is None:
            self._log.debug("An error of job %s is ignored: no run of it waits for a report", job_id)
            return
        self._log.error("Error running job %s", job_id, exc_info=(type(exc), exc, traceback))
        self._fail_all(submission, exc)

    def _submit_legacy(self, head: Run, done: Done) -> None:
        job = head.job
        assert job is not None
        runs = chain(head)
        submission = Submission(head, done, [run.nominal for run in runs])
        if head.permission is not None:
            submitted[id(job)] = (runs, self._clock)
        times = [run.scheduled_run_time for run in runs]
        if type(self).submit_job is not BaseExecutor.submit_job or "submit_job" in self.__dict__:
            from ..compat.executors import submit_by_override  # import time

            submit_by_override(self, job, times, submission)
            return
        with self._legacy_lock:
            self._enter(job.id, submission)
        try:
            self._do_submit_job(job, times)
        except BaseException as exc:  # it is the outcome of the runs, unless they have been reported
            if self._leave(job.id, submission):
                self._log.error("Error running job %s", job.id, exc_info=exc)
                self._fail_all(submission, exc)

    def _fail_all(self, submission: Submission, exc: BaseException) -> None:
        if submission.head is not None and submission.done is not None:
            for run in chain(submission.head):
                fail(run, exc, "", time_of(run, self._clock))
                self._report(run, submission.done)

    def _stop(self, wait: bool = True) -> None:
        """Shut the executor down, and end what it will not report any more."""
        try:
            self.shutdown(wait)
        finally:
            with self._legacy_lock:
                left = [submission for waiting in self._waiting.values() for submission in waiting]
                for submission in left:
                    submission.forget()
                self._waiting.clear()
                self._counts.clear()
            for submission in left:
                if submission.head is not None and submission.done is not None:
                    for run in chain(submission.head):
                        end(
                            run,
                            CANCELLED,
                            "the executor was shut down and had not reported it",
                            time_of(run, self._clock),
                        )
                        self._report(run, submission.done)

    # Which submission a report belongs to. Overlapping runs end in any order; an error does not tell which one it was: then
    # the oldest is meant.

    def _enter(self, job_id: str, submission: Submission) -> Submission:
        self._waiting.setdefault(job_id, []).append(submission)
        self._counts[job_id] = self._counts.get(job_id, 0) + 1
        return submission

    def _find(self, job_id: str, times: Collection[int]) -> Submission | None:
        """Take out the submission that a report about these nominal times ends; None if there is none."""
        with self._legacy_lock:
            waiting = self._waiting.get(job_id, [])
            found = next((one for one in waiting if any(time in times for time in one.times)), None)
            given = self._given.get(job_id)
            if found is None and given is not None and any(time in times for time in given.times):
                found = self._given.pop(job_id)  # an override of submit_job() counts and reports by itself
                waiting = self._waiting.setdefault(job_id, waiting)
                waiting.append(found)
            if not waiting:
                return None
            if found is None:
                known = self._reported.get(job_id, ())
                if times and all(time in known for time in times):
                    return None
                found = waiting[0]
            self._leave(job_id, found)
            return found

    def _leave(self, job_id: str, submission: Submission) -> bool:
        """Take a submission out; return whether it was still there."""
        with self._legacy_lock:
            waiting = self._waiting.get(job_id, [])
            if submission not in waiting:
                return False
            waiting.remove(submission)
            submission.forget()
            if waiting:
                self._reported.setdefault(job_id, deque(maxlen=_REMEMBERED)).extend(submission.times)
            else:
                self._waiting.pop(job_id, None)
                self._reported.pop(job_id, None)
            left = self._counts.get(job_id, 0) - 1
            if left > 0:
                self._counts[job_id] = left
            else:
                self._counts.pop(job_id, None)
            return True

    # Third-party executors need not call our __init__(), so this state is made when it is first asked for.
    @property
    def _legacy_lock(self) -> Any:
        return self.__dict__.setdefault("_lock", RLock())

    @property
    def _counts(self) -> dict[str, int]:
        counts: dict[str, int] | None = self.__dict__.get("_instance_counts")
        if counts is None:
            counts = self.__dict__.setdefault("_instance_counts", defaultdict(int))
        return counts

    @property
    def _instances(self) -> dict[str, int]:
        """How many submissions of each job are under way: APScheduler's name, which programs read and executors change."""
        return self._counts

    @_instances.setter
    def _instances(self, value: dict[str, int]) -> None:
        self.__dict__["_instance_counts"] = value

    @property
    def _given(self) -> dict[str, Submission]:
        given: dict[str, Submission] = self.__dict__.setdefault("_given_submissions", {})
        return given

    @property
    def _waiting(self) -> dict[str, list[Submission]]:
        waiting: dict[str, list[Submission]] = self.__dict__.setdefault("_waiting_runs", {})
        return waiting

    @property
    def _reported(self) -> dict[str, deque[int]]:
        reported: dict[str, deque[int]] = self.__dict__.setdefault("_reported_times", {})
        return reported


class Submission:
    """What a third-party executor was given at once: a group of runs, or a call of submit_job() (``head`` is None)."""

    __slots__ = ("done", "head", "times")

    def __init__(self, head: Run | None, done: Done | None, times: list[int]) -> None:
        self.head = head
        self.done = done
        #: its nominal times
        self.times = times

    def forget(self) -> None:
        """Let nobody find the runs by their job any more."""
        if self.head is not None:
            submitted.pop(id(self.head.job), None)


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

    def obey_program(self) -> None:
        """Take the way of APScheduler's methods from now on if the program has replaced one of them."""
        from ..compat.overrides import EXECUTOR_METHODS, own_module, replaced  # import time

        if replaced(self, EXECUTOR_METHODS):
            from ..compat.executors import obey  # rare

            obey(self)
        elif "run_job" in vars(sys.modules[own_module(type(self))]):
            from ..compat.executors import obey_run_job  # rare

            obey_run_job(self)

    @abstractmethod
    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out; see :meth:`BaseExecutor.submit`."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        from .reports import event_of_run, runs_of  # import time

        claimed, _ = submitted.get(id(job), ((), None))
        runs = list(runs_of(job, run_times, claimed))
        for run, following in pairwise(runs):
            run.then = following
        alias: str | None = getattr(job, "_jobstore_alias", None)
        events: list[JobExecutionEvent] = []

        def done(run: Run) -> None:
            events.append(event_of_run(run, alias))
            if len(events) == len(runs):
                self._run_job_success(job.id, events)

        self._native.submit(self, runs[:1], done)

    @property
    def _instances(self) -> dict[str, int]:
        from ..compat.executors import under_way  # rare

        return under_way(self)

    @_instances.setter
    def _instances(self, value: dict[str, int]) -> None:
        self.__dict__["_instance_counts"] = value
