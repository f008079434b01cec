"""Statements that are compiled once and executed with many rows of plain values.

SQLAlchemy makes a dictionary and looks at every value of every row; for rows of integers and text that costs more than the
database does. Here rows are tuples that go to the driver as they are; and where the database takes arrays, all rows are one
statement.
"""

from __future__ import annotations

from operator import itemgetter

from sqlalchemy import ARRAY, BigInteger, Insert, Integer, Text, bindparam, column, func, insert, select

from .capabilities import takes_arrays

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, CursorResult, Dialect, Table, UpdateBase


class Values:
    """The values of a row inside a statement, by name: parameters, or the columns of a set of rows.

    :ivar is_set: whether the statement is executed once for all rows; it may return something then
    """

    def __init__(self, columns: Mapping[str, ColumnElement[Any]] | None = None) -> None:
        self._columns = columns
        self.is_set = columns is not None

    def __call__(self, name: str) -> ColumnElement[Any]:
        """Return the value of that name."""
        return bindparam(name) if self._columns is None else self._columns[name]

    def inserted(self, table: Table, **values: ColumnElement[Any]) -> Insert:
        """Return the statement that inserts these values."""
        if self._columns is None:
            return insert(table).values(values)
        return insert(table).from_select(list(values), select(*values.values()))


class Prepared:
    """An INSERT, UPDATE or DELETE for many rows.

    :param make: makes the statement with the values that it is given
    :param names: the names of the values, in the order in which rows give them
    """

    def __init__(self, make: Callable[[Values], UpdateBase], *names: str) -> None:
        self._make = make
        self._names = names
        self._statement = make(Values())
        self._sql: str | None = None
        self._constants: tuple[Any, ...] = ()
        #: brings a row into the driver's order; None if it has that order, or the driver takes names
        self._arrange: Callable[[tuple[Any, ...]], Any] | None = None
        #: the constants of the one statement for all rows; None where there is none
        self._of_set: dict[str, Any] | None = None
        self._compiled = False

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for each row; return how many rows of the table it met, -1 if nobody knows."""
        result = self.execute(conn, rows)
        known = self._of_set is not None or len(rows) == 1 or conn.dialect.supports_sane_multi_rowcount
        return result.rowcount if known else -1

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for each row; return what SQLAlchemy returns."""
        if not self._compiled:
            self._compile(conn)
        if self._sql is None:
            return conn.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])
        if self._of_set is not None:
            lists = dict(zip(self._names, map(list, zip(*rows, strict=True)), strict=True))
            return conn.exec_driver_sql(self._sql, self._of_set | lists)
        arrange, constants = self._arrange, self._constants
        if arrange is not None:
            rows = [arrange(row + constants) for row in rows] if constants else list(map(arrange, rows))
        return conn.exec_driver_sql(self._sql, list(rows))

    def _compile(self, conn: Connection) -> None:
        compiled: Any = self._statement.compile(dialect=conn.dialect, column_keys=None)
        if conn.get_execution_options().get("schema_translate_map"):
            pass  # translated each time
        elif takes_arrays(conn.dialect):
            self._compile_set(conn.dialect, compiled)
        elif not compiled._bind_processors and compiled.positiontup is not None:
            given = {name: index for index, name in enumerate(self._names)}
            constants = [name for name in compiled.positiontup if name not in given]
            given |= {name: len(self._names) + index for index, name in enumerate(constants)}
            self._constants = tuple(compiled.params[name] for name in constants)
            order = [given[name] for name in compiled.positiontup]
            if order != list(range(len(self._names))):
                self._arrange = itemgetter(*order)
            self._sql = str(compiled)
        self._compiled = True

    def _compile_set(self, dialect: Dialect, single: Any) -> None:
        types: dict[str, Any] = {
            name: BigInteger() if isinstance(single.binds[name].type, Integer) else Text()
            for name in self._names
        }
        arrays = [bindparam(name, type_=ARRAY(types[name])) for name in self._names]
        rows = func.unnest(*arrays).table_valued(*(column(name, types[name]) for name in self._names))
        values = Values({column.name: column for column in rows.alias("given").render_derived().c})
        compiled: Any = self._make(values).compile(dialect=dialect)
        self._of_set = {name: value for name, value in compiled.params.items() if name not in types}
        self._sql = str(compiled)
