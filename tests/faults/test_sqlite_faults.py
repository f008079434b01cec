"""Processes on one SQLite file, killed, suspended or locked out, and disks that take nothing more: the ledger adds up."""

from __future__ import annotations

import random
import resource
import signal
import sqlite3
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rota.core.states import SUCCEEDED
from rota.executors.pool import ThreadPoolExecutor
from rota.schedulers.background import BackgroundScheduler
from tests.faults.contract import FaultContract
from tests.faults.crew import LEASE, Crew, wait_until
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

need("sqlalchemy", "sql")

pytestmark = [pytest.mark.timeout(120)]

MANY = 1000


def _began(crew: Crew, enough: int) -> bool:
    """Whether so many runs have begun, or all have ended."""
    return len(crew.lines("begin")) >= enough or not crew.looker.get_jobs()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a database file that is not there yet."""
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def crew(url: str, tmp_path: Path) -> Iterator[Crew]:
    """A crew without workers."""
    with Crew(url, tmp_path) as crew:
        yield crew


class TestSQLiteFaults(FaultContract):
    lease_of_wrong_clocks = 30

    @pytest.fixture
    def url(self, url: str) -> str:
        return url


# ------------------------------------------------------------------------------------------------ processes that die


@pytest.mark.parametrize("seed", [1, 2])
def test_a_process_that_is_killed_in_the_middle_of_a_thousand_runs_loses_nothing(
    crew: Crew, seed: int
) -> None:
    crew.add_once(MANY, takes=0.002)
    enough = random.Random(seed).randint(50, 900)
    (worker,) = crew.hire()
    crew.wait_for("begin", enough)
    crew.kill(worker)
    recorded, under_way = len(crew.runs(SUCCEEDED)), crew.claimed()
    assert recorded < MANY
    assert recorded + len(under_way) <= MANY
    crew.hire()
    found = crew.settle()
    assert (found.succeeded, found.records) == (MANY, MANY)
    repeated = {(id, nominal) for id, nominal, attempt in crew.lines("begin") if attempt > 1}
    assert repeated <= under_way, "doubled beyond what was under way"


def test_a_process_that_dies_between_executing_and_recording_has_those_runs_executed_again(
    crew: Crew,
) -> None:
    crew.add_once(100, takes=0.001)
    worker = crew.start(die_after=50)
    assert worker.wait(30) == -signal.SIGKILL
    crew.kill(worker)  # it is dead: for the balance
    executed = {(id, nominal) for id, nominal, _ in crew.lines("end")}
    recorded = {(run.job_id, run.nominal) for run in crew.runs(SUCCEEDED)}
    unrecorded = executed - recorded
    assert unrecorded, "the process was to die with outcomes that are not recorded"
    assert unrecorded <= crew.claimed()
    crew.hire()
    assert crew.settle().repeated >= len(unrecorded)
    again = {(id, nominal) for id, nominal, attempt in crew.lines("begin") if attempt == 2}
    assert unrecorded <= again
    assert not recorded & again


def test_a_process_that_was_suspended_past_its_lease_has_its_outcomes_refused(crew: Crew, url: str) -> None:
    crew.add_once(20, takes=0.4)
    (first,) = crew.hire(lease=1.5, workers=5)
    crew.wait_for("begin", 5)
    crew.suspend(first)
    while not _can_be_written(url):  # it was writing: nobody can do anything until it goes on
        first.send_signal(signal.SIGCONT)
        crew.suspend(first)
    taken = crew.claimed()
    assert taken
    (second,) = crew.hire(lease=1.5, workers=5)
    wait_until(lambda: len(crew.runs(SUCCEEDED)) == 20, "the second process to take over and end everything")
    first.send_signal(signal.SIGCONT)
    wait_until(lambda: crew.lines("refused", first.pid), "the first process to have outcomes refused")
    crew.end(first)
    crew.end(second)
    crew.settle()
    records = {(run.job_id, run.nominal): run for run in crew.runs()}
    for id, nominal, attempt in crew.lines("refused"):
        assert (id, nominal) in taken
        assert records[id, nominal].attempt > attempt
        assert (records[id, nominal].owner or "").startswith(f"{second.pid}-")


def _can_be_written(url: str) -> bool:
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=1)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


# ---------------------------------------------------------------------------------------- processes that live together


def test_two_processes_on_one_file_double_nothing_and_lose_nothing(crew: Crew) -> None:
    crew.add_once(MANY, takes=0.005)
    both = crew.hire(2, lease=15, workers=4)
    assert crew.settle().executions == MANY
    shares = [len(crew.lines("begin", worker.pid)) for worker in both]
    assert min(shares) > 0, f"one process did all the work: {shares}"


def test_a_process_that_is_asked_to_end_gives_back_what_it_has_not_started(crew: Crew) -> None:
    crew.add_once(60)
    (first,) = crew.hire(lease=60, workers=3)
    crew.wait_for("begin", 3)
    crew.end(first)
    assert all(run.owner is None for run in crew.runs("claimed"))
    crew.hire(lease=60, workers=20)
    assert crew.settle().repeated == 0


def test_a_schedule_has_no_gap_and_no_double_however_often_its_processes_are_killed(crew: Crew) -> None:
    chance = random.Random(3)
    options: dict[str, Any] = {
        "every": 0.1,
        "seconds": 10,
        "takes": 0.002,
        "max_instances": 3,
    }
    crew.add_series("each", coalesce=False, **options)
    crew.add_series("latest", coalesce=True, **options)
    for _ in range(5):
        (worker,) = crew.hire(lease=1.5, workers=3)
        enough = len(crew.lines("begin")) + chance.randint(2, 12)
        wait_until(partial(_began, crew, enough), "some runs")
        crew.kill(worker)
    crew.hire(lease=1.5, workers=3)
    assert crew.settle().lost == 0


# ---------------------------------------------------------------------------------- a database that takes nothing more


def test_a_database_that_somebody_else_has_locked_delays_and_loses_nothing(crew: Crew, url: str) -> None:
    crew.add_once(200, takes=0.02)
    crew.ceased = None  # nor can a lease be renewed meanwhile
    crew.hire(workers=4)
    crew.wait_for("end", 20)
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
    connection.execute("BEGIN EXCLUSIVE")
    before = len(crew.lines("end"))
    time.sleep(1)  # not for something to happen, but for nothing to be possible
    connection.execute("COMMIT")
    connection.close()
    assert before < 200
    assert crew.settle().succeeded == 200


@pytest.mark.parametrize(
    ("trouble", "cure", "message"),
    [
        ("PRAGMA max_page_count = 1", "PRAGMA max_page_count = 1073741823", "database or disk is full"),
        ("PRAGMA query_only = 1", "PRAGMA query_only = 0", "readonly database"),
    ],
    ids=["full", "read-only"],
)
def test_a_disk_that_takes_nothing_more_delays_and_loses_nothing(
    url: str, crew: Crew, trouble: str, cure: str, message: str
) -> None:
    from sqlalchemy import create_engine, event

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    engine = create_engine(url)
    now = [cure]
    event.listen(engine, "checkout", lambda connection, record, proxy: connection.execute(now[0]))
    crew.ceased = None  # nor can a lease be renewed meanwhile
    crew.add_mixture(100, 4)
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(engine=engine)},
        executors={"default": ThreadPoolExecutor(10)},
        lease=LEASE,
        jobstore_retry_interval=0.5,
        timezone="UTC",
    )
    scheduler.start()
    try:
        crew.wait_for("begin", 10)
        now[0] = trouble
        wait_until(lambda: message in (scheduler.health()["stores"]["default"]["error"] or ""), message)
        time.sleep(LEASE + 1)  # longer than the lease
        now[0] = cure
        print(crew.settle())
        wait_until(lambda: scheduler.health()["stores"]["default"]["error"] is None, "the store to recover")
    finally:
        scheduler.shutdown(timeout=5)
        engine.dispose()


def test_processes_whose_files_may_not_grow_delay_and_lose_nothing(crew: Crew, tmp_path: Path) -> None:
    crew.add_mixture(100, 4)
    crew.ceased = None
    workers = crew.hire(2)
    crew.wait_for("begin", 10)
    # The log has its full size from the start and is written from its beginning, again and again: a limit that some ten commits
    # reach, and that what the workers tell does not.
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (64 * 1024, resource.RLIM_INFINITY))
    wait_until(lambda: "disk I/O error" in crew.complaints.read_text(), "a worker to complain")
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(crew.settle())
