"""What people write besides crontab(5): random values (OpenBSD, cronie), ``@every`` and a zone before the expression (Go)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.clock import instant
from rota.errors import CronError, TriggerError, UnknownTimezoneError
from rota.testing import ManualScheduler
from rota.triggers import trigger_from_spec
from rota.triggers.cron import CronTrigger
from rota.triggers.crontab import CrontabTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

NOW = instant(datetime(2026, 11, 23, 9, 30, tzinfo=UTC))


def values(expr: str, field: str, seed: str, **options) -> list[int]:
    trigger = CronTrigger.from_crontab(expr, UTC, seed=seed, **options)
    mask = next(item for item in trigger.fields if item.name == field).mask()
    return [number for number in range(mask.bit_length()) if mask >> number & 1]


# ------------------------------------------------------------------------------------------------------ random values


@pytest.mark.parametrize(
    ("expr", "field", "low", "high"),
    [
        ("0~59 * * * *", "minute", 0, 59),
        ("~ * * * *", "minute", 0, 59),
        ("10~12 * * * *", "minute", 10, 12),
        ("57~ * * * *", "minute", 57, 59),
        ("~2 * * * *", "minute", 0, 2),
        ("0 22~ * * *", "hour", 22, 23),
        ("0 0 ~ * *", "day", 1, 28),
        ("0 0 29~ * *", "day", 29, 31),
        ("0 0 1 ~ *", "month", 1, 12),
        ("0 0 1 nov~ *", "month", 11, 12),
        ("0 0 * * ~", "day_of_week", 0, 6),
        ("0 0 * * mon~wed", "day_of_week", 0, 2),
        ("0 0 * * 5~7", "day_of_week", 4, 6),
        ("~ 0 0 * * *", "second", 0, 59),
    ],
)
def test_a_random_value_is_any_one_of_its_range(expr, field, low, high):
    found = [values(expr, field, f"job {number}") for number in range(400)]
    assert {len(chosen) for chosen in found} == {1}
    assert {chosen[0] for chosen in found} == set(range(low, high + 1))


@settings(max_examples=60, derandomize=True)
@given(st.integers(0, 59), st.integers(0, 59), st.text(max_size=5), st.one_of(st.none(), st.integers(1, 99)))
def test_a_random_value_is_the_hash_of_the_seed_in_that_range(one, other, seed, step):
    low, high = sorted((one, other))
    rest = "" if step is None else f"/{step}"
    chosen = CronTrigger.from_crontab(f"{low}~{high}{rest} * * * *", UTC, seed=seed)
    assert chosen == CronTrigger.from_crontab(f"H({low}-{high}){rest} * * * *", UTC, seed=seed)
    assert trigger_from_spec(json.loads(json.dumps(chosen.spec()))) == chosen
    assert CronTrigger.from_crontab(chosen.to_crontab(), UTC) == chosen == eval(repr(chosen))


@pytest.mark.parametrize(
    ("item", "low", "high", "step"), [("~/15", 0, 59, 15), ("0~29/10", 0, 29, 10), ("50~/90", 50, 59, 90)]
)
def test_a_step_begins_at_random_less_than_a_step_from_the_begin_of_the_range(item, low, high, step):
    found = {tuple(values(f"{item} * * * *", "minute", f"job {number}")) for number in range(400)}
    firsts = range(low, min(low + step - 1, high) + 1)
    assert found == {tuple(range(first, high + 1, step)) for first in firsts}


def test_random_values_stand_in_lists_and_in_quartz_too():
    assert len(values("~9,20~29,50 * * * *", "minute", "job")) == 3
    assert values("0 10~10 0 * * ?", "minute", "job", dialect="quartz") == [10]


def test_a_random_value_is_a_fixed_time_where_the_clocks_change():
    trigger = CronTrigger.from_crontab("30 2~2 * * *", "Europe/Berlin", seed="job")
    assert f"{trigger.next(1, '2026-03-29')[0]:%d %H:%M}" == "29 03:00"
    assert len(list(trigger.occurrences("2026-10-25", "2026-10-26"))) == 1


@pytest.mark.parametrize(
    ("expr", "message"),
    [
        ("5~3 * * * *", "'5~3' at column 1: the range runs backwards"),
        ("0 5~~8 * * *", "'5~~8' at column 3: a random value is written a~b"),
        ("0~60 * * * *", "60 is out of range"),
        ("60~ * * * *", "60 is out of range"),
        ("~/0 * * * *", "a step must be at least 1"),
        ("~/ * * * *", "a step is a whole number"),
        ("~x * * * *", "'x' is not understood"),
        ("0 0 0 1 1 ? 2026~2030", "in any field but the year"),
        ("0~59/5/5 * * * *", "a step is a whole number"),
    ],
)
def test_a_random_value_that_is_not_understood_is_refused_at_its_column(expr, message):
    with pytest.raises(CronError) as error:
        CronTrigger.from_crontab(expr, UTC, seed="job")
    assert message in str(error.value)


def test_a_random_value_needs_a_seed():
    with pytest.raises(CronError, match="'~' is a hash of the seed; pass seed=…"):
        CronTrigger.from_crontab("0~59 * * * *", UTC)


def test_the_reading_of_apscheduler_knows_no_random_values():
    with pytest.raises(CronError, match="Unrecognized"):
        CronTrigger.from_crontab("0~59 * * * *", UTC, dialect="apscheduler3", seed="job")


# ------------------------------------------------------------------------------------------------------------- @every


@pytest.mark.parametrize(
    ("expr", "length"),
    [
        ("@every 1h30m", timedelta(hours=1, minutes=30)),
        ("@every 90s", timedelta(seconds=90)),
        ("@every 1.5h", timedelta(minutes=90)),
        ("@every .5m", timedelta(seconds=30)),
        ("@every 1h0m0.25s", timedelta(hours=1, seconds=0.25)),
        ("@every 250ms", timedelta(milliseconds=250)),
        ("@every 1500us", timedelta(microseconds=1500)),
        ("@every 1500µs", timedelta(microseconds=1500)),
        ("@every 2500000ns", timedelta(microseconds=2500)),
        ("  @every\t24h ", timedelta(days=1)),
    ],
)
def test_every_is_an_interval_of_a_duration_as_go_writes_it(expr, length):
    trigger = CronTrigger.from_crontab(expr, "Europe/Berlin", now=NOW)
    assert isinstance(trigger, IntervalTrigger)
    assert trigger.interval == length
    assert trigger.first(NOW) == NOW + length // timedelta(microseconds=1)
    assert CrontabTrigger(expr, "Europe/Berlin", now=NOW) == trigger
    assert trigger_from_spec(trigger.spec()) == trigger == eval(repr(trigger))


def test_every_takes_the_bounds_and_the_jitter_beside_it():
    trigger = CronTrigger.from_crontab(
        "@every 1h", UTC, start_date="2026-11-01", end_date="2026-11-01 02:00:00", jitter=5, spread=7
    )
    assert [f"{at:%H}" for at in trigger.next(9, "2026-10-01")] == ["00", "01", "02"]
    assert (trigger.jitter, trigger.spread) == (5, 7)


@pytest.mark.parametrize(
    ("expr", "column", "message"),
    [
        ("@every", 7, "write it as 1h30m"),
        ("@every 5 minutes", 8, "@every 5m"),
        ("@every 1d", 8, "@every 24h"),
        ("  @every  2 hours, 5 min", 11, "@every 2h5m"),
        ("@every 5", 8, "is no duration"),
        ("@every -5m", 8, "is no duration"),
        ("@every 5m x", 8, "is no duration"),
        ("@every 0s", 8, "a microsecond at least"),
        ("@every 1ns", 8, "a microsecond at least"),
        ("TZ=UTC @every 5x", 15, "is no duration"),
    ],
)
def test_a_duration_that_is_not_understood_is_refused_with_what_to_write(expr, column, message):
    with pytest.raises(CronError) as error:
        CronTrigger.from_crontab(expr)
    assert message in str(error.value)
    assert error.value.column == column


def test_every_refuses_a_length_beyond_the_calendar_and_an_unknown_policy():
    with pytest.raises(TriggerError, match="longer than the calendar"):
        CronTrigger.from_crontab("@every 999999999999999h")
    with pytest.raises(TriggerError, match="Unknown dst policy 'wal'; did you mean 'wall'"):
        CronTrigger.from_crontab("@every 5m", dst="wal")


# ----------------------------------------------------------------------------------------- a zone before the expression


@pytest.mark.parametrize("name", ["CRON_TZ", "TZ"])
def test_the_zone_may_stand_before_the_expression(name):
    for expr in ("0 6 * * 1-5", "@daily", "0 0 6 * * ?"):
        dialect = "quartz" if "?" in expr else "cron"
        trigger = CronTrigger.from_crontab(f"{name}=Asia/Tokyo  {expr}", dialect=dialect)
        assert trigger == CronTrigger.from_crontab(expr, "Asia/Tokyo", dialect=dialect)
        assert trigger.zone_given
        assert trigger_from_spec(present(trigger.spec())) == trigger == eval(repr(trigger))
    every = CronTrigger.from_crontab(f"{name}=Asia/Tokyo @every 5m")
    assert str(every.timezone) == "Asia/Tokyo"


def test_columns_count_from_the_begin_of_what_was_written():
    with pytest.raises(CronError) as error:
        CronTrigger.from_crontab("CRON_TZ=Asia/Tokyo 0 6 * * fry")
    assert (error.value.field, error.value.column) == ("day_of_week", 28)


def test_two_zones_are_refused_and_the_same_one_twice_is_not():
    with pytest.raises(
        TriggerError, match="The zone is given twice: Asia/Tokyo before the expression and timezone='UTC'"
    ):
        CronTrigger.from_crontab("CRON_TZ=Asia/Tokyo 0 6 * * *", UTC)
    trigger = CronTrigger.from_crontab("CRON_TZ=Asia/Tokyo 0 6 * * *", "Asia/Tokyo")
    assert str(trigger.timezone) == "Asia/Tokyo"


def test_a_zone_that_does_not_exist_is_refused():
    with pytest.raises(UnknownTimezoneError, match="did you mean 'Asia/Tokyo'"):
        CronTrigger.from_crontab("CRON_TZ=Asia/Toky 0 6 * * *")
    with pytest.raises(UnknownTimezoneError):
        CronTrigger.from_crontab("CRON_TZ= 0 6 * * *")


def test_the_scheduler_s_zone_is_for_expressions_that_name_none():
    scheduler = ManualScheduler(timezone="Europe/Berlin")
    own = scheduler.add_job(print, "crontab", expr="TZ=Asia/Tokyo 0 6 * * *")
    other = scheduler.add_job(print, "crontab", expr="0 6 * * *")
    every = scheduler.add_job(print, "crontab", expr="@every 90s")
    assert [str(job.trigger.timezone) for job in (own, other, every)] == [
        "Asia/Tokyo",
        "Europe/Berlin",
        "Europe/Berlin",
    ]
    scheduler.start()
    start = scheduler.clock.now()
    assert every.trigger.first(start) == start + 90_000_000
    with pytest.raises(TriggerError, match="given twice"):
        scheduler.add_job(print, "crontab", expr="TZ=Asia/Tokyo 0 6 * * *", timezone="UTC")
    scheduler.shutdown()


def test_a_job_s_random_minute_is_chosen_by_its_id():
    scheduler = ManualScheduler(timezone="UTC")
    for id in ("backup", "report"):
        job = scheduler.add_job(print, "crontab", expr="0~59 3 * * *", id=id)
        assert job.trigger == CronTrigger.from_crontab("0~59 3 * * *", UTC, seed=id)
        job.reschedule("crontab", expr="~ 4 * * *")
        assert present(scheduler.get_job(id)).trigger == CronTrigger.from_crontab("~ 4 * * *", UTC, seed=id)
