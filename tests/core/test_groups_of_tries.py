"""Tries of several times of one job that are executed one after another, and of jobs that go: in virtual time, in memory."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from rota import Retry, RetryAfter, current_run
from rota.core.extras import Extra
from rota.core.policy import Policy
from rota.core.run import Run
from rota.core.states import CANCELLED, CLAIMED, SUCCEEDED, WAITING
from rota.engine.deaths import after_deaths
from rota.engine.next_tries import NextTries
from rota.errors import HeldRowsError, JobValueError
from rota.executors.base import NativeExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler
from tests.core.queued import Queue

PLAIN = Retry(wait_initial=10, wait_jitter=0, until=None)


def fail_first() -> str:
    if current_run().attempt == 1:
        raise ConnectionError("first")
    return "done"


def scheduler_with(queue: NativeExecutor, store: MemoryJobStore | None = None) -> ManualScheduler:
    scheduler = ManualScheduler(
        executors={"default": queue},
        jobstores={"default": store or MemoryJobStore()},
        jobstore_retry_interval=1,
    )
    scheduler.start()
    return scheduler


def wait_differently() -> str:
    """Fail first, after which those of a group would wait for times of their own; the second one does not fail."""
    run = current_run()
    number = (run.scheduled_run_time.second // 10) % 3
    if run.attempt == 1 and number != 2:
        raise RetryAfter(5 if number == 1 else 50)
    return "done"


def owe_three_times(scheduler: ManualScheduler, func: Any = fail_first) -> None:
    scheduler.pause()
    scheduler.add_job(func, "interval", seconds=10, id="job", coalesce=False, retry=PLAIN)
    scheduler.advance(seconds=31)
    scheduler.resume()
    scheduler.tick()


@pytest.mark.parametrize("room", [1, 100])
def test_retries_of_a_group_are_taken_together_and_executed_one_after_another(room: int) -> None:
    queue = Queue(room)
    scheduler = scheduler_with(queue)
    owe_three_times(scheduler)
    assert [len(runs) for runs, _ in queue.groups] == [3]
    for _ in range(3):
        queue.work()
    assert [run.status for run in scheduler.get_runs()] == [WAITING] * 3
    scheduler.advance(seconds=10)
    assert [len(runs) for runs, _ in queue.groups] == [3]
    assert [run.status for run in scheduler.get_runs(status=CLAIMED)] == [CLAIMED] * 3
    while queue.groups:
        queue.work()
    assert [run.status for run in scheduler.get_runs(status=SUCCEEDED)] == [SUCCEEDED] * 3
    scheduler.shutdown(wait=False)


def test_members_of_a_group_wait_for_the_same_time_though_one_between_them_has_succeeded() -> None:
    """What links them is cut as that one is recorded; if they waited apart, one would run beside the other."""
    queue = Queue()
    scheduler = scheduler_with(queue)
    owe_three_times(scheduler, wait_differently)
    for _ in range(3):
        queue.work()
    waiting = scheduler.get_runs(status=WAITING)
    assert len(waiting) == 2
    assert len({run.not_before for run in waiting}) == 1
    scheduler.advance(seconds=60)
    assert [len(runs) for runs, _ in queue.groups] == [2]
    scheduler.shutdown(wait=False)


def test_a_run_waits_for_the_last_one_of_its_group_until_that_is_reported() -> None:
    """The worker that has just ended it may be held up before it says so."""
    queue = Queue()
    scheduler = scheduler_with(queue)
    owe_three_times(scheduler)
    first, second, last = queue.groups[0][0]
    queue.work()
    last.status = SUCCEEDED
    queue.work()
    assert [run.status for run in scheduler.get_runs(status=WAITING)] == []
    last.status = CLAIMED
    queue.work()
    assert [run.status for run in (first, second, last)] == [WAITING] * 3
    assert len({run.not_before for run in scheduler.get_runs()}) == 1
    scheduler.shutdown(wait=False)


def test_a_run_that_waits_for_the_end_of_its_group_is_under_way_and_is_cancelled_when_it_is_asked_to() -> (
    None
):
    queue = Queue()
    scheduler = scheduler_with(queue)
    owe_three_times(scheduler)
    queue.work()
    first = scheduler.get_runs()[-1]
    assert (first.status, first.error, scheduler.explain("job", first.nominal)[:16]) == (
        CLAIMED,
        None,
        "It is under way ",
    )
    time = first.scheduled_run_time
    assert scheduler.backfill("job", time, time, only_missing=False) == 0
    with pytest.raises(JobValueError, match="has not ended"):
        scheduler.rerun("job", first.nominal)
    assert scheduler.cancel_run("job", first.nominal, reason="no more").status == CLAIMED
    queue.work()
    queue.work()
    first = scheduler.get_runs()[-1]
    assert (first.status, first.reason, first.error) == (CANCELLED, "no more", "first")
    scheduler.shutdown(wait=False)


def test_a_shutdown_does_not_wait_for_a_retry_that_waits_for_the_end_of_its_group() -> None:
    queue = Queue()
    scheduler = scheduler_with(queue)
    owe_three_times(scheduler)
    queue.work()
    scheduler.shutdown(timeout=0)
    assert queue.groups == []


def test_a_job_that_comes_back_does_not_count_the_retry_that_went_with_it() -> None:
    queue = Queue()
    scheduler = scheduler_with(queue)
    for _ in range(2):
        scheduler.add_job(fail_first, "interval", seconds=60, id="job", retry=PLAIN)
        scheduler.advance(seconds=60)
        assert len(queue.groups) == 1
        queue.work()
        scheduler.remove_job("job")
    scheduler.shutdown(wait=False)


class Failing(MemoryJobStore):
    """Does not answer at times, as a store of a third party."""

    fails = False

    def lookup_job(self, job_id: str) -> Any:
        if self.fails:
            self.fails = False
            raise ConnectionError("no answer")
        return super().lookup_job(job_id)

    def _has_job(self, job_id: str) -> bool:
        return self.lookup_job(job_id) is not None


def test_a_store_that_does_not_answer_while_a_run_is_given_back_gets_it_later() -> None:
    queue, store = Queue(), Failing()
    scheduler = scheduler_with(queue, store)
    scheduler.add_job(fail_first, id="job", retry=PLAIN)
    scheduler.tick()
    store.fails = True
    queue.work()
    assert not store.fails
    scheduler.advance(seconds=5)
    assert [run.status for run in scheduler.get_runs()] == [WAITING]
    scheduler.advance(seconds=10)
    queue.work()
    assert [run.status for run in scheduler.get_runs()] == [SUCCEEDED]
    scheduler.shutdown(wait=False)


def test_a_store_that_does_not_answer_while_runs_are_taken_has_taken_none() -> None:
    queue, store = Queue(), Failing()
    scheduler = scheduler_with(queue, store)
    scheduler.add_job(fail_first, "interval", hours=1, id="job", retry=PLAIN)
    scheduler.advance(hours=1)
    queue.work()
    store.fails = True
    scheduler.advance(seconds=15)
    assert not store.fails
    queue.work()
    assert [run.status for run in scheduler.get_runs()] == [SUCCEEDED]
    scheduler.shutdown(wait=False)


def test_a_run_that_waits_already_is_given_back_once_more_and_not_kept_for_its_group() -> None:
    """The step of another job has failed after that of its job."""
    given: list[Any] = []
    store = SimpleNamespace(
        now=lambda: 0, write_parts=lambda *args: None, give_back=lambda runs, now: given.extend(runs) or []
    )
    outlet = SimpleNamespace(exiting=False, logger=logging.getLogger("test"))
    run = Run("job", 0, 0)
    run.extra = Extra()
    run.extra.waiting_for, run.extra.not_before = "retry", 10
    run.status = WAITING
    found = NextTries(outlet, store, "default", None).give_back([run], None)  # type: ignore[arg-type]
    assert (found.deferred, found.waiting, given) == ([], [run], [run])


@pytest.mark.parametrize(("held", "waits"), [({"b"}, ["a", "c", "d", "e"]), ({"a", "b", "c"}, [])])
def test_a_retry_whose_rows_somebody_holds_holds_up_no_other_one(held: set[str], waits: list[str]) -> None:
    """After three in a row the others are not tried: each takes as long as the store waits."""

    def give_back(runs: Any, now: int) -> list[Any]:
        if held & {run.job_id for run in runs}:
            raise HeldRowsError("held")
        return []

    store = SimpleNamespace(now=lambda: 0, write_parts=lambda parts, owner: None, give_back=give_back)
    outlet = SimpleNamespace(exiting=False, logger=logging.getLogger("test"))
    runs = []
    for id in "abcde":
        run = Run(id, 0, 0)
        run.extra = Extra()
        run.extra.waiting_for, run.extra.not_before, run.status = "retry", 10, WAITING
        runs.append(run)
    found = NextTries(outlet, store, "default", None).give_back(runs, None)  # type: ignore[arg-type]
    assert [run.job_id for run in found.waiting] == waits
    assert {run.job_id for run in found.held} == set("abcde") - set(waits)


@pytest.mark.parametrize("all_died", [True, False])
def test_runs_of_a_dead_node_wait_together_or_go_on_together(all_died: bool) -> None:
    """One that had not been started is at the head of the chain of those that had."""
    given: list[Any] = []
    written: list[Any] = []
    store = SimpleNamespace(
        now=lambda: 0,
        write_parts=lambda parts, owner: written.extend(parts),
        give_back=lambda runs, now: given.extend(runs) or [],
    )
    asked = SimpleNamespace(begin_at=lambda time: None, backfills={})
    state = SimpleNamespace(store=store, lease=None, asked=asked)
    policy = Policy()
    policy.retry = PLAIN
    job = SimpleNamespace(policy=policy)
    runs: list[Any] = [Run("job", nominal, nominal, job) for nominal in range(3)]  # type: ignore[arg-type]
    for run in runs:
        if all_died or run is not runs[0]:
            run.attempt, run.parts = 2, {"attempt.1": "died"}
    at_once = after_deaths(SimpleNamespace(logger=None), state, runs)  # type: ignore[arg-type]
    assert (at_once, given) == (([], runs) if all_died else (runs, []))
    keys = [(job_id, nominal) for job_id, nominal, _ in written]
    assert len(set(keys)) == len(keys) > 0
