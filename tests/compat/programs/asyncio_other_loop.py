"""The loop is given as an option, and another thread adds a job to it."""

import asyncio
import threading

from apscheduler.schedulers.asyncio import AsyncIOScheduler

loop = asyncio.new_event_loop()
scheduler = AsyncIOScheduler(event_loop=loop)
seen = []


async def job(value):
    seen.append((value, asyncio.get_running_loop() is loop))
    loop.call_soon(loop.stop)


def from_another_thread():
    scheduler.add_job(job, args=["hello"])


scheduler.start()
threading.Timer(0.1, from_another_thread).start()
watchdog = loop.call_later(20, loop.stop)
loop.run_forever()
watchdog.cancel()
scheduler.shutdown(wait=False)
loop.run_until_complete(asyncio.sleep(0.01))
loop.close()
assert seen == [("hello", True)], seen
print("done")
