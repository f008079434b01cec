"""The executors and job stores of a scheduler by their aliases: they are added, opened, closed and removed.

It makes no passes; what becomes of the runs of a store that is removed is in :mod:`rota.schedulers.removal`.
"""

from __future__ import annotations

from ..errors import AliasInUseError, ConfigurationError, JobTypeError, SchedulerNotRunningError
from ..events import (
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOB_STARTED,
    EVENT_JOBSTORE_ADDED,
    SchedulerEvent,
)
from ..executors.base import BaseExecutor
from ..interrupts import is_interrupt
from ..jobstores.base import BaseJobStore
from .book import STATE_RUNNING, STATE_STOPPED
from .listeners import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ..core.run import Run
    from ..engine.engine import Engine
    from ..engine.store_state import StoreState
    from ..executors.around import Calls
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from .around import Around
    from .book import JobBook
    from .hooks import Hooks


class Registry:
    """Adds and removes the executors and job stores of a scheduler, and opens and closes the stores.

    :param scheduler: the scheduler, for its hooks
    :param book: its jobs
    """

    #: the scheduler's logger, guarded
    log: GuardedLogger
    #: held while a store is opened or closed
    _lock: Any

    def __init__(self, scheduler: Hooks, book: JobBook) -> None:
        self._scheduler = scheduler
        self._book = book
        #: what is around the calls of jobs; None: nothing ever was
        self._around: Around | None = None

    @property
    def around(self) -> Around:
        """What the scheduler has around its calls, made when it is first asked for."""
        if self._around is None:
            from .around import Around  # most programs have nothing around their calls

            self._around = Around(self._scheduler, self._book.listening, lambda: self.log)
        return self._around

    @property
    def calls(self) -> Calls | None:
        """How executors call jobs; None: plainly."""
        return None if self._around is None else self._around.calls

    def lacking(self, job: Job) -> Sequence[str]:
        """Return the names of the resources that a job needs and this scheduler does not have."""
        return self.around.lacking(job)

    def listeners_changed(self) -> None:
        """Have executors tell of starts if somebody listens to that now, and not if nobody does."""
        if self._around is not None or self._book.listening.mask & EVENT_JOB_STARTED:
            self.around.choose()

    def make_lock(self) -> None:
        """Make a new lock of the host's kind: that of the parent may be held for ever in a forked child."""
        self._lock = self._scheduler._create_lock()

    # -- executors -----------------------------------------------------------------------------------------------

    def add_executor(self, executor: Any, alias: str, options: dict[str, Any]) -> bool:
        """Add an executor; return whether it was started, as the scheduler runs.

        :param executor: an executor, or the name of a plug-in
        :raises AliasInUseError: if the alias is taken
        """
        scheduler = self._scheduler
        with scheduler._executors_lock:
            _check_free("an executor", alias, scheduler._executors)
            if isinstance(executor, str):
                executor = scheduler._create_plugin_instance("executor", executor, options)
            _check_kind("an executor", executor, BaseExecutor)
            calls = self.calls
            if calls is not None or "_perform" in executor.__dict__:  # it may have been another scheduler's
                executor.use_calls(calls)
            is_started = scheduler.state != STATE_STOPPED and self._book.runs_jobs
            if is_started:
                executor.start(scheduler, alias)
            scheduler._executors[alias] = executor
        self._tell_of_new(EVENT_EXECUTOR_ADDED, alias)
        return is_started

    def remove_executor(self, alias: str, shutdown: bool) -> None:
        """Remove an executor.

        :param shutdown: whether to shut it down, waiting for its runs
        :raises UnknownAliasError: if there is none of that alias
        """
        scheduler = self._scheduler
        with scheduler._executors_lock:
            executor = scheduler._lookup_executor(alias)
            del scheduler._executors[alias]
        if shutdown and self._book.is_open and self._book.runs_jobs:
            executor._stop()
        tell(scheduler, SchedulerEvent(EVENT_EXECUTOR_REMOVED, alias), self.log)

    def executors(self) -> dict[str, BaseExecutor]:
        """Return the executors that run jobs here, by their aliases; none if others run them."""
        return dict(self._scheduler._executors) if self._book.runs_jobs else {}

    def cancel(self, executors: Mapping[str, BaseExecutor]) -> None:
        """Ask the runs of executors to stop."""
        for alias, executor in executors.items():
            try:
                executor.cancel()
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                self.log.exception("Error cancelling the runs of executor %r", alias)

    def stop(self, executors: Mapping[str, BaseExecutor], wait: bool) -> None:
        """Shut executors down, whatever trouble they make.

        :param wait: whether to wait for what is left in them
        """
        for alias, executor in executors.items():
            try:
                executor._stop(wait)
            except BaseException as exc:  # the outcomes are recorded, and the stores close, all the same
                if is_interrupt(exc):
                    raise
                self.log.exception("Error shutting down executor %r", alias)

    def add_defaults(self) -> None:
        """Add what is called "default" and was not configured, where jobs run here.

        :raises ConfigurationError: if others run them and nobody else can see the stores
        """
        scheduler = self._scheduler
        if not self._book.runs_jobs:
            _check_shared(scheduler._jobstores)
            return
        if "default" not in scheduler._executors:
            scheduler.add_executor(scheduler._create_default_executor(), "default")
        if "default" not in scheduler._jobstores:
            scheduler.add_jobstore(scheduler._create_default_jobstore(), "default")

    # -- job stores ----------------------------------------------------------------------------------------------

    def add_jobstore(self, jobstore: Any, alias: str, options: dict[str, Any]) -> None:
        """Add a job store, and open it if the scheduler runs.

        :param jobstore: a job store, or its URL or the name of a plug-in
        :raises AliasInUseError: if the alias is taken
        """
        scheduler = self._scheduler
        with scheduler._jobstores_lock:
            _check_free("a job store", alias, scheduler._jobstores)
            if isinstance(jobstore, str):
                jobstore = scheduler._create_plugin_instance("jobstore", jobstore, options)
            _check_kind("a job store", jobstore, BaseJobStore)
            jobstore.restrict(self._book.new_jobs.allowed_callables)
            if self._book.is_open:
                self.open(alias, jobstore)
            scheduler._jobstores[alias] = jobstore
        self._tell_of_new(EVENT_JOBSTORE_ADDED, alias)

    def _tell_of_new(self, code: int, alias: str) -> None:
        tell(self._scheduler, SchedulerEvent(code, alias), self.log)
        if self._scheduler.state == STATE_RUNNING:
            self._scheduler.wakeup()

    def take_jobstore(self, alias: str, shutdown: bool) -> StoreState | None:
        """Take a job store off the list, and close it; if the scheduler runs, return its state: its runs have to end first.

        :param shutdown: whether to shut it down
        :raises UnknownAliasError: if there is none of that alias
        """
        scheduler = self._scheduler
        with scheduler._jobstores_lock:
            store = scheduler._lookup_jobstore(alias)
            del scheduler._jobstores[alias]
            state = None
            if self._book.is_open:
                if self._book.engine is None:
                    raise SchedulerNotRunningError
                state = self._book.engine.begin_removal(alias)
        if state is None:
            self.close(alias, store, shutdown)
        else:
            state.keeps_open = not shutdown
        return state

    def end_removal(self, engine: Engine, state: StoreState) -> None:
        """Close a store that was removed, now that its runs have ended, unless that was done already."""
        if engine.end_removal(state):
            self.close(state.alias, state.store, not state.keeps_open)

    def open(self, alias: str, store: BaseJobStore) -> None:
        """Open a store, and have the engine take it into its passes.

        :raises StoreInUseError: if it belongs to another scheduler
        """
        with self._lock:
            self._open(alias, store)
        if self._book.engine is None:
            raise SchedulerNotRunningError
        self._book.engine.add_store(alias, store)

    def _open(self, alias: str, store: BaseJobStore) -> None:
        """Tie a store to the scheduler, and start it; undo both if it fails."""
        store.attach(self._scheduler, alias)
        try:
            store.start(self._scheduler, alias)
        except BaseException:
            try:
                store.shutdown()  # what it has opened
            except BaseException:
                pass  # why it did not start is worth more than trouble in closing it
            store.detach()
            raise

    def close(self, alias: str, store: BaseJobStore, shutdown: bool = True) -> None:
        """Close a store, whatever trouble it makes, and untie it from the scheduler.

        :param shutdown: False: leave it open
        """
        with self._lock:
            try:
                if shutdown:
                    store.shutdown()
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                self.log.exception("Error shutting down job store %r", alias)
            store.detach()

    def close_all(self) -> None:
        """Close the stores that are open; from now on calls go to the jobs that wait for start()."""
        with (
            self._scheduler._jobstores_lock
        ):  # a store that is being added is started before this, or not at all
            self._book.is_open = False
            for alias, store in self._scheduler._jobstores.items():
                if getattr(store, "_holder", None) is self._scheduler:
                    self.close(alias, store)

    def records(
        self,
        alias: str,
        store: BaseJobStore,
        job_id: str | None,
        status: Collection[str] | None,
        limit: int,
        offset: int,
    ) -> list[Run]:
        """Return records of one store; a durable one that is closed is opened for that."""
        if self._book.is_open or not store.durable:
            return store.get_runs(job_id, status, limit, offset)
        with self._lock:
            self._open(alias, store)
            try:
                return store.get_runs(job_id, status, limit, offset)
            finally:
                self.close(alias, store)


def _check_free(what: str, alias: str, taken: Collection[str]) -> None:
    if alias in taken:
        raise AliasInUseError(f'This scheduler already has {what} by the alias of "{alias}"')


def _check_kind(what: str, given: object, kind: type) -> None:
    if not isinstance(given, kind):
        raise JobTypeError(f"Expected {what} instance or a string, got {type(given).__name__} instead")


def _check_shared(stores: Mapping[str, BaseJobStore]) -> None:
    """Refuse to add jobs for others to stores that nobody else can see."""
    if not stores:
        raise ConfigurationError(
            "A scheduler with runs_jobs=False adds jobs for others to run, so it needs a job store that they share; "
            'for example jobstores={"default": "postgresql://…"}'
        )
    for alias, store in stores.items():
        if not store.does_io:
            raise ConfigurationError(
                f"A scheduler with runs_jobs=False adds jobs for others to run, and nobody else sees the job store "
                f"{alias!r} ({type(store).__name__}) of this process"
            )
