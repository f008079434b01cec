"""A job that fails is logged with its traceback and stays on the schedule; SystemExit is a failure like others."""

import logging
import sys
import threading

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.schedulers.background import BackgroundScheduler

records = []


class Keep(logging.Handler):
    def emit(self, record):
        records.append(record)


logging.getLogger("apscheduler.executors.default").addHandler(Keep())
failures = {}
enough = threading.Event()


def listener(event):
    failures.setdefault(event.job_id, []).append(type(event.exception).__name__)
    if all(len(failures.get(name, [])) >= 2 for name in ("divide", "exit")):
        enough.set()


def divide():
    return 1 / 0


def leave():
    sys.exit(3)


scheduler = BackgroundScheduler()
scheduler.add_listener(listener, EVENT_JOB_ERROR)
scheduler.add_job(divide, "interval", seconds=0.1, id="divide")
scheduler.add_job(leave, "interval", seconds=0.1, id="exit")
scheduler.start()
assert enough.wait(20), failures
assert {job.id for job in scheduler.get_jobs()} == {"divide", "exit"}
scheduler.shutdown()
assert set(failures["divide"]) == {"ZeroDivisionError"}
assert set(failures["exit"]) == {"SystemExit"}
assert any(record.levelno == logging.ERROR and record.exc_info for record in records)
assert any("divide" in record.getMessage() for record in records)
print("done")
