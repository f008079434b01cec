"""What `explain()` says of jobs whose schedule is over, and of what is due in a store of one process."""

import asyncio

import pytest

from rota import Retry
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
    assert "and failed: ValueError: no file" in scheduler.explain("once")


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
