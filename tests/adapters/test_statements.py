"""What the hot paths send to a database: looking for damage costs plain jobs no statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from rota import After
from rota.clock import SECOND, moment
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.chains import add_chain, child
from rota.testing.contracts.store_jobs import START, claim, finish, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: What a plain job has always sent to SQLite: when it is added, due, claimed and ended, and when a job that runs once has ended.
ADDED = """
    INSERT INTO rota_jobs (id, name, func, trigger_spec, args, kwargs, options, executor, next_nominal,
        next_due, version, state, running, error, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,
        ?, (SELECT count(*) AS count_1 FROM (SELECT rota_runs.nominal AS nominal FROM rota_runs WHERE
        rota_runs.job_id = ? AND rota_runs.status = ?) AS under_way), ?, ?, ?)
"""
DUE = """
    SELECT rota_jobs.id, rota_jobs.name, rota_jobs.func, rota_jobs.trigger_spec, rota_jobs.args,
        rota_jobs.kwargs, rota_jobs.options, rota_jobs.executor, rota_jobs.next_nominal, rota_jobs.next_due,
        rota_jobs.version, rota_jobs.state, rota_jobs.running, rota_jobs.error FROM rota_jobs WHERE
        rota_jobs.state = ? AND rota_jobs.next_due <= ? AND rota_jobs.executor = ? ORDER BY
        rota_jobs.next_due LIMIT ? OFFSET ?
"""
CLAIMED = """
    BEGIN IMMEDIATE
    SELECT rota_nodes.lease_until, rota_nodes.renewals FROM rota_nodes WHERE rota_nodes.id = ?
    UPDATE rota_jobs SET next_nominal=?, next_due=?, version=?, state=?, running=(rota_jobs.running +
        ?), error=?, updated=? WHERE rota_jobs.id = ? AND rota_jobs.version = ? AND rota_jobs.running <= ?
    INSERT INTO rota_runs (job_id, nominal, last, times, due, attempt, status, owner, executor, claimed)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    COMMIT
"""
ENDED = """
    BEGIN IMMEDIATE
    UPDATE rota_runs SET status=?, started=?, finished=?, result=? WHERE rota_runs.job_id = ? AND
        rota_runs.nominal = ? AND rota_runs.status = ? AND rota_runs.attempt = ? AND rota_runs.owner = ?
    UPDATE rota_jobs SET running=(rota_jobs.running - ?) WHERE rota_jobs.id = ? AND (rota_jobs.next_due
        IS NULL OR rota_jobs.next_due != ?)
    DELETE FROM rota_jobs WHERE rota_jobs.state = ? AND rota_jobs.running <= ?
    COMMIT
"""
ENDED_ONCE = """
    BEGIN IMMEDIATE
    UPDATE rota_runs SET status=?, started=?, finished=?, result=?, name=?, func=? WHERE
        rota_runs.job_id = ? AND rota_runs.nominal = ? AND rota_runs.status = ? AND rota_runs.attempt = ?
        AND rota_runs.owner = ?
    DELETE FROM rota_jobs WHERE rota_jobs.id = ? AND rota_jobs.state = ? AND rota_jobs.running <= ?
    COMMIT
"""
REMOVED = """
    BEGIN IMMEDIATE
    DELETE FROM rota_jobs WHERE rota_jobs.id = ? AND rota_jobs.state != ?
    COMMIT
