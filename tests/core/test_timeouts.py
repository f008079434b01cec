"""Runs whose time is limited: when it is over, what becomes of them, and who is told."""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rota import current_run
from rota.clock import HOUR, SECOND
from rota.core.extras import Extra
from rota.core.orphans import sort_out
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.run import Run, outcome_of
from rota.core.timeouts import MARK, NO_HEARTBEAT, TIMEOUT, note_of, time_out, until
from rota.engine.outlet import Outlet
from rota.engine.pass_watch import PassWatch
from rota.engine.timeouts import Timeouts
from rota.errors import JobTypeError, RunFailedError, RunTimedOutError
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_TIMED_OUT, JobTimedOutEvent
from rota.executors.base import BaseExecutor, run_job
from rota.job.handle import Job
from rota.jobstores.memory import MemoryJobStore
from rota.logs import GuardedLogger
from rota.testing import ManualScheduler, VirtualClock
from tests.core.engine_kit import FlakyStore, Gate, outcomes
from tests.needs import need
from tests.present import present

# ------------------------------------------------------------------------------------------------- when, and why (pure)


def policy_of(**options):
    return with_options(DEFAULT_POLICY, options)


@pytest.mark.parametrize(
    ("options", "beat", "at", "reason"),
    [
        ({"timeout": 5}, None, 105, TIMEOUT),
        ({"timeout": 5}, 103, 105, TIMEOUT),
        ({"heartbeat_timeout": 5}, None, 105, NO_HEARTBEAT),
        ({"heartbeat_timeout": 5}, 103, 108, NO_HEARTBEAT),
        ({"heartbeat_timeout": 5}, 90, 105, NO_HEARTBEAT),
        ({"timeout": 9, "heartbeat_timeout": 5}, None, 105, NO_HEARTBEAT),
        ({"timeout": 9, "heartbeat_timeout": 5}, 104, 109, TIMEOUT),
        ({"timeout": 9, "heartbeat_timeout": 5}, 103, 108, NO_HEARTBEAT),
        ({"timeout": 4, "heartbeat_timeout": 5}, None, 104, TIMEOUT),
    ],
    ids=str,
)
def test_the_time_of_a_run_is_over_at_the_first_of_its_limits(options, beat, at, reason):
    beat_at = None if beat is None else beat * SECOND
    assert until(policy_of(**options), 100 * SECOND, beat_at) == (at * SECOND, reason)


@pytest.mark.parametrize(
    ("sleeps", "late", "silent"),
    [
        ([], 5, 6),
        ([(2, 60)], 65, 6),
        ([(3, 60)], 65, 7),
        ([(3, 60), (70, 10)], 75, 74),
        ([(0, 60)], 5, 6),
        ([(-9, 60), (1, 60)], 65, 6),
    ],
    ids=str,
)
def test_time_asleep_does_not_count_and_leaves_no_time_to_say_something(sleeps, late, silent):
    times = [(noticed * SECOND, length * SECOND) for noticed, length in sleeps]
    assert until(policy_of(timeout=5), 0, 2 * SECOND, times) == (late * SECOND, TIMEOUT)
    assert until(policy_of(heartbeat_timeout=4), 0, 2 * SECOND, times) == (silent * SECOND, NO_HEARTBEAT)


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ({"timeout": 5}, 5),
        ({"heartbeat_timeout": 3}, 3),
        ({"timeout": 5, "heartbeat_timeout": 3}, 3),
        ({"timeout": 2, "heartbeat_timeout": 3}, 2),
    ],
    ids=str,
)
def test_no_time_is_over_before_the_shorter_one_of_its_limits(options, least):
    assert policy_of(**options).time_limit == least * SECOND


def test_without_a_limit_no_time_is_ever_over():
    assert DEFAULT_POLICY.time_limit is None


