"""What programs replace on executors, and read of them, is obeyed and true."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import sys
import threading
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from rota.errors import ConfigurationError
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from rota.executors.asyncio import AsyncIOExecutor
from rota.executors.base import BaseExecutor, run_coroutine_job, run_job
from rota.executors.debug import DebugExecutor
from rota.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
from rota.testing import ManualScheduler

PATIENCE = 20


def answer():
    return 42


class Events(list[Any]):
    """A listener that waits for events."""

    def __init__(self, scheduler, mask=EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED):
        super().__init__()
        self.came = threading.Event()
        scheduler.add_listener(self.take, mask)

    def take(self, event):
        self.append(event)
        self.came.set()

    def first(self):
        assert self.came.wait(PATIENCE), "no event has come"
        return self[0]


@pytest.fixture
def background():
    made = []

    def make(executor):
        scheduler = BackgroundScheduler(executors={"default": executor})
        made.append(scheduler)
        return scheduler

    yield make
    for scheduler in made:
        if scheduler.running:
            scheduler.shutdown()


@pytest.mark.parametrize("executor_class", [ThreadPoolExecutor, DebugExecutor])
def test_a_method_that_is_replaced_on_a_class_of_ours_is_called(executor_class, background, monkeypatch):
    original, jobs = executor_class._do_submit_job, []

    def noting(self, job, run_times):
        jobs.append(job.id)
        return original(self, job, run_times)

    monkeypatch.setattr(executor_class, "_do_submit_job", noting)
    scheduler = background(executor_class())
    events = Events(scheduler)
    scheduler.start()
    scheduler.add_job(answer, id="a")
    assert events.first().retval == 42
    assert jobs == ["a"]


def test_a_method_that_is_replaced_on_a_running_object_is_called_from_the_next_run_on(background):
    executor, jobs = ThreadPoolExecutor(), []
    scheduler = background(executor)
    events = Events(scheduler)
    scheduler.start()

    def report_at_once(job, run_times):
        jobs.append((job.id, run_times))
        executor._run_job_success(job.id, [])

    executor._do_submit_job = report_at_once
    scheduler.add_job(answer, id="a")
    assert events.first().job_id == "a"
    assert [job_id for job_id, _ in jobs] == ["a"]


def test_a_run_that_a_replaced_submit_job_fails_to_submit_has_its_error(background):
    class Refusing(ThreadPoolExecutor):
        def submit_job(self, job, run_times):
            raise OSError("no room")

    scheduler = background(Refusing())
    events = Events(scheduler)
    scheduler.start()
    scheduler.add_job(answer, id="a")
    assert isinstance(events.first().exception, OSError)
    assert scheduler._executors["default"]._instances == {}


def test_a_replaced_submit_job_may_swallow_the_error_of_the_one_that_it_calls_and_the_run_ends():
    class Tolerant(ThreadPoolExecutor):
        def submit_job(self, job, run_times):
            try:
                return super().submit_job(job, run_times)
            except RuntimeError:
                return None

        def _do_submit_job(self, job, run_times):
            raise RuntimeError("cannot schedule new futures after shutdown")

    with ManualScheduler(executors={"default": Tolerant()}) as scheduler:
        scheduler.add_job(answer, id="a")
        scheduler.advance(seconds=1)
        (run,) = scheduler.get_runs()
        assert run.status == "cancelled"
        assert run.reason == f"submit_job() of {Tolerant.__qualname__} did not submit it"


def test_an_executor_that_counts_and_reports_by_itself_in_submit_job_is_waited_for(background):
    class Counting(ThreadPoolExecutor):
        def submit_job(self, job, run_times):
            self._instances[job.id] += 1
            threading.Thread(target=self.work, args=(job, run_times)).start()

        def work(self, job, run_times):
            self._run_job_success(job.id, run_job(job, None, run_times, "x"))

    scheduler = background(Counting())
    events = Events(scheduler)
    scheduler.start()
    scheduler.add_job(answer, id="a")
    assert events.first().retval == 42


def test_the_function_run_job_that_a_program_puts_into_the_module_of_the_pool_is_called(
    background, monkeypatch
):
    called = []

    def noting(job, *arguments):
        called.append(job.id)
        return run_job(job, *arguments)

    monkeypatch.setattr("rota.executors.pool.run_job", noting)
    scheduler = background(ThreadPoolExecutor())
    events = Events(scheduler)
    scheduler.start()
    scheduler.add_job(answer, id="a")
    assert events.first().retval == 42
    assert called == ["a"]


def test_a_replaced_run_job_that_an_executor_could_not_call_is_refused_at_the_start(monkeypatch):
    monkeypatch.setattr("rota.executors.debug.run_job", run_job, raising=False)
    with pytest.raises(
        ConfigurationError, match=r"rota\.executors\.debug\.run_job was replaced.*_do_submit_job"
    ):
        BackgroundScheduler(executors={"default": DebugExecutor()}).start()


def test_a_pool_that_a_program_gives_to_an_executor_carries_the_jobs_out(background):
    executor = ThreadPoolExecutor()
    executor._pool = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="given")
    scheduler = background(executor)
    events = Events(scheduler)
    scheduler.start()
    scheduler.add_job(lambda: threading.current_thread().name, id="a")
    assert events.first().retval.startswith("given")


def test_the_pool_that_programs_see_tells_of_the_workers_of_the_executor():
    executor = ThreadPoolExecutor(7)
    assert executor._pool._max_workers == 7
    executor._pool._max_workers = 9
    assert executor.max_workers == 9
    assert executor._pool._threads == set()
    assert executor._pool._work_queue.qsize() == 0
    assert ProcessPoolExecutor(2)._pool._max_workers == 2
    with pytest.raises(ConfigurationError, match="_max_workers must be a positive integer"):
        executor._pool._max_workers = 0


@pytest.mark.parametrize("kept_in", ["memory", "file"])
def test_the_instances_of_an_executor_are_the_runs_that_it_has_in_hand(kept_in, tmp_path, background):
    begun, release = threading.Event(), threading.Event()
    registry: Any = sys.modules[__name__]
    registry.waiting = (begun, release)
    executor = ThreadPoolExecutor()
    scheduler = background(executor)
    if kept_in == "file":
        pytest.importorskip("sqlalchemy")
        scheduler.add_jobstore(f"sqlite:///{tmp_path}/jobs.sqlite")
    events = Events(scheduler)
    scheduler.start()
    assert executor._instances == {}
    scheduler.add_job(wait, id="a")
    assert begun.wait(PATIENCE)
    assert executor._instances == {"a": 1}
    assert executor._instances["unknown"] == 0
    with pytest.raises(TypeError, match="max_instances"):
        executor._instances["a"] = 0
    release.set()
    events.first()
    assert executor._instances == {}


def wait():
    begun, release = sys.modules[__name__].waiting
    begun.set()
    assert release.wait(PATIENCE)


def test_the_pending_futures_of_the_asyncio_executor_hold_plain_functions_too():
    begun, release = threading.Event(), threading.Event()

    def plain():
        begun.set()
        assert release.wait(PATIENCE)

    async def main():
        scheduler = AsyncIOScheduler()
        scheduler.start()
        executor = scheduler._executors["default"]
        assert isinstance(executor, AsyncIOExecutor)
        scheduler.add_job(plain)
        async with asyncio.timeout(PATIENCE):
            while not begun.is_set():  # noqa: ASYNC110  # set in a thread
                await asyncio.sleep(0.001)
            assert len(executor._pending_futures) == 1
            pending = asyncio.gather(*executor._pending_futures)
            assert not pending.done()
            release.set()
            await pending
            assert not executor._pending_futures
        await scheduler.shutdown()

    asyncio.run(main())


def late_job(grace):
    scheduler = BackgroundScheduler()
    return scheduler.add_job(answer, id="late", misfire_grace_time=grace)


def test_run_job_leaves_out_what_is_later_than_the_grace_time(caplog):
    late = datetime.now(UTC) - timedelta(seconds=90)
    with caplog.at_level(logging.WARNING):
        events = run_job(late_job(60), "default", [late, datetime.now(UTC)], "the.executor")
    assert [event.code for event in events] == [EVENT_JOB_MISSED, EVENT_JOB_EXECUTED]
    assert events[0].scheduled_run_time == late
    assert [(record.name, record.levelname) for record in caplog.records] == [("the.executor", "WARNING")]
    assert "was missed by 0:01:3" in caplog.text
    assert [event.code for event in run_job(late_job(None), None, [late], "x")] == [EVENT_JOB_EXECUTED]


def test_run_coroutine_job_leaves_out_what_is_later_than_the_grace_time():
    late = datetime.now(UTC) - timedelta(seconds=90)
    events = asyncio.run(run_coroutine_job(late_job(60), "default", [late], "x"))
    assert [event.code for event in events] == [EVENT_JOB_MISSED]


def test_a_third_party_executor_that_is_late_records_a_miss():
    class Late(BaseExecutor):
        def _do_submit_job(self, job, run_times):
            scheduler.clock.advance(120)
            self._run_job_success(job.id, run_job(job, None, list(run_times), "x"))

    with ManualScheduler(executors={"default": Late()}) as scheduler:
        scheduler.add_job(answer, id="a", misfire_grace_time=60)
        scheduler.advance(seconds=1)
        assert [run.status for run in scheduler.get_runs()] == ["missed"]


def test_run_job_takes_an_object_of_the_program_in_place_of_a_job():
    double: Any = SimpleNamespace(
        id="double", func=lambda a, b: a + b, args=(1,), kwargs={"b": 2}, misfire_grace_time=5
    )
    (event,) = run_job(double, None, [datetime.now(UTC)], "x")
    assert (event.code, event.job_id, event.retval) == (EVENT_JOB_EXECUTED, "double", 3)
