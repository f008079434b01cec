"""Statements that are compiled once and executed with many rows of plain values.

SQLAlchemy makes a dictionary and looks at every value of every row; for rows of integers and text that costs more than the
database does. Here rows are tuples that go to the driver as they are; and where the database takes a set of rows, many rows are
one statement.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from operator import itemgetter

from sqlalchemy import ARRAY, BigInteger, Insert, Integer, Text, bindparam, column, func, insert, select, text

from .capabilities import exact_collation, takes_arrays, takes_unions, takes_values
from .schema import BATCH
from .straight import execute_straight

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from typing import Any

    from sqlalchemy import ColumnElement, Connection, CursorResult, Dialect, Table, UpdateBase


#: How many rows are one statement where a set of rows is written out (SQLite). Alone, a row costs as much for binding, stepping
#: and resetting its statement, and for giving the interpreter's lock away, as for itself: with 64 in one statement, the four
#: statements of a run take 15 µs instead of 27; with more it is no better.
ROWS = 64
#: How many characters the values of a statement have at the most where many rows are one (MySQL), unless a single row has more:
#: quoted and in four bytes each they are 2 MB, and the least that a server takes by default are 4.
LENGTH = 250_000
#: How many statements are kept for sets of ROWS or more that have values in common (PostgreSQL).
SHORTER = 16
#: Stands for the rows while a statement is compiled.
_MARK = "'rows'"


class Unexpected(Exception):
    """What a step took for granted is not so. Its transaction is to be rolled back, and the step repeated with care."""


class Met(Exception):
    """A record is within a range of times that a step records. Its transaction is to be rolled back, and the step repeated."""


class Values:
    """The values of a row inside a statement, by name: parameters, or the columns of a set of rows.

    :param columns: the columns of the set; what is not among them is a parameter
    :param types: the types of the values, where the database does not find them by itself
    :ivar returns: whether the statement is executed once for all rows, so that it may return something
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


