"""The asyncio executor, which AsyncIOScheduler takes by itself, with a process pool beside it.

Run:    python examples/executor_asyncio.py
Output: 100 coroutines at the same time; calculated in another process: 5000050000
"""

from __future__ import annotations

import asyncio
import os

from rota.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from rota.executors.asyncio import AsyncIOExecutor
from rota.executors.processpool import ProcessPoolExecutor
from rota.schedulers.asyncio import AsyncIOScheduler

waiting = 0


async def wait_for_answer(everyone_waits: asyncio.Event) -> None:
    global waiting
    waiting += 1
    if waiting == 100:
        everyone_waits.set()
    await everyone_waits.wait()


def calculate(parent: int) -> str:
    where = "this process" if os.getpid() == parent else "another process"
    return f"calculated in {where}: {sum(range(100_001))}"


async def main() -> None:
    executors = {"default": AsyncIOExecutor(), "processes": ProcessPoolExecutor(1)}
    scheduler = AsyncIOScheduler(executors=executors)
    calculated: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def take_result(event: JobExecutionEvent) -> None:
        # Listeners are called where the event arises: here in a thread of the process pool.
        if event.job_id == "sum":
            loop.call_soon_threadsafe(calculated.set_result, event.retval)

    scheduler.add_listener(take_result, EVENT_JOB_EXECUTED)
    scheduler.start()

    everyone_waits = asyncio.Event()
    for _ in range(100):
        scheduler.add_job(wait_for_answer, args=[everyone_waits])
    scheduler.add_job(calculate, args=[os.getpid()], id="sum", executor="processes")

    await everyone_waits.wait()
    print(waiting, "coroutines at the same time")
    print(await calculated)
    await scheduler.shutdown()  # waits for the runs under way


if __name__ == "__main__":
    asyncio.run(main())
