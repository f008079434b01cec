"""The public facade of every scheduler: all signatures with what they do, and the inner methods that programs and hosts override.

It delegates: new_jobs.py makes jobs, book.py keeps them, registry.py has executors and stores, lifecycle.py opens and closes, the
engine makes the passes, and a host (a subclass) gives the thread of control. It decides nothing.
"""

from __future__ import annotations

import sys
from abc import ABCMeta, abstractmethod
from functools import cached_property, partial
from threading import RLock, Thread, get_ident
from types import FunctionType, MethodType

from ..clock import LEASE, SYSTEM_CLOCK
from ..compat.absent import inner_name, without
from ..core.states import ENDED
from ..errors import (
    JobTypeError,
    SchedulerAlreadyRunningError,
    SchedulerNotRunningError,
    UnknownAliasError,
)
from ..events import EVENT_ALL, EVENT_JOBSTORE_REMOVED, SchedulerEvent
from ..logs import LoggerAttribute, given_logger
from ..texts import repr_of
from ..util import asbool, astimezone, local_timezone, maybe_ref, undefined
from .book import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED, JobBook
from .config import check_options, context_option, default_policy, read_config, seconds_option
from .facade import Governs
from .lifecycle import POLL, Lifecycle
from .listeners import Listeners, tell
from .names import no_such
from .new_jobs import PARAMETERS, PLAIN, STARTING_NOW, NewJobs, names_a_zone
from .plugins import PluginClasses, create_plugin, plugin_from_config
from .processes import stop_at_exit, stop_in_child, watch
from .registry import Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextvars import Context
    from datetime import datetime, timedelta, tzinfo
    from threading import Event
    from typing import IO, Any, Self, TypeVar, overload

    from ..clock import Clock
    from ..compat.schedulers import ListenersView
    from ..core.retry import Retry
    from ..core.run import Run
    from ..engine.completions import Completions
    from ..engine.engine import Engine
    from ..engine.store_state import StoreState
    from ..executors.around import Calls
    from ..executors.base import BaseExecutor
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from ..triggers.base import BaseTrigger
    from .aio import Aio
    from .changes import Changes
    from .event_queue import EventQueue
    from .resources import Resources

    Function = TypeVar("Function", bound=Callable[..., Any])
    AnyEvent = TypeVar("AnyEvent", bound=SchedulerEvent)

