"""Instants: exact conversions, and clocks that tell the same time as the system."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rota.clock import SYSTEM_CLOCK, instant, instant_of_text, microseconds, moment

BERLIN = ZoneInfo("Europe/Berlin")


@given(st.datetimes(timezones=st.sampled_from([UTC, BERLIN, timezone(timedelta(hours=-9, minutes=-30))])))
def test_an_instant_is_exact_to_the_microsecond_and_comes_back_as_the_same_time(value):
    there = instant(value)
    assert isinstance(there, int)
    if datetime(1, 1, 3, tzinfo=UTC) < value.astimezone(UTC) < datetime(9999, 12, 29, tzinfo=UTC):
        assert moment(there) == value.astimezone(UTC)
        assert instant(moment(there, BERLIN)) == there


@given(
    st.datetimes(
        min_value=datetime(2, 1, 1),
        max_value=datetime(9998, 12, 31),
        timezones=st.sampled_from([UTC, BERLIN, timezone(timedelta(hours=-9, minutes=-30))]),
    ).filter(lambda value: len(value.isoformat()) in (25, 32))
)
def test_the_two_parts_of_a_text_give_the_instant_of_its_datetime(value):
    text = value.isoformat()
    assert instant_of_text(text[:-6], text[-6:]) == instant(value)


@pytest.mark.parametrize(
    ("wall", "offset"),
    [
        ("2026-02-30T10:00:00", "+01:00"),
        ("2026-02-03T10:00:00+02:00", "+01:00"),
        ("2026-02-03T10:00:00", "+99:00"),
        ("2026-02-03T10:00:00", ""),
        ("", "+01:00"),
    ],
)
def test_parts_that_are_no_time_and_offset_have_no_instant(wall, offset):
    with pytest.raises((TypeError, ValueError)):
        instant_of_text(wall, offset)


def test_the_two_passes_of_a_repeated_hour_are_an_hour_apart():
    first = datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)
    assert instant(first.replace(fold=1)) - instant(first) == 3600 * 10**6


def test_a_naive_datetime_has_no_instant():
    with pytest.raises(TypeError):
        instant(datetime(2029, 1, 1))


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (1, 10**6),
        (0.1, 100_000),
        (1e-6, 1),
        (timedelta(days=1, microseconds=1), 86_400_000_001),
        (-2, -2 * 10**6),
    ],
)
def test_durations_become_whole_microseconds(duration, expected):
    assert microseconds(duration) == expected


def test_a_time_outside_the_calendar_is_refused():
    with pytest.raises(OverflowError):
        moment(2**62)


def test_the_system_clock_tells_the_system_s_time():
    before = time.time()
    now = SYSTEM_CLOCK.now() / 10**6
    assert before - 0.001 <= now <= time.time() + 0.001
    assert SYSTEM_CLOCK.monotonic() <= SYSTEM_CLOCK.monotonic()


def test_the_monotonic_clock_counts_the_time_in_which_the_machine_sleeps():
    before = SYSTEM_CLOCK.monotonic()
    if sys.platform == "linux":
        assert before <= time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    assert time.monotonic_ns() // 1000 + SYSTEM_CLOCK.slept() >= before - 1000
