"""The blocking scheduler: runs in the thread that calls start(), until shutdown().

A host only: it waits and calls the engine; it decides nothing.
"""

from __future__ import annotations

from threading import Event, current_thread, main_thread

from ..errors import SchedulerAlreadyRunningError
from ..interrupts import is_interrupt
from .base import STATE_STOPPED, BaseScheduler
from .engine import SLICE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


class BlockingScheduler(BaseScheduler):
    """A scheduler that runs in the foreground; :meth:`start` blocks until :meth:`shutdown` is called elsewhere.

    Started in the main thread of a program that handles SIGTERM nowhere else, it drains on SIGTERM: it claims
    nothing more, lets the runs under way end, and ``start()`` returns.
    """

    _event: Any = None

    def start(self, paused: bool = False) -> Any:
        """Start, and process jobs until the scheduler is shut down.

        :param paused: True: process no jobs before :meth:`resume` is called
        """
        if self.state != STATE_STOPPED:  # before anything that the running loop uses is replaced
            raise SchedulerAlreadyRunningError
        self._event = self._create_event()
        previous = self._catch_sigterm()
        try:
            super().start(paused)
            self._main_loop()
            self._closed.wait()
        finally:
            if previous is not None:
                from signal import SIGTERM, signal

                signal(SIGTERM, previous)

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`. Ends :meth:`start`."""
        super().shutdown(wait, timeout)

    def wakeup(self) -> None:
        """Make the main loop look for due jobs now. Thread-safe."""
        # A set event stays set until the loop has begun its next pass, and setting it again takes a lock.
        if not self._event.is_set():
            self._event.set()

    def _create_event(self) -> Any:
        return Event()

    def _stop_claiming(self, timeout: Any = None) -> None:
        super()._stop_claiming(timeout)
        self._event.set()

    def _main_loop(self) -> None:
        event = self._event
        # A start() in another thread, right after the shutdown, makes an event and a loop of its own.
        while self.state != STATE_STOPPED and self._event is event:
            try:
                wait = self._process_jobs()
            except BaseException as exc:  # an overridden _process_jobs() may raise anything
                if is_interrupt(exc):
                    raise
                self._log.exception("A pass over the job stores failed; trying again")
                wait = 1.0
            if wait is None or wait > 0:
                event.wait(SLICE if wait is None else min(wait, SLICE))
            event.clear()

    def _catch_sigterm(self) -> Any:
        """Let SIGTERM drain this scheduler; return the former handler, or None if it is not ours to replace."""
        from signal import SIG_DFL, SIGTERM, getsignal, signal

        if current_thread() is not main_thread() or getsignal(SIGTERM) is not SIG_DFL:
            return None

        def drain(signum: int, frame: FrameType | None) -> None:
            self._log.info("SIGTERM: draining")
            if self.state != STATE_STOPPED:
                self._stop_claiming()
                self._drain_aside(True, None)

        return signal(SIGTERM, drain)