__all__ = ("STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "BaseScheduler")


class _Logger(LoggerAttribute):
    """The attribute ``_logger`` of schedulers: what is set is handed down to the scheduler's parts."""

    def __set__(self, instance: Any, value: Any) -> None:
        super().__set__(instance, value)
        for part in instance.__dict__.get("_parts", ()):
            part.log = instance._log


class BaseScheduler(Governs, metaclass=ABCMeta):
    """Base class of all schedulers.

    Options, as keyword arguments or in ``gconfig`` (dotted or nested keys with the prefix ``rota.``;
    ``apscheduler.`` is read as well):

    :param logger: a logger, its name (``rota.scheduler``), or a reference to one (``package.module:name``)
    :param timezone: the default zone of triggers and naive datetimes, as object or name (the local zone)
    :param jobstore_retry_interval: the longest wait in seconds between two tries with a store that fails (10)
    :param job_defaults: defaults for ``misfire_grace_time``, ``coalesce``, ``max_instances``, ``expires``,
        ``on_lost``, ``max_attempts``, ``keep_log``, ``on_failure``, ``retry``, ``timeout``, ``heartbeat_timeout``,
        ``overlap``, ``pause_on_failure``
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
    #: stopped, running or paused, by APScheduler's constants
    state = STATE_STOPPED
    #: what keeps a program with this scheduler running, for one that ends at once; None: nothing is needed
    _kept_alive_by: str | None = None
    jobstore_retry_interval: float
    _logger: Any = _Logger("rota.scheduler")
    #: the same, guarded
    _log: GuardedLogger
    _context: Context

    def __init__(
        self, gconfig: Mapping[str, Any] = {}, **options: Any
    ) -> None:  # APScheduler's signature; never changed
        self.state = STATE_STOPPED
        self.clock: Clock = SYSTEM_CLOCK
        self._timezone: tzinfo | None = None
        self._executors: dict[str, BaseExecutor] = {}
        self._jobstores: dict[str, BaseJobStore] = {}
        self._listening = Listeners()
        self._new_jobs = NewJobs(self)
        self._book = JobBook(self, self._listening, self._new_jobs)
        self._registry = Registry(self, self._book)
        self._lifecycle = Lifecycle(self, self._book, self._registry)
        self._parts = self._new_jobs, self._book, self._registry, self._lifecycle
        self._make_locks()
        self._listening.changed = self._registry.listeners_changed
        if not getattr(type(self)._dispatch_event, "is_rotas", False):
            self._listening.queue_all_for(self._dispatch_event)
        self._find_job: Callable[[str, str | None], Job | None] = self._book.find
        if type(self)._lookup_job is not BaseScheduler._lookup_job:
            from ..compat.schedulers import find_job  # rare

            self._find_job = partial(find_job, self)
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
        if not self._lifecycle.closed.is_set():
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
        self._lifecycle.check_startable()
        self._check_uwsgi()
        self._lifecycle.start(paused)
        watch(self._lifecycle)
        self._lifecycle.begin()

    @abstractmethod
    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop: claim nothing more, let the runs under way end and record them, then close executors and stores.

        Called from inside a job it returns at once, and the rest happens when that job has ended.

        :param wait: False: return at once; runs that have not started are given back, coroutines, greenlets and worker
            processes are cancelled, and threads are asked to stop and end in the background
        :param timeout: seconds to wait at the most; runs that are still under way then are asked to cancel and given back
        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        self._lifecycle.stop(wait, timeout)

    def __enter__(self) -> Self:
        """Start the scheduler, unless it runs already."""
        if self.state == STATE_STOPPED:
            self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Shut the scheduler down, unless somebody has, and wait for the runs under way."""
        try:
            self.shutdown()
        except SchedulerNotRunningError:
            pass

    def pause(self) -> None:
        """Process no jobs until :meth:`resume` is called; runs under way go on.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        self._lifecycle.pause()

    def resume(self) -> None:
        """Process jobs again.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        self._lifecycle.resume()

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
        that a new thread goes on without them), ``lacking`` (by job id, why jobs that have been due for a minute are run by no
        living node: a resource that they need);
        ``executors``: for each alias its ``room``; ``listeners``: for each one how many events are ``waiting`` for it, whether it
        is ``busy`` with one, and how many were ``dropped`` because it did not keep up.
        """
        from .views import health  # import time

        return health(self._lifecycle)

    # -- executors, stores, listeners ----------------------------------------------------------------------------

    def add_executor(
        self, executor: BaseExecutor | str, alias: str = "default", **executor_opts: Any
    ) -> None:
        """Add an executor; in a running scheduler it is started.

        :param executor: an executor, or the name of a plug-in with its constructor's arguments in ``executor_opts``
        :param alias: the name that jobs know it by
        :raises AliasInUseError: (a ValueError) if the alias is taken
        """
        if self._registry.add_executor(executor, alias, executor_opts):
            watch(self._lifecycle)  # whatever the executor does at exit comes after this scheduler's end

    def remove_executor(self, alias: str, shutdown: bool = True) -> None:
        """Remove an executor; its jobs wait until there is one of that alias again.

        :param shutdown: whether to shut it down, waiting for its runs
        :raises UnknownAliasError: (a KeyError) if there is none of that alias
        """
        self._registry.remove_executor(alias, shutdown)

    def add_jobstore(
        self, jobstore: BaseJobStore | str, alias: str = "default", **jobstore_opts: Any
    ) -> None:
        """Add a job store; in a running scheduler it is started.

        :param jobstore: a job store, or its URL or the name of a plug-in with its constructor's arguments in ``jobstore_opts``
        :param alias: the name that jobs know it by
        :raises AliasInUseError: (a ValueError) if the alias is taken
        :raises StoreInUseError: if the object belongs to another scheduler
        """
        self._registry.add_jobstore(jobstore, alias, jobstore_opts)

    def remove_jobstore(self, alias: str, shutdown: bool = True) -> None:
        """Remove a job store; its jobs stay in it.

        Its runs that are under way end, and are recorded in it; those that have not started are given back to a durable store.
        This waits for them, except inside a job or a listener and on the scheduler's loop: there the rest happens later, elsewhere.

        :param shutdown: whether to shut it down
        :raises UnknownAliasError: (a KeyError) if there is none of that alias
        """
        state = self._registry.take_jobstore(alias, shutdown)
        if state is not None:
            from .removal import drain_store  # rare

            drain_store(self._lifecycle, state)
        self._tell(SchedulerEvent(EVENT_JOBSTORE_REMOVED, alias))

    if TYPE_CHECKING:

        @overload
        def add_listener(self, callback: Callable[[AnyEvent], Any], mask: type[AnyEvent]) -> None: ...

        @overload
        def add_listener(self, callback: Callable[[Any], Any], mask: int = ...) -> None: ...

    def add_listener(
        self, callback: Callable[[Any], Any], mask: int | type[SchedulerEvent] = EVENT_ALL
    ) -> None:
        """Call ``callback`` with each event whose code is in ``mask``, or that is of that class.

        :param callback: a function of one argument. Events of a caller's own act (a job is added, changed or removed, the scheduler
            is started, paused or shut down …) call it in that caller's thread, before the method returns. Events of the engine (a
            run was submitted, has ended …) wait for it in a queue and call it one after another, in order: in a thread of its own,
            on the scheduler's loop where there is one. It may take its time and may raise; if more than 10 000 events wait, the
            oldest are dropped, and :meth:`health` counts them
        :param mask: an OR of event codes, or an event class (:mod:`rota.events`): type checkers know then what ``callback`` gets
        :raises OptionTypeError: if ``callback`` is no plain function of one argument, or ``mask`` neither of the two
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

    # -- around every call ------------------------------------------------------------------------------------------

    def add_middleware(self, around: Callable[[Run], Any]) -> None:
        """Enter ``around(run)``, a context manager, just before each call of a job, and leave it just after.

        The first that is added is the outermost. It is entered where the job is called: in its thread, task, greenlet or worker
        process. It sees what the job raises, and can stop the call by raising. What a middleware does wrong (it raises, suppresses
        the error of a job, or returns no context manager) fails that run, with words that say so, and nothing else.

        :param around: a function of one argument, the run (as :func:`rota.current_run` returns it). For ``async def`` jobs it may
            return an asynchronous context manager, or one that is both
        :raises OptionTypeError: if it cannot be called in this way
        :raises ConfigurationError: if there is a process pool, and its workers could not import it
        """
        self._registry.around.add_middleware(around)

    @property
    def resources(self) -> Resources:
        """What parameters of jobs that are annotated with :class:`rota.Inject` are filled with, by name: a live mapping.

        ::

            def greet(name: str, bot: Annotated[Bot, Inject]) -> None: ...


            scheduler.resources["bot"] = Bot()
            scheduler.add_job(greet, args=["Lan"])

        They are looked up at each call, and never stored. What is given as an argument is not filled, and a parameter with a
        default keeps it where there is no such resource. A durable store's job waits for a node that has what it needs. Worker
        processes make their own, by ``scheduler.resources.in_workers["bot"] = make_bot``.
        """
        return self._registry.around.resources

    # -- adding jobs ---------------------------------------------------------------------------------------------

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        expires: float | timedelta | None = undefined,
        on_lost: str = undefined,
        max_attempts: int = undefined,
        on_failure: Callable[[Run], Any] | str | None = undefined,
        connection: Any = None,
        tags: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None = None,
        keep_log: int = undefined,
        retry: Retry | bool | None = undefined,
        timeout: float | timedelta | None = undefined,
        heartbeat_timeout: float | timedelta | None = undefined,
        overlap: str = undefined,
        pause_on_failure: int = undefined,
        **trigger_args: Any,
    ) -> Job:
        """Add a job and wake the scheduler up.

        A time that is past and has a record in the ledger does not run again: a warning names the record, and a job whose
        schedule is over by that is returned and not stored.

        :param func: what to call: a callable (plain or ``async def``) or a reference to one (``"package.module:name"``)
        :param trigger: a trigger, or the name of one with its arguments in ``trigger_args``; None: run once, now
        :param args: positional arguments for ``func``
        :param kwargs: keyword arguments for ``func``
        :param id: the job's identifier (a random one if None); unique in its store
        :param name: a description for people (the callable's name if None)
        :param misfire_grace_time: seconds that a run may be late and still run; None: never too late (the default)
        :param coalesce: True (the default): several owed times become one run, for the latest; False: each is run
        :param max_instances: how many runs of the job may be under way at once (default 1)
        :param next_run_time: the first run, instead of the trigger's; None adds the job paused
        :param jobstore: alias of the store that is to keep the job
        :param executor: alias of the executor that is to run it
        :param replace_existing: replace a job of the same id; if its trigger is unchanged, its next run is kept
        :param expires: seconds after the due time at which a run that still waits in a queue is not started any more
        :param on_lost: what happens to a run whose process died (durable stores): "rerun" (the default) or "lost"
        :param max_attempts: how many tries a run has at most (default 3), deaths of nodes and retries together
        :param on_failure: what to call with a run that has failed for good (failed or lost): a function of one argument, plain or
            ``async def``, or a reference to one. It is called at most once, by the job's executor, on the node that has recorded
            the end; what it raises is logged, told by an event, and hurts nothing
        :param connection: (SQL stores) a SQLAlchemy ``Connection`` with a transaction of yours on the store's database: the job is
            added inside it, and exists exactly if you commit. No event is sent, as nobody here learns whether you do
        :param tags: what jobs can be found by: a set of texts
        :param metadata: what the job carries for people and their programs: a dictionary of JSON-able data, 8 kB at most
        :param keep_log: how much is kept, with the run, of what the job logs while it runs, and prints in a worker process:
            the newest so many bytes, 65,536 at most (8,192 on etcd and ZooKeeper); 0 (the default): nothing
        :param retry: how a run is tried again that has failed: True, or a :class:`~rota.Retry`; None (the default): not at all.
            Any node takes the next try when its wait is over
        :param timeout: how long a run may take (seconds, from its start, without the time in which the machine sleeps); None (the
            default): any time. Then a coroutine is cancelled and a worker process ended; a thread is asked to stop, by
            ``current_run().cancelled``, and keeps its place until it returns. The run ends as "timed_out"
        :param heartbeat_timeout: how long a run may go on without calling ``current_run().heartbeat()`` (seconds); None (the
            default): it need not. Then the same happens
        :param overlap: what a due time meets while ``max_instances`` runs are under way. "skip" (the default): it is recorded as
            skipped. "buffer_one": the newest owed time runs when a place comes free; "buffer_all": every owed time does, the oldest
            first. "cancel_other", "terminate_other": the oldest run is asked to stop, or its worker process ended, and the newest
            owed time runs in its place. "allow_all": there is no limit
        :param pause_on_failure: after how many failures in a row (runs that end as failed, timed_out or lost) the job is paused,
            100 at most; True: after the first; False (the default): never. A success and ``resume_job()`` begin anew; the note of
            the pause names the run
        :param trigger_args: the arguments of the trigger that ``trigger`` names
        :return: the job
        :raises InvalidJobError: (its subclasses) for whatever is wrong with the job
        :raises TriggerError: if the trigger's arguments are wrong
        :raises ConflictingIdError: if a job of that id exists and ``replace_existing`` is False
        :raises UnknownAliasError: if the store or the executor does not exist in a scheduler that runs
        :raises ResourceMissingError: if a scheduler that runs lacks a resource that ``func`` needs
        :raises ConfigurationError: if there is a ``connection`` and the store cannot use it
        :raises RuntimeError: if there is a ``connection`` and the scheduler was not started
        """
        if self._new_jobs.allowed_callables is not None:
            self._new_jobs.check_callable(func, jobstore)
            self._new_jobs.check_callable(on_failure, jobstore)
        job, options = self._new_jobs.make(
            func,
            trigger,
            args,
            kwargs,
            id,
            name,
            next_run_time,
            executor,
            tags,
            metadata,
            (  # in the order of OPTION_NAMES
                misfire_grace_time,
                coalesce,
                max_instances,
                expires,
                on_lost,
                max_attempts,
                keep_log,
                timeout,
                heartbeat_timeout,
                on_failure,
                retry,
                overlap,
                pause_on_failure,
            ),
            trigger_args,
        )
        if connection is not None:
            from .bulk import add_together  # import time

            add_together(self._book, [job], jobstore, replace_existing, connection)
        elif self._book.is_open or not self._book.add_pending(job, jobstore, replace_existing, options):
            self._real_add_job(job, jobstore, replace_existing)
        if id is None and (store := self._jobstores.get(jobstore)) is not None and store.durable:
            self._new_jobs.warn_of_copies(job, jobstore)
        return job

    def add_jobs(
        self,
        jobs: Iterable[Mapping[str, Any]],
        jobstore: str = "default",
        replace_existing: bool = False,
        connection: Any = None,
    ) -> list[Job]:
        """Add many jobs at once: all of them or, if one is wrong, none; in SQL stores in one round trip.

        :param jobs: for each job a dictionary of arguments of :meth:`add_job`, with the arguments of its trigger
        :param jobstore: alias of the store that is to keep them
        :param replace_existing: replace jobs of the same ids; where the trigger is unchanged, the next run is kept
        :param connection: as for :meth:`add_job`
        :return: the jobs, in the same order
        :raises ConflictingIdError: if an id exists already or is given twice; it names the ids
        :raises OptionTypeError: if something is no dictionary, or says itself what belongs to all of them
        :raises InvalidJobError, TriggerError, SerializationError: as :meth:`add_job`
        """
        from .bulk import add_all_pending, add_together  # import time

        book = self._book
        made, given = self._new_jobs.make_all(jobs, jobstore)
        in_stores = book.is_open or connection is not None
        if in_stores or not add_all_pending(book, made, jobstore, replace_existing, given):
            add_together(book, made, jobstore, replace_existing, connection)
        for job in made:
            if job.has_new_id:
                self._new_jobs.warn_of_copies(job, jobstore)
        return made

    def scheduled_job(
        self,
        trigger: BaseTrigger | str | None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        **trigger_args: Any,
    ) -> Callable[[Function], Function]:
        """Return a decorator that adds a function as a job; the parameters are those of :meth:`add_job`.

        A job of the same ``id`` is replaced (its next run is kept if the trigger is unchanged). Without an ``id`` it is the module
        and the qualified name of the function, "app.tasks:report", with "#2" and so on where that name is decorated again.

        :raises JobTypeError: if it is used as ``@scheduler.scheduled_job``, without the parentheses
        """
        if isinstance(trigger, (FunctionType, MethodType, staticmethod, classmethod)):
            raise JobTypeError(
                f"scheduled_job() must be given a trigger, got {repr_of(trigger)}; write it with its parentheses: "
                f'@scheduler.scheduled_job("interval", hours=1)'
            )

        def decorate(func: Function) -> Function:
            from ..references import decorating  # import time

            with decorating(func):
                self.add_job(
                    func,
                    trigger,
                    args,
                    kwargs,
                    self._new_jobs.default_id(func) if id is None else id,
                    name,
                    misfire_grace_time,
                    coalesce,
                    max_instances,
                    next_run_time,
                    jobstore,
                    executor,
                    True,
                    **trigger_args,
                )
            return func

        return decorate

    # -- looking at jobs and runs --------------------------------------------------------------------------------

    def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Return the job of that id, or None; one whose schedule is over is found by :meth:`find_jobs` only.

        :param jobstore: look only in this store; by default the first store that has the id wins
        """
        job = self._find_job(job_id, jobstore)
        return None if job is not None and job.state == ENDED else job

    def get_jobs(
        self,
        jobstore: str | None = None,
        pending: bool | None = None,
        state: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Job]:
        """Return the jobs, store by store, sorted by next run time, paused ones last.

        A scheduler that was not started has its stores closed: it returns the jobs that wait for the start.

        :param jobstore: only the jobs of this store
        :param pending: **deprecated**, without effect
        :param state: only jobs with this state, or one of these: "active", "paused", "quarantined"
        :param limit: at most so many; None: all
        :param offset: leave out so many first
        :raises OptionTypeError: for a state that jobs do not have, or a limit or offset below 0
        :raises UnknownAliasError: if a scheduler that was started has no such store
        """
        if pending is not None:
            import warnings  # import time

            warnings.warn(
                'The "pending" option is deprecated -- get_jobs() always returns scheduled jobs if the scheduler '
                "has been started and pending jobs otherwise",
                DeprecationWarning,
                stacklevel=2,
            )
        from .views import jobs  # import time

        return jobs(self._book, jobstore, state, limit, offset)

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        jobstore: str | None = None,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first: how each nominal time ended, and what runs now.

        Their times are in the scheduler's zone. Before start() and after shutdown(), a durable store is opened for the look.

        :param job_id: only runs of this job
        :param status: only this status, or one of these (``rota.core.states``: "claimed", "waiting", "succeeded", "failed",
            "missed", "skipped", "timed_out", "cancelled", "lost")
        :param limit: at most so many
        :param jobstore: only from this store
        :param offset: leave out so many first
        :raises OptionTypeError: for a status that runs do not have, or a limit or offset below 0
        :raises UnknownAliasError: if there is no such store
        :raises SchedulerNotRunningError: in a forked copy of a scheduler that runs in the parent process
        """
        from .views import runs  # import time

        return runs(self._book, self._registry, job_id, status, limit, jobstore, offset)

    def print_jobs(self, jobstore: str | None = None, out: IO[str] | None = None) -> None:
        """Print a list of the jobs in all stores or one, in APScheduler's text format.

        :param jobstore: only the jobs of this store
        :param out: where to print (``sys.stdout`` if None)
        """
        from .views import print_jobs  # import time

        print_jobs(self._book, self.get_jobs, jobstore, out)

    # -- changing jobs -------------------------------------------------------------------------------------------

    @cached_property
    def _changes(self) -> Changes:
        from .changes import Changes  # import time: most programs change no jobs

        return Changes(self._book)

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """Change attributes of a job; any but ``id`` may be given.

        The schedule stays as it is unless ``next_run_time`` is given (None pauses the job, a time resumes it; a job on hold goes on
        with it when it is released). A time that has a record in the ledger does not run again; a warning names it, and the job
        goes on at its next time.

        :return: the changed job
        :raises JobLookupError: if there is no such job
        :raises UnknownAttributeError: (an AttributeError) for a name that jobs do not have
        """
        return self._changes.modify(job_id, jobstore, changes)

    def reschedule_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        trigger: BaseTrigger | str | None = None,
        **trigger_args: Any,
    ) -> Job:
        """Give a job another trigger and plan its next run from now; a paused job is resumed by that, one on hold is not.

        :param trigger: a trigger, or the name of one with its arguments in ``trigger_args``
        :return: the changed job
        :raises JobLookupError: if there is no such job
        """
        return self._changes.reschedule(job_id, jobstore, trigger, trigger_args)

    def pause_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        note: str | None = None,
        until: datetime | None = None,
    ) -> Job:
        """Stop running a job until it is resumed; what runs goes on, and :meth:`run_job` works.

        :param note: why, in words
        :param until: when the job goes on by itself (aware datetime; other nodes than this one look once a minute)
        :return: the changed job
        :raises JobLookupError: if there is no such job
        """
        if note is None and until is None:
            return self.modify_job(job_id, jobstore, next_run_time=None)
        from .governed import pause  # rare

        return pause(self._book, job_id, jobstore, note, until)

    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Go on with a job's schedule from now; what was due while it was paused is recorded as skipped ("paused").

        A next time that it had when it was paused, and that is still to come, stays. A job that is not paused is left as it is, and
        so is one that stays for its records alone, as its schedule is over.

        :return: the changed job, or None if its schedule is over and it was removed
        :raises JobLookupError: if there is no such job
        :raises JobValueError: if it is quarantined and its code or data is still missing
        """
        job = self._changes.resume(job_id, jobstore)
        if job is None:
            self.remove_job(job_id, jobstore)
        return job

    def run_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        key: str | None = None,
        not_before: datetime | None = None,
    ) -> Run:
        """Have a job run once, now or later, apart from its schedule, which stays as it is.

        The run is one like any other: it counts as one of the job's ``max_instances`` (if so many are under way, it waits for
        a place, and for what is due), and it is recorded (its ``origin`` is "manual"), with its events; what ran already is
        repeated. A paused job runs, too. A scheduler that is paused starts the
        run when it is resumed. In a durable store, any node that knows the job's executor may take the run: this one at once,
        others when they renew their leases (every five seconds, unless ``lease`` says otherwise).

        :param args: positional arguments of this run, instead of the job's
        :param kwargs: keyword arguments of this run, instead of the job's
        :param key: the same key within 24 hours returns the same run of the job, and starts nothing; a run that waited and went
            with its job ("job removed") does not count for a job that is added under its id
        :param not_before: when the run may start (aware datetime); None: now
        :return: the run: its ``wait()`` and ``result()`` wait for its end (in coroutines, those of :attr:`aio`), and its
            ``cancel()`` cancels it. It shows what this process knows of it: in a durable store it may have been started by
            another node and still show "waiting"; :meth:`get_run` returns the record as it is
        :raises JobLookupError: if there is no such job
        :raises JobValueError: if it is quarantined; or signed, and this store has no key
        :raises UnknownAliasError: if nobody has its executor
        :raises RuntimeError: if the scheduler was not started
        """
        from .manual_runs import run_now  # import time

        return run_now(self._book, job_id, jobstore, args, kwargs, key, not_before)

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job; a run that is under way goes on, and its record stays.

        :raises JobLookupError: if there is no such job
        """
        self._book.remove(job_id, jobstore)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """Remove all jobs from one store, or from all.

        :param jobstore: alias of the store; None: all
        :raises UnknownAliasError: if a scheduler that was started has no such store
        """
        self._book.remove_all(jobstore)

    # -- from coroutines ------------------------------------------------------------------------------------------

    @property
    def aio(self) -> Aio:
        """The methods that may wait for a job store, as coroutines of the same names and parameters, for handlers on asyncio.

        ::

            await scheduler.aio.add_job(send_report, "cron", hour=9, id="report")
        """
        from .aio import Aio  # import time: most programs run no loop

        return Aio(self)

    # -- files ---------------------------------------------------------------------------------------------------

    def export_jobs(self, outfile: Any, jobstore: str | None = None) -> None:
        """Write the jobs to a file as JSON (no pickle in it).

        :param outfile: a path, or a file opened for writing text
        :param jobstore: only the jobs of this store
        :raises RuntimeError: if the scheduler is not running
        :raises TransientJobError, SerializationError: if a job cannot be written down
        """
        from .transfer import export_jobs  # import time

        self._book.require_started("job export")
        export_jobs(self.get_jobs(jobstore), outfile)

    def import_jobs(self, infile: Any, jobstore: str = "default") -> None:
        """Add the jobs of a file that :meth:`export_jobs` has written; all of them or, if one cannot be read, none.

        :param infile: a path, or a file opened for reading text
        :param jobstore: alias of the store that is to keep the jobs
        :raises RuntimeError: if the scheduler is not running
        :raises DeserializationError: if the file or a job in it cannot be read
        :raises ConflictingIdError: if the id of a job exists already; nothing is added then
        """
        from .transfer import import_jobs  # import time

        import_jobs(self._book, infile, jobstore)

    # -- APScheduler's inner names: attributes ----------------------------------------------------------------------

    @property
    def _job_defaults(self) -> dict[str, Any]:
        from ..compat.schedulers import JobDefaults  # rare

        return JobDefaults(self._new_jobs)

    @_job_defaults.setter
    def _job_defaults(self, value: Mapping[str, Any]) -> None:
        self._new_jobs.default_policy = default_policy(value)

    @property
    def _listeners(self) -> ListenersView:
        from ..compat.schedulers import ListenersView  # rare

        return ListenersView(self._listening, self._listeners_lock)

    @_listeners.setter
    def _listeners(self, value: Iterable[Any]) -> None:
        self._listeners.replace(value)

    @property
    def _pending_jobs(self) -> list[tuple[Job, str, bool]]:
        return self._book.pending.entries

    @_pending_jobs.setter
    def _pending_jobs(self, value: Iterable[tuple[Job, str, bool]]) -> None:
        self._book.pending.entries[:] = value

    # -- APScheduler's inner names: methods that programs override or call -------------------------------------------

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Plan a job's first run and store it."""
        return self._book.add(job, jobstore_alias, replace_existing)

    def _create_trigger(self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]) -> BaseTrigger:
        """Return ``trigger`` itself, or make the trigger of that name; the scheduler's zone is the default."""
        if not isinstance(trigger, str):
            if trigger is not None:
                return self._new_jobs.check_trigger(trigger, trigger_args)
            trigger = "date"
        if trigger != "crontab" or not names_a_zone(trigger_args.get("expr")):
            # The property is asked only where nothing is set yet: its call costs more than what it does.
            trigger_args.setdefault("timezone", self._timezone or self.timezone)
        if trigger in STARTING_NOW:
            trigger_args["now"] = self.clock.now()
        if trigger in PLAIN:
            return self._create_plugin_instance("trigger", trigger, trigger_args)  # type: ignore[no-any-return]
        made: BaseTrigger = self._create_plugin_instance("trigger", trigger, trigger_args)
        self._new_jobs.check_work(made)
        return made

    def _create_plugin_instance(self, type_: str, alias: str, constructor_kwargs: dict[str, Any]) -> Any:
        """Make an object of the plug-in class of that name ("trigger", "executor" or "jobstore")."""
        return create_plugin(type_, alias, constructor_kwargs, PARAMETERS if type_ == "trigger" else ())

    def _lookup_executor(self, alias: Any) -> BaseExecutor:
        """Return the executor of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._executors.get(alias) if isinstance(alias, str) else None
        if found is None:
            raise UnknownAliasError(no_such("executor", alias, self._executors, "add_executor()"))
        return found

    def _lookup_jobstore(self, alias: Any) -> BaseJobStore:
        """Return the job store of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._jobstores.get(alias) if isinstance(alias, str) else None
        if found is None:
            raise UnknownAliasError(no_such("job store", alias, self._jobstores, "add_jobstore()"))
        return found

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]:
        """Return the job of that id and the alias of its store (None if the job is pending).

        :raises JobLookupError: if there is none; it suggests a near id
        """
        found = self._book.find(job_id, jobstore_alias)
        if found is None:
            raise self._book.no_such_job(job_id, jobstore_alias)
        return found, found._home[1]

    def _process_jobs(self) -> float | None:
        """Do what is due now; the host calls it.

        :return: seconds until the next call is needed; None: only a wake-up makes one necessary
        """
        return self._lifecycle.tick()

    def _dispatch_event(self, event: Any) -> None:
        """Call the listeners that want this event."""
        self._listening.dispatch(event, self._log)

    _dispatch_event.is_rotas = True  # type: ignore[attr-defined]

    def _configure(self, config: dict[str, Any]) -> None:
        """Set options from a nested dictionary; hosts take theirs out first."""
        check_options(config, type(self).__name__)
        logger = config.get("logger") or "rota.scheduler"
        is_name = isinstance(logger, str) and ":" not in logger
        self._logger = logger if is_name else maybe_ref(logger)
        self.clock = config.get("clock") or SYSTEM_CLOCK
        self._timezone = astimezone(config.get("timezone"))
        self.jobstore_retry_interval = seconds_option(config, "jobstore_retry_interval", 10.0)
        self._lifecycle.lease = seconds_option(config, "lease", LEASE)
        self._book.runs_jobs = asbool(config.get("runs_jobs", True))
        self._new_jobs.allowed_callables = None
        if config.get("allowed_callables") is not None:
            from ..trust.allowlist import allow_list_of  # import time

            self._new_jobs.allowed_callables = allow_list_of(config["allowed_callables"])
        self._context = context_option(config)
        self._new_jobs.default_policy = default_policy(config.get("job_defaults") or {})
        self._executors.clear()
        for alias, value in (config.get("executors") or {}).items():
            self.add_executor(plugin_from_config("executor", alias, value), alias)
        self._jobstores.clear()
        self._book.is_copy = False  # these are not the parent's
        for alias, value in (config.get("jobstores") or {}).items():
            self.add_jobstore(plugin_from_config("jobstore", alias, value), alias)

    def _create_default_executor(self) -> BaseExecutor:
        """Return the executor that becomes "default" if none is configured."""
        from ..executors.pool import ThreadPoolExecutor  # half of the schedulers have a default of their own

        # Programs replace the name in this module.
        kind: type[BaseExecutor] = globals().get("ThreadPoolExecutor", ThreadPoolExecutor)
        return kind()

    def _create_default_jobstore(self) -> BaseJobStore:
        """Return the job store that becomes "default" if none is configured."""
        from ..jobstores.memory import MemoryJobStore  # with start()

        kind: type[BaseJobStore] = globals().get("MemoryJobStore", MemoryJobStore)  # as above
        return kind()

    def _create_lock(self) -> Any:
        """Return a re-entrant lock of the host's kind."""
        return RLock()

    def _check_uwsgi(self) -> None:
        if not getattr(sys.modules.get("uwsgi"), "has_threads", True):
            raise RuntimeError(
                "The scheduler seems to be running under uWSGI, but threads have been disabled. You must run uWSGI "
                "with the --enable-threads option for the scheduler to work."
            )

    # -- what hosts override: the thread of control, and what may wait in it -------------------------------------------

    def _host_is_alive(self) -> bool:
        """Whether the thread or loop that makes the passes is still there."""
        return True

    def _replace_pass(self) -> bool:
        """Make another thread go on with the passes, as the one that makes them hangs; return whether this host can do that."""
        return False

    def _may_wait(self) -> bool:
        """Whether the caller may wait for runs: it may not if they could need what it holds up (a job, a listener, a loop)."""
        return not self._lifecycle.is_inside()

    def _on_loop(self) -> bool:
        """Whether the caller is on the thread of the loop on which this host lives."""
        return False

    def _in_pass(self) -> bool:
        """Whether the caller is in the thread that makes a pass now."""
        return self._lifecycle.ticking == get_ident()

    def _run_inside(self) -> Run | None:
        """Return the run of this scheduler in which the caller is, None: it is in none."""
        return self._lifecycle.run_inside()

    def _wait_for_event(self, event: Event, seconds: float) -> bool:
        """Wait until another thread has set an event, at most so long; return whether that is so."""
        return event.wait(seconds)

    def _do_aside(self, work: Callable[[], object]) -> Any:
        """Do what waits for runs without the caller waiting: in a thread of its own, which is returned."""
        thread = Thread(target=work, name="rota-shutdown", daemon=True)
        thread.start()
        return thread

    def _wait_closed(self, seconds: float) -> bool:
        """Wait until a shutdown is over, at most so long; return whether that is so."""
        return self._lifecycle.closed.wait(seconds)

    def _wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        """Wait until no run is under way and all are recorded; return whether that is so."""
        return self._lifecycle.wait_idle(ends, timeout, wanted)

    def _make_engine_logger(self) -> GuardedLogger:
        """Return what the engine logs by: a filter or a handler that hangs may not hold up its passes."""
        from .queued_logger import QueuedLogger  # import time

        return QueuedLogger(given_logger(self) or self._logger)

    def _enqueue_event(self, event: Any) -> None:
        """Send an event that arises in no caller's thread: the listeners are called later, elsewhere, and may take their time."""
        self._listening.enqueue(event, self._log, self._pump_soon)

    def _pump_soon(self, queue: EventQueue) -> None:
        """Have a listener called with the events that wait for it, where this host calls listeners: in a thread of its own."""
        queue.pump_in_thread()

    def _wait_for_listener(self, queue: EventQueue) -> bool:
        """Wait a moment; return whether a listener has been called with all that waited for it."""
        if queue.is_stranded:  # since Python 3.12 no thread starts while the interpreter exits
            queue.pump()
        return queue.wait_empty(POLL)

    # -- what hosts add to: the steps of the life --------------------------------------------------------------------

    def _open(self) -> None:
        """Start executors and stores and store the pending jobs; undo it all if any of it fails."""
        self._lifecycle.open()

    def _stop_claiming(self, timeout: Any = None) -> None:
        """Begin to shut down: from now on no run starts, and the state is "stopped"."""
        self._lifecycle.stop_claiming(timeout)

    def _drain(self, wait: bool = True, timeout: float | None = None) -> None:
        """Finish a shutdown: wait for runs (or ask them to stop), then close executors and stores."""
        self._lifecycle.drain(wait, timeout)

    def _finish_removal(self, state: StoreState) -> None:
        """Wait for the runs of a removed store, and close it."""
        from .removal import finish_removal  # rare

        finish_removal(self._lifecycle, state)

    def _stop_at_exit(self) -> None:
        """The interpreter exits: give the runs under way a moment, and hand the rest back."""
        stop_at_exit(self._lifecycle)

    def _stop_in_child(self) -> None:
        """The process was forked: threads and connections are the parent's; this copy is a stopped scheduler."""
        self._make_locks()
        stop_in_child(self._lifecycle)

    # -- what jobs, executors and tests ask of a scheduler ------------------------------------------------------------

    @property
    def _engine(self) -> Engine | None:
        return self._lifecycle.engine

    def _lacking(self, job: Job) -> Sequence[str]:
        """Return the names of the resources that a job needs and this scheduler does not have."""
        return self._registry.lacking(job)

    def _why_left(self, alias: str, job_id: str) -> str | None:
        """Return why no living node runs a job that is due, as far as is known here."""
        from .views import why_left  # import time

        return why_left(self._lifecycle, alias, job_id)

    @property
    def _calls(self) -> Calls | None:
        return self._registry.calls

    @property
    def _closed(self) -> Event:
        return self._lifecycle.closed

    def _tell(self, event: Any) -> None:
        """Call :meth:`_dispatch_event`; what it raises must not undo for the caller what has been done already."""
        tell(self, event, self._log)

    def _make_locks(self) -> None:
        self._executors_lock = self._create_lock()
        self._jobstores_lock = self._create_lock()
        self._listeners_lock = self._create_lock()
        self._lifecycle.make_locks()

    def _pending_alias(self, job: Job) -> str | None:
        """Return the alias of the store that a job waits for, None if it does not wait."""
        return self._book.pending.alias_of(job)

    def _add_pending_options(self, job: Job, alias: str, options: Mapping[str, Any]) -> None:
        """Take note of policies that were set on a job which waits for start()."""
        self._book.pending.add_options(job, alias, options)


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
        return inner_name(__name__, name)
