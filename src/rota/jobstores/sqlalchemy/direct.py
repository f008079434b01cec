"""Statements that go to the driver as they are, inside the transaction of a SQLAlchemy connection.

Knows no table. What SQLAlchemy does around a statement is a third of the client's time for a job that is added.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection


def execute_directly(conn: Connection, sql: str, values: Any) -> int:
    """Execute a statement as ``conn.exec_driver_sql(sql, values)`` does; return how many rows it met, -1 if nobody knows.

    Where an application listens to statements or has them logged, SQLAlchemy executes it. A connection without a transaction must
    be in the driver's autocommit mode, as SQLAlchemy does not learn that there is something to commit.

    :raises DBAPIError: what the driver raised, as SQLAlchemy has it
    """
    if is_watched(conn):
        return conn.exec_driver_sql(sql, values).rowcount
    cursor: Any = conn.connection.cursor()
    try:
        if type(values) is list:
            cursor.executemany(sql, values)
        else:
            cursor.execute(sql, values)
        met: int = cursor.rowcount
    except conn.dialect.loaded_dbapi.Error as exc:
        raise translated(conn, exc, sql, values) from exc
    finally:
        cursor.close()
    return met


def translated(conn: Connection, exc: Any, sql: str | None = None, values: Any = None) -> BaseException:
    """Return an error of the driver as SQLAlchemy raises it."""
    dialect = conn.dialect
    driver: Any = dialect.loaded_dbapi
    if dialect.is_disconnect(exc, conn.connection, None):
        # This fails, too, and SQLAlchemy throws away the connection and all that are as old.
        conn.exec_driver_sql("SELECT 1")
    hidden = conn.engine.hide_parameters
    error: BaseException = DBAPIError.instance(sql, values, exc, driver.Error, hidden, dialect=dialect)
    return error


def is_watched(conn: Connection) -> bool:
    """Whether somebody wants to see the statements of a connection, so that SQLAlchemy has to execute them."""
    # SQLAlchemy's own shortcuts; a version without them gets all statements.
    return (
        getattr(conn, "_has_events", True)
        or getattr(conn.engine, "_has_events", True)
        or getattr(conn.dialect, "_has_events", True)
        or getattr(conn, "_echo", True)
    )
