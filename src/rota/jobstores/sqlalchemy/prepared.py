"""Statements that are compiled once and executed with many rows of plain values.

SQLAlchemy makes a dictionary and looks at every value of every row; for rows of integers and text that costs more than the
database does. Here rows are tuples that go to the driver as they are.
"""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from sqlalchemy import Connection, CursorResult, UpdateBase


class Prepared:
    """An INSERT, UPDATE or DELETE with named parameters.

    :param statement: the statement
    :param names: its parameters, in the order in which rows give their values
    """

    def __init__(self, statement: UpdateBase, *names: str) -> None:
        self._statement = statement
        self._names = names
        self._sql: str | None = None
        self._constants: tuple[Any, ...] = ()
        #: brings a row into the driver's order; None if it has that order, or the driver takes names
        self._arrange: Callable[[tuple[Any, ...]], Any] | None = None
        self._compiled = False

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for each row."""
        if not self._compiled:
            self._compile(conn)
        if self._sql is None:
            return conn.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])
        arrange, constants = self._arrange, self._constants
        if arrange is not None:
            rows = [arrange(row + constants) for row in rows] if constants else list(map(arrange, rows))
        return conn.exec_driver_sql(self._sql, list(rows))

    def _compile(self, conn: Connection) -> None:
        compiled: Any = self._statement.compile(dialect=conn.dialect, column_keys=None)
        translated = conn.get_execution_options().get("schema_translate_map")
        if not compiled._bind_processors and not translated and compiled.positiontup is not None:
            given = {name: index for index, name in enumerate(self._names)}
            constants = [name for name in compiled.positiontup if name not in given]
            given |= {name: len(self._names) + index for index, name in enumerate(constants)}
            self._constants = tuple(compiled.params[name] for name in constants)
            order = [given[name] for name in compiled.positiontup]
            if order != list(range(len(self._names))):
                self._arrange = itemgetter(*order)
            self._sql = str(compiled)
        self._compiled = True
