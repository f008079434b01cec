"""Where durable stores keep their data, with a hand on it: what an administrator, another program or a fault does there.

One class for each kind of server, and ``KINDS``: the kinds of stores, each by the fixture that gives the URL of an empty place.
"""

from __future__ import annotations

from base64 import b64encode
from itertools import starmap
from typing import TYPE_CHECKING, Any, ClassVar

from rota.schedulers.plugins import create_plugin
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rota.jobstores.base import BaseJobStore


class Place:
    """An empty place for a store.

    :param url: the store's URL
    :param kind: the name of the kind of store
    """

    #: what a store may be told so that it makes and migrates nothing
    looking: ClassVar[dict[str, Any]] = {"create": False}
    #: what a store needs besides the URL to give up soon when there is no server
    impatient: ClassVar[dict[str, Any]] = {}
    #: what keeps a store apart from one without it
    apart: ClassVar[dict[str, Any]] = {}
    #: where the sizes of its batches stand
    batches: tuple[str, ...] = ()

    def __init__(self, url: str, kind: str) -> None:
        self.url = url
        self.kind = kind
        self.stores: list[BaseJobStore] = []

    def make(self, **options: Any) -> Any:
        """Return a store that has not been started."""
        store = create_plugin("jobstore", self.url, options)
        self.stores.append(store)
        return store

    def open(self, **options: Any) -> Any:
        """Return a started store."""
        store = self.make(**options)
        store.start(None, "default")
        return store

    def open_apart(self) -> Any:
        """Return a started store on the same server that has nothing to do with the others."""
        return self.open(**self.apart)

    def close(self) -> None:
        """Close all stores."""
        for store in self.stores:
            store.shutdown()

    # -- the hand on the data, while a store is open --------------------------------------------------------------

    def contents(self) -> object:
        """Return all that is there, to compare it."""
        raise NotImplementedError

    def squat(self) -> None:
        """Put something of another program where the store would put its own; nothing else is there yet."""
        raise NotImplementedError

    def set_version(self, version: str) -> None:
        """Change the version of the schema."""
        raise NotImplementedError

    def spoil(self, id: str) -> None:
        """Overwrite a job with something that is none."""
        raise NotImplementedError

    def lose_code(self, id: str) -> None:
        """Have a job name a function that does not exist."""
        raise NotImplementedError


class SQLPlace(Place):
    """Tables of a database."""

    apart: ClassVar = {"tablename": "two_jobs"}
    looking: ClassVar = {"create_tables": False}
    batches = ("rota.jobstores.retention.FORGOTTEN", "rota.jobstores.sqlalchemy.runs.BATCH")

    def __init__(self, url: str, kind: str) -> None:
        from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

        super().__init__(url, kind)
        # With its driver, and without a table yet.
        self._store = SQLAlchemyJobStore(url)

    def close(self) -> None:
        super().close()
        self._store.shutdown()

    def _execute(self, statement: str, **values: str) -> None:
        from sqlalchemy import text

        with self._store.engine.begin() as connection:
            connection.execute(text(statement), values)

    def contents(self) -> object:
        from sqlalchemy import MetaData

        found = MetaData()
        found.reflect(self._store.engine)
        with self._store.engine.connect() as connection:
            return {
                name: sorted(map(repr, connection.execute(table.select())))
                for name, table in found.tables.items()
            }

    def squat(self) -> None:
        self._execute("CREATE TABLE rota_jobs (id VARCHAR(9), next_run_time FLOAT, job_state VARCHAR(9))")

    def set_version(self, version: str) -> None:
        self._execute("UPDATE rota_meta SET value = :value WHERE rota_meta.key = 'schema'", value=version)

    def spoil(self, id: str) -> None:
        self._execute("UPDATE rota_jobs SET trigger_spec = '[7', args = 'x' WHERE id = :id", id=id)

    def lose_code(self, id: str) -> None:
        self._execute("UPDATE rota_jobs SET func = 'gone:f' WHERE id = :id", id=id)


class RedisPlace(Place):
    """Keys of a Redis database."""

    apart: ClassVar = {"jobs_key": "two.jobs"}
    batches = ("rota.jobstores.retention.FORGOTTEN",)

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(url, kind)
        self._client = need("redis", "redis").Redis.from_url(url)

    def close(self) -> None:
        super().close()
        self._client.close()

    def contents(self) -> object:
        return {key: self._client.dump(key) for key in self._client.scan_iter()}

    def squat(self) -> None:
        self._client.set("rota.jobs", "mine")

    def set_version(self, version: str) -> None:
        self._client.hset("rota.meta", "schema", version)

    def spoil(self, id: str) -> None:
        self._client.hset("rota.jobs", id, "{not json")

    def lose_code(self, id: str) -> None:
        text = self._client.hget("rota.jobs", id)
        self._client.hset("rota.jobs", id, text.replace(b"rota.testing.contracts.store_jobs:task", b"gone:f"))


class MongoDBPlace(Place):
    """Collections of a MongoDB database."""

    apart: ClassVar = {"collection": "two_jobs"}
    batches = ("rota.jobstores.retention.FORGOTTEN",)
    impatient: ClassVar = {"serverSelectionTimeoutMS": 2000}

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(url, kind)
        self._client = need("pymongo", "mongodb").MongoClient(url)
        self._database = self._client.get_default_database()

    def close(self) -> None:
        super().close()
        self._client.close()

    def contents(self) -> object:
        names = self._database.list_collection_names()
        return {name: sorted(map(repr, self._database[name].find())) for name in names}

    def squat(self) -> None:
        self._database["jobs"].insert_one({"_id": "x", "job_state": b""})

    def set_version(self, version: str) -> None:
        self._database["meta"].update_one({"_id": "schema"}, {"$set": {"version": version}})

    def spoil(self, id: str) -> None:
        self._database["jobs"].update_one({"_id": id}, {"$set": {"args": "{not json"}})

    def lose_code(self, id: str) -> None:
        self._database["jobs"].update_one({"_id": id}, {"$set": {"func": "gone:f"}})


