"""Rows that an application holds in a transaction of its own: no step of the scheduler waits for them, and others are on time."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import create_engine, text

from rota import current_run
from rota.clock import SECOND
from rota.core.details import NOTE
from rota.core.plan import quarantine
from rota.core.states import CLAIMED, SUCCEEDED, succeed
from rota.errors import HeldRowsError
from rota.jobstores.held_rows import as_soon_as_free
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.orders import EARLY, KEY, asked_for
from rota.testing.contracts.store_jobs import NODE, START, claim, decide, make_job
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LATER = EARLY + SECOND
started: list[tuple[str, float]] = []


def work(id: str) -> None:
    started.append((id, time.monotonic()))


@pytest.fixture(params=["postgresql_url", "mariadb_url"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database, on each server that has locks on rows."""
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["own", "passed in"])
def make_store(url: str, request: pytest.FixtureRequest) -> Iterator[Callable[[], SQLAlchemyJobStore]]:
    """Return a function that makes a store with an engine of its own, or with one of the application's."""
    engine = SQLAlchemyJobStore(url).engine
    stores = []

    def make() -> SQLAlchemyJobStore:
        store = (
            SQLAlchemyJobStore(url)
            if request.param == "own"
            else SQLAlchemyJobStore(engine=create_engine(engine.url))
        )
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.engine.dispose()
    engine.dispose()


@pytest.fixture
def store(make_store: Callable[[], SQLAlchemyJobStore]) -> Iterator[SQLAlchemyJobStore]:
    """A started store, in which a node has a lease."""
    store = make_store()
    store.start(None, "default")
    store.renew(NODE, store.clock.now(), 1000 * SECOND)
    yield store
    store.shutdown()


@pytest.fixture
def hold(url: str) -> Iterator[Callable[..., Any]]:
    """Return a context manager that holds the rows of jobs, as an application's transaction does."""
    engine = create_engine(SQLAlchemyJobStore(url).engine.url)

    @contextmanager
    def held(*ids: str) -> Iterator[None]:
        with engine.connect() as conn:
            for id in ids:
                found = conn.execute(
                    text("SELECT id FROM rota_jobs WHERE id = :id FOR UPDATE"), {"id": id}
                ).all()
                assert found, f"there is no job {id} to hold"
            yield
            conn.rollback()

    yield held
    engine.dispose()


@pytest.fixture
def hold_all(url: str) -> Iterator[Callable[..., Any]]:
    """Return a context manager that holds all rows of a table, or those of a job, and no gaps between rows."""
    engine = create_engine(SQLAlchemyJobStore(url).engine.url, isolation_level="READ COMMITTED")

    @contextmanager
    def held(table: str, job_id: str | None = None) -> Iterator[None]:
        which = "" if job_id is None else f" WHERE {'id' if table == 'nodes' else 'job_id'} = '{job_id}'"
        with engine.connect() as conn:
            conn.execute(text(f"SELECT * FROM rota_{table}{which} FOR UPDATE")).all()
            yield
            conn.rollback()

    yield held
    engine.dispose()


def test_a_claim_leaves_out_the_jobs_that_somebody_holds(
    store: SQLAlchemyJobStore, hold: Callable[..., Any]
) -> None:
    for id in ("a", "b", "c"):
        store.add_job(make_job(id))
    with hold("b"):
        assert sorted(run.job_id for run in claim(store)) == ["a", "c"]
        assert claim(store) == []
    assert [run.job_id for run in claim(store)] == ["b"]


def test_an_end_does_not_wait_for_a_job_that_somebody_holds_and_the_others_are_recorded(
    store: SQLAlchemyJobStore, hold: Callable[..., Any]
) -> None:
    for id in ("a", "b", "c"):
        store.add_job(make_job(id))
    runs = claim(store)
    for run in runs:
        succeed(run, None, START)
    with hold("b"):
        for _ in range(2):  # at first it does not know, then it looks first
            with pytest.raises(HeldRowsError) as raised:
                store.finish(runs, START)
            assert [run.job_id for run in raised.value.runs] == ["b"]
            runs = list(raised.value.runs)
        assert sorted(run.job_id for run in store.get_runs(status=SUCCEEDED)) == ["a", "c"]
        more = make_job("d")
        store.add_job(more)
        (run,) = claim(store)
        succeed(run, None, START)
        assert store.finish([run], START) == []
    assert store.finish(runs, START) == []
    assert len(store.get_runs(status=SUCCEEDED)) == 4
    assert store.finish(runs, START) == [], "and once more, as if the answer had been lost"


def test_a_takeover_leaves_out_the_jobs_that_somebody_holds(
    store: SQLAlchemyJobStore, hold: Callable[..., Any]
) -> None:
    now = store.clock.now()
    store.renew("dead", now, SECOND)
    for id in ("a", "b"):
        store.add_job(make_job(id))
    won = store.claim(decide(store), "dead", now)
    assert len(won) == 2
    later = now + 5 * SECOND  # its lease is over
    with hold("b"):
        assert [run.job_id for run in store.rescue(NODE, later)] == ["a"]
    assert [run.job_id for run in store.rescue(NODE, later, known=[("a", START)])] == ["b"]


