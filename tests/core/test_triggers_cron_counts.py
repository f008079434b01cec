"""What a cron trigger counts and finds backwards is what it fires one after another, over each kind of change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from rota.clock import HOUR, SECOND, instant, moment
from rota.triggers.cron import CronTrigger
from tests.present import present

POLICIES = ["vixie", "wall", "gap-end", "shift"]
SCHEDULES = [
    "30 2 * * *",
    "*/30 2 * * *",
    "0 * * * *",
    "*/20 1-3 * * *",
    "15 2,3 * * *",
    "0 0 * * *",
    "30 12 * * *",
]
#: zone and the days on which its clocks go forward and back
CHANGES = [
    ("Europe/Berlin", "2026-03-29", "2026-10-25"),
    ("Australia/Lord_Howe", "2026-10-04", "2026-04-05"),
    ("Antarctica/Casey", "2009-10-18", "2010-03-05"),
]


def at(text, zone, fold=0):
    return instant(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold))


def fires(trigger, first, end):
    """Return the times from the first on, asked for one after another."""
    found = []
    time = first
    while time is not None and time <= end:
        found.append(time)
        time = trigger.after(time, time)
    return found


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("zone", "day"), [(zone, day) for zone, *days in CHANGES for day in days])
def test_what_is_counted_is_what_fires(policy, schedule, zone, day):
    trigger = CronTrigger.from_crontab(schedule, zone, dst=policy)
    middle = at(f"{day} 12:00", zone)
    times = fires(trigger, trigger.after(middle - 50 * HOUR), middle + 50 * HOUR)
    assert times
    for begin in (0, len(times) // 2, len(times) - 1):
        times_on = fires(trigger, times[begin], times[-1])
        for number, time in enumerate(times_on, 1):
            assert trigger.latest(times_on[0], time) == (time, number)
            assert trigger.latest(times_on[0], time + SECOND) == (time, number)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize(("zone", "day"), [(zone, day) for zone, *days in CHANGES for day in days])
def test_what_is_found_backwards_is_what_fires(policy, schedule, zone, day):
    trigger = CronTrigger.from_crontab(schedule, zone, dst=policy)
    middle = at(f"{day} 12:00", zone)
    times = fires(trigger, trigger.after(middle - 50 * HOUR), middle + 50 * HOUR)
    for before, time in zip([None, *times], times, strict=False):
        assert trigger.at_or_before(time) == time
        assert before is None or trigger.at_or_before(time - 1) == before


def test_a_schedule_that_begins_with_the_second_pass_has_all_of_it():
    trigger = CronTrigger.from_crontab("0,30 2 * * *", "Europe/Berlin", dst="gap-end")
    begin = at("2026-10-25 02:00", "Europe/Berlin", fold=1)
    daily = CronTrigger.from_crontab("30 2 * * *", "Europe/Berlin")
    for each, time in ((trigger, begin), (daily, begin)):
        assert each.after(time, time) == begin + HOUR // 2


def test_the_longest_gap_that_is_caught_up_with_is_three_hours():
    """Casey went from 02:00 to 05:00."""
    trigger = CronTrigger.from_crontab("30 3 * * *", "Antarctica/Casey")
    assert trigger.after(at("2009-10-18 01:00", "Antarctica/Casey")) == at(
        "2009-10-18 05:00", "Antarctica/Casey"
    )


@pytest.mark.parametrize("year", [2025, 2026])
def test_a_time_of_the_other_season_has_the_offset_of_that_season(year):
    for month, hour in ((1, 11), (7, 10)):
        trigger = CronTrigger(month=month, day=1, hour=12, timezone="Europe/Berlin")
        found = instant(datetime(year, month, 1, hour, tzinfo=UTC))
        for asked in (datetime(year, month, 3, tzinfo=UTC), datetime(year, month + 5, 20, tzinfo=UTC)):
            assert moment(present(trigger.at_or_before(instant(asked)))) == moment(found)
        before = datetime(year - 1, month + 1, 2, tzinfo=UTC)
        assert moment(present(trigger.after(instant(before)))) == moment(found)


def test_the_last_time_is_none_after_the_end_date():
    end = datetime(2026, 1, 3, 12, tzinfo=UTC)
    trigger = CronTrigger(hour=12, timezone=UTC, end_date=end)
    assert trigger.at_or_before(instant(end) + 1000 * HOUR) == instant(end)
    assert trigger.at_or_before(instant(end)) == instant(end)
    assert trigger.at_or_before(instant(end) - 1) == instant(end) - 24 * HOUR


def test_days_are_a_union_with_weekdays_if_the_first_of_them_is_no_star():
    union = CronTrigger.from_crontab("0 0 1,*/10 * MON", UTC)
    both = CronTrigger.from_crontab("0 0 */10,1 * MON", UTC)
    begin = instant(datetime(2026, 6, 30, 12, tzinfo=UTC))
    assert moment(present(union.after(begin))).day == 1
    assert moment(present(both.after(begin))).strftime("%a") == "Mon"


def test_a_drawn_day_from_the_last_one_of_every_month_on_is_any_later_one():
    days = {CronTrigger.from_crontab("0 0 29~ * *", UTC, seed=str(seed)).fields[2] for seed in range(40)}
    assert {str(day) for day in days} == {"29", "30", "31"}
    assert {
        str(CronTrigger.from_crontab("0 0 28~ * *", UTC, seed=str(seed)).fields[2]) for seed in range(20)
    } == {"28"}
