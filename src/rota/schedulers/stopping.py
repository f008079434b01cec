"""How a scheduler ends: claiming stops, the runs under way end and are recorded, executors and stores close.

Part of the facade that programs do not call. It makes no decision about jobs.
"""

from __future__ import annotations

from functools import partial
from threading import Event, Thread, get_ident

from ..clock import SECOND
from ..errors import OptionTypeError, SchedulerAlreadyRunningError, SchedulerNotRunningError
from ..events import EVENT_SCHEDULER_SHUTDOWN, SchedulerEvent
from ..interrupts import is_interrupt
from ..texts import repr_of
from .job_methods import STATE_STOPPED
from .life import SchedulerLife

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from ..executors.base import BaseExecutor
    from .completions import Completions
    from .engine import Engine
    from .event_queue import EventQueue
    from .store_state import StoreState

#: How long runs may still work when the interpreter exits, and after a shutdown's time is over (seconds).
EXIT_GRACE = 5.0
CANCEL_GRACE = 1.0
#: How long a shutdown that is not to wait (any longer) waits for stores all the same (seconds).
CLOSING_GRACE = 2.0
#: How long a shutdown tries to record outcomes in a store that fails, and how often it looks (seconds).
RECORD_GRACE = 10.0
POLL = 0.25
#: A program that ends so soon after the start (seconds) was hardly meant to.
EARLY = 1.0
#: How long a shutdown waits for one call of a listener (seconds).
DELIVERY_GRACE = 10.0


