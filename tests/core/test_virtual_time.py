"""The testing kit's clock, loop and scheduler: everything happens in virtual time, at the right time, in order."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from rota.clock import SECOND, Clock
from rota.errors import ConfigurationError
from rota.events import EVENT_SCHEDULER_SHUTDOWN
from rota.executors.base import current_run
from rota.testing import ManualScheduler, VirtualClock, VirtualLoop


def at(day, hour=0, minute=0, second=0, microsecond=0):
    return datetime(2029, 1, day, hour, minute, second, microsecond, UTC)


@pytest.fixture
def scheduler():
    made = ManualScheduler()
    made.start()
    yield made
    if made.running:
        made.shutdown(wait=False)


# ------------------------------------------------------------------------------------------------------ the clock


def test_a_virtual_clock_stands_still_until_it_is_moved():
    clock = VirtualClock(datetime(2030, 5, 1, 12))
    assert clock.now() == clock.now()
    assert clock.datetime() == datetime(2030, 5, 1, 12, tzinfo=UTC)


def test_time_that_passes_moves_both_clocks_and_setting_moves_the_wall_clock_only():
    clock = VirtualClock()
    wall, elapsed = clock.now(), clock.monotonic()
    clock.advance(1.5, minutes=1)
    clock.advance(timedelta(seconds=2))
    assert (clock.now() - wall, clock.monotonic() - elapsed) == (63_500_000, 63_500_000)
    clock.set(wall)
    assert (clock.now() - wall, clock.monotonic() - elapsed) == (0, 63_500_000)


def test_time_cannot_pass_backwards():
    clock = VirtualClock()
    with pytest.raises(ValueError, match=r"use set\(\)"):
        clock.advance(-1)
    with pytest.raises(ValueError, match=r"use set\(\)"):
        clock.advance_to(clock.now() - 1)


# ---------------------------------------------------------------------------------------------------- the scheduler


def test_advancing_runs_what_becomes_due_in_order_each_at_its_own_time(scheduler):
    seen = []
    scheduler.add_job(lambda: seen.append(("a", scheduler.clock.datetime())), "interval", hours=2)
    scheduler.add_job(lambda: seen.append(("b", scheduler.clock.datetime())), "interval", hours=3)
    scheduler.advance(hours=6)
    assert seen == [("a", at(1, 2)), ("b", at(1, 3)), ("a", at(1, 4)), ("b", at(1, 6)), ("a", at(1, 6))]


def test_a_year_of_a_daily_schedule_runs_365_times(scheduler):
    seen = []
    scheduler.add_job(lambda: seen.append(current_run().scheduled_run_time), "cron", hour=9)
    scheduler.advance(days=365)
    assert len(seen) == 365
    assert seen[0] == at(1, 9)


def test_a_job_may_take_virtual_time_by_moving_the_clock(scheduler):
    starts = []

    def work():
        starts.append(scheduler.clock.datetime())
        scheduler.clock.advance(minutes=10)

    scheduler.add_job(work, "interval", minutes=60)
    scheduler.advance(hours=2)
    assert starts == [at(1, 1), at(1, 2)]
    assert scheduler.clock.datetime() == at(1, 2, 10)
    assert [run.duration for run in scheduler.get_runs()] == [600.0, 600.0]


def test_a_sleeping_coroutine_goes_on_when_its_time_has_come_and_others_run_meanwhile(scheduler):
    seen = []

    async def slow():
        seen.append(("start", scheduler.clock.datetime()))
        await asyncio.sleep(90)
        seen.append(("end", scheduler.clock.datetime()))

    scheduler.add_job(slow, "date", run_date=at(1, 0, 1))
    scheduler.add_job(lambda: seen.append(("tick", scheduler.clock.datetime())), "interval", minutes=1)
    scheduler.advance(minutes=3)
    assert seen == [
        ("tick", at(1, 0, 1)),
        ("start", at(1, 0, 1)),
        ("tick", at(1, 0, 2)),
        ("end", at(1, 0, 2, 30)),
        ("tick", at(1, 0, 3)),
    ]


def test_a_coroutine_that_still_sleeps_counts_as_an_instance_under_way(scheduler):
    async def slow():
        await asyncio.sleep(100)

    scheduler.add_job(slow, "interval", minutes=1, id="slow")
    scheduler.advance(minutes=5)
    by_status = [(run.status, run.reason) for run in reversed(scheduler.get_runs("slow"))]
    assert by_status.count(("skipped", "max_instances")) == 2
    assert by_status.count(("succeeded", None)) == 2
    assert by_status.count(("claimed", None)) == 1


def test_nothing_runs_before_time_is_moved(scheduler):
    seen = []
    scheduler.add_job(seen.append, args=[1])
    assert seen == []
    scheduler.run_pending()
    assert seen == [1]


def test_the_next_wakeup_is_the_next_due_time_or_the_end_of_a_sleep(scheduler):
    assert scheduler.next_wakeup is None

    async def slow():
        await asyncio.sleep(5)

    scheduler.add_job(print, "interval", minutes=1)
    assert scheduler.next_wakeup == at(1, 0, 1)
    scheduler.add_job(slow)
    assert scheduler.next_wakeup == at(1, 0, 0, 5)


def test_a_preview_tells_the_runs_to_come_and_runs_nothing(scheduler):
    seen = []
    scheduler.add_job(seen.append, "interval", hours=2, args=[1], id="a")
    scheduler.add_job(seen.append, "interval", hours=3, args=[1], id="b")
    scheduler.pause_job(scheduler.add_job(seen.append, "interval", hours=1, args=[1]).id)
    coming = [(due, job.id) for due, job in scheduler.preview(hours=6)]
    assert coming == [(at(1, 2), "a"), (at(1, 3), "b"), (at(1, 4), "a"), (at(1, 6), "a"), (at(1, 6), "b")]
    assert seen == []
    assert scheduler.clock.datetime() == at(1, 0)


def test_a_preview_of_a_scheduler_that_was_not_started_shows_its_pending_jobs():
    scheduler = ManualScheduler()
    scheduler.add_job(print, "interval", hours=2)
    assert [due for due, _ in scheduler.preview(hours=5)] == [at(1, 2), at(1, 4)]


def test_real_threads_are_waited_for_before_time_moves_on():
    scheduler = ManualScheduler(executors={"default": {"type": "threadpool", "max_workers": 2}})
    scheduler.start()
    seen = []
    scheduler.add_job(
        lambda: seen.append(
            (scheduler.clock.datetime(), threading.current_thread() is threading.main_thread())
        ),
        "interval",
        hours=1,
    )
    scheduler.advance(hours=3)
    assert seen == [(at(1, 1), False), (at(1, 2), False), (at(1, 3), False)]
    scheduler.shutdown()


def test_shutdown_moves_time_until_the_coroutines_under_way_have_ended(scheduler):
    ended = []

    async def slow():
        await asyncio.sleep(30)
        ended.append(scheduler.clock.datetime())

    scheduler.add_job(slow)
    scheduler.run_pending()
    scheduler.shutdown()
    assert ended == [at(1, 0, 0, 30)]


def test_shutdown_with_a_timeout_cancels_what_is_still_under_way(scheduler):
    async def slow():
        await asyncio.sleep(30)

    scheduler.add_job(slow, id="slow")
    scheduler.run_pending()
    scheduler.shutdown(timeout=10)
    assert scheduler.clock.datetime() == at(1, 0, 0, 10)
    assert [run.status for run in scheduler.get_runs("slow")] == ["cancelled"]


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_job_may_shut_its_scheduler_down(scheduler, kind):
    events = []
    scheduler.add_listener(events.append, EVENT_SCHEDULER_SHUTDOWN)

    def stop():
        scheduler.shutdown()

    async def astop():
        await asyncio.sleep(1)
        scheduler.shutdown()

    scheduler.add_job(stop if kind == "function" else astop, id="stop")
    scheduler.advance(seconds=2)
    assert not scheduler.running
    assert len(events) == 1
    assert [run.status for run in scheduler.get_runs("stop")] == ["succeeded"]


def test_a_manual_scheduler_can_be_started_again(scheduler):
    seen = []
    scheduler.shutdown()
    scheduler.start()

    async def work():
        await asyncio.sleep(1)
        seen.append(1)

    scheduler.add_job(work)
    scheduler.advance(seconds=1)
    assert seen == [1]


def test_a_job_that_plans_itself_for_the_present_for_ever_is_reported(scheduler, monkeypatch):
    monkeypatch.setattr("rota.testing.manual.BUSY", 100)

    def again():
        scheduler.add_job(again)

    scheduler.add_job(again)
    with pytest.raises(RuntimeError, match="still busy after 100 passes"):
        scheduler.run_pending()


def test_time_cannot_be_advanced_to_the_past(scheduler):
    with pytest.raises(ValueError, match="is past"):
        scheduler.advance_to(datetime(2028, 1, 1, tzinfo=UTC))


def test_a_real_clock_is_refused():
    with pytest.raises(ConfigurationError, match="VirtualClock"):
        ManualScheduler(clock=Clock())


# ----------------------------------------------------------------------------------------------------- the loop


@pytest.fixture
def drive():
    """Run a coroutine on a virtual loop to its end; return its result and the seconds that it took."""

    def drive(coroutine):
        clock = VirtualClock()
        loop = VirtualLoop(clock)
        start = clock.monotonic()
        task = loop.create_task(coroutine)
        while True:
            loop.run_ready()
            timer = loop.next_timer()
            if task.done() or timer is None:
                return task.result(), (clock.monotonic() - start) / SECOND
            clock.advance((timer - clock.monotonic()) / SECOND)

    return drive


def test_timeouts_are_virtual(drive):
    async def main():
        try:
            async with asyncio.timeout(5):
                await asyncio.sleep(100)
        except TimeoutError:
            return "timed out"

    assert drive(main()) == ("timed out", 5.0)


def test_tasks_queues_locks_and_gather_work(drive):
    async def main():
        queue, lock, got = asyncio.Queue(), asyncio.Lock(), []

        async def produce():
            for number in range(3):
                await asyncio.sleep(1)
                await queue.put(number)

        async def consume():
            for _ in range(3):
                async with lock:
                    got.append(await queue.get())

        await asyncio.gather(produce(), consume())
        assert asyncio.get_running_loop().is_running()
        assert await asyncio.wait_for(asyncio.to_thread(len, "four"), 1) == 4
        return got

    assert drive(main()) == ([0, 1, 2], 3.0)


def test_the_exception_of_a_thread_call_comes_back(drive):
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)

    assert drive(main()) == (None, 0.0)
