"""Jobs that are added inside a transaction of the caller: they exist exactly if that is committed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url

from rota.core.states import SUCCEEDED
from rota.errors import ConfigurationError, ConflictingIdError
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Engine

PATIENCE = 20


def task() -> None:
    """Do nothing."""


@pytest.fixture(params=["sqlite", "postgresql_url", "mariadb_url"])
def url(request: pytest.FixtureRequest, tmp_path: Any) -> str:
    return (
        f"sqlite:///{tmp_path / 'jobs'}"
        if request.param == "sqlite"
        else request.getfixturevalue(request.param)
    )


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """The application's own engine."""
    drivers = {"postgresql": "postgresql+psycopg", "mariadb": "mariadb+pymysql", "sqlite": "sqlite"}
    parsed = make_url(url)
    engine = create_engine(parsed.set(drivername=drivers[parsed.drivername]))
    with engine.begin() as conn:
        conn.execute(text("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
    yield engine
    engine.dispose()


@pytest.fixture
def scheduler(url: str) -> Iterator[BackgroundScheduler]:
    scheduler = BackgroundScheduler(jobstores={"default": url}, runs_jobs=False)
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def order(conn: Connection, id: int) -> None:
    conn.execute(text("INSERT INTO orders VALUES (:id)"), {"id": id})


def ids(scheduler: BackgroundScheduler) -> list[str]:
    return sorted(job.id for job in scheduler.get_jobs())


def orders(engine: Engine) -> list[int]:
    with engine.connect() as conn:
        return list(conn.execute(text("SELECT id FROM orders ORDER BY id")).scalars())


def test_a_job_exists_exactly_if_the_callers_transaction_commits(
    scheduler: BackgroundScheduler, engine: Engine
) -> None:
    with engine.begin() as conn:
        order(conn, 1)
        job = scheduler.add_job(task, "interval", hours=1, id="one", connection=conn)
    assert (job.id, ids(scheduler), orders(engine)) == ("one", ["one"], [1])
    job.modify(name="changed")
    with pytest.raises(ZeroDivisionError), engine.begin() as conn:
        scheduler.add_job(task, "interval", hours=1, id="two", connection=conn)
        order(conn, 2)
        raise ZeroDivisionError
    assert (ids(scheduler), orders(engine)) == (["one"], [1])


def test_a_job_alone_in_a_transaction_is_rolled_back_too(
    scheduler: BackgroundScheduler, engine: Engine
) -> None:
    with engine.connect() as conn:
        scheduler.add_job(task, "interval", hours=1, connection=conn)
        conn.rollback()
    assert ids(scheduler) == []


def test_an_id_that_exists_leaves_the_callers_transaction_as_it_was(
    scheduler: BackgroundScheduler, engine: Engine
) -> None:
    scheduler.add_job(task, "interval", hours=1, id="taken", name="old")
    with engine.begin() as conn:
        order(conn, 1)
        with pytest.raises(ConflictingIdError):
            scheduler.add_job(task, "interval", hours=1, id="taken", connection=conn)
        scheduler.add_job(
            task, "interval", hours=1, id="taken", name="new", replace_existing=True, connection=conn
        )
    job = scheduler.get_job("taken")
    assert job is not None
    assert (job.name, orders(engine)) == ("new", [1])


def test_many_jobs_can_be_added_in_one_transaction(scheduler: BackgroundScheduler, engine: Engine) -> None:
    with engine.begin() as conn:
        scheduler.add_jobs(({"func": task, "id": f"job{n}"} for n in range(1200)), connection=conn)
    assert len(ids(scheduler)) == 1200


def test_the_job_runs_elsewhere_after_the_commit(
    url: str, scheduler: BackgroundScheduler, engine: Engine
) -> None:
    worker = BackgroundScheduler(jobstores={"default": url})
    worker.start()
    try:
        with engine.begin() as conn:
            scheduler.add_job(task, id="now", connection=conn)
            assert scheduler.get_runs("now") == []
        deadline = time.monotonic() + PATIENCE
        while not scheduler.get_runs("now", SUCCEEDED):
            assert time.monotonic() < deadline, "nobody ran the job"
            time.sleep(0.02)
    finally:
        worker.shutdown()


def test_what_is_no_connection_to_the_store_is_refused(scheduler: BackgroundScheduler) -> None:
    with pytest.raises(ConfigurationError, match=r"session\.connection\(\)"):
        scheduler.add_job(task, connection=object())
    elsewhere = create_engine("sqlite://")
    if scheduler._jobstores["default"].engine.dialect.name != "sqlite":  # type: ignore[attr-defined]
        with elsewhere.connect() as conn, pytest.raises(ConfigurationError, match="sqlite"):
            scheduler.add_job(task, connection=conn)
    elsewhere.dispose()


def test_a_scheduler_that_was_not_started_cannot_use_a_connection(url: str, engine: Engine) -> None:
    scheduler = BackgroundScheduler(jobstores={"default": SQLAlchemyJobStore(url)})
    with engine.connect() as conn, pytest.raises(RuntimeError, match="must have been started"):
        scheduler.add_job(task, connection=conn)
