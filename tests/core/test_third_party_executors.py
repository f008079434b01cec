"""Executors that were written for APScheduler 3: a run of theirs ends once, whatever they report, raise or leave out."""

from __future__ import annotations

from contextvars import Context
from types import SimpleNamespace

import pytest

from rota.core.states import CANCELLED, FAILED, MISSED, SUCCEEDED
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MISSED, JobExecutionEvent
from rota.executors.base import BaseExecutor, run_coroutine_job, run_job
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.executor_jobs import (
    Ended,
    add,
    add_async,
    look_and_set,
    look_and_set_async,
    setting,
)
from rota.testing.contracts.executors import ExecutorContract
from rota.testing.contracts.hostile_jobs import Deceitful, Lie
from tests.present import present

helper = ExecutorContract()


class Slow(BaseExecutor):
    """Keeps what it is given until the test reports about it."""

    def __init__(self):
        self.given = []
        self.error = None

    def _do_submit_job(self, job, run_times):
        self.given.append((job, run_times))
        if self.error is not None:
            raise self.error

    def report(self, index=0, code=EVENT_JOB_EXECUTED, **changes):
        job, run_times = self.given[index]
        events = [JobExecutionEvent(code, job.id, "default", time, retval=index) for time in run_times]
        for event in events:
            for name, value in changes.items():
                setattr(event, name, value)
        self._run_job_success(job.id, events)


@pytest.fixture
def executor():
    executor = Slow()
    executor.start(None, "default")
    return executor


def submit(executor, *heads):
    ended = Ended()
    executor.submit(heads, ended)
    return ended


def overlapping(count):
    """Return runs of one job."""
    runs = [helper.run_of(add, number) for number in range(count)]
    for number, run in enumerate(runs):
        run.job, run.job_id, run.nominal = runs[0].job, runs[0].job_id, runs[0].nominal + number
    return runs


def test_a_second_report_of_a_run_is_ignored(executor):
    first, second = overlapping(2)
    ended = submit(executor, first, second)
    executor.report(0)
    executor.report(0)
    executor.report(0)
    assert ended.runs == [first]
    assert not second.ended
    executor.report(1)
    executor.report(1)
    executor._run_job_error(first.job_id, ValueError("late"))
    assert ended.runs == [first, second]
    assert (first.retval, second.retval) == (0, 1)


def test_a_report_about_an_unknown_job_is_ignored(executor):
    run = helper.run_of(add, 1)
    ended = submit(executor, run)
    executor._run_job_success("nobody", [])
    executor._run_job_error("nobody", ValueError("nothing"))
    assert not ended.runs


def test_a_report_and_an_error_about_the_same_run_are_one_end(executor):
    executor.error = ValueError("after it has reported")
    report = executor._do_submit_job

    def report_and_raise(job, run_times):
        executor.given.append((job, run_times))
        executor.report(len(executor.given) - 1)
        raise executor.error

    executor._do_submit_job = report_and_raise
    ended = submit(executor, *overlapping(3))
    assert [run.status for run in ended.runs] == [SUCCEEDED] * 3
    executor._do_submit_job = report


@pytest.mark.parametrize("error_class", [ValueError, SystemExit, Deceitful])
def test_what_it_raises_is_the_outcome_of_that_run(executor, error_class):
    error = error_class()
    bad, good = helper.run_of(add, 1), helper.run_of(add, 2)
    executor.error = error
    ended = submit(executor, bad)
    executor.error = None
    executor.submit([good], ended)
    executor.report(1)
    assert [run.status for run in ended.runs] == [FAILED, SUCCEEDED]
    assert bad.exception is error


