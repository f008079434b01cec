"""The inner life of a scheduler: opening, passes, draining, closing; what happens at a fork and at exit.

Part of the facade that programs do not call. It makes no decision about jobs.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from threading import Event, Thread, get_ident

from ..clock import SECOND
from ..core.plan import QUARANTINED
from ..core.policy import with_options
from ..errors import (
    CallableMismatchError,
    ConfigurationError,
    JobTypeError,
    OptionTypeError,
    SchedulerNotRunningError,
    StoreError,
)
from ..events import EVENT_ALL, EVENT_SCHEDULER_SHUTDOWN, SchedulerEvent
from ..executors.base import BaseExecutor, current_run
from ..interrupts import is_interrupt
from ..jobstores.base import BaseJobStore
from ..util import maybe_ref
from .engine import Engine
from .event_queue import EventQueue
from .job_methods import STATE_STOPPED, JobMethods
from .listeners import Listeners
from .plugins import create_plugin
from .queued_logger import QueuedLogger
from .requests import request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..core.plan import Decision
    from ..job import Job
    from ..logs import GuardedLogger

#: How long runs may still work when the interpreter exits, and after a shutdown's time is over (seconds).
EXIT_GRACE = 5.0
CANCEL_GRACE = 1.0
#: How long a shutdown tries to record outcomes in a store that fails, and how often it looks (seconds).
RECORD_GRACE = 10.0
POLL = 0.25
#: How long a shutdown waits for one call of a listener (seconds).
DELIVERY_GRACE = 10.0


_EXAMPLES = {
    "jobstore": "a URL, or a dictionary such as {'type': 'sqlalchemy', 'url': 'sqlite:///jobs.sqlite'}",
    "executor": "a dictionary such as {'type': 'threadpool', 'max_workers': 20}",
}


class SchedulerLife(JobMethods):
    """The inner half of :class:`~rota.schedulers.base.BaseScheduler`."""

    jobstore_retry_interval: float
    _lease: float
    _logger: Any
    _listeners: Listeners
    _engine: Engine | None
    #: set while no shutdown is under way
    _closed: Event
    _drainer: Thread | None
    _announced: bool
    #: where a subclass overrides _dispatch_event(), which is to see every event: what calls it with those of the engine
    _all_events: EventQueue | None
    _executors_lock: Any
    _listeners_lock: Any
    _lifecycle_lock: Any
    _tick_lock: Any
    #: identity of the thread that makes a pass now
    _ticking: int | None

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
            self._ticking = get_ident()
            try:
                return self._engine.tick()
            except BaseException as exc:  # the loop of a host ends by shutdown() only
                if is_interrupt(exc):
                    raise
                self._log.exception("A pass over the job stores failed; trying again")
                return 1.0
            finally:
                self._ticking = None

    @property
    def _ticks_may_block(self) -> bool:
        """Whether a pass may wait for a disk or a network."""
        return self._engine is not None and self._engine.does_io

    def _host_is_alive(self) -> bool:
        """Whether the thread or loop that makes the passes is still there."""
        return True

    def _wants(self, code: int) -> bool:
        return self._all_events is not None or bool(self._listeners.mask & code)

    def _wanted(self) -> int:
        return self._listeners.mask if self._all_events is None else EVENT_ALL

    def _enqueue_event(self, event: Any) -> None:
        """Send an event that arises in no caller's thread: the listeners are called later, elsewhere, and may take their time."""
        if self._all_events is not None:
            self._all_events.put(event, self._log, self._pump_soon)
        else:
            self._listeners.enqueue(event, self._log, self._pump_soon)

    def _pump_soon(self, queue: EventQueue) -> None:
        """Have a listener called with the events that wait for it, where this host calls listeners: in a thread of its own."""
        queue.pump_in_thread()

    def _make_engine_logger(self) -> GuardedLogger:
        """Return what the engine logs by: a filter or a handler that hangs may not hold up its passes."""
        return QueuedLogger(self._logger)

    def _wait_logged(self) -> None:
        """Wait until what the engine has logged is written, and end the thread that writes it."""
        logger = self._require_engine().logger
        if isinstance(logger, QueuedLogger):
            calls = -1
            while not logger.queue.wait_empty(DELIVERY_GRACE) and logger.queue.calls != calls:
                calls = logger.queue.calls
            logger.queue.close()

    def _event_queues(self) -> tuple[EventQueue, ...]:
        return self._listeners.queues if self._all_events is None else (self._all_events,)

    def _renew_event_queues(self) -> None:
        """Begin with empty queues and no threads."""
        self._listeners.renew()
        if self._all_events is not None:
            self._all_events.close()
            self._all_events = EventQueue(self._dispatch_event, EVENT_ALL)

    def _job_came(self, job: Job) -> None:
        if self._engine is not None and self._engine.concerns(job.next_due):
            self._wake_host()

    def _request_run(self, alias: str, decision: Decision) -> bool:
        if not request(self._require_engine(), alias, decision):
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
        if self._runs_jobs and "default" not in self._executors:
            self.add_executor(self._create_default_executor(), "default")
        if not self._runs_jobs:
            self._check_others()
        elif "default" not in self._jobstores:
            self.add_jobstore(self._create_default_jobstore(), "default")
        for job, alias, _ in self._pending_jobs:
            self._lookup_jobstore(alias)
            self._check_executor(job.executor)
        self._engine = Engine(
            self.clock,
            self._make_engine_logger(),
            self._executors,
            self._enqueue_event,
            self._wanted,
            self.wakeup,
            self.jobstore_retry_interval,
            self._lease,
            self._runs_jobs,
        )
        started: list[BaseExecutor] = []
        try:
            for alias, executor in self._executors.items() if self._runs_jobs else ():
                executor.start(self, alias)
                started.append(executor)
            for alias, store in self._jobstores.items():
                self._start_store(alias, store)
            self._store_pending()
        except BaseException:
            for executor in started:
                executor._stop(wait=False)
            self._close_stores()
            self._engine = None
            raise

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
        store.attach(self, alias)
        try:
            store.start(self, alias)
        except BaseException:
            with suppress(
                Exception
            ):  # what it has opened; why it did not start is worth more than trouble in closing that
                store.shutdown()
            store.detach()
            raise
        self._require_engine().add_store(alias, store)

    def _store_pending(self) -> None:
        stored = 0
        try:
            for (alias, replace), entries in groupby(self._pending_jobs, key=itemgetter(1, 2)):
                jobs = [job for job, _, _ in entries]
                for job in jobs:
                    job.policy = with_options(self._default_policy, self._pending_options.get(job.id, {}))
                together = self._stored_together(jobs, alias, replace)
                for job in jobs:
                    if not together:
                        self._add_late(job, alias, replace)
                    self._pending_options.pop(job.id, None)
                    stored += 1
        finally:  # what is stored is no longer pending, whatever became of the others
            del self._pending_jobs[:stored]

    def _add_late(self, job: Job, alias: str, replace: bool) -> None:
        """Store a pending job; one whose name came to lead to another callable meanwhile costs itself, not the start."""
        try:
            self._real_add_job(job, alias, replace)
        except CallableMismatchError as exc:
            job.set_next(None)
            job.state, job.error = QUARANTINED, str(exc)
            self._log.error('Job "%s" is quarantined: %s', job.id, exc)
            self._real_add_job(job, alias, replace)

    def _stored_together(self, jobs: Sequence[Job], alias: str, replace: bool) -> bool:
        """Store jobs in one step; False if that is no gain, or not possible: one by one shows which is refused, and why.

        10 000 jobs in an SQLite file take 0.6 s; one transaction for each would take 30 s.
        """
        if len(jobs) < 2 or not self._lookup_jobstore(alias).durable:
            return False
        before = [(job.trigger, job.state, job.next_nominal, job.next_due) for job in jobs]
        try:
            self._add_together(jobs, alias, replace, None)
        except StoreError:
            raise
        except Exception:
            for job, kept in zip(jobs, before, strict=True):
                job.trigger, job.state, job.next_nominal, job.next_due = kept
            return False
        return True

    def _stop_claiming(self, timeout: Any = None) -> None:
        """Begin to shut down: from now on no run starts, and the state is "stopped".

        :param timeout: the seconds that the rest may take
        :raises OptionTypeError: if they are none; nothing is stopped then
        """
        if timeout is not None and (not isinstance(timeout, (int, float)) or not timeout >= 0):
            raise OptionTypeError(f"timeout is a number of seconds from 0 up, or None, not {timeout!r}")
        with self._lifecycle_lock:
            if self.state == STATE_STOPPED:
                raise SchedulerNotRunningError
            self._require_engine().claiming = False
            self._closed.clear()
            self._announced = False
            self.state = STATE_STOPPED

    def _drain(self, wait: bool = True, timeout: float | None = None) -> None:
        """Finish a shutdown: wait for runs (or ask them to stop), then close executors and stores."""
        with self._tick_lock:  # a pass that is under way may still hand out runs
            engine = self._require_engine()
        try:
            executors = list(self._executors.values()) if self._runs_jobs else []
            if not wait:
                for executor in executors:
                    executor.cancel()
            if not self._wait_idle(engine, timeout):
                self._log.warning(
                    "%d runs were still under way after %s s; they are asked to stop",
                    engine.in_flight,
                    timeout,
                )
                for executor in executors:
                    executor.cancel()
                self._wait_idle(engine, CANCEL_GRACE)
            for executor in executors:
                executor._stop(engine.in_flight == 0)
            engine.leave()
            self._wait_delivered(timeout)
            self._close_stores()
            self._renew_event_queues()
            self._wait_logged()
            self._announce_shutdown()
        finally:
            self._closed.set()

    def _drain_aside(self, wait: bool, timeout: float | None) -> None:
        """Finish a shutdown on a thread of its own, for callers that must not wait."""
        if not wait:
            self._announce_shutdown()
        self._drainer = Thread(target=self._drain, args=(wait, timeout), name="rota-shutdown", daemon=True)
        self._drainer.start()

    def _announce_shutdown(self) -> None:
        if not self._announced:
            self._announced = True
            self._log.info("Scheduler has been shut down")
            self._tell(SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN))

    def _wait_idle(self, engine: Engine, timeout: float | None) -> bool:
        """Wait until no run is under way and all are recorded; return whether that is so.

        A store that does not take the outcomes is waited for a while only: those runs are executed again.
        """
        now = self.clock.monotonic
        until = None if timeout is None else now() + int(timeout * SECOND)
        give_up: int | None = None
        while not engine.wait_idle(POLL if until is None else min(POLL, max(until - now(), 0) / SECOND)):
            if until is not None and now() >= until:
                return False
            engine.flush()
            if engine.unrecorded < engine.in_flight:
                give_up = None
            elif give_up is None:
                give_up = now() + int(RECORD_GRACE * SECOND)
            elif now() >= give_up:
                self._log.error("The outcomes of %d runs could not be recorded", engine.unrecorded)
                return False
        return True

    def _wait_delivered(self, timeout: float | None) -> None:
        """Wait until the listeners have been called with what waits for them.

        One that does not get on is left alone after a while: without a time-out, when a single call takes DELIVERY_GRACE seconds.
        """
        limit = DELIVERY_GRACE if timeout is None else min(timeout, DELIVERY_GRACE)
        for queue in self._event_queues():
            calls, until = queue.calls, self.clock.monotonic() + int(limit * SECOND)
            while not queue.is_current and not self._wait_for_listener(queue):
                now = self.clock.monotonic()
                if timeout is None and queue.calls != calls:
                    calls, until = queue.calls, now + int(limit * SECOND)
                elif now >= until:
                    self._log.error(
                        "The listener %r still works; events are left that it does not get", queue.callback
                    )
                    break

    def _wait_for_listener(self, queue: EventQueue) -> bool:
        """Wait a moment; return whether a listener has been called with all that waited for it."""
        return queue.wait_empty(POLL)

    def _close_stores(self) -> None:
        for alias, store in self._jobstores.items():
            if getattr(store, "_holder", None) is self:
                try:
                    store.shutdown()
                except Exception:
                    self._log.exception("Error shutting down job store %r", alias)
                store.detach()

    def _is_inside(self) -> bool:
        """Whether the caller is a job of this scheduler, its pass or one of its listeners, so that waiting would never end."""
        if self._ticking == get_ident() or any(queue.is_current for queue in self._event_queues()):
            return True
        try:
            run = current_run()
        except Exception:
            return False
        return not run.ended and self._require_engine().owns(run.owner)

    def _is_exiting(self) -> None:
        """The interpreter exits: what has to be ended by force from now on is lost, and not cancelled."""
        self._require_engine().exiting = True
        for executor in self._executors.values():
            executor.exiting = True

    def _stop_at_exit(self) -> None:
        """The interpreter exits: give the runs under way a moment, and hand the rest back."""
        self._stop_claiming()
        self._drain(True, EXIT_GRACE)

    def _stop_in_child(self) -> None:
        """The process was forked: threads and connections are the parent's; this copy is a stopped scheduler."""
        was_running = self.state != STATE_STOPPED
        self.state = STATE_STOPPED
        self._engine = None
        self._make_locks()
        self._closed = Event()
        self._closed.set()
        self._renew_event_queues()
        for store in self._jobstores.values():
            store.forked()
        if was_running:
            self._log.warning(
                "This process was forked from one with a running scheduler; the copy is stopped. "
                "Call start() here if this process is to run jobs too"
            )
