"""Wake-ups: telling the processes that share a store's database that something is due soon, and hearing it from them.

Only where the database can push; elsewhere nothing is sent, and the processes look from time to time. It wakes a scheduler up and
reads no table.
"""

from __future__ import annotations

import selectors
import socket
from os import urandom
from random import random
from threading import Event, Thread, current_thread
from zlib import crc32

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Engine

    from ...logs import GuardedLogger
    from .databases.base import Channel, Database
    from .server import Server

#: After so many seconds of silence the connection is tried.
SILENCE = 30.0
#: The first and the longest pause between two tries to connect, in seconds.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Wakeups:
    """Notifications between one store and the processes that share its tables.

    :param table: full name of the jobs table; stores of the same one hear each other
    :param is_soon: whether other processes have to be told of a due time
    """

    def __init__(self, server: Server, table: str, is_soon: Callable[[int | None], bool]) -> None:
        self._server = server
        self._is_soon = is_soon
        self._channel = f"rota_{crc32(table.encode()):08x}"
        #: the payload of this store's notifications, which do not wake itself
        self._token = urandom(8).hex()
        self._wake: Callable[[], None] | None = None
        self._listener: Listener | None = None

    def is_soon(self, due: int | None) -> bool:
        """Whether the database can push, and the other processes have to be told of a due time."""
        return self._server.database.notify is not None and self._is_soon(due)

    def tell_if_soon(self, conn: Connection, due: int | None) -> None:
        """Let the other processes know, with the transaction of this connection, if a due time is soon."""
        if self.is_soon(due):
            self.tell(conn)

    def tell(self, conn: Connection) -> None:
        """Let the other processes know, with the transaction of this connection."""
        notify = self._server.database.notify
        if notify is not None:
            conn.execute(notify, {"channel": self._channel, "payload": self._token})

    def wake(self) -> None:
        """Wake this store's own scheduler up."""
        if self._wake is not None:
            self._wake()

    def listen(
        self, wake: Callable[[], None], connected: Callable[[bool], None], logger: GuardedLogger
    ) -> None:
        """Call ``wake`` when another process tells something, and ``connected`` when that begins or ends to work."""
        self.stop_listening()
        self._wake = wake
        server = self._server
        if server.database.can_listen:
            self._listener = Listener(
                server.database, server.engine, self._channel, self._token, wake, connected, logger
            )

    def stop_listening(self) -> None:
        """End the thread that listens."""
        listener, self._listener, self._wake = self._listener, None, None
        if listener is not None:
            listener.stop()

    def forked(self) -> None:
        """Leave the thread and its connection to the parent process."""
        self._wake = self._listener = None


class Listener:
    """A thread that listens to a channel, and connects again whenever the connection is lost.

    While it is not connected, the store has to poll more often.

    :param channel: an identifier in lower case
    :param own: the payload of the store's own notifications, which wake nobody here
    :param wake: called for notifications of other stores, and after each new connection: something may have been missed
    :param connected: called with True when it listens and with False when it does not any more
    """

    def __init__(
        self,
        database: Database,
        engine: Engine,
        channel: str,
        own: str,
        wake: Callable[[], None],
        connected: Callable[[bool], None],
        logger: GuardedLogger,
    ) -> None:
        self._database = database
        self._engine = engine
        self._channel = channel
        self._own = own
        self._wake = wake
        self._connected = connected
        self._logger = logger
        self._stopped = Event()
        self._inside, self._outside = socket.socketpair()
        self._thread = Thread(target=self._run, name="rota-listen", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection."""
        self._stopped.set()
        self._outside.close()
        if self._thread is not current_thread():
            self._thread.join(LONGEST_PAUSE)

    def _run(self) -> None:
        pause = FIRST_PAUSE
        with self._inside:
            while not self._stopped.is_set():
                try:
                    channel = self._database.listen(self._engine, self._channel)
                    if channel is None:
                        self._connected(False)
                        self._logger.info(
                            "Changes by others are polled for: nothing can be heard through a pooler such as PgBouncer"
                        )
                        return
                    pause = self._listen(channel, pause)
                except Exception as exc:
                    if self._stopped.is_set():
                        return
                    self._connected(False)
                    level = "warning" if pause == FIRST_PAUSE else "debug"
                    getattr(self._logger, level)("Changes by others are polled for: %s", exc)
                    self._wait(pause * (0.75 + random() / 2))
                    pause = min(pause * 2, LONGEST_PAUSE)

    def _listen(self, channel: Channel, pause: float) -> float:
        """Listen until the store stops (or an error comes); return how long to pause after the next error."""
        try:
            self._connected(True)
            self._wake()
            while True:
                heard, told = self._wait(SILENCE, channel)
                if told:
                    return pause
                if not heard:
                    channel.check()
                foreign = [payload for payload in channel.payloads() if payload != self._own]
                pause = FIRST_PAUSE
                if foreign:
                    self._wake()
        finally:
            channel.close()

    def _wait(self, seconds: float, channel: Channel | None = None) -> tuple[bool, bool]:
        """Wait for a notification or for the end; return which of them came."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._inside, selectors.EVENT_READ, "end")
            if channel is not None:
                selector.register(channel, selectors.EVENT_READ, "note")
            came = {key.data for key, _ in selector.select(seconds)}
        return "note" in came, "end" in came
