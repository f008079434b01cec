"""Real servers for the tests, each started privately by the test session that first asks for it.

How to: take the fixture ``postgresql``, ``mariadb``, ``redis_server``, ``etcd_server`` or ``zookeeper_server`` as an
argument of a test or fixture (tests/conftest.py makes them known to all tests). It is a running server object, started once
for each pytest process (so each xdist worker has its own), on loopback and a free port, with its own data folder, and is
ended with the session, also when pytest is killed. ``server.port`` is its port; ``server.url()``, ``.address`` or
``.hosts`` are what clients want. Other tests of the process use the same server, one after another: take your own database,
key prefix or path, or empty it first. Fault tests that stop, ``kill()``, ``suspend()`` or ``restart()`` a server start it
again before they end (port and data stay the same), or better make their own one with ``with private(Redis) as server:``.
``postgresql_url``, ``mariadb_url``, ``redis_url``, ``mongodb_url``, ``etcd_url`` and ``zookeeper_url`` give an empty database
or path for each test; that of MongoDB on the server that ROTA_TEST_MONGODB_URL names, or else on SecantusDB. A server that is
not installed is a visible skip, with ROTA_REQUIRE_SERVICES=1 a failure. A new kind of server is a subclass of ``Server`` in
kinds.py, a fixture here, an import in tests/conftest.py and a package in .ci/run.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

import pytest

from tests.needs import need

from .kinds import Etcd, MariaDB, PgBouncer, PostgreSQL, Redis, SecantusDB, ZooKeeper
from .process import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .process import Server

__all__ = (
    "Etcd",
    "MariaDB",
    "PgBouncer",
    "PostgreSQL",
    "Redis",
    "SecantusDB",
    "ZooKeeper",
    "etcd_server",
    "etcd_url",
    "mariadb",
    "mariadb_url",
    "mongodb_url",
    "pgbouncer_url",
    "postgresql",
    "postgresql_url",
    "private",
    "redis_server",
    "redis_url",
    "secantusdb",
    "zookeeper_server",
    "zookeeper_url",
)

#: Make a server for one test: ``with private(Redis) as server:``.
private = contextmanager(opened)

_numbers = count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    """A PostgreSQL server."""
    yield from opened(PostgreSQL)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server."""
    yield from opened(MariaDB)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """A Redis server."""
    yield from opened(Redis)


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[Server]:
    """An etcd server."""
    yield from opened(Etcd)


@pytest.fixture(scope="session")
def zookeeper_server() -> Iterator[Server]:
    """A ZooKeeper server."""
    yield from opened(ZooKeeper)


#: Databases of PostgreSQL that tests have emptied again: to make one takes the server longer than most tests.
_free: list[str] = []


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, emptied after the test."""
    psycopg = need("psycopg", "postgresql")
    if _free:
        name = _free.pop()
    else:
        name = f"rota{next(_numbers)}"
        with psycopg.connect(postgresql.url(), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
    yield postgresql.url(name)
    with psycopg.connect(postgresql.url(name), autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        for (schema,) in admin.execute(found).fetchall():
            admin.execute(f'DROP SCHEMA "{schema}" CASCADE')
        admin.execute("CREATE SCHEMA public")
        admin.execute(f"ALTER DATABASE {name} RESET ALL")
    _free.append(name)


@pytest.fixture
def pgbouncer_url(postgresql: PostgreSQL, postgresql_url: str) -> Iterator[str]:
    """The URL of an empty PostgreSQL database behind a PgBouncer."""
    made = type("PgBouncerHere", (PgBouncer,), {"upstream": postgresql.port})
    with private(made) as server:
        assert isinstance(server, PgBouncer)
        yield server.url(urlsplit(postgresql_url).path[1:])


@pytest.fixture
def mariadb_url(mariadb: MariaDB) -> Iterator[str]:
    """The URL of an empty MariaDB database, dropped after the test."""
    pymysql = need("pymysql", "mysql")
    name = f"rota{next(_numbers)}"
    # The server has no certificate. PyMySQL gets ready for one by reading all that the machine trusts, for each connection: 40 ms.
    plain = {"ssl_disabled": True}
    admin = pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", autocommit=True, **plain)
    try:
        admin.cursor().execute(f"CREATE DATABASE {name}")
        yield f"{mariadb.url(name)}?ssl_disabled=true"
        admin.ping()
        admin.cursor().execute(f"DROP DATABASE {name}")
    finally:
        admin.close()


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """The URL of an empty Redis database."""
    redis = need("redis", "redis")
    url = redis_server.url(1 + next(_numbers) % 15)
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def etcd_url(etcd_server: Etcd) -> str:
    """The URL of an empty path of the etcd server."""
    need("etcd3gw", "etcd")
    return etcd_server.url(f"rota{next(_numbers)}")


@pytest.fixture
def zookeeper_url(zookeeper_server: ZooKeeper) -> str:
    """The URL of an empty path of the ZooKeeper server."""
    need("kazoo", "zookeeper")
    return zookeeper_server.url(f"rota{next(_numbers)}")


@pytest.fixture(scope="session")
def secantusdb() -> Iterator[Server]:
    """A SecantusDB server."""
    yield from opened(SecantusDB)


@pytest.fixture
def mongodb_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty MongoDB database, dropped after the test."""
    pymongo = need("pymongo", "mongodb")
    name = f"rota_{os.getpid()}_{next(_numbers)}"
    named = os.environ.get("ROTA_TEST_MONGODB_URL")
    if named:
        parts = urlsplit(named)
        url = urlunsplit(parts._replace(path=f"/{name}"))
    else:
        # Nobody kills it, so nobody need wait for its disk.
        url = f"{request.getfixturevalue('secantusdb').url(name)}?journal=false"
    yield url
    with pymongo.MongoClient(url) as admin:
        admin.drop_database(name)
