"""The logger of the engine: its lines are written by a thread of their own, so that no filter or handler holds up a pass.

It knows neither engine nor scheduler; a line that cannot be written is dropped.
"""

from __future__ import annotations

import sys
from threading import Lock, current_thread

from ..clock import SYSTEM_CLOCK
from ..interrupts import is_interrupt
from ..logs import LEVELS, GuardedLogger, shown

#: Past what a class of users says that its attribute is.
_traceback = BaseException.__dict__["__traceback__"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from threading import Thread
    from typing import Any

    from .event_queue import EventQueue


class QueuedLogger(GuardedLogger):
    """A guarded logger that writes elsewhere: what is logged names the thread, the time and the place that it came from."""

    __slots__ = ("_lines",)

    def __init__(self, logger: Any, lines: _Lines | None = None) -> None:
        super().__init__(logger)
        self._lines = _Lines() if lines is None else lines

    @property
    def queue(self) -> EventQueue:
        """The lines that wait, of this logger and those that were made of it."""
        return self._lines.queue()

    def finish(self, patience: float) -> None:
        """Write what waits, as long as no single line takes longer than ``patience`` seconds; later lines are written at once."""
        if self._lines.made is None:
            self._lines.is_over = True
            return
        queue, calls = self._lines.made, -1
        if queue.is_stranded:  # since Python 3.12 no thread starts while the interpreter exits
            queue.pump()
        while not queue.wait_empty(patience) and queue.calls != calls:
            calls = queue.calls
        queue.close()

    def over(self, logger: Any) -> QueuedLogger:
        """Return a logger that writes by another one, in the same thread."""
        return QueuedLogger(logger, self._lines)

    def _log(self, method: str, message: str, args: tuple[object, ...], exc_info: Any) -> None:
        if not self.enabled(LEVELS[method]):
            return
        if self._lines.is_closed:  # after the shutdown there is no pass that could be held up
            super()._log(method, message, args, exc_info)
            return
        if exc_info is True:
            exc_info = sys.exc_info()
        elif isinstance(exc_info, BaseException):
            exc_info = (type(exc_info), exc_info, _traceback.__get__(exc_info))
        frame = sys._getframe(2)
        place = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        thread = current_thread()
        line = (self, method, message, shown(args), exc_info, place, thread, SYSTEM_CLOCK.now())
        queue = self._lines.queue()
        queue.put(line, self, _start)

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
        record = logger.makeRecord(logger.name, LEVELS[method], file, number, message, args, exc_info, func)
        record.thread, record.threadName = thread.ident, thread.name
        seconds = now / 1_000_000
        record.relativeCreated += (seconds - record.created) * 1000
        record.created, record.msecs = seconds, now // 1000 % 1000
        try:
            logger.handle(record)
        except BaseException:
            if not exc_info:
                raise
            record.exc_info = None  # a traceback that cannot be formatted may not cost the line
            record.msg = f"{message} (its traceback cannot be logged)"
            logger.handle(record)


class _Lines:
    """The queue of lines, made with the first one."""

    __slots__ = ("_lock", "is_over", "made")

    def __init__(self) -> None:
        self._lock = Lock()
        self.made: EventQueue | None = None
        #: whether the scheduler has ended before anything was logged
        self.is_over = False

    @property
    def is_closed(self) -> bool:
        """Whether nothing is taken any more."""
        return self.is_over or (self.made is not None and self.made.closed)

    def queue(self) -> EventQueue:
        """Return the queue; where the program's handlers do not keep up, the oldest lines are dropped in silence."""
        if self.made is None:
            from .event_queue import EventQueue  # import time

            with self._lock:
                if self.made is None:
                    self.made = EventQueue(_write, 0, tells_of_drops=False)
        return self.made


def _write(line: Any) -> None:
    """Write a line; one that cannot be written is dropped, as a line about it could not be written either."""
    logger, *rest = line
    try:
        logger._write(*rest)
    except BaseException as exc:
        if is_interrupt(exc):
            raise


def _start(queue: EventQueue) -> None:
    """Have lines written by their thread; by the caller if there can be no more threads."""
    try:
        queue.pump_in_thread()
    except Exception:
        queue.pump()
