"""What PostgreSQL does differently: sets of rows as arrays, transactions that begin with a setting, notifications, poolers.

Most of it is for psycopg 3; other drivers get what SQLAlchemy makes of the statements. Knows no table of the store.
"""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from operator import itemgetter

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Index,
    Integer,
    Text,
    bindparam,
    cast,
    column,
    event,
    func,
    literal_column,
    select,
    text,
)

from ..direct import is_watched, translated
from .base import CONNECT_TIMEOUT, KEYED, Database, atomic
from .statements import Statement, Values, starting_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from sqlalchemy import Column, ColumnElement, Connection, Dialect, Engine, FromClause, TableValuedAlias
    from sqlalchemy.engine import URL
    from sqlalchemy.exc import DBAPIError

    from .statements import Template

#: How long a step of the scheduler waits for a row that somebody else holds, in milliseconds.
LOCK_TIMEOUT = 250
#: From so many rows on, values that are the same in all of them are given once.
ROWS = 64
#: How many statements are kept for such sets.
SHORTER = 16
#: The server's errors where a prepared statement does not exist, or exists already: a pooler changes the connections behind it.
_UNPREPARED = ("26000", "42P05")


class PostgreSQL(Database):
    """PostgreSQL."""

    default_driver = ("psycopg", "psycopg")
    extra = "postgresql"
    # Each row is soon written once more, and finds room on its page: that saves a sixth of the time of due jobs.
    table_options = {"postgresql_with": {"fillfactor": 50}}
    clock = text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)")
    partial_indexes = True
    notify = text("SELECT pg_notify(:channel, :payload)")

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.takes_arrays = self.can_listen = dialect.driver == "psycopg"

    # -- engines and connections ---------------------------------------------------------------------------------

    @classmethod
    def engine_options(cls, url: URL) -> dict[str, Any]:
        """Return options for create_engine()."""
        if url.get_driver_name() not in ("psycopg", "psycopg2"):
            return {}
        # A server that has vanished without a word is noticed within half a minute.
        alive = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
        options: dict[str, Any] = {
            "connect_args": {"connect_timeout": CONNECT_TIMEOUT, "tcp_user_timeout": 30_000, **alive},
        }
        return options

    def prepare(self, engine: Engine) -> None:
        """Have connections through a pooler prepare no statements."""
        if self.takes_arrays:
            event.listen(engine, "connect", _keep_poolers_in_mind)

    def for_steps(self, engine: Engine) -> Engine:
        """Return the engine whose connections the store's transactions need."""
        # Reading needs no transaction then, and BEGIN and the setting of a transaction are one round trip.
        return engine.execution_options(isolation_level="AUTOCOMMIT") if self.takes_arrays else engine

    # -- transactions --------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self, conn: Connection, foreign: bool, patient: bool = True) -> Iterator[Connection]:
        """Open a transaction that is going to write; give the connection to use in it."""
        # For this transaction only: behind a pooler, the session may be another client's afterwards.
        limit = "" if patient else f"SET LOCAL lock_timeout = {LOCK_TIMEOUT}"
        with (atomic(conn) if foreign else conn).begin():
            if self.takes_arrays and not foreign:
                _begin(conn, limit)
            elif limit:
                conn.exec_driver_sql(limit)
            yield conn

    def commit_lazily(self, conn: Connection) -> None:
        """Have a transaction that is under way not wait for the disk at its commit."""
        conn.exec_driver_sql("SET LOCAL synchronous_commit = off")

    def commits_by_itself(self, kept: bool) -> bool:
        """Whether a single statement is worth a connection on which each statement is committed by itself."""
        return self.takes_arrays  # the mode is an attribute

    @contextmanager
    def alone(self, conn: Connection, name: str) -> Iterator[None]:
        """Keep out other processes that ask with the same name, until the transaction is over."""
        conn.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": name})
        yield

    # -- errors --------------------------------------------------------------------------------------------------

    def is_transient(self, exc: DBAPIError) -> bool:
        """Whether a transaction lost against another one."""
        return _state(exc) in ("40001", "40P01")

    def is_held(self, exc: DBAPIError) -> bool:
        """Whether another transaction has held a row for longer than this one waits."""
        return _state(exc) == "55P03" or getattr(exc.orig, "pgcode", None) == "55P03"

    def is_without_tables(self, exc: DBAPIError) -> bool:
        """Whether a statement failed because a table is not there."""
        return _state(exc) in ("42P01", "3F000")  # undefined table, undefined schema

    def refuses_value(self, exc: DBAPIError) -> bool:
        """Whether the server refused a value."""
        # Numbers and texts that do not fit; constraints; errors raised by triggers.
        state = _state(exc) or ""
        return state[:2] in ("22", "23") or state == "P0001"

    def remedy_for(self, exc: DBAPIError) -> str:
        """Return the remedy for a statement that was refused."""
        if _state(exc) not in _UNPREPARED:
            return ""
        return "; behind a pooler such as PgBouncer, make the engine with connect_args={'prepare_threshold': None}"

    # -- statements ----------------------------------------------------------------------------------------------

    @property
    def counts_executions(self) -> bool:
        """Whether the driver counts the rows that a statement met in several executions."""
        return self.takes_arrays or super().counts_executions

    def statement(self, template: Template) -> Statement:
        """Return a template's statement as the driver takes it for many rows."""
        if not self.takes_arrays:
            return super().statement(template)
        compiled = template.statement.compile(dialect=self.dialect, column_keys=None)
        return self._with_arrays(template, compiled)

    def _with_arrays(self, template: Template, single: Any, once: Collection[str] = ()) -> ArrayStatement:
        """Return the statement that takes arrays.

        :param single: the compiled statement for one row
        :param once: the names of the values that are the same in all rows, and given once
        """
        several = [name for name in template.names if name not in once]
        types: dict[str, Any] = {
            name: BigInteger() if isinstance(single.binds[name].type, Integer) else Text()
            for name in template.names
        }
        columns = _unnested({name: types[name] for name in several}).c
        values = Values({column.name: column for column in columns}, types, returns=True)
        compiled: Any = template.make(values).compile(dialect=self.dialect)
        constants = {name: value for name, value in compiled.params.items() if name not in types}
        numbers = {name for name in several if isinstance(types[name], BigInteger)}
        statement = ArrayStatement(str(compiled), template.names, numbers, once, constants)
        if not once:
            statement.with_once = partial(self._with_arrays, template, single)
            if not compiled.effective_returning:
                # Planning a set costs the server more than a row does.
                others = {name: value for name, value in single.params.items() if name not in types}
                statement.single = str(single), others
        return statement

    def is_one_of(self, column: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return the condition that a column has one of the texts that are given as parameter ``ids``."""
        if not self.takes_arrays:
            return super().is_one_of(column)
        return column.in_(select(func.unnest(cast(bindparam("ids", type_=Text()), ARRAY(Text())))))

    def in_parameters(self, texts: Sequence[Any]) -> Iterator[Any]:
        """Return texts as values of the parameter of :meth:`is_one_of`, one for each statement."""
        if not self.takes_arrays:
            return super().in_parameters(texts)
        return iter((array_literal(texts),))

    def given(self, *names: str) -> FromClause | None:
        """Return a set of rows from arrays that are parameters."""
        if not self.takes_arrays:
            return None
        types = {name: BigInteger() if name == "time" else Text() for name in names}
        return _unnested(types)

    @contextmanager
    def pipelined(self, conn: Connection) -> Iterator[None]:
        """Send statements without waiting for the answers to earlier ones, where the driver can."""
        plain: Any = conn.connection.driver_connection
        pipeline = getattr(conn.dialect.loaded_dbapi, "Pipeline", None)
        if pipeline is None or not pipeline.is_supported() or is_watched(conn):
            yield
            return
        try:
            with plain.pipeline():
                yield
        except conn.dialect.loaded_dbapi.Error as exc:
            raise translated(conn, exc) from exc

    # -- tables --------------------------------------------------------------------------------------------------

    def only_where(self, condition: str) -> dict[str, Any]:
        """Return the options of an index over the rows of which a condition is true."""
        return {"postgresql_where": text(condition)}

    def beginning_of(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return what an index has of a column of long texts: an entry may not be longer than a third of a page."""
        return func.substr(column, literal_column("1"), literal_column("100"))

    def by_name(self, table: str, name: Column[Any], ref: Column[Any]) -> list[Any]:
        """Return the indexes of jobs by names that are not too long, and by the beginnings of their callables."""
        return [
            Index(f"ix_{table}_name", self.name_key(None), "id"),
            Index(f"ix_{table}_func", self._beginning(ref)),
        ]

    def name_key(self, columns: Any) -> ColumnElement[Any]:
        """Return what the index of names has: of an entry that is too long the server takes none."""
        key = f'(CASE WHEN char_length(name) <= {KEYED} THEN name COLLATE "C" END)'
        return literal_column(key, Text())

    def begins(self, ref: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
        """Return a condition that is true of all callables that begin so."""
        return starting_with(self._beginning(ref), beginning[:100])

    def _beginning(self, ref: ColumnElement[Any]) -> ColumnElement[Any]:
        return self.beginning_of(self.exact(ref))

    def exact_text(self, length: int | None) -> str | None:
        """Return the declaration of a column whose texts are compared byte by byte."""
        return f'VARCHAR({length}) COLLATE "C"'

    def exact(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a column of long texts as it is compared by code points."""
        return column.collate("C")

    # -- wake-ups ------------------------------------------------------------------------------------------------

    def listen(self, engine: Engine, channel: str) -> Notifications | None:
        """Return a connection that gets the notifications on a channel; None behind a pooler, which does not pass them on."""
        pooled = engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        try:
            connection.rollback()
            connection.autocommit = True
            if _is_behind_pooler(connection):
                connection.close()
                return None
            connection.execute(f"LISTEN {channel}")
        except BaseException:
            connection.close()
            raise
        return Notifications(connection)


class Notifications:
    """A connection of psycopg that listens to a channel."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.fileno: Callable[[], int] = connection.fileno
        self.close: Callable[[], None] = connection.close

    def payloads(self) -> list[str]:
        """Return the payloads that came since the last call, without waiting."""
        return [note.payload for note in self._connection.notifies(timeout=0)]

    def check(self) -> None:
        """Raise if the connection is cut."""
        self._connection.execute("SELECT 1")


class ArrayStatement(Statement):
    """A statement that takes all rows at once, as an array for each column.

    :param numbers: the names of the values that are integers; the others are text
    :param once: the names of the values that are the same in all rows, and given once
    :param constants: values that are not in the rows, by name
    """

    #: makes the statement for rows that have the values of these names in common
    with_once: Callable[[Collection[str]], ArrayStatement] | None = None
    #: the statement for a single row, and its values that are not in the row
    single: tuple[str, dict[str, Any]] | None = None

    def __init__(
        self,
        sql: str,
        names: Sequence[str],
        numbers: Collection[str],
        once: Collection[str],
        constants: dict[str, Any],
    ) -> None:
        super().__init__(sql)
        self._names = names
        self._literals = [
            itemgetter(0) if name in once else _array_of_numbers if name in numbers else array_literal
            for name in names
        ]
        self._others = constants
        self._shorter: dict[tuple[str, ...], ArrayStatement] = {}

    def arguments(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for these rows, and its parameters."""
        if len(rows) == 1 and self.single is not None:
            sql, others = self.single
            return sql, dict(zip(self._names, rows[0], strict=True)) | others
        columns = list(zip(*rows, strict=True))
        statement = self if len(rows) < ROWS else self._for_common(columns)
        return statement.of_columns(columns)

    def _for_common(self, columns: Sequence[tuple[Any, ...]]) -> ArrayStatement:
        """Return the statement to which the values are given once that are the same in all rows."""
        if self.with_once is None:
            return self
        named = zip(self._names, columns, strict=True)
        once = tuple(name for name, values in named if values.count(values[0]) == len(values))
        statement = self._shorter.get(once)
        if statement is None:
            if not once or len(self._shorter) == SHORTER:
                return self
            statement = self._shorter[once] = self.with_once(once)
        return statement

    def of_columns(self, columns: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for rows that are given by column, and its parameters."""
        named = zip(self._names, self._literals, columns, strict=True)
        return self._sql, {name: literal(values) for name, literal, values in named} | self._others


def array_literal(values: Sequence[str | None]) -> str:
    """Return texts as PostgreSQL writes an array of them; the driver would look at each of them by itself.

    :param values: texts without NUL characters (PostgreSQL keeps none), or None
    """
    if None in values:
        return "{" + ",".join("NULL" if value is None else f'"{_escaped(value)}"' for value in values) + "}"
    return '{"' + _escaped("\0".join(values)).replace("\0", '","') + '"}'  # type: ignore[arg-type]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _array_of_numbers(values: Sequence[int | None]) -> str:
    text = ",".join(map(str, values))
    return "{" + (text.replace("None", "NULL") if None in values else text) + "}"


def _unnested(types: Mapping[str, Any]) -> TableValuedAlias:
    """Return the set of rows that is made of arrays, which are parameters.

    :param types: the types of the values, by the names of the parameters and columns
    """
    arrays = [bindparam(name, type_=ARRAY(type)) for name, type in types.items()]
    rows = func.unnest(*arrays).table_valued(*(column(name, type) for name, type in types.items()))
    return rows.alias("given").render_derived()


def _state(exc: DBAPIError) -> str | None:
    """Return the SQLSTATE of an error, None if the driver does not say it."""
    return getattr(exc.orig, "sqlstate", None)


def _begin(conn: Connection, more: str) -> None:
    """Begin a transaction on a connection in autocommit mode and say more in it, both in one round trip (psycopg).

    :raises DBAPIError: what the driver raised, as SQLAlchemy has it
    """
    if is_watched(conn):
        conn.exec_driver_sql("BEGIN")
        if more:
            conn.exec_driver_sql(more)
        return
    plain: Any = conn.connection.driver_connection
    try:
        # Prepared, it could not be two statements.
        plain.execute(f"BEGIN; {more}", prepare=False)
    except conn.dialect.loaded_dbapi.Error as exc:
        raise translated(conn, exc) from exc


def _is_behind_pooler(connection: Any) -> bool:
    """Whether a psycopg connection leads to a pooler such as PgBouncer, which tells its clients another process id than the server.

    It begins a transaction.
    """
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    return bool(row[0] != connection.info.backend_pid)


def _keep_poolers_in_mind(connection: Any, record: Any) -> None:
    """Have the driver prepare no statements where the next transaction may be another connection's, which does not know them."""
    if _is_behind_pooler(connection):
        connection.prepare_threshold = None
    connection.rollback()
