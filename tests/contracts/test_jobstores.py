"""The contract suite of job stores, on memory and on databases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.jobstores.memory import MemoryJobStore
from rota.testing import JobStoreContract, SharedJobStoreContract
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore
    from tests.servers import Redis


class TestMemoryJobStore(JobStoreContract):
    @pytest.fixture
    def make_store(self) -> Callable[[], BaseJobStore]:
        def make() -> BaseJobStore:
            store = MemoryJobStore()
            store.start(None, "default")
            return store

        return make


class TestSQLiteFile(SharedJobStoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Any) -> Iterator[Callable[[], BaseJobStore]]:
        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()


class TestSQLiteInMemory(SharedJobStoreContract):
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

        yield make
        engine.dispose()


class SQLServerContract(SharedJobStoreContract):
    """Store objects of their own connections on an empty database of a server."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError

    @pytest.fixture
    def make_store(self, url: str) -> Iterator[Callable[[], BaseJobStore]]:
        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = SQLAlchemyJobStore(url)
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()


class TestPostgreSQL(SQLServerContract):
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url


class TestMariaDB(SQLServerContract):
    @pytest.fixture
    def url(self, mariadb_url: str) -> str:
        return mariadb_url


class TestRedis(SharedJobStoreContract):
    """Each test has keys of its own on one server."""

    @pytest.fixture
    def make_store(
        self, redis_server: Redis, request: pytest.FixtureRequest
    ) -> Iterator[Callable[[], BaseJobStore]]:
        need("redis", "redis")
        from rota.jobstores.redis import RedisJobStore

        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = RedisJobStore(url=redis_server.url(), jobs_key=f"{request.node.nodeid}.jobs")
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()


class TestMongoDB(SharedJobStoreContract):
    """On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol."""

    @pytest.fixture
    def make_store(self, mongodb_url: str) -> Iterator[Callable[[], BaseJobStore]]:
        from rota.jobstores.mongodb import MongoDBJobStore

        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = MongoDBJobStore(url=mongodb_url)
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()
