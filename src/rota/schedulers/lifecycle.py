"""The life of a scheduler: it opens executors and stores, makes passes, drains and closes.

The thread of control is the host's, and what is special about it is asked of the host's methods. It makes no decision about jobs.
"""

from __future__ import annotations

from functools import partial
from threading import Event, get_ident

from ..clock import LEASE, SECOND
from ..core.policy import Policy
from ..errors import OptionTypeError, SchedulerAlreadyRunningError, SchedulerNotRunningError
from ..events import (
    EVENT_SCHEDULER_PAUSED,
    EVENT_SCHEDULER_RESUMED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    SchedulerEvent,
)
from ..executors.steps import current_run
from ..interrupts import is_interrupt
from ..texts import repr_of
from ..triggers.base import AskedBy
from .book import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED
from .listeners import DELIVERY_GRACE, tell, wait_delivered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from ..core.run import Run
    from ..engine.completions import Completions
    from ..engine.engine import Engine
    from ..executors.base import BaseExecutor
    from ..logs import GuardedLogger
    from .book import JobBook
    from .hooks import Hooks
    from .registry import Registry

#: How long runs may still work after a shutdown's time is over (seconds).
CANCEL_GRACE = 1.0
#: How long a shutdown that is not to wait (any longer) waits for stores all the same (seconds).
CLOSING_GRACE = 2.0
#: How long a shutdown tries to record outcomes in a store that fails, and how often it looks (seconds).
RECORD_GRACE = 10.0
POLL = 0.25
#: Seconds between two looks whether a pass that is waited for was replaced.
LOOK = 0.25


