"""Crontab strings that APScheduler 3 reads otherwise: found, told once, and silent where somebody has chosen."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.compat import crontab_strings
from rota.triggers import readings
from rota.triggers.cron import CronTrigger
from tests.present import present


@pytest.fixture(autouse=True)
def silent_again():
    yield
    readings.listener = None


@pytest.mark.parametrize(
    ("expr", "here", "there"),
    [
        ("0 9 * * 1", "At 09:00, on Monday", "At 09:00, on Tuesday"),
        ("0 9 * * 0-4", "At 09:00, on Sunday to Thursday", "At 09:00, on Monday to Friday"),
        (
            "0 9 13 * fri",
            "At 09:00, on day 13 of the month or on Friday",
            "At 09:00, on day 13 of the month, if that is Friday",
        ),
    ],
)
def test_both_readings_are_given_in_words(expr, here, there):
    assert readings.two_readings(expr) == (here, there)
    message = present(readings.difference(expr))
    assert here in message
    assert there in message
    assert "dialect='apscheduler3'" in message


@pytest.mark.parametrize(
    "expr",
    ["0 9 * * mon", "0 9 13 * *", "0 9 * * *", "0 9 * * 0-6", "@daily", "0 0 9 * * 1", "0 9 * * 7", "nonsense", "61 * * * 1"],
)  # fmt: skip
def test_strings_of_one_reading_are_not_told(expr):
    assert readings.two_readings(expr) is None


WORDS = st.sampled_from(["*", "1", "1-5", "*/2", "mon", "fri-sun", "0,6", "13", "1,15"])


@given(WORDS, WORDS)
def test_what_is_not_told_has_the_same_times(day, weekday):
    expr = f"0 9 {day} * {weekday}"
    try:
        here, there = (
            CronTrigger.from_crontab(expr, "UTC", dialect=name) for name in ("cron", "apscheduler3")
        )
    except ValueError:
        return
    at = same = datetime(2030, 1, 1, tzinfo=UTC)
    for _ in range(60):
        at = present(here.get_next_fire_time(at, at))
        same = present(there.get_next_fire_time(same, same))
        if at != same:
            assert readings.two_readings(expr) is not None
            return
    assert readings.two_readings(expr) is None


def test_nobody_is_told_unless_somebody_asks(caplog):
    with caplog.at_level(logging.DEBUG):
        CronTrigger.from_crontab("0 9 * * 1", "UTC")
    assert caplog.records == []


def test_a_program_written_for_apscheduler_is_warned_once(caplog):
    crontab_strings.warn_once()
    CronTrigger.from_crontab("0 9 * * 1", dialect="cron")
    CronTrigger.from_crontab("0 9 * * 1", dialect="apscheduler3")
    CronTrigger.from_crontab("0 9 * * mon")
    assert caplog.records == []
    CronTrigger.from_crontab("0 9 * * 1", "UTC")
    CronTrigger.from_crontab("0 9 * * 2")
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("rota.scheduler", logging.WARNING)
    assert "on Monday. APScheduler 3 read it as: At 09:00, on Tuesday" in record.getMessage()
