"""A pass that hangs in somebody's trigger is seen and told; a host with a thread of its own goes on without that job."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from rota.clock import SECOND, SYSTEM_CLOCK
from rota.engine import pass_watch
from rota.engine.native import start_thread
from rota.engine.pass_watch import MOST
from rota.events import EVENT_SCHEDULER_STALLED
from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.blocking import BlockingScheduler
from rota.testing.contracts.host_access import PATIENCE
from rota.triggers.base import BaseTrigger
from tests.core.engine_kit import names, outcomes, started
from tests.present import present

LEASE = 15


class Minutely(BaseTrigger):
    """Fires each minute, and calls what the test wants once when a pass plans it."""

    def __init__(self, during=None, every=60.0):
        self.during = during
        self.every = every

    def get_next_fire_time(self, previous_fire_time, now):
        if previous_fire_time is not None and self.during is not None:
            during, self.during = self.during, None
            during()
        return (previous_fire_time or now) + timedelta(seconds=self.every)

    def __str__(self):
        return "each minute"


class World:
    """A scheduler in virtual time, one job of which stands still in its trigger, and its neighbour."""

    def __init__(self, replace=None, **options):
        self.scheduler, self.log = started(lease=LEASE, **options)
        self.clock, self.engine = self.scheduler.clock, self.scheduler._engine
        self.watch = self.engine._watch
        self.watch._replace = replace
        self.trigger = Minutely()
        self.scheduler.add_job(int, self.trigger, id="stuck")
        self.scheduler.add_job(int, "interval", minutes=1, id="neighbour")
        self.log.clear()

    def let_time_pass(self, seconds):
        """Let the watch look as often as its thread does in that time."""
        self.watch.look()
        for _ in range(round(seconds / (LEASE / 3))):
            self.clock.advance(LEASE / 3)
            self.watch.look()

    def hang(self, during):
        """Do something while the trigger does not return."""
        self.trigger.during = during
        self.scheduler.advance(minutes=1)

    @property
    def stalls(self):
        self.scheduler._deliver()
        return [event for name, event in self.log if name == "SCHEDULER_STALLED"]


# ------------------------------------------------------------------------------------------------------------ it is told


def test_a_trigger_that_hangs_for_a_lease_is_told_once_and_by_name(caplog):
    world = World()
    seen = []

    def during():
        world.let_time_pass(LEASE - 5)
        seen.append((world.scheduler.health()["alive"], len(world.stalls)))
        world.let_time_pass(3 * LEASE)
        seen.append((world.scheduler.health()["alive"], len(world.stalls)))

    world.hang(during)
    assert seen == [(True, 0), (False, 1)]
    (event,) = world.stalls
    assert (event.code, event.job_id, event.alias) == (EVENT_SCHEDULER_STALLED, "stuck", "default")
    assert "Minutely" in event.reason
    (line,) = [record.getMessage() for record in caplog.records if "hangs" in record.getMessage()]
    assert "'default'" in line and 'job "stuck"' in line and "No job is started until that returns" in line
    assert world.scheduler.health()["alive"]
    assert world.scheduler.get_job("stuck").state == "active"


def test_a_pass_on_which_no_other_can_follow_goes_on_when_the_trigger_returns():
    world = World()
    world.hang(lambda: world.let_time_pass(2 * LEASE))
    assert [status for status, _, _ in outcomes(world.scheduler, "stuck")] == ["succeeded"]
    assert "JOB_QUARANTINED" not in names(world.log)


def test_many_triggers_that_are_slow_together_do_not_hang():
    world = World()
    for number in range(10):
        slow = Minutely(lambda: world.let_time_pass(LEASE / 3))
        world.scheduler.add_job(int, slow, id=f"slow{number}")
    world.scheduler.advance(minutes=2)
    assert world.stalls == []


def test_a_store_that_does_not_return_is_told_without_a_job():
    class Hanging(MemoryJobStore):
        during = None

        def due(self, now, room):
            during, self.during = self.during, None
            if during is not None:
                during()
            return super().due(now, room)

    store = Hanging()
    world = World(jobstores={"default": store}, replace=lambda: pytest.fail("nobody may take its place"))
    store.during = lambda: world.let_time_pass(2 * LEASE)
    world.scheduler.advance(minutes=1)
    (event,) = world.stalls
    assert (event.job_id, event.alias) == (None, "default")


def test_runs_that_end_inline_are_progress():
    world = World()
    for number in range(10):
        world.scheduler.add_job(world.let_time_pass, "date", args=[LEASE / 3], id=str(number))
    world.scheduler.advance(minutes=2)
    assert world.stalls == []


def test_a_machine_that_sleeps_in_a_pass_does_not_hang():
    world = World()

    def during():
        world.watch.look()
        world.clock.sleep(3600)
        world.watch.look()
        assert world.scheduler.health()["alive"]

    world.hang(during)
    assert world.stalls == []


def test_a_host_that_makes_no_passes_is_not_alive_after_a_lease():
    world = World()
    world.engine.slice = 30.0
    wait = world.engine.tick()
    world.clock.advance(wait + LEASE)
    assert world.scheduler.health()["alive"]
    world.clock.advance(1)
    assert not world.scheduler.health()["alive"]


# ---------------------------------------------------------------------------------------------- another thread goes on


def test_the_other_pass_plans_all_but_the_job_that_hangs_and_the_old_one_does_nothing_more(caplog):
    class Counting(MemoryJobStore):
        claims = 0

        def claim(self, decisions, node, now):
            self.claims += 1
            return super().claim(decisions, node, now)

    store = Counting()
    world = World(jobstores={"default": store}, replace=lambda: True)
    seen: dict[str, Any] = {}

    def during():
        before = store.claims
        world.let_time_pass(2 * LEASE)
        world.engine.tick()  # as the other thread does
        world.engine.tick()
        seen["claims"] = store.claims - before
        seen["hanging"] = world.scheduler.health()["stores"]["default"]["hanging"]
        seen["alive"] = world.scheduler.health()["alive"]
        seen["neighbour"] = outcomes(world.scheduler, "neighbour")
        seen["stuck"] = outcomes(world.scheduler, "stuck")
        seen["after"] = store.claims

    world.trigger.during = during
    world.clock.advance(minutes=1)
    assert world.engine.tick() == 0.0
    assert store.claims == seen["after"]
    assert (seen["claims"], seen["hanging"], seen["alive"]) == (1, ["stuck"], True)
    assert [status for status, _, _ in seen["neighbour"]] == ["succeeded"]
    assert seen["stuck"] == []
    assert "go on in a new thread" in caplog.text
    assert world.scheduler.health()["stores"]["default"]["hanging"] == []
    assert world.scheduler._woken, "the job that has come back is planned again"
    world.scheduler.run_pending()
    assert [status for status, _, _ in outcomes(world.scheduler, "stuck")] == ["succeeded"]
    assert "JOB_QUARANTINED" not in names(world.log)


def test_a_job_that_was_changed_while_its_trigger_hangs_is_planned_again_at_once():
    world = World(replace=lambda: True)
    seen = []

    def during():
        world.let_time_pass(2 * LEASE)
        world.scheduler.reschedule_job("stuck", trigger="interval", seconds=1)
        world.clock.advance(1)
        world.engine.tick()
        seen.extend(outcomes(world.scheduler, "stuck"))

    world.hang(during)
    assert [status for status, _, _ in seen] == ["succeeded"]


def test_a_trigger_that_returns_at_the_last_moment_keeps_its_pass():
    world = World()
    replaced = []

    def during():
        world.watch._replace = lambda: replaced.append(1) or True
        world.let_time_pass(LEASE - 5)

    world.hang(during)
    planning = world.watch.begin(world.engine.stores["default"], [world.scheduler.get_job("stuck")])
    assert world.watch.end(planning)
    assert world.watch._leave_behind(planning, world.scheduler.get_job("stuck")) is None
    assert replaced == []


def test_a_thread_that_cannot_be_started_leaves_everything_as_it_is():
    world = World(replace=lambda: False)
    hanging = []

    def during():
        world.let_time_pass(3 * LEASE)
        hanging.extend(world.scheduler.health()["stores"]["default"]["hanging"])

    world.hang(during)
    assert (hanging, len(world.stalls)) == ([], 1)
    assert [status for status, _, _ in outcomes(world.scheduler, "stuck")] == ["succeeded"]


def test_only_so_many_threads_are_left_behind():
    world = World()
    threads = []

    def replace():
        threads.append(1)
        return True

    world.watch._replace = replace
    plannings = []
    for number in range(MOST + 2):
        job = world.scheduler.add_job(int, "interval", minutes=1, id=f"j{number}")
        world.watch.under_way = world.engine.stores["default"]
        plannings.append(world.watch.begin(world.engine.stores["default"], [job]))
        world.let_time_pass(2 * LEASE)
    assert len(threads) == MOST
    assert [world.watch.end(planning) for planning in plannings] == [False] * MOST + [True] * 2
    world.watch.under_way = None


# ------------------------------------------------------------------------------------------------------- with real threads


class Gated(BaseTrigger):
    """Fires each hundredth of a second; hangs in the planning that the test wants, until it is let go on."""

    def __init__(self):
        self.hangs = False
        self.entered = threading.Event()
        self.gate = threading.Event()
        self.left = threading.Event()

    def get_next_fire_time(self, previous_fire_time, now):
        if self.hangs and previous_fire_time is not None:
            self.hangs = False
            self.entered.set()
            self.gate.wait(PATIENCE)
            self.left.set()
        return (previous_fire_time or now) + timedelta(seconds=0.01)

    def __str__(self):
        return "gated"


def wait_until(condition, what):
    until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
    while not condition():
        assert SYSTEM_CLOCK.monotonic() < until, f"waited in vain until {what}"
        threading.Event().wait(0.002)


@contextmanager
def hanging(cls, start):
    """Yield a scheduler that has said that a trigger hangs, its trigger, and the events that say so."""
    trigger, told = Gated(), []
    scheduler = cls(lease=0.3)
    scheduler.add_listener(told.append, EVENT_SCHEDULER_STALLED)
    start(scheduler)
    scheduler.add_job(int, trigger, id="stuck", coalesce=True)
    trigger.hangs = True
    scheduler.wakeup()
    assert trigger.entered.wait(PATIENCE)
    try:
        wait_until(lambda: told, "it is told")
        yield scheduler, trigger, told
    finally:
        trigger.gate.set()
        if scheduler.running:
            scheduler.shutdown()


def ended(scheduler, job_id):
    return [run for run in scheduler.get_runs(job_id) if run.status == "succeeded"]


@pytest.mark.thorough
def test_a_background_scheduler_goes_on_in_a_new_thread_and_takes_the_job_back_when_its_trigger_returns():
    with hanging(BackgroundScheduler, lambda scheduler: scheduler.start()) as (scheduler, trigger, told):
        old, new = scheduler._thread, scheduler._replacement
        assert old is not new
        scheduler.add_job(int, id="neighbour")
        wait_until(lambda: ended(scheduler, "neighbour"), "the neighbour has run")
        assert scheduler.health()["alive"]
        assert scheduler.health()["stores"]["default"]["hanging"] == ["stuck"]
        before = len(scheduler.get_runs("stuck", limit=1000))
        trigger.gate.set()
        wait_until(lambda: not old.is_alive(), "the old thread has ended")
        wait_until(lambda: len(scheduler.get_runs("stuck", limit=1000)) > before, "the job runs again")
        assert new.is_alive()
        assert [event.job_id for event in told] == ["stuck"]
    assert not new.is_alive()


@pytest.mark.thorough
def test_a_shutdown_does_not_wait_for_a_trigger_that_hangs():
    trigger, scheduler = Gated(), BackgroundScheduler(lease=0.3)
    scheduler.start()
    scheduler.add_job(int, trigger, id="stuck", coalesce=True)
    trigger.hangs = True
    scheduler.wakeup()
    assert trigger.entered.wait(PATIENCE)
    try:
        old = present(scheduler._thread)
        scheduler.shutdown()
        assert not trigger.left.is_set()
        scheduler.start(paused=True)
        runs = [run.nominal for run in scheduler.get_runs("stuck", limit=1000)]
    finally:
        trigger.gate.set()
    wait_until(lambda: not old.is_alive(), "the old thread has ended")
    assert [run.nominal for run in scheduler.get_runs("stuck", limit=1000)] == runs
    assert scheduler.health()["alive"]
    scheduler.shutdown()


@pytest.mark.thorough
def test_start_of_a_blocking_scheduler_returns_after_the_shutdown_only_though_another_thread_goes_on():
    threads = []

    def start(scheduler):
        thread = threading.Thread(target=scheduler.start, name="blocking")
        thread.start()
        threads.append(thread)
        wait_until(lambda: scheduler.running, "it runs")

    with hanging(BlockingScheduler, start) as (scheduler, trigger, _):
        trigger.gate.set()
        assert trigger.left.wait(PATIENCE)
        scheduler.add_job(int, id="neighbour")
        wait_until(lambda: ended(scheduler, "neighbour"), "the neighbour has run")
        wait_until(lambda: not scheduler.health()["stores"]["default"]["hanging"], "it has come back")
        (thread,) = threads
        assert thread.is_alive()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_the_thread_that_watches_ends_with_its_scheduler(monkeypatch):
    begun, over = threading.Event(), threading.Event()

    def start(name, main):
        def noted():
            begun.set()
            try:
                main()
            finally:
                over.set()

        return start_thread(name, noted)

    monkeypatch.setattr(pass_watch, "start_thread", start)
    with BackgroundScheduler() as scheduler:
        scheduler.add_job(int, id="j")
        wait_until(lambda: ended(scheduler, "j"), "it has run")
        assert begun.wait(10)
        assert not over.is_set()
    assert over.wait(10)


def test_what_a_trigger_that_always_hangs_comes_to_is_used_when_it_returns():
    class Slow(Minutely):
        calls = 0

        def get_next_fire_time(self, previous_fire_time, now):
            if previous_fire_time is not None:
                self.calls += 1
                world.let_time_pass(2 * LEASE)
            return (previous_fire_time or now) + timedelta(minutes=10)

    world = World(replace=lambda: True)
    trigger = Slow()
    world.scheduler.add_job(int, trigger, id="slow")
    world.scheduler.advance(minutes=41)
    assert [status for status, _, _ in outcomes(world.scheduler, "slow")] == ["succeeded"] * 4
    assert trigger.calls == len(world.stalls) == 4
    assert not world.engine.stores["default"].unclaimed.late
