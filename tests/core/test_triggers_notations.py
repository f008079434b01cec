"""Every row of the tables of the notations, and the corners of Quartz."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rota.clock import instant
from rota.errors import CronError, NeverFiresError
from rota.triggers.cron import CronTrigger

NOW = instant(datetime(2026, 11, 1, tzinfo=UTC))


def days(expr: str, count: int, start: str = "2026-11-01", **options) -> list[str]:
    trigger = CronTrigger.from_crontab(expr, UTC, now=NOW, **options)
    return [f"{at:%m-%d}" for at in trigger.next(count, start)]


def times(expr: str, count: int, start: str = "2026-11-01", **options) -> list[str]:
    trigger = CronTrigger.from_crontab(expr, UTC, now=NOW, **options)
    return [f"{at:%d %H:%M:%S}" for at in trigger.next(count, start)]


# --------------------------------------------------------------------------------------------------- crontab strings


def test_five_fields_begin_with_the_minute():
    assert times("1 2 3 * *", 1) == ["03 02:01:00"]


def test_six_fields_begin_with_the_second():
    assert times("1 2 3 4 * *", 1) == ["04 03:02:01"]


def test_seven_fields_end_with_the_year():
    trigger = CronTrigger.from_crontab("1 2 3 4 5 * 2031", UTC)
    assert trigger.next(2, "2026-11-01") == [datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)]


@pytest.mark.parametrize("count", [0, 1, 4, 8])
def test_another_number_of_fields_is_refused(count):
    with pytest.raises(CronError, match=f"Wrong number of fields; got {count}, expected 5"):
        CronTrigger.from_crontab(" ".join(["*"] * count), UTC)


def test_names_are_three_letters_of_any_case():
    assert days("0 0 * JAN Mon", 2) == ["01-04", "01-11"]
    for expr in ("0 0 * * monday", "0 0 * * mo", "0 0 * janu *", "0 0 mon * *", "0 jan * * *"):
        with pytest.raises(CronError):
            CronTrigger.from_crontab(expr, UTC)


def test_names_and_numbers_may_share_a_range():
    assert days("0 0 * * mon-3", 4) == ["11-02", "11-03", "11-04", "11-09"]
    assert days("0 0 1 jan-3 *", 3) == ["01-01", "02-01", "03-01"]


@pytest.mark.parametrize("step", [60, 61, 1000, 999_999_999])
def test_a_step_larger_than_the_field_means_its_first_value(step):
    assert times(f"*/{step} 5 * * *", 2) == ["01 05:00:00", "02 05:00:00"]
    assert times(f"7/{step} 5 * * *", 2) == ["01 05:07:00", "02 05:07:00"]
    assert times(f"7-9/{step} 5 * * *", 2) == ["01 05:07:00", "02 05:07:00"]


def test_a_step_after_one_value_runs_to_the_end_of_the_field():
    assert times("50/4 5 * * *", 4) == ["01 05:50:00", "01 05:54:00", "01 05:58:00", "02 05:50:00"]


@pytest.mark.parametrize(
    "expr", ["30-10 * * * *", "* 22-2 * * *", "* * 31-1 * *", "* * * nov-feb *", "0 0 0 1 1 * 2031-2030"]
)
def test_a_reversed_range_is_refused_and_the_message_writes_it_out(expr):
    with pytest.raises(CronError, match=r"runs backwards; write \d+(-\d+)?,\d+(-\d+)? to"):
        CronTrigger.from_crontab(expr, UTC)


@pytest.mark.parametrize("weekdays", ["fri-mon", "5-1", "FRI-1", "5-8"])
def test_a_reversed_weekday_range_runs_over_the_end(weekdays):
    if weekdays == "5-8":
        with pytest.raises(CronError, match="8 is out of range; 0 to 7"):
            CronTrigger.from_crontab(f"0 0 * * {weekdays}", UTC)
    else:
        assert days(f"0 0 * * {weekdays}", 5) == ["11-01", "11-02", "11-06", "11-07", "11-08"]


def test_the_day_nearest_to_a_day_that_the_month_lacks_is_counted_from_its_last_day():
    # 30 and 28 February 2027: a Sunday is the last day, the Friday before is nearest.
    assert days("0 0 30W 2 *", 1) == ["02-26"]
    assert days("0 0 31W * *", 3) == ["11-30", "12-31", "01-29"]


@pytest.mark.parametrize(
    "expr", ["? * * * *", "* * * ? *", "0 0 ?/2 * *", "0 0 ?,1 * *", "? 0 0 1 * *", "0 0 0 1 1 * ?"]
)
def test_a_question_mark_stands_alone_in_the_day_fields(expr):
    with pytest.raises(CronError):
        CronTrigger.from_crontab(expr, UTC)


@pytest.mark.parametrize("alias", ["@YEARLY", "@Hourly", "@", "@@daily", "@daily *", "@ daily"])
def test_aliases_are_lower_case_and_stand_alone(alias):
    with pytest.raises(CronError):
        CronTrigger.from_crontab(alias, UTC)


def test_reboot_is_refused_with_a_reason():
    with pytest.raises(CronError, match="@reboot is no time"):
        CronTrigger.from_crontab("@reboot", UTC)


@pytest.mark.parametrize(
    "expr",
    [
        "0 0 30 2 *",
        "0 0 30 feb ?",
        "0 0 31 4,6,9,11 *",
        "0 0 0 29 2 ? 2027",
        "0 0 L-30 2 *",
    ],
)
def test_what_never_fires_is_refused(expr):
    with pytest.raises(NeverFiresError):
        CronTrigger.from_crontab(expr, UTC, now=NOW)


@pytest.mark.parametrize(
    ("expr", "column"),
    [
        ("5\t61\t*\t*\t*", 3),
        ("0 0 * * 1-5x", 9),
        ("0 0 * * mon#2#3", 9),
        ("0 0 1W,2W3 * *", 8),
        ("0 0 LW-1 * *", 5),
        ("0 0 L-1-2 * *", 5),
        ("0 0 L-31W * *", 5),
        ("0 0 L-W * *", 5),
        ("0 0 L-3W4 * *", 5),
        ("0 0 WL * *", 5),
        ("0 0 * * 2L3", 9),
        ("0 0 * * LL", 9),
        ("0 0 * L *", 7),
        ("0 0 * 1#2 *", 7),
        ("0 0 * * 1#0", 9),
        ("0 0 * * 1#06", 9),
        ("1--100000000 * * * *", 1),
        ("0-100000000000000000000 * * * *", 1),
        ("*/100000000000000000000 * * * *", 1),
        ("1/ * * * *", 1),
        ("/5 * * * *", 1),
        ("*/5/5 * * * *", 1),
        ("*-5 * * * *", 1),
        ("5-* * * * *", 1),
        ("0x5 * * * *", 1),
        ("1_0 * * * *", 1),
        ("% * * * *", 1),
    ],
)
def test_the_whole_text_is_understood_or_refused_at_its_column(expr, column):
    with pytest.raises(CronError) as caught:
        CronTrigger.from_crontab(expr, UTC)
    assert caught.value.column == column
    assert f"column {column}" in str(caught.value)


# ------------------------------------------------------------------------------------------------------------ Quartz

QUARTZ: dict[str, Any] = {"dialect": "quartz"}


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("0 0 0 ? * 1", ["11-01", "11-08"]),
        ("0 0 0 ? * 7", ["11-07", "11-14"]),
        ("0 0 0 ? * SUN", ["11-01", "11-08"]),
        ("0 0 0 ? * 2-6", ["11-02", "11-03", "11-04", "11-05", "11-06", "11-09"]),
        ("0 0 0 ? * 6-2", ["11-01", "11-02", "11-06", "11-07", "11-08"]),
        ("0 0 0 ? * FRI-MON", ["11-01", "11-02", "11-06", "11-07", "11-08"]),
        ("0 0 0 ? * 6#3", ["11-20", "12-18"]),
        ("0 0 0 ? * 2#1", ["11-02", "12-07"]),
        ("0 0 0 ? * FRI#5", ["01-29", "04-30"]),
        ("0 0 0 ? * 6L", ["11-27", "12-25"]),
        ("0 0 0 ? * L", ["11-07", "11-14"]),
        ("0 0 0 ? * MON,WED", ["11-02", "11-04"]),
        ("0 0 0 ? * 1/2", ["11-01", "11-03", "11-05", "11-07"]),
        ("0 0 0 L * ?", ["11-30", "12-31"]),
        ("0 0 0 L-3 * ?", ["11-27", "12-28"]),
        ("0 0 0 LW * ?", ["11-30", "12-31", "01-29"]),
        ("0 0 0 L-1W * ?", ["11-30", "12-30", "01-29"]),
        ("0 0 0 1W * ?", ["11-02", "12-01", "01-01", "02-01"]),
        ("0 0 0 15W * ?", ["11-16", "12-15", "01-15", "02-15"]),
        ("0 0 0 1/10 * ?", ["11-01", "11-11", "11-21", "12-01"]),
        ("0 0 0 * * ?", ["11-01", "11-02"]),
        ("0 0 0 ? * *", ["11-01", "11-02"]),
    ],
)
def test_quartz_counts_weekdays_from_sunday_as_1(expr, wanted):
    assert days(expr, len(wanted), **QUARTZ) == wanted


def test_the_seventh_field_of_quartz_is_the_year():
    assert CronTrigger.from_crontab("0 0 0 1 1 ? 2030-2040/5", UTC, **QUARTZ).next(4, "2026-11-01") == [
        datetime(year, 1, 1, tzinfo=UTC) for year in (2030, 2035, 2040)
    ]


@pytest.mark.parametrize(
    ("expr", "field", "column"),
    [
        ("0 0 0 * * *", "day_of_week", 11),
        ("0 0 0 ? * ?", "day_of_week", 11),
        ("0 0 0 1 * 2", "day_of_week", 11),
        ("0 0 0 ? * 0", "day_of_week", 11),
        ("0 0 0 ? * 8", "day_of_week", 11),
        ("0 0 0 ? * 6#6", "day_of_week", 11),
        ("0 0 ? 1 * ?", "hour", 5),
        ("0 0 0 32 * ?", "day", 7),
        ("0 0 0 1 13 ?", "month", 9),
        ("60 0 0 1 * ?", "second", 1),
        ("0 0 0 1 * ? 1969", "year", 13),
    ],
)
def test_what_quartz_refuses_is_refused_at_its_column(expr, field, column):
    with pytest.raises(CronError) as caught:
        CronTrigger.from_crontab(expr, UTC, **QUARTZ)
    assert (caught.value.field, caught.value.column) == (field, column)


def test_quartz_has_no_five_fields_and_no_aliases():
    for expr in ("0 0 * * ?", "@daily"):
        with pytest.raises(CronError):
            CronTrigger.from_crontab(expr, UTC, **QUARTZ)


# ----------------------------------------------------------------------------------------------------- APScheduler 3


def test_apscheduler3_counts_from_monday_as_0_and_joins_by_and():
    assert days("0 0 * * 0", 2, dialect="apscheduler3") == ["11-02", "11-09"]
    assert days("0 0 13 * 4", 2, dialect="apscheduler3") == ["11-13", "08-13"]
    for expr in ("0 0 * * 7", "0 0 L * *", "0 0 * * 1#2", "@daily", "0 0 ? * *", "*/60 * * * *"):
        with pytest.raises(CronError):
            CronTrigger.from_crontab(expr, UTC, dialect="apscheduler3")


def test_apscheduler3_errors_name_the_column_of_the_string():
    with pytest.raises(CronError, match="column 12") as caught:
        CronTrigger.from_crontab("0 0 *  * 1,7", UTC, dialect="apscheduler3")
    assert (caught.value.field, caught.value.item, caught.value.column) == ("day_of_week", "7", 12)


# -------------------------------------------------------------------------------------------------- keyword interface


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"day": "1st mon"}, ["11-02", "12-07"]),
        ({"day": "2nd tue"}, ["11-10", "12-08"]),
        ({"day": "3rd wed"}, ["11-18", "12-16"]),
        ({"day": "4th thu"}, ["11-26", "12-24"]),
        ({"day": "5th sat"}, ["01-30", "05-29"]),
        ({"day": "last fri"}, ["11-27", "12-25"]),
        ({"day": "last"}, ["11-30", "12-31"]),
        ({"day": "1 , 15"}, ["11-01", "11-15"]),
        ({"day": "*/10"}, ["11-01", "11-11", "11-21", "12-01"]),
        ({"day_of_week": "sat-mon"}, ["11-01", "11-02", "11-07"]),
        ({"day_of_week": "5-0"}, ["11-01", "11-02", "11-07"]),
        ({"week": "53"}, ["12-28", "12-29", "12-30", "12-31", "01-01", "01-02", "01-03"]),
        ({"week": 53, "day_of_week": "sun"}, ["01-03", "01-02"]),
        ({"month": "jan-mar/2"}, None),
        ({"day": "2nd  fri"}, ["11-13"]),
    ],
)
def test_every_expression_of_the_keyword_interface_is_understood(fields, wanted):
    if wanted is None:  # a step after names is no expression of APScheduler
        with pytest.raises(CronError):
            CronTrigger(**fields, timezone=UTC)
        return
    trigger = CronTrigger(**fields, timezone=UTC)
    assert [f"{at:%m-%d}" for at in trigger.next(len(wanted), "2026-11-01")] == wanted


def test_steps_of_years_count_from_1970():
    assert [at.year for at in CronTrigger(year="*/7", timezone=UTC).next(2, "2026-11-01")] == [2033, 2040]


def test_iso_week_53_is_in_the_years_that_have_one():
    found = CronTrigger(week=53, day_of_week="thu", timezone=UTC).next(30, "1971-01-01")
    assert [at.isocalendar()[:2] for at in found] == [
        (year, 53) for year in range(1971, 2200) if date(year, 12, 28).isocalendar()[1] == 53
    ][:30]


def test_29_february_keeps_the_rule_of_the_centuries():
    found = CronTrigger(month=2, day=29, timezone=UTC).next(5, "2092-01-01")
    assert [at.year for at in found] == [2092, 2096, 2104, 2108, 2112]


def test_the_year_ends_after_its_last_second():
    trigger = CronTrigger(second="*", timezone=UTC)
    end = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    assert trigger.next(2, end) == [end, end + timedelta(seconds=1)]
