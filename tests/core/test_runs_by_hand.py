"""Runs that somebody asks for: like any other run, but for the schedule, which stays as it is."""

from __future__ import annotations

import pytest

from rota.errors import (
    JobLookupError,
    JobValueError,
    RunNotInHandError,
    UnknownAliasError,
)
from rota.testing import ManualScheduler
from tests.core.engine_kit import Gate, names, outcomes, started
from tests.core.test_eight_methods import EightMethods


def boom():
    raise ValueError("no")


@pytest.fixture(params=[None, EightMethods], ids=["memory", "eight methods"])
def stores(request):
    return {} if request.param is None else {"jobstores": {"default": request.param()}}


def test_a_job_runs_at_once_and_keeps_its_schedule(stores):
    scheduler, log = started(**stores)
    job = scheduler.add_job(int, "interval", minutes=10, id="j")
    planned = job.next_run_time
    scheduler.advance(minutes=3)
    log.clear()
    asked = job.run_now()
    assert (asked.job_id, asked.status, asked.nominal) == ("j", "claimed", scheduler.clock.now())
    scheduler.run_pending()
    assert names(log) == ["JOB_SUBMITTED", "JOB_STARTED", "JOB_EXECUTED"]
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert scheduler.get_job("j").next_run_time == planned
    scheduler.advance(minutes=7)
    assert outcomes(scheduler) == [("succeeded", None, 1), ("succeeded", None, 1)]


def test_a_failure_is_recorded_with_the_reason_of_the_run():
    scheduler, _ = started()
    scheduler.add_job(boom, "interval", minutes=10, id="j")
    scheduler.run_job("j")
    scheduler.run_pending()
    (run,) = scheduler.get_runs("j")
    assert (run.status, run.reason, run.error) == ("failed", None, "no")


def test_it_counts_as_one_of_the_runs_that_may_be_under_way(stores):
    gate = Gate()
    scheduler, _ = started(executors={"default": gate}, **stores)
    scheduler.add_job(int, "interval", minutes=1, id="j")
    scheduler.run_job("j")
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1
    gate.release()
    scheduler.run_job("j")
    scheduler.run_pending()
    assert len(gate.held) == 1
    assert outcomes(scheduler)[:2] == [("succeeded", None, 1), ("skipped", "max_instances", 1)]


@pytest.mark.parametrize("options", [{}, {"kwargs": {}}])
def test_one_of_a_job_that_runs_as_often_as_it_may_waits_for_a_place(stores, options):
    gate = Gate()
    scheduler, log = started(executors={"default": gate}, **stores)
    scheduler.add_job(int, "interval", minutes=10, id="j")
    first = scheduler.run_job("j")
    scheduler.run_pending()
    second = scheduler.run_job("j", **options)
    assert second.status == "waiting"
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1
    gate.release()
    scheduler.advance(seconds=1)
    assert len(gate.held) == 1
    gate.release()
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1), ("succeeded", None, 1)]
    assert (first.wait(0), second.wait(0)) == (True, True)
    assert names(log).count("JOB_EXECUTED") == 2


def test_a_paused_job_runs_and_stays_paused(stores):
    scheduler, _ = started(**stores)
    scheduler.add_job(int, "interval", minutes=1, id="j", next_run_time=None)
    scheduler.run_job("j")
    scheduler.advance(minutes=2)
    assert outcomes(scheduler) == [("succeeded", None, 1)]
    assert scheduler.get_job("j").next_run_time is None


def test_a_paused_scheduler_starts_it_when_it_is_resumed():
    scheduler, _ = started()
    scheduler.add_job(int, "interval", minutes=10, id="j")
    scheduler.pause()
    scheduler.run_job("j")
    scheduler.advance(minutes=1)
    assert outcomes(scheduler) == [("claimed", None, 1)]
    scheduler.resume()
    scheduler.run_pending()
    assert outcomes(scheduler) == [("succeeded", None, 1)]


def test_what_was_asked_for_and_not_started_is_cancelled_by_a_shutdown():
    scheduler, log = started()
    scheduler.add_job(int, "interval", minutes=10, id="j")
    scheduler.pause()
    run = scheduler.run_job("j")
    scheduler.shutdown()
    assert run.status == "cancelled"
    assert "JOB_CANCELLED" in names(log)
    scheduler.start()
    assert [run.status for run in scheduler.get_runs()] == ["cancelled"]


