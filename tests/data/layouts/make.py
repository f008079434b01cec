"""Makes the dumps of older layouts that the tests of the migrations read, with the Rota that is on the path.

    PYTHONPATH=…/src:… python -m tests.data.layouts.make KIND VERSION

Those of versions 2 and 3 were made by the last commit that wrote it, those of version 1 by the parent of the commit that introduced
version 2. SQL dumps are those of the databases' own tools; the others are JSON.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rota.core.plan import plan, quarantine
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.store_jobs import LEASE, NODE, OTHER, START, claim, finish, make_job
from tests.adapters import dumps
from tests.servers import Etcd, MariaDB, PostgreSQL, Redis, SecantusDB, ZooKeeper, private

if TYPE_CHECKING:
    from rota.jobstores.base import BaseJobStore

HERE = Path(__file__).parent


def fill(store: BaseJobStore) -> None:
    """Put into a store one of each: what was there and must be there after a migration."""
    for id, every in (("hourly", 60), ("once", None)):
        store.add_job(make_job(id, every=every, name=f"the {id} job", args=(1, "é")))
    finish(store, claim(store))
    store.add_job(make_job("broken"))
    (job,) = store.due(START, {"default": 10})
    store.claim([quarantine(job, "its code is gone")], NODE, START)
    store.add_job(make_job("given back"))
    store.renew(OTHER, START, LEASE)
    (job,) = store.due(START, {"default": 10})
    store.leave(OTHER, store.claim([plan(job, START)], OTHER, START)[0].runs, START)
    store.add_job(make_job("busy"))
    claim(store)
    store.add_job(make_job("paused", due=None))


def main(kind: str, version: str) -> None:
    """Write the dump of one kind of store."""
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            write(kind, version, f"sqlite:///{folder}/jobs.sqlite")
        return
    server_kind = {
        "postgresql": PostgreSQL,
        "mariadb": MariaDB,
        "redis": Redis,
        "mongodb": SecantusDB,
        "etcd": Etcd,
        "zookeeper": ZooKeeper,
    }[kind]
    with private(server_kind) as server:
        if kind == "mariadb":
            dumps.run("mariadb", *dumps.mariadb(server.url("mysql")), text="CREATE DATABASE rota")
        url = server.url(*{"mariadb": ["rota"], "etcd": ["rota"], "zookeeper": ["rota"]}.get(kind, []))
        write(kind, version, f"{url}?journal=false" if kind == "mongodb" else url)


def write(kind: str, version: str, url: str) -> None:
    """Fill a store, and write its dump."""
    store = create_plugin("jobstore", url, {})
    store.start(None, "default")
    fill(store)
    store.shutdown()
    dumps.path_of(kind, version).write_text(dumps.dump(kind, url))


if __name__ == "__main__":
    main(*sys.argv[1:])
