"""What was missed: one run when coalesced (for the latest time), every one otherwise, none when it is too late."""

import threading
from datetime import datetime, timedelta, timezone

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MISSED
from apscheduler.schedulers.background import BackgroundScheduler

now = datetime.now(timezone.utc)
start = now - timedelta(hours=5, minutes=30)
executed, missed = {}, {}
complete = threading.Event()


def listener(event):
    where = missed if event.code == EVENT_JOB_MISSED else executed
    where.setdefault(event.job_id, []).append(event.scheduled_run_time)
    if len(executed.get("each", [])) == 6 and "once" in executed and "late" in missed:
        complete.set()


def job():
    pass


scheduler = BackgroundScheduler(timezone=timezone.utc)
scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_MISSED)
common = dict(hours=1, start_date=start, next_run_time=start)
scheduler.add_job(job, "interval", id="once", coalesce=True, misfire_grace_time=None, **common)
scheduler.add_job(job, "interval", id="each", coalesce=False, misfire_grace_time=None, **common)
scheduler.add_job(job, "interval", id="late", coalesce=True, misfire_grace_time=60, **common)
scheduler.start()
assert complete.wait(20), (executed, missed)
scheduler.shutdown()
hours = [start + timedelta(hours=hour) for hour in range(6)]
assert executed["once"] == [hours[-1]], executed["once"]
assert executed["each"] == hours, executed["each"]
assert "late" not in executed
assert executed["each"][0].utcoffset() is not None
print("done")
