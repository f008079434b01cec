"""What databases do differently: how transactions begin, which errors pass, how ids are compared, who has a clock or can push.

The rest of the store asks for these capabilities and never for the name of a database. Knows no table of the store.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

from sqlalchemy import Connection, Engine, String, Text, TextClause, event, func, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import StaticPool

from .straight import begin_straight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sqlalchemy import ColumnElement, Dialect
    from sqlalchemy.engine import URL

#: How long SQLite waits for another process that writes, in milliseconds; after each such time it is asked again, or told. Steps of
#: the scheduler hold up the jobs of other stores meanwhile, and a user's call holds up the steps of the scheduler.
BUSY_TIMEOUT = 250
#: The same for steps of the scheduler while it is known that somebody keeps the file locked.
SHORT_TIMEOUT = 100
#: After so many bytes in its write-ahead log SQLite begins it anew (1000 pages of 4096 bytes).
LOG_LENGTH = 1000 * 4096
#: How long a connection may take to come about, and how long an answer may take, in seconds.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
#: How long a step of the scheduler waits for a row that somebody else holds: in milliseconds, and in MySQL in whole seconds.
LOCK_TIMEOUT = 250
LOCK_TIMEOUT_MYSQL = 1
#: How long processes wait for another one that makes or migrates the tables, in seconds.
SCHEMA_TIMEOUT = 60


class Exact(String):
    """Text that is compared byte by byte, so that ``job``, ``Job`` and ``job␠`` are three ids."""

    inherit_cache = True


class Long(Text):
    """Text of any length."""

    inherit_cache = True


def exact_collation(dialect: Any) -> str:
    """Return the name under which MySQL or MariaDB compares texts byte by byte; its other ones ignore blanks at the end."""
    return "utf8mb4_nopad_bin" if dialect.is_mariadb else "utf8mb4_0900_bin"


@compiles(Exact, "mysql")
@compiles(Exact, "mariadb")
def _exact_in_mysql(element: Exact, compiler: Any, **kw: Any) -> str:
    return f"VARCHAR({element.length}) CHARACTER SET utf8mb4 COLLATE {exact_collation(compiler.dialect)}"


@compiles(Exact, "postgresql")
def _exact_in_postgresql(element: Exact, compiler: Any, **kw: Any) -> str:
    return f'VARCHAR({element.length}) COLLATE "C"'


@compiles(Long, "mysql")
@compiles(Long, "mariadb")
def _long_in_mysql(element: Long, compiler: Any, **kw: Any) -> str:
    return "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


class Capabilities:
    """What a database can do, and how a transaction that writes begins; these are the defaults.

    :ivar one_writer: whether only one connection can write at a time, so that threads had better queue in the process
    :ivar transactional_ddl: whether tables are created all or not at all
    :ivar clock: selects the server's time as an instant; None if the database has no clock of its own
    :ivar notify: selects that whoever listens to the channel ``:channel`` gets ``:payload`` after the commit; None without push
    """

    one_writer = False
    transactional_ddl = True
    clock: TextClause | None = None
    notify: TextClause | None = None

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        """Make what is done inside one transaction that is going to write.

        :param foreign: whether the application chose how its connections begin transactions
        :param patient: whether to wait for rows that somebody else holds, if the database has such
        """
        with (atomic(conn) if foreign else conn).begin():
            yield conn

    def for_steps(self, engine: Engine) -> Engine:
        """Return an engine of the store's own as its transactions want it; applications may use the engine itself."""
        return engine

    def is_held(self, exc: DBAPIError) -> bool:
        """Whether somebody else has held a row for longer than the transaction waits."""
        return False

    def engine_options(self, url: URL) -> dict[str, Any]:
        """Return options for create_engine()."""
        return {}

    def prepare(self, engine: Engine) -> None:
        """Set up an engine that the store made itself."""

    def warm_up(self, conn: Connection) -> None:
        """Make the first transactions as fast as the later ones, on an engine of the store's own."""

    def time_of(self, conn: Connection) -> int | None:
        """Return the server's time as an instant, None if there is no such clock."""
        return None if self.clock is None else int(conn.execute(self.clock).scalar_one())

    def is_passing(self, exc: DBAPIError) -> bool:
        """Whether the transaction lost against others (a deadlock, or not serializable), so that it is worth repeating."""
        return False

    def is_without_tables(self, exc: DBAPIError) -> bool:
        """Whether a statement failed because a table is not there."""
        return False

    def refuses_value(self, exc: DBAPIError) -> bool:
        """Whether the server refused what it was given, where the driver does not say so by its kind of error."""
        return False

    def is_undecodable(self, exc: DBAPIError) -> bool:
        """Whether the driver could not read a text, as its bytes are none."""
        return False

    def is_too_long(self, exc: BaseException) -> bool:
        """Whether the server took a statement for too long, where the driver does not say so by a ``DataError``."""
        return False

    @contextmanager
    def alone(self, conn: Connection, name: str) -> Iterator[None]:
        """Keep others who ask with the same name out, inside a transaction."""
        yield


