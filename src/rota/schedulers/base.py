"""The public facade of every scheduler: its life, its stores and executors, its listeners and its health.

It delegates: the engine makes the passes, stores keep, executors run, and a host (a subclass) gives the thread of control.
"""

from __future__ import annotations

import sys
from abc import ABCMeta, abstractmethod
from functools import partial
from threading import Event, RLock

from ..clock import LEASE, SECOND, SYSTEM_CLOCK, shown_moment
from ..compat.absent import without
from ..core.policy import DEFAULT_POLICY
from ..errors import (
    AliasInUseError,
    JobTypeError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
)
from ..events import (
    EVENT_ALL,
    EVENT_EXECUTOR_ADDED,
    EVENT_EXECUTOR_REMOVED,
    EVENT_JOBSTORE_ADDED,
    EVENT_JOBSTORE_REMOVED,
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_STARTED,
    SchedulerEvent,
)
from ..executors.base import BaseExecutor
from ..jobstores.base import BaseJobStore
from ..util import asbool, astimezone, local_timezone, maybe_ref
from .config import check_options, context_option, default_policy, read_config, seconds_option
from .job_methods import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED
from .listeners import Listeners
from .plugins import PluginClasses
from .processes import watch
from .stopping import CLOSING_GRACE, Stopping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import tzinfo
    from typing import Any

    from ..compat.schedulers import ListenersView

