"""The connections of one engine: which one is kept, which threads wait for each other, and whether the file is still the same.

Begins no transaction that writes, and knows no table.
"""

from __future__ import annotations

from contextlib import contextmanager
from os import getpid
from threading import RLock
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine
from sqlalchemy.pool import QueuePool, StaticPool

from ...errors import StoreReplacedError
from ...masking import without_secrets
from ..identity import MOVED, replaced
from .direct import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock as RLockType
    from collections.abc import Iterator, Mapping
    from typing import Any

    from .databases.base import Database

#: Options of an engine that renew idle connections.
_RENEWING = frozenset(("pool_pre_ping", "pool_recycle"))
#: Connections of the parent of a forked process: there they are in use, so they may not even be closed.
_of_parents: list[Connection] = []
#: One lock for each engine, as stores may share one, and the process that made it: a forked one makes its own.
_locks: WeakKeyDictionary[Engine, tuple[int, RLockType]] = WeakKeyDictionary()


class Connections:
    """The connections of an engine.

    :param engine: the engine that they come from
    :param database: what its database does differently
    :param own: whether the store made the engine
    :param options: the options that the user gave for it
    """

    def __init__(self, engine: Engine, database: Database, own: bool, options: Mapping[str, Any]) -> None:
        self._engine = engine
        self._own = own
        #: a connection for writing, while nobody uses it: for all writes where only one connection can write, else for single
        #: statements. SQLite has prepared the statements on it: a pool would give different ones, and preparing a statement of 64
        #: rows takes a millisecond. A server's is in the right mode: taking one from the pool and setting the mode, there and back,
        #: takes a fifth of add_job()
        self._kept: list[Connection] = []
        self.keeps_one = (
            own
            and isinstance(engine.pool, QueuePool)
            and engine.pool.size() > (1 if database.one_writer else 2)
            # Options that have idle connections checked or replaced are meant for this one, too.
            and (database.one_writer or _RENEWING.isdisjoint(options))
        )
        self._one_writer = database.one_writer
        self._files = database.open_files(engine)
        self._gate = database.gate
        if own and self._gate is not None and isinstance(engine.pool, QueuePool):
            self._gate.databases.add(self)
        self._share_lock()

    def _share_lock(self) -> None:
        pid, lock = _locks.get(self._engine, (0, None))
        if lock is None or pid != getpid():
            lock = RLock()
            _locks[self._engine] = getpid(), lock
        # One connection for all threads takes one transaction at a time, reading or writing.
        shared = isinstance(self._engine.pool, StaticPool)
        self._read_lock = lock if shared else None
        self._write_lock = lock if shared or self._one_writer else None

    @property
    def address(self) -> str:
        """The URL without its password."""
        return without_secrets(self._engine.url.render_as_string(hide_password=True))

    # -- closing -------------------------------------------------------------------------------------------------

    def forked(self) -> None:
        """Leave the connections to the parent process, and its locks, whose holders do not exist in this one."""
        _of_parents.extend(self._kept)
        self._kept.clear()
        self._engine.dispose(close=False)
        self._share_lock()

    def close_idle(self) -> None:
        """Close the connections that nobody uses now; new ones are made when they are needed."""
        while self._kept:
            self._kept.pop().close()
        self._engine.dispose()

    def dispose(self) -> None:
        """Close the connections, if the engine is the store's own."""
        if self._own:
            self.close_idle()

    def leave(self) -> None:
        """Close the connections that nobody uses now; of an engine that was passed in, leave those to a file that was replaced."""
        if self._own:
            self.close_idle()
            return
        pool: Any = self._engine.pool
        good: list[Connection] = []
        while self._files is not None and isinstance(pool, QueuePool) and pool.checkedin():
            try:
                good.append(self._checked(self._engine.connect()))
            except StoreReplacedError:
                continue
        for conn in good:
            conn.close()

    # -- files ---------------------------------------------------------------------------------------------------

    def check_log(self) -> None:
        """Check that the write-ahead log that is open is the one beside the file, if the database is a file.

        :raises StoreReplacedError: if it is not
        """
        if self._files is not None:
            with self.connected(log=True):
                pass

    def check_kept_log(self) -> None:
        """Do the same if a connection is kept.

        :raises StoreReplacedError: if the log is not the one beside the file
        """
        if self._kept:
            self.check_log()

    def _checked(self, conn: Connection, log: bool = False) -> Connection:
        """Return a connection, if the file that it has open is at its place.

        :param log: whether its write-ahead log must be in place, too
        :raises StoreReplacedError: if the file is not in place; no connection is used any more then
        """
        files = self._files
        if files is not None and not files.are_in_place(conn, log):
            files.leave(conn)
            self.dispose()
            raise replaced(MOVED, f"The database {self.address}")
        return conn

    # -- giving --------------------------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with."""
        gate, lock = self._gate, self._read_lock
        if gate is not None:
            gate.enter()
        try:
            if lock is not None:
                lock.acquire()
            try:
                with self._checked(self._engine.connect()) as conn:
                    yield conn
            finally:
                if lock is not None:
                    lock.release()
        finally:
            if gate is not None:
                gate.leave()

    @contextmanager
    def connected(self, log: bool = False) -> Iterator[Connection]:
        """Give a connection to write with, alone where only one can.

        :param log: whether to see that its write-ahead log is the one beside the file
        :raises StoreReplacedError: if the file is not at its place
        """
        gate, lock = self._gate, self._write_lock
        if lock is None:
            with self._engine.connect() as conn:
                yield conn
            return
        with lock:
            if gate is not None:  # after the lock: a thread that waits for it is not inside
                gate.enter()
            try:
                with self._taken(log) as conn:
                    yield conn
            finally:
                if gate is not None:
                    gate.leave()

    @contextmanager
    def autocommitting(self) -> Iterator[Connection]:
        """Give a connection on which each statement is committed by itself."""
        with self._taken() as conn:
            if conn.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                try:
                    conn.execution_options(isolation_level="AUTOCOMMIT")
                except conn.dialect.loaded_dbapi.Error as exc:  # the server has gone meanwhile
                    raise translated(conn, exc) from exc
            yield conn

    @contextmanager
    def _taken(self, log: bool = False) -> Iterator[Connection]:
        """Give the connection that is kept, or another one, and keep it for the next time."""
        pool = self._engine.pool
        try:
            conn = self._kept.pop()  # whatever goes wrong, another one is taken next time
        except IndexError:
            conn = self._engine.connect()
        self._checked(conn, log)
        try:
            yield conn
            if conn.in_transaction():
                conn.commit()
        except BaseException:
            conn.close()
            raise
        # Not if the store was closed meanwhile, or another thread has given one back.
        if self.keeps_one and not self._kept and pool is self._engine.pool:
            self._kept.append(conn)
        else:
            conn.close()
