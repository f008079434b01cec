"""Why a job does not run, in one sentence: where a run waits for its next try, or failures have paused the job."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from typing import Annotated

import pytest

from rota import After, Inject, Retry, Snooze
from rota.clock import moment
from rota.testing import ManualScheduler


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request, tmp_path):
    stores = {"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"} if request.param == "sqlite" else {}
    scheduler = ManualScheduler(jobstores=stores, timezone="UTC")
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def fail():
    raise ConnectionError("no answer")


def snooze():
    raise Snooze(600)


async def wait_long():
    await asyncio.sleep(90)


def test_a_run_that_waits_for_its_next_try_is_named_with_its_times(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="job", retry=Retry(wait_initial=30, wait_jitter=0))
    scheduler.advance(seconds=65)
    said = (
        "Its run of 2029-01-01 00:01:00 +0000 has come to nothing (try 1: ConnectionError: no answer), and waits for a retry "
        "since 2029-01-01 00:01:00 +0000 until 2029-01-01 00:01:30 +0000."
    )
    assert scheduler.explain("job") == f"{said} Its next time is 2029-01-01 00:02:00 +0000."
    (run,) = scheduler.get_runs("job")
    assert scheduler.explain("job", run.scheduled_run_time) == said


def test_a_snoozed_run_that_keeps_the_place_is_named(scheduler):
    scheduler.add_job(snooze, "interval", minutes=1, id="job")
    scheduler.advance(seconds=65)
    said = scheduler.explain("job")
    assert said.startswith("Its run of 2029-01-01 00:01:00 +0000 was snoozed, and waits since ")


def test_a_paused_job_says_that_a_retry_waits_with_it(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="job", retry=Retry(wait_initial=30))
    scheduler.advance(seconds=65)
    scheduler.pause_job("job", note="the line is down")
    said = scheduler.explain("job")
    assert "the line is down. Its run of 2029-01-01 00:01:00 +0000 has come to nothing" in said


def test_a_retry_of_a_paused_job_says_that_it_waits_for_that_since_when_and_why(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="job", retry=Retry(wait_initial=30, wait_jitter=0))
    scheduler.advance(seconds=65)
    (run,) = scheduler.get_runs("job")
    waits = (
        "Its run of 2029-01-01 00:01:00 +0000 has come to nothing (try 1: ConnectionError: no answer), and waits for a retry "
        "since 2029-01-01 00:01:00 +0000 until 2029-01-01 00:01:30 +0000"
    )
    scheduler.pause_job("job", note="the line is down")
    paused = "the job is paused since 2029-01-01 00:01:05 +0000: the line is down."
    said = scheduler.explain("job", run.scheduled_run_time)
    assert said == f"{waits}, and then until its job goes on: {paused}"
    scheduler.advance(seconds=60)
    assert scheduler.explain("job", run.scheduled_run_time) == said
    scheduler.hold(all=True, note="the server moves")
    held = "the job is on hold since 2029-01-01 00:02:05 +0000: the server moves."
    assert scheduler.explain("job", run.scheduled_run_time).endswith(
        f", and then until its job goes on: {held}"
    )
    scheduler.release(all=True)
    scheduler.resume_job("job")
    until = "and then until the next pass of a node."
    assert scheduler.explain("job", run.scheduled_run_time) == f"{waits}, {until}"


def test_a_run_that_was_asked_for_does_not_wait_for_its_paused_job(scheduler):
    scheduler.add_job(print, "interval", minutes=1, id="job")
    scheduler.pause_job("job")
    later = scheduler.clock.datetime() + timedelta(minutes=5)
    run = scheduler.run_job("job", not_before=later)
    said = scheduler.explain("job", run.scheduled_run_time)
    assert said == "It waits until 2029-01-01 00:05:00 +0000 (manual)."


def test_a_job_that_failures_have_paused_names_the_run(scheduler):
    scheduler.add_job(fail, "interval", minutes=1, id="job", pause_on_failure=2)
    scheduler.advance(minutes=5)
    assert scheduler.explain("job") == (
        "The job is paused since 2029-01-01 00:02:00 +0000: 2 failures in a row, the last of them the run of "
        "2029-01-01 00:02:00+00:00 (attempt 1, failed): ConnectionError: no answer."
    )


def test_a_run_that_was_asked_for_says_that_a_run_of_its_paused_job_keeps_the_place(scheduler):
    scheduler.add_job(snooze, "interval", minutes=1, id="job")
    scheduler.advance(seconds=65)
    scheduler.pause_job("job", note="the line is down")
    asked = scheduler.run_job("job")
    scheduler.advance(seconds=5)
    assert scheduler.explain("job", asked.scheduled_run_time) == (
        "It waits until 2029-01-01 00:01:05 +0000 (manual), and then until a place is free: 1 of its runs is under way, or keeps "
        "its place while it waits (max_instances=1). The job is paused since 2029-01-01 00:01:05 +0000: the line is down. "
        "What keeps its place starts when the job goes on, and cancel_run() of it makes room."
    )
    scheduler.cancel_run("job", min(run.scheduled_run_time for run in scheduler.get_runs("job")))
    scheduler.advance(seconds=1)
    assert "was snoozed" in scheduler.explain("job", asked.scheduled_run_time)  # it has run


def test_where_nothing_waits_the_next_time_is_told(scheduler):
    scheduler.add_job(print, "interval", minutes=1, id="job")
    assert scheduler.explain("job") == "Its time has not come: it is due 2029-01-01 00:01:00 +0000."


def why_waits(scheduler, run):
    """Return what is said of a waiting run beside its time."""
    return scheduler.explain("job", run.nominal).partition(", and then until ")[2]


def greet(bot: Annotated[str, Inject]) -> None: ...


async def takes_an_hour():
    await asyncio.sleep(3600)


def test_a_run_by_hand_that_finds_no_place_names_the_run_that_has_it(scheduler):
    scheduler.add_job(takes_an_hour, "interval", minutes=10, id="job")
    scheduler.advance(minutes=11)
    run = scheduler.run_job("job")
    scheduler.advance(minutes=1)
    place = (
        "a place is free: 1 of its runs is under way, that of 2029-01-01 00:10:00 +0000 (max_instances=1)."
    )
    assert why_waits(scheduler, run) == place
    assert place in scheduler.explain("job")


def test_a_run_that_the_only_scheduler_does_not_start_says_whether_that_is_paused_drains_or_lacks_a_resource(
    scheduler,
):
    scheduler.add_job(print, "interval", hours=10, id="job")
    scheduler.pause()
    run = scheduler.run_job("job", not_before=scheduler.clock.datetime())
    scheduler.advance(minutes=2)
    assert why_waits(scheduler, run).startswith(
        "a node starts it: this scheduler is paused, and starts nothing"
    )
    scheduler.resume()
    scheduler.advance(minutes=1)
    assert "and succeeded" in scheduler.explain("job", run.nominal)
    scheduler.drain()
    scheduler.advance(minutes=1)
    run = scheduler.run_job("job", not_before=scheduler.clock.datetime())
    scheduler.advance(minutes=2)
    assert why_waits(scheduler, run) == "a node starts it: this node is draining, and claims nothing more."
    scheduler.undrain()
    scheduler.advance(minutes=1)
    assert "and succeeded" in scheduler.explain("job", run.nominal)


def test_a_run_that_needs_a_resource_that_is_gone_names_it(scheduler):
    scheduler.resources["bot"] = "Ada"
    scheduler.add_job(greet, "interval", hours=10, id="job")
    run = scheduler.run_job("job", not_before=scheduler.clock.datetime() + timedelta(seconds=30))
    del scheduler.resources["bot"]
    scheduler.advance(minutes=1)
    lacks = "it needs the resource 'bot', which scheduler.resources does not have."
    assert why_waits(scheduler, run) == f"a node starts it: {lacks}"


def test_a_run_after_another_job_that_waits_for_its_paused_job_is_told_of_by_the_job_too(scheduler):
    scheduler.add_job(print, "interval", minutes=1, id="first")
    scheduler.add_job(print, After("first", delay=5), id="job")
    scheduler.advance(seconds=62)
    scheduler.pause_job("job", note="holidays")
    scheduler.advance(seconds=10)
    waits = "waits until 2029-01-01 00:01:05 +0000 (after)"
    paused = "he job is paused since 2029-01-01 00:01:02 +0000: holidays."
    assert scheduler.explain("job") == f"T{paused} Its run of 2029-01-01 00:01:00 +0000 {waits}."
    (run,) = scheduler.get_runs("job")
    assert scheduler.explain("job", run.nominal) == f"It {waits}, and then until its job goes on: t{paused}"


def test_a_time_with_jitter_is_not_said_to_be_due_before_its_due_time(scheduler):
    scheduler.add_job(fail, "interval", hours=1, jitter=1200, first="now", id="job")
    job = scheduler.get_job("job")
    nominal, due = moment(job.next_nominal, UTC), moment(job.next_due, UTC)
    assert nominal < due
    scheduler.pause()
    scheduler.advance(seconds=1)
    assert scheduler.explain("job") == f"Its time has not come: it is due {due:%Y-%m-%d %H:%M:%S %z}."
    assert scheduler.explain("job", nominal) == scheduler.explain("job")


def test_a_job_whose_next_time_is_counted_from_the_end_of_its_run_says_that(scheduler):
    scheduler.add_job(wait_long, "interval", minutes=1, mode="delay", first="now", max_instances=3, id="job")
    scheduler.advance(seconds=30)
    said = scheduler.explain("job")
    assert said == "Its next time is counted from the end of its run, which is under way (interval[0:01:00])."