@pytest.mark.parametrize(
    ("reason", "raised", "text"),
    [
        (TIMEOUT, None, "has taken longer than its timeout of 1.5 s"),
        (NO_HEARTBEAT, None, "has not called heartbeat() for its heartbeat_timeout of 2 s"),
        (
            TIMEOUT,
            ValueError("too much"),
            "has taken longer than its timeout of 1.5 s; after that it raised ValueError: too much",
        ),
    ],
    ids=str,
)
def test_a_run_that_timed_out_has_an_error_that_says_so(reason, raised, text):
    run = Run("j", 0, 0)
    run.status, run.retval, run.exception = "succeeded", 7, raised
    time_out(run, policy_of(timeout=1.5, heartbeat_timeout=2), reason, 12)
    assert (run.status, run.reason, run.finished_at, run.retval) == ("timed_out", reason, 12, None)
    assert type(run.exception) is RunTimedOutError
    assert run.exception.__cause__ is raised
    assert (run.error_type, run.error) == ("RunTimedOutError", f"The run j@0#1 {text}")
    with pytest.raises(RunTimedOutError, match=r"The run j@0#1 has"):
        outcome_of(run)
    run.exception = None  # as a record has none
    with pytest.raises(RunFailedError, match=r"The run j@0#1 timed_out: RunTimedOutError: The run"):
        outcome_of(run)


def test_the_note_has_what_a_run_returned_after_its_time():
    run = Run("j", 0, 0)
    run.status, run.retval = "succeeded", {"pages": 7}
    assert note_of(run) == "returned after its time was over: {'pages': 7}"
    run.retval = "x" * 5000
    assert len(present(note_of(run))) < 600
    for length, is_whole in ((498, True), (499, False)):  # five hundred characters with the quotes
        run.retval = "x" * length
        assert ("…" not in present(note_of(run))) == is_whole
    run.retval = None
    assert note_of(run) is None
    run.status, run.retval = "failed", 7
    assert note_of(run) is None


@pytest.mark.parametrize("name", ["timeout", "heartbeat_timeout"])
@pytest.mark.parametrize(
    "value",
    [0, -1, 0.0, timedelta(0), timedelta(-1), float("nan"), float("inf"), "5", True, [], b"1"],
    ids=repr,
)
def test_what_is_no_positive_time_is_refused_by_add_job(name, value):
    with pytest.raises(JobTypeError, match=f"{name} must be either None or a positive number of seconds"):
        ManualScheduler().add_job(int, **{name: value})


# ----------------------------------------------------------------------------------------------------- what comes of it


class Hands(Gate):
    """A gate whose runs have begun; it takes note of those that it is to stop."""

    def __init__(self, room=1000):
        super().__init__(room)
        self.stopped = []

    def submit(self, runs, done):
        for run in runs:
            run.started_at = self._clock.now()
            if hasattr(run, "watch"):
                run.watch.begin(run)
        super().submit(runs, done)

    def terminate_run(self, run):
        self.stopped.append(run.id)
        if self.room == 7:
            raise RuntimeError("cannot")


def work():
    pass


@pytest.fixture
def kit():
    """Return a scheduler, an executor that holds its runs, and what was told."""
    hands, told = Hands(), []
    scheduler = ManualScheduler(executors={"default": hands})
    scheduler.start()
    scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_TIMED_OUT)
    yield scheduler, hands, told
    hands.release()
    scheduler.shutdown()


def test_a_run_that_goes_on_after_its_time_keeps_its_place_and_ends_as_timed_out(kit):
    scheduler, hands, told = kit
    scheduler.add_job(work, "interval", minutes=1, id="j", timeout=90)
    scheduler.advance(149)
    assert (told, hands.stopped) == ([], [])
    scheduler.advance(1)
    (event,) = told
    (run,) = (run for run, _ in hands.held)
    assert type(event) is JobTimedOutEvent
    assert (event.code, event.job_id, event.jobstore, event.attempt, event.reason) == (
        *(EVENT_JOB_TIMED_OUT, "j", "default"),
        *(1, "timeout"),
    )
    assert event.run is run and event.scheduled_run_time == run.scheduled_run_time
    assert hands.stopped == [run.id]
    assert (run.cancelled, run.past_timeout, run.ended) == (True, True, False)
    scheduler.advance(60)
    assert [outcome for outcome in outcomes(scheduler, "j") if outcome[0] != "skipped"] == [
        ("claimed", None, 1)
    ]
    assert len(told) == 1 and len(hands.stopped) == 1
    hands.release(1)
    scheduler.run_pending()
    assert ("timed_out", "timeout", 1) in outcomes(scheduler, "j")
    assert [event.code for event in told] == [EVENT_JOB_TIMED_OUT, EVENT_JOB_ERROR]
    assert type(told[1].exception) is RunTimedOutError
    assert (told[1].outcome, told[1].run.past_timeout) == ("timed_out", True)


