"""The simulation on the real servers of the stores on trees, etcd and ZooKeeper: the ledger adds up there too.

``ROTA_SERVER_SEEDS=2000`` simulates more seeds.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rota.testing.simulation import Violation, simulate
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable

    from rota.jobstores.tree import TreeJobStore

SEEDS = int(os.environ.get("ROTA_SERVER_SEEDS", "16"))


def etcd(server: Any, path: str, client: Any) -> TreeJobStore:
    """Return a store on a real server, with a client of its own if there is none yet."""
    need("etcd3gw", "etcd")
    from rota.jobstores.etcd import EtcdJobStore

    return EtcdJobStore(path, client, port=server.port, keep_runs=None, keep_days=None)


def zookeeper(server: Any, path: str, client: Any) -> TreeJobStore:
    """Return a store on a real server, with a client of its own if there is none yet."""
    need("kazoo", "zookeeper")
    from rota.jobstores.zookeeper import ZooKeeperJobStore

    return ZooKeeperJobStore(path, client, hosts=server.hosts, keep_runs=None, keep_days=None)


@pytest.mark.timeout(60 + 10 * SEEDS)
@pytest.mark.parametrize("open_store", [etcd, zookeeper])
def test_several_nodes_on_a_real_tree_lose_nothing_and_double_nothing(
    request: pytest.FixtureRequest, open_store: Callable[..., TreeJobStore]
) -> None:
    server = request.getfixturevalue(f"{open_store.__name__}_server")
    first = open_store(server, f"/simulation{os.getpid()}", None)
    first.start(None, "first")
    client = first.client  # type: ignore[attr-defined]  # both have one

    def make(seed: int) -> TreeJobStore:
        store = open_store(server, f"/simulation{os.getpid()}.{seed}", client)
        store.on_wake = lambda wake: None  # the seed decides who does something
        return store

    try:
        for seed in range(SEEDS):
            observer = make(seed)
            observer.start(None, "observer")
            try:
                simulate(seed, partial(make, seed), observer)
            except Violation as violation:
                pytest.fail(f"seed {seed}: {violation}", pytrace=False)
            finally:
                observer.shutdown()
    finally:
        first.shutdown()
