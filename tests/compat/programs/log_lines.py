"""What a program finds in its log: who says what, and how loudly."""

import logging
import threading

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler

lines = []


class Keeper(logging.Handler):
    def emit(self, record):
        lines.append((record.name, record.levelname, record.getMessage()))


logging.getLogger().addHandler(Keeper())
logging.getLogger().setLevel(logging.INFO)
SCHEDULER, EXECUTOR = "apscheduler.scheduler", "apscheduler.executors.default"
release = threading.Event()
changed = threading.Condition()
told = {}


def listener(event):
    with changed:
        told.setdefault(event.code, []).append(event.job_id)
        changed.notify_all()


def wait_for(code, job_id):
    with changed:
        assert changed.wait_for(lambda: job_id in told.get(code, ()), 20), (code, told)


def wait_for_line(*wanted):
    """Some lines are written by other threads, around the event."""
    for _ in range(400):
        if any(line[:2] == wanted[:2] and wanted[2] in line[2] for line in lines):
            return
        threading.Event().wait(0.05)
    raise AssertionError((wanted, lines))


def answer():
    return 42


def fail():
    raise ValueError("on purpose")


def block():
    release.wait(20)


scheduler = BackgroundScheduler(timezone="UTC")
scheduler.add_listener(
    listener, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED | EVENT_JOB_MAX_INSTANCES
)
scheduler.add_job(answer, "interval", hours=1, id="hourly")
scheduler.start()
scheduler.add_job(answer, "interval", hours=2, id="later")
scheduler.add_job(answer, id="once", misfire_grace_time=None)
wait_for(EVENT_JOB_EXECUTED, "once")
scheduler.add_job(fail, id="failing", misfire_grace_time=None)
wait_for(EVENT_JOB_ERROR, "failing")
scheduler.add_job(block, "interval", seconds=0.3, id="blocked")
wait_for(EVENT_JOB_MAX_INSTANCES, "blocked")
wait_for_line(SCHEDULER, "WARNING", "skipped: maximum number of running instances reached (1)")
release.set()
scheduler.remove_job("blocked")
scheduler.pause()
scheduler.add_job(answer, id="late", misfire_grace_time=1)
threading.Event().wait(1.5)
release.clear()
scheduler.resume()
wait_for(EVENT_JOB_MISSED, "late")
scheduler.remove_job("later")
for wanted in [
    (SCHEDULER, "INFO", "Scheduler started"),
    (SCHEDULER, "INFO", 'Added job "answer" to job store "default"'),
    (SCHEDULER, "INFO", "Removed job once"),
    (EXECUTOR, "ERROR", "raised an exception"),
    (EXECUTOR, "WARNING", "was missed by 0:00:0"),
    (SCHEDULER, "INFO", "Paused scheduler job processing"),
    (SCHEDULER, "INFO", "Resumed scheduler job processing"),
    (SCHEDULER, "INFO", "Removed job later"),
]:
    wait_for_line(*wanted)
assert any(line[1] == "INFO" and "when the scheduler starts" in line[2] for line in lines), lines
scheduler.shutdown()
wait_for_line(SCHEDULER, "INFO", "Scheduler has been shut down")
print("done")
