"""What a scheduler has around its calls: middleware, resources, and the word that a run has started, for those who listen.

Its executors are told when that changes. It calls no middleware: :mod:`rota.executors.around` does, where the runs are carried out.
"""

from __future__ import annotations

from ..callables import required_by
from ..engine.announcements import local
from ..events import EVENT_JOB_STARTED, JobStartedEvent
from ..executors.around import Calls, named_middleware
from ..interrupts import is_interrupt
from .book import STATE_RUNNING
from .resources import Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..core.run import Run
    from ..executors.around import Middleware
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from .hooks import Hooks
    from .listeners import Listeners


class Around:
    """The middleware and the resources of one scheduler.

    :param scheduler: the scheduler, for its executors
    :param listening: its listeners
    :param log: returns its logger
    :ivar calls: how its executors call jobs; None: plainly
    """

    def __init__(self, scheduler: Hooks, listening: Listeners, log: Callable[[], GuardedLogger]) -> None:
        self._scheduler = scheduler
        self._log = log
        self._listening = listening
        self._middleware: tuple[Middleware, ...] = ()
        self.resources = Resources(self._resources_changed)
        self.calls: Calls | None = None

    def add_middleware(self, around: Any) -> None:
        """Enter a middleware inside those that are there already, from the next call on.

        :raises OptionTypeError: if it is none
        :raises ConfigurationError: if there is a process pool, and its workers could not import it
        """
        named = named_middleware(around)
        with self._scheduler._executors_lock:
            self._choose((*self._middleware, named))

    def lacking(self, job: Job) -> list[str]:
        """Return the names of the resources that a job needs, and that its executor could not give it here."""
        executor = self._scheduler._executors.get(job.executor)
        is_there = (
            self.resources if executor is None or not executor.in_workers else self.resources.in_workers
        )
        return [name for name in required_by(job) if name not in is_there]

    def _resources_changed(self) -> None:
        self.choose()
        if self._scheduler.state == STATE_RUNNING:
            self._scheduler.wakeup()  # a job may have waited for it

    def choose(self) -> None:
        """Have all executors call jobs as it is wanted now."""
        with self._scheduler._executors_lock:
            self._choose(self._middleware)

    def _choose(self, middleware: tuple[Middleware, ...]) -> None:
        """Have all executors call jobs inside this middleware; if one of them cannot, all stays as it was."""
        is_told = self._listening.mask & EVENT_JOB_STARTED
        calls = None
        resources = self.resources
        if middleware or is_told or resources or resources.in_workers:
            calls = Calls(middleware, self._tell_started if is_told else None, resources)
        executors = list(self._scheduler._executors.values())
        try:
            for executor in executors:
                executor.use_calls(calls)
        except BaseException:
            for executor in executors:
                executor.use_calls(self.calls)
            raise
        self._middleware, self.calls = middleware, calls

    def _tell_started(self, run: Run) -> None:
        """Send the event of a run that is about to be called; that costs the run nothing but time."""
        try:
            alias = getattr(run.job, "_jobstore_alias", None)
            if alias is None:  # the call of an on_failure, which is no run of the ledger
                return
            event = JobStartedEvent(EVENT_JOB_STARTED, run.job_id, alias, local(run.job, run.nominal), run)
            self._scheduler._enqueue_event(event)
        except BaseException as exc:  # a host may override it
            if is_interrupt(exc):
                raise
            self._log().error("The start of %r cannot be told", run, exc_info=exc)