__all__ = ("STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "BaseScheduler")


class BaseScheduler(Stopping, metaclass=ABCMeta):
    """Base class of all schedulers.

    Options, as keyword arguments or in ``gconfig`` (dotted or nested keys with the prefix ``rota.``;
    ``apscheduler.`` is read as well):

    :param logger: a logger, its name (``rota.scheduler``), or a reference to one (``package.module:name``)
    :param timezone: the default zone of triggers and naive datetimes, as object or name (the local zone)
    :param jobstore_retry_interval: the longest wait in seconds between two tries with a store that fails (10)
    :param job_defaults: defaults for ``misfire_grace_time``, ``coalesce``, ``max_instances``, ``expires``,
        ``on_lost``, ``max_attempts``
    :param jobstores: job stores by alias: objects, URLs (``postgresql://…``), or dictionaries with ``type`` (plug-in name),
        ``class`` or ``url`` and arguments
    :param executors: executors by alias: objects, or dictionaries with ``type`` or ``class`` and arguments
    :param clock: a :class:`rota.clock.Clock` (the system's)
    :param lease: seconds (15) after which others who share a durable store take over the runs of a scheduler that has not been
        heard of; one that lives renews its lease three times in that time
    :param runs_jobs: False: jobs are only added and changed here, for others to run who share the store (True). Nothing is
        claimed, no executor is started, and jobs may name executors that only the others have
    :param allowed_callables: which callables the jobs in durable stores may name: a list of ``"package.*"``, ``"package.module:*"``
        and ``"package.module:function"`` (all)
    :param context: a :class:`contextvars.Context`: the context variables that runs see, each a copy of its own (none)
    :raises UnknownOptionError: for any other name
    """

    #: the classes of plug-ins by their names; what a program puts in is used
    _trigger_classes = PluginClasses("trigger")
    _executor_classes = PluginClasses("executor")
    _jobstore_classes = PluginClasses("jobstore")
    #: what APScheduler's constants are called as attributes of instances in some programs
    state = STATE_STOPPED

    def __init__(
        self, gconfig: Mapping[str, Any] = {}, **options: Any
    ) -> None:  # APScheduler's signature; never changed
        self.state = STATE_STOPPED
        self.clock = SYSTEM_CLOCK
        self._executors: dict[str, BaseExecutor] = {}
        self._jobstores: dict[str, BaseJobStore] = {}
        self._make_locks()
        self._listening = Listeners()
        self._pending_jobs = []
        self._pending_options = {}
        self._decorated = {}
        self._copied = set()
        self._homes = {}
        self._default_policy = DEFAULT_POLICY
        self._timezone: tzinfo | None = None
        self._engine = None
        self._closed = Event()
        self._closed.set()
        self._drainer = None
        self._all_events = None
        if not getattr(type(self)._dispatch_event, "is_rotas", False):
            self._see_all_events()
        if type(self)._lookup_job is not BaseScheduler._lookup_job:
            from ..compat.schedulers import find_job  # rare

            self.__dict__["_find_job"] = partial(find_job, self)
        self.configure(gconfig, **options)

    def __getstate__(self) -> Any:
        raise TypeError(
            "Schedulers cannot be serialized. Ensure that you are not passing a scheduler instance as an argument to "
            "a job, or scheduling an instance method where the instance contains a scheduler as an attribute."
        )

    # -- life ----------------------------------------------------------------------------------------------------

    def configure(
        self,
        gconfig: Mapping[str, Any] = {},  # APScheduler's signature; never changed
        prefix: str | None = "rota.",
        **options: Any,
    ) -> None:
        """Set all options anew.

        :param gconfig: a dictionary of options that may hold other people's keys too
        :param prefix: the prefix of our keys in ``gconfig`` (``apscheduler.`` is read as well); "" or None: all keys are ours
        :raises SchedulerAlreadyRunningError: if the scheduler is running
        :raises ConfigurationError: (a ValueError) for a value that is wrong, UnknownOptionError for a name that is
        """
        if self.state != STATE_STOPPED:
            raise SchedulerAlreadyRunningError
        if not self._closed.is_set():
            raise SchedulerAlreadyRunningError(
                "The scheduler is still shutting down, and its runs need what configure() would replace; call it after that"
            )
        self._configure(read_config(gconfig, prefix, options))

    def start(self, paused: bool = False) -> Any:
        """Start executors and job stores, and begin to process jobs.

        :param paused: True: process no jobs before :meth:`resume` is called
        :raises SchedulerAlreadyRunningError: if the scheduler is running
        :raises RuntimeError: under uWSGI with threads disabled
        """
        self._check_startable()
        self._check_uwsgi()
        self._closed.wait()  # a shutdown that nobody waited for
        with self._lifecycle_lock:
            if self.state != STATE_STOPPED:
                raise SchedulerAlreadyRunningError
            self._open()
            self._started_at = self.clock.monotonic()
            self.state = STATE_PAUSED if paused else STATE_RUNNING
        watch(self)
        self._log.info("Scheduler started")
        self._tell(SchedulerEvent(EVENT_SCHEDULER_STARTED))
        if self.state == STATE_RUNNING:
            self._require_engine().claiming = self._runs_jobs
            self.wakeup()

    @abstractmethod
    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop: claim nothing more, let the runs under way end and record them, then close executors and stores.

        Called from inside a job it returns at once, and the rest happens when that job has ended.

        :param wait: False: return at once; runs that have not started are given back, coroutines, greenlets and worker
            processes are cancelled, and threads are asked to stop and end in the background
        :param timeout: seconds to wait at the most; runs that are still under way then are asked to cancel and given back
        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        self._stop_claiming(timeout)
        may_wait = not self._is_inside() and (wait or self._require_engine().in_flight == 0)
        is_bounded = not wait or timeout is not None
        if may_wait and not (is_bounded and self._ticks_may_block):
            self._drain(wait, timeout)
            return
        self._drain_aside(wait, timeout)
        # A store that hangs, in a pass or in its closing, does not hold up a caller who does not want to wait.
        if may_wait and not self._wait_closed((timeout or 0.0) + CLOSING_GRACE):
            self._log.warning(
                "A job store takes longer than the shutdown may; it is closed in the background"
            )

    def pause(self) -> None:
        """Process no jobs until :meth:`resume` is called; runs under way go on.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        if self.state == STATE_RUNNING:
            self._require_engine().claiming = False
            self.state = STATE_PAUSED
            self._log.info("Paused scheduler job processing")
            self._tell(SchedulerEvent(EVENT_SCHEDULER_PAUSED))

    def resume(self) -> None:
        """Process jobs again.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        if self.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        if self.state == STATE_PAUSED:
            self.state = STATE_RUNNING
            self._require_engine().claiming = self._runs_jobs
            self._log.info("Resumed scheduler job processing")
            self._tell(SchedulerEvent(EVENT_SCHEDULER_RESUMED))
            self.wakeup()

    @abstractmethod
    def wakeup(self) -> None:
        """Make the host call :meth:`_process_jobs` soon. Thread-safe."""

    @property
    def running(self) -> bool:
        """True from :meth:`start` to :meth:`shutdown` (while paused, too)."""
        return self.state != STATE_STOPPED

    @property
    def timezone(self) -> tzinfo:
        """The default time zone."""
        if self._timezone is None:
            self._timezone = local_timezone(__name__)
        return self._timezone

    @timezone.setter
    def timezone(self, value: tzinfo | str) -> None:
        self._timezone = astimezone(value)

    def health(self) -> dict[str, Any]:
        """Return how the scheduler is, as JSON-able data: at once, from memory, whatever the stores do meanwhile.

        ``alive``: it runs, and its thread or loop makes the passes: none hangs, or is late, for longer than a lease (a store that
        fails shows in ``stores`` only); ``state``; ``node``; ``last_tick`` (ISO 8601) and ``lag`` (seconds that
        the earliest due job waits); ``in_flight`` (runs under way); ``overdue`` (due jobs by executor alias, of very many 1000);
        ``stores``: for each alias ``ok``, ``error``, ``failures``, ``clock_offset`` (seconds that its clock is ahead of ours, None
        if it has none), ``age`` (how many seconds ago ``lag`` and ``overdue`` were looked up, None: not yet; whoever asks has them
        looked up anew by the next pass), ``to_heal`` and ``to_forget`` (how many quarantined jobs housekeeping has still to look
        at, and how many old records it knows of; of very many 1000), ``hanging`` (the ids of jobs whose trigger does not return, so
        that a new thread goes on without them);
        ``executors``: for each alias its ``room``; ``listeners``: for each one how many events are ``waiting`` for it, whether it
        is ``busy`` with one, and how many were ``dropped`` because it did not keep up.
        """
        engine = self._engine
        report: dict[str, Any] = {
            "alive": False,
            "state": ("stopped", "running", "paused")[self.state],
            "node": None,
            "last_tick": None,
            "lag": 0.0,
            "in_flight": 0,
            "overdue": {},
            "stores": {},
            "executors": {},
            "listeners": [queue.report() for queue in self._event_queues()],
        }
        if engine is None or self.state == STATE_STOPPED:
            return report
        report["node"], report["in_flight"] = engine.node, engine.in_flight
        for alias, executor in list(self._executors.items()):
            report["executors"][alias] = {"room": executor.capacity()}
        for alias, store_state in engine.stores.items():
            store, seen = store_state.store, store_state.housekeeping
            report["stores"][alias] = {
                "ok": store_state.back_off.error is None,
                "error": store_state.back_off.error,
                "failures": store_state.back_off.failures,
                "clock_offset": None if store.clock_offset is None else store.clock_offset / SECOND,
                "age": seen.age,
                "to_heal": seen.to_heal,
                "to_forget": seen.to_forget,
                "hanging": sorted(job_id for job_id, _ in store_state.unclaimed.hanging),
            }
            if seen.earliest is not None and self.state == STATE_RUNNING:
                report["lag"] = max(report["lag"], (store.now() - seen.earliest) / SECOND)
            for name, waiting in seen.overdue.items():
                report["overdue"][name] = report["overdue"].get(name, 0) + waiting
        engine.look_soon()
        if engine.last_tick is not None:
            report["last_tick"] = shown_moment(engine.last_tick).isoformat()
        report["alive"] = self._host_is_alive() and not engine.is_overdue()
        return report

    # -- executors, stores, listeners ----------------------------------------------------------------------------

    def add_executor(
        self, executor: BaseExecutor | str, alias: str = "default", **executor_opts: Any
    ) -> None:
        """Add an executor; in a running scheduler it is started.

        :param executor: an executor, or the name of a plug-in with its constructor's arguments in ``executor_opts``
        :param alias: the name that jobs know it by
        :raises AliasInUseError: (a ValueError) if the alias is taken
        """
        with self._executors_lock:
            if alias in self._executors:
                raise AliasInUseError(f'This scheduler already has an executor by the alias of "{alias}"')
            if isinstance(executor, str):
                executor = self._create_plugin_instance("executor", executor, executor_opts)
            if not isinstance(executor, BaseExecutor):
                raise JobTypeError(
                    f"Expected an executor instance or a string, got {type(executor).__name__} instead"
                )
            if self.state != STATE_STOPPED and self._runs_jobs:
                executor.start(self, alias)
                watch(self)  # whatever the executor does at exit comes after this scheduler's end
            self._executors[alias] = executor
        self._tell(SchedulerEvent(EVENT_EXECUTOR_ADDED, alias))
        if self.state == STATE_RUNNING:
            self.wakeup()

    def remove_executor(self, alias: str, shutdown: bool = True) -> None:
        """Remove an executor; its jobs wait until there is one of that alias again.

        :param shutdown: whether to shut it down, waiting for its runs
        :raises UnknownAliasError: (a KeyError) if there is none of that alias
        """
        with self._executors_lock:
            executor = self._lookup_executor(alias)
            del self._executors[alias]
        if shutdown and self._is_open and self._runs_jobs:
            executor._stop()
        self._tell(SchedulerEvent(EVENT_EXECUTOR_REMOVED, alias))

    def add_jobstore(
        self, jobstore: BaseJobStore | str, alias: str = "default", **jobstore_opts: Any
    ) -> None:
        """Add a job store; in a running scheduler it is started.

        :param jobstore: a job store, or its URL or the name of a plug-in with its constructor's arguments in ``jobstore_opts``
        :param alias: the name that jobs know it by
        :raises AliasInUseError: (a ValueError) if the alias is taken
        :raises StoreInUseError: if the object belongs to another scheduler
        """
        with self._jobstores_lock:
            if alias in self._jobstores:
                raise AliasInUseError(f'This scheduler already has a job store by the alias of "{alias}"')
            if isinstance(jobstore, str):
                jobstore = self._create_plugin_instance("jobstore", jobstore, jobstore_opts)
            if not isinstance(jobstore, BaseJobStore):
                raise JobTypeError(
                    f"Expected a job store instance or a string, got {type(jobstore).__name__} instead"
                )
            jobstore.restrict(self._allowed_callables)
            if self._is_open:
                self._start_store(alias, jobstore)
            self._jobstores[alias] = jobstore
        self._tell(SchedulerEvent(EVENT_JOBSTORE_ADDED, alias))
        if self.state == STATE_RUNNING:
            self.wakeup()

    def remove_jobstore(self, alias: str, shutdown: bool = True) -> None:
        """Remove a job store; its jobs stay in it.

        Its runs that are under way end, and are recorded in it; those that have not started are given back to a durable store.
        This waits for them, except inside a job or a listener and on the scheduler's loop: there the rest happens later, elsewhere.

        :param shutdown: whether to shut it down
        :raises UnknownAliasError: (a KeyError) if there is none of that alias
        """
        with self._jobstores_lock:
            store = self._lookup_jobstore(alias)
            del self._jobstores[alias]
            state = self._require_engine().begin_removal(alias) if self._is_open else None
        if state is None:
            self._close_store(alias, store, shutdown)
        else:
            state.keeps_open = not shutdown
            self._drain_store(state)
        self._tell(SchedulerEvent(EVENT_JOBSTORE_REMOVED, alias))

    def add_listener(self, callback: Callable[[Any], Any], mask: int = EVENT_ALL) -> None:
        """Call ``callback`` with each event whose code is in ``mask``.

        :param callback: a function of one argument. Events of a caller's own act (a job is added, changed or removed, the scheduler
            is started, paused or shut down …) call it in that caller's thread, before the method returns. Events of the engine (a
            run was submitted, has ended …) wait for it in a queue and call it one after another, in order: in a thread of its own,
            on the scheduler's loop where there is one. It may take its time and may raise; if more than 10 000 events wait, the
            oldest are dropped, and :meth:`health` counts them
        :param mask: an OR of event codes (:mod:`rota.events`)
        :raises OptionTypeError: if ``callback`` is no plain function of one argument, or ``mask`` no number
        """
        given: object = callback
        if given is None:  # APScheduler takes it, and logs an error for each event
            self._log.warning("add_listener() must be given a function, got None; nobody is called")
            return
        with self._listeners_lock:
            self._listening.add(callback, mask)

    def remove_listener(self, callback: Callable[[Any], Any]) -> None:
        """Take a listener off the list."""
        with self._listeners_lock:
            self._listening.remove(callback)

    # -- APScheduler's inner names ----------------------------------------------------------------------------------

    @property
    def _job_defaults(self) -> dict[str, Any]:
        from ..compat.schedulers import JobDefaults  # rare

        return JobDefaults(self)

    @_job_defaults.setter
    def _job_defaults(self, value: Mapping[str, Any]) -> None:
        self._default_policy = default_policy(value)

    @property
    def _listeners(self) -> ListenersView:
        from ..compat.schedulers import ListenersView  # rare

        return ListenersView(self)

    @_listeners.setter
    def _listeners(self, value: Iterable[Any]) -> None:
        self._listeners.replace(value)

    # -- APScheduler's extension points --------------------------------------------------------------------------

    def _configure(self, config: dict[str, Any]) -> None:
        """Set options from a nested dictionary; hosts take theirs out first."""
        check_options(config, type(self).__name__)
        logger = config.get("logger") or "rota.scheduler"
        is_name = isinstance(logger, str) and ":" not in logger
        self._logger = logger if is_name else maybe_ref(logger)
        self.clock = config.get("clock") or SYSTEM_CLOCK
        self._timezone = astimezone(config.get("timezone"))
        self.jobstore_retry_interval = seconds_option(config, "jobstore_retry_interval", 10.0)
        self._lease = seconds_option(config, "lease", LEASE)
        self._runs_jobs = asbool(config.get("runs_jobs", True))
        self._allowed_callables = None
        if config.get("allowed_callables") is not None:
            from ..trust.allowlist import allow_list_of  # import time

            self._allowed_callables = allow_list_of(config["allowed_callables"])
        self._context = context_option(config)
        self._default_policy = default_policy(config.get("job_defaults") or {})
        self._executors.clear()
        for alias, value in (config.get("executors") or {}).items():
            self.add_executor(self._from_config("executor", alias, value), alias)
        self._jobstores.clear()
        self._is_copy = False  # these are not the parent's
        for alias, value in (config.get("jobstores") or {}).items():
            self.add_jobstore(self._from_config("jobstore", alias, value), alias)

    def _create_default_executor(self) -> BaseExecutor:
        """Return the executor that becomes "default" if none is configured."""
        from ..executors.pool import ThreadPoolExecutor  # half of the schedulers have a default of their own

        return ThreadPoolExecutor()

    def _create_default_jobstore(self) -> BaseJobStore:
        """Return the job store that becomes "default" if none is configured."""
        from ..jobstores.memory import MemoryJobStore  # with start()

        return MemoryJobStore()

    def _create_lock(self) -> Any:
        """Return a re-entrant lock of the host's kind."""
        return RLock()

    def _dispatch_event(self, event: Any) -> None:
        """Call the listeners that want this event."""
        self._listening.dispatch(event, self._log)

    _dispatch_event.is_rotas = True  # type: ignore[attr-defined]

    def _check_uwsgi(self) -> None:
        if not getattr(sys.modules.get("uwsgi"), "has_threads", True):
            raise RuntimeError(
                "The scheduler seems to be running under uWSGI, but threads have been disabled. You must run uWSGI "
                "with the --enable-threads option for the scheduler to work."
            )


without(
    BaseScheduler,
    *(
        "_timeout",
        "_shutdown",
        "_stopped",
        "_trigger_plugins",
        "_executor_plugins",
        "_jobstore_plugins",
        "_add_job",
        "_remove_job",
    ),
)

if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        from ..compat.names import of_module  # rare

        return of_module(__name__, name)