class TreePlace(Place):
    """Keys below a path."""

    batches = ("rota.jobstores.tree.history.BATCH",)

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(url, kind)
        host, _, path = url.partition("://")[2].partition("/")
        self.host, self.path = host, f"/{path}"

    def put(self, key: str, value: str | bytes) -> None:
        """Write a key."""
        raise NotImplementedError

    def get(self, key: str) -> str:
        """Read a key."""
        raise NotImplementedError

    def drop(self, key: str) -> None:
        """Delete a key."""
        raise NotImplementedError

    def known(self) -> dict[str, str]:
        """Return what keys hold, as far as one request tells."""
        return {}

    def write(self, values: Mapping[str, str | bytes | None]) -> None:
        """Write keys, or delete them (None), in as few steps as the server takes."""
        for key, value in values.items():
            if value is None:
                self.drop(key)
            else:
                self.put(key, value)

    def open_apart(self) -> Any:
        store = create_plugin("jobstore", f"{self.url}_two", {})
        self.stores.append(store)
        store.start(None, "default")
        return store

    def squat(self) -> None:
        self.put("somebody", "his data")

    def set_version(self, version: str) -> None:
        self.put("meta", f'{{"format": "rota", "schema": "{version}"}}')

    def spoil(self, id: str) -> None:
        self.put(f"jobs/{id}", "junk")

    def lose_code(self, id: str) -> None:
        self.put(
            f"jobs/{id}", self.get(f"jobs/{id}").replace("rota.testing.contracts.store_jobs:task", "gone:f")
        )


class EtcdPlace(TreePlace):
    """Keys below a path of etcd."""

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(url, kind)
        need("etcd3gw", "etcd")
        from etcd3gw import Etcd3Client

        host, port = self.host.split(":")
        self._client = Etcd3Client(host, int(port))

    def close(self) -> None:
        super().close()
        self._client.session.close()

    def contents(self) -> object:
        return {meta["key"]: value for value, meta in self._client.get_prefix(f"{self.path}/")}

    def known(self) -> dict[str, str]:
        start = len(self.path) + 1
        pairs = self._client.get_prefix(f"{self.path}/")
        return {meta["key"].decode()[start:]: value.decode() for value, meta in pairs}

    def write(self, values: Mapping[str, str | bytes | None]) -> None:
        wanted = list(values.items())
        for begin in range(0, len(wanted), 100):  # a transaction takes 128 operations
            self._client.transaction(
                {"compare": [], "success": list(starmap(self._operation, wanted[begin : begin + 100]))}
            )

    def _operation(self, key: str, value: str | bytes | None) -> dict[str, Any]:
        there = _base64(f"{self.path}/{key}")
        if value is None:
            return {"request_delete_range": {"key": there}}
        return {"request_put": {"key": there, "value": _base64(value)}}

    def put(self, key: str, value: str | bytes) -> None:
        self._client.put(f"{self.path}/{key}", value)

    def get(self, key: str) -> str:
        return str(self._client.get(f"{self.path}/{key}")[0].decode())

    def drop(self, key: str) -> None:
        self._client.delete(f"{self.path}/{key}")


def _base64(value: str | bytes) -> str:
    return b64encode(value.encode() if isinstance(value, str) else value).decode()


class ZooKeeperPlace(TreePlace):
    """Nodes below a path of ZooKeeper."""

    impatient: ClassVar = {"timeout": 0.5}

    def __init__(self, url: str, kind: str) -> None:
        super().__init__(url, kind)
        self._client = need("kazoo.client", "zookeeper").KazooClient(self.host)
        self._no_node = need("kazoo.exceptions", "zookeeper").NoNodeError
        self._client.start()

    def close(self) -> None:
        super().close()
        self._client.stop()
        self._client.close()

    def contents(self) -> object:
        found = {}
        left = [self.path] if self._client.exists(self.path) else []
        while left:
            path = left.pop()
            found[path] = self._client.get(path)[0]
            left += [f"{path}/{name}" for name in self._client.get_children(path)]
        return found

    def put(self, key: str, value: str | bytes) -> None:
        path = f"{self.path}/{key}"
        self._client.ensure_path(path)
        self._client.set(path, value.encode() if isinstance(value, str) else value)

    def write(self, values: Mapping[str, str | bytes | None]) -> None:
        # All are asked for before the first answer is waited for; a key that is not there yet has to be made.
        asked = [(key, value, self._ask(f"{self.path}/{key}", value)) for key, value in values.items()]
        for key, value, answer in asked:
            try:
                answer.get()
            except self._no_node:
                if value is None:
                    raise
                self.put(key, value)

    def _ask(self, path: str, value: str | bytes | None) -> Any:
        if value is None:
            return self._client.delete_async(path)
        return self._client.set_async(path, value.encode() if isinstance(value, str) else value)

    def get(self, key: str) -> str:
        return str(self._client.get(f"{self.path}/{key}")[0].decode())

    def drop(self, key: str) -> None:
        self._client.delete(f"{self.path}/{key}")


KINDS: dict[str, type[Place]] = {
    "sqlite": SQLPlace,
    "postgresql": SQLPlace,
    "mariadb": SQLPlace,
    "redis": RedisPlace,
    "mongodb": MongoDBPlace,
    "etcd": EtcdPlace,
    "zookeeper": ZooKeeperPlace,
}
