"""Servers and processes that die under way, with the Redis store: afterwards the ledger adds up."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.crew import Crew, add_jobs, audit, await_ends, client, make_scheduler
from tests.faults.worker import LEASE
from tests.needs import need
from tests.servers import Redis, private

if TYPE_CHECKING:
    from pathlib import Path

redis = need("redis", "redis")

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace"
    path.touch()
    return path


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_server_that_goes_away_and_comes_back_costs_no_run(trace: Path, fault: str) -> None:
    with private(Redis) as server:
        scheduler = make_scheduler(server.url())
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


def test_connections_that_are_cut_again_and_again_cost_no_run(redis_url: str, trace: Path) -> None:
    scheduler = make_scheduler(redis_url)
    scheduler.start()
    try:
        ids = add_jobs(scheduler, trace, 150, 3)
        with redis.Redis.from_url(redis_url) as admin:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                for kind in ("normal", "pubsub"):
                    admin.client_kill_filter(_type=kind, skipme=True)
                time.sleep(0.05)
        runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
        audit(runs, ids, trace)
    finally:
        scheduler.shutdown(timeout=5)


def test_a_server_that_forgets_its_scripts_costs_no_run(redis_url: str, trace: Path) -> None:
    scheduler = make_scheduler(redis_url)
    scheduler.start()
    try:
        ids = add_jobs(scheduler, trace, 50, 1)
        with redis.Redis.from_url(redis_url) as admin:
            until = time.monotonic() + 1
            while time.monotonic() < until:
                admin.script_flush()
                time.sleep(0.01)
        runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
        assert audit(runs, ids, trace) == 0
    finally:
        scheduler.shutdown(timeout=5)


def test_processes_that_are_killed_at_random_cost_no_run(redis_url: str, trace: Path) -> None:
    looker = client(redis_url)
    try:
        with Crew(redis_url, trace) as crew:
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


def test_a_process_that_sleeps_longer_than_its_lease_repeats_nothing(redis_url: str, trace: Path) -> None:
    looker = client(redis_url)
    try:
        with Crew(redis_url, trace) as crew:
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


def test_a_node_whose_clock_is_wrong_harms_nobody(redis_url: str, trace: Path) -> None:
    looker = client(redis_url)
    try:
        with Crew(redis_url, trace) as crew:
            for shift in (0, 10, -10):
                crew.hire(1, shift)
            ids = add_jobs(looker, trace, 100, 4)
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            assert audit(runs, ids, trace) == 0, "a living node's run was taken over"
    finally:
        looker.shutdown()
