"""The processes that share a store's database: telling them that something is due soon, and hearing it from them.

Only where the database can push; elsewhere it does nothing, and the processes look from time to time.
"""

from __future__ import annotations

from os import urandom
from zlib import crc32

from .wakeups import Listener, can_listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from ...logs import GuardedLogger
    from .server import Database


class Others:
    """What a store tells the others, and its ear.

    :param table: full name of the jobs table; who has the same one hears each other
    """

    def __init__(self, db: Database, table: str) -> None:
        self._db = db
        self._channel = f"rota_{crc32(table.encode()):08x}"
        #: what this store says, so that it does not wake itself
        self._token = urandom(8).hex()
        self._wake: Callable[[], None] | None = None
        self._listener: Listener | None = None

    def tell(self, conn: Connection) -> None:
        """Let the others know, with the transaction of this connection."""
        if self._db.can.notify is not None:
            conn.execute(self._db.can.notify, {"channel": self._channel, "payload": self._token})

    def wake(self) -> None:
        """Wake this store's own scheduler up."""
        if self._wake is not None:
            self._wake()

    def listen(
        self, wake: Callable[[], None], connected: Callable[[bool], None], logger: GuardedLogger
    ) -> None:
        """Call ``wake`` when others tell something, and ``connected`` when that begins or ends to work."""
        self.stop_listening()
        self._wake = wake
        if self._db.can.notify is not None and can_listen(self._db.engine):
            self._listener = Listener(self._db.engine, self._channel, self._token, wake, connected, logger)

    def stop_listening(self) -> None:
        """Close the ear."""
        listener, self._listener, self._wake = self._listener, None, None
        if listener is not None:
            listener.stop()

    def forked(self) -> None:
        """Leave the ear to the parent process."""
        self._wake = self._listener = None
