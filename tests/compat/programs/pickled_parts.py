"""Triggers and jobs' states survive pickling, as stores of third parties pickle them."""

import pickle
from datetime import date, datetime, timezone

from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

utc = timezone.utc
now = datetime(2026, 5, 1, 12, tzinfo=utc)


class Worker:
    def __init__(self, name):
        self.name = name

    def work(self, times):
        return self.name * times


for trigger in [
    CronTrigger(hour=3, day="last", timezone="Europe/Berlin", start_date="2026-01-01 00:00:00", jitter=None),
    IntervalTrigger(minutes=7, start_date="2026-01-01 00:00:00", timezone=utc),
    DateTrigger("2100-01-01 00:00:00", timezone=utc),
    CalendarIntervalTrigger(months=1, start_date=date(2026, 6, 1), timezone=utc),
    AndTrigger([CronTrigger(hour=3, timezone=utc), CronTrigger(day_of_week="mon", hour=3, timezone=utc)]),
    OrTrigger([CronTrigger(hour=3, timezone=utc), IntervalTrigger(hours=5, start_date=now, timezone=utc)]),
]:
    twin = pickle.loads(pickle.dumps(trigger, pickle.HIGHEST_PROTOCOL))
    assert str(twin) == str(trigger)
    assert twin.get_next_fire_time(None, now) == trigger.get_next_fire_time(None, now), trigger

scheduler = BackgroundScheduler(timezone=utc)
scheduler.start(paused=True)
worker = Worker("ab")
job = scheduler.add_job(worker.work, "cron", hour=3, args=[2], id="j", name="a name", max_instances=4)
state = pickle.loads(pickle.dumps(job.__getstate__()))
twin = Job.__new__(Job)
twin.__setstate__(state)
assert (twin.id, twin.name, twin.max_instances, twin.next_run_time) == ("j", "a name", 4, job.next_run_time)
assert twin.func(*twin.args, **twin.kwargs) == "abab"
try:
    pickle.dumps(scheduler)
except TypeError:
    pass
else:
    raise AssertionError("a scheduler was pickled")
scheduler.shutdown()
print("done")
