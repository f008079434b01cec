"""Zones by name, from zoneinfo, pytz and dateutil; naive times are read in the scheduler's zone."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytz
from dateutil import tz

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger


def job():
    pass


noon = datetime(2100, 1, 1, 12)
for zone in [
    "Asia/Tokyo",
    ZoneInfo("Asia/Tokyo"),
    pytz.timezone("Asia/Tokyo"),
    tz.gettz("Asia/Tokyo"),
    timezone(timedelta(hours=9)),
]:
    scheduler = BackgroundScheduler(timezone=zone)
    scheduler.start(paused=True)
    added = scheduler.add_job(job, "date", run_date=noon)
    assert added.next_run_time == datetime(2100, 1, 1, 3, tzinfo=timezone.utc), (zone, added.next_run_time)
    daily = scheduler.add_job(job, "cron", hour=12)
    assert daily.next_run_time.astimezone(timezone.utc).hour == 3, (zone, daily.next_run_time)
    aware = scheduler.add_job(job, "date", run_date=noon.replace(tzinfo=timezone.utc))
    assert aware.next_run_time == noon.replace(tzinfo=timezone.utc)
    own = scheduler.add_job(job, CronTrigger(hour=12, timezone="UTC"))
    assert own.next_run_time.astimezone(timezone.utc).hour == 12
    scheduler.shutdown()
print("done")
