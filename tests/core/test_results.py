"""Waiting for runs that were asked for, and their results: in the process that carries them out, and in others."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from datetime import UTC, datetime, timedelta

import pytest

from rota import BackgroundScheduler
from rota.core.run import Run
from rota.core.states import FAILED, LOST, SUCCEEDED
from rota.errors import NoResultError, OptionTypeError, RunFailedError, RunTimeoutError, WouldBlockError
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.memory import MemoryJobStore
from tests.core.engine_kit import Gate, started
from tests.core.test_eight_methods import EightMethods

#: Seconds within which everything here ends on any machine.
LONG = 30


class Thing:
    """What no ledger can keep as it is."""


def make_thing():
    return Thing()


def boom():
    raise ZeroDivisionError("by nothing")


def answer():
    return 42


async def answer_later():
    await asyncio.sleep(0)
    return 43


@pytest.fixture(params=["memory", "eight methods", pytest.param("sqlite", marks=pytest.mark.thorough)])
def stores(request, tmp_path):
    made = {
        "memory": dict,
        "eight methods": lambda: {"default": EightMethods()},
        "sqlite": lambda: {"default": f"sqlite:///{tmp_path / 'jobs'}"},
    }
    return {"jobstores": made[request.param]()}


@pytest.fixture
def scheduler(stores):
    with BackgroundScheduler(**stores) as scheduler:
        yield scheduler


def asked(scheduler, func, **options):
    scheduler.add_job(func, "interval", days=1, id=getattr(func, "__name__", "job"), **options)
    return scheduler.run_job(getattr(func, "__name__", "job"))


# ------------------------------------------------------------------------------------------------------- in this process


@pytest.mark.parametrize("func", [answer, answer_later])
def test_a_result_is_what_the_job_returned(scheduler, func):
    run = asked(scheduler, func)
    assert run.result(LONG) == (42 if func is answer else 43)
    assert run.wait(0)
    assert (run.status, run.ended) == ("succeeded", True)
    assert run.result() == run.result(0)


@pytest.mark.thorough
def test_a_result_is_the_object_itself_as_long_as_somebody_holds_the_run(scheduler):
    run = asked(scheduler, make_thing)
    thing = run.result(LONG)
    assert type(thing) is Thing
    assert run.result() is thing
    alive = weakref.ref(thing)
    del thing
    gc.collect()
    assert alive() is run.result()
    del run
    scheduler.wakeup()
    # Whoever waited was told before the thread that has told it let go of the object.
    end = time.monotonic() + LONG
    while alive() is not None:
        gc.collect()
        assert time.monotonic() < end, "the object is kept though nobody holds the run"


@pytest.mark.thorough
def test_nothing_is_kept_for_whoever_does_not_ask(scheduler):
    run = asked(scheduler, make_thing)
    assert run.wait(LONG)
    del run
    end = time.monotonic() + LONG
    while [one for one in gc.get_objects() if type(one) is Thing]:
        gc.collect()
        assert time.monotonic() < end, "the object is kept though nobody holds the run"
    for state in scheduler._engine.states:
        assert not state.completions.asked


def test_the_exception_of_a_run_is_raised_itself(scheduler):
    run = asked(scheduler, boom)
    with pytest.raises(ZeroDivisionError, match="by nothing") as caught:
        run.result(LONG)
    with pytest.raises(ZeroDivisionError) as again:
        run.result()
    assert again.value is caught.value
    assert run.wait(0)
    assert run.status == "failed"


def test_a_run_that_goes_on_is_waited_for_no_longer_than_one_wants(stores):
    gate = Gate()
    scheduler, _ = started(executors={"default": gate}, **stores)
    scheduler.add_job(answer, "interval", days=1, id="j")
    run = scheduler.run_job("j")
    assert not run.wait(0)
    assert not run.wait(2.5)
    with pytest.raises(
        RunTimeoutError, match=r"j@\d+#\d+ has not ended within 1 seconds; it is (claimed|waiting)"
    ):
        run.result(1)
    gate.release()
    assert run.wait(0)
    scheduler.shutdown()


@pytest.mark.parametrize("timeout", [-1, float("nan"), "1", True])
def test_a_timeout_that_is_no_number_of_seconds_is_refused(scheduler, timeout):
    run = asked(scheduler, answer)
    with pytest.raises(OptionTypeError, match="timeout must be a number of seconds from 0 on"):
        run.wait(timeout)


def test_a_run_that_was_cancelled_has_no_result_and_says_why(scheduler):
    scheduler.add_job(answer, "interval", hours=1, id="later")
    run = scheduler.run_job("later", not_before=datetime.now(UTC) + timedelta(hours=1))
    run.cancel("not needed")
    with pytest.raises(
        NoResultError, match=r"ended without a result: cancelled \((not needed|.*)\)"
    ) as caught:
        run.result(LONG)
    assert caught.value.run is run
    run.cancel("again")
    assert run.status == "cancelled"


def test_a_run_that_waits_is_cancelled_by_its_asker_at_once(scheduler):
    scheduler.add_job(answer, "interval", days=1, id="j")
    later = scheduler.get_job("j").next_run_time
    run = scheduler.run_job("j", not_before=later)
    run.cancel("changed my mind")
    assert (run.status, run.reason) == ("cancelled", "changed my mind")


def test_one_key_gives_one_run_with_one_result(scheduler):
    scheduler.add_job(make_thing, "interval", days=1, id="j")
    first = scheduler.run_job("j", key="k")
    second = scheduler.run_job("j", key="k")
    assert first is second
    assert second.result(LONG) is first.result()


def test_a_waiting_thread_is_told_when_the_scheduler_is_shut_down_before_the_run_started():
    scheduler, _ = started()
    scheduler.add_job(answer, "interval", days=1, id="j")
    scheduler.pause()
    run = scheduler.run_job("j")
    scheduler.shutdown()
    with pytest.raises(NoResultError, match="cancelled"):
        run.result(0)


# ------------------------------------------------------------------------------------------------------ in other processes


@pytest.fixture
def two(tmp_path):
    """Return a scheduler that only asks, and one that runs."""
    url = f"sqlite:///{tmp_path / 'jobs'}"
    with (
        BackgroundScheduler(jobstores={"default": url}, lease=1) as runs,
        BackgroundScheduler(jobstores={"default": url}, runs_jobs=False) as asks,
    ):
        yield asks, runs


@pytest.mark.thorough
def test_a_process_that_runs_no_jobs_gets_the_stored_value(two):
    asks, _ = two
    run = asked(asks, answer)
    assert run.result(LONG) == 42
    assert (run.status, run.owner is not None) == ("succeeded", True)


@pytest.mark.thorough
def test_a_failure_elsewhere_is_an_error_with_type_and_text(two):
    asks, _ = two
    run = asked(asks, boom)
    with pytest.raises(RunFailedError, match="failed: ZeroDivisionError: by nothing") as caught:
        run.result(LONG)
    assert "boom" in caught.value.run.traceback


class Emptied(MemoryJobStore):
    """A store that has lost its records."""

    def get_run(self, job_id, nominal):
        return None


def test_a_run_whose_record_is_gone_has_no_result():
    with BackgroundScheduler(jobstores={"default": Emptied()}) as scheduler:
        scheduler.pause()
        run = asked(scheduler, answer)
        with pytest.raises(
            NoResultError, match="has no record any more: it was pruned, or its store was emptied"
        ):
            run.result(LONG)


def test_a_run_that_waits_and_whose_job_is_removed_elsewhere_has_no_result(two):
    asks, runs = two
    asks.add_job(answer, "interval", days=1, id="j")
    run = asks.run_job("j", not_before=asks.get_job("j").next_run_time)
    runs.remove_job("j")
    with pytest.raises(NoResultError, match=r"ended without a result: cancelled \(job removed\)"):
        run.result(LONG)


def test_records_answer_at_once():
    run = Run("j", 0, 0)
    run.status, run.retval = SUCCEEDED, 7
    assert run.wait()
    assert run.result() == 7
    run.status, run.error_type, run.error = FAILED, "ValueError", "no"
    with pytest.raises(RunFailedError, match="j@0#1 failed: ValueError: no"):
        run.result()
    run.status, run.reason = LOST, None
    with pytest.raises(NoResultError, match=r"j@0#1 ended without a result: lost$"):
        run.result()


# --------------------------------------------------------------------------------------------- where it may not be waited


def test_a_wait_on_a_loop_is_refused_and_the_coroutine_waits(scheduler):
    async def main():
        run = asked(scheduler, answer)
        with pytest.raises(WouldBlockError, match=r"await scheduler\.aio\.wait\(run\)"):
            run.wait(1)
        assert await scheduler.aio.wait(run, LONG)
        assert await scheduler.aio.result(run) == 42

    asyncio.run(main())


@pytest.mark.thorough
def test_a_hundred_coroutines_wait_and_keep_no_thread_busy(scheduler):
    async def main():
        scheduler.pause()
        run = asked(scheduler, answer)
        waiting = [asyncio.ensure_future(scheduler.aio.result(run)) for _ in range(100)]
        with pytest.raises(TimeoutError):
            await scheduler.aio.result(run, 0)
        assert await asyncio.wait_for(scheduler.aio.get_job("answer"), LONG)
        scheduler.resume()
        assert set(await asyncio.wait_for(asyncio.gather(*waiting), LONG)) == {42}

    asyncio.run(main())


def test_a_coroutine_that_is_cancelled_waits_no_more(scheduler):
    async def main():
        scheduler.pause()
        run = asked(scheduler, answer)
        waiting = asyncio.ensure_future(scheduler.aio.wait(run))
        await asyncio.sleep(0)
        assert len(run._calls) == 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert run._calls == []

    asyncio.run(main())


def child():
    return "child"


class Parent:
    """A job that waits for another one of the same scheduler; what becomes of it."""

    def __init__(self, scheduler, timeout=LONG, executor="default"):
        self.scheduler, self.timeout = scheduler, timeout
        scheduler.add_job(child, "interval", days=1, id="child", executor=executor)

    def __call__(self):
        return self.scheduler.run_job("child").result(self.timeout)


def test_a_job_may_wait_for_another_one_while_a_worker_is_free():
    with BackgroundScheduler(executors={"default": ThreadPoolExecutor(2)}) as scheduler:
        parent = Parent(scheduler)
        scheduler.add_job(parent, "interval", days=1, id="parent")
        assert scheduler.run_job("parent").result(LONG) == "child"


def test_a_job_that_would_wait_for_its_own_worker_is_refused():
    with BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)}) as scheduler:
        scheduler.add_job(Parent(scheduler), "interval", days=1, id="parent")
        with pytest.raises(
            WouldBlockError, match="share an executor, of which no worker is free; give one of"
        ):
            scheduler.run_job("parent").result(LONG)


def test_a_job_may_wait_for_one_of_another_executor():
    pools = {"default": ThreadPoolExecutor(1), "other": ThreadPoolExecutor(1)}
    with BackgroundScheduler(executors=pools) as scheduler:
        scheduler.add_job(Parent(scheduler, executor="other"), "interval", days=1, id="parent")
        assert scheduler.run_job("parent").result(LONG) == "child"


def test_jobs_that_wait_in_all_workers_are_not_left_to_wait_for_ever():
    both = threading.Barrier(2)

    with BackgroundScheduler(executors={"default": ThreadPoolExecutor(2)}) as scheduler:
        parent = Parent(scheduler)
        scheduler.modify_job("child", max_instances=2)

        def wait_for_child():
            run = scheduler.run_job("child")
            both.wait(LONG)
            return run.result(LONG)

        assert parent.timeout == LONG
        scheduler.add_job(wait_for_child, "interval", days=1, id="parents", max_instances=2)
        runs = [scheduler.run_job("parents"), scheduler.run_job("parents")]
        ends = []
        for run in runs:
            try:
                ends.append(run.result(LONG))
            except WouldBlockError:
                ends.append("refused")
        assert "refused" in ends
        assert set(ends) <= {"refused", "child"}


def test_a_job_that_is_carried_out_by_the_pass_itself_waits_for_nobody():
    scheduler, _ = started()
    scheduler.add_job(Parent(scheduler), "interval", days=1, id="parent")
    run = scheduler.run_job("parent")
    with pytest.raises(WouldBlockError, match="the thread that starts the runs"):
        run.result(LONG)


def test_a_run_is_found_by_whoever_waits_first_and_by_whoever_comes_late(scheduler):
    run = asked(scheduler, answer)
    results = []
    threads = [threading.Thread(target=lambda: results.append(run.result(LONG))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    results.append(run.result(LONG))
    assert results == [42] * 6


def test_whoever_waits_is_told_when_the_scheduler_goes(stores, tmp_path):
    scheduler = BackgroundScheduler(**stores, timezone="UTC")
    scheduler.start()
    scheduler.add_job(answer, "interval", hours=1, id="job")
    run = scheduler.run_job("job", not_before=datetime.now(UTC) + timedelta(hours=1))
    scheduler.shutdown()
    with pytest.raises(NoResultError) as caught:
        run.result(LONG)
    assert "shut down" in str(caught.value)
