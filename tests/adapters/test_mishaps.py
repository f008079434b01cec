"""What goes wrong around a store's data, for every durable store: specific errors, and nothing is lost."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy.event import listen

from rota.clock import moment
from rota.core.plan import plan, quarantine
from rota.core.run import Run
from rota.core.states import ACTIVE, QUARANTINED, SUCCEEDED
from rota.errors import HeldRowsError, JobValueError, SchemaError, StoreNotStartedError, StoreUnavailableError
from rota.events import EVENT_JOB_REFUSED, EVENT_SCHEDULER_DEGRADED
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.store_jobs import LEASE, NODE, START, due_ids, finish, make_job, statuses
from tests.faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.adapters.places import Place


def test_a_store_that_is_not_started_says_so(place: Place) -> None:
    with pytest.raises(StoreNotStartedError, match="start"):
        place.make().get_all_jobs()


def test_a_server_that_is_away_at_the_start_is_named_and_the_start_can_be_repeated(
    place: Place, tmp_path: Path
) -> None:
    port = urlsplit(place.url).port
    if port is None:
        folder = tmp_path / "not-yet"
        check_start(f"sqlite:///{folder / 'jobs.sqlite'}", {}, "not-yet", folder.mkdir)
        return
    with Proxy(port) as proxy:
        proxy.block()
        url = place.url.replace(f":{port}", f":{proxy.port}")
        check_start(url, place.impatient, str(proxy.port), proxy.unblock)


def check_start(url: str, options: dict[str, Any], named: str, come_back: Any) -> None:
    """Check that a scheduler does not start without its store, and starts with it."""
    scheduler = BackgroundScheduler(jobstores={"default": {"url": url, **options}}, timezone="UTC")
    scheduler.add_job("rota.testing.contracts.store_jobs:task", id="job")
    with pytest.raises(StoreUnavailableError, match=named) as caught:
        scheduler.start()
    assert ":secret@" not in str(caught.value)
    assert not scheduler.running
    come_back()
    deadline = time.monotonic() + 60
    while not scheduler.running:
        try:
            scheduler.start()
        except StoreUnavailableError:
            # On a busy machine even a server that is there may be too slow for so little patience.
            assert time.monotonic() < deadline, "the store could not be started again"
    try:
        while not scheduler.get_runs("job", SUCCEEDED):
            assert time.monotonic() < deadline, "the job that was added before did not run"
            time.sleep(0.02)
    finally:
        scheduler.shutdown()


@pytest.mark.parametrize("version", ["0", "999", "x"])
def test_an_unknown_schema_version_is_refused_and_nothing_is_touched(place: Place, version: str) -> None:
    store = place.open()
    store.add_job(make_job())
    place.set_version(version)
    before = place.contents()
    with pytest.raises(SchemaError, match=f"schema version '?{version}|{version}.*schema"):
        place.open()
    assert place.contents() == before
    assert [job.id for job in store.get_all_jobs()] == ["job"]


def test_a_place_that_somebody_else_uses_is_refused_and_left_alone(place: Place) -> None:
    place.squat()
    before = place.contents()
    with pytest.raises(SchemaError, match=r"tablename|jobs_key|collection|path"):
        place.open()
    assert place.contents() == before


def test_a_job_that_was_overwritten_costs_itself_and_can_be_removed(place: Place) -> None:
    store = place.open()
    for id in ("spoilt", "good"):
        store.add_job(make_job(id))
    place.spoil("spoilt")
    found = {job.id: job for job in store.get_all_jobs()}
    assert (found["spoilt"].state, found["good"].state) == (QUARANTINED, ACTIVE)
    assert found["spoilt"].error
    store.renew(NODE, START, LEASE)
    decisions = [
        plan(job, START) if job.state == ACTIVE else quarantine(job, job.error)
        for job in store.due(START, {"default": 10})
    ]
    runs = [run for decision in store.claim(decisions, NODE, START) for run in decision.runs]
    assert finish(store, runs) == []
    assert (statuses(store, "good"), statuses(store, "spoilt")) == ([SUCCEEDED], [])
    assert due_ids(store) == [], "it would be looked at again and again"
    store.heal(START)
    assert due_ids(store) == []
    store.remove_job("spoilt")
    assert [job.id for job in store.get_all_jobs()] == ["good"]


def test_reading_writes_nothing(place: Place) -> None:
    store = place.open()
    for id in ("job", "broken"):
        store.add_job(make_job(id))
    place.lose_code("broken")
    before = place.contents()
    assert {job.id: job.state for job in store.get_all_jobs()} == {"job": ACTIVE, "broken": QUARANTINED}
    store.lookup_job("broken")
    store.due(START, {"default": 10})
    store.get_due_jobs(moment(START))
    store.next_due(["default"])
    store.overdue(START, [])
    store.living_nodes(START)
    store.get_runs()
    store.get_runs("broken", SUCCEEDED)
    store.rescue(NODE, START)
    store.heal(START)
    assert place.contents() == before


@pytest.mark.parametrize(
    "attributes",
    [{"id": "x" * 100_000}, {"executor": "x" * 100_000}, {"args": ("x" * 8_300_000,)}],
    ids=["id", "executor", "args"],
)
def test_a_value_that_is_too_long_is_refused_and_one_that_is_not_is_kept_whole(
    place: Place, attributes: dict[str, Any]
) -> None:
    store = place.open()
    job = make_job(**attributes)
    try:
        store.add_job(job)
    except JobValueError as refused:
        assert "long" in str(refused) or "bytes" in str(refused) or "document" in str(refused)
        assert len(str(refused)) < 1000
        with pytest.raises(JobValueError):
            store.add_jobs([make_job("other"), job])
        assert store.get_all_jobs() == []
    else:
        (found,) = store.get_all_jobs()
        assert (found.id, found.executor, tuple(found.args)) == (job.id, job.executor, tuple(job.args))


def test_a_file_that_somebody_keeps_locked_holds_up_a_step_of_the_scheduler_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.jobstores.sqlalchemy.databases.sqlite.BUSY_TIMEOUT", 200)
    file = tmp_path / "jobs.sqlite"
    store = SQLAlchemyJobStore(f"sqlite:///{file}")
    store.start(None, "default")
    waits: list[int] = []

    def note(conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement == "BEGIN IMMEDIATE":
            waits.append(conn.connection.cursor().execute("PRAGMA busy_timeout").fetchone()[0])

    listen(store.engine, "before_cursor_execute", note)
    run = Run("job", START, START)
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert store.claim([plan(make_job("job"), START)], NODE, START) == []
        with pytest.raises(HeldRowsError) as raised:
            store.finish([run], START)
        assert raised.value.runs == [run]
        monkeypatch.setattr("rota.jobstores.sqlalchemy.server.USUAL", 0)
        with pytest.raises(StoreUnavailableError, match="locked"):
            store.claim([plan(make_job("job"), START)], NODE, START)
        other.execute("ROLLBACK")
    assert waits == [200, 100, 100]
    store.renew(NODE, START, LEASE)  # nobody holds it any more
    store.renew(NODE, START, LEASE)
    assert waits == [200, 100, 100, 100, 200]
    store.shutdown()


def wait_until(condition: Callable[[], Any], what: str) -> None:
    """Wait until a condition holds; fail with what was waited for."""
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.01)


def test_a_file_that_is_locked_for_a_moment_is_no_trouble_and_its_jobs_run_when_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rota.jobstores.sqlalchemy.databases.sqlite.BUSY_TIMEOUT", 20)
    monkeypatch.setattr("rota.jobstores.sqlalchemy.databases.sqlite.SHORT_TIMEOUT", 20)
    file = tmp_path / "jobs.sqlite"
    store = SQLAlchemyJobStore(f"sqlite:///{file}")
    scheduler = BackgroundScheduler(jobstores={"default": store})
    trouble: list[Any] = []
    scheduler.add_listener(trouble.append, EVENT_SCHEDULER_DEGRADED | EVENT_JOB_REFUSED)
    scheduler.start()
    tried: list[int] = []
    claim = store.claim
    monkeypatch.setattr(store, "claim", lambda *args: tried.append(len(won := claim(*args))) or won)
    try:
        scheduler.add_job(
            "rota.testing.contracts.store_jobs:task", "interval", seconds=0.1, id="job", first="now"
        )
        wait_until(lambda: store.get_runs("job", SUCCEEDED), "a run")
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            tried.clear()
            wait_until(lambda: tried.count(0) >= 4, "claims that win nothing")
            other.execute("ROLLBACK")
        count = len(store.get_runs("job", SUCCEEDED))
        wait_until(lambda: len(store.get_runs("job", SUCCEEDED)) > count, "more runs")
        assert scheduler.health()["stores"]["default"]["ok"]
    finally:
        scheduler.shutdown()
    assert trouble == []
