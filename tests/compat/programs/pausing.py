"""Pausing and resuming jobs and the scheduler; rescheduling and modifying."""

import threading
from datetime import datetime, timedelta, timezone

from apscheduler.schedulers.background import BackgroundScheduler

ran = threading.Event()


def job():
    ran.set()


scheduler = BackgroundScheduler(timezone=timezone.utc)
pending = scheduler.add_job(job, "interval", hours=1, id="pending")
assert pending.pending
scheduler.start(paused=True)
assert not scheduler.get_job("pending").pending
scheduler.remove_job("pending")

handle = scheduler.add_job(job, "interval", seconds=0.1, id="j")
assert handle.next_run_time is not None
handle.pause()
assert scheduler.get_job("j").next_run_time is None
scheduler.resume()
assert not ran.wait(0.4)
scheduler.resume_job("j")
assert ran.wait(20)

scheduler.pause()
now = datetime.now(timezone.utc)
job_again = scheduler.reschedule_job("j", trigger="cron", minute="*/5")
assert str(job_again.trigger) == "cron[minute='*/5']"
assert now < job_again.next_run_time <= now + timedelta(minutes=5, seconds=1)
handle = scheduler.get_job("j")
planned = handle.next_run_time
assert handle.modify(max_instances=6, name="Alternate name") is handle
assert (scheduler.get_job("j").max_instances, scheduler.get_job("j").name) == (6, "Alternate name")
assert scheduler.get_job("j").next_run_time == planned
handle.reschedule("interval", minutes=2)
assert scheduler.get_job("j").trigger.interval == timedelta(minutes=2)

added_paused = scheduler.add_job(job, "interval", hours=1, next_run_time=None, id="paused")
assert added_paused.next_run_time is None
assert [found.id for found in scheduler.get_jobs()] == ["j", "paused"]
over = scheduler.add_job(
    job, "interval", hours=1, end_date=now + timedelta(hours=2), next_run_time=None, id="over"
)
over.modify(trigger=scheduler._create_trigger("date", {"run_date": now - timedelta(days=1)}))
assert scheduler.resume_job("paused") is not None
scheduler.shutdown()
print("done")
