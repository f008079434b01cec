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

from rota.core.plan import plan
from rota.core.states import succeed
from rota.engine.lease import Lease
from rota.engine.reopening import reopen
from rota.errors import SchemaError, StoreReplacedError
from rota.events import EVENT_ALL
from rota.jobstores.identity import Identity
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import LEASE, NODE, START, make_job
from tests.core.engine_kit import Gate, names, outcomes
from tests.present import present

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


def interfere(store: SQLAlchemyJobStore, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Be another node that changes a job each time after this one has looked at it, so many times."""
    lookup, left = store.lookup_job, times

    def first(job_id: str) -> Any:
        nonlocal left
        found = lookup(job_id)
        if left and found is not None:
            left -= 1
            store.save_job(found.copy(), found.version)
        return found

    monkeypatch.setattr(store, "lookup_job", first)


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
    program.scheduler.advance(seconds=14)  # of a lease of 15 s
    assert program.health["ok"]
    assert "nothing is claimed for another" in program.health["waits"]
    assert program.gate.held == []
    program.scheduler.advance(seconds=7)
    assert len(program.gate.held) == 1
    assert program.health["waits"] is None


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_run_in_hand_and_what_is_planned_after_its_store_was_put_back_are_in_one_record_each(
    program: Program, path: Path, tmp_path: Path, coalesce: bool
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(
        TASK, "interval", seconds=10, id="job", max_instances=3, coalesce=coalesce, misfire_grace_time=None
    )
    backup(path, tmp_path / "backup")
    start = present(present(scheduler.get_job("job")).next_nominal)
    scheduler.advance(seconds=10)
    program.gate.release()
    scheduler.advance(seconds=10)
    (held,) = [run.nominal for run, _ in program.gate.held]
    assert held == start + 10_000_000
    backup(tmp_path / "backup", path)
    scheduler.advance(seconds=25)
    for _ in range(3):
        program.gate.release()
        scheduler.advance(seconds=1)
    runs = scheduler.get_runs("job")
    times = [time for run in runs for time in range(run.nominal, run.last + 1, 10_000_000)]
    assert sorted(times) == list(range(start, max(times) + 1, 10_000_000))
    assert [run.status for run in runs if run.nominal == held] == ["succeeded"]


@pytest.mark.parametrize("times", [1, 5])
def test_a_run_in_hand_is_claimed_anew_though_others_change_its_job_at_the_same_time(
    program: Program, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    scheduler, store = program.scheduler, program.store
    scheduler.add_job(TASK, "interval", seconds=100, id="job")
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=100)
    backup(tmp_path / "backup", path)
    interfere(store, monkeypatch, times)
    scheduler.advance(seconds=10)
    assert [run.status for run in scheduler.get_runs("job")] == ["claimed"]
    program.gate.release()
    scheduler.advance(seconds=1)
    assert outcomes(scheduler, "job") == [("succeeded", None, 1)]
    assert names(program.log, "JOB_LOST", "JOB_REFUSED") == []


def test_the_end_of_a_run_without_a_place_is_recorded_though_others_change_its_job_at_the_same_time(
    program: Program, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, store = program.scheduler, program.store
    scheduler.add_job(TASK, "interval", hours=1, id="job")
    scheduler.advance(hours=1)
    backup(path, tmp_path / "backup")  # in which the job runs as often as it may
    program.gate.release()
    scheduler.run_job("job")
    scheduler.advance(seconds=20)
    (held,) = [run.nominal for run, _ in program.gate.held]
    backup(tmp_path / "backup", path)
    scheduler.advance(seconds=10)
    interfere(store, monkeypatch, 3)
    program.gate.release()
    scheduler.advance(seconds=5)
    assert held in {run.nominal for run in scheduler.get_runs("job", "succeeded")}
    assert names(program.log, "JOB_LOST", "JOB_REFUSED") == []


def test_an_end_that_a_store_refused_before_it_was_opened_anew_is_written_to_the_new_record(
    program: Program, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler, store = program.scheduler, program.store
    scheduler.add_job(TASK, "interval", seconds=100, id="job")
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=100)
    engine = present(scheduler._engine)
    state = engine.stores["default"]
    finish = store.finish

    def slowly(runs: Any, now: int) -> Any:
        """Be asked in the store that was put back, and answered when it has been opened anew by another thread."""
        backup(tmp_path / "backup", path)
        refused = finish(runs, now)
        monkeypatch.undo()
        with pytest.raises(StoreReplacedError) as caught:
            store.renew(present(state.lease).node, store.now(), 15_000_000)
        state.back_off.failed(caught.value, "renewing the lease")
        reopen(engine.outlet, state)
        return refused

    monkeypatch.setattr(store, "finish", slowly)
    program.gate.release()
    scheduler.advance(seconds=1)
    assert outcomes(scheduler, "job") == [("succeeded", None, 1)]
    assert names(program.log, "JOB_LOST", "JOB_REFUSED") == []


def test_a_backup_from_between_two_renewals_costs_a_run_in_hand_nothing(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=101, id="kept", max_instances=2)
    scheduler.add_job(TASK, id="gone", next_run_time=None)
    scheduler.advance(seconds=100)
    before = tmp_path / "before"
    backup(path, before)
    scheduler.run_job("gone")
    scheduler.advance(seconds=1)
    assert sorted(run.job_id for run, _ in program.gate.held) == ["gone", "kept"]
    other = sqlite3.connect(before)
    other.execute("DELETE FROM rota_jobs WHERE id = 'gone'")
    other.commit()
    other.close()
    backup(before, path)
    program.gate.release()
    scheduler.advance(seconds=1)
    assert outcomes(scheduler, "kept") == [("succeeded", None, 1)]
    assert [event.job_id for name, event in program.log if name == "JOB_LOST"] == ["gone"]
    assert names(program.log, "JOB_REFUSED", "JOBSTORE_REPLACED") == []


def test_an_end_whose_time_another_node_has_recorded_meanwhile_is_told_as_that(
    program: Program, path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, id="job")
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=1)
    backup(tmp_path / "backup", path)
    other = SQLAlchemyJobStore(f"sqlite:///{path}")
    other.start(scheduler, "default")
    now = other.now()
    other.renew("other", now, 15_000_000)
    (won,) = other.claim([plan(job, now) for job in other.due(now, {"default": 1})], "other", now)
    succeed(won.runs[0], None, now)
    other.finish(won.runs, now)
    scheduler.advance(seconds=10)
    program.gate.release()
    scheduler.advance(seconds=1)
    assert names(program.log, "JOB_LOST", "JOB_REFUSED") == ["JOB_REFUSED"]
    assert "has a record of another run since the store was put back" in caplog.text
    other.shutdown()


def test_a_run_in_hand_that_a_store_gives_out_once_more_is_not_executed_beside_itself(
    program: Program, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=100, id="job", max_instances=2)
    backup(path, tmp_path / "backup")
    scheduler.advance(seconds=100)
    assert len(program.gate.held) == 1
    backup(tmp_path / "backup", path)
    with monkeypatch.context() as patch:  # it does not look at its lease, as on a tree
        patch.setattr(Identity, "is_restored", lambda *args: False)
        patch.setattr(Lease, "keep", lambda lease, in_hand: None)
        scheduler.wakeup()
        scheduler.tick()
    assert len(program.gate.held) == 1
    program.gate.release()
    scheduler.advance(seconds=10)
    assert outcomes(scheduler, "job") == [("succeeded", None, 1)]
    assert program.gate.held == []


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
    scheduler.advance(seconds=25)
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
    assert program.gate.held == [], "others may have a run of the job in hand, and have had no time to say so"
    scheduler.advance(seconds=15)
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


def test_an_index_of_the_log_that_is_removed_is_noticed_before_others_write_by_a_new_one(
    program: Program, path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    index = Path(f"{path}-shm")
    index.unlink()
    scheduler.advance(seconds=20)
    assert names(program.log, "JOBSTORE_REPLACED") == ["JOBSTORE_REPLACED"]
    assert [job.id for job in scheduler.get_jobs()] == ["job"]
    assert program.health["ok"]
    assert f"{index} (deleted)" not in Path("/proc/self/maps").read_text()
    copy = sqlite3.connect(path)
    assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    copy.close()


def test_a_file_that_is_moved_behind_a_symbolic_link_is_opened_anew_with_the_log_that_others_have(
    program: Program, path: Path, tmp_path: Path
) -> None:
    scheduler = program.scheduler
    scheduler.add_job(TASK, "interval", seconds=60, id="job")
    real = tmp_path / "real.sqlite"
    path.rename(real)
    path.symlink_to(real)
    scheduler.advance(seconds=20)
    assert names(program.log, "JOBSTORE_REPLACED") == ["JOBSTORE_REPLACED"]
    assert [job.id for job in scheduler.get_jobs()] == ["job"]
    assert program.health["ok"]
    scheduler.add_job(TASK, "interval", seconds=60, id="later")
    other = sqlite3.connect(real)
    assert other.execute("SELECT id FROM rota_jobs ORDER BY id").fetchall() == [("job",), ("later",)]
    assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    other.close()


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
    store = SQLAlchemyJobStore(f"sqlite:///{path}")
    store.start(None, "default")
    store.shutdown()
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


@pytest.mark.parametrize("until", [0, "nonsense"])
def test_a_lease_that_somebody_has_changed_is_renewed_when_claims_win_nothing(
    program: Program, path: Path, until: Any
) -> None:
    program.scheduler.add_job(TASK, "interval", seconds=1, id="job", max_instances=100)
    program.scheduler.advance(seconds=6.5)
    before = len(program.gate.held)
    other = sqlite3.connect(path)
    other.execute("UPDATE rota_nodes SET lease_until = ?", (until,))
    other.commit()
    other.close()
    program.scheduler.advance(seconds=2)
    assert len(program.gate.held) == before + 2
    assert program.health["ok"]


def test_tables_of_which_some_were_dropped_are_not_made_up(program: Program, path: Path) -> None:
    program.scheduler.add_job(TASK, "interval", seconds=60, id="job")
    other = sqlite3.connect(path)
    (nodes,) = other.execute("SELECT sql FROM sqlite_master WHERE name = 'rota_nodes'").fetchone()
    other.execute("DROP TABLE rota_nodes")
    other.commit()
    other.close()
    program.scheduler.advance(seconds=20)
    assert not program.health["ok"]
    assert "only rota_nodes are missing" in program.health["error"]
    with pytest.raises((SchemaError, StoreReplacedError)):
        program.store.reopen()
    other = sqlite3.connect(path)
    other.execute(nodes)
    other.close()
    program.scheduler.advance(seconds=20)
    assert program.health["ok"]
