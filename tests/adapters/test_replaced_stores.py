"""What a scheduler does when its store is emptied, put back from a backup, moved away or replaced while it runs; on SQLite.

What every store must notice is in the contract; here is what becomes of passes, runs in hand, events and ``health()``.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from rota.errors import SchemaError, StoreReplacedError
from rota.events import EVENT_ALL
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import LEASE, NODE, START, make_job
from tests.core.engine_kit import Gate, names, outcomes

TASK = "rota.testing.contracts.store_jobs:task"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


class Program:
    """A scheduler on a file, whose runs end when the test says so."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.gate = Gate()
        self.store = SQLAlchemyJobStore(f"sqlite:///{path}", **options)
        self.scheduler = ManualScheduler(
            jobstores={"default": self.store}, executors={"default": self.gate}, timezone="UTC", lease=15
        )
        self.log: list[Any] = []
        from rota import events

        known = {value: name[6:] for name, value in vars(events).items() if name.startswith("EVENT_")}
        self.scheduler.add_listener(lambda event: self.log.append((known[event.code], event)), EVENT_ALL)
        self.scheduler.start()

    @property
    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self.scheduler.health()["stores"]["default"]
        return found


@pytest.fixture
def program(path: Path) -> Any:
    made = Program(path)
    yield made
    made.gate.release()
    made.scheduler.shutdown()


def remove(path: Path) -> None:
    for file in (path, *(Path(f"{path}{end}") for end in ("-wal", "-shm"))):
        file.unlink(missing_ok=True)


def backup(path: Path, to: Path) -> None:
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    source.backup(target)
    source.close()
    target.close()


def test_a_file_that_is_removed_is_made_anew_and_told_once(
    program: Program, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=10, id="job")
    scheduler.advance(seconds=10)
    assert len(program.gate.held) == 1
    program.log.clear()
    remove(path)
    scheduler.advance(seconds=20)
    told = names(program.log, "JOBSTORE_REPLACED", "SCHEDULER_DEGRADED", "SCHEDULER_RECOVERED")
    assert told == ["JOBSTORE_REPLACED", "SCHEDULER_DEGRADED", "SCHEDULER_RECOVERED"]
    assert program.health["ok"]
    assert path.exists()
    assert scheduler.get_jobs() == []
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    (event,) = [event for name, event in program.log if name == "JOB_LOST"]
    assert (event.job_id, event.run.status) == ("job", "succeeded")
    assert "refused" not in caplog.text
    assert len([record for record in caplog.records if "not at its place" in record.getMessage()]) == 1
    scheduler.add_job(TASK, "interval", seconds=10, id="again")
    scheduler.advance(seconds=10)
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    assert outcomes(scheduler, "again") == [("succeeded", None, 1)]


def test_a_backup_that_is_put_back_by_renaming_is_opened_and_runs_in_hand_get_a_record_there(
    program: Program, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=100, id="kept")
    backup(path, tmp_path / "backup")
    scheduler.add_job(TASK, "interval", seconds=100, id="later")
    scheduler.advance(seconds=100)
    held = {run.job_id: run.nominal for run, _ in program.gate.held}
    assert sorted(held) == ["kept", "later"]
    remove(path)
    os.replace(tmp_path / "backup", path)
    scheduler.advance(seconds=20)
    assert [job.id for job in scheduler.get_jobs()] == ["kept"]
    assert len(program.gate.held) == 2, "a run in hand was started once more"
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    assert [(run.nominal, run.status) for run in scheduler.get_runs()] == [(held["kept"], "succeeded")]
    assert [event.job_id for name, event in program.log if name == "JOB_LOST"] == ["later"]
    assert [event.job_id for name, event in program.log if name == "JOB_EXECUTED"] == ["kept"]
    assert "refused" not in caplog.text
    scheduler.advance(seconds=100)
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    assert outcomes(scheduler, "kept") == [("succeeded", None, 1)] * 2


def test_in_a_store_that_was_replaced_nothing_due_is_claimed_until_the_others_have_claimed_what_they_have_in_hand(
    program: Program, path: Path, tmp_path: Path
) -> None:
    program.scheduler.add_job(TASK, "interval", seconds=2, id="job")
    backup(path, tmp_path / "backup")
    remove(path)
    os.replace(tmp_path / "backup", path)
    program.scheduler.advance(seconds=7)  # of a lease of 15 s
    assert program.health["ok"]
    assert program.gate.held == []
    program.scheduler.advance(seconds=3)
    assert len(program.gate.held) == 1


def test_a_backup_that_is_put_back_into_the_open_file_is_noticed_by_the_lease(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    scheduler.advance(seconds=1)
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=60)
    assert len(program.gate.held) == 1
    scheduler.advance(seconds=10)
    program.log.clear()
    backup(tmp_path / "backup", path)
    scheduler.advance(seconds=10)
    (event,) = [event for name, event in program.log if name == "JOBSTORE_REPLACED"]
    assert "put back from a backup" in event.reason
    assert len(program.gate.held) == 1
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    assert outcomes(scheduler) == [("succeeded", None, 1)]


