"""The port of all executors: what one must do, and what Rota's own have in common.

An executor calls neither store nor engine: a run's end goes through the callback that came with it.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from functools import partial
from threading import RLock
from types import MethodType

from ..clock import SYSTEM_CLOCK, Clock
from ..compat.absent import inner_name
from ..core.run import Run, fail, time_of
from ..core.states import CANCELLED, CLAIMED, LOST, end
from ..errors import MaxInstancesReachedError
from ..interrupts import is_interrupt
from ..logs import GuardedLogger, LoggerAttribute
from ..texts import traceback_of
from .steps import (
    NOT_STARTED,
    cancel_unstarted,
    chain,
    close_quietly,
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
    from collections.abc import Callable, Coroutine, Sequence
    from contextvars import Context
    from datetime import datetime
    from typing import Any

    from ..events import JobExecutionEvent
    from ..job.handle import Job
    from .apscheduler import run_coroutine_job, run_job
    from .around import Calls
    from .steps import Done, WriteEnd
    from .submissions import Submissions

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


def __getattr__(name: str) -> Any:
    if name == "logging":  # public code is seen to import it from here; see rota.logs
        import logging  # rare

        return logging
    if name in ("run_coroutine_job", "run_job"):  # only third-party executors call these
        from . import apscheduler  # rare

        return getattr(apscheduler, name)
    return inner_name(__name__, name)


class BaseExecutor(ABC):
    """Base class of all executors.

    A third-party executor implements :meth:`_do_submit_job` and calls :meth:`_run_job_success` or
    :meth:`_run_job_error` when the job has ended, as in APScheduler 3. Rota's own are :class:`NativeExecutor`.
    """

    #: whether shutdown() takes a while even if nothing is under way; a host on a loop then calls it in another thread
    slow_to_stop = False
    #: whether jobs are called in worker processes, which have resources of their own
    in_workers = False
    #: whether a run that was asked to stop before it has started is never called when its turn comes: then it ends at once
    skips_cancelled = False
    #: True while the interpreter exits: a run that is stopped by force is then lost and not cancelled, so that its job decides
    #: whether it is executed again
    exiting = False
    #: called when a run stops taking up room before it has ended; the engine sets it
    room_came_free: Callable[[], object] = staticmethod(bool)
    _scheduler: Any = None
    #: carries a run out; it is chosen once, by use_calls()
    _perform: Callable[..., Any] = staticmethod(perform)
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
        """Find out which of APScheduler's methods the program has replaced, so that they are called."""

    def use_calls(self, calls: Calls | None) -> None:
        """Call jobs in this way from now on: inside middleware, with resources, telling of their starts.

        :param calls: None: call them plainly
        :raises ConfigurationError: if the executor cannot do that
        """
        self._perform = perform if calls is None else partial(perform, call=calls.call)

    def shutdown(self, wait: bool = True) -> None:  # noqa: B027  # optional to override, as in APScheduler
        """Stop the executor; it can be started again.

        :param wait: whether to wait until all runs that were handed over have ended
        """

    def cancel(self) -> None:  # noqa: B027  # an executor that cannot cancel has nothing to do
        """Ask the runs that are under way to stop, and end those that have not started as cancelled."""

    def cancel_run(self, run: Run) -> None:  # noqa: B027  # a thread is asked by the flag alone
        """Have a run stop that is asked to (``run.cancelled`` is set): a coroutine or greenlet is cancelled.

        :param run: a run that was handed to this executor; one that it does not have any more is left alone
        """

    def terminate_run(self, run: Run) -> None:
        """Have a run stop, by force where that can be (``run.cancelled`` is set).

        A coroutine or greenlet is cancelled, a worker process ended and replaced. What can only be asked, such as a thread, goes on
        and keeps its place until it returns. The run is reported as ever; the engine makes "timed_out" of its end if its time was
        over. This does not wait.

        :param run: a run that was handed to this executor; one that it does not have any more is left alone
        """
        self.cancel_run(run)

    def forked(self) -> None:
        """Forget the runs and the locks of the parent process; called in a forked child."""
        self.__dict__.pop("_own_submissions", None)
        submitted.clear()
        if isinstance(self.__dict__.get("_lock"), type(RLock())):
            self.__dict__["_lock"] = RLock()

    def capacity(self) -> int:
        """Return how many more runs the executor has room for now."""
        return UNBOUNDED

    def worth_a_pass(self) -> bool:
        """Whether so much room has come free that another pass of the engine pays."""
        return self.capacity() > 0

    def function_workers(self) -> int | None:
        """Return how many plain functions run at the same time, None: any number, or it is not known."""
        return None

    def free_workers(self) -> int:
        """Return how many more plain functions would begin at once; below 0: so many wait for others to end."""
        return self.capacity()

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out. Thread-safe; it does not wait for them.

        A run whose ``then`` is set heads a group: its members are executed one after another.

        All or nothing: what it has taken, only the executor ends. If it raises, it has taken none of the runs (and started
        none), and the caller ends them all. What is wrong with a single run is that run's outcome.

        :param runs: heads of groups of claimed runs, with ``job`` set
        :param done: called once for every run (each member of a group) after it has ended
        """
        submissions = self._submissions
        if type(self).submit_job is not BaseExecutor.submit_job or "submit_job" in self.__dict__:
            submit = submissions.submit_by_override
        else:
            submit = submissions.submit
        for head in runs:
            submit(head, done, self._clock)

    def function_room(self) -> int | None:
        """Return the room for plain functions if :meth:`capacity` is that for coroutines, else None."""
        return None

    def _report(self, run: Run, done: Done) -> None:
        """Call the callback of a run that has ended. All executors report by this method; it raises nothing but Ctrl-C."""
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

    def _end_group(self, head: Run, done: Done, write_end: WriteEnd) -> None:
        """End and report each run of a group that will not be carried out.

        :param write_end: writes the end of a run, at an instant
        """
        for run in chain(head):
            write_end(run, time_of(run, self._clock))
            self._report(run, done)

    def _cancel_group(self, head: Run, done: Done) -> None:
        """End the runs of a group that have not started as cancelled, and report them."""
        self._end_group(head, done, cancel_unstarted)

    def _refuse_group(self, head: Run, done: Done, exc: BaseException) -> None:
        """End the runs of a group with the error that kept the executor from carrying them out, and report them."""
        self._end_group(head, done, lambda run, _: self._refuse(run, exc))

    def _stop(self, wait: bool = True) -> None:
        """Shut the executor down, and end what it will not report any more."""
        try:
            self.shutdown(wait)
        finally:
            if "_own_submissions" in self.__dict__:
                self._submissions.end_unreported()

    # -- APScheduler's extension points --------------------------------------------------------------------------

    @abstractmethod
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Arrange for :func:`run_job` to be called (third-party executors)."""

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Execute a job for the given nominal times, without a ledger (APScheduler's interface).

        :raises MaxInstancesReachedError: if the job runs as often as it may already
        """
        self._submissions.submit_job(job, run_times)

    def _run_job_success(self, job_id: str, events: list[JobExecutionEvent]) -> None:
        """Take the events of a job that has been executed (third-party executors call it).

        A second report of the same run, and one of a job that was not submitted, is ignored.
        """
        self._submissions.report(job_id, events)

    def _run_job_error(self, job_id: str, exc: BaseException, traceback: Any = None) -> None:
        """Take the error that kept a job from being executed (third-party executors call it)."""
        self._submissions.report_error(job_id, exc, traceback)

    @property
    def _submissions(self) -> Submissions:
        """What APScheduler's methods were given; third-party executors need not call our __init__()."""
        found: Submissions | None = self.__dict__.get("_own_submissions")
        if found is None:
            from .submissions import Submissions  # import time

            found = Submissions(self, self._end_group, self._refuse, self._log)
            found = self.__dict__.setdefault("_own_submissions", found)
        return found

    @property
    def _instances(self) -> dict[str, int]:
        """How many submissions of each job are under way: APScheduler's name, which programs read and executors change."""
        return self._submissions.counts

    @_instances.setter
    def _instances(self, value: dict[str, int]) -> None:
        self._submissions.counts = value


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
        """Use APScheduler's methods from now on if the program has replaced one of them."""
        from ..compat.overrides import EXECUTOR_METHODS, own_module, replaced  # import time

        if replaced(self, EXECUTOR_METHODS):
            self.use_hooks()
        elif "run_job" in vars(sys.modules[own_module(type(self))]):
            from ..compat.executors import obey_run_job  # rare

            self.skips_cancelled = False
            obey_run_job(self)

    def _end_unfinished(
        self,
        run: Run,
        awaited: Coroutine[Any, Any, Any] | None,
        error: BaseException | None,
        reason: str = NOT_STARTED,
    ) -> None:
        """End a run whose task has ended without its outcome: it was cancelled before its first step, or could not be made.

        :param awaited: the coroutine that the job returned, which will not be awaited any more
        :param error: what kept the task from being made or from carrying the run out, if anything did
        :param reason: the reason of the cancellation if there is no such error
        """
        if awaited is not None:
            close_quietly(awaited)
        if run.status == CLAIMED:
            if error is not None:
                self._refuse(run, error)
            else:
                end(run, CANCELLED, reason, time_of(run, self._clock))

    def loop_has_ended(self) -> None:
        """End and report what waits for the loop of the program, which does not run any more, where this executor needs one."""

    def use_hooks(self) -> None:
        """Carry runs out by APScheduler's methods from now on, as third-party executors do."""
        self.skips_cancelled = False
        self.__dict__.setdefault("submit", MethodType(BaseExecutor.submit, self))

    @abstractmethod
    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out; see :meth:`BaseExecutor.submit`."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._submissions.carry_out(job, run_times, partial(self._native.submit, self))

    @property
    def _instances(self) -> dict[str, int]:
        from ..compat.executors import under_way  # rare

        return under_way(self, self._submissions.counts)

    @_instances.setter
    def _instances(self, value: dict[str, int]) -> None:
        self._submissions.counts = value