@contextmanager
def waiting_shortly(conn: Connection) -> Iterator[None]:
    """Have a connection to SQLite wait only a moment for the lock of its file."""
    cursor = conn.connection.cursor()  # SQLAlchemy would begin a transaction
    try:
        cursor.execute(f"PRAGMA busy_timeout = {SHORT_TIMEOUT}")
        try:
            yield
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
    finally:
        cursor.close()


class _Sqlite(Capabilities):
    one_writer = True

    def is_undecodable(self, exc: DBAPIError) -> bool:
        return "Could not decode to UTF-8" in str(exc.orig)

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
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
                _roll_back(conn)
                raise

    def engine_options(self, url: URL) -> dict[str, Any]:
        options: dict[str, Any] = {
            "isolation_level": "AUTOCOMMIT",
            "connect_args": {"check_same_thread": False, "timeout": BUSY_TIMEOUT / 1000},
        }
        if is_in_memory(url):
            options["poolclass"] = StaticPool
        return options

    def prepare(self, engine: Engine) -> None:
        event.listen(engine, "connect", _preset_sqlite)

    def is_without_tables(self, exc: DBAPIError) -> bool:
        return str(exc.orig).startswith("no such table")

    def warm_up(self, conn: Connection) -> None:
        # A commit that makes the log longer waits for the file system's journal too: 700 µs instead of 450. So the log gets the
        # length at which SQLite begins it anew, by pages that are written to it and never committed (9 ms).
        if conn.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal" or _log_length(conn) >= LOG_LENGTH:
            return
        cache = conn.exec_driver_sql("PRAGMA cache_size").scalar()
        conn.exec_driver_sql("PRAGMA cache_size = 8")  # so that the pages do not stay in memory
        try:
            conn.exec_driver_sql("BEGIN IMMEDIATE")
            conn.exec_driver_sql("CREATE TABLE rota_log_length (content BLOB)")
            conn.exec_driver_sql(f"INSERT INTO rota_log_length VALUES (zeroblob({LOG_LENGTH}))")
            _roll_back(conn)
        except DBAPIError:
            # Read-only, or the disk is nearly full: a short log will do, and gives back what it took.
            _roll_back(conn)
            with suppress(DBAPIError):
                conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.exec_driver_sql(f"PRAGMA cache_size = {cache}")


def atomic(conn: Connection) -> Connection:
    """Return a connection of the application's with its transactions: not as one on which each statement is committed by itself."""
    raw: Any = conn.connection.dbapi_connection
    mode = getattr(raw, "autocommit", None)
    if callable(mode):  # it sets it
        mode = raw.get_autocommit() if hasattr(raw, "get_autocommit") else None
    return conn.execution_options(isolation_level=conn.default_isolation_level) if mode is True else conn


def _roll_back(conn: Connection) -> None:
    with suppress(DBAPIError):  # SQLite has rolled back already (disk full, connection lost), or never begun
        conn.exec_driver_sql("ROLLBACK")


def _log_length(conn: Connection) -> int:
    """Return how many bytes the write-ahead log of a database has."""
    file = conn.exec_driver_sql("PRAGMA database_list").first()
    try:
        return os.path.getsize(f"{file[2]}-wal") if file is not None else 0
    except OSError:
        return 0


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


