"""A scheduler on an asyncio loop: coroutine functions run as tasks, plain functions in threads.

Run:    python examples/scheduler_asyncio.py
Output: fetched; compressed; 3 answers
"""

from __future__ import annotations

import asyncio
import zlib

from rota.schedulers.asyncio import AsyncIOScheduler

answers: list[str] = []
enough = asyncio.Event()


async def fetch(name: str) -> None:
    await asyncio.sleep(0.05)  # a request, a query…
    answers.append(name)
    print("fetched", name)
    if len(answers) == 3:
        enough.set()


def compress() -> None:
    """A function that would block the loop; the scheduler gives it a thread."""
    size = len(zlib.compress(bytes(5_000_000)))
    print("compressed 5 MB to", size, "bytes")


async def main() -> None:
    scheduler = AsyncIOScheduler()
    scheduler.start()  # inside the running loop
    scheduler.add_job(fetch, "interval", seconds=0.4, args=["the weather"])
    scheduler.add_job(compress, "interval", seconds=0.6)
    await enough.wait()
    print(len(answers), "answers")
    await scheduler.shutdown()  # waits for the runs under way


if __name__ == "__main__":
    asyncio.run(main())
