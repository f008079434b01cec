"""Events: what happens to jobs and to the scheduler itself, told to functions.

An execution event is sent after the store knows how the run ended; it carries the whole record.

Run:    python examples/events.py
Output: good: succeeded, 42; bad: failed, ValueError; scheduler event 2
"""

from __future__ import annotations

import logging
import threading

from rota.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
    JobExecutionEvent,
    SchedulerEvent,
)
from rota.schedulers.background import BackgroundScheduler

ended = threading.Semaphore(0)


def good() -> int:
    return 42


def bad() -> None:
    raise ValueError("not today")


def on_end(event: JobExecutionEvent) -> None:
    assert event.run is not None
    what = repr(event.exception) if event.exception else event.retval
    print(f"{event.job_id}: {event.outcome}, {what}, after {event.run.duration:.6f} s")
    ended.release()


def on_scheduler(event: SchedulerEvent) -> None:
    print("scheduler event", event.code)


def main() -> None:
    logging.getLogger("rota").setLevel(logging.CRITICAL)  # the traceback of bad() would be logged as well
    scheduler = BackgroundScheduler()
    scheduler.add_listener(on_end, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_listener(on_scheduler, EVENT_SCHEDULER_STARTED | EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.add_job(good, id="good")
    scheduler.add_job(bad, id="bad")
    ended.acquire()
    ended.acquire()
    scheduler.shutdown()


if __name__ == "__main__":
    main()
