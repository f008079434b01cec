"""A claim that a store refuses costs the job that it is refused for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.core.plan import Decision, plan
from rota.core.states import ACTIVE, QUARANTINED
from rota.engine.damage import claim_singly
from rota.errors import JobValueError, StoreError, StoreUnavailableError
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import NODE, START, make_job, task

if TYPE_CHECKING:
    from collections.abc import Sequence


class Picky(MemoryJobStore):
    """A store that refuses to claim runs of some jobs, and whatever is claimed with them."""

    def __init__(self, *guilty: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.guilty = guilty
        self.error = error or JobValueError("the database refused a value: out of range")
        self.asked = 0

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        self.asked += 1
        if any(decision.job.id in self.guilty and decision.state == ACTIVE for decision in decisions):
            raise self.error
        return super().claim(decisions, node, now)


@pytest.mark.parametrize("guilty", [("b",), ("a", "b", "c", "d"), ("a", "b", "c", "d", "e")])
def test_jobs_whose_claim_is_refused_are_quarantined_with_the_reason_and_the_others_run(
    guilty: tuple[str, ...],
) -> None:
    store = Picky(*guilty)
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    for id in "abcde":
        scheduler.add_job(task, "interval", seconds=10, id=id)
    scheduler.advance(seconds=10)
    for job in scheduler.get_jobs():
        assert job.state == (QUARANTINED if job.id in guilty else ACTIVE)
        if job.id in guilty:
            assert "refuses its claim" in (job.error or "")
            assert "out of range" in (job.error or "")
    assert {run.job_id for run in scheduler.get_runs()} == set("abcde") - set(guilty)
    assert scheduler.health()["stores"]["default"]["ok"]
    scheduler.shutdown()


@pytest.mark.parametrize("error", [StoreUnavailableError("away"), StoreError("no such table"), OSError()])
def test_an_error_that_speaks_of_the_store_is_no_fault_of_its_jobs(error: Exception) -> None:
    store = Picky("a", error=error)
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    for id in "ab":
        scheduler.add_job(task, "interval", seconds=10, id=id)
    scheduler.advance(seconds=10)
    assert {job.state for job in scheduler.get_jobs()} == {ACTIVE}
    assert not scheduler.health()["stores"]["default"]["ok"]
    scheduler.shutdown()


class Broken(MemoryJobStore):
    """A store that takes nothing."""

    asked = 0

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        self.asked += 1
        raise RuntimeError("broken")


def test_a_store_that_takes_nothing_is_not_asked_for_each_job() -> None:
    store: Any = Broken()
    jobs = [make_job(f"job{number}") for number in range(50)]
    won, left = claim_singly(store, [plan(job, START) for job in jobs], NODE, START, RuntimeError("broken"))
    assert won == []
    assert isinstance(left, RuntimeError)
    assert store.asked <= 6