class _PostgreSQL(Capabilities):
    clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
    notify = text("SELECT pg_notify(:channel, :payload)")

    def engine_options(self, url: URL) -> dict[str, Any]:
        if url.get_driver_name() not in ("psycopg", "psycopg2"):
            return {}
        # A server that has vanished without a word is noticed within half a minute.
        alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        options: dict[str, Any] = {
            "connect_args": {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": 30_000, **alive},
        }
        return options

    def for_steps(self, engine: Engine) -> Engine:
        if engine.dialect.driver != "psycopg":
            return engine
        # Reading needs no transaction then, and what begins one can say more in the same journey.
        return engine.execution_options(isolation_level="AUTOCOMMIT")

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        # For this transaction only: a session may be anybody's afterwards, with a pooler between.
        limit = "" if patient else f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"
        with (atomic(conn) if foreign else conn).begin():
            if conn.dialect.driver == "psycopg" and not foreign:
                begin_straight(conn, "BEGIN", limit)
            elif limit:
                conn.exec_driver_sql(limit)
            yield conn

    def is_held(self, exc: DBAPIError) -> bool:
        return getattr(exc.orig, "sqlstate", None) == "55P03" or getattr(exc.orig, "pgcode", None) == "55P03"

    def prepare(self, engine: Engine) -> None:
        if engine.dialect.driver == "psycopg":
            event.listen(engine, "connect", _keep_poolers_in_mind)

    def is_passing(self, exc: DBAPIError) -> bool:
        return getattr(exc.orig, "sqlstate", None) in ("40001", "40P01")

    def is_without_tables(self, exc: DBAPIError) -> bool:
        return getattr(exc.orig, "sqlstate", None) in ("42P01", "3F000")  # undefined table, undefined schema

    def refuses_value(self, exc: DBAPIError) -> bool:
        # Numbers and texts that do not fit; conditions; what triggers raise.
        state = getattr(exc.orig, "sqlstate", None) or ""
        return state[:2] in ("22", "23") or state == "P0001"

    @contextmanager
    def alone(self, conn: Connection, name: str) -> Iterator[None]:
        # Held until the transaction is over.
        conn.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
        yield


def is_behind_pooler(connection: Any) -> bool:
    """Whether a psycopg connection leads to a pooler such as PgBouncer, which tells its clients another process id than the server.

    It begins a transaction.
    """
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return bool(row[0] != connection.info.backend_pid)


def _keep_poolers_in_mind(connection: Any, record: Any) -> None:
    """Have the driver prepare no statements where the next transaction may be another connection's, which does not know them."""
    if is_behind_pooler(connection):
        connection.prepare_threshold = None
    connection.rollback()


class _MySQL(Capabilities):
    transactional_ddl = False
    clock = text("SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))")

    def engine_options(self, url: URL) -> dict[str, Any]:
        # Its default would lock the gaps between rows, and look at old rows.
        options: dict[str, Any] = {"isolation_level": "READ COMMITTED"}
        if url.get_driver_name() in ("pymysql", "mysqldb"):
            options["connect_args"] = {
                "connect_timeout": CONNECT_TIMEOUT,
                "read_timeout": READ_TIMEOUT,
                "write_timeout": READ_TIMEOUT,
            }
        return options

    def is_passing(self, exc: DBAPIError) -> bool:
        args: tuple[Any, ...] = getattr(exc.orig, "args", ())
        # Deadlock; record changed since it was read.
        return bool(args) and args[0] in (1213, 1020)

    def is_held(self, exc: DBAPIError) -> bool:
        return getattr(exc.orig, "args", ())[:1] == (1205,)

    def prepare(self, engine: Engine) -> None:
        event.listen(engine, "connect", _preset_mysql)

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        with (atomic(conn) if foreign else conn).begin():
            if not foreign or patient:  # our own connections never wait for longer
                yield conn
                return
            conn.exec_driver_sql(
                f"SET @rota_wait = @@innodb_lock_wait_timeout, innodb_lock_wait_timeout = {LOCK_TIMEOUT_MYSQL}"
            )
            try:
                yield conn
            finally:
                with suppress(DBAPIError):  # the connection is cut
                    conn.exec_driver_sql("SET innodb_lock_wait_timeout = @rota_wait")

    def is_without_tables(self, exc: DBAPIError) -> bool:
        return getattr(exc.orig, "args", ())[:1] == (1146,)

    def refuses_value(self, exc: DBAPIError) -> bool:
        # Numbers and texts that do not fit; conditions (of MariaDB, of MySQL); what triggers raise.
        args: tuple[Any, ...] = getattr(exc.orig, "args", ())
        return bool(args) and args[0] in (1264, 1366, 1406, 1690, 4025, 3819, 1644)

    def is_too_long(self, exc: BaseException) -> bool:
        # The server says so and hangs up, so that the rollback fails too: what it said stands behind that error.
        seen: BaseException | None = exc
        while seen is not None:
            if getattr(seen, "args", ())[:1] == (1153,):
                return True
            seen = seen.__cause__ or seen.__context__
        return False

    @contextmanager
    def alone(self, conn: Connection, name: str) -> Iterator[None]:
        # Not bound to the transaction: creating a table ends that.
        name = name[-64:]
        conn.execute(text("SELECT GET_LOCK(:name, :wait)"), {"name": name, "wait": SCHEMA_TIMEOUT}).all()
        try:
            yield
            # Whoever comes next must see all of it; the transaction that creating a table began is over at the end only.
            conn.exec_driver_sql("COMMIT")
        finally:
            conn.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": name}).all()


def _preset_mysql(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {LOCK_TIMEOUT_MYSQL}")
    cursor.close()


_OF_BACKEND: Mapping[str, type[Capabilities]] = {
    "sqlite": _Sqlite,
    "postgresql": _PostgreSQL,
    "mysql": _MySQL,
    "mariadb": _MySQL,
}


def is_in_memory(url: URL) -> bool:
    """Whether a URL of SQLite means a database in memory."""
    names = (None, "", ":memory:", "file:", "file::memory:")
    return url.database in names or url.query.get("mode") == "memory"


def keeps_anything(dialect: Dialect) -> bool:
    """Whether a column keeps values of other types than its own (SQLite)."""
    return dialect.name == "sqlite"


def is_no_text(column: Any) -> ColumnElement[bool]:
    """Return the condition that a database which keeps anything has no text in a column."""
    return func.typeof(column) != "text"


def is_no_number(column: Any) -> ColumnElement[bool]:
    """Return the condition that a database which keeps anything has no whole number in a column."""
    return func.typeof(column) != "integer"


def takes_arrays(dialect: Dialect) -> bool:
    """Whether one statement can have arrays of values as its parameters, and use them as a set of rows."""
    return dialect.name == "postgresql" and dialect.driver == "psycopg"


def takes_values(dialect: Dialect) -> bool:
    """Whether one statement can have many rows written out in it, and use them as a set (SQLite 3.33 can join them in UPDATE)."""
    version = getattr(dialect.dbapi, "sqlite_version_info", (0,)) if dialect.name == "sqlite" else (0,)
    return dialect.paramstyle == "qmark" and version >= (3, 33)


def takes_unions(dialect: Dialect) -> bool:
    """Whether an UPDATE can be joined with a set of rows, written out as SELECTs, and parameters are ``%s`` (MySQL, MariaDB)."""
    return dialect.name in ("mysql", "mariadb") and dialect.driver in ("pymysql", "mysqldb")


def locks_rows(dialect: Dialect) -> bool:
    """Whether a transaction locks the rows that it writes, and not all of the database."""
    return dialect.name != "sqlite"


def counts_sets(dialect: Dialect) -> bool:
    """Whether an UPDATE for several rows says how many rows it met."""
    return dialect.supports_sane_multi_rowcount or takes_arrays(dialect) or takes_unions(dialect)


def capabilities_of(backend: str) -> Capabilities:
    """Return what the database of that name (SQLAlchemy's) can do."""
    return _OF_BACKEND.get(backend, Capabilities)()
