"""What servers count and refuse: their transactions do not see what others have not committed yet."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from rota.clock import DAY, SECOND
from rota.core.states import ACTIVE, QUARANTINED, SKIPPED, succeed
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.jobstores.sqlalchemy.forms import new_row
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import START, claim, make_job, running, task
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from rota.core.run import Run


#: MariaDB shows its transactions as they were the last time, while it is asked again within a tenth of a second (seconds).
REFRESHED = 0.15


@pytest.fixture(params=["postgresql_url", "mariadb_url"])
def stores(request: pytest.FixtureRequest) -> Iterator[tuple[SQLAlchemyJobStore, SQLAlchemyJobStore]]:
    """Two stores on one empty database, on each server."""
    url = request.getfixturevalue(request.param)
    both = SQLAlchemyJobStore(url), SQLAlchemyJobStore(url)
    for store in both:
        store.start(None, "default")
    yield both
    for store in both:
        store.shutdown()


def waits_for_a_lock(store: SQLAlchemyJobStore) -> bool:
    """Whether somebody waits for a row that somebody else has locked."""
    with store.engine.connect() as conn:
        if conn.dialect.name == "postgresql":
            asked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        else:
            asked = "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
        return bool(conn.exec_driver_sql(asked).scalar_one())


def while_open(
    store: SQLAlchemyJobStore, first: Callable[[Connection], object], second: Callable[[], object]
) -> None:
    """Do something in a transaction that is committed when another thread's work waits for it, or is done."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            second()
        except BaseException as exc:
            failures.append(exc)

    with store.engine.connect() as conn:
        with conn.begin():
            first(conn)
            thread = threading.Thread(target=work)
            thread.start()
            until = time.monotonic() + 20
            while thread.is_alive() and not waits_for_a_lock(store):
                assert time.monotonic() < until, "the other transaction neither waited nor ended"
                thread.join(REFRESHED)
        thread.join(20)
    assert not thread.is_alive()
    assert failures == []


def ended(run: Run) -> Run:
    """Return a run with its end."""
    run.started_at = START
    succeed(run, None, START + SECOND)
    return run


Stores = tuple[SQLAlchemyJobStore, SQLAlchemyJobStore]


@pytest.fixture(params=["together", "alone"])
def add(request: pytest.FixtureRequest) -> Callable[[SQLAlchemyJobStore], None]:
    """Add the job in each way in which jobs are added."""

    def alone(store: SQLAlchemyJobStore) -> None:
        store.add_job(make_job())

    def together(store: SQLAlchemyJobStore) -> None:
        store.add_jobs([make_job(), make_job("other")])

    return alone if request.param == "alone" else together


def test_a_job_that_is_added_again_does_not_count_a_run_whose_end_is_committed_late(
    stores: Stores, add: Callable[[SQLAlchemyJobStore], None]
) -> None:
    here, there = stores
    here.add_job(make_job())
    (run,) = claim(here)
    there.remove_job("job")
    while_open(
        here,
        lambda conn: here._runs.finish(conn, [ended(run)], START + SECOND),
        lambda: add(there),
    )
    assert running(there) == 0


def test_a_run_that_ends_while_its_job_is_being_added_again_is_counted_down(stores: Stores) -> None:
    here, there = stores
    here.add_job(make_job())
    (run,) = claim(here)
    there.remove_job("job")
    row = new_row(make_job(), there._format, START)
    while_open(
        there,
        lambda conn: there._jobs.insert(conn, row),
        lambda: here.finish([ended(run)], START + SECOND),
    )
    assert running(there) == 0


def test_a_job_that_replaces_one_does_not_count_a_run_whose_end_is_committed_late(stores: Stores) -> None:
    here, there = stores
    here.add_job(make_job())
    (run,) = claim(here)
    while_open(
        here,
        lambda conn: here._runs.finish(conn, [ended(run)], START + SECOND),
        lambda: there.add_jobs([make_job()], replace=lambda job, stored: None),
    )
    assert running(there) == 0


def test_an_interval_of_a_millisecond_is_claimed_after_a_month(stores: Stores) -> None:
    store, _ = stores
    store.add_job(make_job(every=0.001))  # type: ignore[arg-type]
    (run,) = claim(store, START + 40 * DAY)
    (merged,) = store.get_runs(status=SKIPPED)
    assert merged.count == 40 * 86_400 * 1000
    assert run.nominal == START + 40 * DAY


def test_a_job_whose_claim_the_database_refuses_is_quarantined_and_its_neighbours_run(
    stores: Stores,
) -> None:
    """An administrator has added a condition, as one of many reasons for which a server takes no row."""
    store, _ = stores
    with store.engine.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE rota_runs ADD CHECK (job_id <> 'refused')")
    scheduler = ManualScheduler(
        clock=VirtualClock(START), jobstores={"default": SQLAlchemyJobStore(engine=store.engine)}
    )
    scheduler.start()
    for id in ("first", "refused", "second"):
        scheduler.add_job(task, "interval", seconds=10, id=id)
    scheduler.advance(seconds=20)
    states = {job.id: job.state for job in scheduler.get_jobs()}
    assert states == {"first": ACTIVE, "refused": QUARANTINED, "second": ACTIVE}
    assert "refuses its claim" in (present(scheduler.get_job("refused")).error or "")
    assert sorted(run.job_id for run in scheduler.get_runs()) == ["first", "first", "second", "second"]
    assert scheduler.health()["stores"]["default"]["ok"]
    scheduler.shutdown()
