"""Jobs and listeners that call the scheduler: nothing may dead-lock."""

import threading

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED
from apscheduler.schedulers.background import BackgroundScheduler

scheduler = BackgroundScheduler()
log = []
ended = threading.Event()


def first():
    log.append("first")
    scheduler.remove_job("first")
    scheduler.add_job(second, "interval", seconds=0.1, id="second")


def second():
    log.append("second")
    scheduler.reschedule_job("second", trigger="interval", hours=1)
    scheduler.modify_job("second", name="renamed")


def last():
    log.append("last")
    scheduler.shutdown(wait=False)
    ended.set()


def listener(event):
    if event.code == EVENT_JOB_EXECUTED and event.job_id == "second":
        log.append(scheduler.get_job("second").name)
        scheduler.remove_job("second")
    elif event.code == EVENT_JOB_REMOVED and event.job_id == "second":
        scheduler.add_job(last, id="last", misfire_grace_time=60)


scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_REMOVED)
scheduler.add_job(first, "interval", seconds=0.1, id="first")
scheduler.start()
assert ended.wait(20), log
assert log == ["first", "second", "renamed", "last"], log
assert not scheduler.running
print("done")
