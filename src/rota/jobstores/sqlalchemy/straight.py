"""Statements that go to the driver as they are, inside the transaction of a SQLAlchemy connection.

Knows no table. What SQLAlchemy does around a statement is a third of the client's time for a job that is added.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Connection


def execute_straight(conn: Connection, sql: str, values: Any) -> int:
    """Execute a statement as ``conn.exec_driver_sql(sql, values)`` does; return how many rows it met, -1 if nobody knows.

    Where somebody listens to statements or has them logged, SQLAlchemy executes it. A connection that has begun nothing must be in
    the driver's autocommit mode: SQLAlchemy does not learn that there is anything to commit.

    :raises DBAPIError: what the driver raised, as SQLAlchemy has it
    """
    if _is_watched(conn):
        return conn.exec_driver_sql(sql, values).rowcount
    dialect, plain = conn.dialect, conn.connection
    driver: Any = dialect.loaded_dbapi
    cursor: Any = plain.cursor()
    try:
        if type(values) is list:
            cursor.executemany(sql, values)
        else:
            cursor.execute(sql, values)
        met: int = cursor.rowcount
    except driver.Error as exc:
        if dialect.is_disconnect(exc, plain, cursor):
            # That fails too, and SQLAlchemy throws the connection and its like away.
            conn.exec_driver_sql("SELECT 1")
        hidden = conn.engine.hide_parameters
        raise DBAPIError.instance(sql, values, exc, driver.Error, hidden, dialect=dialect) from exc
    finally:
        cursor.close()
    return met


def _is_watched(conn: Connection) -> bool:
    engine, dialect = conn.engine, conn.dialect
    # SQLAlchemy's own shortcuts; a version that has others gets all statements.
    return any(getattr(target, "_has_events", True) for target in (conn, engine, dialect)) or bool(
        getattr(conn, "_echo", True)
    )