def test_a_node_in_doubt_takes_back_its_own_runs_also_of_jobs_that_somebody_holds(
    store: SQLAlchemyJobStore, hold: Callable[..., Any]
) -> None:
    now = store.clock.now()
    store.add_job(make_job("a"))
    assert len(store.claim(decide(store), NODE, now)) == 1
    with hold("a"):
        assert [run.job_id for run in store.rescue(NODE, now, in_doubt=True)] == ["a"]


def test_a_record_that_somebody_is_inserting_keeps_no_other_job_from_being_claimed(
    store: SQLAlchemyJobStore, url: str
) -> None:
    for id in ("a", "held", "z"):
        store.add_job(make_job(id))
    (decision,) = [decision for decision in decide(store) if decision.job.id == "held"]
    engine = create_engine(SQLAlchemyJobStore(url).engine.url)
    with engine.connect() as conn:
        (run,) = decision.runs
        row = {"job_id": run.job_id, "nominal": run.nominal, "last": run.nominal, "times": 1, "due": run.due}
        runs = store._tables.runs
        conn.execute(runs.insert(), {**row, "executor": "default", "status": CLAIMED, "attempt": 1})
        assert sorted(run.job_id for run in claim(store)) == ["a", "z"]
        assert claim(store) == []
        conn.rollback()
    assert [run.job_id for run in claim(store)] == ["held"]
    engine.dispose()


def test_a_waiting_run_that_somebody_holds_keeps_no_other_from_starting(
    store: SQLAlchemyJobStore, hold_all: Callable[..., Any]
) -> None:
    for id in ("a", "held", "z"):
        store.add_job(make_job(id))
        store.open_runs([asked_for(id)], START)
    with hold_all("runs", "held"):
        assert sorted(run.job_id for run in store.take_waiting(NODE, LATER)) == ["a", "z"]
        assert store.take_waiting(NODE, LATER) == []
    assert [run.job_id for run in store.take_waiting(NODE, LATER)] == ["held"]


@pytest.mark.parametrize("what", ["a run", "a node"])
def test_a_takeover_leaves_out_the_runs_and_nodes_that_somebody_holds(
    store: SQLAlchemyJobStore, hold_all: Callable[..., Any], what: str
) -> None:
    for id in ("a", "held", "z"):
        store.add_job(make_job(id))
    now = store.clock.now()
    store.renew("other", now, SECOND)
    store.renew("third", now, SECOND)
    for decision in decide(store):
        node = "other" if decision.job.id == "held" else "third"
        assert len(store.claim([decision], node, now)) == 1
    later = now + 5 * SECOND  # their leases are over
    with hold_all(*(("runs", "held") if what == "a run" else ("nodes", "other"))):
        taken = store.rescue(NODE, later)
        assert sorted(run.job_id for run in taken) == ["a", "z"]
    known = {(run.job_id, run.nominal) for run in taken}
    assert [run.job_id for run in store.rescue(NODE, later, known=known)] == ["held"]


def test_housekeeping_passes_over_what_somebody_holds(
    store: SQLAlchemyJobStore, hold: Callable[..., Any]
) -> None:
    for id in ("a", "b"):
        store.add_job(make_job(id))
    store.claim(
        [quarantine(job, "to see it healed") for job in store.due(START, {"default": 10})], NODE, START
    )
    with hold("b"):
        assert [job.id for jobs, _ in store.heal_in_steps(START) for job in jobs] == ["a"]
    assert [job.id for jobs, _ in store.heal_in_steps(START) for job in jobs] == ["b"]


@pytest.mark.parametrize("when", ["while it is due", "while it runs"])
def test_while_somebody_holds_one_job_the_others_run_and_the_database_has_peace(
    make_store: Callable[[], SQLAlchemyJobStore], hold: Callable[..., Any], when: str
) -> None:
    store, transactions = make_store(), 0
    scheduler = BackgroundScheduler(jobstores={"default": store}, timezone="UTC")
    repeated = store._server._repeated

    def counted(*args: Any) -> Any:
        nonlocal transactions
        transactions += 1
        return repeated(*args)

    store._server._repeated = counted  # type: ignore[assignment]
    started.clear()
    with scheduler:
        for number in range(10):
            id = f"free{number}"
            scheduler.add_job(
                work, "interval", seconds=0.5, args=[id], id=id, coalesce=False, max_instances=9
            )
        scheduler.add_job(wait, "interval", seconds=0.5, id="held")
        begun.clear()
        go_on.clear()
        assert begun.wait(20)
        if when == "while it is due":
            go_on.set()
            _until(lambda: scheduler.get_runs("held", status=SUCCEEDED), "its first run to be over")
        with hold("held"):
            go_on.set()
            before, since = transactions, time.monotonic()
            _until(lambda: _fewest(since) >= 8, "the others to run eight times")
            runs = sum(at > since for _, at in started)
            assert transactions - before < 10 * runs + 100, "more than the others need"
            held = len(scheduler.get_runs("held"))
        _until(lambda: len(scheduler.get_runs("held", status=SUCCEEDED)) > held, "it to go on")
        assert [store["error"] for store in scheduler.health()["stores"].values()] == [None]
    # None of theirs was missed, skipped or merged, however long the other one was held.
    records = scheduler.get_runs(limit=1000)
    assert {run.status for run in records if run.job_id != "held"} == {SUCCEEDED}
    assert all(run.count == 1 for run in records if run.job_id != "held")


