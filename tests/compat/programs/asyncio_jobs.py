"""Coroutines, plain functions and partials on an asyncio loop."""

import asyncio
import functools
import threading

from apscheduler.schedulers.asyncio import AsyncIOScheduler


async def main():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    seen = {}

    def note(name, value):
        seen.setdefault(name, value)
        if len(seen) == 3:
            loop.call_soon_threadsafe(done.set)

    async def coroutine():
        await asyncio.sleep(0)
        note("coroutine", asyncio.get_running_loop() is loop)

    async def with_argument(value):
        note("partial", value)

    def plain():
        note("plain", threading.current_thread() is threading.main_thread())

    scheduler = AsyncIOScheduler()
    scheduler.add_job(coroutine, "interval", seconds=0.1)
    scheduler.add_job(plain, "interval", seconds=0.1)
    scheduler.add_job(functools.partial(with_argument, 7), "interval", seconds=0.1)
    scheduler.start()
    await asyncio.wait_for(done.wait(), 20)
    scheduler.shutdown()
    assert seen == {"coroutine": True, "plain": False, "partial": 7}, seen


asyncio.run(main())
print("done")