class Stopping(SchedulerLife):
    """The part of :class:`~rota.schedulers.base.BaseScheduler` that ends what the part below has opened."""

    #: whether a shutdown under way waits for its runs no longer, and asks them to stop
    _hurried = False

    #: when it was started (monotonic microseconds)
    _started_at = 0
    #: what keeps a program with this scheduler running, for one that ends at once; None: nothing is needed
    _kept_alive_by: str | None = None

    def start(self, paused: bool = False) -> Any:
        raise NotImplementedError

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        raise NotImplementedError

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

    def _check_startable(self) -> None:
        """Refuse a start that cannot be; a shutdown that is under way is waited for, but not by those that it waits for.

        :raises SchedulerAlreadyRunningError: saying what to do
        """
        if self.state != STATE_STOPPED:
            raise SchedulerAlreadyRunningError
        if not self._closed.is_set() and self._is_inside():
            raise SchedulerAlreadyRunningError(
                "The scheduler is still shutting down, and that waits for the job or listener that calls start(); call it elsewhere"
            )

    def _stop_claiming(self, timeout: Any = None) -> None:
        """Begin to shut down: from now on no run starts, and the state is "stopped".

        :param timeout: the seconds that the rest may take
        :raises OptionTypeError: if they are none; nothing is stopped then
        """
        if timeout is not None and (not isinstance(timeout, (int, float)) or not timeout >= 0):
            raise OptionTypeError(
                f"timeout is a number of seconds from 0 up, or None, not {repr_of(timeout)}"
            )
        with self._lifecycle_lock:
            if self.state == STATE_STOPPED:
                raise SchedulerNotRunningError
            self._require_engine().claiming = False
            self._closed.clear()
            self._announced = self._hurried = False
            self.state = STATE_STOPPED

    def _drain(self, wait: bool = True, timeout: float | None = None) -> None:
        """Finish a shutdown: wait for runs (or ask them to stop), then close executors and stores."""
        self._wait_for_pass()  # it may still hand out runs
        engine = self._require_engine()
        try:
            engine.drain()
            executors = dict(self._executors) if self._runs_jobs else {}
            if not wait:
                self._cancel(executors)
            if not self._wait_idle(engine, timeout, lambda: not self._hurried):
                self._log.warning("%d runs are still under way; they are asked to stop", engine.in_flight)
                self._cancel(executors)
                self._wait_idle(engine, CANCEL_GRACE)
            for alias, executor in executors.items():
                try:
                    executor._stop(engine.in_flight == 0)
                except BaseException as exc:  # the outcomes are recorded, and the stores close, all the same
                    if is_interrupt(exc):
                        raise
                    self._log.exception("Error shutting down executor %r", alias)
            engine.leave()
            # Before the stores close, as what listeners ask of the scheduler goes there.
            self._wait_delivered(timeout)
            self._close_stores()
            for state in engine.leaving:
                self._end_removal(engine, state)
            self._renew_event_queues()
            self._wait_logged()
            self._announce_shutdown()
        finally:
            self._closed.set()

    def _drain_aside(self, wait: bool, timeout: float | None) -> None:
        """Finish a shutdown on a thread of its own, for callers that must not wait."""
        if not wait:
            self._announce_shutdown()
        self._drainer = self._do_aside(partial(self._drain, wait, timeout))

    def _do_aside(self, work: Callable[[], object]) -> Any:
        """Do what waits for runs without the caller waiting: in a thread of its own, which is returned."""
        thread = Thread(target=work, name="rota-shutdown", daemon=True)
        thread.start()
        return thread

    def _may_wait(self) -> bool:
        """Whether the caller may wait for runs: it may not if they could need what it holds up (a job, a listener, a loop)."""
        return not self._is_inside()

    def _cancel(self, executors: Mapping[str, BaseExecutor]) -> None:
        for alias, executor in executors.items():
            try:
                executor.cancel()
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                self._log.exception("Error cancelling the runs of executor %r", alias)

    # -- removing a store ----------------------------------------------------------------------------------------

    def _drain_store(self, state: StoreState) -> None:
        """Let the runs of a removed store end, here or elsewhere, and close it."""
        finish = partial(self._finish_removal, state)
        if self._may_wait() or self._is_at_rest(state):
            finish()
        else:
            self._do_aside(finish)

    def _is_at_rest(self, state: StoreState) -> bool:
        """Whether no run of a removed store is under way, and no pass may still hand one out."""
        if self._is_inside() or not self._tick_lock.acquire(blocking=False):
            return False
        try:
            return not state.completions.in_flight
        finally:
            self._tick_lock.release()

    def _finish_removal(self, state: StoreState) -> None:
        self._wait_for_pass()  # it may still hand out its runs
        engine = self._require_engine()
        state.completions.drain()
        for run in list((state.completions.in_hand or {}).values()):
            if run.started_at is None:
                run.cancelled = True  # whoever is about to start it leaves it, and it is given back
                run.cancelled = run.started_at is None
        self._wait_idle(state.completions, None, lambda: state in engine.leaving)
        self._end_removal(engine, state)

    def _end_removal(self, engine: Engine, state: StoreState) -> None:
        if engine.end_removal(state):
            self._close_store(state.alias, state.store, not state.keeps_open)

    # -- waiting -------------------------------------------------------------------------------------------------

    def _announce_shutdown(self) -> None:
        if not self._announced:
            self._announced = True
            self._log.info("Scheduler has been shut down")
            self._announcing = get_ident()
            try:
                self._tell(SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN))
            finally:
                self._announcing = None

    def _wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        """Wait until no run is under way and all are recorded; return whether that is so.

        A store that does not take the outcomes is waited for a while only: those runs are executed again.

        :param ends: the ends of runs of all stores, or of one
        :param wanted: returns False when there is no need to wait any longer
        """
        now = self.clock.monotonic
        until = None if timeout is None else now() + int(timeout * SECOND)
        give_up: int | None = None
        while not ends.wait_idle(POLL if until is None else min(POLL, max(until - now(), 0) / SECOND)):
            if (until is not None and now() >= until) or (wanted is not None and not wanted()):
                return False
            ends.flush()
            if ends.unrecorded < ends.in_flight:
                give_up = None
            elif give_up is None:
                give_up = now() + int(RECORD_GRACE * SECOND)
            elif now() >= give_up:
                self._log.error("The outcomes of %d runs could not be recorded", ends.unrecorded)
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
        if queue.is_stranded:  # since Python 3.12 no thread starts while the interpreter exits
            queue.pump()
        return queue.wait_empty(POLL)

    def _wait_logged(self) -> None:
        """Wait until what the engine has logged is written, and end the thread that writes it."""
        self._require_engine().logger.finish(DELIVERY_GRACE)

    def _stop_at_exit(self) -> None:
        """The interpreter exits: give the runs under way a moment, and hand the rest back."""
        if self.state != STATE_STOPPED:
            self._warn_of_early_exit()
            self._stop_claiming()
            self._drain(True, EXIT_GRACE)
        elif not self._wait_closed(EXIT_GRACE):  # of a shutdown that nobody waited for
            self._hurried = True
            self._wait_closed(POLL + 2 * CANCEL_GRACE)

    def _warn_of_early_exit(self) -> None:
        """Say so when the program ends before the scheduler has done anything, although it has jobs."""
        engine, lived = self._require_engine(), self.clock.monotonic() - self._started_at
        if self._kept_alive_by is None or not self._runs_jobs or lived > EARLY * SECOND:
            return
        if any(state.completions.submitted for state in engine.states):
            return
        try:
            aliases = tuple(self._executors)
            has_jobs = any(state.store.next_due(aliases) is not None for state in engine.states)
        except Exception:  # the store's trouble is told elsewhere
            return
        if has_jobs:
            self._log.warning(
                "The program ends %.1f s after the scheduler was started, before any job has run. The scheduler does not keep it "
                "running: %s",
                lived / SECOND,
                self._kept_alive_by,
            )

    def _wait_closed(self, seconds: float) -> bool:
        """Wait until a shutdown is over, at most so long; return whether that is so."""
        return self._closed.wait(seconds)

    def _stop_in_child(self) -> None:
        """The process was forked: threads and connections are the parent's; this copy is a stopped scheduler."""
        was_running = self._is_open
        self.state = STATE_STOPPED
        self._is_copy, self._is_open = was_running or self._is_copy, False
        self._engine = None
        self._make_locks()
        self._closed = Event()
        self._closed.set()
        self._renew_event_queues()
        parts: list[Any] = [*self._jobstores.values(), *self._executors.values()]
        for part in parts:
            try:
                part.forked()
            except BaseException as exc:  # the others have to forget all the same
                if is_interrupt(exc):
                    raise
                self._log.exception("%r cannot be used in this forked process", part)
        if was_running:
            self._log.warning(
                "This process was forked from one with a running scheduler; the copy is stopped. "
                "Call start() here if this process is to run jobs, too; until then it takes no jobs and shows none"
            )
