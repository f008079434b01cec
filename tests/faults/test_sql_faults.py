"""Servers and processes that die under way, with SQL stores: afterwards the ledger adds up."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.faults.crew import Crew, add_jobs, audit, await_ends, client, make_scheduler
from tests.faults.worker import LEASE
from tests.needs import need
from tests.servers import MariaDB, PostgreSQL, private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.timeout(120)]


@pytest.fixture(params=[PostgreSQL, MariaDB])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A server of the test's own."""
    driver, extra = {PostgreSQL: ("psycopg", "postgresql"), MariaDB: ("pymysql", "mysql")}[request.param]
    need(driver, extra)
    with private(request.param) as server:
        yield server


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_server_that_goes_away_and_comes_back_costs_no_run(server: Any, tmp_path: Path, fault: str) -> None:
    trace = tmp_path / "trace"
    trace.touch()
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


def test_connections_that_are_cut_again_and_again_cost_no_run(postgresql_url: str, tmp_path: Path) -> None:
    psycopg = need("psycopg", "postgresql")
    trace = tmp_path / "trace"
    trace.touch()
    scheduler = make_scheduler(postgresql_url)
    scheduler.start()
    try:
        ids = add_jobs(scheduler, trace, 150, 3)
        with psycopg.connect(postgresql_url, autocommit=True) as admin:
            until = time.monotonic() + 3
            while time.monotonic() < until:
                admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
                time.sleep(0.1)
        runs = await_ends(lambda: scheduler.get_runs(limit=1000), len(ids))
        audit(runs, ids, trace)
    finally:
        scheduler.shutdown(timeout=5)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql_url", "mariadb_url"])
def test_processes_that_are_killed_at_random_cost_no_run(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs'}" if kind == "sqlite" else request.getfixturevalue(kind)
    trace = tmp_path / "trace"
    trace.touch()
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


def test_a_process_that_sleeps_longer_than_its_lease_repeats_nothing(
    postgresql_url: str, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    looker = client(postgresql_url)
    try:
        with Crew(postgresql_url, trace) as crew:
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


def test_a_node_whose_clock_is_wrong_harms_nobody(postgresql_url: str, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.touch()
    looker = client(postgresql_url)
    try:
        with Crew(postgresql_url, trace) as crew:
            for shift in (0, 10, -10):
                crew.hire(1, shift)
            ids = add_jobs(looker, trace, 100, 4)
            runs = await_ends(lambda: looker.get_runs(limit=10_000), len(ids))
            assert audit(runs, ids, trace) == 0, "a living node's run was taken over"
    finally:
        looker.shutdown()
