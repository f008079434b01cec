"""Nothing is asked again at once when nothing was achieved, and what cannot be done now holds up nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rota.core.policy import Policy
from rota.errors import HeldRowsError
from rota.jobstores.memory import MemoryJobStore
from tests.core.engine_kit import started


class HeldStore(MemoryJobStore):
    """A store in which somebody holds the rows of some jobs, so that these cannot be claimed."""

    def __init__(self):
        super().__init__()
        self.held = set()
        self.calls = []

    def due(self, now, room):
        self.calls.append("due")
        return super().due(now, room)

    def claim(self, decisions, node, now):
        self.calls.append("claim")
        return super().claim([one for one in decisions if one.job.id not in self.held], node, now)


def test_a_due_job_that_cannot_be_claimed_is_not_asked_for_again_and_again():
    store = HeldStore()
    scheduler, _ = started(jobstores={"default": store})
    scheduler.add_job(int, "interval", minutes=10, start_date=scheduler.clock.datetime(), id="held")
    store.held = {"held"}
    scheduler.run_pending()
    store.calls.clear()
    scheduler.advance(seconds=60)
    assert len(store.calls) < 300, "a few calls a second, and no more"
    assert scheduler.get_runs("held") == []
    store.held.clear()
    scheduler.advance(seconds=1)
    assert [run.status for run in scheduler.get_runs("held")] == ["succeeded"]
    store.calls.clear()
    scheduler.advance(seconds=60)
    assert len(store.calls) < 5


@pytest.mark.parametrize("held", [1, 30])
def test_jobs_that_cannot_be_claimed_delay_no_other_and_take_nobody_s_place(held):
    class Narrow(HeldStore):
        def due(self, now, room):
            return super().due(now, {alias: min(free, 10 + held) for alias, free in room.items()})

    store = Narrow()
    scheduler, _ = started(jobstores={"default": store})
    start = scheduler.clock.datetime()
    store.held = {f"held{number}" for number in range(held)}
    for job_id in store.held:
        scheduler.add_job(int, "date", run_date=start, id=job_id)
    late = []

    def work(each):
        late.append((scheduler.clock.datetime() - start) % timedelta(seconds=each))

    for number in range(10):
        each = 0.7 + number / 10
        scheduler.add_job(work, "interval", seconds=each, args=[each], id=f"free{number}")
    scheduler.advance(seconds=30)
    assert len(late) > 200
    assert max(late) < timedelta(milliseconds=1)
    assert len(store.calls) < 5000


def test_a_store_that_says_that_something_is_due_and_gives_nothing_is_asked_once_a_second():
    class Lying(MemoryJobStore):
        asked = 0

        def due(self, now, room):
            self.asked += 1
            return []

        def next_due(self, executors):
            return 0

    store = Lying()
    scheduler, _ = started(jobstores={"default": store})
    scheduler.run_pending()
    scheduler.advance(seconds=60)
    assert store.asked < 80


@pytest.mark.parametrize("some_retry", [False, True])
def test_an_end_whose_row_is_held_waits_and_the_others_are_recorded(monkeypatch, some_retry):
    monkeypatch.setattr(Policy, "some_retry", some_retry)

    class Held(MemoryJobStore):
        held: frozenset[str] = frozenset()
        finishes = 0

        def finish(self, runs, now):
            self.finishes += 1
            left = [run for run in runs if run.job_id in self.held]
            refused = super().finish([run for run in runs if run.job_id not in self.held], now)
            if left:
                raise HeldRowsError("held", left, refused)
            return refused

    store = Held()
    scheduler, log = started(jobstores={"default": store})
    for job_id in ("a", "b", "c"):
        scheduler.add_job(int, "date", run_date=scheduler.clock.datetime(), id=job_id)
    store.held = frozenset({"b"})
    scheduler.run_pending()
    executed = [event.job_id for name, event in log if name == "JOB_EXECUTED"]
    assert (sorted(executed), scheduler._engine.in_flight) == (["a", "c"], 1)
    scheduler.advance(seconds=30)
    assert store.finishes < 60, "tried once a second"
    assert "SCHEDULER_DEGRADED" not in [name for name, _ in log]
    assert scheduler._engine.in_flight == 1
    store.held = frozenset()
    scheduler.advance(seconds=1)
    assert [event.job_id for name, event in log if name == "JOB_EXECUTED"][-1] == "b"
    assert scheduler._engine.in_flight == 0
