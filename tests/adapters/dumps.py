"""Dumps of what durable stores keep, and how they are put back: as administrators do it, or as near to it as a test gets.

Knows the databases' own tools and clients.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.needs import need
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = Path(__file__).parents[1] / "data" / "layouts"


def path_of(kind: str, version: str | int) -> Path:
    """Return the file of the dump of a kind of store in a version of its layout."""
    return DATA / f"{kind}-{version}.{'sql' if kind in ('sqlite', 'postgresql', 'mariadb') else 'json'}"


def written(kind: str, version: str | int) -> str:
    """Return what a version of the layout wrote, with the place where the function of its jobs is now."""
    return (
        path_of(kind, version)
        .read_text()
        .replace("rota.testing.contract_jobs:", "rota.testing.contracts.store_jobs:")
    )


def dump(kind: str, url: str) -> str:
    """Return what is at a URL as text."""
    return _KINDS[kind][0](url)


def load(kind: str, url: str, text: str) -> None:
    """Put such a text back at an empty place."""
    _KINDS[kind][1](url, text)


def empty(kind: str, url: str) -> None:
    """Remove all that is at a URL, while stores have it open."""
    _KINDS[kind][2](url)


# --------------------------------------------------------------------------------------------------------- databases


def _empty_tables(url: str) -> None:
    from sqlalchemy import MetaData

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore(url)  # knows the driver
    found = MetaData()
    found.reflect(store.engine)
    found.drop_all(store.engine)
    store.engine.dispose()


def _dump_sqlite(url: str) -> str:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    try:
        return "\n".join(connection.iterdump()) + "\n"
    finally:
        connection.close()


def _load_sqlite(url: str, text: str) -> None:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(text)
    connection.close()


def _dump_postgresql(url: str) -> str:
    text = run("pg_dump", "--inserts", "--no-owner", "--no-privileges", f"--dbname={url}")
    return "".join(line for line in text.splitlines(True) if not line.startswith("\\"))


def _load_postgresql(url: str, text: str) -> None:
    psycopg = need("psycopg", "postgresql")
    with psycopg.connect(url) as connection:
        connection.execute(text)


def _dump_mariadb(url: str) -> str:
    return run("mariadb-dump", *mariadb(url))


def _load_mariadb(url: str, text: str) -> None:
    run("mariadb", *mariadb(url), text=text)


def mariadb(url: str) -> list[str]:
    """Return the options that lead its programs to a database."""
    parts = urlsplit(url)
    return ["--no-defaults", "--host=127.0.0.1", f"--port={parts.port}", "--user=root", parts.path.strip("/")]


def run(program: str, *arguments: str, text: str | None = None) -> str:
    """Run a program of a database, and return what it writes."""
    done = subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ------------------------------------------------------------------------------------------------------------- others


def _dump_redis(url: str) -> str:
    with need("redis", "redis").Redis.from_url(url, decode_responses=True) as client:
        found: dict[str, Any] = {}
        for key in sorted(client.scan_iter()):
            kind = client.type(key)
            if kind == "hash":
                found[key] = ["hash", client.hgetall(key)]
            elif kind == "set":
                found[key] = ["set", sorted(client.smembers(key))]
            else:
                found[key] = ["zset", client.zrange(key, 0, -1, withscores=True)]
    return _json(found)


def _empty_redis(url: str) -> None:
    with need("redis", "redis").Redis.from_url(url) as client:
        client.flushdb()


def _load_redis(url: str, text: str) -> None:
    with need("redis", "redis").Redis.from_url(url) as client:
        for key, (kind, content) in json.loads(text).items():
            if kind == "hash":
                client.hset(key, mapping=content)
            elif kind == "set":
                client.sadd(key, *content)
            else:
                client.zadd(key, dict(content))


def _dump_mongodb(url: str) -> str:
    from bson import json_util

    with need("pymongo", "mongodb").MongoClient(url) as client:
        database = client.get_default_database()
        found = {name: list(database[name].find()) for name in sorted(database.list_collection_names())}
    return _json(json.loads(json_util.dumps(found, json_options=json_util.CANONICAL_JSON_OPTIONS)))


def _empty_mongodb(url: str) -> None:
    with need("pymongo", "mongodb").MongoClient(url) as client:
        client.drop_database(client.get_default_database().name)


def _load_mongodb(url: str, text: str) -> None:
    from bson import json_util

    with need("pymongo", "mongodb").MongoClient(url) as client:
        database = client.get_default_database()
        for name, documents in json_util.loads(text).items():
            if documents:
                database[name].insert_many(documents)


def _dump_etcd(url: str) -> str:
    client, path = _etcd(url)
    found = {meta["key"].decode(): value.decode() for value, meta in client.get_prefix(f"{path}/")}
    return _json({key.removeprefix(f"{path}/"): value for key, value in sorted(found.items())})


def _empty_etcd(url: str) -> None:
    client, path = _etcd(url)
    client.delete_prefix(f"{path}/")


def _load_etcd(url: str, text: str) -> None:
    client, path = _etcd(url)
    for key, value in json.loads(text).items():
        client.put(f"{path}/{key}", value.encode())


def _etcd(url: str) -> tuple[Any, str]:
    need("etcd3gw", "etcd")
    from etcd3gw import Etcd3Client

    parts = urlsplit(url)
    return Etcd3Client(present(parts.hostname), present(parts.port)), parts.path


def _dump_zookeeper(url: str) -> str:
    def work(client: Any, path: str) -> str:
        found = {}
        left = [path] if client.exists(path) else []
        while left:
            node = left.pop()
            found[node.removeprefix(path)] = client.get(node)[0].decode()
            left += [f"{node}/{name}" for name in client.get_children(node)]
        return _json(dict(sorted(found.items())))

    return _in_zookeeper(url, work)


def _empty_zookeeper(url: str) -> None:
    def work(client: Any, path: str) -> str:
        client.delete(path, recursive=True)
        return ""

    _in_zookeeper(url, work)


def _load_zookeeper(url: str, text: str) -> None:
    def work(client: Any, path: str) -> str:
        for node, value in json.loads(text).items():
            client.ensure_path(f"{path}{node}")
            client.set(f"{path}{node}", value.encode())
        return ""

    _in_zookeeper(url, work)


def _in_zookeeper(url: str, work: Callable[[Any, str], str]) -> str:
    hosts, _, path = url.partition("://")[2].partition("/")
    client = need("kazoo.client", "zookeeper").KazooClient(hosts)
    client.start()
    try:
        return work(client, f"/{path}")
    finally:
        client.stop()
        client.close()


def _json(content: object) -> str:
    return json.dumps(content, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


_KINDS: dict[str, tuple[Callable[[str], str], Callable[[str, str], None], Callable[[str], None]]] = {
    "sqlite": (_dump_sqlite, _load_sqlite, _empty_tables),
    "postgresql": (_dump_postgresql, _load_postgresql, _empty_tables),
    "mariadb": (_dump_mariadb, _load_mariadb, _empty_tables),
    "redis": (_dump_redis, _load_redis, _empty_redis),
    "mongodb": (_dump_mongodb, _load_mongodb, _empty_mongodb),
    "etcd": (_dump_etcd, _load_etcd, _empty_etcd),
    "zookeeper": (_dump_zookeeper, _load_zookeeper, _empty_zookeeper),
}
