"""The contract suite of job stores, on etcd and ZooKeeper."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rota.testing import SharedJobStoreContract
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore

_numbers = count(1)


class TestEtcd(SharedJobStoreContract):
    """Store objects of their own connections on a path of a server."""

    @pytest.fixture
    def make_store(self, etcd_server: Any) -> Iterator[Callable[[], BaseJobStore]]:
        need("etcd3gw", "etcd")
        from rota.jobstores.etcd import EtcdJobStore

        host, port = etcd_server.address
        path = f"/contract{next(_numbers)}"
        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = EtcdJobStore(path, host=host, port=port)
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()


class TestZooKeeper(SharedJobStoreContract):
    """Store objects of their own connections on a path of a server."""

    @pytest.fixture
    def make_store(self, zookeeper_server: Any) -> Iterator[Callable[[], BaseJobStore]]:
        need("kazoo", "zookeeper")
        from rota.jobstores.zookeeper import ZooKeeperJobStore

        path = f"/contract{next(_numbers)}"
        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store = ZooKeeperJobStore(path, hosts=zookeeper_server.hosts)
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()
