"""The thread pool, the executor to take unless there is a reason for another; here one of two pools.

Slow jobs get a pool of their own, so that quick ones never wait behind them. ``async def`` works here too.

Run:    python examples/executor_threadpool.py
Output: ping by rota-default; report by rota-slow; asked
"""

from __future__ import annotations

import asyncio
import threading
import time

from rota.executors.pool import ThreadPoolExecutor
from rota.schedulers.background import BackgroundScheduler


def ping() -> None:
    print("ping by", threading.current_thread().name)


def report() -> None:
    time.sleep(0.5)
    print("report by", threading.current_thread().name)


async def ask() -> None:
    await asyncio.sleep(0.1)
    print("asked")


def main() -> None:
    executors = {"default": ThreadPoolExecutor(10), "slow": ThreadPoolExecutor(max_workers=2)}
    scheduler = BackgroundScheduler(executors=executors)
    scheduler.start()
    for _ in range(3):
        scheduler.add_job(report, executor="slow")  # no trigger: now, once
    scheduler.add_job(ping, "interval", seconds=0.3)
    scheduler.add_job(ask)
    time.sleep(1)
    scheduler.shutdown()


if __name__ == "__main__":
    main()
