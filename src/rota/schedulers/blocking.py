"""The blocking scheduler: runs in the thread that calls start(), until shutdown(), SIGTERM or Ctrl-C.

A host only: it waits and calls the engine; it decides nothing.
"""

from __future__ import annotations

import sys
from threading import Lock, Thread, current_thread, main_thread

from ..clock import SLICE
from ..compat.absent import inner_name
from ..errors import ConfigurationError, SchedulerNotRunningError
from ..interrupts import is_interrupt
from .base import STATE_STOPPED, BaseScheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any, Self

#: What a shell shows of a program that Ctrl-C has ended.
_CTRL_C = 130
#: A signal that comes right before a wait does not end it, so the thread that handles signals waits no longer than so (seconds).
_LOOK = 0.5


class BlockingScheduler(BaseScheduler):
    """A scheduler that runs in the foreground; :meth:`start` blocks until :meth:`shutdown` is called elsewhere.

    Started in the main thread, it drains on SIGTERM and on Ctrl-C unless the program handles these itself: it claims nothing
    more, and lets the runs under way end. After SIGTERM ``start()`` returns; after Ctrl-C it raises an exception that is both a
    KeyboardInterrupt and a SystemExit, so that a program that catches neither ends without a traceback, with exit status 130.
    A second Ctrl-C asks the runs to stop. After either, :meth:`shutdown` has nothing to do and raises nothing.
    """

    _event: Any = None
    _daemon = True
    #: the signal that ended the last start(), or is about to
    _signal: int | None = None
    #: the thread that makes the passes since one hung; None: the first one does
    _replacement: Thread | None = None
    #: whether the loop runs in the main thread, and wakes up now and then so that handlers of signals are called
    _hears_signals = False

    def start(self, paused: bool = False) -> Any:
        """Start, and process jobs until the scheduler is shut down.

        :param paused: True: process no jobs before :meth:`resume` is called
        :raises KeyboardInterrupt: after Ctrl-C, when the runs under way have ended
        """
        self._lifecycle.check_startable()  # before anything that the running loop uses is replaced
        self._prepare_loop()
        restore = self._catch_signals()
        try:
            super().start(paused)
            self._main_loop()
            while (thread := self._replacement) is not None and thread.is_alive():
                thread.join(_LOOK)
            self._wait_for_end()
        except KeyboardInterrupt:
            if self._signal is None:  # the program's own
                raise
            self._end_by_signal()
            self._lifecycle.hurried = True
            self._wait_for_end()
        finally:
            restore()
        if self._signal is not None and self._signal != _sigterm():
            raise _interrupted()

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`. Ends :meth:`start`."""
        if self._signal is not None and self.state == STATE_STOPPED:
            # Programs call this in their "except KeyboardInterrupt" or "finally"; the signal was first.
            if wait and self._may_wait():
                self._lifecycle.closed.wait(timeout)
            return
        super().shutdown(wait, timeout)

    def __enter__(self) -> Self:
        """Refuse: ``start()`` would block before the body of the ``with`` statement.

        :raises ConfigurationError: saying what to write instead
        """
        raise ConfigurationError(
            f"A {type(self).__name__} has no with form, as its start() blocks: call start(), which ends by Ctrl-C, SIGTERM or "
            f"shutdown(); or write `with BackgroundScheduler() as scheduler:`"
        )

    def wakeup(self) -> None:
        """Make the main loop look for due jobs now. Thread-safe."""
        # A set event stays set until the loop has begun its next pass, and setting it again takes a lock.
        if not self._event.is_set():
            self._event.set()

    def _create_event(self) -> Any:
        return SignalSafeEvent()

    def _stop_claiming(self, timeout: Any = None) -> None:
        super()._stop_claiming(timeout)
        self._event.set()

    def _prepare_loop(self) -> None:
        self._event, self._replacement = self._create_event(), None

    def _main_loop(self) -> None:
        event = self._event
        # A start() in another thread, right after the shutdown, makes an event and a loop of its own; so does a pass that hangs.
        while self.state != STATE_STOPPED and self._event is event:
            if self._signal is not None:
                self._end_by_signal()
                return
            try:
                wait = self._process_jobs()
            except BaseException as exc:  # an overridden _process_jobs() may raise anything
                if is_interrupt(exc):
                    raise
                self._log.exception("A pass over the job stores failed; trying again")
                wait = 1.0
            if wait is None or wait > 0:
                self._wait(event, SLICE if wait is None else min(wait, SLICE))
            event.clear()

    def _replace_pass(self) -> bool:
        life = self._lifecycle
        before = self._event, self._replacement, life.tick_lock
        # Whoever makes the passes finds another event when it comes back, and ends. A shutdown that waits goes on with the lock.
        self._event = self._create_event()
        self._replacement = Thread(target=self._main_loop, name="Rota", daemon=self._daemon)
        life.tick_lock = self._create_lock()
        try:
            self._replacement.start()
        except RuntimeError:  # there can be no more threads at the moment
            self._event, self._replacement, life.tick_lock = before
            return False
        return True

    def _wait(self, event: Any, seconds: float) -> None:
        """Wait until somebody wakes the loop up."""
        if self._hears_signals:
            while seconds > _LOOK and self._signal is None:
                if event.wait(_LOOK):
                    return
                seconds -= _LOOK
            if self._signal is not None:
                return
        event.wait(seconds)

    def _wait_for_end(self) -> None:
        while not self._lifecycle.closed.wait(_LOOK):
            pass

    def _end_by_signal(self) -> None:
        if self.state == STATE_STOPPED:
            return
        if self._signal == _sigterm():
            self._log.info("SIGTERM: draining")
        else:
            self._log.info(
                "Ctrl-C: %d runs are under way and end first; once more, and they are asked to stop",
                self._lifecycle.require_engine().in_flight,
            )
        try:
            self._stop_claiming()
        except SchedulerNotRunningError:  # another thread was first
            return
        self._lifecycle.drain_aside(True, None)

    def _catch_signals(self) -> Callable[[], None]:
        """Let SIGTERM and Ctrl-C drain this scheduler, as far as the program does not handle them; return what undoes that."""
        from signal import SIG_DFL, SIGINT, SIGTERM, default_int_handler, getsignal, signal  # import time

        self._signal = None
        defaults: dict[int, Any] = {SIGTERM: SIG_DFL, SIGINT: default_int_handler}
        if current_thread() is not main_thread():
            defaults.clear()

        def note(signum: int, frame: FrameType | None) -> None:
            # A handler may come at any point of the main thread, so it takes no lock: no Event, no log, no thread is started.
            # While it starts, or stops already, there is nothing to drain for.
            at_once = self._signal is not None or self.state == STATE_STOPPED
            if self._signal is None:
                self._signal = signum
            engine = self._lifecycle.engine
            if engine is not None:
                engine.claiming = False
            self._event.set()
            if at_once and signum == SIGINT:
                default_int_handler(signum, frame)

        caught = [number for number, default in defaults.items() if getsignal(number) is default]
        for number in caught:
            signal(number, note)
        # Also for the program's own handlers: for a signal that comes just before a wait, Python calls none until that ends.
        self._hears_signals = current_thread() is main_thread()

        def restore() -> None:
            self._hears_signals = False
            for number in caught:
                if getsignal(number) is note:  # a job may have put its own there
                    signal(number, defaults[number])

        return restore


class SignalSafeEvent:
    """An event that one thread waits for and any may set, also a signal handler in the waiting thread.

    The handler of a signal may come while its own thread holds the lock of a :class:`threading.Event`, and would wait for itself.
    """

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        #: held while the event is not set
        self._unset = Lock()
        self._unset.acquire()

    def is_set(self) -> bool:
        """Whether the event is set."""
        return not self._unset.locked()

    def set(self) -> None:
        """End the wait, or the next one."""
        try:
            self._unset.release()
        except RuntimeError:
            pass  # it is set

    def clear(self) -> None:
        """Take note that the event was seen."""
        self._unset.acquire(False)

    def wait(self, timeout: float) -> bool:
        """Wait until the event is set, at most so many seconds, and clear it; return whether it was set."""
        return self._unset.acquire(True, timeout)


def _sigterm() -> int:
    from signal import SIGTERM  # import time

    return SIGTERM


def _interrupted() -> BaseException:
    """Return what start() raises after Ctrl-C.

    Programs catch it as the KeyboardInterrupt that it is; one that does not ends without a traceback, as from a SystemExit. At
    Python's prompt that would end the session, so there it is a KeyboardInterrupt only.
    """
    if hasattr(sys, "ps1"):
        return KeyboardInterrupt()
    ended = _Interrupted()
    ended.code = _CTRL_C
    return ended


class _Interrupted(KeyboardInterrupt, SystemExit):
    pass


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
