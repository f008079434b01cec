"""Statements as a driver takes them, compiled once and executed with many rows of plain values.

A database that can do better than one execution for each row has a class for that in its own module. Knows no table.
"""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter

from sqlalchemy import Insert, and_, bindparam, insert, select

from ..direct import execute_directly

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, CursorResult, Dialect, Table, UpdateBase


def starting_with(column: ColumnElement[Any], beginning: str) -> ColumnElement[bool]:
    """Return the condition that a text begins so, as the range of an index that compares by code points."""
    from ....core.queries import end_of_beginning  # import time

    end = end_of_beginning(beginning)
    return column >= beginning if end is None else and_(column >= beginning, column < end)


class Values:
    """The values of a row inside a statement, by name: parameters, or the columns of a set of rows.

    :param columns: the columns of the set; a value without one is a parameter
    :param types: the types of the values, where the database does not find them by itself
    :ivar returns: whether the statement is executed once for all rows, so that it may return rows
    """

    def __init__(
        self,
        columns: Mapping[str, ColumnElement[Any]] | None = None,
        types: Mapping[str, Any] | None = None,
        returns: bool = False,
    ) -> None:
        self._columns = columns
        self._types = types or {}
        self.returns = returns

    def __call__(self, name: str) -> ColumnElement[Any]:
        """Return the value of that name."""
        column = None if self._columns is None else self._columns.get(name)
        return bindparam(name, type_=self._types.get(name)) if column is None else column

    def inserted(self, table: Table, **values: ColumnElement[Any]) -> Insert:
        """Return the statement that inserts these values."""
        if self._columns is None:
            return insert(table).values(values)
        return insert(table).from_select(list(values), select(*values.values()))


class Template:
    """An INSERT, UPDATE or DELETE for many rows, from which each database makes its own statement.

    :param make: makes the statement with the values that it is given
    :param names: the names of the values, in the order in which rows give them; no two rows may meet the same row of the table
    :param writes_out: whether to write out sets of rows, where the database can: not for rows of many long texts, which cost more
        that way (SQLite), nor if the order of assignments matters, as an UPDATE that is joined with a set has none (MySQL)
    :param alike: the names of values that are usually the same in all rows; where sets of rows are written out, such values are
        given once (that saves SQLite a seventh of the work for a run)
    """

    def __init__(
        self,
        make: Callable[[Values], UpdateBase],
        *names: str,
        writes_out: bool = True,
        alike: tuple[str, ...] = (),
    ) -> None:
        self.make = make
        self.names = names
        self.writes_out = writes_out
        self.alike = alike
        #: what each driver has made of it: an application's own connections may have another one
        self.statements: dict[tuple[Any, ...], Statement] = {}

    @cached_property
    def statement(self) -> UpdateBase:
        """The statement for one row whose values are parameters; most stores never need most of theirs."""
        return self.make(Values())


class Statement:
    """A statement that is executed once for each row.

    :param sql: its text
    :param order: for each parameter its index in the row, constants last
    :param constants: values that are not in the rows
    :param counts: whether the driver counts the rows of the table that were met in several executions
    """

    def __init__(
        self, sql: str, order: Sequence[int] = (), constants: tuple[Any, ...] = (), counts: bool = True
    ) -> None:
        self._sql = sql
        self._constants = constants
        self._counts = counts
        in_order = not constants and list(order) == list(range(len(order)))
        self._arrange = None if in_order else itemgetter(*order)

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for these rows; return how many rows of the table it met, -1 if nobody knows."""
        met = execute_directly(conn, *self.arguments(rows))
        return met if self._counts or len(rows) == 1 else -1

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for these rows; return what SQLAlchemy returns."""
        return conn.exec_driver_sql(*self.arguments(rows))

    def arguments(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for these rows, and its parameters."""
        arrange, constants = self._arrange, self._constants
        if arrange is None:
            return self._sql, list(rows)
        if constants:
            return self._sql, [arrange(row + constants) for row in rows]
        return self._sql, list(map(arrange, rows))


class ConvertedStatement(Statement):
    """A statement that SQLAlchemy executes, as values have to be converted, or table names translated."""

    def __init__(self, template: Template, counts: bool) -> None:
        super().__init__("", counts=counts)
        self._template = template

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for these rows; return how many rows of the table it met, -1 if nobody knows."""
        met = self.execute(conn, rows).rowcount
        return met if self._counts or len(rows) == 1 else -1

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for these rows; return what SQLAlchemy returns."""
        names = self._template.names
        return conn.execute(self._template.statement, [dict(zip(names, row, strict=True)) for row in rows])


def for_each_row(template: Template, dialect: Dialect, counts: bool) -> Statement:
    """Return the statement that is executed once for each row.

    :param counts: whether the driver counts the rows of the table that were met in several executions
    """
    compiled: Any = template.statement.compile(dialect=dialect, column_keys=None)
    if compiled._bind_processors or compiled.positiontup is None:
        return ConvertedStatement(template, counts)
    given = {name: index for index, name in enumerate(template.names)}
    constants = [name for name in compiled.positiontup if name not in given]
    given |= {name: len(template.names) + index for index, name in enumerate(constants)}
    order = [given[name] for name in compiled.positiontup]
    return Statement(str(compiled), order, tuple(compiled.params[name] for name in constants), counts)