class Lifecycle:
    """Where a scheduler stands between its start and the end of its shutdown, and the steps from one to the other.

    :param scheduler: the scheduler, for its hooks
    :param book: its jobs
    :param registry: its executors and job stores
    """

    #: the scheduler's logger, guarded
    log: GuardedLogger
    #: held while the state changes between stopped and running
    lock: Any
    #: held during a pass
    tick_lock: Any

    def __init__(self, scheduler: Hooks, book: JobBook, registry: Registry) -> None:
        self.scheduler = scheduler
        self.book = book
        self.registry = registry
        #: the engine, from start() to the end of the process or the next start
        self.engine: Engine | None = None
        #: seconds after which others take over the runs of a node that has not been heard of
        self.lease = LEASE
        #: set while no shutdown is under way
        self.closed = Event()
        self.closed.set()
        #: the thread that finishes a shutdown for which its caller does not wait
        self.drainer: Any = None
        #: whether a shutdown under way waits for its runs no longer, and asks them to stop
        self.hurried = False
        #: identity of the thread that makes a pass now
        self.ticking: int | None = None
        self._announced = False
        #: identity of the thread that tells listeners of the shutdown, which is over only after that
        self._announcing: int | None = None
        #: when it was started (monotonic microseconds)
        self.started_at = 0

    def make_locks(self) -> None:
        """Make new locks of the host's kind: those of the parent may be held for ever in a forked child."""
        create = self.scheduler._create_lock
        self.lock, self.tick_lock = create(), create()
        self.registry.make_lock()
        self.ticking = None

    def require_engine(self) -> Engine:
        """Return the engine.

        :raises SchedulerNotRunningError: if there is none
        """
        if self.engine is None:
            raise SchedulerNotRunningError
        return self.engine

    def set_engine(self, engine: Engine | None) -> None:
        """Set the engine, or None, here and in the book."""
        self.engine = self.book.engine = engine

    # -- starting ------------------------------------------------------------------------------------------------

    def check_startable(self) -> None:
        """Refuse a start that cannot be; a shutdown that is under way is waited for, but not by those that it waits for.

        :raises SchedulerAlreadyRunningError: saying what to do
        """
        if self.scheduler.state != STATE_STOPPED:
            raise SchedulerAlreadyRunningError
        if not self.closed.is_set() and self.is_inside():
            raise SchedulerAlreadyRunningError(
                "The scheduler is still shutting down, and that waits for the job or listener that calls start(); call it elsewhere"
            )

    def start(self, paused: bool) -> None:
        """Open the scheduler, and let its state be that of one that runs; a shutdown under way is waited for.

        :raises SchedulerAlreadyRunningError: if the scheduler is running
        """
        scheduler = self.scheduler
        self.closed.wait()  # a shutdown that nobody waited for
        with self.lock:
            if scheduler.state != STATE_STOPPED:
                raise SchedulerAlreadyRunningError
            scheduler._open()
            self.started_at = scheduler.clock.monotonic()
            scheduler.state = STATE_PAUSED if paused else STATE_RUNNING

    def begin(self) -> None:
        """Tell that the scheduler has started, and let it claim jobs unless it is paused."""
        scheduler = self.scheduler
        self.log.info("Scheduler started")
        tell(scheduler, SchedulerEvent(EVENT_SCHEDULER_STARTED), self.log)
        if scheduler.state == STATE_RUNNING:
            self.require_engine().claiming = self.book.runs_jobs
            scheduler.wakeup()

    def pause(self) -> None:
        """Claim nothing until :meth:`resume` is called.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        scheduler = self.scheduler
        if scheduler.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        if scheduler.state == STATE_RUNNING:
            self.require_engine().claiming = False
            scheduler.state = STATE_PAUSED
            self.log.info("Paused scheduler job processing")
            tell(scheduler, SchedulerEvent(EVENT_SCHEDULER_PAUSED), self.log)

    def resume(self) -> None:
        """Claim jobs again.

        :raises SchedulerNotRunningError: if the scheduler is not running
        """
        scheduler = self.scheduler
        if scheduler.state == STATE_STOPPED:
            raise SchedulerNotRunningError
        if scheduler.state == STATE_PAUSED:
            scheduler.state = STATE_RUNNING
            self.require_engine().claiming = self.book.runs_jobs
            self.log.info("Resumed scheduler job processing")
            tell(scheduler, SchedulerEvent(EVENT_SCHEDULER_RESUMED), self.log)
            scheduler.wakeup()

    def open(self) -> None:
        """Start executors and stores and store the pending jobs; undo it all if any of it fails."""
        from ..compat.overrides import SCHEDULER_METHODS, replaced  # import time
        from ..engine.engine import Engine  # a quarter of what is to be imported, and nothing needs it before

        scheduler, book = self.scheduler, self.book
        self.registry.add_defaults()
        for job, alias, _ in book.pending.entries:
            scheduler._lookup_jobstore(alias)
            book.check_executor(job.executor)
            book.check_policy(job)
        overridden = replaced(scheduler, SCHEDULER_METHODS)
        executors: Mapping[str, BaseExecutor] = scheduler._executors
        if "_lookup_executor" in overridden:
            from ..compat.schedulers import LookedUp  # rare

            executors = LookedUp(scheduler)
        was_copy, book.is_copy = book.is_copy, False
        self.set_engine(
            Engine(
                scheduler.clock,
                scheduler._make_engine_logger(),
                executors,
                scheduler._enqueue_event,
                lambda: book.listening.mask,
                scheduler.wakeup,
                scheduler.jobstore_retry_interval,
                self.lease,
                book.runs_jobs,
                self._host_works,
                scheduler._replace_pass,
            )
        )
        started: list[BaseExecutor] = []
        try:
            for alias, executor in self.registry.executors().items():
                executor.start(scheduler, alias)
                started.append(executor)
            with scheduler._jobstores_lock:
                for alias, store in scheduler._jobstores.items():
                    self.registry.open(alias, store)
            while not self._all_stored():
                from .bulk import store_pending  # import time

                store_pending(book, "_real_add_job" in overridden)
        except BaseException:
            for executor in started:
                executor._stop(wait=False)
            self.registry.close_all()
            self.set_engine(None)
            book.is_copy = was_copy
            raise

    def _host_works(self) -> bool:
        """Whether there is somebody who makes the passes, or waits for the end of the runs."""
        return self.scheduler.state == STATE_STOPPED or self.scheduler._host_is_alive()

    def _all_stored(self) -> bool:
        """Let calls go to the stores from now on, unless jobs have come meanwhile that wait to be stored."""
        with self.scheduler._jobstores_lock:
            self.book.is_open = not self.book.pending.entries
            return self.book.is_open

    # -- passes --------------------------------------------------------------------------------------------------

    def tick(self) -> float | None:
        """Do what is due now; the host calls it, by ``_process_jobs()``.

        :return: seconds until the next call is needed; None: only a wake-up makes one necessary
        """
        if self.scheduler.state == STATE_STOPPED or self.engine is None:
            return None
        with self.tick_lock:
            self.ticking = ident = get_ident()
            try:
                with AskedBy(self.scheduler):
                    return self.engine.tick()
            except BaseException as exc:  # the loop of a host ends by shutdown() only
                if is_interrupt(exc):
                    raise
                self.log.exception("A pass over the job stores failed; trying again")
                return 1.0
            finally:
                if self.ticking == ident:  # a pass that hung is not the one that is under way now
                    self.ticking = None

    def wait_for_pass(self) -> None:
        """Wait until no pass is under way that could still hand out runs; one that hangs may be replaced meanwhile."""
        while not (lock := self.tick_lock).acquire(timeout=LOOK):
            pass
        lock.release()

    @property
    def ticks_may_block(self) -> bool:
        """Whether a pass may wait for a disk or a network."""
        return self.engine is not None and self.engine.does_io

    def is_inside(self) -> bool:
        """Whether the caller is a job of this scheduler, its pass or one of its listeners, so that waiting would never end."""
        if get_ident() in (self.ticking, self._announcing) or any(
            queue.is_current for queue in self.book.listening.queues
        ):
            return True
        return self.run_inside() is not None

    def run_inside(self) -> Run | None:
        """Return the run of this scheduler in which the caller is, None: it is in none."""
        try:
            run = current_run()
        except Exception:
            return None
        return run if not run.ended and self.require_engine().owns(run.owner) else None

    # -- stopping ------------------------------------------------------------------------------------------------

    def stop(self, wait: bool, timeout: float | None) -> None:
        """Shut down as ``shutdown()`` says, where the caller's thread may be held up."""
        scheduler = self.scheduler
        scheduler._stop_claiming(timeout)
        may_wait = not self.is_inside() and (wait or self.require_engine().in_flight == 0)
        is_bounded = not wait or timeout is not None
        if may_wait and not (is_bounded and self.ticks_may_block):
            scheduler._drain(wait, timeout)
            return
        self.drain_aside(wait, timeout)
        # A store that hangs, in a pass or in its closing, does not hold up a caller who does not want to wait.
        if may_wait and not scheduler._wait_closed((timeout or 0.0) + CLOSING_GRACE):
            self.log.warning("A job store takes longer than the shutdown may; it is closed in the background")

    def stop_claiming(self, timeout: Any = None) -> None:
        """Begin to shut down: from now on no run starts, and the state is "stopped".

        :param timeout: the seconds that the rest may take
        :raises OptionTypeError: if they are none; nothing is stopped then
        """
        if timeout is not None and (not isinstance(timeout, (int, float)) or not timeout >= 0):
            raise OptionTypeError(
                f"timeout is a number of seconds from 0 up, or None, not {repr_of(timeout)}"
            )
        with self.lock:
            if self.scheduler.state == STATE_STOPPED:
                raise SchedulerNotRunningError
            self.require_engine().claiming = False
            self.closed.clear()
            self._announced = self.hurried = False
            self.scheduler.state = STATE_STOPPED

    def drain(self, wait: bool = True, timeout: float | None = None) -> None:
        """Finish a shutdown: wait for runs (or ask them to stop), then close executors and stores."""
        self.wait_for_pass()  # it may still hand out runs
        scheduler, engine = self.scheduler, self.require_engine()
        try:
            engine.drain()
            executors = self.registry.executors()
            if not wait:
                self.registry.cancel(executors)
            if not scheduler._wait_idle(engine, timeout, lambda: not self.hurried):
                self.log.warning("%d runs are still under way; they are asked to stop", engine.in_flight)
                self.registry.cancel(executors)
                scheduler._wait_idle(engine, CANCEL_GRACE)
            self.registry.stop(executors, self._has_ended_all(engine))
            engine.leave()
            # Before the stores close, as what listeners ask of the scheduler goes there.
            listening = self.book.listening
            wait_delivered(listening.queues, timeout, scheduler._wait_for_listener, scheduler.clock, self.log)
            self.registry.close_all()
            for state in engine.leaving:
                self.registry.end_removal(engine, state)
            listening.renew()
            engine.logger.finish(DELIVERY_GRACE)  # what waits to be written
            self._announce_shutdown()
        finally:
            self.closed.set()

    def _has_ended_all(self, engine: Engine) -> bool:
        """Whether no executor has anything in hand; those runs of which the time is over end in their stores all the same."""
        if Policy.some_time_out:
            from ..engine.timeouts import leave_behind  # most jobs have no limit

            leave_behind(engine.parts)
            if any(part.has_left_some for part in engine.parts):
                return False
        return engine.in_flight == 0

    def drain_aside(self, wait: bool, timeout: float | None) -> None:
        """Finish a shutdown elsewhere, for callers that must not wait."""
        if not wait:
            self._announce_shutdown()
        self.drainer = self.scheduler._do_aside(partial(self.scheduler._drain, wait, timeout))

    def _announce_shutdown(self) -> None:
        if not self._announced:
            self._announced = True
            self.log.info("Scheduler has been shut down")
            self._announcing = get_ident()
            try:
                tell(self.scheduler, SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN), self.log)
            finally:
                self._announcing = None

    def wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        """Wait until no run is under way and all are recorded; return whether that is so.

        A store that does not take the outcomes is waited for a while only: those runs are executed again.

        :param ends: the ends of runs of all stores, or of one
        :param timeout: seconds at most; None: as long as it takes
        :param wanted: returns False when there is no need to wait any longer
        """
        now = self.scheduler.clock.monotonic
        until = None if timeout is None else now() + int(timeout * SECOND)
        give_up: int | None = None
        while not ends.wait_idle(POLL if until is None else min(POLL, max(until - now(), 0) / SECOND)):
            if (until is not None and now() >= until) or (wanted is not None and not wanted()):
                return False
            ends.flush()
            if Policy.some_time_out:
                from ..engine.timeouts import look_while_waiting  # most jobs have no limit

                look_while_waiting(ends.parts)
            if ends.unrecorded < ends.in_flight:
                give_up = None
            elif give_up is None:
                give_up = now() + int(RECORD_GRACE * SECOND)
            elif now() >= give_up:
                self.log.error("The outcomes of %d runs could not be recorded", ends.unrecorded)
                return False
        return True
