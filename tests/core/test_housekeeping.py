"""Housekeeping beside the work: steps between which due jobs go first, what is left of them, and health() from memory."""

from __future__ import annotations

import logging

import pytest

from rota.clock import SECOND
from rota.errors import JobValueError
from rota.jobstores.memory import MemoryJobStore
from rota.testing import VirtualClock
from tests.core.engine_kit import Gate, names, started

STEP = 15_000


class Slow(MemoryJobStore):
    """Has as many steps of housekeeping to do as a test says; each takes 15 milliseconds."""

    def __init__(self, clock, heal=0, prune=0):
        super().__init__()
        self.virtual = clock
        self.left = {"heal": heal, "prune": prune}
        self.did = []

    def step(self, what):
        self.did.append(what)
        self.left[what] -= 1
        self.virtual.advance(STEP / SECOND)
        return self.left[what]

    def heal_in_steps(self, now):
        while self.left["heal"]:
            yield [], self.step("heal")

    def prune_in_steps(self, now):
        while self.left["prune"]:
            yield self.step("prune")


def busy(**steps):
    """Return a started scheduler on a slow store, its clock and the store."""
    clock = VirtualClock()
    store = Slow(clock, **steps)
    scheduler, log = started(clock=clock, jobstores={"default": store})
    return scheduler, store, log


def test_no_job_is_later_than_one_step_of_housekeeping_takes():
    scheduler, store, _ = busy(heal=40, prune=60)
    late = []

    def look():
        late.append(scheduler.clock.now() % SECOND)

    scheduler.add_job(look, "interval", seconds=1)
    began = scheduler.clock.now()
    scheduler.advance(seconds=12)
    assert store.left == {"heal": 0, "prune": 0}
    assert len(late) == (scheduler.clock.now() - began) // SECOND >= 12
    assert max(late) <= STEP


def test_a_turn_of_housekeeping_is_followed_by_a_pause_for_others():
    scheduler, store, _ = busy(prune=3)
    waits = []
    while store.left["prune"]:
        before = len(store.did)
        waits.append(scheduler.tick())
        assert len(store.did) - before <= 1
        scheduler.clock.advance(seconds=waits[-1])
    assert waits == [2 * STEP / SECOND] * 3


def test_health_tells_what_housekeeping_has_left():
    scheduler, store, _ = busy(heal=2, prune=2)
    told = []
    while any(store.left.values()):
        scheduler.tick()
        health = scheduler.health()["stores"]["default"]
        told.append((health["to_heal"], health["to_forget"]))
        scheduler.clock.advance(seconds=0.1)
    assert told == [(1, 0), (0, 0), (0, 1), (0, 0)]


@pytest.mark.thorough
def test_housekeeping_goes_on_where_jobs_are_due_all_the_time():
    scheduler, store, _ = busy(prune=5)
    scheduler.add_job(lambda: None, "interval", seconds=0.001, id="always")
    scheduler.advance(seconds=10)
    assert store.left["prune"] == 0


def test_a_step_that_fails_ends_the_round_and_the_next_one_goes_on():
    class Broken(Slow):
        broken = True

        def prune_in_steps(self, now):
            if self.broken:
                raise ConnectionError("no prune")
            yield from super().prune_in_steps(now)

    clock = VirtualClock()
    store = Broken(clock, prune=3)
    scheduler, log = started(clock=clock, jobstores={"default": store})
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", seconds=1)
    scheduler.advance(seconds=30)
    assert names(log, "SCHEDULER_DEGRADED", "SCHEDULER_RECOVERED") == [
        "SCHEDULER_DEGRADED",
        "SCHEDULER_RECOVERED",
    ]
    assert len(ran) >= 29
    store.broken = False
    scheduler.advance(minutes=2)
    assert store.left["prune"] == 0


def test_a_part_that_the_store_refuses_costs_neither_the_others_nor_the_passes(caplog):
    class Refusing(Slow):
        def heal_in_steps(self, now):
            self.did.append("heal")
            yield [], 1
            raise JobValueError("the database refused a value")

    clock = VirtualClock()
    store = Refusing(clock, prune=3)
    scheduler, log = started(clock=clock, jobstores={"default": store})
    with caplog.at_level(logging.ERROR):
        scheduler.advance(minutes=3)
    assert store.left["prune"] == 0
    assert 2 <= store.did.count("heal") <= 4  # once in a round
    assert names(log, "SCHEDULER_DEGRADED") == []
    assert "left to the next round: JobValueError" in caplog.text


