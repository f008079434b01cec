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
        #: for each driver: an application's own connections may have another one
        self._forms: dict[tuple[str, str, str], Form] = {}

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for each row; return how many rows of the table it met, -1 if nobody knows."""
        dialect = conn.dialect
        result = self.execute(conn, rows)
        known = len(rows) == 1 or dialect.supports_sane_multi_rowcount or takes_arrays(dialect)
        return result.rowcount if known else -1

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for each row; return what SQLAlchemy returns."""
        dialect = conn.dialect
        key = (dialect.name, dialect.driver, dialect.paramstyle)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._form(dialect)
        if form.sql is None or conn.get_execution_options().get("schema_translate_map"):
            return conn.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])
        if len(rows) == 1 and form.one is not None:
            form = form.one
        return conn.exec_driver_sql(form.sql or "", form.arranged(rows))

    def _form(self, dialect: Dialect) -> Form:
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=None)
        if takes_arrays(dialect):
            return self._set_form(dialect, compiled)
        if compiled._bind_processors or compiled.positiontup is None:
            return Form(None)
        given = {name: index for index, name in enumerate(self._names)}
        constants = [name for name in compiled.positiontup if name not in given]
        given |= {name: len(self._names) + index for index, name in enumerate(constants)}
        order = [given[name] for name in compiled.positiontup]
        return Form(str(compiled), order, tuple(compiled.params[name] for name in constants))

    def _set_form(self, dialect: Dialect, single: Any) -> Form:
        types: dict[str, Any] = {
            name: BigInteger() if isinstance(single.binds[name].type, Integer) else Text()
            for name in self._names
        }
        arrays = [bindparam(name, type_=ARRAY(types[name])) for name in self._names]
        rows = func.unnest(*arrays).table_valued(*(column(name, types[name]) for name in self._names))
        values = Values({column.name: column for column in rows.alias("given").render_derived().c})
        compiled: Any = self._make(values).compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if name not in types}
        numbers = [isinstance(types[name], BigInteger) for name in self._names]
        form = SetForm(str(compiled), self._names, numbers, constants)
        if not compiled.effective_returning:
            # Planning a set costs the server more than a row does.
            others = {name: value for name, value in single.params.items() if name not in types}
            form.one = OneForm(str(single), self._names, others)
        return form


class Form:
    """A statement as a driver takes it, once for each row.

    :param sql: its text; None: SQLAlchemy has to convert each value
    :param order: for each parameter its index in the row, constants last
    :param constants: values that are not in the rows
    """

    def __init__(self, sql: str | None, order: Sequence[int] = (), constants: tuple[Any, ...] = ()) -> None:
        self.sql = sql
        #: what to take for a single row instead
        self.one: Form | None = None
        self._constants = constants
        self._arrange = None if list(order) == list(range(len(order))) else itemgetter(*order)

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the parameters for these rows."""
        arrange, constants = self._arrange, self._constants
        if arrange is None:
            return list(rows)
        return [arrange(row + constants) for row in rows] if constants else list(map(arrange, rows))


class OneForm(Form):
    """A statement for one row, by the names of its values."""

    def __init__(self, sql: str, names: Sequence[str], constants: dict[str, Any]) -> None:
        super().__init__(sql)
        self._names = names
        self._others = constants

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the parameters for the row."""
        return dict(zip(self._names, rows[0], strict=True)) | self._others


class SetForm(Form):
    """A statement that takes all rows at once, as an array for each column.

    :param numbers: for each name, whether its values are integers; else they are text
    """

    def __init__(
        self, sql: str, names: Sequence[str], numbers: Sequence[bool], constants: dict[str, Any]
    ) -> None:
        super().__init__(sql)
        self._names = names
        self._literals = [_of_numbers if number else array_literal for number in numbers]
        self._others = constants

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the parameters for these rows."""
        columns = zip(self._names, self._literals, zip(*rows, strict=True), strict=True)
        return {name: literal(values) for name, literal, values in columns} | self._others


def _of_numbers(values: Sequence[int | None]) -> str:
    text = ",".join(map(str, values))
    return "{" + (text.replace("None", "NULL") if None in values else text) + "}"


def array_literal(values: Sequence[str | None]) -> str:
    """Return texts as PostgreSQL writes an array of them; the driver would look at each of them by itself.

    :param values: texts without NUL characters (PostgreSQL keeps none), or None
    """
    if None in values:
        return "{" + ",".join("NULL" if value is None else f'"{_escaped(value)}"' for value in values) + "}"
    return '{"' + _escaped("\0".join(values)).replace("\0", '","') + '"}'  # type: ignore[arg-type]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