@pytest.mark.parametrize(
    ("table", "write"),
    [
        ("nodes", lambda store, runs: store.describe(NODE, {"host": "h"}, START)),
        (
            "runs",
            lambda store, runs: store.write_parts([(runs[0].job_id, runs[0].nominal, {NOTE: "n"})], NODE),
        ),
        (
            "parts",
            lambda store, runs: store.write_parts([(runs[0].job_id, runs[0].nominal, {NOTE: "n"})], NODE),
        ),
        ("runs", lambda store, runs: store.cancel_run(runs[0].job_id, runs[0].nominal, "r", START)),
        ("jobs", lambda store, runs: store.open_runs([asked_for("a", KEY)], START)),
    ],
    ids=["what a node says", "a run", "a part", "a request to stop", "a run that is asked for"],
)
def test_nothing_that_a_pass_writes_waits_for_rows_that_somebody_holds(
    store: SQLAlchemyJobStore, hold_all: Callable[..., Any], table: str, write: Callable[..., Any]
) -> None:
    store.add_job(make_job("a"))
    runs = claim(store)
    store.write_parts([(runs[0].job_id, runs[0].nominal, {NOTE: "before"})], NODE)
    with hold_all(table), pytest.raises(HeldRowsError):
        write(store, runs)
    write(store, runs)


def test_a_call_of_a_user_waits_until_the_rows_are_free(
    store: SQLAlchemyJobStore, hold_all: Callable[..., Any]
) -> None:
    store.add_job(make_job("a"))
    (run,) = claim(store)
    found: list[Any] = []
    tries = threading.Semaphore(0)

    def cancel() -> Any:
        tries.release()
        return store.cancel_run(run.job_id, run.nominal, "r", START)

    caller = threading.Thread(target=lambda: found.append(as_soon_as_free(cancel)))
    with hold_all("runs"):
        caller.start()
        assert tries.acquire(timeout=20) and tries.acquire(timeout=20), "it has not tried again"
        assert found == []
    caller.join(20)
    assert found[0].status == CLAIMED


def test_a_run_that_says_something_while_its_rows_are_held_holds_up_nobody(
    make_store: Callable[[], SQLAlchemyJobStore], hold_all: Callable[..., Any]
) -> None:
    scheduler = BackgroundScheduler(
        jobstores={"default": make_store(), "other": MemoryJobStore()}, timezone="UTC"
    )
    started.clear()
    with scheduler:
        for number in range(10):
            id, alias = f"free{number}", "other" if number % 2 else "default"
            scheduler.add_job(work, "interval", seconds=0.5, args=[id], id=id, jobstore=alias)
        begun.clear()
        go_on.clear()
        scheduler.add_job(say, "date", id="says")
        assert begun.wait(20)
        with hold_all("parts"), hold_all("runs", "says"):
            since = time.monotonic()
            _until(lambda: _fewest(since) >= 8, "the others to run eight times")
            go_on.set()
        _until(lambda: scheduler.get_runs("says", status=SUCCEEDED), "it to end")


def test_tables_that_a_backup_holds_hold_up_no_other_store(mariadb_url: str) -> None:
    stores: Any = {"default": SQLAlchemyJobStore(mariadb_url), "other": MemoryJobStore()}
    scheduler = BackgroundScheduler(jobstores=stores, timezone="UTC")
    started.clear()
    with scheduler, create_engine(stores["default"].engine.url).connect() as backup:
        for number in range(10):
            id = f"free{number}"
            scheduler.add_job(work, "interval", seconds=0.5, args=[id], id=id, jobstore="other")
        scheduler.add_job(work, "interval", seconds=0.5, args=["stored"], id="stored")
        _until(lambda: scheduler.get_runs("stored", status=SUCCEEDED), "its first run")
        backup.exec_driver_sql("FLUSH TABLES WITH READ LOCK")
        since = time.monotonic()
        _until(lambda: _fewest(since) >= 4, "the others to run four times")
        backup.exec_driver_sql("UNLOCK TABLES")
        before = len(scheduler.get_runs("stored", status=SUCCEEDED))
        _until(lambda: len(scheduler.get_runs("stored", status=SUCCEEDED)) > before, "it to go on")


begun, go_on = threading.Event(), threading.Event()


def say() -> None:
    run = present(current_run())
    begun.set()
    number = 0
    while not go_on.wait(0.1):
        number += 1
        run.heartbeat(note=str(number))


def wait() -> None:
    begun.set()
    go_on.wait(20)


def _fewest(since: float) -> int:
    return min(sum(id == f"free{number}" and at > since for id, at in started) for number in range(10))


def _until(condition: Callable[[], Any], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)
