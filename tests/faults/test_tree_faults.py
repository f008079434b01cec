"""The faults of processes, servers, connections and sessions, with etcd and ZooKeeper: the ledger adds up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from rota.schedulers.background import BackgroundScheduler
from tests.faults.contract import ServerFaultContract
from tests.faults.crew import LEASE, Crew, wait_until
from tests.faults.proxy import Proxy
from tests.needs import need
from tests.servers import Etcd, ZooKeeper

if TYPE_CHECKING:
    from pathlib import Path


class TestEtcdFaults(ServerFaultContract):
    kind = Etcd

    @pytest.fixture
    def server(self, etcd_server: Etcd) -> Etcd:
        return etcd_server

    @pytest.fixture
    def url(self, etcd_url: str) -> str:
        return etcd_url


class TestZooKeeperFaults(ServerFaultContract):
    kind = ZooKeeper

    @pytest.fixture
    def server(self, zookeeper_server: ZooKeeper) -> ZooKeeper:
        return zookeeper_server

    @pytest.fixture
    def url(self, zookeeper_url: str) -> str:
        return zookeeper_url

    @pytest.mark.slow
    def test_a_session_that_expired_costs_no_run(self, url: str, server: ZooKeeper, tmp_path: Path) -> None:
        need("kazoo", "zookeeper")
        from rota.jobstores.zookeeper import ZooKeeperJobStore

        path = "/" + url.rpartition("/")[2]
        with Proxy(server.port) as proxy, Crew(url, tmp_path) as crew:
            store = ZooKeeperJobStore(path, hosts=f"127.0.0.1:{proxy.port}", timeout=2)
            scheduler = BackgroundScheduler(
                jobstores={"default": store}, lease=LEASE, jobstore_retry_interval=0.5
            )
            scheduler.start()
            try:
                session = store.client.client_id
                crew.add_mixture(100, 4)
                crew.ceased = None
                crew.wait_for("begin", 5)
                proxy.block()
                time.sleep(5)
                proxy.unblock()
                print(crew.settle())
                assert store.client.client_id != session, "the session has not expired"
                wait_until(lambda: store.poll_interval == 10, "the store to hear in its new session")
            finally:
                scheduler.shutdown(timeout=5)
