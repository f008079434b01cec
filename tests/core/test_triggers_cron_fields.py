"""Cron fields by keyword: APScheduler's readings, messages and forms; and what it read wrongly."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.errors import CronError, NeverFiresError, TriggerError
from rota.triggers.cron import CronTrigger
from rota.triggers.cron.expressions import (
    AllExpression,
    LastDayOfMonthExpression,
    MonthRangeExpression,
    RangeExpression,
    WeekdayPositionExpression,
    WeekdayRangeExpression,
)
from rota.triggers.cron.fields import BaseField, DayOfMonthField, DayOfWeekField, MonthField, WeekField

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def next_after(trigger: CronTrigger, text: str) -> str | None:
    found = trigger.get_next_fire_time(None, datetime.fromisoformat(text).replace(tzinfo=UTC))
    return None if found is None else found.replace(tzinfo=None).isoformat(sep=" ")


@pytest.mark.parametrize(
    ("fields", "now", "wanted"),
    [
        ({"year": "2009/2", "month": "1-4/3", "day": "5-6"}, "2008-12-01", "2009-01-05 00:00:00"),
        ({"year": "2009/2", "month": "1-4/3", "day": "5-6"}, "2009-10-14", "2011-01-05 00:00:00"),
        ({"year": "2009", "month": "feb-dec", "hour": "8-10"}, "2009-01-01", "2009-02-01 08:00:00"),
        ({"month": "1-12/3", "hour": 3}, "2009-02-01", "2009-04-01 03:00:00"),
        ({"day": "last"}, "2026-02-03", "2026-02-28 00:00:00"),
        ({"day": "LAST", "month": 2}, "2027-03-01", "2028-02-29 00:00:00"),
        ({"day": "2nd fri"}, "2026-11-01", "2026-11-13 00:00:00"),
        ({"day": "1st mon, 3rd Mon"}, "2026-11-03", "2026-11-16 00:00:00"),
        ({"day": "5th sun"}, "2026-11-30", "2027-01-31 00:00:00"),
        ({"day": "last wed,10", "hour": 7}, "2026-11-11", "2026-11-25 07:00:00"),
        ({"week": 8}, "2009-01-01", "2009-02-16 00:00:00"),
        ({"week": 53}, "2026-01-01", "2026-12-28 00:00:00"),
        ({"week": "53", "day_of_week": "sun"}, "2026-06-01", "2027-01-03 00:00:00"),
        ({"week": 15, "day_of_week": 2}, "2009-01-01", "2009-04-08 00:00:00"),
        ({"day_of_week": 0}, "2026-11-03", "2026-11-09 00:00:00"),
        ({"day_of_week": "fri-mon", "hour": 5}, "2026-11-03", "2026-11-06 05:00:00"),
        ({"day_of_week": "5-1"}, "2026-11-03 00:00:01", "2026-11-07 00:00:00"),
        ({"day": "6-10", "day_of_week": "0,4", "month": 1}, "2009-01-01", "2009-01-09 00:00:00"),
        ({"minute": "*/5"}, "2026-11-03 10:02:03", "2026-11-03 10:05:00"),
        ({"hour": "0-0/3"}, "2026-11-03 10:02:03", "2026-11-04 00:00:00"),
        ({"hour": "5/2"}, "2026-11-03 06:00", "2026-11-03 07:00:00"),
        ({"second": "*/10"}, "2026-11-03 10:02:03.5", "2026-11-03 10:02:10"),
        ({"minute": 0, "second": "30 , 45"}, "2026-11-03 10:00:31", "2026-11-03 10:00:45"),
        ({}, "2026-11-03 10:02:03.5", "2026-11-03 10:02:04"),
        ({"year": 2020}, "2026-11-03", None),
        ({"year": 2009, "month": 1, "day": "6-10", "day_of_week": "0,6"}, "2009-01-01", None),
    ],
)
def test_fields_match_as_in_apscheduler(fields, now, wanted):
    assert next_after(CronTrigger(**fields, timezone=UTC), now) == wanted


def test_a_time_that_matches_now_is_the_first_time_and_not_the_next():
    trigger = CronTrigger(minute="*/5", timezone=UTC)
    now = datetime(2026, 11, 3, 10, 5, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, now) == now
    assert trigger.get_next_fire_time(now, now) == now + timedelta(minutes=5)


def test_a_now_before_the_previous_time_starts_again_at_now():
    trigger = CronTrigger(minute="*/5", timezone=UTC)
    now = datetime(2026, 11, 3, 10, 5, tzinfo=UTC)
    assert trigger.get_next_fire_time(now + timedelta(hours=2), now) == now


def test_start_and_end_are_included():
    start, end = datetime(2026, 11, 3, 10, 5, tzinfo=UTC), datetime(2026, 11, 3, 10, 10, tzinfo=UTC)
    trigger = CronTrigger(minute="*/5", start_date=start, end_date=end)
    assert trigger.timezone is UTC
    assert trigger.get_next_fire_time(None, datetime(2020, 1, 1, tzinfo=UTC)) == start
    assert trigger.get_next_fire_time(start, start) == end
    assert trigger.get_next_fire_time(end, end) is None


@pytest.mark.parametrize(
    ("fields", "message", "item", "column"),
    [
        ({"year": "2-fap"}, 'Unrecognized expression "2-fap" for field "year"', "2-fap", 1),
        ({"second": "5,*/0"}, "Increment must be higher than 0", "*/0", 3),
        (
            {"day": "*/31"},
            "Error validating expression '*/31': the step value (31) is higher than the total range of the expression (30)",
            "*/31",
            1,
        ),
        (
            {"day": "4-6/3"},
            "Error validating expression '4-6/3': the step value (3) is higher than the total range of the expression (2)",
            "4-6/3",
            1,
        ),
        (
            {"hour": "0-24"},
            "Error validating expression '0-24': the last value (24) is higher than the maximum value (23)",
            "0-24",
            1,
        ),
        (
            {"hour": 24},
            "Error validating expression '24': the last value (24) is higher than the maximum value (23)",
            "24",
            1,
        ),
        (
            {"day": "0-3"},
            "Error validating expression '0-3': the first value (0) is lower than the minimum value (1)",
            "0-3",
            1,
        ),
        (
            {"year": "2009-2008"},
            "The minimum value in a range must not be higher than the maximum",
            "2009-2008",
            1,
        ),
        (
            {"month": "dec-jan"},
            "The minimum value in a range must not be higher than the maximum",
            "dec-jan",
            1,
        ),
        ({"month": "foo"}, 'Invalid month name "foo"', "foo", 1),
        ({"day_of_week": "fri-xyz"}, 'Invalid weekday name "xyz"', "fri-xyz", 1),
        ({"day": "2nd foo"}, 'Invalid weekday name "foo"', "2nd foo", 1),
        ({"day_of_week": "7"}, "the last value (7) is higher than the maximum value (6)", "7", 1),
        ({"minute": ""}, 'Unrecognized expression ""', "", 1),
        ({"minute": "5,,6"}, 'Unrecognized expression ""', "", 3),
        ({"minute": "1, x"}, 'Unrecognized expression "x"', "x", 4),
        ({"hour": "٣"}, 'Unrecognized expression "٣"', "٣", 1),
        ({"hour": True}, 'Unrecognized expression "True"', "True", 1),
        ({"hour": -1}, 'Unrecognized expression "-1"', "-1", 1),
    ],
)
def test_a_wrong_field_is_refused_with_field_item_and_column(fields, message, item, column):
    with pytest.raises(CronError) as caught:
        CronTrigger(**fields, timezone=UTC)
    assert message in str(caught.value)
    (name,) = fields
    assert (caught.value.field, caught.value.item, caught.value.column) == (name, item, column)


@pytest.mark.parametrize(
    "fields",
    [
        {"day_of_week": "mon#2"},
        {"day_of_week": "mon-fri/2x"},
        {"day_of_week": "mon-fri/2"},
        {"day": "lastfoo"},
        {"day": "last-3"},
        {"day": "2nd fri x"},
        {"day": "L"},
        {"day": "15W"},
        {"month": "jan-mar!"},
    ],
)
def test_text_that_apscheduler_ignored_in_silence_is_refused(fields):
    with pytest.raises(CronError):
        CronTrigger(**fields, timezone=UTC)


def test_unknown_fields_and_policies_are_refused():
    with pytest.raises(TypeError):
        CronTrigger(second=0, third=1)  # type: ignore[call-arg]
    with pytest.raises(TriggerError, match="did you mean 'vixie'"):
        CronTrigger(hour=3, dst="vixi")


@pytest.mark.parametrize(
    "fields",
    [
        {"month": 2, "day": 30},
        {"month": "4,6", "day": 31},
        {"week": 1, "month": 6},
        {"month": 2, "day": "5th mon", "week": 1},
    ],
)
def test_a_date_that_no_year_has_is_refused(fields):
    with pytest.raises(NeverFiresError, match="in any year"):
        CronTrigger(**fields, timezone=UTC)


def test_a_date_that_few_years_have_is_found():
    trigger = CronTrigger(month=2, day=29, day_of_week="mon", timezone=UTC)
    assert next_after(trigger, "2026-01-01") == "2044-02-29 00:00:00"
    assert (
        next_after(CronTrigger(month=2, day="5th mon", timezone=UTC), "2088-03-01") == "2112-02-29 00:00:00"
    )
    assert next_after(CronTrigger(year="*/1000", timezone=UTC), "2971-01-01") == "3970-01-01 00:00:00"


def test_forms_and_defaults_are_those_of_apscheduler():
    trigger = CronTrigger(
        month="1-12/2", hour=3, minute="*/5", day_of_week="MON-fri", timezone="Europe/Berlin"
    )
    assert str(trigger) == "cron[month='1-12/2', day_of_week='mon-fri', hour='3', minute='*/5']"
    start = datetime(2026, 1, 1, tzinfo=UTC)
    trigger = CronTrigger(
        hour="3", start_date=start, end_date="2027-01-01", timezone="Europe/Berlin", jitter=5
    )
    assert repr(trigger) == (
        "CronTrigger(hour='3', start_date='2026-01-01T01:00:00+01:00', end_date='2027-01-01T00:00:00+01:00', "
        "timezone='Europe/Berlin', jitter=5)"
    )
    assert [str(field) for field in trigger.fields] == ["*", "*", "*", "*", "*", "3", "0", "0"]
    assert [field.is_default for field in trigger.fields] == [True] * 5 + [False, True, True]
    assert [field.name for field in trigger.fields] == list(CronTrigger.FIELD_NAMES)
    kinds = [
        BaseField,
        MonthField,
        DayOfMonthField,
        WeekField,
        DayOfWeekField,
        BaseField,
        BaseField,
        BaseField,
    ]
    assert [type(field) for field in trigger.fields] == kinds
    assert [CronTrigger.FIELDS_MAP[name] for name in CronTrigger.FIELD_NAMES] == kinds
    assert CronTrigger(day=2, timezone=UTC) == CronTrigger(day="2", timezone="UTC")
    assert hash(CronTrigger(day=2, timezone=UTC)) == hash(CronTrigger(day="2", timezone="UTC"))
    assert CronTrigger(day=2, timezone=UTC) != CronTrigger(day=2, timezone="Europe/Berlin")


@pytest.mark.parametrize(
    ("expression", "text", "shown"),
    [
        (AllExpression(), "*", "AllExpression(None)"),
        (AllExpression(5), "*/5", "AllExpression(5)"),
        (RangeExpression(3), "3", "RangeExpression(3)"),
        (RangeExpression(3, 5), "3-5", "RangeExpression(3, 5)"),
        (RangeExpression("3", "5", "2"), "3-5/2", "RangeExpression(3, 5, 2)"),
        (RangeExpression(3, None, 2), "3/2", "RangeExpression(3, None, 2)"),
        (MonthRangeExpression("feb"), "feb", "MonthRangeExpression('feb')"),
        (MonthRangeExpression("FEB", "oct"), "feb-oct", "MonthRangeExpression('feb', 'oct')"),
        (WeekdayRangeExpression("fri", "mon"), "fri-mon", "WeekdayRangeExpression('fri', 'mon')"),
        (WeekdayPositionExpression("2nd", "fri"), "2nd fri", "WeekdayPositionExpression('2nd', 'fri')"),
        (LastDayOfMonthExpression(), "last", "LastDayOfMonthExpression()"),
    ],
)
def test_expressions_show_as_in_apscheduler(expression, text, shown):
    assert (str(expression), repr(expression)) == (text, shown)


# ------------------------------------------------------------------------- dates, against a day-by-day oracle

DAYS = {
    "*": lambda at: True,
    "13": lambda at: at.day == 13,
    "last": lambda at: at.day == monthrange(at.year, at.month)[1],
    "29-31": lambda at: at.day >= 29,
    "*/7": lambda at: (at.day - 1) % 7 == 0,
    "1st mon": lambda at: at.weekday() == 0 and at.day <= 7,
    "4th sun": lambda at: at.weekday() == 6 and 22 <= at.day <= 28,
    "5th wed": lambda at: at.weekday() == 2 and at.day >= 29,
    "last sat": lambda at: at.weekday() == 5 and (at + timedelta(7)).month != at.month,
}
MONTHS = {
    "*": lambda at: True,
    "feb": lambda at: at.month == 2,
    "*/5": lambda at: at.month in (1, 6, 11),
    "nov-dec": lambda at: at.month >= 11,
}
WEEKS = {
    "*": lambda at: True,
    "1": lambda at: at.isocalendar()[1] == 1,
    "52-53": lambda at: at.isocalendar()[1] >= 52,
    "*/2": lambda at: at.isocalendar()[1] % 2 == 1,
}
OF_WEEK = {
    "*": lambda at: True,
    "sat-mon": lambda at: at.weekday() in (5, 6, 0),
    "2": lambda at: at.weekday() == 2,
}


@pytest.mark.thorough
@settings(max_examples=120, derandomize=True)
@given(
    st.sampled_from(list(DAYS)),
    st.sampled_from(list(MONTHS)),
    st.sampled_from(list(WEEKS)),
    st.sampled_from(list(OF_WEEK)),
    st.dates(date(1971, 1, 1), date(2090, 1, 1)),
)
def test_dates_match_as_a_day_by_day_walk_says(day, month, week, day_of_week, start):
    try:
        trigger = CronTrigger(day=day, month=month, week=week, day_of_week=day_of_week, timezone=UTC)
    except NeverFiresError:
        trigger = None
    rules = (DAYS[day], MONTHS[month], WEEKS[week], OF_WEEK[day_of_week])
    days = [start + timedelta(n) for n in range(1200)]
    wanted = [at for at in days if all(rule(at) for rule in rules)]
    if trigger is None:
        assert not wanted
        return
    epoch = date(1970, 1, 1)
    second = 86400 * 1_000_000
    begin, end = (days[0] - epoch).days * second, (days[-1] - epoch).days * second
    found, at = [], trigger.after(begin - 1)
    while at is not None and at <= end:
        found.append(epoch + timedelta(at // second))
        at = trigger.after(at, at)
    # The week and weekday are more significant than the hour, so every fire is at midnight.
    assert found == wanted
    if wanted:
        first = (wanted[0] - epoch).days * second
        assert trigger.latest(first, end) == ((wanted[-1] - epoch).days * second, len(wanted))