def test_what_a_run_returns_after_its_time_is_in_its_note(kit):
    scheduler, hands, _ = kit
    scheduler.add_job(work, id="j", timeout=1)
    scheduler.advance(2)
    ((run, done),) = hands.held
    run.heartbeat(note="half way")
    hands.held.clear()
    run.retval, run.status, run.finished_at = [1, 2], "succeeded", scheduler.clock.now()
    done(run)
    record = scheduler.get_run("j", run.scheduled_run_time)
    assert (record.status, record.retval) == ("timed_out", None)
    assert record.note == "returned after its time was over: [1, 2]"


def test_a_heartbeat_gives_a_run_more_time(kit):
    scheduler, hands, told = kit
    scheduler.add_job(work, id="j", heartbeat_timeout=10)
    scheduler.run_pending()
    ((run, _),) = hands.held
    for _ in range(5):
        scheduler.advance(9)
        run.heartbeat()
    scheduler.advance(9)
    assert told == []
    scheduler.advance(1)
    assert [(event.reason, event.run) for event in told] == [("no heartbeat", run)]
    run.heartbeat()
    hands.release()
    assert outcomes(scheduler, "j") == [("timed_out", "no heartbeat", 1)]


def test_a_run_whose_pass_was_late_has_timed_out_all_the_same(kit):
    scheduler, hands, told = kit
    scheduler.add_job(work, id="j", timeout=10)
    scheduler.run_pending()
    scheduler.clock.advance(11)  # nobody looks
    hands.release()
    scheduler.run_pending()
    assert [event.code for event in told] == [EVENT_JOB_TIMED_OUT, EVENT_JOB_ERROR]
    assert outcomes(scheduler, "j") == [("timed_out", "timeout", 1)]
    assert hands.stopped == []


def test_time_that_the_machine_sleeps_is_not_the_time_of_a_run(kit):
    scheduler, hands, told = kit
    scheduler.add_job(work, id="j", timeout=60)
    scheduler.advance(30)
    scheduler.clock.sleep(3600)
    scheduler.advance(29)
    assert told == []
    scheduler.advance(1)
    assert len(told) == len(hands.stopped) == 1


def test_a_clock_that_is_set_changes_no_time_of_a_run(kit):
    scheduler, _, told = kit
    scheduler.add_job(work, id="j", timeout=60)
    scheduler.advance(30)
    scheduler.clock.set(scheduler.clock.now() + 10 * HOUR)
    scheduler.advance(29)
    assert [event.code for event in told] == []
    scheduler.advance(1)
    assert len(told) == 1


def test_a_cancel_gives_way_to_a_time_that_is_over(kit):
    scheduler, hands, _ = kit
    scheduler.add_job(work, id="before", timeout=60)
    scheduler.add_job(work, id="after", timeout=60)
    scheduler.run_pending()
    runs = {run.job_id: run for run, _ in hands.held}
    scheduler.cancel_run("before", runs["before"].scheduled_run_time, "not needed")
    scheduler.advance(60)
    scheduler.cancel_run("after", runs["after"].scheduled_run_time, "not needed")
    scheduler.run_pending()
    hands.release()
    assert outcomes(scheduler, "before") == outcomes(scheduler, "after") == [("timed_out", "timeout", 1)]


def test_an_executor_that_cannot_stop_a_run_hurts_no_other(kit):
    scheduler, hands, told = kit
    hands.room = 7
    for number in range(3):
        scheduler.add_job(work, id=str(number), timeout=60)
    scheduler.advance(60)
    assert len(told) == len(hands.stopped) == 3


def test_the_time_of_runs_is_watched_although_their_store_fails():
    hands, told, store = Hands(), [], FlakyStore()
    scheduler = ManualScheduler(executors={"default": hands}, jobstores={"default": store})
    scheduler.start()
    scheduler.add_listener(told.append, JobTimedOutEvent)
    scheduler.add_job(work, id="j", timeout=60)
    scheduler.run_pending()
    store.broken.add("due")
    scheduler.advance(60)
    assert len(told) == 1
    store.broken.clear()
    hands.release()
    scheduler.shutdown()


