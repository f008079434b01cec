"""Statements that are compiled once and executed with many rows of plain values.

SQLAlchemy makes a dictionary and looks at every value of every row; for rows of integers and text that costs more than the
database does. Here rows are tuples that go to the driver as they are; and where the database takes a set of rows, many rows are
one statement.
"""

from __future__ import annotations

from ...errors import JobValueError
from .databases.lookup import of_dialect
from .databases.statements import ConvertedStatement, Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy import Connection, CursorResult, Dialect

    from .databases.statements import Statement


class OptimisticWriteFailed(Exception):
    """A step met changes that it did not expect: its transaction has to be rolled back, and the step repeated with care."""


class RecordMet(Exception):
    """A record stands within a range of times that a step records: roll the transaction back, and repeat the step (R4)."""


class Prepared(Template):
    """An INSERT, UPDATE or DELETE for many rows, with the statement that each database has made of it.

    The parameters are those of :class:`~.databases.statements.Template`.
    """

    def compile(self, dialect: Dialect) -> Statement:
        """Return the statement as a driver takes it; to translate it takes two milliseconds, the first time."""
        key = (dialect.name, dialect.driver, dialect.paramstyle, dialect.server_version_info)
        statement = self.statements.get(key)
        if statement is None:
            statement = self.statements[key] = of_dialect(dialect).statement(self)
        return statement

    def run(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> int:
        """Execute the statement for each row; return how many rows of the table it met, -1 if nobody knows."""
        return self._for(conn).run(conn, rows)

    def insert(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute an INSERT for each row.

        :raises JobValueError: if the database has left some out and raised nothing, as a trigger of it may do
        """
        if self.run(conn, rows) not in (len(rows), -1):
            raise JobValueError(
                f'The database has not inserted all rows into "{self.statement.table}", and has raised nothing; '
                "look for a trigger or rule of it"
            )

    def execute(self, conn: Connection, rows: Sequence[tuple[Any, ...]]) -> CursorResult[Any]:
        """Execute the statement for each row; return what SQLAlchemy returns."""
        return self._for(conn).execute(conn, rows)

    def _for(self, conn: Connection) -> Statement:
        if conn.get_execution_options().get("schema_translate_map"):
            # The application has put its tables elsewhere, so SQLAlchemy has to translate each statement.
            return ConvertedStatement(self, of_dialect(conn.dialect).counts_executions)
        return self.compile(conn.dialect)
