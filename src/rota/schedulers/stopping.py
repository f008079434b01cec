"""How a scheduler ends: claiming stops, the runs under way end and are recorded, executors and stores close.

Part of the facade that programs do not call. It makes no decision about jobs.
"""

from __future__ import annotations

from threading import Event, Thread

from ..clock import SECOND
from ..errors import OptionTypeError, SchedulerNotRunningError
from ..events import EVENT_SCHEDULER_SHUTDOWN, SchedulerEvent
from .job_methods import STATE_STOPPED
from .life import SchedulerLife

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .engine import Engine
    from .event_queue import EventQueue

#: How long runs may still work when the interpreter exits, and after a shutdown's time is over (seconds).
EXIT_GRACE = 5.0
CANCEL_GRACE = 1.0
#: How long a shutdown tries to record outcomes in a store that fails, and how often it looks (seconds).
RECORD_GRACE = 10.0
POLL = 0.25
#: How long a shutdown waits for one call of a listener (seconds).
DELIVERY_GRACE = 10.0


class Stopping(SchedulerLife):
    """The part of :class:`~rota.schedulers.base.BaseScheduler` that ends what the part below has opened."""

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
                executor.shutdown(engine.in_flight == 0)
            engine.leave()
            self._wait_delivered(
                timeout
            )  # before the stores close: what listeners ask of the scheduler goes there
            self._close_stores()
            self._renew_event_queues()
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