def test_ends_are_forgotten_although_an_earlier_run_goes_on(kit):
    scheduler, hands, _ = kit
    scheduler.add_job(work, id="long", timeout=10_000)
    scheduler.run_pending()
    ((long, _),) = hands.held
    scheduler.add_job(work, "interval", seconds=1, id="short", timeout=100_000)
    for _ in range(100):
        scheduler.advance(1)
        while len(hands.held) > 1:
            run, done = hands.held.pop()
            run.status, run.finished_at = "succeeded", scheduler.clock.now()
            done(run)
            assert not hasattr(run, "watch")
    (state,) = scheduler._engine.states
    assert list(state.completions.timeouts._watched) == [long]


class Clock(VirtualClock):
    """A clock that is set by hand, and of which nobody knows that."""

    virtual = False


def watching():
    """Return what watches runs as with a real clock, that clock, how often the host was woken, and the runs that were stopped."""
    clock, woken, hands = Clock(), [], Hands()
    outlet = Outlet(
        clock, GuardedLogger("x"), {"default": hands}, print, int, lambda: woken.append(1), 1, True
    )
    ends: Any = None  # there are none
    return Timeouts(outlet, MemoryJobStore(), "default", ends), clock, woken, hands


def begun(watch, id="j", **options):
    run = Run(id, 0, 0, SimpleNamespace(id=id, policy=policy_of(**options), trigger=None))  # type: ignore[arg-type]
    run.watch = watch
    watch.begin(run)
    return run


def test_the_host_is_woken_by_a_run_whose_time_is_over_before_the_next_look_and_by_no_other():
    watch, clock, woken, hands = watching()
    begun(watch, timeout=60)
    assert len(woken) == 1
    begun(watch, timeout=60)
    assert watch.look() == 60
    woken.clear()
    for _ in range(100):
        clock.advance(0.1)
        run = begun(watch, timeout=60)
        assert watch.look() == pytest.approx(60 - clock.monotonic() / SECOND % 100)
        run.status = "succeeded"
        watch.end(run)
    assert woken == []
    begun(watch, "short", timeout=1)
    assert len(woken) == 1
    assert watch.look() == 1
    clock.advance(1)
    watch.look()
    assert hands.stopped == ["short@0#1"]


def test_a_look_when_nothing_is_under_way_does_not_make_the_next_run_wake_the_host():
    watch, clock, woken, hands = watching()
    for _ in range(10):
        run = begun(watch, timeout=60)
        run.status = "succeeded"
        watch.end(run)
        watch.look()
        clock.advance(1)
    assert len(woken) == 1
    began = clock.monotonic()
    begun(watch, timeout=60)
    while not hands.stopped:  # the look that is kept finds nothing, and the one after it is on time
        wait = watch.look()
        assert 0 < (wait or 0) <= 60
        clock.advance(wait or 0)
        watch.look()
    assert clock.monotonic() == began + 60 * SECOND


def test_a_run_that_begins_while_somebody_looks_is_seen_by_that_look_or_another_one():
    watch, clock, woken, hands = watching()
    first = begun(watch, "first", timeout=5)
    watch.look()
    woken.clear()
    stop = hands.terminate_run
    later = []

    def begin_another(run):
        stop(run)
        later.append(begun(watch, "second", timeout=3))

    hands.terminate_run = begin_another
    clock.advance(5)
    assert watch.look() == 3
    assert len(woken) == 1
    assert (first.cancelled, later[0].cancelled) == (True, False)


def test_many_runs_are_looked_at_seldom():
    watch, clock, _, hands = watching()
    for number in range(1000):
        begun(watch, str(number), timeout=5)
        clock.advance(0.000001)
    clock.advance(5 - 0.001)
    watch.look()
    assert len(hands.stopped) == 1
    assert watch.look() == pytest.approx(0.005)
    clock.advance(0.005)
    watch.look()
    assert len(hands.stopped) == 1000


def test_only_one_thread_looks_at_a_time():
    watch, clock, _, hands = watching()
    begun(watch, timeout=5)
    clock.advance(5)
    watch._in_turn.acquire()
    assert watch.look() == 0.1
    watch._in_turn.release()
    assert hands.stopped == []
    watch.look()
    assert hands.stopped == ["j@0#1"]


