"""What SQLite does differently: one writer at a time, files that may be locked, moved or inherited by a fork, columns of any type.

Its files, its locks, its forks and its undecodable texts have modules of their own beside this one. Knows no table of the store.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from itertools import chain

from sqlalchemy import Index, column, event, func, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from ..direct import execute_directly
from .base import Database
from .sqlite_files import OpenFiles
from .sqlite_forks import GATE
from .sqlite_locks import explained, is_locked, may_wait_again
from .sqlite_texts import make_bytes
from .statements import ConvertedStatement, Statement, Values, starting_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from sqlalchemy import Column, ColumnElement, Connection, Dialect, Engine, Table
    from sqlalchemy.engine import URL

    from .statements import Template

#: How long SQLite waits for another process that writes, in milliseconds; after each such time it is asked again, or told. Steps of
#: the scheduler hold up the jobs of other stores meanwhile, and a user's call holds up the steps of the scheduler.
BUSY_TIMEOUT = 250
#: The same for steps of the scheduler while it is known that somebody keeps the file locked.
SHORT_TIMEOUT = 100
#: After so many bytes in its write-ahead log SQLite begins it anew (1000 pages of 4096 bytes).
LOG_LENGTH = 1000 * 4096
#: How many rows are one statement where a set of rows is written out. Alone, a row costs as much for binding, stepping and
#: resetting its statement, and for giving the interpreter's lock away, as for itself: with 64 in one statement, the four statements
#: of a run take 15 µs instead of 27; with more it is no better.
ROWS = 64
#: Stands for the rows while a statement is compiled.
_MARK = "'rows'"


class SQLite(Database):
    """SQLite, in a file or in memory."""

    # Keyed by text, so that a row number beside it would only be one more tree to write.
    table_options = {"sqlite_with_rowid": False}
    wide_integers = True
    one_writer = True
    gate = GATE
    locks_rows = False
    keeps_any_type = True
    partial_indexes = True

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        version = getattr(dialect.dbapi, "sqlite_version_info", (0,))
        #: whether an UPDATE can be joined with rows that are written out in it
        self._writes_out = dialect.paramstyle == "qmark" and version >= (3, 33)

    # -- engines and connections ---------------------------------------------------------------------------------

    @classmethod
    def engine_options(cls, url: URL) -> dict[str, Any]:
        """Return options for create_engine()."""
        options: dict[str, Any] = {
            "isolation_level": "AUTOCOMMIT",
            "connect_args": {"check_same_thread": False, "timeout": BUSY_TIMEOUT / 1000},
        }
        if _is_in_memory(url):
            options["poolclass"] = StaticPool
        return options

    def prepare(self, engine: Engine) -> None:
        """Set up the connections of an engine that the store made itself."""
        event.listen(engine, "connect", _set_up)

    def is_of_one_thread(self, engine: Engine) -> bool:
        """Whether each connection of an engine is a database of its own, in memory."""
        if isinstance(engine.pool, StaticPool):
            return False
        return _is_in_memory(engine.url) and engine.url.query.get("cache") != "shared"

    def open_files(self, engine: Engine) -> OpenFiles | None:
        """Return an object that tells whether connections have the right file open; None in memory."""
        if isinstance(engine.pool, StaticPool):
            return None
        return OpenFiles(os.path.abspath(engine.url.database or ""))

    def warm_up(self, conn: Connection) -> None:
        """Make the write-ahead log as long as it gets."""
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
            # Read-only, or the disk is nearly full: a short log will do, and its space is given back.
            _roll_back(conn)
            with suppress(DBAPIError):
                conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        conn.exec_driver_sql(f"PRAGMA cache_size = {cache}")

    def write_back(self, conn: Connection) -> bool:
        """Write the pages of the write-ahead log into the file, as far as nobody reads them from the log."""
        with suppress(DBAPIError):  # somebody else does so at the moment, or the journal is of another kind
            conn.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")
        return True

    # -- transactions --------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        """Open a transaction that is going to write; give the connection to use in it."""
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

    @contextmanager
    def waiting_shortly(self, conn: Connection) -> Iterator[None]:
        """Have a connection wait only a moment for the lock of its file."""
        cursor = conn.connection.cursor()  # SQLAlchemy would begin a transaction
        try:
            cursor.execute(f"PRAGMA busy_timeout = {SHORT_TIMEOUT}")
            try:
                yield
            finally:
                cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT}")
        finally:
            cursor.close()

    # -- errors --------------------------------------------------------------------------------------------------

    def is_locked(self, exc: BaseException) -> bool:
        """Whether another connection has held the lock of the file for longer than this one waits."""
        return is_locked(exc)

    def may_wait_again(self, engine: Engine, waits: int, address: str) -> bool:
        """Whether to wait for the lock of the file once more."""
        return may_wait_again(engine.url.database, waits, address, BUSY_TIMEOUT / 1000)

    def is_without_tables(self, exc: DBAPIError) -> bool:
        """Whether a statement failed because a table is not there."""
        return str(exc.orig).startswith("no such table")

    def is_undecodable(self, exc: DBAPIError) -> bool:
        """Whether the driver could not decode the bytes of a text."""
        return "Could not decode to UTF-8" in str(exc.orig)

    def make_readable(self, conn: Connection, tables: Iterable[Table]) -> None:
        """Make the undecodable texts of tables bytes."""
        make_bytes(conn, tables)

    def why_unavailable(self, engine: Engine, exc: BaseException) -> str:
        """Return the cause of an error that made the database unavailable, and a remedy."""
        return explained(engine.url.database, exc)

    # -- statements ----------------------------------------------------------------------------------------------

    def statement(self, template: Template) -> Statement:
        """Return a template's statement as the driver takes it for many rows."""
        single = super().statement(template)
        if (
            not (self._writes_out and template.writes_out)
            or template.statement.is_delete
            or isinstance(single, ConvertedStatement)
        ):
            return single
        # The special one first.
        written = [self._written_out(template, alike) for alike in sorted({template.alike, ()})[::-1]]
        return WrittenOutStatement(single, written)

    def _written_out(self, template: Template, alike: Sequence[str]) -> Rows:
        """Return the statement for ROWS rows that are written out in it, and differ in other values than these."""
        differing = [name for name in template.names if name not in alike]
        names = [f"column{number}" for number in range(1, len(differing) + 1)]  # SQLite calls them so
        given = text(f"VALUES {_MARK}").columns(*map(column, names)).subquery("given")
        values = Values({name: given.c[column] for name, column in zip(differing, names, strict=True)})
        compiled: Any = template.make(values).compile(dialect=self.dialect, column_keys=None)
        before, after = str(compiled).split(_MARK)
        row = f"({', '.join('?' * len(names))})"
        index = {name: number for number, name in enumerate(template.names)}
        others = [(index.get(name), compiled.params.get(name)) for name in compiled.positiontup]
        return Rows(
            f"{before}{', '.join([row] * ROWS)}{after}",
            [index[name] for name in differing],
            others[: before.count("?")],
            others[before.count("?") :],
        )

    # -- tables --------------------------------------------------------------------------------------------------

    def only_where(self, condition: str) -> dict[str, Any]:
        """Return the options of an index over the rows of which a condition is true."""
        return {"sqlite_where": text(condition)}

    def by_name(self, table: str, name: Column[Any], ref: Column[Any]) -> list[Any]:
        """Return the indexes of jobs by names and callables, which may be of any length."""
        return [Index(f"ix_{table}_name", name, "id"), Index(f"ix_{table}_func", ref)]

    def name_key(self, columns: Any) -> ColumnElement[Any]:
        """Return what the index of names has."""
        key: ColumnElement[Any] = columns.name
        return key

    def begins(self, ref: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
        """Return the condition that a callable begins so."""
        return starting_with(ref, beginning)

    def is_no_text(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column has something else than a text."""
        return func.typeof(column) != "text"

    def is_no_number(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column has something else than a whole number."""
        return func.typeof(column) != "integer"


class WrittenOutStatement(Statement):
    """A statement in which sets of ROWS rows are written out; the rows that are left are executed one by one.

    :param single: the statement for one row
    :param written: the statements for ROWS rows, the special one first
    """

    def __init__(self, single: Statement, written: Sequence[Rows]) -> None:
        super().__init__("")
        self._single = single
        self._written = written

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for these rows; return how many rows of the table it met."""
        alone = len(rows) % ROWS
        met = 0
        for start in range(0, len(rows) - alone, ROWS):
            columns = list(zip(*rows[start : start + ROWS], strict=True))
            fitting = next(written for written in self._written if written.fits(columns))
            met += execute_directly(conn, fitting.sql, fitting.arguments(columns))
        if alone:
            met += execute_directly(
                conn, *self._single.arguments(rows[-alone:])
            )  # the driver counts these, too
        return met

    def arguments(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for these rows one by one, and its parameters."""
        return self._single.arguments(rows)


class Rows:
    """A statement for ROWS rows that are written out in it.

    :param sql: its text
    :param differing: the indices of the values that are given for each row
    :param before: the parameters before the rows: the index of a value that all rows share, or None and a constant
    :param after: those behind the rows
    """

    def __init__(
        self,
        sql: str,
        differing: Sequence[int],
        before: Sequence[tuple[int | None, Any]],
        after: Sequence[tuple[int | None, Any]],
    ) -> None:
        self.sql = sql
        self._differing = differing
        self._before = before
        self._after = after
        self._alike = [index for index, _ in (*before, *after) if index is not None]

    def fits(self, columns: Sequence[tuple[Any, ...]]) -> bool:
        """Whether the values that have to be the same in all rows are so."""
        return all(columns[index].count(columns[index][0]) == ROWS for index in self._alike)

    def arguments(self, columns: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """Return the parameters."""
        before, after = (
            [constant if index is None else columns[index][0] for index, constant in others]
            for others in (self._before, self._after)
        )
        rows = zip(*(columns[index] for index in self._differing), strict=True)
        return (*before, *chain.from_iterable(rows), *after)


def _is_in_memory(url: URL) -> bool:
    names = (None, "", ":memory:", "file:", "file::memory:")
    return url.database in names or url.query.get("mode") == "memory"


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


def _set_up(connection: Any, record: Any) -> None:
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
