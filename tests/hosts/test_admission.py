"""What schedulers of coroutines and plain functions claim: no more functions than their threads have room for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contracts.executor_jobs import PATIENCE
from tests.present import present

# Functions of a module, as a durable store needs them.
_gates, _ran, _ticks = {}, [], []


async def until(condition, what):
    for _ in range(int(PATIENCE / 0.005)):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"waited in vain until {what}")


@pytest.mark.parametrize("url", [None, "sqlite:///{}/jobs.sqlite"], ids=["memory", "sqlite"])
def test_plain_functions_beyond_the_threads_stay_in_the_store_and_hold_up_no_coroutine(url, tmp_path):
    gate = _gates["gate"] = threading.Event()
    _ran.clear()
    _ticks.clear()

    async def main():
        stores = {} if url is None else {"jobstores": {"default": url.format(tmp_path)}}
        scheduler = AsyncIOScheduler(**stores)
        scheduler.start(paused=True)
        for number in range(300):
            scheduler.add_job(_wait, args=[number], id=f"plain {number}")
        scheduler.add_job(_tick, "interval", seconds=0.05, id="coroutine")
        scheduler.resume()
        try:
            await until(lambda: len(_ticks) > 3, "the coroutine has run several times")
            assert 10 <= present(scheduler._engine).in_flight <= 60
            assert len(scheduler.get_jobs()) >= 240  # one-off jobs that nobody has claimed
        finally:
            gate.set()
        await until(lambda: len(_ran) == 300, "all have run")
        await scheduler.shutdown()

    asyncio.run(main())


def _wait(number):
    _gates["gate"].wait(PATIENCE)
    _ran.append(number)


async def _tick():
    _ticks.append(1)


def test_coroutines_under_way_leave_the_threads_of_a_background_scheduler_to_others():
    begun, ran = [], threading.Event()

    async def wait():
        begun.append(1)
        await asyncio.sleep(PATIENCE)

    scheduler = BackgroundScheduler(executors={"default": {"type": "threadpool", "max_workers": 2}})
    scheduler.start(paused=True)
    for _ in range(100):
        scheduler.add_job(wait)
    scheduler.resume()
    try:
        for _ in range(int(PATIENCE / 0.005)):
            if len(begun) == 100:
                break
            threading.Event().wait(0.005)
        assert len(begun) == 100
        scheduler.add_job(ran.set)
        assert ran.wait(PATIENCE)
    finally:
        scheduler.shutdown(timeout=0.1)