def test_a_run_that_has_not_begun_after_all_is_forgotten():
    watch, clock, _, hands = watching()
    run = begun(watch, timeout=5)
    watch.forget(run)
    clock.advance(9)
    assert watch.look() is None
    assert hands.stopped == []
    run.status = "cancelled"
    assert watch.end(run)
    assert run.status == "cancelled"


def test_a_host_that_cannot_be_woken_costs_the_run_nothing(caplog):
    watch, *_ = watching()

    def wake():
        raise RuntimeError("no host")

    watch._outlet.wake = wake
    begun(watch, timeout=5)
    assert "time-outs of runs are noticed with the next pass" in caplog.text


def test_runs_without_a_limit_are_not_watched(kit):
    scheduler, hands, _ = kit
    scheduler.add_job(work, id="j")
    scheduler.run_pending()
    (state,) = scheduler._engine.states
    assert state.completions.timeouts is None
    assert not hasattr(hands.held[0][0], "watch")


# ------------------------------------------------------------------------------------------------------- virtual time


async def sleep_an_hour():
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        seen.append((current_run().cancelled, current_run().past_timeout))
        raise


async def be_stubborn():
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("stubborn")


async def be_late():
    try:
        await asyncio.sleep(1000)
    except asyncio.CancelledError:
        await asyncio.sleep(7)
    return "late"


seen = []


@pytest.fixture
def virtual():
    seen.clear()
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    if scheduler.running:
        scheduler.shutdown(wait=False)


def test_a_coroutine_that_sleeps_past_its_time_ends_in_virtual_time(virtual):
    virtual.add_job(sleep_an_hour, id="j", timeout=60)
    virtual.run_pending()
    assert virtual.next_wakeup - virtual.clock.datetime() == timedelta(seconds=60)
    virtual.advance(60)
    (run,) = virtual.get_runs("j")
    assert (run.status, run.reason, run.duration) == ("timed_out", "timeout", 60)
    assert seen == [(True, True)]
    assert virtual.next_wakeup is None


def test_a_coroutine_that_swallows_its_cancellation_ends_when_it_returns(virtual):
    virtual.add_job(be_late, id="j", timeout=60)
    virtual.advance(66)
    assert outcomes(virtual, "j") == [("claimed", None, 1)]
    virtual.advance(1)
    (run,) = virtual.get_runs("j")
    assert (run.status, run.duration) == ("timed_out", 67)
    assert virtual.get_run("j", run.scheduled_run_time).note == "returned after its time was over: 'late'"


def test_each_member_of_a_group_has_its_own_time(virtual):
    virtual.add_job(sleep_an_hour, "interval", minutes=1, id="j", timeout=50, coalesce=False)
    virtual.clock.advance(minutes=3)
    virtual.advance(150)
    assert [(run.status, run.duration) for run in virtual.get_runs("j", "timed_out")] == [
        ("timed_out", 50)
    ] * 3


def test_a_shutdown_waits_until_the_time_is_over_and_not_much_longer(virtual):
    virtual.add_job(be_stubborn, id="stubborn", timeout=60)
    virtual.add_job(sleep_an_hour, id="sleeper", timeout=100)
    virtual.run_pending()
    began, told = virtual.clock.datetime(), []
    virtual.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_TIMED_OUT)
    store = virtual._jobstores["default"]
    virtual.shutdown()
    took = virtual.clock.datetime() - began
    assert timedelta(seconds=100) <= took <= timedelta(seconds=102)
    assert seen == ["stubborn", (True, True)]
    assert [(event.code, event.job_id) for event in told] == [
        (EVENT_JOB_TIMED_OUT, "stubborn"),
        (EVENT_JOB_TIMED_OUT, "sleeper"),
        (EVENT_JOB_ERROR, "sleeper"),
        (EVENT_JOB_ERROR, "stubborn"),
    ]
    assert isinstance(store, MemoryJobStore)


def test_a_shutdown_that_does_not_wait_leaves_runs_behind_whose_time_is_over():
    hands, told = Hands(), []
    scheduler = ManualScheduler(executors={"default": hands})
    scheduler.start()
    scheduler.add_listener(told.append, EVENT_JOB_ERROR)
    scheduler.add_job(work, id="over", timeout=1)
    scheduler.add_job(work, id="in time", timeout=1000)
    scheduler.advance(2)
    scheduler.shutdown(wait=False)
    assert [(event.job_id, event.outcome) for event in told] == [("over", "timed_out")]
    hands.release()
    assert len(told) == 1


