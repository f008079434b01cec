"""A server that goes away costs its own jobs only: those of other stores go on, ``health()`` says it, and it comes back."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rota.events import EVENT_SCHEDULER_DEGRADED, EVENT_SCHEDULER_RECOVERED
from rota.schedulers.background import BackgroundScheduler
from tests.faults.crew import wait_until
from tests.needs import need
from tests.servers import PostgreSQL, Redis, private

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.process import Server

need("sqlalchemy", "sql")

pytestmark = [pytest.mark.timeout(120), pytest.mark.server]

#: how often the job of each store has run, by the name of the test's store
RAN: Counter[str] = Counter()
_counting = threading.Lock()


def count(name: str) -> None:
    """Be the job of a store."""
    with _counting:
        RAN[name] += 1


def wait_for_runs(name: str, more: int = 5) -> None:
    """Wait until the job of a store has run some times more."""
    before = RAN[name]
    wait_until(lambda: RAN[name] >= before + more, f"{more} more runs of {name}")


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
@pytest.mark.parametrize("kind", [PostgreSQL, Redis])
def test_a_server_that_is_away_costs_no_job_of_another_store(
    kind: type[Server], kill: bool, tmp_path: Path
) -> None:
    told: list[tuple[int, str]] = []
    with private(kind) as server:
        stores = {"server": server.url(), "file": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}
        scheduler = BackgroundScheduler(
            jobstores=stores, timezone="UTC", lease=60, jobstore_retry_interval=0.5, logger="quiet"
        )
        scheduler.add_listener(
            lambda event: told.append((event.code, event.alias)),
            EVENT_SCHEDULER_DEGRADED | EVENT_SCHEDULER_RECOVERED,
        )

        def store(alias: str) -> dict[str, Any]:
            found: dict[str, Any] = scheduler.health()["stores"][alias]
            return found

        RAN.clear()
        for alias in stores:
            scheduler.add_job(
                count, "interval", seconds=0.05, args=(alias,), id=f"job in {alias}", jobstore=alias
            )
        scheduler.start()
        try:
            for alias in stores:
                wait_for_runs(alias)
            server.kill() if kill else server.stop()
            wait_until(lambda: not store("server")["ok"], "health() to say that the server is away")
            ran = RAN["server"]
            wait_for_runs("file", 20)
            assert store("server")["error"]
            assert (store("file")["ok"], store("file")["error"]) == (True, None)
            assert scheduler.health()["alive"]
            # What had been claimed before may end; nothing more is claimed.
            assert RAN["server"] <= ran + 1
            server.start()
            wait_until(lambda: store("server")["ok"], "health() to say that the server is back")
            for alias in stores:
                wait_for_runs(alias)
            assert told[0] == (EVENT_SCHEDULER_DEGRADED, "server")
            assert told[-1] == (EVENT_SCHEDULER_RECOVERED, "server")
            assert {alias for _, alias in told} == {"server"}
            for alias in stores:
                runs = [run for run in scheduler.get_runs(f"job in {alias}", limit=10_000) if run.ended]
                assert len({run.nominal for run in runs}) == len(runs)
                assert {run.status for run in runs} <= {"succeeded", "skipped"}
        finally:
            scheduler.shutdown()
