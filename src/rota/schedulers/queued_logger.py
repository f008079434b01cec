"""The logger of the engine: its lines are written by a thread of their own, so that no filter or handler holds up a pass.

It knows neither engine nor scheduler; a line that cannot be written is dropped.
"""

from __future__ import annotations

import sys
from threading import current_thread

from ..clock import SYSTEM_CLOCK
from ..logs import GuardedLogger, shown
from .event_queue import EventQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread
    from typing import Any

#: The levels of the methods of loggers, as in logging.
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class QueuedLogger(GuardedLogger):
    """A guarded logger that writes elsewhere: what is logged names the thread, the time and the place that it came from."""

    __slots__ = ("queue",)

    def __init__(self, logger: Any, queue: EventQueue | None = None) -> None:
        super().__init__(logger)
        #: the lines that wait, of this logger and those that were made of it
        self.queue = _LineQueue(_write, 0) if queue is None else queue

    def over(self, logger: Any) -> QueuedLogger:
        """Return a logger that writes by another one, in the same thread."""
        return QueuedLogger(logger, self.queue)

    def _log(self, method: str, message: str, args: tuple[object, ...], exc_info: Any) -> None:
        if not self.isEnabledFor(_LEVELS[method]):
            return
        if self.queue.closed:  # after the shutdown there is no pass that could be held up
            super()._log(method, message, args, exc_info)
            return
        if exc_info is True:
            exc_info = sys.exc_info()
        elif isinstance(exc_info, BaseException):
            exc_info = (type(exc_info), exc_info, exc_info.__traceback__)
        frame = sys._getframe(2)
        place = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        thread = current_thread()
        line = (self, method, message, shown(args), exc_info, place, thread, SYSTEM_CLOCK.now())
        self.queue.put(line, self, EventQueue.pump_in_thread)

    def _write(
        self,
        method: str,
        message: str,
        args: tuple[object, ...],
        exc_info: Any,
        place: tuple[str, int, str],
        thread: Thread,
        now: int,
    ) -> None:
        if not self._is_of_logging:
            super()._log(method, message, args, exc_info)
            return
        file, number, func = place
        logger = self._logger
        record = logger.makeRecord(logger.name, _LEVELS[method], file, number, message, args, exc_info, func)
        record.thread, record.threadName = thread.ident, thread.name
        seconds = now / 1_000_000
        record.relativeCreated += (seconds - record.created) * 1000
        record.created, record.msecs = seconds, now // 1000 % 1000
        logger.handle(record)


def _write(line: Any) -> None:
    logger, *rest = line
    logger._write(*rest)


class _LineQueue(EventQueue):
    """The lines that wait; where the program's handlers do not keep up, the oldest are dropped in silence."""

    __slots__ = ()

    def _drop(self, logger: GuardedLogger) -> None:
        self.dropped += 1
