"""Servers, connections and processes that die under way, with etcd and ZooKeeper: afterwards the ledger adds up."""

from __future__ import annotations

import signal
import time
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.crew import Crew, add_jobs, audit, await_ends, client, make_scheduler
from tests.faults.proxy import Proxy
from tests.faults.worker import LEASE
from tests.needs import need
from tests.servers import Etcd, ZooKeeper, private

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.timeout(120)]

_numbers = count(1)
SCHEMES = {"etcd": ("etcd3gw", Etcd), "zookeeper": ("kazoo", ZooKeeper)}


@pytest.fixture(params=SCHEMES)
def scheme(request: pytest.FixtureRequest) -> str:
    """Each kind of store, by the scheme of its URLs."""
    need(SCHEMES[request.param][0], request.param)
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, scheme: str) -> Any:
    """A server that other tests use too."""
    return request.getfixturevalue(f"{scheme}_server")


@pytest.fixture
def url(scheme: str, server: Any) -> str:
    """A path of this test on it."""
    return f"{scheme}://127.0.0.1:{server.port}/faults{next(_numbers)}"


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace"
    path.touch()
    return path


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_server_that_goes_away_and_comes_back_costs_no_run(scheme: str, trace: Path, fault: str) -> None:
    with private(SCHEMES[scheme][1]) as server:
        scheduler = make_scheduler(f"{scheme}://127.0.0.1:{server.port}/rota")
        scheduler.start()
        try:
            ids = add_jobs(scheduler, trace, 100, 3)
            time.sleep(1)
            server.stop() if fault == "restart" else server.kill()
            time.sleep(1)
            server.start()
            runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
            audit(runs, ids, trace)
            assert scheduler.get_jobs() == []
        finally:
            scheduler.shutdown(timeout=5)


def test_connections_that_are_cut_again_and_again_cost_no_run(scheme: str, server: Any, trace: Path) -> None:
    with Proxy(server.port) as proxy:
        scheduler = make_scheduler(f"{scheme}://127.0.0.1:{proxy.port}/faults{next(_numbers)}")
        scheduler.start()
        try:
            ids = add_jobs(scheduler, trace, 150, 3)
            until = time.monotonic() + 3
            while time.monotonic() < until:
                proxy.cut()
                time.sleep(0.2)
            runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
            audit(runs, ids, trace)
        finally:
            scheduler.shutdown(timeout=5)


@pytest.mark.slow
def test_a_session_that_expired_costs_no_run(zookeeper_server: Any, trace: Path) -> None:
    need("kazoo", "zookeeper")
    from rota.jobstores.zookeeper import ZooKeeperJobStore

    with Proxy(zookeeper_server.port) as proxy:
        store = ZooKeeperJobStore(f"/faults{next(_numbers)}", hosts=f"127.0.0.1:{proxy.port}", timeout=2)
        scheduler = make_scheduler(store)
        scheduler.start()
        try:
            session = store.client.client_id
            ids = add_jobs(scheduler, trace, 100, 4)
            time.sleep(0.5)
            proxy.block()
            time.sleep(5)
            proxy.unblock()
            runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
            audit(runs, ids, trace)
            assert store.client.client_id != session, "the session has not expired"
            deadline = time.monotonic() + 10
            while store.poll_interval != 10:
                assert time.monotonic() < deadline, "the store hears nothing in its new session"
                time.sleep(0.05)
        finally:
            scheduler.shutdown(timeout=5)


def test_processes_that_are_killed_at_random_cost_no_run(url: str, trace: Path) -> None:
    looker = client(url)
    try:
        with Crew(url, trace) as crew:
            crew.hire(4)
            ids = add_jobs(looker, trace, 200, 5)
            for _ in range(4):
                time.sleep(1)
                crew.kill_one()
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            repeated = audit(runs, ids, trace)
            print(f"{repeated} of {len(ids)} runs were begun again by another process")
            assert looker.get_jobs() == []
    finally:
        looker.shutdown()


def test_a_process_that_sleeps_longer_than_its_lease_repeats_nothing(url: str, trace: Path) -> None:
    looker = client(url)
    try:
        with Crew(url, trace) as crew:
            sleeper, _ = crew.hire(2)
            ids = add_jobs(looker, trace, 100, 4)
            time.sleep(1)
            sleeper.send_signal(signal.SIGSTOP)
            time.sleep(LEASE + 1)
            sleeper.send_signal(signal.SIGCONT)
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            audit(runs, ids, trace)
    finally:
        looker.shutdown()


def test_a_node_whose_clock_is_wrong_harms_nobody(url: str, trace: Path) -> None:
    looker = client(url)
    try:
        with Crew(url, trace) as crew:
            for shift in (0, 10, -10):
                crew.hire(1, shift)
            ids = add_jobs(looker, trace, 100, 4)
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            assert audit(runs, ids, trace) == 0, "a living node's run was taken over"
    finally:
        looker.shutdown()
