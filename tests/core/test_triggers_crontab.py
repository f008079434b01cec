"""Crontab strings: what each means, by name, and how everything else is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rota.clock import instant
from rota.errors import CronError, NeverFiresError, TriggerTypeError
from rota.triggers.cron import CronTrigger
from tests.present import present

NOW = instant(datetime(2026, 11, 1, tzinfo=UTC))


def fields(expr: str, **options) -> str:
    trigger = CronTrigger.from_crontab(expr, UTC, **options)
    return " ".join(f"{field.name}={field}" for field in trigger.fields if not field.is_default)


def dates(expr: str, start: str, count: int, **options) -> list[str]:
    trigger = CronTrigger.from_crontab(expr, UTC, **options)
    found, at = [], datetime.fromisoformat(start).replace(tzinfo=UTC) - timedelta(seconds=1)
    while len(found) < count:
        at = present(trigger.get_next_fire_time(at, at))
        found.append(at.date().isoformat()[5:])
    return found


@pytest.mark.parametrize(
    ("weekday", "names"),
    [
        ("0", "sun"),
        ("7", "sun"),
        ("1", "mon"),
        ("1-5", "mon-fri"),
        ("5-7", "fri-sun"),
        ("5-0", "fri-sun"),
        ("fri-sun", "fri-sun"),
        ("FRI-Mon", "fri-mon"),
        ("6-1", "sat-mon"),
        ("7-2", "sun-tue"),
        ("0-7", "sun,mon,tue,wed,thu,fri,sat"),
        ("0-6", "sun,mon,tue,wed,thu,fri,sat"),
        ("*/2", "sun,tue,thu,sat"),
        ("1-5/2", "mon,wed,fri"),
        ("5-1/2", "fri,sun"),
        ("1/2", "mon,wed,fri,sun"),
        ("6,0", "sat,sun"),
        ("5#3", "fri#3"),
        ("fri#3", "fri#3"),
        ("5L", "friL"),
        ("0L", "sunL"),
        ("?", "*"),
    ],
)
def test_sunday_is_0_and_7_and_weekdays_come_out_by_name(weekday, names):
    assert fields(f"0 9 * * {weekday}") == f"month=* day=* day_of_week={names} hour=9 minute=0"


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("*/15 2-4 1 jan,7 *", "month=1,7 day=1 day_of_week=* hour=2-4 minute=*/15"),
        ("05 */90 * * *", "month=* day=* day_of_week=* hour=*/90 minute=5"),
        ("30 5 1 1 * *", "month=* day=1 day_of_week=* hour=1 minute=5 second=30"),
        (
            "0 0 0 1 jan ? 2030-2032/2",
            "year=2030-2032/2 month=1 day=1 day_of_week=* hour=0 minute=0 second=0",
        ),
        ("0 0 L * *", "month=* day=last day_of_week=* hour=0 minute=0"),
        ("0 0 l-3,lw,15w * *", "month=* day=L-3,LW,15W day_of_week=* hour=0 minute=0"),
        ("0 0 l-03w,L-0W * *", "month=* day=L-3W,LW day_of_week=* hour=0 minute=0"),
        ("  @weekly ", "month=* day=* day_of_week=sun hour=0 minute=0"),
        ("@hourly", "month=* day=* day_of_week=* hour=* minute=0"),
    ],
)
def test_fields_are_read_by_position(expr, wanted):
    assert fields(expr) == wanted


def test_every_alias_is_known():
    names = ["@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"]
    first = [CronTrigger.from_crontab(name, UTC).after(NOW - 1) for name in names]
    january, today, sunday = (instant(datetime(2027, 1, 1, tzinfo=UTC)), NOW, NOW)
    assert first == [january, january, today, sunday, today, today, today]


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        # Both restricted: either.
        ("0 0 13 * 5", ["11-06", "11-13", "11-20", "11-27", "12-04", "12-11", "12-13"]),
        ("0 0 L * 1#1", ["11-02", "11-30", "12-07", "12-31"]),
        ("0 0 1-31 * 1", ["11-01", "11-02", "11-03"]),
        # One begins with a star, or is '?': both.
        ("0 0 * * 5", ["11-06", "11-13"]),
        ("0 0 13 * *", ["11-13", "12-13"]),
        ("0 0 */2 * 1", ["11-09", "11-23", "12-07", "12-21"]),
        ("0 0 13 * */5", ["11-13", "12-13"]),
        ("0 0 13 * ?", ["11-13", "12-13"]),
    ],
)
def test_day_and_weekday_are_joined_as_in_crontab(expr, wanted):
    assert dates(expr, "2026-11-01", len(wanted)) == wanted


@pytest.mark.parametrize(
    ("expr", "start", "wanted"),
    [
        ("0 0 L * *", "2027-01-31", ["01-31", "02-28", "03-31"]),
        ("0 0 L-2 * *", "2028-02-01", ["02-27", "03-29"]),
        ("0 0 L-30 * *", "2026-11-01", ["12-01", "01-01", "03-01"]),
        ("0 0 LW * *", "2026-10-01", ["10-30", "11-30", "12-31", "01-29"]),
        # Three days before the last one: always a working day here; one day before: Sunday 29 November, Saturday 30 January.
        ("0 0 L-3W * *", "2026-10-01", ["10-28", "11-27", "12-28", "01-28"]),
        ("0 0 L-1W * *", "2026-11-01", ["11-30", "12-30", "01-29", "02-26"]),
        # Saturday 1 August and Sunday 1 November: the nearest one in the month is a Monday.
        ("0 0 L-30W 8,12 *", "2026-08-01", ["08-03", "12-01"]),
        ("0 0 L-30W * *", "2026-01-31", ["03-02", "05-01"]),
        ("0 0 15W * *", "2026-08-01", ["08-14", "09-15", "10-15", "11-16"]),
        ("0 0 1W * *", "2026-08-01", ["08-03", "09-01", "10-01", "11-02"]),
        ("0 0 31W 2,4 *", "2026-01-01", ["02-27", "04-30", "02-26"]),
        ("0 0 30W 5,8 *", "2026-01-01", ["05-29", "08-31"]),
        ("0 0 * * 5#5", "2026-11-01", ["01-29", "04-30"]),
        ("0 0 * * 1L", "2026-11-01", ["11-30", "12-28"]),
        ("0 0 * * sat#2,sunl", "2026-11-01", ["11-14", "11-29", "12-12", "12-27"]),
    ],
)
def test_the_extensions_name_days_of_the_month(expr, start, wanted):
    assert dates(expr, start, len(wanted)) == wanted


def test_the_day_nearest_to_the_31st_stays_in_the_month():
    trigger = CronTrigger.from_crontab("0 0 31W * *", UTC)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for month in range(1, 25):
        at = present(trigger.get_next_fire_time(at, at))
        assert at.month == (month - 1) % 12 + 1
        assert at.weekday() < 5
        last = (date(at.year + at.month // 12, at.month % 12 + 1, 1) - timedelta(1)).day
        assert last - at.day <= 2


@pytest.mark.parametrize(
    ("expr", "field", "item", "column"),
    [
        ("61 * * * *", "minute", "61", 1),
        ("5,61 * * * *", "minute", "61", 3),
        ("*  25 * * *", "hour", "25", 4),
        ("* * 0 * *", "day", "0", 5),
        ("* * 32 * *", "day", "32", 5),
        ("* * * 13 *", "month", "13", 7),
        ("* * * * 8", "day_of_week", "8", 9),
        ("* * * * mond", "day_of_week", "mond", 9),
        ("* * * january *", "month", "january", 7),
        ("* * * * fri#6", "day_of_week", "fri#6", 9),
        ("* * * * #2", "day_of_week", "#2", 9),
        ("* * * * mon#2x", "day_of_week", "mon#2x", 9),
        ("* * * * L", "day_of_week", "L", 9),
        ("* * L-31 * *", "day", "L-31", 5),
        ("* * L3 * *", "day", "L3", 5),
        ("* * W * *", "day", "W", 5),
        ("* * 1-5W * *", "day", "1-5W", 5),
        ("* * 0W * *", "day", "0W", 5),
        ("* ? * * *", "hour", "?", 3),
        ("* * ?,3 * *", "day", "?", 5),
        ("*/0 * * * *", "minute", "*/0", 1),
        ("*/ * * * *", "minute", "*/", 1),
        ("*/-5 * * * *", "minute", "*/-5", 1),
        ("1/2/3 * * * *", "minute", "1/2/3", 1),
        ("1-2-3 * * * *", "minute", "1-2-3", 1),
        ("30-10 * * * *", "minute", "30-10", 1),
        ("* * * dec-feb *", "month", "dec-feb", 7),
        ("1,,2 * * * *", "minute", "1,,2", 3),
        ("1, * * * *", "minute", "1,", 3),
        ("** * * * *", "minute", "**", 1),
        ("*5 * * * *", "minute", "*5", 1),
        ("+5 * * * *", "minute", "+5", 1),
        ("-5 * * * *", "minute", "-5", 1),
        ("5- * * * *", "minute", "5-", 1),
        ("1.5 * * * *", "minute", "1.5", 1),
        ("٥ * * * *", "minute", "٥", 1),
        ("mon * * * *", "minute", "mon", 1),
        ("H * * * *", "minute", "H", 1),
        ("0 0 0 1 1 * 1969", "year", "1969", 13),
    ],
)
def test_what_is_not_understood_is_refused_with_field_item_and_column(expr, field, item, column):
    with pytest.raises(CronError) as caught:
        CronTrigger.from_crontab(expr, UTC)
    error = caught.value
    assert (error.field, error.item, error.column) == (field, item, column)
    assert field in str(error)
    assert repr(item) in str(error)
    assert f"column {column}" in str(error)
    assert error.__context__ is None  # one traceback, not two


@pytest.mark.parametrize(("expr", "count"), [("", 0), ("* * * *", 4), ("* * * * * * * *", 8)])
def test_a_wrong_number_of_fields_is_refused_with_apschedulers_words(expr, count):
    with pytest.raises(ValueError, match=rf"^Wrong number of fields; got {count}, expected 5"):
        CronTrigger.from_crontab(expr, UTC)


@pytest.mark.parametrize("expr", ["@reboot", "@Daily", "@dayly", "@every 5 minutes"])
def test_aliases_that_are_no_times_are_refused(expr):
    with pytest.raises(CronError, match="@"):
        CronTrigger.from_crontab(expr, UTC)


def test_what_is_no_string_is_refused():
    with pytest.raises(TriggerTypeError):
        CronTrigger.from_crontab(5, UTC)  # type: ignore[arg-type]
    with pytest.raises(CronError, match="did you mean 'quartz'"):
        CronTrigger.from_crontab("* * * * *", UTC, dialect="quarz")


@pytest.mark.parametrize("expr", ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30 2 ?"])
def test_a_date_that_does_not_exist_is_refused(expr):
    with pytest.raises(NeverFiresError):
        CronTrigger.from_crontab(expr, UTC)


def test_years_that_are_over_have_no_times_to_come():
    over = CronTrigger.from_crontab("0 0 0 1 1 * 2020-2025", UTC, now=NOW)
    assert over.next(1, "2026-01-01") == []
    earlier = instant(datetime(2025, 1, 1, tzinfo=UTC))
    trigger = CronTrigger.from_crontab("0 0 0 1 1 * 2020-2025", UTC, now=earlier)
    assert trigger.after(earlier - 1) == earlier
    assert trigger.after(earlier) is None
    assert CronTrigger.from_spec(present(trigger.spec())) == trigger == over == eval(repr(over))


def test_quartz_counts_from_sunday_as_1_and_wants_one_question_mark():
    quartz: dict[str, Any] = {"dialect": "quartz"}
    assert fields("0 0 12 ? * 2-6", **quartz).split()[2] == "day_of_week=mon-fri"
    assert fields("0 0 12 ? * 6#3", **quartz).split()[2] == "day_of_week=fri#3"
    assert fields("0 0 12 ? * L", **quartz).split()[2] == "day_of_week=sat"
    assert fields("0 0 12 ? * 6L", **quartz).split()[2] == "day_of_week=friL"
    assert fields("0 0 12 ? * SUN", **quartz).split()[2] == "day_of_week=sun"
    assert fields("0 0 12 15 * ? 2030", **quartz).split()[0] == "year=2030"
    for expr in ("0 0 12 * * *", "0 0 12 ? * ?", "0 12 * * ?", "0 0 12 ? * 0", "0 0 12 ? * 8", "@daily"):
        with pytest.raises(CronError):
            CronTrigger.from_crontab(expr, UTC, **quartz)


def test_the_reading_of_apscheduler_3_is_there_for_those_who_depend_on_it():
    old = CronTrigger.from_crontab("0 0 13 * 4", UTC, dialect="apscheduler3")
    assert old == CronTrigger(minute=0, hour=0, day=13, month="*", day_of_week=4, timezone=UTC)
    assert dates("0 0 13 * 4", "2026-11-01", 2, dialect="apscheduler3") == ["11-13", "08-13"]
    with pytest.raises(CronError, match="got 6, expected 5"):
        CronTrigger.from_crontab("0 0 0 13 * 4", UTC, dialect="apscheduler3")


def test_a_hash_is_stable_and_spread_over_its_range():
    assert fields("H H * * *", seed="a") == fields("H H * * *", seed="a")
    minutes = {fields("H * * * *", seed=str(n)) for n in range(400)}
    assert len(minutes) == 60
    days = {int(fields("0 0 H * *", seed=str(n)).split()[1][4:]) for n in range(400)}
    assert days == set(range(1, 29))
    assert {fields("H(10-12) * * * *", seed=str(n)).split("minute=")[1] for n in range(50)} == {
        "10",
        "11",
        "12",
    }
    steps = {fields("H/20 * * * *", seed=str(n)).split("minute=")[1] for n in range(200)}
    assert steps == {f"{n}-59/20" for n in range(20)}
    assert len({fields("0 0 * * H", seed=str(n)) for n in range(100)}) == 7
    for expr in ("H(5-70) * * * *", "H(9-5) * * * *", "Hx * * * *", "H/0 * * * *"):
        with pytest.raises(CronError):
            CronTrigger.from_crontab(expr, UTC, seed="a")
