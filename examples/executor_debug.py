"""The debug executor: each job runs at once in the scheduler's own thread, where a debugger can step into it.

A long job holds up the whole scheduler, so this one is for looking, not for production.

Run:    python examples/executor_debug.py
Output: the job runs in the scheduler's thread
"""

from __future__ import annotations

import threading

from rota.schedulers.blocking import BlockingScheduler

scheduler = BlockingScheduler(executors={"default": {"type": "debug"}})


@scheduler.scheduled_job("date")
def look() -> None:
    # breakpoint() works here
    same = threading.current_thread() is threading.main_thread()
    print("the job runs in", "the scheduler's thread" if same else "another thread")
    scheduler.shutdown()


if __name__ == "__main__":
    scheduler.start()
