"""The process pool: for work that keeps a processor busy, or that may take its process down.

Functions and arguments travel to the worker processes, so they must be picklable and importable.

Run:    python examples/executor_processpool.py
Output: 78498 primes; in another process; the worker died, and its run is recorded as lost
"""

from __future__ import annotations

import os
import threading

from rota.events import EVENT_JOB_EXECUTED, EVENT_JOB_LOST, JobExecutionEvent
from rota.schedulers.background import BackgroundScheduler


def count_primes(limit: int) -> tuple[int, int]:
    """Return how many primes there are below ``limit``, and the process that has counted them."""
    sieve = bytearray([1]) * limit
    sieve[:2] = b"\0\0"
    for number in range(2, int(limit**0.5) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, limit, number)))
    return sum(sieve), os.getpid()


def crash() -> None:
    os._exit(1)


def main() -> None:
    ended = threading.Semaphore(0)

    def show(event: JobExecutionEvent) -> None:
        if event.code == EVENT_JOB_LOST:
            print("the worker died, and its run is recorded as lost")
        else:
            primes, process = event.retval
            print(
                primes, "primes, counted in", "this process" if process == os.getpid() else "another process"
            )
        ended.release()

    scheduler = BackgroundScheduler(executors={"default": {"type": "processpool", "max_workers": 2}})
    scheduler.add_listener(show, EVENT_JOB_EXECUTED | EVENT_JOB_LOST)
    scheduler.start()
    scheduler.add_job(count_primes, args=[1_000_000])
    scheduler.add_job(crash)
    ended.acquire(timeout=20)
    ended.acquire(timeout=20)
    scheduler.shutdown()


if __name__ == "__main__":  # needed: the worker processes import this file
    main()
