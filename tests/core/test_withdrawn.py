"""Runs that are cancelled before they have started: they end at once, and what their executor says of them later is dropped."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rota import Retry
from rota.clock import moment
from rota.core.run import GONE, Run
from rota.core.states import CANCELLED, CLAIMED, FAILED, SUCCEEDED, WAITING, end
from rota.engine.withdrawn import Withdrawn
from rota.events import EVENT_JOB_CANCEL_REQUESTED, EVENT_JOB_CANCELLED
from rota.executors.debug import DebugExecutor
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.core.queued import Queue
from tests.needs import need

CALLS: list[int] = []


class Skipping(Queue):
    """The same for an executor that never calls a run which was asked to stop before its turn."""

    skips_cancelled = True


@pytest.fixture(params=["memory", "sqlite"])
def store(request: Any, tmp_path: Any) -> Any:
    if request.param == "memory":
        return MemoryJobStore()
    need("sqlalchemy", "sql")
    return f"sqlite:///{tmp_path / 'rota.sqlite'}"


def started(queue: Queue, store: Any) -> ManualScheduler:
    CALLS.clear()
    scheduler = ManualScheduler(executors={"default": queue}, jobstores={"default": store})
    scheduler.start()
    return scheduler


def work() -> None:
    CALLS.append(1)


def fail() -> None:
    CALLS.append(1)
    raise ConnectionError("no answer")


def owe(scheduler: ManualScheduler, func: Any = work, **options: Any) -> list[Any]:
    """Have three times of a job claimed together; return them."""
    due = moment(scheduler.clock.now()) - timedelta(seconds=25)
    scheduler.add_job(
        func, "interval", seconds=10, id="job", next_run_time=due, coalesce=False,
        end_date=due + timedelta(seconds=20), **options,
    )  # fmt: skip
    scheduler.tick()
    return [due + timedelta(seconds=10 * number) for number in range(3)]


def pass_time(scheduler: ManualScheduler, seconds: float) -> None:
    """Let time pass while runs are under way that only the test ends."""
    scheduler.clock.advance(seconds)
    scheduler.tick()


def statuses(scheduler: ManualScheduler) -> list[str]:
    return [run.status for run in reversed(scheduler.get_runs("job"))]


def test_a_run_that_has_not_started_ends_at_once_and_is_reported_once(store: Any) -> None:
    queue = Skipping()
    scheduler = started(queue, store)
    told: list[int] = []
    scheduler.add_listener(
        lambda event: told.append(event.code), EVENT_JOB_CANCEL_REQUESTED | EVENT_JOB_CANCELLED
    )
    times = owe(scheduler)
    record = scheduler.cancel_run("job", times[1], "not needed")
    assert (record.status, record.reason) == (CANCELLED, "not needed")
    assert statuses(scheduler) == [CLAIMED, CANCELLED, CLAIMED]
    for _ in range(3):
        queue.work()
    scheduler.tick()
    assert statuses(scheduler) == [SUCCEEDED, CANCELLED, SUCCEEDED]
    assert (len(CALLS), told) == (2, [EVENT_JOB_CANCEL_REQUESTED, EVENT_JOB_CANCELLED])
    scheduler.shutdown()


def test_one_that_is_cancelled_twice_has_one_end(store: Any) -> None:
    queue = Skipping()
    scheduler = started(queue, store)
    times = owe(scheduler)
    told: list[Any] = []
    scheduler.add_listener(lambda event: told.append(event.run.scheduled_run_time), EVENT_JOB_CANCELLED)
    for time in (*times[1:], times[1]):
        assert scheduler.cancel_run("job", time, "not needed").reason == "not needed"
        pass_time(scheduler, 1)
    assert (statuses(scheduler), told) == ([CLAIMED, CANCELLED, CANCELLED], times[1:])
    scheduler.shutdown(wait=False)
    assert len(CALLS) == 0


def test_an_executor_that_may_call_such_a_run_ends_it_when_its_turn_comes(store: Any) -> None:
    queue = Queue()
    scheduler = started(queue, store)
    times = owe(scheduler)
    assert scheduler.cancel_run("job", times[1]).status == CLAIMED
    assert statuses(scheduler) == [CLAIMED] * 3
    for _ in range(3):
        queue.work()
    scheduler.tick()
    assert statuses(scheduler) == [SUCCEEDED, CANCELLED, SUCCEEDED]
    scheduler.shutdown()


def test_the_end_of_one_makes_room_for_the_time_that_waits_for_it(store: Any) -> None:
    """R6"""
    queue = Skipping()
    scheduler = started(queue, store)
    due = moment(scheduler.clock.now())
    scheduler.add_job(work, "interval", seconds=10, id="job", overlap="buffer_one", next_run_time=due)
    scheduler.tick()
    pass_time(scheduler, 15)
    assert statuses(scheduler) == [CLAIMED]
    scheduler.cancel_run("job", due)
    scheduler.tick()
    assert statuses(scheduler) == [CANCELLED, CLAIMED]
    scheduler.shutdown(wait=False)


def test_a_retry_waits_for_those_of_its_group_that_have_not_ended_though_the_last_was_cancelled(
    store: Any,
) -> None:
    queue = Skipping()
    scheduler = started(queue, store)
    retry = Retry(wait_initial=10, wait_jitter=0, until=None)
    times = owe(scheduler, fail, retry=retry)
    scheduler.cancel_run("job", times[2])
    assert statuses(scheduler) == [CLAIMED, CLAIMED, CANCELLED]
    queue.work()
    pass_time(scheduler, 15)
    assert WAITING not in statuses(scheduler)  # the second is still to be executed
    queue.work()
    scheduler.tick()
    assert statuses(scheduler) == [WAITING, WAITING, CANCELLED]
    assert len({run.not_before for run in scheduler.get_runs("job", status=WAITING)}) == 1
    queue.work()
    pass_time(scheduler, 10)
    assert statuses(scheduler) == [CLAIMED, CLAIMED, CANCELLED]
    assert [len(runs) for runs, _ in queue.groups] == [2]
    scheduler.shutdown(wait=False)


def test_one_whose_time_is_limited_ends_at_once_and_is_watched_no_more(store: Any) -> None:
    queue = Skipping()
    scheduler = started(queue, store)
    times = owe(scheduler, timeout=5)
    scheduler.cancel_run("job", times[2])
    for _ in range(3):
        queue.work()
    scheduler.advance(10)
    assert statuses(scheduler) == [SUCCEEDED, SUCCEEDED, CANCELLED]
    scheduler.shutdown()


def test_methods_of_apscheduler_that_a_program_replaces_let_no_run_end_at_once() -> None:
    class Own(ThreadPoolExecutor):
        def _do_submit_job(self, job: Any, run_times: Any) -> None:
            super()._do_submit_job(job, run_times)

    executor = Own(1)
    executor.start(None, "default")
    assert (executor.skips_cancelled, ThreadPoolExecutor(1).skips_cancelled) == (False, True)
    assert not DebugExecutor().skips_cancelled  # nothing waits there
    executor.shutdown()


# ---------------------------------------------------------------------------------------------- who ends it


def claimed() -> Run:
    run = Run("job", 1, 1)
    run.cancelled = True
    return run


def test_a_run_is_withdrawn_once_and_dropped_once() -> None:
    withdrawn, run = Withdrawn(), claimed()
    follower = run.then = claimed()
    record = withdrawn.withdraw(run, "why", 5)
    assert record is not None
    assert (record.status, record.reason, record.finished_at, record.then) == (CANCELLED, "why", 5, None)
    assert (run.status, run.permission is GONE, run.then is follower) == (CLAIMED, True, True)
    assert withdrawn.withdraw(run, "again", 6) is None
    assert withdrawn.drop(run)
    assert not withdrawn.drop(run)
    assert run.then is follower  # one before it that is tried again waits for what is executed after it


def test_a_run_that_has_started_or_ended_is_left_to_its_executor() -> None:
    withdrawn = Withdrawn()
    begun, over = claimed(), claimed()
    begun.started_at = 3
    end(over, FAILED, "why", 4)
    for run in (begun, over):
        assert withdrawn.withdraw(run, "why", 5) is None
        assert not withdrawn.drop(run)
