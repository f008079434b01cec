"""The port: what databases do differently, and the default of each of these things.

The rest of the store asks these questions and never for the name of a database. Knows no table of the store.
"""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy import bindparam, false

from .statements import for_each_row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any, Protocol

    from sqlalchemy import Column, ColumnElement, Connection, Dialect, Engine, FromClause, Table, TextClause
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import DBAPIError

    from .sqlite_files import OpenFiles
    from .sqlite_forks import ForkGate
    from .statements import Statement, Template

    class Channel(Protocol):
        """A connection that gets the notifications on a channel of the database; a selector can wait for them."""

        def fileno(self) -> int:
            """Return the file descriptor for a selector."""

        def payloads(self) -> list[str]:
            """Return the payloads that came since the last call, without waiting."""

        def check(self) -> None:
            """Raise if the connection is cut."""

        def close(self) -> None:
            """Close the connection."""


#: How many keys one statement names; every database takes more.
BATCH = 500
#: The longest name (characters) that is in the index of names; every database that has one takes that.
KEYED = 191
#: How long a connection may take to come about, and how long an answer may take, in seconds.
CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
#: How long processes wait for another one that makes or migrates the tables, in seconds.
SCHEMA_TIMEOUT = 60


class Database:
    """One kind of database with one driver; this class has the defaults, for databases of which nothing is known.

    :param dialect: SQLAlchemy's dialect of an engine or a connection
    :cvar default_driver: the driver for URLs that name none, and its module; SQLAlchemy chooses if that is None, or not installed
    :cvar extra: the extra of this distribution that brings the driver
    :cvar table_options: options for all tables
    :cvar long_text: the declaration of a column for texts of any length; None: SQLAlchemy's
    :cvar wide_integers: whether columns of integers have always taken 64 bits
    :cvar one_writer: whether only one connection can write at a time, so that threads have to queue in the process
    :cvar gate: what keeps forks away from transactions, where the database is a part of this process
    :cvar locks_rows: whether a transaction locks the rows that it writes, and not all of the database
    :cvar transactional_ddl: whether tables are created all or not at all
    :cvar keeps_any_type: whether a column keeps values of other types than its own
    :cvar partial_indexes: whether an index can leave out the rows that a condition is not true of, and the rest costs them nothing
    :cvar clock: selects the server's time as an instant; None if the database has no clock of its own
    :cvar notify: sends ``:payload`` to all listeners of the channel ``:channel`` after the commit; None without push
    :ivar can_listen: whether connections of the driver can wait for notifications
    :ivar takes_arrays: whether one statement can have arrays of values as its parameters, and use them as a set of rows
    """

    default_driver: tuple[str, str] | None = None
    extra = "sql"
    table_options: Mapping[str, Any] = {}
    long_text: str | None = None
    wide_integers = False
    one_writer = False
    gate: ForkGate | None = None
    locks_rows = True
    transactional_ddl = True
    keeps_any_type = False
    partial_indexes = False
    clock: TextClause | None = None
    notify: TextClause | None = None
    can_listen = False
    takes_arrays = False

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect

    def is_that_of(self, dialect: Dialect) -> bool:
        """Whether a dialect is one of the same kind of database, with whatever driver."""
        return dialect.name == self.dialect.name

    # -- engines and connections ---------------------------------------------------------------------------------

    @classmethod
    def engine_options(cls, url: URL) -> dict[str, Any]:
        """Return options for create_engine()."""
        return {}

    def prepare(self, engine: Engine) -> None:
        """Set up an engine that the store made itself."""

    def for_steps(self, engine: Engine) -> Engine:
        """Return the engine whose connections the store's transactions need; applications may use ``engine`` itself."""
        return engine

    def is_of_one_thread(self, engine: Engine) -> bool:
        """Whether each connection of an engine leads to a database of its own, so that other threads find nothing there."""
        return False

    def open_files(self, engine: Engine) -> OpenFiles | None:
        """Return an object that tells whether connections have the right file open; None if the database is no file."""
        return None

    def warm_up(self, conn: Connection) -> None:
        """Make the first transactions as fast as the later ones, on an engine of the store's own."""

    def time_of(self, conn: Connection) -> int | None:
        """Return the server's time as an instant, None if there is no such clock."""
        return None if self.clock is None else int(conn.execute(self.clock).scalar_one())

    # -- transactions --------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        """Open a transaction that is going to write; give the connection to use in it.

        :param foreign: whether the application chose how its connections begin transactions
        :param patient: whether to wait for rows that somebody else holds, if the database has such
        """
        with (atomic(conn) if foreign else conn).begin():
            yield conn

    def commit_lazily(self, conn: Connection) -> None:
        """Have a transaction that is under way not wait for the disk at its commit: what it does is done again if that is lost."""

    def write_back(self, conn: Connection) -> bool:
        """Bring what was committed into the file itself, if a commit would do so now and then; return whether it was tried.

        Called on a connection without a transaction.
        """
        return False

    def commits_by_itself(self, kept: bool) -> bool:
        """Whether a single statement is worth a connection on which each statement is committed by itself.

        :param kept: whether the connection stays as it is, and need not be set back
        """
        return False

    @contextmanager
    def waiting_shortly(self, conn: Connection) -> Iterator[None]:
        """Have a connection wait only a moment, while it is known that somebody keeps the database locked."""
        yield

    @contextmanager
    def alone(self, conn: Connection, name: str) -> Iterator[None]:
        """Keep out other processes that ask with the same name, inside a transaction."""
        yield

    # -- errors --------------------------------------------------------------------------------------------------

    def is_transient(self, exc: DBAPIError) -> bool:
        """Whether a transaction lost against another one (a deadlock, or not serializable), so that it is worth repeating."""
        return False

    def is_held(self, exc: DBAPIError) -> bool:
        """Whether another transaction has held a row for longer than this one waits."""
        return False

    def is_locked(self, exc: BaseException) -> bool:
        """Whether another connection has held the lock of the whole database for longer than this one waits."""
        return False

    def may_wait_again(self, engine: Engine, waits: int, address: str) -> bool:
        """Whether to wait for the lock of the whole database once more; it may say so in the log.

        :param waits: how often it was waited for already
        :param address: the database, to be named
        """
        return False

    def is_without_tables(self, exc: DBAPIError) -> bool:
        """Whether a statement failed because a table is not there."""
        return False

    def refuses_value(self, exc: DBAPIError) -> bool:
        """Whether the server refused a value, where the driver does not say so by the class of its error."""
        return False

    def is_undecodable(self, exc: DBAPIError) -> bool:
        """Whether the driver could not decode the bytes of a text."""
        return False

    def make_readable(self, conn: Connection, tables: Iterable[Table]) -> None:
        """Change texts that the driver cannot decode, so that it can read them, inside a transaction; nothing is lost."""

    def is_too_long(self, exc: BaseException) -> bool:
        """Whether the server took a statement for too long, where the driver does not say so by a ``DataError``."""
        return False

    def why_unavailable(self, engine: Engine, exc: BaseException) -> str:
        """Return the cause of an error that made the database unavailable, and a remedy, as the end of its message."""
        return ""

    def remedy_for(self, exc: DBAPIError) -> str:
        """Return the remedy for a statement that was refused, as the end of the message."""
        return ""

    # -- statements ----------------------------------------------------------------------------------------------

    @property
    def counts_executions(self) -> bool:
        """Whether the driver counts the rows that a statement met in several executions; known after the first connection."""
        return self.dialect.supports_sane_multi_rowcount

    @property
    def counts_sets(self) -> bool:
        """Whether an UPDATE for several rows says how many rows it met."""
        return self.counts_executions

    def statement(self, template: Template) -> Statement:
        """Return a template's statement as the driver takes it for many rows."""
        return for_each_row(template, self.dialect, self.counts_executions)

    def is_one_of(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that a column has one of the texts that are given as parameter ``ids``."""
        return column.in_(bindparam("ids", expanding=True))

    def in_parameters(self, texts: Sequence[Any]) -> Iterator[Any]:
        """Cut texts into values of the parameter of :meth:`is_one_of`, one for each statement."""
        for start in range(0, len(texts), BATCH):
            yield texts[start : start + BATCH]

    def given(self, *names: str) -> FromClause | None:
        """Return a set of rows that is given by arrays; None if statements take none.

        :param names: of the arrays, which are parameters, and of the columns; ``time`` has integers, the others have texts
        """
        return None

    @contextmanager
    def pipelined(self, conn: Connection) -> Iterator[None]:
        """Send statements without waiting for the answers to earlier ones, where the driver can; they count no rows.

        :raises DBAPIError: what went wrong with a statement: raised by a later one, or at the end
        """
        yield

    # -- tables --------------------------------------------------------------------------------------------------

    def exact_text(self, length: int | None) -> str | None:
        """Return the declaration of a column whose texts are compared byte by byte; None: SQLAlchemy's."""
        return None

    def only_where(self, condition: str) -> dict[str, Any]:
        """Return the options of an index over the rows of which a condition is true; over all rows where there is no such thing."""
        return {}

    def beginning_of(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what an index has of a column of long texts."""
        return column

    def by_name(self, table: str, name: Column[Any], ref: Column[Any]) -> list[Any]:
        """Return the indexes of jobs by their names, and by the beginnings of their callables, with the columns that these need.

        :param table: the name of the table
        """
        return []

    def name_key(self, columns: Any) -> ColumnElement[Any] | None:
        """Return what the index of names has of the columns of jobs, as it is compared by code points; None: there is no index.

        That is NULL for names of more than :data:`KEYED` characters.
        """
        return None

    def begins(self, ref: ColumnElement[Any], beginning: str) -> ColumnElement[bool] | None:
        """Return a condition that an index answers, true of all callables that begin so, and maybe of others; None: no index."""
        return None

    def exact(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a column of long texts as it is compared character by character, by their code points."""
        return column

    def widened(self, declared: str, name: str, type_name: str) -> str:
        """Return the end of the ALTER TABLE statement that makes a column one of 64 bits.

        :param declared: the column as CREATE TABLE has it
        :param name: its quoted name
        :param type_name: its type
        """
        return f"ALTER COLUMN {name} SET DATA TYPE {type_name}"

    def is_no_text(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column that keeps any type has something else than a text."""
        return false()

    def is_no_number(self, column: Any) -> ColumnElement[bool]:
        """Return the condition that a column that keeps any type has something else than a whole number."""
        return false()

    # -- wake-ups ------------------------------------------------------------------------------------------------

    def listen(self, engine: Engine, channel: str) -> Channel | None:
        """Return a connection that gets the notifications of :attr:`notify` on a channel; None where they do not come through.

        :param channel: an identifier in lower case
        """
        return None


def atomic(conn: Connection) -> Connection:
    """Return a connection of the application's engine with transactions, also if the engine commits each statement by itself."""
    raw: Any = conn.connection.dbapi_connection
    mode = getattr(raw, "autocommit", None)
    if callable(mode):  # it sets it
        mode = raw.get_autocommit() if hasattr(raw, "get_autocommit") else None
    return conn.execution_options(isolation_level=conn.default_isolation_level) if mode is True else conn
