"""Connections, transactions and errors of the SQL store.

Knows no table. What databases do differently is in ``capabilities``.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from importlib.util import find_spec
from os import getpid
from threading import RLock
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    TimeoutError,
)
from sqlalchemy.pool import QueuePool, StaticPool

from ...clock import SYSTEM_CLOCK
from ...errors import (
    ConfigurationError,
    HeldRowsError,
    JobValueError,
    MissingExtraError,
    StoreError,
    StoreReplacedError,
    StoreUnavailableError,
)
from ...masking import without_secrets
from ..identity import MOVED, replaced
from .capabilities import (
    BUSY_TIMEOUT,
    capabilities_of,
    is_in_memory,
    takes_arrays,
    takes_unions,
    waiting_shortly,
)
from .files import OpenFile, leave_open
from .forks import GATE
from .locked import USUAL, explained, is_locked, may_wait_again
from .straight import translated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock as RLockType
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    Result = TypeVar("Result")

#: How often a transaction that lost against others is tried.
TRIES = 10
#: How often what may wait is tried where the database waits a second for a row that somebody else holds (MySQL).
PATIENCE = 50
#: The driver that a URL without one means, and the extra that brings it; a driver that is not installed is left to SQLAlchemy.
DRIVERS = {
    "postgresql": ("psycopg", "psycopg", "postgresql"),
    "mysql": ("pymysql", "pymysql", "mysql"),
    "mariadb": ("pymysql", "pymysql", "mysql"),
}

#: The name under which a connection knows its file.
_FILE = "rota_file"
#: Options of an engine by which it renews connections that were idle.
_RENEWING = frozenset(("pool_pre_ping", "pool_recycle"))
#: Connections of the parent of a forked process: there they are in use, so they may not even be closed.
_of_parents: list[Connection] = []
#: One lock for each engine, as stores may share one, and the process that made it: a forked one makes its own.
_locks: WeakKeyDictionary[Engine, tuple[int, RLockType]] = WeakKeyDictionary()

#: What PostgreSQL answers where a prepared statement is not there, or there already: the connection is not always the same.
_UNPREPARED = ("26000", "42P05")


class Database:
    """An engine, and how this store reads and writes through it.

    :param url: database URL; the store makes and disposes of the engine
    :param engine: an engine of the application, used instead; it is neither changed nor disposed of
    :param options: more options for create_engine()
    """

    def __init__(
        self,
        url: str | URL | None = None,
        engine: Engine | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self._own = engine is None
        #: since when steps of the scheduler have found the file of SQLite locked by somebody else (monotonic microseconds)
        self._locked_since: int | None = None
        #: whether connections come in a transaction mode that the store did not choose
        self._foreign = engine is not None or "isolation_level" in (options or {})
        if engine is None:
            engine = _make_engine(url, options or {})
        if engine.dialect.is_async:
            raise ConfigurationError(_for_asyncio(engine.dialect.driver))
        if _is_of_one_thread(engine):
            raise ConfigurationError(
                f"engine must lead all threads to one database, got {engine.url!r} with a {type(engine.pool).__name__}: an empty "
                f"database in memory for each thread; give url='sqlite://' or poolclass=StaticPool, a file, or a MemoryJobStore"
            )
        self.can = capabilities_of(engine.dialect.name)
        if self._own:
            self.can.prepare(engine)
        #: for whoever asks the store for its engine
        self.lent: Engine = engine
        self.engine: Engine = engine if self._foreign else self.can.for_steps(engine)
        #: a connection that writes, while nobody does: all there is to write where only one can, else single statements.
        #: SQLite's knows the statements: a pool would give now this one and now that, and reading a statement of 64 rows takes a
        #: millisecond. A server's is in the right mode: to take it from the pool, set that and back takes a fifth of add_job()
        self._kept: list[Connection] = []
        self._keeps = (
            self._own
            and isinstance(engine.pool, QueuePool)
            and engine.pool.size() > (1 if self.can.one_writer else 2)
            # Who wants connections looked at or thrown away when they were idle, means this one too.
            and (self.can.one_writer or _RENEWING.isdisjoint(options or {}))
        )
        #: whether its connections have a file open that may be removed or replaced, and where that is as the URL says
        self._has_file = self.can.one_writer and not isinstance(engine.pool, StaticPool)
        self._path = os.path.abspath(engine.url.database or "") if self._has_file else None
        #: what makes texts readable that the driver cannot decode
        self.repair: Callable[[Connection], None] | None = None
        #: what keeps forks away from transactions, where the database is a part of this process
        self._gate = GATE if self.can.one_writer else None
        if self._own and self._gate is not None and isinstance(engine.pool, QueuePool):
            self._gate.databases.add(self)
        self._share_lock()

    def _share_lock(self) -> None:
        pid, lock = _locks.get(self.engine, (0, None))
        if lock is None or pid != getpid():
            lock = RLock()
            _locks[self.engine] = getpid(), lock
        # One connection for all threads takes one transaction at a time, reading or writing.
        shared = isinstance(self.engine.pool, StaticPool)
        self._read_lock = lock if shared else None
        self._write_lock = lock if shared or self.can.one_writer else None

    def forked(self) -> None:
        """Leave the parent's connections to it, and its locks: whoever held one is not in this process."""
        _of_parents.extend(self._kept)
        self._kept.clear()
        self.engine.dispose(close=False)
        self._share_lock()

    def close_idle(self) -> None:
        """Close the connections that nobody uses now; others are made when they are needed."""
        while self._kept:
            self._kept.pop().close()
        self.engine.dispose()

    @property
    def address(self) -> str:
        """The URL without its password."""
        return without_secrets(self.engine.url.render_as_string(hide_password=True))

    def warm_up(self) -> None:
        """Do what makes the first transactions as fast as the later ones, if the engine is the store's own."""
        if self._own:
            self._repeated(self.can.warm_up, self._connected)

    def leave(self) -> None:
        """Leave the connections that nobody uses now; of an engine that was passed in, those to a file that is not in its place."""
        if self._own:
            self.close_idle()
            return
        pool: Any = self.engine.pool
        good: list[Connection] = []
        while self._has_file and isinstance(pool, QueuePool) and pool.checkedin():
            try:
                good.append(self._checked(self.engine.connect()))
            except StoreReplacedError:
                continue
        for conn in good:
            conn.close()

    def check_log(self) -> None:
        """See whether the write-ahead log that is open is the one beside the file, where there is one.

        :raises StoreReplacedError: if it is not
        """
        if self._has_file:
            with self._connected(log=True):
                pass

    def dispose(self) -> None:
        """Close the connections, if the engine is the store's own."""
        if self._own:
            self.close_idle()

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns; it only reads, and may be called again if the connection was cut.

        :raises StoreUnavailableError, StoreError, JobValueError: what the database said
        """
        return self._repeated(work, self._reading)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns, in one transaction: committed at the end, rolled back if an exception comes.

        It is called again if the transaction lost against others, or if the connection was cut before the commit. When it
        is cut while the commit is under way, nobody knows whether that was done, and the error says so.

        :raises IntegrityError: if a row exists already; the caller knows what it means
        :raises StoreUnavailableError, StoreError, JobValueError: what the database said
        """
        return self._repeated(work, self._writing)

    def step(self, work: Callable[[Connection], Result]) -> Result:
        """Like :meth:`write` for a step of the scheduler, which does not wait for rows that somebody else holds.

        :raises HeldRowsError: if somebody holds a row
        """
        return self._repeated(work, self._writing_impatiently)

    def write_at_once(self, work: Callable[[Connection], Result]) -> Result:
        """Like :meth:`write` for a single statement, which is its own transaction where that is known to be so.

        On a server that saves journeys, and in SQLite two statements out of three.
        It may be executed twice if the connection is cut, so the caller must be able to tell.
        """
        if self.can.one_writer and not self._foreign:
            return self._repeated(work, self._connected)  # our own connections are so from the beginning
        dialect = self.engine.dialect
        # With psycopg the mode is an attribute; MySQL has to be told, which is worth it for a connection that is kept.
        by_itself = takes_arrays(dialect) or (self._keeps and takes_unions(dialect))
        return self._repeated(work, self._at_once if by_itself else self._writing)

    def _repeated(
        self,
        work: Callable[[Connection], Result],
        transaction: Callable[[], Any],
    ) -> Result:
        tries = waits = 0
        repair = self.repair
        while True:
            finished = False
            try:
                with transaction() as conn:
                    result = work(conn)
                    finished = True
                return result
            except IntegrityError:
                raise
            except (DBAPIError, TimeoutError) as exc:
                if repair is not None and isinstance(exc, DBAPIError) and self.can.is_undecodable(exc):
                    self._repair(repair)
                    repair = None
                    continue
                patient = transaction != self._writing_impatiently
                if self._own and not finished and is_locked(exc):
                    waits += 1
                    if not patient:  # it holds up the jobs of other stores
                        self._give_way(exc)
                    elif may_wait_again(self.engine, waits, self.address, BUSY_TIMEOUT / 1000):
                        continue
                if not finished and isinstance(exc, DBAPIError) and self.can.is_held(exc):
                    if not patient:
                        raise HeldRowsError(f"The database {self.address}: rows are held by others") from exc
                    waits += 1
                    if waits < PATIENCE:
                        continue
                tries += 1
                if not finished and self._kept:
                    self.check_log()  # without it, new connections fail
                if not self._may_repeat(exc, finished, tries):
                    raise self._translated(exc) from exc

    def _give_way(self, exc: BaseException) -> None:
        """Take note that a step has found the file of SQLite locked.

        :raises HeldRowsError: unless that has been so for long
        """
        now = SYSTEM_CLOCK.monotonic()
        if self._locked_since is None:
            self._locked_since = now
        if now - self._locked_since < USUAL:
            raise HeldRowsError(f"The database {self.address} is locked by another writer") from exc

    def _repair(self, repair: Callable[[Connection], None]) -> None:
        with self._writing() as conn:
            repair(conn)

    def _may_repeat(self, exc: DBAPIError | TimeoutError, finished: bool, tries: int) -> bool:
        if tries >= TRIES or isinstance(exc, TimeoutError) or self.can.is_too_long(exc):
            return False
        # A pooled connection may have been cut long ago; the pool throws its like away, so the next one is new.
        cut = exc.connection_invalidated and not finished and tries == 1
        return cut or self.can.is_passing(exc)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        gate, lock = self._gate, self._read_lock
        if gate is not None:
            gate.enter()
        try:
            if lock is not None:
                lock.acquire()
            try:
                with self._checked(self.engine.connect()) as conn:
                    yield conn
            finally:
                if lock is not None:
                    lock.release()
        finally:
            if gate is not None:
                gate.leave()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with self._connected() as plain, self.can.transaction(plain, self._foreign) as conn:
            yield conn

    @contextmanager
    def _writing_impatiently(self) -> Iterator[Connection]:
        with self._connected() as plain:
            if self._locked_since is not None:
                with waiting_shortly(plain), self.can.transaction(plain, self._foreign, False) as conn:
                    self._locked_since = None
                    yield conn
            else:
                with self.can.transaction(plain, self._foreign, False) as conn:
                    yield conn

    @contextmanager
    def _at_once(self) -> Iterator[Connection]:
        with self._taken() as conn:
            if conn.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                try:
                    conn.execution_options(isolation_level="AUTOCOMMIT")
                except conn.dialect.loaded_dbapi.Error as exc:  # the server has gone meanwhile
                    raise translated(conn, exc) from exc
            yield conn

    @contextmanager
    def _connected(self, log: bool = False) -> Iterator[Connection]:
        """Give a connection to write with, alone where only one can."""
        gate, lock = self._gate, self._write_lock
        if lock is None:
            with self.engine.connect() as conn:
                yield conn
            return
        with lock:
            if gate is not None:  # after the lock: who waits for it is not inside
                gate.enter()
            try:
                with self._taken(log) as conn:
                    yield conn
            finally:
                if gate is not None:
                    gate.leave()

    @contextmanager
    def _taken(self, log: bool = False) -> Iterator[Connection]:
        """Give the connection that is kept, or another one, and keep it for the next time."""
        pool = self.engine.pool
        try:
            conn = self._kept.pop()  # whatever goes wrong, another one is taken next time
        except IndexError:
            conn = self.engine.connect()
        self._checked(conn, log)
        try:
            yield conn
            if conn.in_transaction():
                conn.commit()
        except BaseException:
            conn.close()
            raise
        # It is not kept if the store was closed meanwhile, or another thread has given one back.
        if self._keeps and not self._kept and pool is self.engine.pool:
            self._kept.append(conn)
        else:
            conn.close()

    def _checked(self, conn: Connection, log: bool = False) -> Connection:
        """Return a connection, if the file that it has open is at its place.

        :param log: whether its write-ahead log must be there too
        :raises StoreReplacedError: if that is not so; all connections are left then
        """
        if self._has_file:
            info = conn.info
            file = info.get(_FILE)
            if file is None:  # the connection is new
                file = info[_FILE] = OpenFile(conn.connection.driver_connection, self._path)
            if not file.is_in_place() or (log and not file.has_its_log()):
                plain = conn.connection.driver_connection
                conn.detach()
                leave_open(plain)
                self.dispose()
                raise replaced(MOVED, f"The database {self.address}")
        return conn

    def _translated(self, exc: DBAPIError | TimeoutError) -> Exception:
        cause = str(getattr(exc, "orig", None) or exc)
        password = self.engine.url.password
        if password:
            cause = cause.replace(str(password), "***")
        if self.can.is_too_long(exc):
            return JobValueError(
                f"The database {self.address} takes no value as long as this one: see max_allowed_packet"
            )
        if isinstance(exc, DataError) or (isinstance(exc, DBAPIError) and self.can.refuses_value(exc)):
            return JobValueError(f"The database {self.address} refused a value: {cause}")
        if isinstance(exc, TimeoutError) or _is_environmental(exc):
            why = explained(self.engine, exc)
            return StoreUnavailableError(f"The database {self.address} cannot be used now: {cause}{why}")
        remedy = ""
        if getattr(exc.orig, "sqlstate", None) in _UNPREPARED:
            remedy = "; behind a pooler such as PgBouncer, make the engine with connect_args={'prepare_threshold': None}"
        return StoreError(f"The database {self.address} refused a statement: {cause}{remedy}")


