"""A ZooKeeper whose data were removed under a store that goes on: it is reached again, and says what has happened."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from rota.errors import StoreReplacedError, StoreUnavailableError
from rota.jobstores.zookeeper import ZooKeeperJobStore
from rota.testing.contracts.store_jobs import make_job
from tests.faults.troubles import Folder
from tests.needs import need
from tests.servers import ZooKeeper, private

need("kazoo", "zookeeper")

pytestmark = [pytest.mark.server, pytest.mark.timeout(90)]


def test_a_store_reaches_an_ensemble_that_has_seen_less_than_itself(tmp_path: Path) -> None:
    with private(ZooKeeper) as server:
        store = ZooKeeperJobStore(hosts=f"127.0.0.1:{server.port}", timeout=2.0)
        store.start(None, "default")
        try:
            store.add_job(make_job())
            Folder(server, tmp_path).empty()
            until = time.monotonic() + 60
            while True:  # the store itself waits for some seconds each time
                try:
                    store.renew("node", store.now(), 10_000_000)
                    break
                except StoreUnavailableError:
                    assert time.monotonic() < until, "it never reached the emptied ensemble"
                except StoreReplacedError:
                    break
            assert store.lookup_job("job") is None
        finally:
            store.shutdown()
