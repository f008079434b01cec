"""The contract suite of job stores, on etcd and ZooKeeper."""

from __future__ import annotations

import pytest

from tests.contracts.at_url import StoreAtURL


class TestEtcd(StoreAtURL):
    claims_look = False

    @pytest.fixture
    def url(self, etcd_url: str) -> str:
        return etcd_url


class TestZooKeeper(StoreAtURL):
    claims_look = False
    bounds = (*StoreAtURL.bounds, "rota.jobstores.zookeeper.server.FOLDERS_KNOWN")

    @pytest.fixture
    def url(self, zookeeper_url: str) -> str:
        return zookeeper_url