def test_what_a_run_does_after_it_was_left_behind_changes_nothing(tmp_path):
    need("sqlalchemy", "sql")
    url, hands = f"sqlite:///{tmp_path / 'jobs'}", Hands()
    scheduler = ManualScheduler(executors={"default": hands}, jobstores={"default": url})
    scheduler.start()
    scheduler.add_job("builtins:int", "interval", hours=1, id="j", timeout=60)
    scheduler.advance(3700)
    scheduler.shutdown()
    ((run, done),) = hands.held
    run.retval, run.status, run.finished_at = 7, "succeeded", 0
    done(run)
    another = ManualScheduler(
        executors={"default": Hands()}, jobstores={"default": url}, clock=scheduler.clock
    )
    another.start()
    another.advance(60)
    (record,) = another.get_runs("j")
    assert (record.status, record.reason, record.attempt) == ("timed_out", "timeout", 1)
    assert present(another.get_job("j")).running == 0
    another.shutdown()


def test_a_removed_store_waits_no_longer_than_the_time_of_its_runs():
    hands, told = Hands(), []
    store = MemoryJobStore()
    scheduler = ManualScheduler(
        executors={"default": hands}, jobstores={"default": MemoryJobStore(), "other": store}
    )
    scheduler.start()
    scheduler.add_listener(told.append, EVENT_JOB_ERROR)
    scheduler.add_job(work, id="j", timeout=1, jobstore="other")
    scheduler.advance(3)
    scheduler.remove_jobstore("other")
    scheduler.run_pending()
    assert [(event.job_id, event.outcome) for event in told] == [("j", "timed_out")]
    scheduler.shutdown(wait=False)


# ------------------------------------------------------------------------------------- a node that dies with such a run


def orphan(**options):
    run = Run("j", 0, 0)
    run.owner, run.attempt = "dead", 2
    job = SimpleNamespace(id="j", policy=with_options(DEFAULT_POLICY, options), running=1, executor="default")
    return run, {"j": job}


@pytest.mark.parametrize(
    ("mark", "end"),
    [
        (f"2 {TIMEOUT}", ("timed_out", TIMEOUT, "dead", 2)),
        (f"2 {NO_HEARTBEAT}", ("timed_out", NO_HEARTBEAT, "dead", 2)),
        (f"1 {TIMEOUT}", ("claimed", None, "n", 3)),
        ("2 something", ("claimed", None, "n", 3)),
        (None, ("claimed", None, "n", 3)),
    ],
)
@pytest.mark.parametrize("cancel", [None, "not needed"])
def test_a_run_whose_time_was_over_when_its_node_died_has_timed_out(mark, end, cancel, monkeypatch):
    monkeypatch.setattr("rota.core.orphans.lacking", lambda job: False)
    run, jobs = orphan(timeout=5)
    if cancel is not None:
        run.extra = Extra()
        run.extra.cancel = cancel
        end = end if end[0] == "timed_out" else ("cancelled", cancel, "dead", 2)
    parts = {} if mark is None else {("j", 0): {MARK: mark}}
    asked = []

    def parts_of(keys):
        asked.append(keys)
        return parts

    (found,) = sort_out([run], jobs, "n", 99, None, can_run=lambda job: True, parts_of=parts_of)
    assert found is run
    assert (run.status, run.reason, run.owner, run.attempt) == end
    assert asked == [[("j", 0)]]
    if run.status == "timed_out":
        assert run.error == f"The run j@0#2 had not ended after its time ({run.reason}) when its node died"
        assert (run.finished_at, type(run.exception)) == (99, RunTimedOutError)


def test_nothing_is_asked_about_orphans_without_a_limit(monkeypatch):
    monkeypatch.setattr("rota.core.orphans.lacking", lambda job: False)
    run, jobs = orphan()
    sort_out([run], jobs, "n", 99, None, can_run=lambda job: True, parts_of=pytest.fail)  # type: ignore[arg-type]
    assert run.attempt == 3


