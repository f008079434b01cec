"""Programs that derive from built-in classes and override what they need: a trigger with holidays, a scheduler that keeps notes."""

import threading
from datetime import datetime, timedelta, timezone

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

utc = timezone.utc


class ExceptHolidays(CronTrigger):
    holidays = {(12, 25)}

    def get_next_fire_time(self, previous_fire_time, now):
        moment = super().get_next_fire_time(previous_fire_time, now)
        while moment is not None and (moment.month, moment.day) in self.holidays:
            moment = super().get_next_fire_time(moment, moment)
        return moment


class Hurried(IntervalTrigger):
    """Fires a hundred times as often as its interval says."""

    def get_next_fire_time(self, previous_fire_time, now):
        return (previous_fire_time or now) + self.interval / 100


class NotingScheduler(BackgroundScheduler):
    def __init__(self, *args, **kwargs):
        self.added, self.events, self.woken = [], [], 0
        super().__init__(*args, **kwargs)

    def add_job(self, func, *args, **kwargs):
        job = super().add_job(func, *args, **kwargs)
        self.added.append(job.id)
        return job

    def wakeup(self):
        self.woken += 1
        super().wakeup()

    def _dispatch_event(self, event):
        self.events.append(event.code)
        super()._dispatch_event(event)


def job():
    pass


eve = datetime(2026, 12, 24, 9, tzinfo=utc)
trigger = ExceptHolidays(hour=8, timezone=utc)
assert trigger.get_next_fire_time(None, eve) == datetime(2026, 12, 26, 8, tzinfo=utc)

seen = []
ran = threading.Event()


def hurry():
    seen.append(datetime.now(utc))
    if len(seen) == 3:
        ran.set()


scheduler = NotingScheduler(timezone=utc)
scheduler.start()
scheduler.add_job(job, trigger, id="yearly", next_run_time=None)
scheduler.add_job(hurry, Hurried(seconds=10, timezone=utc), id="hurried")
assert ran.wait(9), seen
after = scheduler.add_job(job, Hurried(hours=100, timezone=utc), id="later")
assert after.next_run_time - datetime.now(utc) <= timedelta(hours=1)
scheduler.shutdown()
assert scheduler.added == ["yearly", "hurried", "later"]
assert scheduler.woken >= 1
assert EVENT_JOB_EXECUTED in scheduler.events
print("done")
