"""The engine in trouble: whatever is broken costs itself and never its neighbours."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import pytest

from rota.errors import RotaError, TriggerTypeError
from rota.events import EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED, EVENT_JOB_SUBMITTED
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from rota.triggers.base import BaseTrigger
from rota.triggers.interval import IntervalTrigger
from tests.core.engine_kit import FlakyStore, Gate, names, outcomes, started

MIDNIGHT = datetime(2029, 1, 1, tzinfo=UTC)


class MinuteTrigger(BaseTrigger):
    """Fires each minute, and raises or goes back after some time."""

    def __init__(self, until=None, backwards=False):
        self.until = until
        self.backwards = backwards

    def get_next_fire_time(self, previous_fire_time, now):
        following = (previous_fire_time or now) + timedelta(minutes=1)
        if self.until is not None and following > self.until:
            if self.backwards:
                return previous_fire_time
            raise ZeroDivisionError("division by zero in the trigger")
        return following

    def __str__(self):
        return "each minute"


# ---------------------------------------------------------------------------------------------- broken triggers


@pytest.mark.parametrize("backwards", [False, True])
def test_a_trigger_that_fails_puts_its_own_job_into_quarantine_and_no_other(backwards):
    scheduler, log = started()
    trigger = MinuteTrigger(MIDNIGHT + timedelta(minutes=2), backwards)
    scheduler.add_job(int, trigger, id="bad")
    scheduler.add_job(int, "interval", minutes=1, id="good")
    scheduler.advance(minutes=5)
    bad = scheduler.get_job("bad")
    assert bad.state == "quarantined"
    assert ("went back in time" if backwards else "ZeroDivisionError: division by zero") in bad.error
    assert len(outcomes(scheduler, "bad")) == 1
    assert outcomes(scheduler, "good") == [("succeeded", None, 1)] * 5
    (event,) = [event for name, event in log if name == "JOB_QUARANTINED"]
    assert (event.job_id, event.reason) == ("bad", bad.error)


@pytest.mark.parametrize(
    "answer", [datetime(2029, 1, 1, 1), "2029-01-01", 10**30, 1.5, date(2029, 1, 1), datetime]
)
def test_a_trigger_that_returns_no_time_with_a_zone_is_told_what_it_must_return(answer):
    class Odd(BaseTrigger):
        def get_next_fire_time(self, previous_fire_time, now):
            return answer if previous_fire_time else now + timedelta(minutes=1)

    must = r"Odd.get_next_fire_time\(\) must return a datetime with a time zone, or None, got "
    with pytest.raises(TriggerTypeError, match=must):
        Odd().after(0)
    scheduler, _ = started()
    scheduler.add_job(int, Odd(), id="odd")
    scheduler.advance(minutes=1)
    assert re.search(must, scheduler.get_job("odd").error)


def test_health_answers_whatever_the_clock_says():
    scheduler, _ = started()
    for instant in (2**62, -(2**62)):
        scheduler._engine.last_tick = instant
        assert scheduler.health()["last_tick"]


def test_a_job_in_quarantine_runs_again_after_it_has_been_repaired():
    scheduler, _ = started()
    scheduler.add_job(int, MinuteTrigger(MIDNIGHT + timedelta(minutes=1)), id="bad")
    scheduler.advance(minutes=5)
    assert scheduler.get_job("bad").state == "quarantined"
    scheduler.reschedule_job("bad", trigger="interval", minutes=1)
    scheduler.advance(minutes=2)
    assert scheduler.get_job("bad").state == "active"
    assert outcomes(scheduler, "bad") == [("succeeded", None, 1)] * 2


def test_a_trigger_that_raises_when_the_job_is_added_refuses_the_job():
    scheduler, _ = started()
    with pytest.raises(ZeroDivisionError):
        scheduler.add_job(int, MinuteTrigger(MIDNIGHT - timedelta(days=1)), id="bad")
    assert scheduler.get_jobs() == []


def test_a_zone_that_fails_does_not_keep_a_claimed_run_from_starting():
    class Broken(tzinfo):
        table = {"offset": timedelta(0)}

        def utcoffset(self, when):
            return self.table["offset"]

        dst = tzname = utcoffset

    scheduler, log = started()
    trigger = IntervalTrigger(minutes=1, start_date=MIDNIGHT, timezone=Broken())
    Broken.table.clear()
    scheduler.add_job(int, trigger, id="bad")
    scheduler.run_pending()
    assert outcomes(scheduler, "bad") == [("succeeded", None, 1)]
    assert names(log, "JOB_SUBMITTED", "JOB_EXECUTED") == ["JOB_SUBMITTED", "JOB_EXECUTED"]


def test_a_dispatcher_of_the_program_s_own_that_raises_does_not_lose_runs():
    class Scheduler(ManualScheduler):
        def _dispatch_event(self, event):
            if event.code & (EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED | EVENT_JOB_REMOVED):
                raise RuntimeError("no listeners today")

    scheduler = Scheduler()
    scheduler.start()
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.add_job(int, "date", run_date=MIDNIGHT + timedelta(minutes=1), id="k")
    scheduler.advance(minutes=3)
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)] * 3
    assert outcomes(scheduler, "k") == [("succeeded", None, 1)]


# ------------------------------------------------------------------------------------------------ failing stores


@pytest.mark.parametrize("method", ["due", "claim", "finish"])
def test_a_store_that_fails_is_left_alone_for_a_while_and_recovers_without_losing_anything(method):
    store = FlakyStore()
    scheduler, log = started(jobstores={"default": store})
    scheduler.add_job(int, "interval", minutes=1, id="j", coalesce=False)
    store.broken = {method}
    scheduler.advance(minutes=3)
    assert names(log, "SCHEDULER_DEGRADED", "SCHEDULER_RECOVERED") == ["SCHEDULER_DEGRADED"]
    assert scheduler.health()["alive"], "the host goes on; it is the store that does not"
    assert not scheduler.health()["stores"]["default"]["ok"]
    assert "failed" in scheduler.health()["stores"]["default"]["error"]
    store.broken = set()
    scheduler.advance(minutes=2)
    assert names(log, "SCHEDULER_DEGRADED", "SCHEDULER_RECOVERED") == [
        "SCHEDULER_DEGRADED",
        "SCHEDULER_RECOVERED",
    ]
    assert scheduler.health()["stores"]["default"]["ok"]
    counts = {}
    for status, _, count in outcomes(scheduler, "j"):
        counts[status] = counts.get(status, 0) + count
    if method == "finish":  # while an outcome could not be recorded, its run counted as under way
        assert counts.pop("skipped", 0) + counts.pop("succeeded") == 5
        assert counts == {}
    else:
        assert counts == {"succeeded": 5}


def test_the_pauses_between_tries_grow_up_to_the_retry_interval():
    store = FlakyStore()
    scheduler, _ = started(jobstores={"default": store}, jobstore_retry_interval=10)
    scheduler.add_job(int, "interval", minutes=1)
    store.broken = {"due"}
    scheduler.advance(hours=1)
    assert 3600 / 12.5 <= store.tries <= 3600 / 7.5 + 10


def test_a_store_that_fails_does_not_hold_up_another():
    bad, good = FlakyStore(), FlakyStore()
    scheduler, _ = started(jobstores={"default": bad, "good": good})
    ran = []
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.add_job(lambda: ran.append(scheduler.clock.datetime()), "interval", minutes=1, jobstore="good")
    bad.broken = {"due"}
    scheduler.advance(minutes=3)
    assert ran == [MIDNIGHT + timedelta(minutes=n) for n in (1, 2, 3)]


def test_no_store_is_given_a_time_from_before_something_slow():
    class Slow(MemoryJobStore):
        def due(self, now, room):
            scheduler.clock.advance(20)
            return super().due(now, room)

    class Shared(MemoryJobStore):
        durable = True

        def renew(self, node, now, lease, in_hand=(), in_doubt=False):
            lags.append(scheduler.clock.now() - now)
            scheduler.clock.advance(20)

        def due(self, now, room):
            lags.append(scheduler.clock.now() - now)
            return super().due(now, room)

    lags = []
    scheduler = ManualScheduler(jobstores={"default": Slow(), "shared": Shared()}, lease=15)
    scheduler.start()
    scheduler.tick()
    assert lags == [0, 0]


def test_a_run_whose_outcome_could_not_be_recorded_is_announced_once_it_is():
    store = FlakyStore()
    scheduler, log = started(jobstores={"default": store})
    scheduler.add_job(int, id="j")
    store.broken = {"finish"}
    scheduler.run_pending()
    assert "JOB_EXECUTED" not in names(log)
    store.broken = set()
    scheduler.advance(minutes=1)
    assert names(log).count("JOB_EXECUTED") == 1
    assert outcomes(scheduler, "j") == [("succeeded", None, 1)]


def test_shutdown_does_not_wait_for_ever_for_a_store_that_takes_no_outcomes():
    store = FlakyStore()
    scheduler, _ = started(jobstores={"default": store})
    scheduler.add_job(int, id="j")
    store.broken = {"finish"}
    scheduler.run_pending()
    scheduler.shutdown()
    assert not scheduler.running


# ------------------------------------------------------------------------------------------------- clock jumps


def test_a_clock_set_forward_by_a_week_makes_no_burst():
    scheduler, log = started()
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", seconds=1, id="j")
    scheduler.advance(seconds=3)
    scheduler.clock.set(scheduler.clock.datetime() + timedelta(days=7))
    scheduler.run_pending()
    assert len(ran) == 4
    (jump,) = [event for name, event in log if name == "CLOCK_JUMPED"]
    assert jump.delta == 7 * 86400
    scheduler.advance(seconds=3)
    assert len(ran) == 7


def test_a_clock_set_back_by_a_day_makes_no_stall():
    scheduler, log = started()
    ran = []
    scheduler.add_job(lambda: ran.append(scheduler.clock.datetime()), "interval", minutes=1, id="j")
    scheduler.add_job(lambda: ran.append("cron"), "cron", minute="*", id="c")
    scheduler.advance(minutes=3)
    assert (len(ran), ran.count("cron")) == (7, 4)
    scheduler.clock.set(MIDNIGHT - timedelta(days=1))
    scheduler.run_pending()
    assert names(log).count("CLOCK_JUMPED") == 1
    ran.clear()
    scheduler.advance(minutes=3)
    # Elapsed time goes on; a wall time that was past already does not come twice.
    assert len([entry for entry in ran if entry != "cron"]) == 3
    assert "cron" not in ran


def test_elapsed_time_goes_on_beside_the_records_of_the_time_that_comes_once_more():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", seconds=10, id="j")
    scheduler.advance(minutes=5)
    for _ in range(2):
        scheduler.clock.set(scheduler.clock.datetime() - timedelta(minutes=3))
        before = len(scheduler.get_runs("j"))
        scheduler.advance(minutes=3, seconds=1)
        assert len(scheduler.get_runs("j")) - before == 18


def test_a_small_correction_of_the_clock_is_no_jump():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=1)
    scheduler.advance(minutes=1)
    scheduler.clock.set(scheduler.clock.datetime() + timedelta(seconds=1))
    scheduler.advance(minutes=1)
    assert "CLOCK_JUMPED" not in names(log)


def test_a_machine_that_slept_is_told_and_is_no_jump_of_the_clock():
    scheduler, log = started()
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", seconds=1, id="j")
    scheduler.advance(seconds=3)
    scheduler.clock.sleep(timedelta(hours=2))
    assert scheduler._engine.works(), "a host makes no passes while the machine sleeps"
    scheduler.run_pending()
    (event,) = [event for name, event in log if name == "CLOCK_JUMPED"]
    assert event.delta == 2 * 3600
    before = len(ran)
    scheduler.advance(seconds=3)
    assert (len(ran) - before, names(log).count("CLOCK_JUMPED")) == (3, 1)


def test_a_host_is_never_told_to_wait_longer_than_it_takes_to_notice_a_jump():
    from rota.clock import SLICE
    from rota.engine.engine import Engine

    scheduler, _ = started()
    scheduler._engine.slice = Engine.slice
    scheduler.add_job(int, "interval", days=1)
    assert scheduler.tick() == SLICE == 30


# ------------------------------------------------------------------------------------------------- wake-ups


def test_only_what_comes_before_the_next_pass_wakes_the_host():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=1, id="soon")
    scheduler.run_pending()
    scheduler.add_job(int, "interval", minutes=5)
    assert not scheduler._woken
    scheduler.add_job(int, "interval", seconds=10)
    assert scheduler._woken


def test_a_pass_that_takes_long_does_not_keep_the_host_asleep_past_a_new_job():
    class Slow(MemoryJobStore):
        clock: Any = None

        def due(self, now, room):
            self.clock.advance(5)
            return super().due(now, room)

    store = Slow()
    scheduler, _ = started(jobstores={"default": store})
    store.clock = scheduler.clock
    scheduler.add_job(int, "interval", seconds=20)
    scheduler._woken = False
    wait = scheduler.tick()
    scheduler.add_job(int, "date", run_date=scheduler.clock.datetime() + timedelta(seconds=wait - 1))
    assert scheduler._woken


def test_room_that_comes_free_wakes_the_host_only_if_somebody_waits_for_it():
    gate = Gate(room=1)
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, id="a")
    scheduler.add_job(int, id="b")
    scheduler.run_pending()
    assert not scheduler._woken
    gate.release(1)
    assert scheduler._woken
    scheduler.run_pending()
    gate.release(1)
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)] * 2


def test_every_error_of_rota_is_of_one_family():
    from rota import errors

    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    assert all(issubclass(cls, RotaError) for cls in classes)


def test_an_interval_that_waits_for_a_given_start_waits_for_it_after_the_clock_was_set_back():
    scheduler, _ = started()
    start = MIDNIGHT + timedelta(hours=1)
    scheduler.add_job(int, "interval", minutes=1, start_date=start, id="j")
    scheduler.advance(minutes=1)
    scheduler.clock.set(MIDNIGHT - timedelta(days=1))
    scheduler.run_pending()
    assert scheduler.get_job("j").next_run_time == start


def test_a_paused_job_stays_paused_when_the_clock_is_set_back():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=1, id="j", next_run_time=None)
    scheduler.clock.set(MIDNIGHT - timedelta(days=1))
    scheduler.advance(minutes=5)
    assert scheduler.get_job("j").next_run_time is None
    assert scheduler.get_runs() == []


# ------------------------------------------------------------------------------------------- ends that are refused


class PickyStore(MemoryJobStore):
    """Takes no end of some jobs together with others, and none that carries a text of them."""

    def __init__(self, never=()):
        super().__init__()
        self.never = set(never)
        self.batches = []

    def finish(self, runs, now):
        self.batches.append([run.job_id for run in runs])
        for run in runs:
            if run.job_id in self.never or "bad" in (run.retval, run.error):
                raise ValueError("bad value é")
        return super().finish(runs, now)


def held_ends(store, **returns):
    """Return a scheduler whose runs have all ended in one batch, with these return values."""
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    for name, value in returns.items():
        scheduler.add_job(
            lambda value=value: value, "date", run_date=MIDNIGHT + timedelta(seconds=1), id=name
        )
    return scheduler


def test_an_end_that_a_store_refuses_costs_no_other_its_record():
    store = PickyStore()
    scheduler = held_ends(store, first=1, guilty="bad", last=2)
    scheduler.advance(seconds=1)
    records = {run.job_id: run for run in scheduler.get_runs()}
    assert {name: run.status for name, run in records.items()} == dict.fromkeys(
        ("first", "guilty", "last"), "succeeded"
    )
    assert records["last"].retval == 2
    assert records["guilty"].retval is None
    assert records["guilty"].reason.startswith("not all of it could be recorded: ValueError: bad value")
    assert records["guilty"].reason.isascii()
    assert scheduler.health()["stores"]["default"]["ok"]


def test_an_end_that_is_refused_however_bare_waits_and_holds_up_no_other():
    store = PickyStore(never=["guilty"])
    scheduler = held_ends(store, first=1, guilty=2, last=3)
    scheduler.advance(seconds=1)
    assert scheduler.health()["in_flight"] == 1
    assert store.batches[-1] == ["last"]
    store.never.clear()
    scheduler.advance(minutes=1)
    assert {run.job_id: run.status for run in scheduler.get_runs()} == dict.fromkeys(
        ("first", "guilty", "last"), "succeeded"
    )


def test_a_store_that_is_away_is_not_asked_for_each_run():
    store = FlakyStore()
    scheduler = held_ends(store, a=1, b=2, c=3)
    store.broken.add("finish")
    scheduler.advance(seconds=1)
    assert store.tries == 1
    store.broken.clear()
    scheduler.advance(minutes=1)
    assert [run.status for run in scheduler.get_runs()] == ["succeeded"] * 3


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit])
def test_a_trigger_may_raise_anything(error):
    class Raising(MinuteTrigger):
        def get_next_fire_time(self, previous_fire_time, now):
            if previous_fire_time is not None:
                raise error("a trigger")
            return now

    scheduler, _ = started()
    scheduler.add_job(int, Raising(), id="bad")
    scheduler.add_job(int, "interval", minutes=1, id="good")
    scheduler.advance(minutes=2)
    assert scheduler.get_job("bad").state == "quarantined"
    assert outcomes(scheduler, "good") == [("succeeded", None, 1)] * 2


def test_an_executor_that_cannot_tell_its_room_costs_its_own_jobs_their_turn_only():
    class Broken(Gate):
        def capacity(self):
            raise SystemExit("no room")

    scheduler = ManualScheduler()
    scheduler.add_executor(Broken(), "broken")
    scheduler.start()
    scheduler.add_job(int, "interval", minutes=1, id="bad", executor="broken")
    scheduler.add_job(int, "interval", minutes=1, id="good")
    scheduler.advance(minutes=2)
    assert outcomes(scheduler, "good") == [("succeeded", None, 1)] * 2
    assert outcomes(scheduler, "bad") == []


def test_what_a_signal_handler_raises_ends_the_program_wherever_it_arrives():
    import signal
    import threading

    def leave(signum, frame):
        raise SystemExit(3)

    class Interrupted(MinuteTrigger):
        def get_next_fire_time(self, previous_fire_time, now):
            if previous_fire_time is not None:
                signal.raise_signal(signal.SIGTERM)
            return now

    scheduler, _ = started()
    scheduler.add_job(int, Interrupted(), id="job")
    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit, match="3"):
            scheduler.advance(minutes=2)
    finally:
        signal.signal(signal.SIGTERM, before)