@pytest.mark.thorough
@pytest.mark.parametrize("on_lost", ["rerun", "lost"])
@pytest.mark.parametrize("over", [True, False])
def test_the_node_that_rescues_a_run_knows_that_its_time_was_over(tmp_path, over, on_lost):
    need("sqlalchemy", "sql")
    url, told = f"sqlite:///{tmp_path / 'jobs'}", []
    dying = ManualScheduler(executors={"default": Hands()}, jobstores={"default": url}, lease=15)
    dying.start()
    dying.add_job("builtins:int", "interval", hours=1, id="j", timeout=60, on_lost=on_lost)
    dying.advance(3600 + 65 * over)
    dying.run_pending()
    hands = Hands()
    saving = ManualScheduler(
        executors={"default": hands}, jobstores={"default": url}, clock=dying.clock, lease=15
    )
    saving.add_listener(told.append, EVENT_JOB_ERROR)
    saving.start()
    saving.advance(60)  # the other one makes no passes any more
    (record,) = saving.get_runs("j")
    if over:
        assert (record.status, record.reason, record.attempt) == ("timed_out", "timeout", 1)
        assert [type(event.exception) for event in told] == [RunTimedOutError]
        assert hands.held == []
        assert present(saving.get_job("j")).running == 0
    else:
        assert (record.status, record.attempt) == (("claimed", 2) if on_lost == "rerun" else ("lost", 1))
    hands.release()
    saving.shutdown()


# ------------------------------------------------------------------------------------------- inline, and third parties


def test_a_job_that_runs_inline_is_asked_by_another_thread():
    from rota import BackgroundScheduler

    told, ended = queue.SimpleQueue(), threading.Event()

    def until_asked():
        run = current_run()
        while not run.cancelled:
            ended.wait(0.002)
        return run.past_timeout

    scheduler = BackgroundScheduler(executors={"default": {"type": "debug"}})
    scheduler.add_listener(told.put, EVENT_JOB_TIMED_OUT)
    scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_ERROR)
    scheduler.start()
    scheduler.add_job(until_asked, id="j", timeout=0.05)
    assert ended.wait(20)
    (run,) = scheduler.get_runs("j")
    assert run.status == "timed_out"
    assert told.get(timeout=20).reason == "timeout"  # each listener has a thread of its own
    assert told.empty()
    assert (
        present(scheduler.get_run("j", run.scheduled_run_time)).note
        == "returned after its time was over: True"
    )
    scheduler.shutdown()


def test_a_burst_of_inline_jobs_is_looked_at_by_one_thread():
    from rota import BackgroundScheduler

    threads, ended = set(), threading.Event()

    def note():
        threads.update(thread.ident for thread in threading.enumerate() if thread.name == "rota-timeouts")
        if current_run().job_id == "99":
            ended.set()

    scheduler = BackgroundScheduler(executors={"default": {"type": "debug"}})
    for number in range(100):
        scheduler.add_job(note, id=str(number), timeout=60)
    scheduler.start()
    assert ended.wait(20)
    scheduler.shutdown()
    assert len(threads) <= 3  # a pass may end before all of them have come


def test_time_is_looked_at_by_another_thread_while_a_pass_does_not_get_on():
    looked = []
    clock = VirtualClock()
    outlet = Outlet(clock, GuardedLogger("x"), {}, print, int, int, 1, True)  # type: ignore[arg-type]
    watch = PassWatch(outlet, 15 * SECOND, None, lambda: True)
    watch.meanwhile = lambda: looked.append(clock.monotonic())
    watch.look()
    watch.look()
    assert looked == []  # there is no pass
    watch.under_way = SimpleNamespace(completions=SimpleNamespace(ended=0))  # type: ignore[assignment]
    watch.look()
    assert looked == []  # it has just begun
    watch.look()
    assert len(looked) == 1
    watch.passes += 1
    watch.look()
    assert len(looked) == 1


def beat_and_hang():
    for number in range(30):
        current_run().heartbeat(number / 30)
        time.sleep(0.1)
    time.sleep(3600)