def test_an_end_that_is_refused_by_a_store_that_was_put_back_is_not_said_to_be_anothers(
    program: Program, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=60)
    backup(tmp_path / "backup", path)
    program.gate.release()  # before a renewal could notice anything
    scheduler.advance(seconds=5)
    assert outcomes(scheduler, "job")[0] == ("succeeded", None, 1)
    assert "another node" not in caplog.text
    assert names(program.log, "JOBSTORE_REPLACED", "JOB_REFUSED") == ["JOBSTORE_REPLACED"]


def test_a_run_whose_job_runs_as_often_as_it_may_in_the_backup_is_recorded_at_its_end(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", hours=1, id="job")
    scheduler.advance(hours=1)
    backup(path, tmp_path / "backup")
    program.gate.release()
    scheduler.run_job("job")
    scheduler.advance(seconds=20)
    (held,) = [run.nominal for run, _ in program.gate.held]
    backup(tmp_path / "backup", path)
    scheduler.advance(seconds=10)
    while program.gate.held:
        program.gate.release()
        scheduler.advance(seconds=1)
    assert held in {run.nominal for run in scheduler.get_runs("job", "succeeded")}
    assert scheduler.get_jobs()[0].running == 0


def test_what_a_backup_holds_for_this_node_and_is_not_in_hand_is_lost_or_executed_as_its_job_says(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, id="again")
    scheduler.add_job(TASK, id="once", on_lost="lost")
    scheduler.advance(seconds=1)
    backup(path, tmp_path / "backup")
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    scheduler.advance(seconds=10)
    backup(tmp_path / "backup", path)
    scheduler.advance(seconds=10)
    assert [run.job_id for run, _ in program.gate.held] == ["again"]
    program.gate.release()
    program.scheduler.advance(seconds=1)  # so that the events are delivered
    found = {run.job_id: run.status for run in scheduler.get_runs()}
    assert found == {"again": "succeeded", "once": "lost"}


def test_a_log_that_is_removed_beside_the_open_file_loses_nothing(program: Program, path: Path) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    Path(f"{path}-wal").unlink()
    scheduler.advance(seconds=20)
    assert names(program.log, "JOBSTORE_REPLACED") == ["JOBSTORE_REPLACED"]
    assert [job.id for job in scheduler.get_jobs()] == ["job"]
    assert program.health["ok"]
    copy = sqlite3.connect(path)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()


def test_a_log_that_lies_beside_a_backup_that_was_put_back_is_not_taken_for_its_own(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="before")
    backup(path, tmp_path / "backup")
    for number in range(30):
        scheduler.add_job(TASK, "interval", seconds=60, id=f"after{number}")
    os.replace(tmp_path / "backup", path)
    scheduler.advance(seconds=20)
    assert [job.id for job in scheduler.get_jobs()] == ["before"]
    copy = sqlite3.connect(path)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()


def test_a_store_that_may_create_nothing_waits_until_its_file_is_back(path: Path, tmp_path: Path) -> None:
    SQLAlchemyJobStore(f"sqlite:///{path}").start(None, "default")
    program = Program(path, create_tables=False)
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    away = tmp_path / "away"
    backup(path, away)
    remove(path)
    scheduler.advance(seconds=20)
    assert not program.health["ok"]
    assert "do not exist" in program.health["error"]
    remove(path)
    shutil.copy(away, path)
    scheduler.advance(seconds=30)
    assert program.health["ok"]
    assert [job.id for job in scheduler.get_jobs()] == ["job"]
    scheduler.shutdown()


def test_an_engine_that_was_passed_in_is_not_closed_and_finds_the_new_file(path: Path) -> None:
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{path}")
    store = SQLAlchemyJobStore(engine=engine)
    store.start(None, "default")
    store.renew(NODE, START, LEASE)
    pool = engine.pool
    remove(path)
    with pytest.raises(StoreReplacedError):
        store.get_all_jobs()
    store.reopen()
    assert engine.pool is pool
    store.renew(NODE, START, LEASE)
    store.add_job(make_job())
    found = sqlite3.connect(path)
    assert found.execute("SELECT id FROM rota_jobs").fetchall() == [("job",)]
    found.close()
    engine.dispose()


def test_tables_of_which_some_were_dropped_are_not_made_up(program: Program, path: Path) -> None:
    program.scheduler.add_job(TASK, "interval", seconds=60, id="job")
    other = sqlite3.connect(path)
    other.execute("DROP TABLE rota_nodes")
    other.commit()
    other.close()
    program.scheduler.advance(seconds=20)
    assert not program.health["ok"]
    assert "only rota_nodes are missing" in program.health["error"]
    with pytest.raises((SchemaError, StoreReplacedError)):
        program.store.reopen()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE rota_nodes (id TEXT PRIMARY KEY, lease_until, started, renewals)")
    other.close()
    program.scheduler.advance(seconds=20)
    assert program.health["ok"]
