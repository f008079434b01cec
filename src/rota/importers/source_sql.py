"""Reads the table of APScheduler's SQLAlchemyJobStore; it only reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingExtraError, SchemaError, StoreError, StoreUnavailableError
from ..masking import without_secrets
from .rows import Row

try:
    from sqlalchemy import LargeBinary, column, create_engine, inspect, select, table
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
except ImportError as exc:
    raise MissingExtraError("Reading jobs from an SQL database", "sql") from exc

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

#: What URLs without a driver mean, as in Rota's own store.
_DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"} | dict.fromkeys(
    ("mysql", "mariadb"), "mysql+pymysql"
)


def read_sql(url: str, name: str) -> Iterator[Row]:
    """Yield the rows of a table.

    :param url: URL of the database
    :param name: name of the table, with its schema before a dot if it is not in the default one
    :raises StoreUnavailableError: if the database cannot be reached
    :raises SchemaError: if it has no such table, or one that is not APScheduler's
    """
    engine = _engine(url)
    address = without_secrets(engine.url.render_as_string(hide_password=True))
    schema, _, name = name.rpartition(".")
    source = table(
        name, column("id"), column("next_run_time"), column("job_state", LargeBinary), schema=schema or None
    )
    try:
        _check(engine, name, schema or None, address)
        with engine.connect() as conn:
            for id, next_run, state in conn.execution_options(yield_per=500).execute(
                select(source).order_by(source.c.id)
            ):
                yield Row(str(id), bytes(state) if isinstance(state, memoryview) else state, next_run)
    except DBAPIError as exc:
        said = without_secrets(str(exc.orig), url)
        if engine.url.password:
            said = said.replace(str(engine.url.password), "***")
        raise StoreUnavailableError(f"The database {address} cannot be read: {said}") from None
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        parsed = parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
            raise StoreError(f"There is no file {parsed.database}")
        return create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ValueError) as exc:
        said = without_secrets(str(exc), url)
        raise StoreError(f"Cannot use this database URL: {said}") from None
    except ImportError as exc:
        raise MissingExtraError(f"The database driver for this URL ({exc})", "postgresql,mysql") from exc


def _check(engine: Engine, name: str, schema: str | None, address: str) -> None:
    inspector = inspect(engine)
    try:
        columns = {column["name"] for column in inspector.get_columns(name, schema)}
    except SQLAlchemyError as exc:
        if isinstance(exc, DBAPIError):
            raise
        columns = set()
    if not columns:
        others = ", ".join(sorted(inspector.get_table_names(schema))) or "none"
        raise SchemaError(
            f"The database {address} has no table {name!r}; there are: {others}. Give the name of the table of the jobs"
        )
    if missing := {"id", "next_run_time", "job_state"} - columns:
        raise SchemaError(
            f"The table {name!r} of {address} is not one of APScheduler 3: it has no {', '.join(sorted(missing))}"
        )
