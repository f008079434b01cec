"""The pipe between the process pool and one worker: whole messages, each in one write and usually one read.

It knows nothing of what the messages mean. What is done here for each message is done for each run of a burst, and every call
that gives up the interpreter lock may have to wait for it afterwards.
"""

from __future__ import annotations

import os
import select
import struct
from types import BuiltinFunctionType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

#: The length of the message that follows.
_HEAD = struct.Struct("!Q")
#: How many bytes are read at once, at least; messages up to this size are written together with their head.
_CHUNK = 65536
#: Whether a pipe is a file whose bytes are read and written in any portions; elsewhere (on Windows) it has messages of its own.
_IS_FILE = os.name == "posix"


class Channel:
    """One end of a pipe. One thread at a time sends, one at a time receives.

    :param connection: the end, as ``multiprocessing.connection.Pipe()`` gives it
    :param patience: milliseconds after which :meth:`receive` returns although nothing has come; None: it waits
    """

    __slots__ = ("_fd", "_patience", "_poll", "_read", "connection")

    def __init__(self, connection: Connection, patience: int | None = None) -> None:
        self.connection = connection
        self._patience = patience
        self._fd = connection.fileno()
        #: the beginning of a message of which the rest has not come
        self._read = bytearray()
        #: what waits, where the read does not
        self._poll: Callable[[], Any] | None = None
        if patience is not None and not (_IS_FILE and _limit_reads(self._fd, patience)):
            self._poll = _poller(connection, patience)

    def send(self, message: bytes) -> None:
        """Write a message; waits while the pipe is full.

        :raises OSError: if nobody reads it any more
        """
        if not _IS_FILE:
            return self.connection.send_bytes(message)
        size = len(message)
        if size <= _CHUNK:
            data = _HEAD.pack(size) + message
            written = os.write(self._fd, data)
            return None if written == len(data) else self._write(data, written)
        self._write(_HEAD.pack(size), 0)
        return self._write(message, 0)

    def receive(self) -> bytes | None:
        """Wait for a message and return it; None if none has come in time.

        :raises EOFError, OSError: if the other end is closed
        """
        if not _IS_FILE:
            return None if self._poll is not None and not self._poll() else self.connection.recv_bytes()
        read = self._read
        try:
            while True:
                if len(read) >= _HEAD.size:
                    end = _HEAD.size + _HEAD.unpack_from(read)[0]
                    if len(read) >= end:
                        self._read = read[end:]
                        del read[end:], read[: _HEAD.size]
                        return bytes(read)
                if self._poll is not None and not self._poll():
                    return None
                data = os.read(self._fd, _CHUNK)
                if not data:
                    raise EOFError
                if (
                    not read
                    and len(data) >= _HEAD.size
                    and len(data) == _HEAD.size + _HEAD.unpack_from(data)[0]
                ):
                    return data[_HEAD.size :]  # what answers come as: one of them, and whole
                read += data
        except BlockingIOError:
            return None

    def has_more(self) -> bool:
        """Whether there is something to read now."""
        return bool(self._read) or self.connection.poll()

    def close(self) -> None:
        """Close this end."""
        self._fd = -1  # the system may reuse the number for another file, which must not be written to
        self.connection.close()

    def _write(self, data: bytes, written: int) -> None:
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(self._fd, rest) :]


def _limit_reads(fd: int, patience: int) -> bool:
    """Let reads of a socket give up after some milliseconds, so that waiting and reading are one call; whether that works."""
    if not isinstance(getattr(select, "poll", None), BuiltinFunctionType):
        return False  # gevent has patched sockets, and a read that waits would stop all greenlets
    import socket  # import time

    try:
        with socket.socket(fileno=os.dup(fd)) as same:
            same.setsockopt(
                socket.SOL_SOCKET,
                socket.SO_RCVTIMEO,
                struct.pack("ll", *divmod(patience * 1000, 1_000_000)),
            )
    except OSError:
        return False
    return True


def _poller(pipe: Connection, patience: int) -> Callable[[], Any]:
    """Return what waits until there is something to read, or for some milliseconds."""
    if not hasattr(select, "poll"):
        return lambda: pipe.poll(patience / 1000)
    poll = select.poll()
    poll.register(pipe.fileno(), select.POLLIN)
    return lambda: poll.poll(patience)
