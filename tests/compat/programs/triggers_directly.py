"""Triggers made and asked directly: crontab expressions, combinations, ends, calendars, and their texts."""

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from apscheduler.triggers.calendarinterval import CalendarIntervalTrigger
from apscheduler.triggers.combining import AndTrigger, OrTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

utc = timezone.utc
now = datetime(2026, 3, 4, 12, 30, 15, tzinfo=utc)


def fires(trigger, count, start=now):
    found, previous, at = [], None, start
    while len(found) < count:
        previous = trigger.get_next_fire_time(previous, at)
        if previous is None:
            break
        found.append(previous)
        at = previous
    return found


def at(*parts):
    return datetime(*parts, tzinfo=utc)


assert fires(CronTrigger(hour=3, timezone=utc), 2) == [at(2026, 3, 5, 3), at(2026, 3, 6, 3)]
assert fires(CronTrigger(minute="*/20", timezone="UTC"), 2) == [at(2026, 3, 4, 12, 40), at(2026, 3, 4, 13)]
assert fires(CronTrigger(day="last", hour="8-9", timezone=utc), 3) == [
    at(2026, 3, 31, 8),
    at(2026, 3, 31, 9),
    at(2026, 4, 30, 8),
]
assert fires(CronTrigger(month="6-8,11-12", day="3rd fri", hour="0-3", timezone=utc), 1) == [at(2026, 6, 19)]
assert fires(
    CronTrigger(day_of_week="mon-fri", hour=5, minute=30, end_date="2026-03-06 05:30:00", timezone=utc), 9
) == [
    at(2026, 3, 5, 5, 30),
    at(2026, 3, 6, 5, 30),
]
assert fires(CronTrigger(day_of_week=0, hour=1, timezone=utc), 1)[0].weekday() == 0
assert fires(CronTrigger(year=2020, timezone=utc), 1) == []
assert fires(CronTrigger.from_crontab("0 0 1-15 may-aug *", timezone=utc), 1) == [at(2026, 5, 1)]
assert fires(CronTrigger.from_crontab("30 6 * * mon-fri", timezone=utc), 1) == [at(2026, 3, 5, 6, 30)]

both = AndTrigger(
    [
        IntervalTrigger(hours=2, start_date=at(2026, 3, 4), timezone=utc),
        CronTrigger(day_of_week="sat,sun", timezone=utc),
    ]
)
either = OrTrigger(
    [
        CronTrigger(day_of_week="mon", hour=2, timezone=utc),
        CronTrigger(day_of_week="tue", hour=15, timezone=utc),
    ]
)
assert [fire.weekday() for fire in fires(either, 3)] == [0, 1, 0]
assert str(either) == "or[cron[day_of_week='mon', hour='2'], cron[day_of_week='tue', hour='15']]"
assert str(both).startswith("and[interval[2:00:00], cron[")

interval = IntervalTrigger(
    hours=1, start_date=at(2026, 3, 1, 0, 10), end_date=at(2026, 3, 4, 14, 10), timezone=utc
)
assert fires(interval, 5) == [at(2026, 3, 4, 13, 10), at(2026, 3, 4, 14, 10)]
assert fires(IntervalTrigger(seconds=10, timezone=utc), 1) == [now + timedelta(seconds=10)] or fires(
    IntervalTrigger(seconds=10, start_date=now, timezone=utc), 2
) == [now, now + timedelta(seconds=10)]
assert str(IntervalTrigger(minutes=5)) == "interval[0:05:00]"
assert str(IntervalTrigger(days=1)) == "interval[1 day, 0:00:00]"

once = DateTrigger(date(2026, 11, 6), timezone=utc)
assert once.get_next_fire_time(None, now) == at(2026, 11, 6)
assert once.get_next_fire_time(at(2026, 11, 6), now) is None
assert str(once) == "date[2026-11-06 00:00:00 UTC]"

monthly = CalendarIntervalTrigger(months=1, hour=9, start_date=date(2026, 3, 31), timezone=utc)
assert fires(monthly, 2) == [at(2026, 3, 31, 9), at(2026, 5, 31, 9)]

berlin = ZoneInfo("Europe/Berlin")
assert fires(CronTrigger(hour=9, timezone=berlin), 1)[0] == datetime(2026, 3, 5, 9, tzinfo=berlin)
assert str(CronTrigger(hour=9, minute="*/5")) == "cron[hour='9', minute='*/5']"
for wrong in [dict(hour=24), dict(minute="61"), dict(day_of_week="someday"), dict(month="13")]:
    try:
        CronTrigger(**wrong)
    except ValueError:
        pass
    else:
        raise AssertionError(wrong)
print("done")
