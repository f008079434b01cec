"""Attributes of triggers that programs assign to a trigger before they add a job with it, or reschedule one."""

from datetime import datetime, timedelta, timezone

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

UTC = timezone.utc  # noqa: UP017  # as programs write it
START, END = datetime(2035, 5, 5, 12, tzinfo=UTC), datetime(2035, 5, 7, 12, tzinfo=UTC)


class Later(CronTrigger):
    """A trigger with a slot of its own and another time."""

    __slots__ = ("expression",)

    def get_next_fire_time(self, previous_fire_time, now):
        found = super().get_next_fire_time(previous_fire_time, now)
        return found and found + timedelta(seconds=7)


def work():
    pass


def times(trigger):
    found, previous = [], None
    while len(found) < 5:
        previous = trigger.get_next_fire_time(previous, previous or datetime(2030, 1, 1, tzinfo=UTC))
        if previous is None:
            break
        found.append(previous)
    return found


cron = CronTrigger.from_crontab("0 9 * * *", timezone=UTC)
cron.start_date = START
cron.end_date = END
assert times(cron) == [datetime(2035, 5, day, 9, tzinfo=UTC) for day in (6, 7)], times(cron)
assert (cron.start_date, cron.end_date) == (START, END)
cron.jitter = 60
assert cron.jitter == 60
cron.jitter = None

interval = IntervalTrigger(days=1, timezone=UTC)
interval.start_date = START
interval.end_date = END
assert times(interval) == [START, START + timedelta(days=1), END], times(interval)
interval.jitter = 5
assert interval.jitter == 5
interval.jitter = None

date = DateTrigger(START, timezone=UTC)
date.run_date = END
assert times(date)[:1] == [END]

later = Later.from_crontab("0 9 * * *", timezone=UTC)
later.expression = "0 9 * * *"
later.start_date = START
assert type(later) is Later
assert later.expression == "0 9 * * *"
assert times(later)[0] == datetime(2035, 5, 6, 9, 0, 7, tzinfo=UTC)

zoned = CronTrigger(hour=9, timezone=UTC)
zoned.timezone = timezone(timedelta(hours=2))
assert times(zoned)[0].utcoffset() == timedelta(hours=2)
assert times(zoned)[0].hour == 9

scheduler = BackgroundScheduler(timezone=UTC)
scheduler.start(paused=True)
assert scheduler.add_job(work, cron).next_run_time == datetime(2035, 5, 6, 9, tzinfo=UTC)
assert scheduler.add_job(work, interval).next_run_time == START
job = scheduler.add_job(work, date, id="once")
assert job.next_run_time == END
job.trigger.run_date = START
job.reschedule(trigger=job.trigger)
assert scheduler.get_job("once").next_run_time == START
scheduler.shutdown()
print("done")
