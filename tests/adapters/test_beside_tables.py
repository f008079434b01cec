"""The tables beside jobs and runs: what is damaged in them harms nobody else, and what belongs to nothing is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HOUR, SECOND, moment
from rota.core.changes import Change
from rota.core.extras import Extra
from rota.core.nodes import about
from rota.core.plan import plan
from rota.core.queries import JobQuery, RunQuery
from rota.core.run import Run, fail
from rota.core.states import CLAIMED, FAILED, MANUAL, SUCCEEDED, WAITING, succeed
from rota.testing.contracts.damage import DAMAGES
from rota.testing.contracts.store_jobs import LEASE, NODE, START, claim, finish, make_job
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore


@pytest.fixture
def store() -> Iterator[SQLAlchemyJobStore]:
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore("sqlite://")
    store.start(None, "default")
    yield store
    store.shutdown()


def execute(store: SQLAlchemyJobStore, statement: str, *values: Any) -> list[Any]:
    """Execute a statement past the store; return its rows."""
    with store.engine.connect() as connection:
        result = connection.exec_driver_sql(statement, values)
        return list(result) if result.returns_rows else []


def fill(store: SQLAlchemyJobStore) -> None:
    """Have a row in each table."""
    store.add_jobs([make_job("job", tags=("red",)), make_job("late", START + DAY)])
    finish(store, claim(store))
    store.write_parts([("job", START, {"note": "half"})])
    store.note_change("job", Change(0, START, "Ann", "name"))
    store.describe(NODE, about("host", 1, "1.0", {}, None), START)
    store.drain(NODE, True, START)
    run = Run("late", START + DAY, START)
    run.status, run.attempt, run.extra = WAITING, 0, Extra(MANUAL)
    run.extra.waiting_for, run.extra.key, run.extra.not_before = MANUAL, "once", START + HOUR
    assert store.open_runs([run], START) == [run]
    store.prune(START + 5 * HOUR)
    store.request(NODE, "stack", START + 5 * HOUR)


def read_all(store: SQLAlchemyJobStore, now: int) -> None:
    """Read whatever can be read of it."""
    for sort in ("id", "name", "due"):
        store.find_jobs(JobQuery(sort=sort))
    store.find_jobs(JobQuery(tags={"red"}))
    for query in (RunQuery(), RunQuery(text="x"), RunQuery(job_ids="job"), RunQuery(error_types="x")):
        store.find_runs(query)
        store.count_runs(query)
    store.run_counts(START - DAY, START + DAY)
    store.get_run("job", START)
    store.last_runs(["job", "late"], 2)
    store.parts_of([("job", START)])
    store.changes("job")
    store.durations("job")
    store.nodes(now)
    store.orders(NODE, now)
    store.next_waiting()
    for id in [row[0] for row in execute(store, "SELECT id FROM rota_requests") if isinstance(row[0], str)]:
        store.answer_to(id, now)


COLUMNS = {
    "parts": ("job_id", "nominal", "name", "content"),
    "edits": ("job_id", "revision", "content"),
    "tags": ("tag", "job_id"),
    "hours": ("hour", "status", "runs"),
    "keys": ("job_id", "key", "nominal", "at"),
    "requests": ("id", "node", "kind", "job_id", "nominal", "at", "answer"),
    "jobs": ("revision", "paused", "durations", "failures", "horizon", "parent"),
    "runs": ("origin", "not_before", "cancel", "extra"),
    "nodes": ("about", "draining"),
}


@pytest.mark.parametrize("table", COLUMNS)
def test_damage_beside_jobs_and_runs_costs_nobody_but_itself(store: SQLAlchemyJobStore, table: str) -> None:
    from sqlalchemy.exc import DBAPIError

    fill(store)
    done = 0
    for column in COLUMNS[table]:
        before = execute(store, f"SELECT * FROM rota_{table}")
        assert before
        for value in DAMAGES.values():
            try:
                execute(store, f"UPDATE rota_{table} SET {column} = ?", value)
            except (DBAPIError, OverflowError, ValueError, TypeError):
                continue
            done += 1
            now = START + 6 * HOUR
            read_all(store, now)
            store.renew(NODE, now, LEASE)
            store.take_waiting(NODE, now, {"default": 0})
            assert store.lookup_job("job") is not None
            store.heal(now)
        if table == "nodes":
            execute(store, f"UPDATE rota_nodes SET {column} = ?", getattr(before[0], column))
            continue
        execute(store, f"DELETE FROM rota_{table}")
        marks = ", ".join("?" * len(before[0]))
        for row in before:
            execute(store, f"INSERT INTO rota_{table} VALUES ({marks})", *row)
    assert done
    store.mend(START + 6 * HOUR)
    store.prune(START + 10 * HOUR)
    assert [job.id for job in store.get_all_jobs()] != []


def test_tags_and_edits_of_jobs_that_are_gone_are_forgotten(store: SQLAlchemyJobStore) -> None:
    store.add_jobs([make_job("gone", tags=("red", "blue")), make_job("stays", tags=("red",))])
    for id in ("gone", "stays"):
        store.note_change(id, Change(1, START, "Ann", "name"))
    store.remove_job("gone")
    store.prune(START)
    assert execute(store, "SELECT tag, job_id FROM rota_tags") == [("red", "stays")]
    assert execute(store, "SELECT job_id FROM rota_edits") == [("stays",)]


def test_records_that_are_forgotten_before_they_are_counted_are_counted_then() -> None:
    need("sqlalchemy", "sql")
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    store = SQLAlchemyJobStore("sqlite://", keep_runs=2)
    store.start(None, "default")
    store.add_job(make_job(every=1))
    for second in range(5):
        finish(store, claim(store, START + second * SECOND), START + second * SECOND)
    store.prune(START + 5 * HOUR)  # the first hour is counted from here on
    later = START + 5 * HOUR
    for second in range(8):
        runs = claim(store, later + second * SECOND)
        finish(store, runs, later + second * SECOND)
    before = store.run_counts(START, START + DAY)
    store.prune(later + 2 * HOUR - 1)
    assert len(store.get_runs("job", SUCCEEDED)) <= 2
    assert store.run_counts(START, START + DAY) == before
    store.shutdown()


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM rota_meta WHERE key = 'counted'", "UPDATE rota_meta SET value = 'x' WHERE key = 'counted'"],
)
def test_counts_by_hour_begin_anew_if_it_cannot_be_told_how_far_they_got(
    store: SQLAlchemyJobStore, statement: str
) -> None:
    store.add_job(make_job(every=600))
    for number in range(3):
        finish(store, claim(store, START + number * 600 * SECOND), START + number * 600 * SECOND)
    store.prune(START + 5 * HOUR)
    before = store.run_counts(START, START + DAY)
    execute(store, statement)
    for _ in range(2):
        store.prune(START + 6 * HOUR)
        assert store.run_counts(START, START + DAY) == before == {START: {SUCCEEDED: 3}}


def test_what_is_not_counted_yet_is_counted_in_steps_as_far_as_the_time_goes(
    store: SQLAlchemyJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rota.jobstores import searching
    from rota.jobstores.sqlalchemy import counts

    store.add_jobs([make_job("job", every=600), make_job("other", every=600), make_job("waits", every=600)])
    for number in range(12):
        now = START + number * 600 * SECOND
        runs = claim(store, now)
        finish(store, [run for run in runs if run.job_id != "waits"], now)
    wanted = store.run_counts(START, START + DAY)
    of_ended = store.run_counts(START, START + DAY, RunQuery(statuses={SUCCEEDED, FAILED}))
    assert wanted.searched_back_to is of_ended.searched_back_to is None
    assert [wanted[START + hour * HOUR][SUCCEEDED] for hour in range(2)] == [12, 12]
    assert sum(hour.get(CLAIMED, 0) for hour in wanted.values()) >= 1
    assert of_ended == {START + hour * HOUR: {SUCCEEDED: 12} for hour in range(2)}
    monkeypatch.setattr(searching, "DURATION", 600 * SECOND)
    for at_once in (1, 2, 3, 7):
        monkeypatch.setattr(counts, "ASKED", at_once)
        assert store.run_counts(START, START + DAY) == wanted
        assert store.run_counts(START, START + DAY, RunQuery(statuses={SUCCEEDED, FAILED})) == of_ended
    monkeypatch.setattr(searching, "DURATION", 0)
    for query in (None, RunQuery(statuses=SUCCEEDED)):
        some = store.run_counts(START, START + DAY, query)
        assert some.searched_back_to is not None
        assert some.searched_back_to <= moment(START + DAY)
        found = {hour: counts[SUCCEEDED] for hour, counts in some.items()}
        assert 0 < sum(found.values()) < 24, "the first step in any case, and no other"
        assert all(number <= wanted[hour][SUCCEEDED] for hour, number in found.items())


def test_very_many_records_of_one_time_are_found_in_the_order_of_their_jobs(
    store: SQLAlchemyJobStore,
) -> None:
    ids = [f"job{number:03}" for number in range(120)]
    store.add_jobs([make_job(id) for id in ids])
    for minute in range(2):
        now = START + minute * 60 * SECOND
        runs = claim(store, now)
        for run in runs:
            run.started_at = now
            if run.job_id < "job050":
                fail(run, ValueError("no") if minute else KeyError("no"), "", now)
            else:
                succeed(run, None, now)
        assert store.finish(runs, now) == []
    expected = [(START + minute * 60 * SECOND, id) for minute in (1, 0) for id in ids]
    for limit in (7, 60, 121):
        for query, wanted in (
            (RunQuery(), expected),
            (RunQuery(nodes=NODE), expected),
            (RunQuery(statuses={FAILED}), [key for key in expected if key[1] < "job050"]),
            (RunQuery(error_types="KeyError"), [(START, id) for id in ids[:50]]),
            (RunQuery(job_ids=ids[::2]), [key for key in expected if key[1] in ids[::2]]),
            (RunQuery(until=moment(START + SECOND)), expected[120:]),
        ):
            found, cursor, pages = [], None, 0
            while pages == 0 or cursor is not None:
                page = store.find_runs(query, limit, cursor)
                found += [(run.nominal, run.job_id) for run in page.items]
                cursor, pages = page.cursor, pages + 1
            assert found == wanted, (query, limit)


def test_a_job_that_is_found_by_its_due_time_waits_for_its_runs(store: SQLAlchemyJobStore) -> None:
    store.add_jobs([make_job(f"job{number}", START + number * SECOND) for number in range(3)])
    store.renew(NODE, START, LEASE)
    (job,) = store.due(START, {"default": 1})
    decision = plan(job, START)
    decision.next_due = 2**62
    assert store.claim([decision], NODE, START) == [decision]
    found = [job.id for job in store.find_jobs(JobQuery(sort="due"), 1000).items]
    assert found == ["job1", "job2", "job0"]
    within = JobQuery(sort="due", due_before=moment(START + 2 * SECOND))
    assert [job.id for job in store.find_jobs(within).items] == ["job1"]


def test_the_longest_tag_has_room() -> None:
    need("sqlalchemy", "sql")
    from rota.job.marks import LONGEST_TAG
    from rota.jobstores.sqlalchemy.columns import TAG_LENGTH

    assert TAG_LENGTH == LONGEST_TAG
