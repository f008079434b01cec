"""The Tornado executor: coroutines on the loop, plain functions in at most ``max_workers`` threads.

Needs:  pip install 'rota[tornado]'
Run:    python examples/executor_tornado.py
Output: coroutine on the loop's thread; function in a thread of its own
"""

from __future__ import annotations

import asyncio
import threading

from rota.executors.tornado import TornadoExecutor
from rota.schedulers.tornado import TornadoScheduler


def where() -> str:
    main_thread = threading.current_thread() is threading.main_thread()
    return "on the loop's thread" if main_thread else "in a thread of its own"


async def coroutine() -> None:
    await asyncio.sleep(0.1)
    print("coroutine", where())


def function() -> None:
    print("function", where())


async def main() -> None:
    scheduler = TornadoScheduler(executors={"default": TornadoExecutor(max_workers=2)})
    scheduler.start()
    scheduler.add_job(coroutine, "interval", seconds=0.3)
    scheduler.add_job(function, "interval", seconds=0.3)
    await asyncio.sleep(1)
    await scheduler.shutdown()  # waits for the runs under way


if __name__ == "__main__":
    asyncio.run(main())