def check_connection(connection: Any, engine: Engine, store: object) -> None:
    """Refuse what cannot be a connection to the store's database.

    :raises ConfigurationError: saying what to pass instead
    """
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            f"connection must be a SQLAlchemy Connection, got {type(connection).__name__}; of a session, pass "
            f"session.connection(); of an AsyncConnection, call add_job() inside its run_sync()"
        )
    if connection.dialect.name != engine.dialect.name:
        raise ConfigurationError(
            f"connection leads to a {connection.dialect.name} database, and {store!r} keeps its jobs elsewhere"
        )


def _is_of_one_thread(engine: Engine) -> bool:
    """Whether each connection of an engine is a database of its own, in memory, so that other threads find nothing in theirs."""
    if engine.dialect.name != "sqlite" or isinstance(engine.pool, StaticPool):
        return False
    return is_in_memory(engine.url) and engine.url.query.get("cache") != "shared"


def _is_environmental(exc: DBAPIError) -> bool:
    return exc.connection_invalidated or isinstance(exc, (OperationalError, InterfaceError, InternalError))


def _make_engine(url: str | URL | None, options: Mapping[str, Any]) -> Engine:
    if not url:
        raise ConfigurationError(
            'Need either "engine" or "url": pass url="sqlite:///jobs.sqlite" or the like'
        )
    extra = "sql"
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgres":  # as hosting providers write it
            parsed = parsed.set(drivername="postgresql")
        if parsed.drivername in DRIVERS:
            driver, module, extra = DRIVERS[parsed.drivername]
            if find_spec(module) is not None:
                parsed = parsed.set(drivername=f"{parsed.drivername}+{driver}")
        if parsed.get_dialect().is_async:
            raise ConfigurationError(_for_asyncio(parsed.get_driver_name()))
        merged = capabilities_of(parsed.get_backend_name()).engine_options(parsed)
        for name, value in options.items():
            if name == "connect_args":
                merged[name] = {**merged.get(name, {}), **value}
            else:
                merged[name] = value
        return create_engine(parsed, **merged)
    except ConfigurationError:
        raise
    except (ArgumentError, NoSuchModuleError, TypeError, ValueError) as exc:
        said = without_secrets(str(exc), url)
        raise ConfigurationError(f"Cannot use this database URL or these engine options: {said}") from None
    except ImportError as exc:
        raise MissingExtraError(f"The database driver for this URL ({exc})", extra) from exc


def _for_asyncio(driver: str) -> str:
    return (
        f"{driver} is a database driver for asyncio, and the store makes its calls in threads, on an AsyncIOScheduler too. "
        f"Give it a URL without a driver (postgresql://…, mariadb://…, sqlite:///…), or one that names another driver"
    )
