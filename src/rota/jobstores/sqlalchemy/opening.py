"""Opening a store: its tables are created or migrated, and jobs that APScheduler has left beside them are found.

One process at a time, where the database can keep others out.
"""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError

from ...errors import StoreError
from .. import earlier

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection

    from .layout import Tables
    from .server import Server


def open_tables(server: Server, tables: Tables, create: bool) -> str:
    """Create or migrate the tables; return the identity of the store.

    :param create: whether that is allowed
    :raises SchemaError: if it is needed and not allowed, or the tables are not of a version that this code knows
    """
    database = server.database
    tables.are_new = False

    def prepare(conn: Connection) -> str:
        with database.alone(conn, tables.meta.fullname):
            return tables.prepare(conn, create, not database.transactional_ddl)

    if server.read(tables.is_incomplete):
        try:
            return server.write(prepare)
        except StoreError as exc:
            # Another process may have created them at the same moment, where creating is no part of a transaction.
            if not isinstance(exc.__cause__, DBAPIError):
                raise
    return server.write(prepare)


def earlier_jobs(server: Server, tables: Tables) -> str | None:
    """Return what to say of jobs that APScheduler keeps beside the tables, None if there are none."""
    found = server.read(tables.earlier_jobs)
    if found is None:
        return None
    name, count = found
    url = server.engine.url.render_as_string(hide_password=True)
    way = earlier.by_import(url, "" if name == earlier.TABLES[0] else name)
    own = tables.jobs.name
    return earlier.left_behind(
        count, f"the table {name}", way + ("" if own == "rota_jobs" else f" --table {own}")
    )
