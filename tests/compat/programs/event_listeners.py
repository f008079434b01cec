"""Listeners: masks, what the events carry, a listener that fails, and taking one away."""

import threading

from apscheduler import events
from apscheduler.schedulers.background import BackgroundScheduler

NAMES = {
    getattr(events, name): name for name in dir(events) if name.startswith("EVENT_") and name != "EVENT_ALL"
}
seen = []
outcomes = {}
both = threading.Event()


def everything(event):
    seen.append((NAMES.get(event.code, event.code), getattr(event, "job_id", event.alias)))


def broken(event):
    raise RuntimeError("a listener that fails")


def outcome(event):
    outcomes[event.job_id] = event
    if len(outcomes) == 2:
        both.set()


def good():
    return "fine"


def bad():
    raise LookupError("nothing there")


scheduler = BackgroundScheduler()
scheduler.add_listener(broken)
scheduler.add_listener(everything)
scheduler.add_listener(outcome, events.EVENT_JOB_EXECUTED | events.EVENT_JOB_ERROR)
scheduler.start()
scheduler.add_jobstore("memory", "shelf")
scheduler.add_job(good, id="good", misfire_grace_time=60)
scheduler.add_job(bad, "interval", seconds=0.2, id="bad")
assert both.wait(20), outcomes
scheduler.modify_job("bad", name="worse")
scheduler.remove_job("bad")
scheduler.remove_all_jobs()
scheduler.pause()
scheduler.resume()
scheduler.remove_jobstore("shelf")
before = len(seen)
scheduler.remove_listener(everything)
scheduler.shutdown()
assert len(seen) == before

assert outcomes["good"].retval == "fine"
assert outcomes["good"].exception is None
assert outcomes["good"].jobstore == "default"
assert isinstance(outcomes["bad"].exception, LookupError)
assert "nothing there" in repr(outcomes["bad"].exception)
assert isinstance(outcomes["bad"].traceback, str)
assert "in bad" in outcomes["bad"].traceback
assert outcomes["bad"].scheduled_run_time.tzinfo is not None


def position(code, what):
    return seen.index((code, what))


assert position("EVENT_JOB_ADDED", "good") < position("EVENT_JOB_EXECUTED", "good")
for expected in [
    ("EVENT_SCHEDULER_STARTED", None),
    ("EVENT_EXECUTOR_ADDED", "default"),
    ("EVENT_JOBSTORE_ADDED", "default"),
    ("EVENT_JOBSTORE_ADDED", "shelf"),
    ("EVENT_JOB_SUBMITTED", "good"),
    ("EVENT_JOB_REMOVED", "good"),
    ("EVENT_JOB_ERROR", "bad"),
    ("EVENT_JOB_MODIFIED", "bad"),
    ("EVENT_JOB_REMOVED", "bad"),
    ("EVENT_ALL_JOBS_REMOVED", None),
    ("EVENT_SCHEDULER_PAUSED", None),
    ("EVENT_SCHEDULER_RESUMED", None),
    ("EVENT_JOBSTORE_REMOVED", "shelf"),
]:
    assert expected in seen or (
        expected[0] == "EVENT_SCHEDULER_STARTED" and ("EVENT_SCHEDULER_START", None) in seen
    ), expected
print("done")
