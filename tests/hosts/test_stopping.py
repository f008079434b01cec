"""Shutdowns and removals of stores, as a durable store sees them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import StoreNotStartedError
from rota.events import EVENT_JOB_EXECUTED
from rota.executors.pool import ThreadPoolExecutor
from rota.schedulers.background import BackgroundScheduler
from tests.needs import need

if TYPE_CHECKING:
    from pathlib import Path

need("sqlalchemy", "sql")

#: What the jobs of these tests work with: they are found by their names.
shared: dict[str, Any] = {}


def step() -> None:
    """Wait until the test says so."""
    shared["begun"].set()
    assert shared["gate"].wait(20)


def plan_the_next_step() -> None:
    """Wait for the shutdown, and add a job."""
    shared["begun"].set()
    while shared["scheduler"].running:
        shared["gate"].wait(0.001)
    shared["scheduler"].add_job(step, "interval", hours=1, id="next")


@pytest.fixture
def url(tmp_path: Path) -> str:
    shared.update(begun=threading.Event(), gate=threading.Event())
    return f"sqlite:///{tmp_path / 'jobs'}"


def test_the_next_step_that_a_job_plans_during_a_shutdown_is_stored(url: str) -> None:
    scheduler = shared["scheduler"] = BackgroundScheduler(jobstores={"default": url})
    scheduler.start()
    scheduler.add_job(plan_the_next_step)
    assert shared["begun"].wait(20)
    scheduler.shutdown()
    assert scheduler.get_jobs() == []  # nothing waits for another start()
    again = BackgroundScheduler(jobstores={"default": url})
    again.start(paused=True)
    assert [job.id for job in again.get_jobs()] == ["next"]
    again.shutdown()


def test_a_call_that_meets_the_closing_of_the_stores_is_told_or_has_its_job_stored(url: str) -> None:
    """Nothing is lost in silence."""
    from rota.jobstores.memory import MemoryJobStore
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    class Closing(SQLAlchemyJobStore):
        def add_job(self, job: Any) -> None:
            scheduler.shutdown()  # as another thread may, between two lines
            super().add_job(job)

    class ClosingInMemory(MemoryJobStore):
        def add_job(self, job: Any) -> None:
            if scheduler.running:
                scheduler.shutdown()
            super().add_job(job)

    scheduler = BackgroundScheduler(jobstores={"default": Closing(url)})
    scheduler.start()
    with pytest.raises(StoreNotStartedError):
        scheduler.add_job(step, "interval", hours=1, id="j")
    scheduler = BackgroundScheduler(jobstores={"default": ClosingInMemory()})
    scheduler.start()
    scheduler.add_job(step, "interval", hours=1, id="j")
    scheduler.start()
    assert [job.id for job in scheduler.get_jobs()] == ["j"]
    scheduler.shutdown()


def test_a_removed_store_gets_the_ends_of_its_runs_and_those_back_that_have_not_started(url: str) -> None:
    scheduler = BackgroundScheduler(
        jobstores={"file": url}, executors={"default": ThreadPoolExecutor(1)}, lease=600
    )
    scheduler.start()
    jobs = [{"func": step, "id": name, "trigger": "date"} for name in ("first", "second", "third")]
    scheduler.add_jobs(jobs, "file")
    assert shared["begun"].wait(20)
    remover = threading.Thread(target=scheduler.remove_jobstore, args=("file",))
    remover.start()
    engine: Any = scheduler._engine
    while sum(run.cancelled for state in engine.leaving for run in state.completions.in_hand.values()) < 2:
        assert remover.is_alive()
        shared["gate"].wait(0.001)
    shared["gate"].set()
    remover.join(20)
    scheduler.shutdown()
    look = BackgroundScheduler(jobstores={"default": url}, runs_jobs=False)
    look.start()
    ended = [run for run in look.get_runs() if run.status == "succeeded"]
    assert len(ended) == 1
    assert {run.status for run in look.get_runs()} <= {"succeeded", "claimed"}
    look.shutdown()
    again = BackgroundScheduler(
        jobstores={"default": url}
    )  # takes the rest at once, although the lease is long
    done = threading.Event()
    again.add_listener(lambda event: done.set() if len(again.get_runs(status="succeeded")) == 3 else None)
    again.start()
    assert done.wait(20)
    assert {run.attempt for run in again.get_runs()} == {1}
    again.shutdown()


@pytest.mark.parametrize("durable", [True, False])
def test_the_records_can_be_read_before_the_start_and_after_the_shutdown(url: str, durable: bool) -> None:
    shared["gate"].set()
    stores = {"default": url} if durable else {}
    scheduler = BackgroundScheduler(timezone="Asia/Ho_Chi_Minh", jobstores=stores)
    assert scheduler.get_runs() == []
    ended = threading.Event()
    scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(step, id="j")
    assert ended.wait(20)
    scheduler.shutdown()
    (run,) = scheduler.get_runs("j")
    assert (run.status, run.scheduled_run_time.utcoffset()) == ("succeeded", timedelta(hours=7))
    assert scheduler.get_runs("j", status="failed") == []
    scheduler.start(paused=True)  # it is not left open
    assert [run.status for run in scheduler.get_runs()] == ["succeeded"]
    scheduler.shutdown()


def test_records_in_several_stores_can_be_read_after_the_shutdown(url: str) -> None:
    shared["gate"].set()
    scheduler = BackgroundScheduler(jobstores={"file": url, "default": {"type": "memory"}})
    ended: list[Any] = []
    scheduler.add_listener(ended.append, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(step, id="in the file", jobstore="file")
    scheduler.add_job(step, id="in memory")
    for _ in range(2000):
        if len(ended) == 2:
            break
        threading.Event().wait(0.01)
    scheduler.shutdown()
    assert {run.job_id for run in scheduler.get_runs()} == {"in the file", "in memory"}
    assert [run.job_id for run in scheduler.get_runs(jobstore="file")] == ["in the file"]
