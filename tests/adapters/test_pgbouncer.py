"""PostgreSQL behind PgBouncer in transaction mode: each transaction may meet another connection of the server's."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import SECOND, SYSTEM_CLOCK
from rota.core.states import SUCCEEDED
from rota.errors import StoreError
from rota.events import EVENT_SCHEDULER_DEGRADED
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.store_jobs import make_job
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 30


@pytest.fixture
def stores(pgbouncer_url: str) -> Iterator[list[Any]]:
    need("psycopg", "postgresql")
    made = [SQLAlchemyJobStore(pgbouncer_url, tablename="rota_jobs") for _ in range(2)]
    yield made
    for store in made:
        store.shutdown()


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.02)


def test_two_processes_run_many_jobs_and_never_fail(stores: list[Any]) -> None:
    """What the driver prepares on its own after five uses is not there on the connection of the next transaction."""
    degraded: list[Any] = []
    schedulers = [BackgroundScheduler(jobstores={"default": store}) for store in stores]
    for scheduler in schedulers:
        scheduler.add_listener(degraded.append, EVENT_SCHEDULER_DEGRADED)
        scheduler.start()
    try:
        # One by one and spread over some seconds: many short transactions, each of the same statements.
        for number in range(60):
            schedulers[number % 2].add_job(int, "date", run_date=None, id=f"job {number}")
        schedulers[0].add_job(int, "interval", seconds=0.05, id="often", max_instances=5)

        def ended() -> int:
            return len(stores[0].get_runs(status=SUCCEEDED, limit=1000))

        wait_until(lambda: ended() >= 100, "a hundred runs have ended")
        wait_until(
            lambda: {f"job {n}" for n in range(60)} <= {run.job_id for run in stores[0].get_runs(limit=1000)},
            "all ran",
        )
    finally:
        for scheduler in schedulers:
            scheduler.shutdown()
    assert [event.error for event in degraded] == []


def test_what_others_add_is_noticed_by_a_look_each_second(
    stores: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing comes through a LISTEN there, and the store says so once."""
    before = set(threading.enumerate())
    scheduler = BackgroundScheduler(jobstores={"default": stores[0]})
    caplog.set_level("INFO", "rota")
    scheduler.start()
    try:
        wait_until(lambda: "polled for" in caplog.text, "it has noticed that it cannot listen")
        assert stores[0].poll_interval == type(stores[0]).poll_interval
        assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "rota-listen"]
        other = stores[1]
        other.start(None, "default")
        other.add_job(make_job("elsewhere", SYSTEM_CLOCK.now()))
        began = SYSTEM_CLOCK.monotonic()
        wait_until(lambda: other.get_runs("elsewhere"), "it has run")
        assert SYSTEM_CLOCK.monotonic() - began < 8 * SECOND
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize("prepares", [False, True])
def test_an_engine_of_the_application_stays_as_it_is_and_the_error_says_what_to_change(
    pgbouncer_url: str, prepares: bool
) -> None:
    from sqlalchemy import create_engine

    url = pgbouncer_url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url, connect_args={} if prepares else {"prepare_threshold": None})
    store = SQLAlchemyJobStore(engine=engine)
    store.start(None, "default")
    try:
        job = make_job()
        store.add_job(job)
        for _ in range(
            10
        ):  # all on one connection of the server's, and prepared there: it is told to forget by a rollback only
            store.update_job(job)
        with need("psycopg", "postgresql").connect(pgbouncer_url) as other:
            other.execute("SELECT 1")  # takes that connection until its transaction ends
            if prepares:
                with pytest.raises(StoreError, match="'prepare_threshold': None"):
                    store.update_job(job)
            else:
                store.update_job(job)
    finally:
        store.shutdown()
        engine.dispose()
