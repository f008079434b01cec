"""What can be built today can be built on every other day: no constructor refuses what is over by now."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rota.clock import SYSTEM_CLOCK, instant
from rota.errors import NeverFiresError, TriggerError
from rota.triggers import trigger_from_spec
from rota.triggers.base import BaseTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger

END = "2026-12-31"
DAYS = [
    instant(datetime(*day, tzinfo=UTC))
    for day in ((1971, 1, 1), (2026, 12, 30), (2027, 1, 1), (2028, 2, 29), (2027, 5, 31), (9990, 1, 1))
]

OVER_SOME_DAY = [
    lambda: CronTrigger(year=2026, timezone="UTC"),
    lambda: CronTrigger(hour=3, end_date=END, timezone="UTC"),
    lambda: CronTrigger.from_crontab("0 0 3 * * * 2026", "UTC"),
    lambda: CronTrigger.from_crontab("0 0 3 * * ? 2020-2026", "UTC", dialect="quartz"),
    lambda: IntervalTrigger(hours=1, end_date=END, timezone="UTC"),
    lambda: IntervalTrigger(hours=1, first="aligned", end_date=END, timezone="UTC"),
    lambda: CalendarIntervalTrigger(days=1, end_date=END, timezone="UTC"),
    lambda: RRuleTrigger("FREQ=DAILY;UNTIL=20261231T000000Z", timezone="UTC"),
    lambda: RRuleTrigger("FREQ=YEARLY;BYMONTH=2", timezone="UTC"),
    lambda: RRuleTrigger("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", timezone="UTC"),
    lambda: RRuleTrigger("FREQ=MONTHLY;INTERVAL=12;BYMONTH=3;COUNT=4", timezone="UTC"),
    lambda: BusinessDayTrigger(1, end_date=END, timezone="UTC"),
    lambda: DateTrigger(END, "UTC"),
    lambda: DateTrigger(END, "UTC") & CalendarIntervalTrigger(days=1, timezone="UTC"),
    lambda: AndTrigger([RRuleTrigger("FREQ=DAILY", timezone="UTC").on("thu"), DateTrigger(END, "UTC")]),
    lambda: OrTrigger(
        [DateTrigger(END, "UTC"), CalendarIntervalTrigger(days=1, end_date=END, timezone="UTC")]
    ),
    lambda: CronTrigger(year=2026, timezone="UTC") - CronTrigger(day=1, timezone="UTC"),
    lambda: CalendarIntervalTrigger(days=1, end_date=END, timezone="UTC").until(END).limit(3),
]


@pytest.fixture
def on_day(monkeypatch):
    def set_clock(day: int) -> None:
        monkeypatch.setattr(type(SYSTEM_CLOCK), "now", lambda self: day)

    return set_clock


@pytest.mark.slow
@pytest.mark.parametrize("make", OVER_SOME_DAY)
def test_a_schedule_that_is_over_is_built_stored_and_explained_and_has_no_times(make, on_day):
    for day in DAYS:
        on_day(day)
        trigger = make()
        assert isinstance(trigger, BaseTrigger)
        spec = trigger.spec()
        assert spec is not None
        assert trigger_from_spec(spec) == trigger
        assert trigger.explain()
        assert trigger.explain("vi")
        assert isinstance(trigger.lint("Europe/Berlin", 2030), list)


def test_a_schedule_that_is_over_has_no_times_to_come(on_day):
    on_day(DAYS[2])
    for trigger in (
        CronTrigger.from_crontab("0 0 3 * * * 2026", "UTC"),
        CalendarIntervalTrigger(days=1, end_date=END, timezone="UTC"),
        RRuleTrigger("FREQ=DAILY;UNTIL=20261231T000000Z", timezone="UTC"),
    ):
        assert trigger.first(DAYS[2]) is None
        assert trigger.next(1, "1980-01-01") == [] or trigger.next(1, "1980-01-01")[0].year == 2026


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: CronTrigger(day=30, month=2, timezone="UTC"),
        lambda: CronTrigger.from_crontab("0 0 30 2 *", "UTC"),
        lambda: RRuleTrigger("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", timezone="UTC"),
        lambda: RRuleTrigger("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", timezone="UTC"),
        lambda: DateTrigger("2026-12-31 03:00", "UTC") & CronTrigger(hour=4, timezone="UTC"),
    ],
)
def test_what_never_fires_whatever_the_year_is_refused_on_every_day(make, on_day):
    for day in (DAYS[0], DAYS[-1]):
        on_day(day)
        with pytest.raises(NeverFiresError):
            make()


def test_bounds_that_were_both_given_and_contradict_each_other_are_refused():
    with pytest.raises(TriggerError, match="end_date cannot be earlier than start_date"):
        CalendarIntervalTrigger(days=1, start_date="2026-12-31", end_date="2026-12-30", timezone="UTC")
    with pytest.raises(NeverFiresError, match="has no time from 2026-12-31"):
        RRuleTrigger("FREQ=DAILY;UNTIL=20261201", datetime(2026, 12, 31), UTC)
