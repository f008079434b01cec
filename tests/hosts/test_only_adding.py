"""Schedulers that only add jobs for others to run, on each kind of host."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rota.events import EVENT_JOB_EXECUTED
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.blocking import BlockingScheduler
from tests.needs import need

if TYPE_CHECKING:
    from pathlib import Path


def task() -> None:
    """Do nothing."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'jobs'}"


def check(scheduler: Any) -> None:
    """Add a due job, let the host make its passes, and look: the job is there and nobody ran it."""
    scheduler.add_job(task, id="due")
    scheduler.wakeup()
    assert scheduler.health()["alive"]
    assert [job.id for job in scheduler.get_jobs()] == ["due"]
    assert scheduler.get_runs() == []


@pytest.mark.parametrize("host", ["asyncio", "tornado"])
def test_on_a_loop(url: str, host: str) -> None:
    async def program() -> None:
        made: Any = AsyncIOScheduler
        if host == "tornado":
            need("tornado", "tornado")
            from rota.schedulers.tornado import TornadoScheduler

            made = TornadoScheduler
        scheduler = made(jobstores={"default": url}, runs_jobs=False)
        scheduler.start()
        check(scheduler)
        await asyncio.sleep(0.05)
        check_nothing_ran(scheduler)
        await scheduler.shutdown()

    asyncio.run(program())


def check_nothing_ran(scheduler: Any) -> None:
    assert [job.id for job in scheduler.get_jobs()] == ["due"]
    assert scheduler.get_runs() == []


def test_in_the_foreground(url: str) -> None:
    scheduler = BlockingScheduler(jobstores={"default": url}, runs_jobs=False)
    started = threading.Event()
    scheduler.add_listener(lambda event: started.set())
    thread = threading.Thread(target=scheduler.start)
    thread.start()
    try:
        assert started.wait(20)
        check(scheduler)
        check_nothing_ran(scheduler)
    finally:
        scheduler.shutdown()
        thread.join(20)


GEVENT = """
import sys, gevent
from rota.schedulers.gevent import GeventScheduler
from tests.hosts.test_only_adding import check, check_nothing_ran
scheduler = GeventScheduler(jobstores={"default": sys.argv[1]}, runs_jobs=False)
scheduler.start()
check(scheduler)
gevent.sleep(0.05)
check_nothing_ran(scheduler)
scheduler.shutdown()
print("done")
"""


def test_with_greenlets(url: str, request: pytest.FixtureRequest) -> None:
    need("gevent", "gevent")
    result = subprocess.run(
        [sys.executable, "-c", GEVENT, url],
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
        cwd=request.config.rootpath,
    )
    assert result.stdout == "done\n", result.stderr


@pytest.mark.parametrize(("by", "lease"), [("the one that runs jobs", 600), ("another", 0.3)])
def test_a_run_that_is_asked_for_is_executed_by_the_one_that_runs_jobs(
    url: str, by: str, lease: float
) -> None:
    executed = threading.Event()
    runner = BackgroundScheduler(jobstores={"default": url}, lease=lease)
    runner.add_listener(lambda event: executed.set(), EVENT_JOB_EXECUTED)
    asking = BackgroundScheduler(jobstores={"default": url}, runs_jobs=False)
    runner.start()
    asking.start()
    try:
        runner.add_job(task, "interval", days=1, id="j")
        (runner if by == "the one that runs jobs" else asking).run_job("j")
        assert executed.wait(20)
        (run,) = asking.get_runs()
        assert (run.status, run.origin, run.attempt) == ("succeeded", "manual", 1)
    finally:
        asking.shutdown()
        runner.shutdown()