@pytest.mark.parametrize(
    ("code", "changes", "status"),
    [
        (EVENT_JOB_EXECUTED, {}, SUCCEEDED),
        (EVENT_JOB_MISSED, {}, MISSED),
        (EVENT_JOB_ERROR, {"exception": ValueError("no")}, FAILED),
        (EVENT_JOB_ERROR, {"exception": None}, FAILED),
        (EVENT_JOB_ERROR, {"exception": "a text", "traceback": 5}, FAILED),
        (EVENT_JOB_ERROR, {"exception": Deceitful, "traceback": Lie}, FAILED),
        (EVENT_JOB_EXECUTED, {"scheduled_run_time": "yesterday"}, FAILED),
        (EVENT_JOB_EXECUTED, {"retval": Lie, "run": None}, SUCCEEDED),
    ],
)
def test_an_event_of_any_kind_ends_its_run(executor, code, changes, status):
    run = helper.run_of(add, 1)
    ended = submit(executor, run)
    # Made here, as pytest does not survive them.
    changes = {name: value() if value in (Deceitful, Lie) else value for name, value in changes.items()}
    executor.report(0, code, **changes)
    assert ended.runs == [run]
    assert run.status == status
    assert run.finished_at is not None


def test_a_report_without_events_ends_the_whole_group(executor):
    head = helper.group_of(add, add, add)
    ended = submit(executor, head)
    executor._run_job_success(head.job_id, [])
    assert [run.status for run in ended.runs] == [FAILED] * 3
    assert not executor._instances


def test_a_shutdown_ends_what_was_never_reported(executor):
    runs = [*overlapping(2), helper.run_of(add, 1)]
    ended = submit(executor, *runs)
    executor._stop()
    assert sorted(run.id for run in ended.runs) == sorted(run.id for run in runs)
    assert {run.status for run in runs} == {CANCELLED}
    executor.report(0)
    assert len(ended.runs) == 3


def test_a_shutdown_that_raises_ends_the_runs_all_the_same(executor):
    def fail(wait=True):
        raise ValueError("no shutdown")

    executor.shutdown = fail
    ended = submit(executor, helper.run_of(add, 1))
    with pytest.raises(ValueError, match="no shutdown"):
        executor._stop()
    assert [run.status for run in ended.runs] == [CANCELLED]


@pytest.mark.thorough
def test_a_scheduler_s_shutdown_with_a_timeout_ends_although_nothing_is_reported():
    executor = Slow()
    scheduler = BackgroundScheduler(executors={"default": executor})
    scheduler.start()
    job = scheduler.add_job(add, args=[1], id="silent")
    helper.wait_until(lambda: executor.given, "the executor has got the run")
    scheduler.shutdown(timeout=0.1)
    assert [(run.job_id, run.status) for run in scheduler.get_runs()] == [(job.id, CANCELLED)]


def test_run_job_gives_an_empty_context_or_the_scheduler_s():
    job = present(helper.run_of(look_and_set).job)
    token = setting.set("of the caller")
    try:
        (event,) = run_job(job, "default", [helper.run_of(add).scheduled_run_time], "rota.test")
        assert event.retval == "unset"
        shown = Context()
        shown.run(setting.set, "handed over")
        job._home = (SimpleNamespace(_context=shown), "default")
        (event,) = run_job(job, "default", [helper.run_of(add).scheduled_run_time], "rota.test")
        assert event.retval == "handed over"
        assert setting.get() == "of the caller"
    finally:
        setting.reset(token)


def test_run_coroutine_job_gives_an_empty_context():
    import asyncio

    job = present(helper.run_of(look_and_set_async).job)

    async def main():
        setting.set("of the caller")
        times = [helper.run_of(add).scheduled_run_time] * 2
        return [event.retval for event in await run_coroutine_job(job, "default", times, "rota.test")]

    assert asyncio.run(main()) == ["unset"] * 2


def test_run_job_refuses_a_coroutine_function_and_leaves_nothing_unawaited():
    job = present(helper.run_of(add_async, 1).job)
    with pytest.raises(TypeError, match="run_coroutine_job"):
        run_job(job, "default", [helper.run_of(add).scheduled_run_time], "rota.test")
