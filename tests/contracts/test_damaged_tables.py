"""Damaged cells of every column of the SQL store's tables, as far as each database lets them be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.core.orders import backfill_id
from rota.testing import DamageContract
from rota.testing.contracts.damage import DAMAGES, Hand
from rota.testing.contracts.damage_found import CHILD, JOB, NODE, RECORD, RUN, WAITS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import Connection, Table

    from rota.jobstores.base import BaseJobStore


class NoText(bytes):
    """Bytes that SQLite keeps as a text."""


class SQLHand(Hand):
    """Access to the tables by SQL."""

    def __init__(self, url: str) -> None:
        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        self._url = url
        self._stores: list[SQLAlchemyJobStore] = []
        store = SQLAlchemyJobStore(url)
        self._engine = store.engine
        self._conn: Connection | None = None
        tables = store._tables
        if self._engine.dialect.name == "sqlite":
            self.damages = {**DAMAGES, "a text that is none": NoText(b"damaged \xff")}
        self._meta, self._requests = tables.meta, tables.requests
        self.of_backfill = tuple(column.name for column in tables.requests.columns)
        self._tables: dict[str, Table] = {
            JOB: tables.jobs,
            RUN: tables.runs,
            WAITS: tables.runs,
            RECORD: tables.runs,
            CHILD: tables.runs,
            NODE: tables.nodes,
        }
        self.fields = {
            kind: tuple(column.name for column in table.columns) for kind, table in self._tables.items()
        }

    def open(self) -> BaseJobStore:
        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        store = SQLAlchemyJobStore(self._url)
        self._stores.append(store)
        return store

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        return self._write(self._tables[kind], key, field, value)

    def forget_child(self, parent: str, child: str) -> bool:
        return self.write(JOB, (child,), "parent", None)

    def write_backfill(self, job_id: str, field: str, value: Any) -> bool:
        return self._write(self._requests, (backfill_id(job_id),), field, value)

    def write_identity(self, value: Any) -> bool:
        return self._write(self._meta, ("identity",), "value", value)

    def _write(self, table: Table, key: tuple[Any, ...], field: str, value: Any) -> bool:
        from sqlalchemy import bindparam, text
        from sqlalchemy.exc import DBAPIError

        names = [column.name for column in table.primary_key.columns]
        met = " AND ".join(f"{table.name}.{name} = :key{number}" for number, name in enumerate(names))
        given = "CAST(:value AS TEXT)" if isinstance(value, NoText) else ":value"
        statement = text(f"UPDATE {table.name} SET {field} = {given} WHERE {met}").bindparams(
            bindparam("value", type_=None)
        )
        values = {f"key{number}": part for number, part in enumerate(key)}
        if self._conn is None:  # one for all damages, each of which is committed by itself
            self._conn = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            return self._conn.execute(statement, {"value": value, **values}).rowcount == 1
        except (DBAPIError, OverflowError, ValueError, TypeError):
            return False

    def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
        self._engine.dispose()
        for store in self._stores:
            store.shutdown()


class DamagedTables(DamageContract):
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the fixture url in the subclass")

    @pytest.fixture
    def hand(self, url: str) -> Iterator[SQLHand]:
        hand = SQLHand(url)
        yield hand
        hand.close()


class TestSQLite(DamagedTables):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.mark.slow
class TestPostgreSQL(DamagedTables):
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url


@pytest.mark.slow
class TestMariaDB(DamagedTables):
    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url
