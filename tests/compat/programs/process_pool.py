"""A pool of processes under the alias "default"; the return value comes back in the event."""

import os
import threading

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler


def who(number):
    return number * 2, os.getpid()


def fail():
    raise ValueError("on purpose")


def main():
    results = {}
    both = threading.Event()

    def listener(event):
        results[event.job_id] = event
        if len(results) == 2:
            both.set()

    scheduler = BackgroundScheduler(executors={"default": ProcessPoolExecutor(2)})
    scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_job(who, args=[21], id="good", misfire_grace_time=60)
    scheduler.add_job(fail, id="bad", misfire_grace_time=60)
    scheduler.start()
    assert both.wait(50), results
    scheduler.shutdown()
    double, pid = results["good"].retval
    assert double == 42
    assert pid != os.getpid()
    assert isinstance(results["bad"].exception, ValueError)
    assert "on purpose" in str(results["bad"].exception)
    print("done")


if __name__ == "__main__":
    main()
