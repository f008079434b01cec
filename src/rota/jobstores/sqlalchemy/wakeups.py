"""Hears what other processes say through PostgreSQL (LISTEN), in a thread and over a connection of its own.

It wakes a scheduler up and reads no table. While it is not connected, the store polls more often.
"""

from __future__ import annotations

import selectors
import socket
from random import random
from threading import Event, Thread, current_thread

from .databases.base import is_behind_pooler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy import Engine

    from ...logs import GuardedLogger

#: After so many seconds of silence the connection is tried.
SILENCE = 30.0
#: The first and the longest pause between two tries to connect, in seconds.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class _NothingToHear(Exception):
    """The connection leads to a pooler, behind which each transaction may be another connection's."""


def can_listen(engine: Engine) -> bool:
    """Whether the driver's connections can wait for notifications in the way that is used here."""
    return engine.dialect.driver == "psycopg"


class Listener:
    """A thread that listens to a channel, and connects again whenever the connection is lost.

    :param channel: an identifier in lower case
    :param own: the payload of the store's own notifications, which wake nobody here
    :param wake: called for others' notifications, and after each new connection: something may have been missed
    :param connected: called with True when it listens and with False when it does not any more
    """

    def __init__(
        self,
        engine: Engine,
        channel: str,
        own: str,
        wake: Callable[[], None],
        connected: Callable[[bool], None],
        logger: GuardedLogger,
    ) -> None:
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
                    pause = self._listen(pause)
                except _NothingToHear:
                    self._connected(False)
                    self._logger.info(
                        "Changes by others are polled for: nothing can be heard through a pooler such as PgBouncer"
                    )
                    return
                except Exception as exc:
                    if self._stopped.is_set():
                        return
                    self._connected(False)
                    level = "warning" if pause == FIRST_PAUSE else "debug"
                    getattr(self._logger, level)("Changes by others are polled for: %s", exc)
                    self._wait(pause * (0.75 + random() / 2))
                    pause = min(pause * 2, LONGEST_PAUSE)

    def _listen(self, pause: float) -> float:
        """Listen until the store stops (or an error comes)."""
        connection = self._connect()
        try:
            self._connected(True)
            self._wake()
            while True:
                heard, told = self._wait(SILENCE, connection)
                if told:
                    return pause
                if not heard:
                    connection.execute("SELECT 1")
                others = [note for note in connection.notifies(timeout=0) if note.payload != self._own]
                pause = FIRST_PAUSE
                if others:
                    self._wake()
        finally:
            connection.close()

    def _connect(self) -> Any:
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.rollback()
            connection.autocommit = True
            if is_behind_pooler(connection):
                raise _NothingToHear
            connection.execute(f"LISTEN {self._channel}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _wait(self, seconds: float, connection: Any = None) -> tuple[bool, bool]:
        """Wait for a notification or for the end; return which of them came."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._inside, selectors.EVENT_READ, "end")
            if connection is not None:
                selector.register(connection, selectors.EVENT_READ, "note")
            came = {key.data for key, _ in selector.select(seconds)}
        return "note" in came, "end" in came
