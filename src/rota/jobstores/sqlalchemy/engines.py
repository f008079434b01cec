"""SQLAlchemy engines: made of a URL, or refused in Rota's words.

Opens no connection, and knows no table.
"""

from __future__ import annotations

from importlib.util import find_spec

from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from ...errors import ConfigurationError, MissingExtraError
from ...masking import without_secrets
from .databases.lookup import SYNONYMS, of_dialect, of_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from sqlalchemy import Engine
    from sqlalchemy.engine import URL

    from .databases.base import Database


def make_engine(url: str | URL | None, options: Mapping[str, Any]) -> Engine:
    """Return an engine for a URL, with the options that suit its database.

    :param options: more options for create_engine(), which override the store's
    :raises ConfigurationError: if there is no URL, or it or an option is wrong
    :raises MissingExtraError: if the driver is not installed
    """
    if not url:
        raise ConfigurationError(
            'Need either "engine" or "url": pass url="sqlite:///jobs.sqlite" or the like'
        )
    extra = "sql"
    try:
        parsed, extra = _with_driver(make_url(url))
        if parsed.get_dialect().is_async:
            raise ConfigurationError(_for_asyncio(parsed.get_driver_name()))
        merged = of_name(parsed.get_backend_name()).engine_options(parsed)
        for name, value in options.items():
            if name == "connect_args":
                merged[name] = {**merged.get(name, {}), **value}
            else:
                merged[name] = value
        return create_engine(parsed, **merged)
    except ConfigurationError:
        raise
    except (ArgumentError, NoSuchModuleError, TypeError, ValueError) as exc:
        said = without_secrets(str(exc), url)
        raise ConfigurationError(f"Cannot use this database URL or these engine options: {said}") from None
    except ImportError as exc:
        raise MissingExtraError(f"The database driver for this URL ({exc})", extra) from exc


def _with_driver(url: URL) -> tuple[URL, str]:
    """Return a URL with the driver that is meant if it names none, and the extra that brings it."""
    url = url.set(drivername=SYNONYMS.get(url.drivername, url.drivername))
    if "+" in url.drivername:
        return url, "sql"
    kind = of_name(url.drivername)
    if kind.default_driver is not None:
        driver, module = kind.default_driver
        if find_spec(module) is not None:
            url = url.set(drivername=f"{url.drivername}+{driver}")
    return url, kind.extra


def database_of(engine: Engine) -> Database:
    """Return what the database of an engine does differently.

    :raises ConfigurationError: if the store cannot use the engine
    """
    if engine.dialect.is_async:
        raise ConfigurationError(_for_asyncio(engine.dialect.driver))
    database = of_dialect(engine.dialect)
    if database.is_of_one_thread(engine):
        raise ConfigurationError(
            f"engine must lead all threads to one database, got {engine.url!r} with a {type(engine.pool).__name__}: an empty "
            f"database in memory for each thread; give url='sqlite://' or poolclass=StaticPool, a file, or a MemoryJobStore"
        )
    return database


def check_connection(connection: Any, database: Database, store: object) -> None:
    """Refuse what cannot be a connection to the store's database.

    :param store: the store, to be named
    :raises ConfigurationError: saying what to pass instead
    """
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            f"connection must be a SQLAlchemy Connection, got {type(connection).__name__}; of a session, pass "
            f"session.connection(); of an AsyncConnection, call add_job() inside its run_sync()"
        )
    if not database.is_that_of(connection.dialect):
        raise ConfigurationError(
            f"connection leads to a {connection.dialect.name} database, and {store!r} keeps its jobs elsewhere"
        )


def _for_asyncio(driver: str) -> str:
    return (
        f"{driver} is a database driver for asyncio, and the store makes its calls in threads, on an AsyncIOScheduler too. "
        f"Give it a URL without a driver (postgresql://…, mariadb://…, sqlite:///…), or one that names another driver"
    )
