"""The tables of the SQL store, their version, and the migrations between versions.

Creates and migrates tables; it may not drop anything that holds jobs or runs.
"""

from __future__ import annotations

from sqlalchemy import (
    Column,
    MetaData,
    Table,
    column,
    func,
    inspect,
    select,
    table,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateColumn, ExecutableDDLElement

from ...errors import SchemaError
from ...texts import shortened
from .. import earlier
from ..documents import remedy_for, version_in
from ..identity import new_identity
from . import columns
from .databases.lookup import of_dialect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    from sqlalchemy import Connection

    from .databases.base import Database

    Made = TypeVar("Made")

SCHEMA_VERSION = 4
VERSION_KEY = "schema"
IDENTITY_KEY = "identity"
#: the first version that has all tables
_WITH_LATER = 4
#: up to which nominal time records are counted by hour, and what is there until some are
COUNTED_KEY = "counted"
NONE_COUNTED = "none"


#: How many descriptions of tables are kept for the stores to come.
_KEPT = 16


class _Described:
    """The description of the tables of one or more stores, and what was made for them."""

    def __init__(self, metadata: MetaData, jobs: str, schema: str | None, database: Database) -> None:
        prefix = jobs.removesuffix("jobs") if jobs.endswith("jobs") else f"{jobs}_"
        named = {
            jobs: columns.of_jobs,
            f"{prefix}runs": columns.of_runs,
            f"{prefix}nodes": columns.of_nodes,
            f"{prefix}meta": columns.of_meta,
            f"{prefix}parts": columns.of_parts,
            f"{prefix}edits": columns.of_edits,
            f"{prefix}tags": columns.of_tags,
            f"{prefix}hours": columns.of_hours,
            f"{prefix}keys": columns.of_keys,
            f"{prefix}requests": columns.of_requests,
        }
        self.metadata = metadata
        self.tables = [_described(name, metadata, schema, database, of) for name, of in named.items()]
        self.made: dict[Callable[[Tables], Any], Any] = {}


def _described(
    name: str,
    metadata: MetaData,
    schema: str | None,
    database: Database,
    of: Callable[[str, Database], list[Any]],
) -> Table:
    known = metadata.tables.get(f"{schema}.{name}" if schema else name)
    if known is not None:
        return known
    return Table(name, metadata, *of(name, database), schema=schema, **database.table_options)


#: Descriptions by the names of the tables, the kind of database and the driver. They cost more time than a file that is opened.
_DESCRIBED: dict[tuple[Any, ...], _Described] = {}


class Tables:
    """The tables of one store: jobs, runs, nodes and meta, and what is kept beside these.

    :param metadata: where the tables are registered (so that e.g. Alembic knows them); None: where other stores of this process
        with the same names, database and driver have theirs
    :param jobs: name of the jobs table; the others take its prefix: ``rota_jobs`` gives ``rota_runs``, ``tasks`` gives
        ``tasks_runs``
    :param schema: database schema, None for the default one
    :param database: has the options of the tables; options for PostgreSQL on every database would make SQLAlchemy load its module
        for PostgreSQL, which takes a third of the time of a start on SQLite
    """

    def __init__(self, metadata: MetaData | None, jobs: str, schema: str | None, database: Database) -> None:
        self.database = database
        dialect = database.dialect
        key = jobs, schema, type(database), dialect.name, dialect.driver, dialect.paramstyle
        described = _DESCRIBED.get(key) if metadata is None else None
        if described is None:  # two threads may come here at once, and each has its own
            described = _Described(metadata or MetaData(), jobs, schema, database)
            if metadata is None and len(_DESCRIBED) < _KEPT:
                _DESCRIBED[key] = described
        self.metadata = described.metadata
        self.jobs, self.runs, self.nodes, self.meta, *later = described.tables
        self.parts, self.edits, self.tags, self.hours, self.keys, self.requests = later
        #: those that layouts before version 4 do not have
        self.later = tuple(later)
        self.all = tuple(described.tables)
        self._made = described.made
        #: whether this store has created them
        self.are_new = False

    def once(self, make: Callable[[Tables], Made]) -> Made:
        """Return what ``make(self)`` makes of the tables, made once for all stores that share their description."""
        if make not in self._made:
            self._made[make] = make(self)
        made: Made = self._made[make]
        return made

    def missing(self, conn: Connection) -> list[str]:
        """Return the names of the tables that the database does not have."""
        inspector = inspect(conn)
        return [
            table.name
            for table in self.all
            if not inspector.has_table(table.name, conn.schema_for_object(table))
        ]

    def is_incomplete(self, conn: Connection) -> bool:
        """Whether the database lacks the table that is created last: what there is to do for a store that is opened first."""
        return not inspect(conn).has_table(self.all[-1].name, conn.schema_for_object(self.all[-1]))

    def prepare(self, conn: Connection, create: bool, unfinished: bool = False) -> str:
        """Create or migrate the tables, inside the caller's transaction; return the identity of the store.

        :param unfinished: whether a process may have died between two tables: the database creates them one by one
        :raises SchemaError: if they are missing and may not be created, or are not of a version that this code knows
        """
        missing = self.missing(conn)
        if unfinished and create and self._is_begun(conn, missing):
            self.metadata.create_all(conn, tables=list(self.all))
            return self._mark(conn)
        names = ", ".join(table.fullname for table in self.all)
        if len(missing) == len(self.all):
            if not create:
                raise SchemaError(
                    f"The tables {names} do not exist and create_tables is False; create them by your migrations "
                    f"(they are in the metadata that you pass as metadata=…), or let the store create them"
                )
            self.metadata.create_all(conn, tables=list(self.all), checkfirst=False)
            return self._mark(conn)
        if missing and not self._is_earlier(conn, missing):
            raise SchemaError(
                f"Of the tables {names} only {', '.join(missing)} are missing: the others are not Rota's, or some were dropped. "
                f"Give another tablename, or restore them{self._of_apscheduler(conn, missing)}"
            )
        return self._migrate(conn, create)

    def _is_earlier(self, conn: Connection, missing: Sequence[str]) -> bool:
        """Whether the tables are missing because they are of an earlier version."""
        if not set(missing) <= {table.name for table in self.later}:
            return False
        found = conn.scalar(select(self.meta.c.value).where(self.meta.c.key == VERSION_KEY))
        return 0 < (version_in(found) or 0) < _WITH_LATER

    def _of_apscheduler(self, conn: Connection, missing: Sequence[str]) -> str:
        """Return what to do if the table of that name is one of APScheduler's."""
        jobs = self.jobs
        if jobs.name in missing:
            return ""
        if "job_state" not in _names(conn, jobs):
            return ""
        name = "" if jobs.fullname == earlier.TABLES[0] else jobs.fullname
        return earlier.instead(
            "tablename", earlier.by_import(conn.engine.url.render_as_string(hide_password=True), name)
        )

    def earlier_jobs(self, conn: Connection) -> tuple[str, int] | None:
        """Return the table of the same schema in which APScheduler keeps jobs, and how many; None if there is none."""
        inspector = inspect(conn)
        for name in earlier.TABLES:
            if inspector.has_table(name, conn.schema_for_object(self.jobs)):
                found = table(name, column("job_state"), schema=self.jobs.schema)
                count: int = conn.scalar(select(func.count(found.c.job_state))) or 0
                if count:
                    return found.fullname, count
        return None

    def _is_begun(self, conn: Connection, missing: Sequence[str]) -> bool:
        """Whether the tables are Rota's without their version, which is written last."""
        there = [table for table in self.all if table.name not in missing]
        if not there or (self.meta in there and conn.execute(select(self.meta.c.value)).first() is not None):
            return False  # version and identity are written together
        return all(_names(conn, table) == {column.name for column in table.columns} for table in there)

    def _mark(self, conn: Connection) -> str:
        """Write the version and the identity of the tables, in one statement; return the identity."""
        self.are_new = True
        marks = {VERSION_KEY: str(SCHEMA_VERSION), IDENTITY_KEY: new_identity(), COUNTED_KEY: NONE_COUNTED}
        conn.execute(self.meta.insert(), [{"key": key, "value": value} for key, value in marks.items()])
        return marks[IDENTITY_KEY]

    def identify(self, conn: Connection) -> str:
        """Return the identity of the tables, which are given one if they have none."""
        meta = self.meta.c
        found: str | None = conn.scalar(select(meta.value).where(meta.key == IDENTITY_KEY))
        if found is None:
            found = new_identity()
            conn.execute(self.meta.insert().values(key=IDENTITY_KEY, value=found))
        return found

    def _migrate(self, conn: Connection, allowed: bool) -> str:
        found = conn.scalar(select(self.meta.c.value).where(self.meta.c.key == VERSION_KEY))
        if found is None and not allowed:  # made by the user's migrations: the first start writes the version
            return self._mark(conn)
        version = version_in(found)
        if version is None or not 1 <= version <= SCHEMA_VERSION:
            raise SchemaError(
                f"The table {self.meta.fullname} says schema version {shortened(repr(found), 80)}; this version of Rota knows 1 to "
                f"{SCHEMA_VERSION}. {remedy_for(version, SCHEMA_VERSION, 'another tablename')}"
            )
        if version == SCHEMA_VERSION:
            return self.identify(conn)
        if not allowed:
            raise SchemaError(
                f"The tables {self.jobs.fullname} … have schema version {version}, {SCHEMA_VERSION} is needed, and "
                f"create_tables is False; start once with create_tables=True to migrate them"
            )
        for step in range(version, SCHEMA_VERSION):
            MIGRATIONS[step](conn, self)
        conn.execute(
            self.meta.update().where(self.meta.c.key == VERSION_KEY).values(value=str(SCHEMA_VERSION))
        )
        return self.identify(conn)


class Widen(ExecutableDDLElement):
    """``ALTER TABLE … ALTER COLUMN …``, for a column that takes 64 bits from this version on."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column


@compiles(Widen)
def _widen(element: Widen, compiler: Any, **kw: Any) -> str:
    column, quoted = element.column, compiler.preparer
    widened = of_dialect(compiler.dialect).widened(
        compiler.process(CreateColumn(column)),
        quoted.format_column(column),
        compiler.dialect.type_compiler_instance.process(column.type),
    )
    return f"ALTER TABLE {quoted.format_table(column.table)} {widened}"


class AddColumn(ExecutableDDLElement):
    """``ALTER TABLE … ADD …``, for a column that is new in this version; SQLAlchemy has nothing for it."""

    def __init__(self, column: Column[Any]) -> None:
        self.column = column


@compiles(AddColumn)
def _add_column(element: AddColumn, compiler: Any, **kw: Any) -> str:
    column = element.column
    return f"ALTER TABLE {compiler.preparer.format_table(column.table)} ADD {compiler.process(CreateColumn(column))}"


def _name_runs(conn: Connection, tables: Tables) -> None:
    """Add columns for the name and the callable of jobs to the records of runs."""
    _add_columns(conn, tables.runs, "name", "func")


def _identify(conn: Connection, tables: Tables) -> None:
    """Give the store an identity, leases a count of their renewals, and runs a signature; and make counts 64 bits wide."""
    _add_columns(conn, tables.runs, "signature")
    _add_columns(conn, tables.nodes, "renewals")
    if not tables.database.wide_integers:
        for column in (tables.runs.c.times, tables.runs.c.attempt, tables.jobs.c.running):
            conn.execute(Widen(column))
    tables.identify(conn)


def _make_searchable(conn: Connection, tables: Tables) -> None:
    """Add what is kept beside jobs, runs and nodes: columns that are empty at first, tables, and their indexes."""
    _add_columns(conn, tables.jobs, "revision", "paused", "durations", "failures", "horizon", "parent")
    if "name_key" in tables.jobs.c:
        _add_columns(conn, tables.jobs, "name_key")
    _add_columns(conn, tables.runs, "origin", "not_before", "cancel", "extra")
    _add_columns(conn, tables.nodes, "about", "draining")
    tables.metadata.create_all(conn, tables=list(tables.later))
    for changed in (tables.jobs, tables.runs):
        schema = conn.schema_for_object(changed)
        there = {index["name"] for index in inspect(conn).get_indexes(changed.name, schema)}
        for index in sorted(changed.indexes, key=lambda index: str(index.name)):
            if index.name not in there:
                index.create(conn)
    if conn.scalar(select(tables.meta.c.value).where(tables.meta.c.key == COUNTED_KEY)) is None:
        conn.execute(tables.meta.insert().values(key=COUNTED_KEY, value=NONE_COUNTED))


def _names(conn: Connection, table: Table) -> set[str]:
    """Return the names of the columns that a table has in the database, wherever the application has put it."""
    return {column["name"] for column in inspect(conn).get_columns(table.name, conn.schema_for_object(table))}


def _add_columns(conn: Connection, table: Table, *names: str) -> None:
    there = _names(conn, table)
    for name in names:
        if name not in there:  # where each column is a step of its own, a process may have died in between
            conn.execute(AddColumn(table.c[name]))


#: The step from a version to the one after it; each is called inside one transaction.
MIGRATIONS: dict[int, Callable[[Connection, Tables], None]] = {
    1: _name_runs,
    2: _identify,
    3: _make_searchable,
}
