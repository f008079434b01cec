"""Connections, transactions and errors of the SQL store, and the one place for what databases do differently.

Knows no table; the rest of the store asks for capabilities and never for the name of a database.
"""

from __future__ import annotations

from contextlib import contextmanager
from threading import RLock
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    TimeoutError,
)
from sqlalchemy.pool import StaticPool

from ...errors import ConfigurationError, JobValueError, MissingExtraError, StoreError, StoreUnavailableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _thread import RLock as RLockType
    from collections.abc import Iterator, Mapping
    from typing import Any

#: How long SQLite waits for another process that writes, in milliseconds.
BUSY_TIMEOUT = 30_000


class Capabilities:
    """What a database can do, and how a transaction that writes begins.

    :ivar bool one_writer: whether only one connection can write at a time, so that threads had better queue in the process
    """

    one_writer = False

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool) -> Iterator[Connection]:
        """Make what is done inside one transaction that is going to write.

        :param foreign: whether the application chose how its connections begin transactions
        """
        with conn.begin():
            yield conn

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Return options for create_engine()."""
        return {"pool_pre_ping": True}

    def prepare(self, engine: Engine) -> None:
        """Set up an engine that the store made itself."""


class _Sqlite(Capabilities):
    one_writer = True

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool) -> Iterator[Connection]:
        # The driver would begin by itself, too late; and without IMMEDIATE, two transactions that read before they write fail
        # each other. So the driver is told to keep out of it (our own engines tell it when they connect).
        if foreign:
            conn = conn.execution_options(isolation_level="AUTOCOMMIT")
        with conn.begin():
            if foreign and conn.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                conn.exec_driver_sql("ROLLBACK")  # an event handler of the application began one
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield conn
                conn.exec_driver_sql("COMMIT")
            except BaseException:
                try:
                    conn.exec_driver_sql("ROLLBACK")
                except DBAPIError:
                    pass  # SQLite has rolled back already (disk full, connection lost)
                raise

    def engine_options(self, url: URL) -> dict[str, Any]:
        options: dict[str, Any] = {
            "isolation_level": "AUTOCOMMIT",
            "connect_args": {"check_same_thread": False, "timeout": BUSY_TIMEOUT / 1000},
        }
        if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
            options["poolclass"] = StaticPool
        return options

    def prepare(self, engine: Engine) -> None:
        event.listen(engine, "connect", _preset_sqlite)


def _preset_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    cursor.execute("PRAGMA foreign_keys = OFF")
    try:
        cursor.execute("PRAGMA journal_mode = WAL")
    except connection.OperationalError:
        pass  # another process is switching it at this moment; the mode is the file's, so it holds for us too
    # A commit that was answered survives a power failure.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.close()


_CAPABILITIES: Mapping[str, type[Capabilities]] = {"sqlite": _Sqlite}


#: One lock for each engine: stores may share one.
_locks: WeakKeyDictionary[Engine, RLockType] = WeakKeyDictionary()


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
        #: whether connections come in a transaction mode that the store did not choose
        self._foreign = engine is not None or "isolation_level" in (options or {})
        if engine is None:
            engine = _make_engine(url, options or {})
        self.engine: Engine = engine
        self.can = _CAPABILITIES.get(engine.dialect.name, Capabilities)()
        if self._own:
            self.can.prepare(engine)
        # One connection for all threads takes one transaction at a time, reading or writing.
        lock = _locks.setdefault(engine, RLock())
        shared = isinstance(engine.pool, StaticPool)
        self._read_lock = lock if shared else None
        self._write_lock = lock if shared or self.can.one_writer else None

    @property
    def address(self) -> str:
        """The URL without its password."""
        return self.engine.url.render_as_string(hide_password=True)

    def dispose(self) -> None:
        """Close the connections, if the engine is the store's own."""
        if self._own:
            self.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection to read with."""
        lock = self._read_lock
        if lock is not None:
            lock.acquire()
        try:
            with self.engine.connect() as conn:
                yield conn
        except (DBAPIError, TimeoutError) as exc:
            raise self._translated(exc) from exc
        finally:
            if lock is not None:
                lock.release()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a connection inside a transaction that is committed at the end, or rolled back if an exception comes."""
        lock = self._write_lock
        if lock is not None:
            lock.acquire()
        try:
            with self.engine.connect() as plain, self.can.transaction(plain, self._foreign) as conn:
                yield conn
        except IntegrityError:
            raise  # the caller knows what it means
        except (DBAPIError, TimeoutError) as exc:
            raise self._translated(exc) from exc
        finally:
            if lock is not None:
                lock.release()

    def _translated(self, exc: DBAPIError | TimeoutError) -> Exception:
        cause = getattr(exc, "orig", None) or exc
        if isinstance(exc, DataError):
            return JobValueError(f"The database {self.address} refused a value: {cause}")
        if isinstance(exc, TimeoutError) or _is_environmental(exc):
            return StoreUnavailableError(f"The database {self.address} cannot be used now: {cause}")
        return StoreError(f"The database {self.address} refused a statement: {cause}")


def _is_environmental(exc: DBAPIError) -> bool:
    from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

    return exc.connection_invalidated or isinstance(exc, (OperationalError, InterfaceError, InternalError))


def _make_engine(url: str | URL | None, options: Mapping[str, Any]) -> Engine:
    if not url:
        raise ConfigurationError(
            'Need either "engine" or "url": pass url="sqlite:///jobs.sqlite" or the like'
        )
    try:
        parsed = make_url(url)
        can = _CAPABILITIES.get(parsed.get_backend_name(), Capabilities)()
        merged = can.engine_options(parsed)
        for name, value in options.items():
            if name == "connect_args":
                merged[name] = {**merged.get(name, {}), **value}
            else:
                merged[name] = value
        return create_engine(parsed, **merged)
    except (ArgumentError, NoSuchModuleError, TypeError) as exc:
        raise ConfigurationError(f"Cannot use this database URL or these engine options: {exc}") from exc
    except ImportError as exc:
        raise MissingExtraError(f"The database driver for this URL ({exc})", "sql") from exc