"""
#: What says that a job stays for a run that waits; it costs those that have none a look at their own records.
UNLESS_ONE_WAITS = (
    " AND NOT (EXISTS (SELECT * FROM rota_runs WHERE rota_runs.job_id = rota_jobs.id AND rota_runs.status = ?"
    " AND rota_runs.not_before IS NOT NULL))"
)


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[ManualScheduler]:
    """Give a scheduler on a file of SQLite."""
    scheduler = ManualScheduler(
        clock=VirtualClock(START), jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}
    )
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def heard_by(scheduler: ManualScheduler) -> list[str]:
    """Return a list to which the first word of each statement is added."""
    heard: list[str] = []
    store: Any = scheduler._jobstores["default"]
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2].split()[0]))
    return heard


def test_a_second_of_plain_jobs_sends_what_it_always_sent(scheduler: ManualScheduler) -> None:
    for id in ("one", "two"):
        scheduler.add_job(task, "interval", seconds=1, id=id, start_date=moment(START))
    scheduler.advance(seconds=3)
    heard = heard_by(scheduler)
    scheduler.advance(seconds=1)
    an_end = ["BEGIN", "UPDATE", "UPDATE", "DELETE", "COMMIT"]
    a_claim = ["BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    assert heard == ["SELECT", "SELECT", "SELECT", *a_claim, *an_end, *an_end, "SELECT"]
    heard.clear()
    scheduler.add_job(task, "interval", seconds=60)
    assert heard == ["INSERT"]


def test_a_plain_job_sends_the_same_statements_with_the_same_columns_as_ever(
    scheduler: ManualScheduler,
) -> None:
    scheduler.add_job(task, "interval", seconds=1, id="first", start_date=moment(START))
    scheduler.advance(seconds=1)
    scheduler.remove_job("first")
    heard: list[str] = []
    store: Any = scheduler._jobstores["default"]
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2]))

    def sent() -> list[str]:
        found = [" ".join(text.split()) for text in heard]
        heard.clear()
        for text in found:
            assert text.startswith("DELETE FROM rota_jobs ") or UNLESS_ONE_WAITS not in text
        return [text.replace(UNLESS_ONE_WAITS, "") for text in found if not text.startswith("SELECT min(")]

    scheduler.add_job(task, "interval", seconds=1, id="often", start_date=moment(START + 5 * SECOND))
    assert sent() == as_sent(ADDED)
    scheduler.advance(seconds=4)
    assert sent()[-12:] == as_sent(DUE, DUE, CLAIMED, ENDED)
    scheduler.remove_job("often")
    assert sent() == as_sent(REMOVED)
    scheduler.add_job(task, "date", run_date=moment(START + 8 * SECOND), id="once")
    assert sent() == as_sent(ADDED)
    scheduler.advance(seconds=3)
    assert sent()[-11:] == as_sent(DUE, DUE, CLAIMED, ENDED_ONCE)


def test_a_plain_job_beside_a_chain_sends_the_same_and_the_end_of_a_parent_what_its_children_need(
    scheduler: ManualScheduler,
) -> None:
    scheduler.add_job(task, "interval", hours=9, id="parent", start_date=moment(START + 30 * SECOND))
    for number in range(2):
        scheduler.add_job(task, After("parent"), id=f"child{number}")
    scheduler.advance(seconds=1)
    heard = heard_by(scheduler)
    scheduler.add_job(task, "interval", seconds=10, id="plain", start_date=moment(START + 11 * SECOND))
    assert heard == ["INSERT"]
    scheduler.advance(seconds=9)
    heard.clear()
    scheduler.advance(seconds=1)
    a_claim = ["BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    an_end = ["BEGIN", "UPDATE", "UPDATE", "DELETE", "COMMIT"]
    assert heard == [*["SELECT"] * 3, *a_claim, *an_end, "SELECT"]
    scheduler.remove_job("plain")
    scheduler.advance(seconds=18)
    heard.clear()
    scheduler.advance(seconds=1)
    left = ["SELECT", *["SELECT", "INSERT"] * 2]
    begin = heard.index("INSERT") + 2
    assert heard[begin : begin + 10] == ["BEGIN", "UPDATE", *left, "UPDATE", "DELETE", "COMMIT"]


def as_sent(*steps: str) -> list[str]:
    """Return the statements of some steps, each in one line."""
    statements: list[str] = []
    for line in "".join(steps).splitlines():
        if line.startswith("        "):
            statements[-1] += f" {line.strip()}"
        elif line:
            statements.append(line.strip())
    return statements


def test_a_job_that_this_node_runs_as_often_as_it_may_is_not_counted_anew(scheduler: ManualScheduler) -> None:
    scheduler.add_job(sleep, "interval", seconds=1, id="long", start_date=moment(START))
    scheduler.advance(seconds=3)
    heard = heard_by(scheduler)
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("long")[0].reason == "max_instances"
    assert "".join(heard).count("BEGIN") == 1  # the claim that records the time as skipped


async def sleep() -> None:
    """Take a minute of virtual time."""
    import asyncio

    await asyncio.sleep(60)


def test_each_of_many_ends_in_one_microsecond_finds_the_key_of_what_it_starts_with_two_looks(
    tmp_path: Path,
) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'chain.sqlite'}")
    store.start(None, "default")
    try:
        add_chain(store, child(), coalesce=False, max_instances=20)
        runs = claim(store, START + 19 * 60 * SECOND)
        assert len(runs) == 20
        sent: list[str] = []
        event.listen(store.engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
        assert finish(store, runs, START + 20 * 60 * SECOND) == []
        looks = [text for text in sent if text.startswith("SELECT") and "rota_runs.nominal" in text]
        assert len(looks) == 1 + 2 * 19  # the first key is free
        nominals = [run.nominal for run in store.get_runs("child", limit=100)]
        assert sorted(nominals) == [START + 20 * 60 * SECOND + SECOND + number for number in range(20)]
    finally:
        store.shutdown()
