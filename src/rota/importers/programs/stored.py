"""Where a program keeps its jobs, as far as its text says it: the stores that it makes.

Reads a syntax tree; it connects to nothing.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...jobstores import earlier
from ...masking import masked

if TYPE_CHECKING:
    from .edits import Source

#: Durable stores of APScheduler by class, and by plug-in name.
CLASSES = {
    "SQLAlchemyJobStore": "sqlalchemy",
    "RedisJobStore": "redis",
    "MongoDBJobStore": "mongodb",
    "RethinkDBJobStore": "rethinkdb",
    "ZooKeeperJobStore": "zookeeper",
    "EtcdJobStore": "etcd",
    "DjangoJobStore": "django",
}
_ALIASES = frozenset(("sqlalchemy", "redis", "mongodb", "rethinkdb", "zookeeper", "etcd"))
#: What each calls the table, key or collection of its jobs.
_NAMES = {
    "sqlalchemy": "tablename",
    "redis": "jobs_key",
    "mongodb": "collection",
    "zookeeper": "path",
    "etcd": "path",
}
#: What APScheduler calls them, if nobody says anything.
DEFAULT_NAMES = {
    "sqlalchemy": earlier.TABLES[0],
    "redis": earlier.JOBS_KEY,
    "mongodb": earlier.COLLECTION,
    "zookeeper": earlier.PATH,
    "etcd": earlier.PATH,
}


@dataclass(frozen=True)
class Store:
    """A job store that a program makes.

    :ivar kind: sqlalchemy, redis, mongodb, rethinkdb, zookeeper, etcd or django
    :ivar url: its URL, if the program says it literally
    :ivar name: the table, key, collection or path of its jobs, if the program gives one literally
    """

    line: int
    kind: str
    url: str | None
    name: str | None


def find_stores(tree: ast.Module, source: Source) -> None:
    """Say where a program makes stores in which jobs may be kept."""
    for node in ast.walk(tree):
        store = _store(node)
        if store is None or store.url in ("sqlite://", "sqlite:///:memory:"):
            continue
        for text in said_of(store):
            source.remark(store.line, "stored", text)
        if store.name is not None and store.name == DEFAULT_NAMES.get(store.kind) and store.kind != "mongodb":
            option = _NAMES[store.kind]
            source.remark(
                store.line,
                "look",
                f"{option}={store.name!r} is APScheduler's and will be refused; leave {option} out",
            )


def said_of(store: Store) -> list[str]:
    """Return what is said of a store that a program makes; the command that takes its jobs over comes last."""
    name = store.name if store.name and store.name != DEFAULT_NAMES.get(store.kind) else ""
    if store.kind == "django":
        way = "rota import apscheduler URL --name django_apscheduler_djangojob --to URL"
        return [f"django: its jobs stay where they are, with rota.as_apscheduler; to take them over: {way}"]
    if store.kind == "rethinkdb":
        return [f"{store.kind}: {earlier.BY_EXPORT}"]
    return [f"{store.kind}: {earlier.by_import(masked(store.url) if store.url else 'URL', name)}"]


def _store(node: ast.AST) -> Store | None:
    if isinstance(node, ast.Call):
        called = getattr(node.func, "attr", None) or getattr(node.func, "id", None)
        options = {word.arg: word.value for word in node.keywords if word.arg}
        kind = CLASSES.get(called or "")
        if kind is not None and node.args and kind == "sqlalchemy":
            options.setdefault("url", node.args[0])
        if called == "add_jobstore":
            kind = _text(node.args[0] if node.args else options.get("jobstore"))
            kind = kind if kind in _ALIASES else None
    elif isinstance(node, ast.Dict):
        options = {str(_text(key)): value for key, value in zip(node.keys, node.values, strict=True) if key}
        kind = _text(options.get("type"))
        kind = (
            kind if kind in _ALIASES else CLASSES.get((_text(options.get("class")) or "").rpartition(":")[2])
        )
    else:
        return None
    if kind is None:
        return None
    url = _text(options.get("url"))
    if url is None and kind in ("redis", "mongodb", "zookeeper", "etcd"):
        url = _made_of(kind, options)
    return Store(getattr(node, "lineno", 1), kind, url, _text(options.get(_NAMES.get(kind, ""))))


def _made_of(kind: str, options: dict[str, ast.expr]) -> str:
    """Return the URL of a store that is given by host, port and so on."""
    if kind == "zookeeper":
        hosts = _text(options.get("hosts")) or ("…" if "hosts" in options else "127.0.0.1:2181")
        return f"zookeeper://{hosts}"
    host = _text(options.get("host")) or ("…" if "host" in options else "localhost")
    if kind == "redis":
        return f"redis://{host}:{_number(options.get('port'), 6379)}/{_number(options.get('db'), 0)}"
    if kind == "etcd":
        return f"etcd://{host}:{_number(options.get('port'), 2379)}"
    database = _text(options.get("database")) or ("…" if "database" in options else "apscheduler")
    server = host if "://" in host else f"mongodb://{host}:{_number(options.get('port'), 27017)}"
    return f"{server.rstrip('/')}/{database}"


def _text(node: ast.AST | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _number(node: ast.AST | None, default: int) -> int | str:
    if node is None:
        return default
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else "…"