class Prepared:
    """An INSERT, UPDATE or DELETE for many rows.

    :param make: makes the statement with the values that it is given
    :param names: the names of the values, in the order in which rows give them; no two rows may meet the same row of the table
    :param writes_out: False: where sets of rows are written out, do without: rows of many long texts cost more so (SQLite), and
        the assignments of an UPDATE that is joined with a set have no order (MySQL)
    :param alike: the names of values that are mostly the same in all rows; where sets of rows are written out, such values are
        given once (a seventh of SQLite's work for a run)
    """

    def __init__(
        self,
        make: Callable[[Values], UpdateBase],
        *names: str,
        writes_out: bool = True,
        alike: tuple[str, ...] = (),
    ) -> None:
        self._make = make
        self._names = names
        self._writes_out = writes_out
        self._alike = alike
        self._statement = make(Values())
        #: for each driver: an application's own connections may have another one
        self._forms: dict[tuple[str, str, str], Form] = {}

    def compile(self, dialect: Dialect) -> Form:
        """Return the statement as a driver takes it; to translate it takes two milliseconds, the first time."""
        key = (dialect.name, dialect.driver, dialect.paramstyle)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._form(dialect)
        return form

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for each row; return how many rows of the table it met, -1 if nobody knows."""
        dialect, form = conn.dialect, self._form_for(conn)
        met = 0
        if form.written_out:
            alone = len(rows) % ROWS
            for start in range(0, len(rows) - alone, ROWS):
                columns = list(zip(*rows[start : start + ROWS], strict=True))
                fitting = next(written for written in form.written_out if written.fits(columns))
                met += execute_straight(conn, fitting.sql, fitting.arranged(columns))
            if not alone:
                return met
            rows = rows[-alone:]
        elif form.union is not None:
            for some in _cut(rows):
                sql, values = form.union.arranged(some)
                met += execute_straight(conn, sql, values)
            return met
        if form.sql is None:
            count = self.execute(conn, rows).rowcount
        else:
            count = execute_straight(conn, *form.statement(rows))
        known = len(rows) == 1 or dialect.supports_sane_multi_rowcount or takes_arrays(dialect)
        return met + count if known else -1

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for each row; return what SQLAlchemy returns."""
        form = self._form_for(conn)
        if form.sql is None:
            return conn.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])
        return conn.exec_driver_sql(*form.statement(rows))

    def _form_for(self, conn: Connection) -> Form:
        if conn.get_execution_options().get("schema_translate_map"):
            return _TRANSLATED
        return self.compile(conn.dialect)

    def _form(self, dialect: Dialect) -> Form:
        compiled: Any = self._statement.compile(dialect=dialect, column_keys=None)
        if takes_arrays(dialect):
            return self._set_form(dialect, compiled)
        if takes_unions(dialect) and self._statement.is_update and self._writes_out:
            form = Form(None)
            form.union = self._union(dialect, compiled)
            return form
        if compiled._bind_processors or compiled.positiontup is None:
            return Form(None)
        given = {name: index for index, name in enumerate(self._names)}
        constants = [name for name in compiled.positiontup if name not in given]
        given |= {name: len(self._names) + index for index, name in enumerate(constants)}
        order = [given[name] for name in compiled.positiontup]
        form = Form(str(compiled), order, tuple(compiled.params[name] for name in constants))
        if self._writes_out and takes_values(dialect) and not self._statement.is_delete:
            form.written_out = [
                self._written_out(dialect, alike) for alike in sorted({self._alike, ()})[::-1]
            ]
        return form

    def _written_out(self, dialect: Dialect, alike: Sequence[str]) -> WrittenForm:
        """Return the statement for ROWS rows that are written out in it, and differ in other values than these."""
        differing = [name for name in self._names if name not in alike]
        names = [f"column{number}" for number in range(1, len(differing) + 1)]  # SQLite calls them so
        given = text(f"VALUES {_MARK}").columns(*map(column, names)).subquery("given")
        values = Values({name: given.c[column] for name, column in zip(differing, names, strict=True)})
        compiled: Any = self._make(values).compile(dialect=dialect, column_keys=None)
        before, after = str(compiled).split(_MARK)
        row = f"({', '.join('?' * len(names))})"
        index = {name: number for number, name in enumerate(self._names)}
        others = [(index.get(name), compiled.params.get(name)) for name in compiled.positiontup]
        return WrittenForm(
            f"{before}{', '.join([row] * ROWS)}{after}",
            [index[name] for name in differing],
            others[: before.count("?")],
            others[before.count("?") :],
        )

    def _union(self, dialect: Dialect, single: Any) -> UnionForm:
        """Return the statement that is joined with rows written out as SELECTs."""
        given = text(f"SELECT {_MARK}").columns(*map(column, self._names)).subquery("given")
        values = Values({name: given.c[name] for name in self._names})
        # A dialect of its own that counts parameters instead of naming them; both drivers take that.
        kind: Any = type(dialect)
        compiled: Any = self._make(values).compile(dialect=kind(paramstyle="format"))
        before, after = str(compiled).split(f"SELECT {_MARK}")
        # The rows first, each of which leads to one of the table: else all of a small table would be looked at, and locked, and
        # those that others hold would be waited for.
        table = compiled.preparer.format_table(self._statement.table)
        before = before.replace(f"UPDATE {table}, ", "UPDATE ", 1)
        after = after.replace(" AS given ", f" AS given STRAIGHT_JOIN {table} FORCE INDEX (PRIMARY) ", 1)
        constants = [compiled.params[name] for name in compiled.positiontup]
        exact = f"CONVERT(%s USING utf8mb4) COLLATE {exact_collation(dialect)}"
        columns = [
            f"{'%s' if isinstance(single.binds[name].type, Integer) else exact} AS {name}"
            for name in self._names
        ]
        return UnionForm(before, f"SELECT {', '.join(columns)}", after, constants)

    def _set_form(self, dialect: Dialect, single: Any, once: Collection[str] = ()) -> SetForm:
        """Return the statement that takes arrays, and what is given once as it is."""
        several = [name for name in self._names if name not in once]
        types: dict[str, Any] = {
            name: BigInteger() if isinstance(single.binds[name].type, Integer) else Text()
            for name in self._names
        }
        arrays = [bindparam(name, type_=ARRAY(types[name])) for name in several]
        rows = func.unnest(*arrays).table_valued(*(column(name, types[name]) for name in several))
        columns = rows.alias("given").render_derived().c
        values = Values({column.name: column for column in columns}, types, returns=True)
        compiled: Any = self._make(values).compile(dialect=dialect)
        constants = {name: value for name, value in compiled.params.items() if name not in types}
        numbers = {name for name in several if isinstance(types[name], BigInteger)}
        form = SetForm(str(compiled), self._names, numbers, once, constants)
        if not once:
            form.with_once = partial(self._set_form, dialect, single)
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
        #: the statements for ROWS rows, the special one first; none if the database takes no such set
        self.written_out: Sequence[WrittenForm] = ()
        #: what to take instead where the statement can be joined with SELECTs
        self.union: UnionForm | None = None
        self._constants = constants
        in_order = not constants and list(order) == list(range(len(order)))
        self._arrange = None if in_order else itemgetter(*order)

    def statement(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for these rows."""
        form = self.one if self.one is not None and len(rows) == 1 else self
        return form.sql or "", form.arranged(rows)

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the parameters for these rows."""
        arrange, constants = self._arrange, self._constants
        if arrange is None:
            return list(rows)
        return [arrange(row + constants) for row in rows] if constants else list(map(arrange, rows))


class WrittenForm:
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

    def arranged(self, columns: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        """Return the parameters."""
        before, after = (
            [constant if index is None else columns[index][0] for index, constant in others]
            for others in (self._before, self._after)
        )
        rows = zip(*(columns[index] for index in self._differing), strict=True)
        return (*before, *chain.from_iterable(rows), *after)


class UnionForm:
    """A statement that is joined with rows written out as SELECTs: for 128 rows a fifth of the time of 128 statements.

    :param before: its text before the rows
    :param first: the SELECT of the first row, which says the names and types of all
    :param after: its text behind the rows
    :param constants: the parameters of the text before the rows, then of that behind
    """

    def __init__(self, before: str, first: str, after: str, constants: Sequence[Any]) -> None:
        self._before = before
        self._first = first
        self._next = f" UNION ALL SELECT {', '.join(['%s'] * first.count('%s'))}"
        self._after = after
        number = before.count("%s")
        self._constants = constants[:number], constants[number:]

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, tuple[Any, ...]]:
        """Return the statement for these rows, and its parameters."""
        before, after = self._constants
        text = f"{self._before}{self._first}{self._next * (len(rows) - 1)}{self._after}"
        return text, (*before, *chain.from_iterable(rows), *after)


#: An application puts its tables elsewhere, so SQLAlchemy has to look at each statement.
_TRANSLATED = Form(None)


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

    :param numbers: the names of the values that are integers; the others are text
    :param once: the names of the values that are the same in all rows, and given once
    """

    #: makes the statement for rows that have the values of these names in common
    with_once: Callable[[Collection[str]], SetForm] | None = None

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
            itemgetter(0) if name in once else _of_numbers if name in numbers else array_literal
            for name in names
        ]
        self._others = constants
        self._shorter: dict[tuple[str, ...], SetForm] = {}

    def statement(self, rows: Sequence[tuple[Any, ...]]) -> tuple[str, Any]:
        """Return what the driver is to execute for these rows."""
        if len(rows) < ROWS or self.with_once is None:
            return super().statement(rows)
        columns = list(zip(*rows, strict=True))
        named = zip(self._names, columns, strict=True)
        once = tuple(name for name, values in named if values.count(values[0]) == len(rows))
        form = self._shorter.get(once)
        if form is None:
            if not once or len(self._shorter) == SHORTER:
                form = self
            else:
                form = self._shorter[once] = self.with_once(once)
        return form.sql or "", form.of_columns(columns)

    def arranged(self, rows: Sequence[tuple[Any, ...]]) -> Any:
        """Return the parameters for these rows."""
        return self.of_columns(list(zip(*rows, strict=True)))

    def of_columns(self, columns: Sequence[tuple[Any, ...]]) -> dict[str, Any]:
        """Return the parameters for rows, by column."""
        named = zip(self._names, self._literals, columns, strict=True)
        return {name: literal(values) for name, literal, values in named} | self._others


def _cut(rows: Sequence[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Cut rows into sets of BATCH at the most, and of LENGTH."""
    start = length = 0
    for index, row in enumerate(rows):
        own = sum(len(value) for value in row if type(value) is str)
        if index - start == BATCH or (start < index and length + own > LENGTH):
            yield rows[start:index]
            start, length = index, 0
        length += own
    yield rows[start:]


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