def test_a_store_that_overrides_the_whole_is_asked_for_the_whole():
    class Whole(Slow):
        def heal(self, now):
            self.did.append("whole heal")
            return []

        def prune(self, now):
            self.did.append("whole prune")

    clock = VirtualClock()
    store = Whole(clock, heal=5, prune=5)
    scheduler, _ = started(clock=clock, jobstores={"default": store})
    scheduler.run_pending()
    assert store.did == ["whole heal", "whole prune"]


def test_the_next_round_waits_ten_times_as_long_as_the_last_one_worked():
    scheduler, store, _ = busy(prune=1000)
    scheduler.advance(seconds=60)
    assert store.left["prune"] == 0
    began = scheduler.clock.now()
    store.left["prune"] = 1
    while store.left["prune"]:
        scheduler.wakeup()
        scheduler.advance(seconds=1)
    assert 120 * SECOND < scheduler.clock.now() - began < 160 * SECOND


# ---------------------------------------------------------------------------------------------------------- health


def test_health_asks_no_store_and_what_it_tells_has_an_age():
    gate = Gate(room=1)
    store = MemoryJobStore()
    scheduler, _ = started(executors={"default": gate}, jobstores={"default": store})
    for number in range(4):
        scheduler.add_job(int, "date", run_date=scheduler.clock.datetime(), id=str(number))
    scheduler.run_pending()
    asked = []

    class Watched(MemoryJobStore):
        def __getattribute__(self, name):
            found = super().__getattribute__(name)
            if callable(found) and name != "now":  # which asks nobody
                asked.append(name)
            return found

    store.__class__ = Watched
    scheduler.clock.advance(seconds=30)
    health = scheduler.health()
    assert set(asked) <= {"now"}  # which adds what was measured before
    assert (health["overdue"], health["lag"]) == ({"default": 3}, 30.0)
    assert health["stores"]["default"]["age"] == 30.0
    scheduler.run_pending()
    assert "next_due" in asked
    assert scheduler.health()["stores"]["default"]["age"] == 0.0


def test_health_wakes_the_host_only_for_what_is_not_fresh():
    scheduler, _ = started()
    scheduler.run_pending()
    scheduler._woken = False
    scheduler.health()
    assert not scheduler._woken
    scheduler.clock.advance(seconds=2)
    scheduler.health()
    assert scheduler._woken


def test_jobs_that_wait_for_others_are_counted_up_to_a_thousand():
    gate = Gate(room=0)
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_jobs([{"func": int, "id": str(number)} for number in range(1200)])
    scheduler.run_pending()
    scheduler.clock.advance(seconds=2)
    scheduler.health()
    scheduler.run_pending()
    assert scheduler.health()["overdue"] == {"default": 1000}


def test_a_pause_that_is_over_waits_for_the_rest_of_a_round_without_looking_all_the_time():
    clock = VirtualClock()
    store = Slow(clock, prune=200)
    scheduler, _ = started(clock=clock, jobstores={"default": store})
    housekeeping = scheduler._engine.stores["default"].housekeeping
    assert housekeeping._steps is None
    waits = []
    clock.advance(120)  # another round is to begin
    for _ in range(20):
        housekeeping.note_pause(clock.now() - 1)
        wait = housekeeping.turn(None, ["default"], True, False)
        if housekeeping._steps is not None:
            waits.append(wait)
    assert waits
    assert all(wait for wait in waits), waits


def test_a_store_that_keeps_no_pauses_is_not_looked_at_all_the_time_for_their_ends(monkeypatch):
    clock = VirtualClock()
    scheduler, _ = started(clock=clock)
    housekeeping = scheduler._engine.stores["default"].housekeeping
    monkeypatch.setattr("rota.job.rare.Rare.some_paused", False)  # as of a store of eight methods
    housekeeping.note_pause(clock.now())
    housekeeping.turn(None, ["default"], True, False)
    assert housekeeping.goes_on_at is None
