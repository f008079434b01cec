"""Native coroutines and plain functions on Tornado's loop."""

import asyncio

from apscheduler.schedulers.tornado import TornadoScheduler
from tornado.ioloop import IOLoop


async def main():
    loop = IOLoop.current()
    seen = set()
    done = asyncio.Event()

    def note(name):
        seen.add(name)
        if len(seen) == 2:
            done.set()

    async def coroutine():
        await asyncio.sleep(0)
        note("coroutine")

    def plain():
        loop.add_callback(note, "plain")

    scheduler = TornadoScheduler()
    scheduler.add_job(coroutine, "interval", seconds=0.1)
    scheduler.add_job(plain, "interval", seconds=0.1)
    scheduler.start()
    await asyncio.wait_for(done.wait(), 20)
    scheduler.shutdown()


asyncio.run(main())
print("done")
