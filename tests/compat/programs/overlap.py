"""A job that is still running is not started again: a warning and an event say so."""

import logging
import threading

from apscheduler.events import EVENT_JOB_MAX_INSTANCES
from apscheduler.schedulers.background import BackgroundScheduler

messages = []


class Keep(logging.Handler):
    def emit(self, record):
        messages.append((record.name, record.levelname, record.getMessage()))


logging.getLogger("apscheduler").addHandler(Keep())
started, release, refused = [], threading.Event(), threading.Event()


def slow():
    started.append(1)
    release.wait(20)


def on_refusal(event):
    assert event.job_id == "slow"
    assert len(event.scheduled_run_times) == 1
    if len(started) == 2:
        refused.set()


scheduler = BackgroundScheduler()
scheduler.add_listener(on_refusal, EVENT_JOB_MAX_INSTANCES)
scheduler.add_job(slow, "interval", seconds=0.1, id="slow", max_instances=2)
scheduler.start()
assert refused.wait(20), started
assert len(started) == 2
scheduler.remove_job("slow")
release.set()
scheduler.shutdown()
assert any(
    level == "WARNING" and "maximum number of running instances reached" in text
    for _, level, text in messages
), messages
print("done")
