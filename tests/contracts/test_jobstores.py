"""The contract suite of job stores, on memory and on databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.jobstores.memory import MemoryJobStore
from rota.testing import JobStoreContract, ReplacedJobStoreContract, SharedJobStoreContract
from rota.testing.contracts.replaced import Backup
from tests.contracts.at_url import StoreAtURL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[], BaseJobStore]:
        def make() -> BaseJobStore:
            store = MemoryJobStore()
            store.start(None, "default")
            return store

        return make


class TestSQLiteFile(StoreAtURL):
    @pytest.fixture
    def url(self, tmp_path: Any) -> str:
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


class MemoryBackup(Backup):
    """Dumps of a SQLite database in memory."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine

    def save(self) -> object:
        return "\n".join(self.engine.raw_connection().driver_connection.iterdump())

    def empty(self) -> None:
        from sqlalchemy import MetaData

        found = MetaData()
        found.reflect(self.engine)
        found.drop_all(self.engine)

    def put_back(self, saved: object) -> None:
        self.engine.raw_connection().driver_connection.executescript(saved)


@pytest.mark.thorough  # the same statements as of a file, which other Pythons try
class TestSQLiteInMemory(ReplacedJobStoreContract, SharedJobStoreContract):
    """Two store objects share one engine, which they may not close."""

    @pytest.fixture
    def make_store(self) -> Iterator[Callable[[], BaseJobStore]]:
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

        def make() -> BaseJobStore:
            store = SQLAlchemyJobStore(engine=engine)
            store.start(None, "default")
            return store

        self.engine = engine
        yield make
        engine.dispose()

    @pytest.fixture
    def backup(self, make_store: Any) -> Backup:
        return MemoryBackup(self.engine)


class TestPostgreSQL(StoreAtURL):
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url


class TestMariaDB(StoreAtURL):
    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url


class TestRedis(StoreAtURL):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url


class TestMongoDB(StoreAtURL):
    """On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol."""

    @pytest.fixture
    def url(self, mongodb_url: str) -> str:
        return mongodb_url
