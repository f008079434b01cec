"""Which class stands for which database.

The modules of the databases are imported when one of theirs is used.
"""

from __future__ import annotations

from importlib import import_module

from .base import Database

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Dialect

#: Module and class for each of SQLAlchemy's names of databases.
_CLASSES = {
    "sqlite": ("sqlite", "SQLite"),
    "postgresql": ("postgresql", "PostgreSQL"),
    "mysql": ("mysql", "MySQL"),
    "mariadb": ("mysql", "MySQL"),
    "mssql": ("mssql", "MSSQL"),
    "oracle": ("oracle", "Oracle"),
}
#: What hosting providers write in URLs, and SQLAlchemy's name for it.
SYNONYMS = {"postgres": "postgresql"}


def of_name(name: str) -> type[Database]:
    """Return the class for SQLAlchemy's name of a database; the defaults if nothing is known of it."""
    found = _CLASSES.get(name)
    if found is None:
        return Database
    kind: type[Database] = getattr(import_module(f".{found[0]}", __package__), found[1])
    return kind


def of_dialect(dialect: Dialect) -> Database:
    """Return what the database of a dialect does differently."""
    return of_name(dialect.name)(dialect)
