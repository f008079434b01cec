"""Runs that fail, wait for a retry, take too long, are asked to stop or start others, as processes are killed or suspended.

After each of these the ledger adds up: each nominal time is in exactly one record, and tries and attempts are as the rules say.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from typing import TYPE_CHECKING, Any

import pytest

from rota import Retry
from rota.clock import SECOND
from rota.core.states import CANCELLED, LOST, SUCCEEDED, TIMED_OUT, WAITING
from rota.core.timeouts import MARK
from tests.faults.crew import LEASE, Crew, wait_until
from tests.needs import need
from tests.present import present

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

    from rota.core.run import Run

need("sqlalchemy", "sql")

pytestmark = [pytest.mark.timeout(120)]

#: the stores on which all of this is tried, and those on which a part is
WHOLE = ("sqlite", "postgresql")
ALL = (*WHOLE, "mariadb", "redis", "mongodb", "etcd", "zookeeper")
on_some = pytest.mark.parametrize("store", WHOLE, indirect=True)
on_all = pytest.mark.parametrize("store", ALL, indirect=True)
SOON = Retry(wait_initial=0.2, wait_jitter=0)


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """The name of a store."""
    name: str = request.param
    return name


@pytest.fixture
def crew(store: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crew]:
    """A crew without workers, on an empty store."""
    if store == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    else:
        url = request.getfixturevalue(f"{store}_url")
    with Crew(url, tmp_path) as crew:
        yield crew


def settled(crew: Crew) -> tuple[Run, list[str]]:
    """Wait until all is over, check the balance; return the only record, and the outcomes of its attempts."""
    crew.settle()
    (record,) = crew.runs()
    known = present(crew.looker.get_run(record.job_id, record.scheduled_run_time))
    return known, [attempt.outcome for attempt in known.attempts]


def first_run(crew: Crew, status: str | None = None) -> Run:
    """Wait until the run is there, in a status, and return its record."""
    wait_until(lambda: crew.runs(status), f"the run to be {status}")
    return crew.runs(status)[0]


def suspend_at_rest(crew: Crew, worker: subprocess.Popen[str]) -> None:
    """Suspend a worker while it holds no locks: else nobody can do anything until it goes on."""
    crew.suspend(worker)
    while not _holds_nothing(crew.url):
        worker.send_signal(signal.SIGCONT)
        time.sleep(0.01)
        crew.suspend(worker)


def _holds_nothing(url: str) -> bool:
    if url.startswith("postgresql"):
        psycopg = need("psycopg", "postgresql")
        with psycopg.connect(url) as connection:
            idle = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'"
            )
            return bool(connection.execute(idle).fetchone()[0] == 0)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


# ------------------------------------------------------------------------------------------------------------- retries


@on_all
def test_a_process_that_is_killed_between_a_failure_and_its_giving_back_costs_one_try(crew: Crew) -> None:
    crew.add_governed("job", "fail_first", (0,), retry=SOON)
    worker = crew.start(die_at="give_back")
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)  # it is dead: for the balance
    crew.hire()
    record, outcomes = settled(crew)
    assert (record.status, record.tries, record.attempt) == (SUCCEEDED, 1, 3)
    assert outcomes[1:] == ["given back", "succeeded"]
    assert [attempt for _, _, attempt in crew.lines("begin")] == [1, 3]


@on_some
def test_a_failure_whose_process_is_killed_in_its_last_try_is_final(crew: Crew) -> None:
    crew.add_governed("job", "fail_first", (0, 9), retry=SOON, max_attempts=1)
    worker = crew.start(die_at="finish")
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)
    crew.hire()
    record, _ = settled(crew)
    assert (record.status, record.tries, record.attempt) == ("lost", 1, 1)
    assert len(crew.lines("begin")) == 1


@on_some
def test_a_retry_outlives_the_process_that_has_failed_and_waits_no_longer_for_that(crew: Crew) -> None:
    crew.add_governed("job", "fail_first", (0,), retry=Retry(wait_initial=4, wait_jitter=0))
    (first,) = crew.hire(lease=60)
    assert first_run(crew, WAITING).waiting_for == "retry"
    crew.kill(first)
    (second,) = crew.hire(lease=60)
    record, outcomes = settled(crew)  # long before the lease of the first one is over
    assert (record.status, record.tries, record.attempt) == (SUCCEEDED, 1, 2)
    assert outcomes == ["failed", "succeeded"]
    assert [attempt for _, _, attempt in crew.lines("begin", second.pid)] == [2]


@on_some
@pytest.mark.parametrize(
    "shifts",
    [(3,), (-3,), (3600,), (-3600, 0)],
    ids=["seconds forward", "seconds back", "an hour forward", "an hour back"],
)
def test_a_retry_waits_by_the_clock_that_counts_however_it_is_set(
    crew: Crew, store: str, shifts: tuple[float, ...]
) -> None:
    clock: dict[str, Any] = {"clock" if store == "sqlite" else "server_clock": crew.clock}
    crew.hire(2, **clock)
    crew.add_governed("job", "fail_first", (0,), retry=Retry(wait_initial=2, wait_jitter=0))
    waits = first_run(crew, WAITING)
    for shift in shifts:
        crew.set_clock(shift)
        time.sleep(1)  # not for something to happen, but for all to see that clock
    record, outcomes = settled(crew)
    assert (record.status, record.tries, record.attempt) == (SUCCEEDED, 1, 2)
    assert outcomes == ["failed", "succeeded"]
    assert record.nominal == waits.nominal
    assert waits.not_before is not None and record.started_at is not None
    assert record.started_at / SECOND >= waits.not_before.timestamp() - 0.01


# ---------------------------------------------------------------------------------------------------------- cancelling


@on_all
def test_a_run_that_was_asked_to_stop_is_not_executed_again_when_its_process_is_killed(crew: Crew) -> None:
    crew.add_governed("job", "hang_first", (60,), retry=SOON)
    (worker,) = crew.hire()
    crew.wait_for("begin", 1)
    crew.cancel(first_run(crew))
    crew.kill(worker)
    crew.hire()
    record, _ = settled(crew)
    assert (record.status, record.reason, record.attempt) == (CANCELLED, "no more", 1)
    assert len(crew.lines("begin")) == 1


@on_some
def test_a_process_that_is_killed_as_it_records_what_was_asked_to_stop_leaves_it_cancelled(
    crew: Crew,
) -> None:
    crew.add_governed("job", "hang_first", (60, 0.1), retry=SOON)
    worker = crew.start(die_at="finish")
    crew.wait_for("begin", 1)
    crew.cancel(first_run(crew))
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)
    assert len(crew.lines("failed")) == 1
    crew.hire()
    record, _ = settled(crew)
    assert (record.status, record.reason, record.attempt) == (CANCELLED, "no more", 1)
    assert len(crew.lines("begin")) == 1


@on_some
def test_a_retry_that_is_cancelled_as_its_process_is_dead_ends_at_once(crew: Crew) -> None:
    crew.add_governed("job", "fail_first", (0,), retry=Retry(wait_initial=60))
    (worker,) = crew.hire()
    waits = first_run(crew, WAITING)
    crew.kill(worker)
    crew.cancel(waits)
    record, outcomes = settled(crew)
    assert (record.status, record.reason, record.tries) == (CANCELLED, "no more", 1)
    assert outcomes[0] == "failed"


# ----------------------------------------------------------------------------------------------------------- time-outs


@on_some
def test_the_time_of_a_run_begins_anew_with_the_node_that_takes_it_over_from_a_suspended_one(
    crew: Crew,
) -> None:
    crew.add_governed("job", "hang", (LEASE + 2,), timeout=LEASE + 1, max_attempts=2)
    (sleeper,) = crew.hire()
    crew.wait_for("begin", 1)
    suspend_at_rest(crew, sleeper)
    (other,) = crew.hire()
    crew.wait_for("begin", 2)
    assert crew.lines("begin", other.pid)[0][2] == 2
    time.sleep(1)
    sleeper.send_signal(signal.SIGCONT)  # its time was over long ago, as it thinks
    wait_until(lambda: crew.lines("refused", sleeper.pid), "the end of the first attempt to be refused")
    record, _ = settled(crew)
    assert (record.status, record.reason, record.attempt) == (TIMED_OUT, "timeout", 2)
    assert record.duration is not None and record.duration >= LEASE + 1
    assert [attempt for _, _, attempt in crew.lines("begin")] == [1, 2]


@on_some
def test_a_run_that_nobody_has_taken_over_from_a_suspended_node_times_out_there(crew: Crew) -> None:
    crew.add_governed("job", "hang_first", (LEASE + 3,), timeout=LEASE, max_attempts=1)
    (sleeper,) = crew.hire()
    crew.wait_for("begin", 1)
    crew.suspend(sleeper)
    time.sleep(LEASE + 1)
    sleeper.send_signal(signal.SIGCONT)
    record, _ = settled(crew)
    assert (record.status, record.reason, record.attempt) == (TIMED_OUT, "timeout", 1)
    assert crew.lines("refused") == []


@on_some
@pytest.mark.parametrize(
    ("options", "status", "attempts"),
    [({"max_attempts": 1}, TIMED_OUT, [1]), ({"retry": SOON}, SUCCEEDED, [1, 3])],
    ids=["no retry", "retry"],
)
def test_a_run_whose_time_was_over_when_its_node_was_killed_has_timed_out_or_is_tried_again(
    crew: Crew, options: dict[str, Any], status: str, attempts: list[int]
) -> None:
    crew.add_governed("job", "hang_first", (60,), timeout=0.5, **options)
    (worker,) = crew.hire()
    crew.wait_for("begin", 1)
    run = first_run(crew)

    def is_marked() -> bool:
        return MARK in present(crew.looker.get_run(run.job_id, run.scheduled_run_time)).parts

    wait_until(is_marked, "the node to say that the run goes on after its time")
    crew.kill(worker)
    crew.hire()
    record, outcomes = settled(crew)
    assert (record.status, record.attempt, record.tries) == (status, attempts[-1], 1)
    assert outcomes[0] == "timed_out"
    assert [attempt for _, _, attempt in crew.lines("begin")] == attempts
    assert crew.looker.get_job("job") is None


# -------------------------------------------------------------------------------------------------------------- chains


def chain_of_three(crew: Crew) -> None:
    """Add a job that runs once, now, one after it, and one after that."""
    crew.add_governed("job", "hang", (0,))
    crew.add_after("child", "job")
    crew.add_after("last", "child", "succeeded")


def ended_once(crew: Crew, *ids: str) -> list[int]:
    """Wait until all is over, check the balance; return the attempts of the runs, of which each job has one that succeeded."""
    crew.hire()
    found = crew.settle()
    records = [record for id in ids for record in crew.runs() if record.job_id == id]
    assert [(record.job_id, record.status) for record in records] == [(id, SUCCEEDED) for id in ids]
    assert found.records == len(ids)
    return [record.attempt for record in records]


@on_all
@pytest.mark.parametrize(
    ("moment", "attempts"), [("die_at", [2, 1, 1]), ("die_behind", [1, 1, 1])], ids=["before", "after"]
)
def test_a_process_that_is_killed_around_the_end_of_a_run_leaves_one_run_of_the_job_after_it(
    crew: Crew, moment: str, attempts: list[int]
) -> None:
    chain_of_three(crew)
    options: dict[str, Any] = {moment: "finish"}
    worker = crew.start(**options)
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)
    assert ended_once(crew, "job", "child", "last") == attempts


@pytest.mark.parametrize("store", ["mongodb"], indirect=True)
@pytest.mark.parametrize(
    ("moment", "method"),
    [("die_at", "_filing._left_by"), ("die_behind", "_filing._left_by")],
    ids=["before its child is written", "before the end is filed"],
)
def test_a_process_that_is_killed_between_an_end_and_its_filing_leaves_one_run_of_the_job_after_it(
    crew: Crew, moment: str, method: str
) -> None:
    chain_of_three(crew)
    options: dict[str, Any] = {moment: method}
    worker = crew.start(**options)
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)
    assert ended_once(crew, "job", "child", "last") == [1, 1, 1]


@pytest.mark.parametrize("store", [*WHOLE, "mongodb"], indirect=True)
def test_a_run_of_a_chain_whose_process_is_killed_is_rescued_and_starts_the_next_job_once(crew: Crew) -> None:
    crew.add_governed("job", "hang", (0,))
    crew.add_after("child", "job", func="tests.faults.erratic:hang_first", args=(str(crew.trace), 60))
    crew.add_after("last", "child")
    (worker,) = crew.hire()
    crew.wait_for_runs("child", 1)
    crew.kill(worker)
    assert ended_once(crew, "job", "child", "last") == [1, 2, 1]


@pytest.mark.parametrize("store", [*WHOLE, "mongodb"], indirect=True)
def test_a_run_that_is_lost_with_its_process_starts_what_follows_a_failure_once(crew: Crew) -> None:
    crew.add_governed("job", "hang", (0,), max_attempts=1, on_lost="lost")
    crew.add_after("alarm", "job", "failed")
    crew.add_after("good", "job", "succeeded")
    worker = crew.start(die_at="finish")
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)
    crew.hire()
    assert crew.settle().chained == 1
    assert sorted((record.job_id, record.status) for record in crew.runs()) == [
        ("alarm", SUCCEEDED),
        ("job", LOST),
    ]


@pytest.mark.parametrize("store", [*WHOLE, "mongodb", "redis"], indirect=True)
def test_each_end_starts_one_run_as_processes_are_killed_again_and_again(crew: Crew) -> None:
    crew.add_series("job", 0.1, 4, coalesce=False, max_instances=3, misfire_grace_time=None)
    crew.add_after("all", "job", overlap="buffer_all")
    crew.add_after("few", "job", takes=0.3)
    crew.add_after("last", "all", "succeeded", max_instances=2)
    crew.hire(3)
    for _ in range(8):
        time.sleep(0.5)
        crew.replace_one()
    found = crew.settle()
    assert found.chained >= 3  # what was skipped starts nothing
