"""A program that was written for APScheduler, with one line more: the first import.

Run:    python examples/as_apscheduler.py
        or leave the line out, and run it by  python -m rota.as_apscheduler examples/as_apscheduler.py
Output: the job of rota.job; APScheduler 3.11; ended: hello
"""

from __future__ import annotations

import rota.as_apscheduler  # noqa: F401  # isort: skip  # before everything that imports apscheduler

import threading

import apscheduler
from apscheduler.events import EVENT_JOB_EXECUTED, JobExecutionEvent
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler


def greet() -> str:
    return "hello"


def main() -> None:
    ended = threading.Event()
    results: list[str] = []

    def on_end(event: JobExecutionEvent) -> None:
        results.append(event.retval)
        ended.set()

    scheduler = BackgroundScheduler()
    scheduler.add_listener(on_end, EVENT_JOB_EXECUTED)
    scheduler.start()
    job = scheduler.add_job(greet, "interval", seconds=0.1, id="greeting")
    print(f"the job of {Job.__module__}: {job}")
    print(f"for whoever asks, this is APScheduler {apscheduler.version}")
    ended.wait(10)
    print(f"ended: {results[0]}")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