def test_a_job_that_waits_for_the_end_of_its_run_goes_on_as_before():
    gate = Gate()
    scheduler, _ = started(executors={"default": gate})
    scheduler.add_job(int, "interval", minutes=10, mode="delay", max_instances=2, id="j")
    scheduler.advance(minutes=10)
    scheduler.run_job("j")
    scheduler.run_pending()
    gate.release(1)
    scheduler.advance(minutes=20)
    assert len(gate.held) == 1
    gate.release()
    scheduler.advance(minutes=9)
    assert gate.held == []
    scheduler.advance(minutes=1)
    assert len(gate.held) == 1


def test_what_cannot_run_is_refused():
    scheduler, _ = started()
    with pytest.raises(JobLookupError, match="nobody"):
        scheduler.run_job("nobody")
    scheduler.add_executor(Gate(), "other")
    scheduler.add_job(int, "interval", minutes=1, id="elsewhere", executor="other")
    scheduler.remove_executor("other")
    with pytest.raises(UnknownAliasError, match="other"):
        scheduler.run_job("elsewhere")
    job = scheduler.add_job(int, "interval", minutes=1, id="broken")
    job.state, job.error = "quarantined", "it is broken"
    with pytest.raises(JobValueError, match="it is broken"):
        scheduler.run_job("broken")
    assert scheduler.get_runs() == []


def test_a_scheduler_that_was_not_started_is_asked_in_vain():
    scheduler = ManualScheduler()
    job = scheduler.add_job(int, "interval", minutes=1)
    with pytest.raises(RuntimeError, match="started"):
        job.run_now()


def test_a_run_in_hand_can_be_asked_to_stop(stores):
    gate = Gate()
    scheduler, _ = started(executors={"default": gate}, **stores)
    scheduler.add_job(int, "interval", minutes=1, id="j")
    asked = scheduler.run_job("j")
    scheduler.run_pending()
    (listed,) = scheduler.get_runs("j")
    listed.cancel()
    assert gate.held[0][0].cancelled
    assert asked.cancelled
    gate.release()
    listed.cancel()  # it has ended: nothing to do
    assert listed.status == "succeeded"


@pytest.mark.thorough
def test_the_record_of_a_run_says_that_it_cannot_be_cancelled(tmp_path):
    gate = Gate()
    store = f"sqlite:///{tmp_path / 'jobs'}"
    scheduler, _ = started(executors={"default": gate}, jobstores={"default": store})
    job = scheduler.add_job(int, "interval", minutes=1, id="j")
    asked = job.run_now()
    scheduler.run_pending()
    (listed,) = scheduler.get_runs("j")
    assert (asked.status, listed.status) == ("waiting", "claimed")
    with pytest.raises(RunNotInHandError, match=r"its record in a durable store.*call scheduler\.cancel_run"):
        listed.cancel()
    with pytest.raises(RunNotInHandError, match=r"wait for the run that run_job\(\) returned"):
        listed.wait(0)
    assert not listed.cancelled
    assert [run.cancelled for run, _ in gate.held] == [False]
    gate.held[0][0].cancel()
    gate.release()
    assert scheduler.get_runs("j")[0].status == "succeeded"
    scheduler.get_runs("j")[0].cancel()


@pytest.mark.thorough
def test_a_job_that_is_removed_before_its_run_by_hand_began_has_it_cancelled_without_an_error(
    tmp_path, caplog
):
    scheduler, log = started(
        jobstores={"default": {"type": "sqlalchemy", "url": f"sqlite:///{tmp_path}/jobs"}}
    )
    scheduler.add_job("rota.testing.contracts.store_jobs:task", "interval", minutes=10, id="j")
    scheduler.run_job("j")
    scheduler.remove_job("j")
    log.clear()
    scheduler.advance(seconds=20)
    assert outcomes(scheduler) == [("cancelled", "job removed", 1)]
    assert names(log) == []
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []
    scheduler.shutdown()
