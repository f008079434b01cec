"""The inner life of a scheduler: opening, passes, the way of events to their listeners, closing stores.

Part of the facade that programs do not call. It makes no decision about jobs.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from threading import Event, Thread, get_ident

from ..core.policy import with_options
from ..core.states import QUARANTINED, set_job_state, undo_job_state
from ..errors import (
    CallableMismatchError,
    ConfigurationError,
    JobTypeError,
    SchedulerNotRunningError,
    StoreError,
)
from ..events import EVENT_ALL
from ..executors.base import BaseExecutor, current_run
from ..interrupts import is_interrupt
from ..jobstores.base import BaseJobStore
from ..logs import LoggerAttribute, given_logger
from ..triggers.base import AskedBy
from ..util import maybe_ref
from .job_methods import STATE_STOPPED, JobMethods
from .listeners import Listeners
from .plugins import create_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from ..core.plan import Decision
    from ..core.run import Run
    from ..engine.engine import Engine
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from .event_queue import EventQueue


#: Seconds between two looks whether a pass that is waited for was replaced.
LOOK = 0.25

_EXAMPLES = {
    "jobstore": "a URL, or a dictionary such as {'type': 'sqlalchemy', 'url': 'sqlite:///jobs.sqlite'}",
    "executor": "a dictionary such as {'type': 'threadpool', 'max_workers': 20}",
}


class SchedulerLife(JobMethods):
    """The inner half of :class:`~rota.schedulers.base.BaseScheduler`."""

    jobstore_retry_interval: float
    _lease: float
    _logger: Any = LoggerAttribute("rota.scheduler")
    _listening: Listeners
    _engine: Engine | None
    #: set while no shutdown is under way
    _closed: Event
    _drainer: Thread | None
    _announced: bool
    #: whether pending jobs are stored one by one: the program overrides _real_add_job()
    _adds_singly: bool = False
    #: where a subclass overrides _dispatch_event(), which is to see every event: what calls it with those of the engine
    _all_events: EventQueue | None
    _executors_lock: Any
    _listeners_lock: Any
    _lifecycle_lock: Any
    _tick_lock: Any
    #: identity of the thread that makes a pass now
    _ticking: int | None
    #: identity of the thread that tells listeners of the shutdown, which is over only after that
    _announcing: int | None = None

    def add_executor(
        self, executor: BaseExecutor | str, alias: str = "default", **executor_opts: Any
    ) -> None:
        raise NotImplementedError

    def add_jobstore(
        self, jobstore: BaseJobStore | str, alias: str = "default", **jobstore_opts: Any
    ) -> None:
        raise NotImplementedError

    def _create_default_executor(self) -> BaseExecutor:
        raise NotImplementedError

    def _create_default_jobstore(self) -> BaseJobStore:
        raise NotImplementedError

    def _create_lock(self) -> Any:
        raise NotImplementedError

    def _process_jobs(self) -> float | None:
        """Do what is due now; the host calls it.

        :return: seconds until the next call is needed; None: only a wake-up makes one necessary
        """
        if self.state == STATE_STOPPED or self._engine is None:
            return None
        with self._tick_lock:
            self._ticking = ident = get_ident()
            try:
                with AskedBy(self):
                    return self._engine.tick()
            except BaseException as exc:  # the loop of a host ends by shutdown() only
                if is_interrupt(exc):
                    raise
                self._log.exception("A pass over the job stores failed; trying again")
                return 1.0
            finally:
                if self._ticking == ident:  # a pass that hung is not the one that is under way now
                    self._ticking = None

    def _wait_for_pass(self) -> None:
        """Wait until no pass is under way that could still hand out runs; one that hangs may be replaced meanwhile."""
        while not (lock := self._tick_lock).acquire(timeout=LOOK):
            pass
        lock.release()

    def _replace_pass(self) -> bool:
        """Make another thread go on with the passes, as the one that makes them hangs; return whether this host can do that."""
        return False

    @property
    def _ticks_may_block(self) -> bool:
        """Whether a pass may wait for a disk or a network."""
        return self._engine is not None and self._engine.does_io

    def _host_is_alive(self) -> bool:
        """Whether the thread or loop that makes the passes is still there."""
        return True

    def _host_works(self) -> bool:
        """Whether there is somebody who makes the passes, or waits for the end of the runs."""
        return self.state == STATE_STOPPED or self._host_is_alive()

    def _wants(self, code: int) -> bool:
        return bool(self._listening.mask & code)

    def _wanted(self) -> int:
        return self._listening.mask

    def _enqueue_event(self, event: Any) -> None:
        """Send an event that arises in no caller's thread: the listeners are called later, elsewhere, and may take their time."""
        if self._all_events is not None:
            self._all_events.put(event, self._log, self._pump_soon)
        else:
            self._listening.enqueue(event, self._log, self._pump_soon)

    def _pump_soon(self, queue: EventQueue) -> None:
        """Have a listener called with the events that wait for it, where this host calls listeners: in a thread of its own."""
        queue.pump_in_thread()

    def _make_engine_logger(self) -> GuardedLogger:
        """Return what the engine logs by: a filter or a handler that hangs may not hold up its passes."""
        from .queued_logger import QueuedLogger  # import time

        return QueuedLogger(given_logger(self) or self._logger)

    def _see_all_events(self) -> None:
        """Give a subclass's own _dispatch_event() a queue, as if it were a listener."""
        from .event_queue import EventQueue  # import time

        self._all_events = EventQueue(self._dispatch_event, EVENT_ALL)
        self._listening.want_all()

    def _event_queues(self) -> tuple[EventQueue, ...]:
        return self._listening.queues if self._all_events is None else (self._all_events,)

    def _renew_event_queues(self) -> None:
        """Begin with empty queues and no threads."""
        self._listening.renew()
        if self._all_events is not None:
            self._all_events.close()
            self._see_all_events()

    def _job_came(self, job: Job, alias: str) -> None:
        if self._engine is not None and self._engine.wakes_before(job.next_due, alias):
            self._wake_host()

    def _request_run(self, alias: str, decision: Decision) -> bool:
        from ..engine.requests import request  # import time

        engine = self._require_engine()
        if not request(engine.stores[alias], engine.node, decision):
            return False
        self._wake_host()
        return True

    def _require_engine(self) -> Engine:
        if self._engine is None:
            raise SchedulerNotRunningError
        return self._engine

    def _make_locks(self) -> None:
        self._executors_lock = self._create_lock()
        self._jobstores_lock = self._create_lock()
        self._listeners_lock = self._create_lock()
        self._lifecycle_lock = self._create_lock()
        self._tick_lock = self._create_lock()
        #: held while a store is opened or closed
        self._opening_lock = self._create_lock()
        self._ticking = None

    def _from_config(self, kind: str, alias: str, value: Any) -> Any:
        """Make a store or an executor from what the configuration says under an alias."""
        if isinstance(value, (BaseExecutor, BaseJobStore)):
            return value
        if kind == "jobstore" and isinstance(value, str) and "://" in value:
            return create_plugin(kind, value, {})
        what = f"{kind}s[{alias!r}]"
        if not hasattr(value, "items"):
            raise JobTypeError(
                f"Expected {kind} instance or dict for {what}, got {type(value).__name__} instead; write {_EXAMPLES[kind]}"
            )
        options = dict(value)
        name, cls = options.pop("type", None), options.pop("class", None)
        if name:
            return create_plugin(kind, name, options)
        if cls:
            return maybe_ref(cls)(**options)
        if kind == "jobstore" and isinstance(options.get("url"), str):
            return create_plugin(kind, options.pop("url"), options)
        raise ConfigurationError(
            f'Cannot create {what} -- either "type" or "class" must be defined; write {_EXAMPLES[kind]}'
        )

    def _open(self) -> None:
        """Start executors and stores and store the pending jobs; undo it all if any of it fails."""
        from ..engine.engine import Engine  # a quarter of what is to be imported, and nothing needs it before

        if self._runs_jobs and "default" not in self._executors:
            self.add_executor(self._create_default_executor(), "default")
        if not self._runs_jobs:
            self._check_others()
        elif "default" not in self._jobstores:
            self.add_jobstore(self._create_default_jobstore(), "default")
        for job, alias, _ in self._pending_jobs:
            self._lookup_jobstore(alias)
            self._check_executor(job.executor)
        was_copy, self._is_copy = self._is_copy, False
        self._engine = Engine(
            self.clock,
            self._make_engine_logger(),
            self._executors_in_use(),
            self._enqueue_event,
            self._wanted,
            self.wakeup,
            self.jobstore_retry_interval,
            self._lease,
            self._runs_jobs,
            self._host_works,
            self._replace_pass,
        )
        started: list[BaseExecutor] = []
        try:
            for alias, executor in self._executors.items() if self._runs_jobs else ():
                executor.start(self, alias)
                started.append(executor)
            with self._jobstores_lock:
                for alias, store in self._jobstores.items():
                    self._start_store(alias, store)
            while not self._all_stored():
                self._store_pending()
        except BaseException:
            for executor in started:
                executor._stop(wait=False)
            self._close_stores()
            self._engine = None
            self._is_copy = was_copy
            raise

    def _executors_in_use(self) -> Mapping[str, BaseExecutor]:
        """Return the executors as the program's _lookup_executor() gives them, where it overrides that."""
        from ..compat.overrides import SCHEDULER_METHODS, replaced  # import time

        names = replaced(self, SCHEDULER_METHODS)
        self._adds_singly = "_real_add_job" in names
        if "_lookup_executor" not in names:
            return self._executors
        from ..compat.schedulers import LookedUp  # rare

        scheduler: Any = self
        return LookedUp(scheduler)

    def _check_others(self) -> None:
        """Refuse to add jobs for others to a store that nobody else can see."""
        if not self._jobstores:
            raise ConfigurationError(
                "A scheduler with runs_jobs=False adds jobs for others to run, so it needs a job store that they share; "
                'for example jobstores={"default": "postgresql://…"}'
            )
        for alias, store in self._jobstores.items():
            if not store.does_io:
                raise ConfigurationError(
                    f"A scheduler with runs_jobs=False adds jobs for others to run, and nobody else sees the job store "
                    f"{alias!r} ({type(store).__name__}) of this process"
                )

    def _start_store(self, alias: str, store: BaseJobStore) -> None:
        with self._opening_lock:
            self._open_store(alias, store)
        self._require_engine().add_store(alias, store)

    def _open_store(self, alias: str, store: BaseJobStore) -> None:
        store.attach(self, alias)
        try:
            store.start(self, alias)
        except BaseException:
            try:
                store.shutdown()  # what it has opened
            except BaseException:
                pass  # why it did not start is worth more than trouble in closing it
            store.detach()
            raise

    def _all_stored(self) -> bool:
        """Let calls go to the stores from now on, unless jobs have come meanwhile that wait to be stored."""
        with self._jobstores_lock:
            self._is_open = not self._pending_jobs
            return self._is_open

    def _store_pending(self) -> None:
        waiting = list(self._pending_jobs)
        stored: set[int] = set()
        try:
            for (alias, replace), group in groupby(waiting, key=itemgetter(1, 2)):
                entries = list(group)
                jobs = [job for job, _, _ in entries]
                for job in jobs:
                    options = self._pending_options.get((alias, job.id), {})
                    job.policy = with_options(self._default_policy, options)
                together = self._stored_together(jobs, alias, replace)
                for entry, job in zip(entries, jobs, strict=True):
                    if not together:
                        self._add_late(job, alias, replace)
                    self._pending_options.pop((alias, job.id), None)
                    stored.add(id(entry))
        finally:  # what is stored is no longer pending, whatever became of the others, and whatever came or went meanwhile
            with self._jobstores_lock:
                self._pending_jobs[:] = [entry for entry in self._pending_jobs if id(entry) not in stored]

    def _add_late(self, job: Job, alias: str, replace: bool) -> None:
        """Store a pending job; one whose name came to lead to another callable meanwhile costs itself, not the start."""
        try:
            self._real_add_job(job, alias, replace)
        except CallableMismatchError as exc:
            job.set_next(None)
            job.error = str(exc)
            set_job_state(job, QUARANTINED)
            self._log.error('Job "%s" is quarantined: %s', job.id, exc)
            self._real_add_job(job, alias, replace)

    def _stored_together(self, jobs: Sequence[Job], alias: str, replace: bool) -> bool:
        """Store jobs in one step; False if that is no gain, or not possible: one by one shows which is refused, and why.

        10 000 jobs in an SQLite file take 0.6 s; one transaction for each would take 30 s.
        """
        if len(jobs) < 2 or self._adds_singly or not self._lookup_jobstore(alias).durable:
            return False
        before = [(job.trigger, job.state, job.next_nominal, job.next_due) for job in jobs]
        try:
            self._add_together(jobs, alias, replace, None)
        except StoreError:
            raise
        except Exception:
            for job, kept in zip(jobs, before, strict=True):
                job.trigger, state, job.next_nominal, job.next_due = kept
                undo_job_state(job, state)
            return False
        return True

    def _close_stores(self) -> None:
        with self._jobstores_lock:  # a store that is being added is started before this, or not at all
            self._is_open = False
            for alias, store in self._jobstores.items():
                if getattr(store, "_holder", None) is self:
                    self._close_store(alias, store)

    def _close_store(self, alias: str, store: BaseJobStore, shutdown: bool = True) -> None:
        with self._opening_lock:
            try:
                if shutdown:
                    store.shutdown()
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                self._log.exception("Error shutting down job store %r", alias)
            store.detach()

    def _records(
        self,
        alias: str,
        store: BaseJobStore,
        job_id: str | None,
        status: Collection[str] | None,
        limit: int,
        offset: int,
    ) -> list[Run]:
        if self._is_open or not store.durable:
            return store.get_runs(job_id, status, limit, offset)
        with self._opening_lock:
            self._open_store(alias, store)
            try:
                return store.get_runs(job_id, status, limit, offset)
            finally:
                self._close_store(alias, store)

    def _is_inside(self) -> bool:
        """Whether the caller is a job of this scheduler, its pass or one of its listeners, so that waiting would never end."""
        if get_ident() in (self._ticking, self._announcing) or any(
            queue.is_current for queue in self._event_queues()
        ):
            return True
        try:
            run = current_run()
        except Exception:
            return False
        return not run.ended and self._require_engine().owns(run.owner)

    def _note_exit(self) -> None:
        """The interpreter exits: what has to be ended by force from now on is lost, and not cancelled."""
        if self._engine is not None:
            self._engine.outlet.exiting = True
        for executor in self._executors.values():
            executor.exiting = True