@pytest.mark.slow  # beats come out of a worker process once a second
def test_a_worker_process_that_beats_goes_on_and_one_that_hangs_is_ended():
    from rota import BackgroundScheduler

    ended, told = threading.Event(), queue.SimpleQueue()
    scheduler = BackgroundScheduler(executors={"default": {"type": "processpool", "max_workers": 1}})
    scheduler.add_listener(told.put, EVENT_JOB_TIMED_OUT)
    scheduler.add_listener(lambda event: ended.set(), EVENT_JOB_ERROR)
    scheduler.start()
    scheduler.add_job(beat_and_hang, id="j", heartbeat_timeout=2)
    assert ended.wait(50)
    (run,) = scheduler.get_runs("j")
    assert (run.status, run.reason) == ("timed_out", "no heartbeat")
    assert told.get(timeout=20).reason == "no heartbeat"  # each listener has a thread of its own
    assert told.empty()
    assert present(run.duration) > 4
    assert present(scheduler.get_run("j", run.scheduled_run_time)).progress == pytest.approx(29 / 30)
    scheduler.shutdown()


class Foreign(BaseExecutor):
    """An executor that was written for APScheduler."""

    def __init__(self):
        self.waiting = []

    def _do_submit_job(self, job, run_times):
        self.waiting.append((job, run_times))

    def carry_out(self):
        job, run_times = self.waiting.pop()
        self._run_job_success(job.id, run_job(job, "default", run_times, "foreign"))

    @property
    def under_way(self):
        return len(self.waiting)


def test_a_run_of_an_executor_of_a_third_party_is_asked_and_times_out():
    foreign, told = Foreign(), []
    scheduler = ManualScheduler(executors={"default": foreign})

    def work():
        scheduler.clock.advance(10)
        present(scheduler._engine).look_at_time()
        told.append((current_run().cancelled, current_run().past_timeout))

    scheduler.start()
    scheduler.add_listener(told.append, EVENT_JOB_TIMED_OUT)
    scheduler.add_job(work, id="j", timeout=10)
    scheduler.run_pending()
    foreign.carry_out()
    scheduler.run_pending()
    assert told[0] == (True, True)
    assert len(told) == 2
    assert outcomes(scheduler, "j") == [("timed_out", "timeout", 1)]
    scheduler.shutdown()


def test_the_limits_of_a_job_are_kept_by_a_store_and_changed(tmp_path):
    need("sqlalchemy", "sql")
    url = f"sqlite:///{tmp_path / 'jobs'}"
    scheduler = ManualScheduler(jobstores={"default": url}, job_defaults={"timeout": "90"})
    scheduler.start()
    scheduler.add_job("builtins:int", "interval", hours=1, id="usual")
    scheduler.add_job("builtins:int", "interval", hours=1, id="own", timeout=1.5, heartbeat_timeout=60)
    scheduler.shutdown()
    another = ManualScheduler(jobstores={"default": url}, clock=scheduler.clock)
    another.start()
    policies = {job.id: job.policy for job in another.get_jobs()}
    assert (policies["usual"].timeout, policies["usual"].heartbeat_timeout) == (90 * SECOND, None)
    assert (policies["own"].timeout, policies["own"].heartbeat_timeout) == (1_500_000, 60 * SECOND)
    policy = another.modify_job("own", timeout=None, heartbeat_timeout=5).policy
    assert (policy.timeout, policy.heartbeat_timeout) == (None, 5 * SECOND)
    another.shutdown()


def test_the_limits_of_a_job_are_in_the_state_that_third_party_stores_keep():
    scheduler = ManualScheduler()
    job = scheduler.add_job("builtins:int", "interval", hours=1, id="j", timeout=1.5, heartbeat_timeout=60)
    plain = scheduler.add_job("builtins:int", "interval", hours=1)
    state = job.__getstate__()
    assert (state["timeout"], state["heartbeat_timeout"]) == (1.5, 60)
    assert {"timeout", "heartbeat_timeout"}.isdisjoint(plain.__getstate__())
    restored = Job.__new__(Job)
    restored.__setstate__(state)
    assert restored.policy == job.policy


def test_an_edit_changes_the_time_of_the_next_attempt_only(kit):
    scheduler, hands, told = kit
    scheduler.add_job(work, "interval", minutes=1, id="j", timeout=30)
    scheduler.advance(60)
    scheduler.modify_job("j", timeout=10)
    scheduler.advance(29)
    assert told == []
    scheduler.advance(1)
    assert len(told) == 1
    hands.release(1)
    scheduler.advance(30 + 10)
    assert [event.code for event in told[2:]] == [EVENT_JOB_TIMED_OUT]
