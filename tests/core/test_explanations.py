"""What `explain()` says of jobs whose schedule is over, and of what is due in a store of one process."""

import asyncio
from contextlib import closing
from datetime import timedelta
from sqlite3 import connect

import pytest

from rota import After, Retry
from rota.testing import ManualScheduler


async def takes_a_minute():
    await asyncio.sleep(60)


async def fails():
    raise ValueError("no file")


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request):
    stores = {"default": "sqlite://"} if request.param == "sqlite" else {}
    scheduler = ManualScheduler(jobstores=stores)
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


def test_a_job_that_runs_once_is_under_way_and_then_has_succeeded(scheduler):
    scheduler.add_job(takes_a_minute, id="once")
    scheduler.advance(1)
    assert "It is under way on node" in scheduler.explain("once")
    scheduler.advance(60)
    assert "and succeeded" in scheduler.explain("once")


def test_a_job_that_runs_once_waits_for_its_retry_and_then_has_failed(scheduler):
    scheduler.add_job(fails, id="once", retry=Retry(wait_jitter=0), max_attempts=2)
    scheduler.advance(1)
    assert scheduler.explain("once").startswith("Its schedule is over. Its run of 2029-01-01 00:00:00 +0000")
    assert "waits for a retry since" in scheduler.explain("once")
    scheduler.advance(15)
    assert "and failed (attempts exhausted): ValueError: no file" in scheduler.explain("once")


def test_an_id_that_nobody_has_used_is_no_job(scheduler):
    assert scheduler.explain("nobody").startswith("There is no such job")


def test_what_is_due_in_a_store_of_one_process_waits_for_the_next_pass_and_not_for_a_node():
    scheduler = ManualScheduler()
    scheduler.start()
    scheduler.add_job(takes_a_minute, "interval", seconds=30, id="often", overlap="buffer_all")
    scheduler.advance(70)
    scheduler.modify_job("often", max_instances=2)
    assert "a node will take it in its next pass" in scheduler.explain("often")
    scheduler.shutdown(wait=False)


def test_runs_that_were_claimed_together_wait_for_those_before_them(scheduler):
    scheduler.add_job(takes_a_minute, "interval", seconds=20, id="often", overlap="buffer_all")
    scheduler.advance(85)  # the first has ended after 80 seconds, and three times have waited for it
    first, *others = [run.scheduled_run_time for run in reversed(scheduler.get_runs("often"))][1:]
    assert scheduler.explain("often", first).startswith("It is under way on node ")
    said = [scheduler.explain("often", time) for time in others]
    assert said[0].startswith("It was claimed together with a run of earlier times by node ")
    assert said[0].endswith(
        ", and waits until that has ended: they are executed one after another (attempt 1)."
    )
    assert " with 2 runs of earlier times by node " in said[1]
    scheduler.advance(20)
    waits = "It waits for room: 3 of its runs were claimed together, and are executed one after another (max_instances=1"
    assert scheduler.explain("often").startswith(waits)
    to_come = first + timedelta(seconds=400)
    assert scheduler.explain("often", to_come).startswith("Its time has not come: it is due ")


def test_what_a_later_time_has_replaced_says_so(scheduler):
    scheduler.add_job(takes_a_minute, "interval", seconds=40, id="often", overlap="cancel_other")
    scheduler.advance(100)
    (first, *_) = reversed(scheduler.get_runs("often"))
    assert (first.status, first.reason) == ("cancelled", "replaced")
    assert scheduler.explain("often", first.nominal) == (
        "It was cancelled: a later time of its job was to run in its place (overlap)."
    )


@pytest.mark.thorough
def test_runs_that_wait_for_an_executor_that_nobody_has_are_told_of(tmp_path, caplog):
    path = tmp_path / "jobs.sqlite"
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{path}"})
    scheduler.start()
    scheduler.add_job(int, "interval", seconds=20, id="first")
    scheduler.add_job(int, After("first"), id="second")
    scheduler.advance(5)
    assert "executor" not in scheduler.explain("second")
    with closing(connect(path)) as connection, connection:
        connection.execute("UPDATE rota_jobs SET executor = 'gone' WHERE id = 'second'")
    scheduler.advance(125)
    assert 'until a node starts it: no living node has its executor "gone".' in scheduler.explain("second")
    (waiting, *_) = scheduler.get_runs("second", status="waiting")
    assert 'a node starts it: no living node has its executor "gone".' in scheduler.explain(
        "second", waiting.nominal
    )
    assert 'wait for an executor "gone" that this scheduler does not have; add it' in caplog.text
    scheduler.shutdown(wait=False)
