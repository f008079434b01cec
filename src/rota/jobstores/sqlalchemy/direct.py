"""Statements that go to the driver as they are, inside the transaction of a SQLAlchemy connection.

Knows no table. What SQLAlchemy does around a statement is a third of the client's time for a job that is added.
"""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
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


def begin_straight(conn: Connection, begin: str, more: str) -> None:
    """Begin a transaction on a connection in autocommit mode and say more in it, both in one journey (psycopg).

    :raises DBAPIError: what the driver raised, as SQLAlchemy has it
    """
    if _is_watched(conn):
        conn.exec_driver_sql(begin)
        if more:
            conn.exec_driver_sql(more)
        return
    plain: Any = conn.connection.driver_connection
    try:
        # Prepared, it could not be two statements.
        plain.execute(f"{begin}; {more}", prepare=False)
    except conn.dialect.loaded_dbapi.Error as exc:
        raise translated(conn, exc) from exc


@contextmanager
def in_a_row(conn: Connection) -> Iterator[None]:
    """Let statements go before those before them are answered, where the driver can (psycopg); nobody knows how many rows they met.

    :raises DBAPIError: what went wrong with one of them: from a later one, or at the end
    """
    plain: Any = conn.connection.driver_connection
    pipeline = getattr(conn.dialect.loaded_dbapi, "Pipeline", None)
    if pipeline is None or not pipeline.is_supported() or _is_watched(conn):
        yield
        return
    try:
        with plain.pipeline():
            yield
    except conn.dialect.loaded_dbapi.Error as exc:
        raise translated(conn, exc) from exc


def translated(conn: Connection, exc: Any, sql: str | None = None, values: Any = None) -> BaseException:
    """Return what SQLAlchemy makes of an error of the driver."""
    dialect = conn.dialect
    driver: Any = dialect.loaded_dbapi
    if dialect.is_disconnect(exc, conn.connection, None):
        # That fails too, and SQLAlchemy throws the connection and its like away.
        conn.exec_driver_sql("SELECT 1")
    hidden = conn.engine.hide_parameters
    error: BaseException = DBAPIError.instance(sql, values, exc, driver.Error, hidden, dialect=dialect)
    return error


def _is_watched(conn: Connection) -> bool:
    # SQLAlchemy's own shortcuts; a version that has others gets all statements.
    return (
        getattr(conn, "_has_events", True)
        or getattr(conn.engine, "_has_events", True)
        or getattr(conn.dialect, "_has_events", True)
        or getattr(conn, "_echo", True)
    )
