"""What a program prints and logs while the live view has the screen: kept, shown in part, and printed at the end.

Takes the place of stdout and stderr; it draws nothing.
"""

from __future__ import annotations

import io
import logging
import sys
from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How many lines are kept: the last ones.
KEPT = 1000


class Printed:
    """Catches what is printed, from :meth:`begin` to :meth:`end`."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lines: deque[tuple[Any, str]] = deque(maxlen=KEPT)
        self._count = 0
        self._streams: tuple[_Stream, _Stream] | None = None

    def begin(self) -> None:
        """Take the place of stdout and stderr, also in the handlers of logging that write to them."""
        out, err = _Stream(self, sys.stdout), _Stream(self, sys.stderr)
        self._streams = out, err
        sys.stdout, sys.stderr = out, err
        for stream in self._streams:
            _redirect(stream.real, stream)

    def end(self) -> None:
        """Give stdout and stderr back, and print what was kept."""
        if self._streams is None:
            return
        for stream in self._streams:
            stream.finish()
            _redirect(stream, stream.real)
        sys.stdout, sys.stderr = (stream.real for stream in self._streams)
        self._streams = None
        left_out = self._count - len(self._lines)
        if left_out:
            print(f"… {left_out} lines before these", file=sys.stderr)
        for real, line in self._lines:
            if real is not None:
                print(line, file=real, flush=True)

    def add(self, real: Any, line: str) -> None:
        """Keep a line that was meant for a stream; None: it has been printed already."""
        with self._lock:
            self._lines.append((real, line))
            self._count += 1

    def last(self, count: int) -> list[str]:
        """Return the last lines."""
        with self._lock:
            return [line for _, line in list(self._lines)[-count:]] if count else []


class _Stream(io.TextIOBase):
    """Stands for stdout or stderr and keeps whole lines."""

    def __init__(self, printed: Printed, real: Any) -> None:
        self.real = real
        self._printed = printed
        self._lock = Lock()
        self._open = ""

    def write(self, text: str) -> int:
        """Take a piece of text."""
        with self._lock:
            *lines, self._open = (self._open + text).split("\n")
            for line in lines:
                self._printed.add(self.real, line)
        return len(text)

    def finish(self) -> None:
        """Keep a last line that was not ended."""
        if self._open:
            self.write("\n")

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        number: int = self.real.fileno()
        return number

    @property
    def buffer(self) -> Any:
        """The stream for bytes, which go to the terminal at once."""
        return self.real.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self.real, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self.real, "errors", None)


def _redirect(old: Any, new: Any) -> None:
    """Let the handlers of logging that write to one stream write to another."""
    for handler in _stream_handlers():
        if handler.stream is old:
            handler.setStream(new)


def _stream_handlers() -> Iterator[logging.StreamHandler[Any]]:
    loggers = [logging.getLogger(), *list(logging.Logger.manager.loggerDict.values())]
    for logger in loggers:
        for handler in list(getattr(logger, "handlers", ())):
            if type(handler) is logging.StreamHandler:
                yield handler
