"""Databases whose own triggers refuse or ignore what a store writes of a run: that run waits, its neighbours are on time."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from rota.clock import MINUTE
from rota.core.retry import Retry
from rota.core.states import CLAIMED, QUARANTINED, SUCCEEDED, WAITING
from rota.engine.damage import is_away
from rota.engine.refused_runs import RefusedRuns
from rota.errors import JobValueError
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.logs import GuardedLogger, get_logger
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.orders import KEY, asked_for
from rota.testing.contracts.store_jobs import NODE, OTHER, claim, make_job
from rota.triggers.after import After

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
LOGGER = GuardedLogger(get_logger("test"))
calls: list[str] = []

#: how each database is told to refuse that the runs of a job become claimed
REFUSING = {
    "sqlite": [
        """CREATE TRIGGER guard BEFORE UPDATE ON rota_runs WHEN new.job_id = 'guilty' AND new.status = 'claimed'
        BEGIN SELECT RAISE(ABORT, 'no'); END"""
    ],
    "mysql": [
        """CREATE TRIGGER guard BEFORE UPDATE ON rota_runs FOR EACH ROW IF NEW.job_id = 'guilty' AND NEW.status = 'claimed'
        THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF"""
    ],
    "postgresql": [
        "CREATE FUNCTION guard() RETURNS trigger AS $$ BEGIN RAISE EXCEPTION 'no'; END $$ LANGUAGE plpgsql",
        """CREATE TRIGGER guard BEFORE UPDATE ON rota_runs FOR EACH ROW
        WHEN (NEW.job_id = 'guilty' AND NEW.status = 'claimed') EXECUTE FUNCTION guard()""",
    ],
}


def called(name: str) -> None:
    calls.append(name)


def broken() -> None:
    calls.append("broken")
    raise ValueError


def execute(store: SQLAlchemyJobStore, *statements: str) -> None:
    with store.engine.begin() as conn:
        for statement in statements:
            conn.execute(text(statement))


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.fixture(params=["sqlite", "postgresql_url", "mariadb_url"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SQLAlchemyJobStore]:
    """A started store on each kind of database."""
    sqlite = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    store = SQLAlchemyJobStore(
        sqlite if request.param == "sqlite" else request.getfixturevalue(request.param)
    )
    store.start(None, "default")
    yield store
    store.shutdown()


def refuse(store: SQLAlchemyJobStore) -> None:
    execute(store, *REFUSING[store.engine.dialect.name.replace("mariadb", "mysql")])


def test_a_waiting_run_that_the_database_refuses_is_left_out_alone(store: SQLAlchemyJobStore) -> None:
    now = store.now()
    store.add_jobs([make_job(id, now + 60 * MINUTE) for id in ("a", "guilty", "z")])
    store.open_runs([asked_for(id, KEY) for id in ("a", "guilty", "z")], now)
    store.renew(NODE, now, MINUTE)
    refuse(store)
    with pytest.raises(Exception) as caught:
        store.take_waiting(NODE, now)
    assert not is_away(caught.value)
    refused = RefusedRuns(VirtualClock(BEGIN), LOGGER)
    taken = refused.take(lambda room, may_take: store.take_waiting(NODE, now, room, may_take), {"default": 9})
    assert sorted(run.job_id for run in taken) == ["a", "z"]
    assert {run.job_id: run.status for run in store.get_runs()} == {
        "a": CLAIMED,
        "guilty": WAITING,
        "z": CLAIMED,
    }


def test_an_orphan_that_the_database_refuses_is_left_out_alone(store: SQLAlchemyJobStore) -> None:
    now = store.now()
    store.add_jobs([make_job(id, now) for id in ("a", "guilty", "z")])
    claim(store, now)
    execute(store, "UPDATE rota_nodes SET lease_until = 1, started = 1")
    store.renew(OTHER, now, MINUTE)
    refuse(store)
    refused = RefusedRuns(VirtualClock(BEGIN), LOGGER)
    taken = refused.take(
        lambda room, may_take: store.rescue(OTHER, now, room, may_take=may_take), {"default": 9}
    )
    assert sorted(run.job_id for run in taken) == ["a", "z"]
    assert {run.job_id: run.owner for run in store.get_runs()} == {"a": OTHER, "guilty": NODE, "z": OTHER}


# -- what is ignored -----------------------------------------------------------------------------------------------


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[ManualScheduler, Callable[..., None]]]:
    """A scheduler in virtual time on SQLite, and a function that executes statements there."""
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    scheduler = ManualScheduler(
        clock=VirtualClock(BEGIN), timezone="UTC", jobstores={"default": store}, lease=15
    )
    scheduler.start()
    calls.clear()
    yield scheduler, lambda *statements: execute(store, *statements)
    if scheduler.running:
        scheduler.shutdown(wait=False)


def ignore(condition: str) -> str:
    return f"CREATE TRIGGER guard BEFORE UPDATE ON rota_runs WHEN {condition} BEGIN SELECT RAISE(IGNORE); END"


def add_neighbours(scheduler: ManualScheduler) -> None:
    scheduler.add_job(called, "interval", args=("healthy",), seconds=1, id="healthy")
    scheduler.add_job(called, After("healthy"), args=("child",), id="child")


def told(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


def test_an_end_that_the_database_ignores_is_kept_and_its_run_is_not_executed_again(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    scheduler.add_job(called, "date", run_date=BEGIN + timedelta(seconds=5), args=("guilty",), id="guilty")
    statements(ignore("new.job_id = 'guilty' AND new.status = 'succeeded'"))
    with caplog.at_level(logging.ERROR):
        scheduler.advance(minutes=2)
    assert calls.count("guilty") == 1
    assert (calls.count("healthy"), calls.count("child")) == (120, 120)
    (run,) = scheduler.get_runs("guilty")
    assert (run.status, run.attempt) == (CLAIMED, 1)
    assert len(told(caplog, "was not written")) == 1
    assert told(caplog, "taken the run over") == []
    statements("DROP TRIGGER guard")
    scheduler.advance(seconds=3)
    (run,) = scheduler.get_runs("guilty")
    assert (run.status, run.attempt, calls.count("guilty")) == (SUCCEEDED, 1, 1)


def test_a_claim_whose_record_the_database_ignores_executes_nothing_and_is_told(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    scheduler.add_job(called, "interval", seconds=1, args=("guilty",), id="guilty")
    statements(ignore("new.job_id = 'guilty'").replace("UPDATE", "INSERT"))
    with caplog.at_level(logging.ERROR):
        scheduler.advance(seconds=20)
    assert "guilty" not in calls
    assert (calls.count("healthy"), calls.count("child")) == (20, 20)
    job = scheduler.get_job("guilty")
    assert (job.state, scheduler.get_runs("guilty")) == (QUARANTINED, [])
    assert "look for a trigger or rule" in job.error
    assert told(caplog, "look for a trigger or rule")
    statements("DROP TRIGGER guard")
    job.resume()
    scheduler.advance(seconds=5)
    assert calls.count("guilty") >= 5


def test_a_lease_that_the_database_ignores_is_told_as_that(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    scheduler.advance(seconds=2)
    statements("CREATE TRIGGER guard BEFORE UPDATE ON rota_nodes BEGIN SELECT RAISE(IGNORE); END")
    with caplog.at_level(logging.ERROR):
        scheduler.advance(seconds=30)
    (store,) = scheduler.health()["stores"].values()
    assert not store["ok"]
    assert "look for a trigger or rule" in store["error"]
    assert told(caplog, "put back from a backup") == []
    statements("DROP TRIGGER guard")
    scheduler.advance(minutes=2)
    assert scheduler.health()["stores"]["default"]["ok"]
    before = calls.count("healthy")
    scheduler.advance(seconds=10)
    assert calls.count("healthy") == before + 10


def test_a_job_that_the_database_ignores_is_not_added_and_that_is_said(started: Any) -> None:
    scheduler, statements = started
    statements(
        "CREATE TRIGGER guard BEFORE INSERT ON rota_jobs WHEN new.id = 'guilty' BEGIN SELECT RAISE(IGNORE); END"
    )
    jobs = [
        {"func": called, "args": ("x",), "trigger": "interval", "seconds": 1, "id": id}
        for id in ("a", "guilty")
    ]
    with pytest.raises(JobValueError, match='into "rota_jobs"'):
        scheduler.add_jobs(jobs)
    with pytest.raises(JobValueError, match='into "rota_jobs"'):
        scheduler.add_job(**jobs[1])
    assert scheduler.get_jobs() == []


def test_a_retry_that_the_database_does_not_let_wait_is_kept_and_its_run_is_not_executed_again(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    at = BEGIN + timedelta(seconds=5)
    retry = Retry(wait_initial=10, wait_jitter=0)
    scheduler.add_job(broken, "date", run_date=at, id="guilty", retry=retry, max_attempts=2)
    statements(ignore("new.job_id = 'guilty' AND new.status = 'waiting'"))
    with caplog.at_level(logging.ERROR):
        scheduler.advance(minutes=1)
    assert calls.count("broken") == 1
    assert (calls.count("healthy"), calls.count("child")) == (60, 60)
    assert len(told(caplog, "was not written")) == 1
    statements("DROP TRIGGER guard")
    scheduler.advance(minutes=1)
    (run,) = scheduler.get_runs("guilty")
    assert (run.status, run.tries, calls.count("broken")) == ("failed", 2, 2)


def test_a_node_that_is_gone_leaves_such_a_run_to_the_others(started: Any, tmp_path: Path) -> None:
    scheduler, statements = started
    scheduler.add_job(called, "date", run_date=BEGIN + timedelta(seconds=5), args=("guilty",), id="guilty")
    statements(ignore("new.job_id = 'guilty' AND new.status = 'succeeded'"))
    scheduler.advance(seconds=20)
    scheduler.shutdown(wait=False)
    statements("DROP TRIGGER guard")
    clock = VirtualClock(BEGIN + timedelta(minutes=1))
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    with ManualScheduler(clock=clock, timezone="UTC", jobstores={"default": store}, lease=15) as other:
        other.advance(seconds=20)
        (run,) = other.get_runs("guilty")
        assert (run.status, run.attempt) == (SUCCEEDED, 2)


def test_a_waiting_run_that_the_database_does_not_let_start_holds_up_no_other(started: Any) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    scheduler.add_job(called, "interval", days=1, args=("guilty",), id="guilty")
    scheduler.run_job("guilty", not_before=BEGIN + timedelta(seconds=5))
    statements(ignore("new.job_id = 'guilty' AND new.status = 'claimed'"))
    scheduler.advance(minutes=1)
    assert "guilty" not in calls
    assert (calls.count("healthy"), calls.count("child")) == (60, 60)
    (run,) = scheduler.get_runs("guilty")
    assert run.status == WAITING


def test_a_job_whose_count_the_database_does_not_let_be_put_right_holds_up_no_other(started: Any) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    for id in ("guilty", "counted"):
        scheduler.add_job(called, "interval", seconds=10, args=(id,), id=id)
    statements(
        "UPDATE rota_jobs SET running = 1 WHERE id IN ('guilty', 'counted')",
        "CREATE TRIGGER guard BEFORE UPDATE ON rota_jobs WHEN new.id = 'guilty' AND new.version = old.version "
        "BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    scheduler.advance(seconds=30)
    assert (calls.count("healthy"), calls.count("child")) == (30, 30)
    assert calls.count("counted") == 3  # its count is put right


def test_an_end_that_the_database_refuses_whatever_it_says_is_kept_and_holds_up_no_other(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    for id in ("guilty1", "guilty2", "guilty3", "guilty4"):
        scheduler.add_job(called, "date", run_date=BEGIN + timedelta(seconds=5), args=(id,), id=id)
    statements(
        "CREATE TRIGGER guard BEFORE UPDATE ON rota_runs WHEN new.job_id LIKE 'guilty%' AND new.status = 'succeeded' "
        "BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    with caplog.at_level(logging.ERROR):
        scheduler.advance(minutes=1)
    assert (calls.count("healthy"), calls.count("child")) == (60, 60)
    assert [calls.count(f"guilty{number}") for number in (1, 2, 3, 4)] == [1] * 4
    assert len(told(caplog, "cannot be written as it is")) == 4
    statements("DROP TRIGGER guard")
    scheduler.advance(seconds=3)
    assert {scheduler.get_runs(f"guilty{number}")[0].status for number in (1, 2, 3, 4)} == {SUCCEEDED}


def test_a_job_that_the_database_lets_neither_be_claimed_nor_quarantined_holds_up_no_other(
    started: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler, statements = started
    add_neighbours(scheduler)
    scheduler.add_job(called, "interval", seconds=5, args=("guilty",), id="guilty")
    statements(
        "CREATE TRIGGER guard BEFORE UPDATE ON rota_jobs WHEN new.id = 'guilty' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with caplog.at_level(logging.ERROR):
        scheduler.advance(minutes=1)
    assert (calls.count("healthy"), calls.count("child"), calls.count("guilty")) == (60, 60, 0)
    assert len(told(caplog, "neither be claimed nor quarantined")) == 1
    assert scheduler.health()["stores"]["default"]["ok"]
    statements("DROP TRIGGER guard")
    scheduler.advance(seconds=6)
    assert "guilty" in calls
