"""Servers and processes that die under way, with the MongoDB store: afterwards the ledger adds up.

The server that is stopped and killed is SecantusDB; the store waits for its journal, as it does with mongod.
"""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.crew import Crew, add_jobs, audit, await_ends, client, make_scheduler
from tests.faults.worker import LEASE
from tests.needs import need
from tests.servers import SecantusDB, private

if TYPE_CHECKING:
    from pathlib import Path

need("pymongo", "mongodb")

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace"
    path.touch()
    return path


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_server_that_goes_away_and_comes_back_costs_no_run(trace: Path, fault: str) -> None:
    with private(SecantusDB) as server:
        scheduler = make_scheduler(server.url())
        scheduler.start()
        try:
            ids = add_jobs(scheduler, trace, 60, 3)
            time.sleep(1)
            server.stop() if fault == "restart" else server.kill()
            time.sleep(1)
            server.start()
            runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
            audit(runs, ids, trace)
            assert scheduler.get_jobs() == []
        finally:
            scheduler.shutdown(timeout=5)


def test_processes_that_are_killed_at_random_cost_no_run(mongodb_url: str, trace: Path) -> None:
    looker = client(mongodb_url)
    try:
        with Crew(mongodb_url, trace) as crew:
            crew.hire(4)
            ids = add_jobs(looker, trace, 100, 5)
            for _ in range(4):
                time.sleep(1)
                crew.kill_one()
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            repeated = audit(runs, ids, trace)
            print(f"{repeated} of {len(ids)} runs were begun again by another process")
            assert looker.get_jobs() == []
    finally:
        looker.shutdown()


def test_a_process_that_sleeps_longer_than_its_lease_repeats_nothing(mongodb_url: str, trace: Path) -> None:
    looker = client(mongodb_url)
    try:
        with Crew(mongodb_url, trace) as crew:
            sleeper, _ = crew.hire(2)
            ids = add_jobs(looker, trace, 60, 4)
            time.sleep(1)
            sleeper.send_signal(signal.SIGSTOP)
            time.sleep(LEASE + 1)
            sleeper.send_signal(signal.SIGCONT)
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            audit(runs, ids, trace)
    finally:
        looker.shutdown()
