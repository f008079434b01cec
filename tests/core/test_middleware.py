"""What a scheduler takes as middleware, and what executors are told of it."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from inspect import CORO_CLOSED, CORO_CREATED, getcoroutinestate
from typing import Any

import pytest

from rota import BackgroundScheduler
from rota.errors import ConfigurationError, MiddlewareError, OptionTypeError
from rota.events import EVENT_JOB_ERROR, JobStartedEvent
from rota.executors.around import Calls, named_middleware
from rota.executors.base import BaseExecutor, run_job
from rota.executors.debug import DebugExecutor
from rota.executors.pool import ThreadPoolExecutor
from rota.executors.processpool import ProcessPoolExecutor
from rota.executors.steps import close_quietly, perform
from rota.testing.contracts import middleware_jobs as jobs
from rota.testing.contracts.executors import ExecutorContract
from rota.testing.manual import ManualScheduler


@pytest.fixture
def scheduler():
    scheduler = ManualScheduler()
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def outcome(scheduler, func, *args):
    """Return the record of a job that runs now."""
    scheduler.add_job(func, args=args, id="j", replace_existing=True)
    scheduler.advance(seconds=1)
    return scheduler.get_runs("j", limit=1)[0]


async def coroutine_function(run): ...


def generator_function(run):
    yield


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "around must be a function of one argument that returns a context manager, got None"),
        (5, "around must be a function of one argument"),
        (
            coroutine_function,
            "decorate it with @contextlib.contextmanager, or @contextlib.asynccontextmanager",
        ),
        (generator_function, "decorate it with @contextlib.contextmanager"),
        (lambda: None, "around must take one argument, the run"),
        (lambda run, more: None, "around must take one argument, the run"),
    ],
    ids=[
        "nothing",
        "a number",
        "a coroutine function",
        "a generator function",
        "no argument",
        "two arguments",
    ],
)
def test_what_is_no_middleware_is_refused_with_the_remedy(scheduler, given, words):
    with pytest.raises(OptionTypeError, match=r"^around must ") as caught:
        scheduler.add_middleware(given)
    assert words in str(caught.value)
    assert outcome(scheduler, jobs.look).retval == "unset"


def test_middleware_holds_for_calls_from_then_on(scheduler):
    assert outcome(scheduler, jobs.look).retval == "unset"
    scheduler.add_middleware(jobs.outer)
    assert outcome(scheduler, jobs.look).retval == "outer of j"
    scheduler.add_middleware(jobs.inner)
    assert outcome(scheduler, jobs.look).retval == "outer of j > inner"


def test_middleware_that_is_added_before_the_start_is_there_at_the_first_call():
    scheduler = ManualScheduler()
    scheduler.add_middleware(jobs.outer)
    scheduler.add_job(jobs.look, id="j")
    scheduler.start()
    scheduler.advance(seconds=1)
    assert scheduler.get_runs()[0].retval == "outer of j"
    scheduler.shutdown()


def test_middleware_outlives_a_shutdown_and_a_start(scheduler):
    scheduler.add_middleware(jobs.outer)
    scheduler.shutdown()
    scheduler.start()
    assert outcome(scheduler, jobs.look).retval == "outer of j"


def test_middleware_is_around_the_calls_of_an_executor_that_is_added_later(scheduler):
    scheduler.add_middleware(jobs.outer)
    scheduler.add_executor(DebugExecutor(), "late")
    scheduler.add_job(jobs.look, id="j", executor="late")
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("j")[0].retval == "outer of j"


def test_an_executor_takes_no_middleware_to_another_scheduler():
    executor = DebugExecutor()
    one, other = ManualScheduler(), ManualScheduler()
    one.add_middleware(jobs.refusing)
    one.add_executor(executor, "mine")
    one.remove_executor("mine")
    other.add_executor(executor, "mine")
    other.start()
    other.add_job(jobs.look, id="j", executor="mine")
    other.advance(seconds=1)
    assert other.get_runs("j")[0].retval == "unset"
    other.shutdown()


@pytest.mark.parametrize("executor", [DebugExecutor, ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_scheduler_without_middleware_carries_runs_out_by_the_very_same_steps(executor):
    executor = executor()
    scheduler = BackgroundScheduler(executors={"default": executor})
    scheduler.start()
    assert executor._perform is perform
    scheduler.shutdown()


def test_a_class_can_be_middleware(scheduler):
    scheduler.add_middleware(jobs.Both)
    assert outcome(scheduler, jobs.look).retval == "plain"
    assert outcome(scheduler, jobs.look_async).retval == "awaited"


def test_a_method_and_an_object_can_be_middleware(scheduler):
    class Counting:
        calls = 0

        @contextmanager
        def around(self, run):
            self.calls += 1
            yield

        __call__ = around

    counting = Counting()
    scheduler.add_middleware(counting.around)
    scheduler.add_middleware(counting)
    assert outcome(scheduler, jobs.look).status == "succeeded"
    assert counting.calls == 2


def test_the_exception_of_the_event_leads_to_what_the_middleware_raised(scheduler):
    events = []
    scheduler.add_listener(events.append, EVENT_JOB_ERROR)
    scheduler.add_middleware(jobs.refusing)
    assert outcome(scheduler, jobs.look).status == "failed"
    (event,) = events
    assert isinstance(event.exception, MiddlewareError)
    assert repr(event.exception.__cause__) == "PermissionError('not today')"
    assert "in refusing" in event.traceback


def test_the_middleware_handles_the_error_as_in_a_with_statement(scheduler, caplog):
    class Logging:
        def __init__(self, run): ...
        def __enter__(self): ...

        def __exit__(self, kind, error, traceback):
            import sys

            handled.append((sys.exc_info()[1] is error, kind is type(error), traceback is not None))

    handled = []
    scheduler.add_middleware(Logging)
    run = outcome(scheduler, jobs.fail_as_asked, "")
    assert (run.status, run.error_type, run.error) == ("failed", "ValueError", "no")
    assert handled == [(True, True, True)]
    assert run.traceback.splitlines()[0].endswith("in fail_as_asked")


def test_an_asynchronous_manager_may_wait(scheduler):
    import asyncio

    seen = []

    @asynccontextmanager
    async def waiting(run):
        await asyncio.sleep(1)
        seen.append("in")
        try:
            yield
        finally:
            await asyncio.sleep(1)
            seen.append("out")

    scheduler.add_middleware(waiting)
    scheduler.add_job(jobs.look_async, id="j")
    scheduler.advance(seconds=1.5)
    assert seen == ["in"]
    scheduler.advance(seconds=1)
    assert seen == ["in", "out"]
    assert scheduler.get_runs("j")[0].duration == 2


def local_middleware():
    return lambda run: None


def test_middleware_that_worker_processes_cannot_import_is_refused_and_changes_nothing():
    thread: Any = ThreadPoolExecutor(1)
    process: Any = ProcessPoolExecutor(1)
    scheduler = BackgroundScheduler(executors={"default": thread, "processes": process})
    scheduler.add_middleware(jobs.outer)
    calls = thread._perform.keywords["call"].__self__
    with pytest.raises(
        ConfigurationError, match=r"importable where there is a process pool.*top level of its module"
    ):
        scheduler.add_middleware(local_middleware())
    assert [name for name, _ in calls.middleware] == ["rota.testing.contracts.middleware_jobs:outer"]
    assert thread._perform.keywords["call"].__self__ is calls
    assert process._perform.keywords["call"].__self__ is calls


def test_a_process_pool_is_refused_where_its_workers_could_not_import_the_middleware(scheduler):
    scheduler.add_middleware(local_middleware())
    with pytest.raises(ConfigurationError, match="importable where there is a process pool"):
        scheduler.add_executor(ProcessPoolExecutor(1), "processes")
    assert "processes" not in scheduler._executors


def test_what_is_never_awaited_is_closed_and_its_middleware_is_left():
    left, made = [], []

    @contextmanager
    def around(run):
        try:
            yield
        finally:
            left.append(run.job_id)

    async def never():
        raise AssertionError

    def later():
        made.append(never())
        return made[0]

    calls = Calls([named_middleware(around)])
    run = ExecutorContract().run_of(later)
    coroutine = Context().run(calls.call, run, run.job)
    assert getcoroutinestate(made[0]) == CORO_CREATED
    close_quietly(coroutine)
    del coroutine
    assert getcoroutinestate(made[0]) == CORO_CLOSED
    assert left == [run.job_id]


class Bridged(BaseExecutor):
    """An executor as it was written for APScheduler."""

    def _do_submit_job(self, job, run_times):
        try:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        except BaseException as exc:
            self._run_job_error(job.id, exc, exc.__traceback__)
        else:
            self._run_job_success(job.id, events)


def test_an_executor_that_was_written_for_apscheduler_has_middleware_resources_starts_and_failures(scheduler):
    started, told = [], []
    scheduler.add_executor(Bridged(), "bridged")
    scheduler.add_middleware(jobs.outer)
    scheduler.add_middleware(jobs.hostile)
    scheduler.resources["bot"] = "bot"
    scheduler.add_listener(started.append, JobStartedEvent)
    scheduler.add_job(jobs.look, id="look", executor="bridged")
    scheduler.add_job(jobs.ask, args=[1], id="ask", executor="bridged")
    for kind in jobs.WRONGS:
        scheduler.add_job(jobs.asked, args=[kind], id=kind, executor="bridged", on_failure=told.append)
    scheduler.advance(seconds=1)
    runs = {run.job_id: run for run in scheduler.get_runs(limit=1000)}
    assert (runs["look"].retval, runs["ask"].retval) == ("outer of look", "1 bot default")
    for kind, (_, words) in jobs.WRONGS.items():
        assert (runs[kind].status, words in runs[kind].error) == ("failed", True), kind
    assert sorted(event.job_id for event in started) == sorted(runs)
    assert sorted(run.job_id for run in told) == sorted(jobs.WRONGS)
