"""The Qt scheduler: lives on the event loop of a Qt application (PySide6, PyQt6, or their predecessors).

A host only: everything but the loop's own calls is in loop.py.
"""

from __future__ import annotations

import sys
from collections import deque
from math import ceil

from ..compat.absent import inner_name
from ..errors import MissingExtraError
from .loop import LoopScheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

#: The bindings, in the order in which they are tried; one that the program has loaded comes first.
_BINDINGS = ("PySide6", "PyQt6", "PySide2", "PyQt5")
#: Qt's timers count milliseconds in a signed 32-bit integer.
_LONGEST = 2**31 - 1


class QtScheduler(LoopScheduler):
    """A scheduler that runs on the event loop of a Qt application.

    Jobs run in the thread pool, so they may not touch widgets: emit a signal for that. Listeners that concern passes are
    called on the application's thread, those that concern runs on the threads of the pool.
    """

    _bridge: Any = None

    def _find_loop(self) -> None:
        core = _qt_core()
        application = core.QCoreApplication.instance()
        thread = core.QThread.currentThread() if application is None else application.thread()
        if self._bridge is None or self._bridge.thread() != thread:
            self._bridge = _bridge_class(core)(self._log)
            self._bridge.moveToThread(thread)
        self._current_thread = core.QThread.currentThread

    def _post(self, callback: Callable[[], None]) -> None:
        self._bridge.post(callback)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        return self._bridge.call_later(min(ceil(seconds * 1000), _LONGEST), callback)  # type: ignore[no-any-return]

    def _on_loop(self) -> bool:
        return self._bridge is not None and self._current_thread() == self._bridge.thread()


def _qt_core() -> ModuleType:
    from importlib import import_module  # import time

    loaded = [name for name in _BINDINGS if f"{name}.QtCore" in sys.modules]
    for name in (*loaded, *_BINDINGS):
        try:
            return import_module(f"{name}.QtCore")
        except ImportError:
            continue
    raise MissingExtraError("QtScheduler", "qt")


def _bridge_class(core: Any) -> Any:
    """Return a class of objects through which other threads reach the thread of a Qt event loop."""
    post_event, event_class = core.QCoreApplication.postEvent, core.QEvent
    user_event = event_class.Type.User

    class Bridge(core.QObject):  # type: ignore[misc]
        def __init__(self, logger: Any) -> None:
            super().__init__()
            self._logger = logger
            self._posted: deque[Callable[[], None]] = deque()
            self._timers: dict[int, Callable[[], None]] = {}

        def post(self, callback: Callable[[], None]) -> None:
            # An event, and no signal: PySide6 6.12 spoils Python's reference counts each time a signal is emitted.
            self._posted.append(callback)
            post_event(self, event_class(user_event))

        def customEvent(self, event: Any) -> None:  # noqa: N802  # Qt's name
            if self._posted:
                self._call(self._posted.popleft())

        def _call(self, callback: Callable[[], None]) -> None:
            try:
                callback()
            except Exception:  # an exception that leaves a slot ends the program in PyQt
                self._logger.exception("Error in a callback of the scheduler")

        def call_later(self, milliseconds: int, callback: Callable[[], None]) -> Callable[[], None]:
            timer = self.startTimer(milliseconds, core.Qt.TimerType.PreciseTimer)
            self._timers[timer] = callback

            def call_off() -> None:
                if self._timers.pop(timer, None) is not None:
                    self.killTimer(timer)

            return call_off

        def timerEvent(self, event: Any) -> None:  # noqa: N802  # Qt's name
            timer = event.timerId()
            self.killTimer(timer)
            callback = self._timers.pop(timer, None)
            if callback is not None:
                self._call(callback)

    return Bridge


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
