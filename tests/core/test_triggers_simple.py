"""The date, interval and calendar interval triggers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.clock import DAY, HOUR, SECOND, instant
from rota.errors import TriggerError, TriggerTypeError
from rota.testing import ManualScheduler
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.present import present

BERLIN = ZoneInfo("Europe/Berlin")
NOW = instant(datetime(2026, 11, 3, 10, tzinfo=UTC))


# -------------------------------------------------------------------------------------------------------------- date


def test_a_date_fires_once_even_if_it_is_past():
    run = datetime(2020, 1, 1, 12, tzinfo=BERLIN)
    trigger = DateTrigger(run)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, now) == run
    assert trigger.get_next_fire_time(run, now) is None
    assert trigger.first(NOW) == instant(run)
    assert trigger.after(NOW) is None
    assert trigger.after(instant(run) - 1) == instant(run)
    assert trigger.latest(instant(run), NOW) == (instant(run), 1)


def test_a_date_without_a_value_is_the_current_time():
    assert DateTrigger(now=NOW).first(0) == NOW
    before = datetime.now(UTC)
    assert before <= DateTrigger(timezone=UTC).run_date <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("2026-07-06", "2026-07-06T00:00:00+02:00"),
        ("2026-07-06 10:30:05.25", "2026-07-06T10:30:05.250000+02:00"),
        ("2026-07-06T10:30:05Z", "2026-07-06T12:30:05+02:00"),
        (date(2026, 7, 6), "2026-07-06T00:00:00+02:00"),
        (datetime(2026, 7, 6, 1), "2026-07-06T01:00:00+02:00"),
        # A gap: read with the offset before it; an overlap: the first (RFC 5545).
        ("2026-03-29 02:30:00", "2026-03-29T03:30:00+02:00"),
        ("2026-10-25 02:30:00", "2026-10-25T02:30:00+02:00"),
    ],
)
def test_a_date_may_be_given_in_many_forms(value, wanted):
    trigger = DateTrigger(value, "Europe/Berlin")
    assert trigger.run_date.astimezone(BERLIN).isoformat() == wanted


def test_a_date_shows_as_in_apscheduler():
    trigger = DateTrigger("2009-07-06 10:00:00", "Europe/Berlin")
    assert str(trigger) == "date[2009-07-06 10:00:00 CEST]"
    assert repr(trigger) == "DateTrigger(run_date='2009-07-06T10:00:00+02:00', timezone='Europe/Berlin')"


# ---------------------------------------------------------------------------------------------------------- interval


def test_an_interval_first_fires_after_one_interval():
    trigger = IntervalTrigger(minutes=5, timezone=UTC, now=NOW)
    assert trigger.first(NOW) == NOW + 300 * SECOND
    later = IntervalTrigger(hours=1).start_date - datetime.now(UTC)
    assert timedelta(minutes=59) < later <= timedelta(hours=1)


def test_a_start_date_in_the_past_keeps_its_phase():
    trigger = IntervalTrigger(hours=2, start_date="2026-01-01 01:00:00", timezone=UTC)
    assert trigger.first(NOW) == NOW + HOUR
    assert trigger.first(NOW + HOUR) == NOW + HOUR
    assert trigger.after(NOW + HOUR) == NOW + 3 * HOUR


def test_the_previous_time_anchors_the_phase():
    trigger = IntervalTrigger(hours=2, start_date="2026-01-01 01:00:00", timezone=UTC)
    previous = NOW + 7 * SECOND
    assert trigger.after(previous, previous) == previous + 2 * HOUR
    assert trigger.after(NOW + 9 * HOUR, previous) == previous + 10 * HOUR
    at = datetime(2026, 11, 3, 10, 0, 7, tzinfo=UTC)
    assert trigger.get_next_fire_time(at, at + timedelta(days=3)) == at + timedelta(hours=2)


def test_an_interval_counts_elapsed_time_over_clock_changes():
    trigger = IntervalTrigger(hours=12, start_date="2026-03-28 20:00:00", timezone="Europe/Berlin")
    at = present(trigger.get_next_fire_time(None, datetime(2026, 3, 28, tzinfo=UTC)))
    times = [at.isoformat()]
    for _ in range(2):
        at = present(trigger.get_next_fire_time(at, at))
        times.append(at.isoformat())
    assert times == ["2026-03-28T20:00:00+01:00", "2026-03-29T09:00:00+02:00", "2026-03-29T21:00:00+02:00"]


def test_jitter_is_kept_but_does_not_move_the_grid():
    trigger = IntervalTrigger(seconds=60, jitter=10, start_date="2026-01-01", timezone=UTC)
    start = at = instant(datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(2000):
        at = present(trigger.after(at, at))
    assert at == start + 2000 * 60 * SECOND
    assert trigger.jitter == 10


@pytest.mark.parametrize(
    ("lengths", "microseconds"),
    [
        ({"seconds": 0.05}, 50_000),
        ({"minutes": 1.5}, 90 * SECOND),
        ({"weeks": 1, "days": 1, "hours": 1, "minutes": 1, "seconds": 1}, 8 * DAY + 3661 * SECOND),
    ],
)
def test_lengths_are_exact(lengths, microseconds):
    trigger = IntervalTrigger(**lengths, timezone=UTC)
    assert trigger.interval == timedelta(microseconds=microseconds)
    assert trigger.interval_length == microseconds / SECOND


@pytest.mark.parametrize("lengths", [{}, {"seconds": 0}, {"seconds": 0.0, "days": 0}])
def test_an_interval_of_nothing_is_a_second_and_warns(lengths):
    with pytest.warns(
        UserWarning, match="An interval of nothing .* fires every second.*write seconds=1"
    ) as seen:
        trigger = IntervalTrigger(**lengths, timezone=UTC)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="An interval of nothing") as seen:
        ManualScheduler().add_job(print, "interval", **lengths)
    assert seen[0].filename == __file__
    assert trigger.interval == timedelta(seconds=1)
    assert IntervalTrigger.from_spec(present(trigger.spec())) == trigger  # which says one second


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weeks": timedelta(minutes=5)}, r"weeks must be a number, got .*; write seconds=300$"),
        ({"seconds": timedelta(milliseconds=1500)}, r"seconds must be a number, got .*; write seconds=1.5$"),
        ({"minutes": "5"}, r"minutes must be a number, got '5'; write minutes=5$"),
        ({"hours": 1, "minutes": "five"}, r"minutes must be a number, got 'five'$"),
        ({"days": None}, r"days must be a number, got None$"),
    ],
)
def test_a_length_that_is_no_number_is_refused_with_the_number_that_was_meant(arguments, message):
    with pytest.raises(TriggerTypeError, match=message):
        IntervalTrigger(**arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CalendarIntervalTrigger(days="2"), "days must be a whole number, not '2'; write days=2"),  # type: ignore[arg-type]
        (lambda: CalendarIntervalTrigger(days=2.0), "not 2.0; write days=2"),  # type: ignore[arg-type]
        (lambda: CalendarIntervalTrigger(weeks=timedelta(days=14)), "write weeks=2"),  # type: ignore[arg-type]
        (lambda: CalendarIntervalTrigger(days=1, hour="10:30"), "hour must .* write hour=10, minute=30"),  # type: ignore[arg-type]
        (lambda: BusinessDayTrigger(1, hour=time(9, 0, 5)), "write hour=9, minute=0, second=5"),  # type: ignore[arg-type]
        (lambda: IntervalTrigger(seconds=Decimal("2.5")), "; write seconds=2.5"),  # type: ignore[arg-type]
        (lambda: IntervalTrigger(minutes=timedelta(hours=1)), "; write minutes=60"),  # type: ignore[arg-type]
        (
            lambda: DateTrigger(timedelta(minutes=5)),  # type: ignore[arg-type]
            r"run_date=datetime.now\(UTC\) \+ datetime.timedelta\(seconds=300\)",
        ),
        (lambda: DateTrigger(1_800_000_000), r"run_date=datetime.fromtimestamp\(1800000000, UTC\)"),  # type: ignore[arg-type]
    ],
)
def test_a_parameter_of_the_wrong_type_is_refused_with_what_was_meant(make, message):
    with pytest.raises(TriggerTypeError, match=message):
        make()


@pytest.mark.parametrize("value", [1.5, "two", True, timedelta(hours=1), float("nan"), "1e999", None])
def test_nothing_is_proposed_for_what_cannot_be_meant(value):
    with pytest.raises(TriggerTypeError) as error:
        CalendarIntervalTrigger(days=value)
    assert "write" not in str(error.value)


def test_an_end_date_is_included():
    trigger = IntervalTrigger(hours=1, start_date="2026-01-01", end_date="2026-01-01 02:00:00", timezone=UTC)
    start = instant(datetime(2026, 1, 1, tzinfo=UTC))
    assert trigger.after(start + HOUR, start) == start + 2 * HOUR
    assert trigger.after(start + 2 * HOUR, start) is None
    assert trigger.latest(start, NOW) == (start + 2 * HOUR, 3)
    assert (
        IntervalTrigger(hours=1, start_date="2026-01-02", end_date="2026-01-01", timezone=UTC).first(0)
        is None
    )


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"seconds": -1}, TriggerError),
        ({"days": 1, "hours": -25}, TriggerError),
        ({"seconds": "5"}, TriggerTypeError),
        ({"hours": None}, TriggerTypeError),
        ({"seconds": float("nan")}, TriggerError),
        ({"seconds": float("inf")}, TriggerError),
        ({"weeks": 10**9}, TriggerError),
        ({"seconds": 5, "jitter": -1}, TriggerError),
        ({"seconds": 5, "jitter": "1"}, TriggerTypeError),
        ({"seconds": 5, "jitter": float("nan")}, TriggerError),
        ({"seconds": 5, "start_date": "soon"}, TriggerError),
        ({"seconds": 5, "start_date": 5}, TriggerTypeError),
        ({"seconds": 5, "timezone": "Europe/Berln"}, ValueError),
        ({"seconds": 5, "timezone": 5}, TypeError),
        ({"seconds": 1e-9}, TriggerError),
    ],
)
def test_what_is_no_interval_is_refused(options, error):
    with pytest.raises(error):
        IntervalTrigger(**options)


def test_an_interval_shows_its_length_and_how_it_is_made():
    trigger = IntervalTrigger(minutes=5, start_date="2026-07-01", timezone="Europe/Berlin", jitter=2)
    assert str(trigger) == "interval[0:05:00]"
    assert repr(trigger) == (
        "IntervalTrigger(seconds=300, start_date='2026-07-01T00:00:00+02:00', timezone='Europe/Berlin', jitter=2)"
    )


def test_the_zone_is_that_given_else_that_of_the_dates():
    start = datetime(2026, 1, 1, tzinfo=BERLIN)
    assert IntervalTrigger(seconds=1, start_date=start).timezone is BERLIN
    assert IntervalTrigger(seconds=1, end_date=start).timezone is BERLIN
    assert IntervalTrigger(seconds=1, start_date=start, timezone="UTC").timezone is UTC


@settings(max_examples=100, derandomize=True)
@given(
    st.integers(1, 10**10),
    st.integers(0, 2 * 10**15),
    st.integers(0, 2 * 10**15),
    st.one_of(st.none(), st.integers(0, 2 * 10**15)),
)
def test_the_grid_is_kept_wherever_it_is_asked(length, start, at, previous):
    trigger = IntervalTrigger(
        seconds=1, start_date=datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start)
    )
    trigger.__setstate__({**trigger.__getstate__(), "interval": timedelta(microseconds=length)})
    following = trigger.after(at, previous)
    anchor = start if previous is None else previous
    assert (following - anchor) % length == 0
    assert following > at
    assert following >= anchor
    assert following - length <= max(at, anchor)
    earlier = trigger.at_or_before(at)
    assert (earlier is None) == (at < start)
    if earlier is not None:
        assert earlier <= at < earlier + length
        assert trigger.latest(start, at) == (earlier, (earlier - start) // length + 1)


# -------------------------------------------------------------------------------------------------- calendar interval


def series(trigger: CalendarIntervalTrigger, start: str, count: int) -> list[str]:
    at = trigger.get_next_fire_time(None, datetime.fromisoformat(start).replace(tzinfo=trigger.timezone))
    found = []
    while at is not None and len(found) < count:
        found.append(at.isoformat(timespec="minutes"))
        at = trigger.get_next_fire_time(at, at)
    return found


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"days": 3, "hour": 7}, ["2026-01-31T07:00+00:00", "2026-02-03T07:00+00:00", "2026-02-06T07:00+00:00"]),
        ({"months": 1}, ["2026-01-31T00:00+00:00", "2026-03-31T00:00+00:00", "2026-05-31T00:00+00:00"]),
        ({"months": 1, "days": 1}, ["2026-01-31T00:00+00:00", "2026-04-01T00:00+00:00", "2026-05-02T00:00+00:00"]),
        ({"years": 1, "weeks": 1}, ["2026-01-31T00:00+00:00", "2027-02-07T00:00+00:00", "2028-02-14T00:00+00:00"]),
        ({"weeks": 2, "end_date": "2026-02-14"}, ["2026-01-31T00:00+00:00", "2026-02-14T00:00+00:00"]),
    ],
)  # fmt: skip
def test_dates_follow_each_other_by_the_calendar(options, wanted):
    trigger = CalendarIntervalTrigger(**options, start_date="2026-01-31", timezone=UTC)
    assert series(trigger, "2026-01-01", 3) == wanted


def test_a_leap_day_is_waited_for():
    trigger = CalendarIntervalTrigger(years=1, start_date="2096-02-29", timezone=UTC)
    assert series(trigger, "2096-01-01", 2) == ["2096-02-29T00:00+00:00", "2104-02-29T00:00+00:00"]


def test_the_first_time_is_not_past():
    trigger = CalendarIntervalTrigger(days=7, hour=9, start_date="2026-01-01", timezone=UTC)
    assert series(trigger, "2026-11-03 10:00", 1) == ["2026-11-05T09:00+00:00"]
    today = CalendarIntervalTrigger(days=1, hour=9, timezone=UTC, now=NOW)
    assert today.start_date == date(2026, 11, 3)
    assert series(today, "2026-11-03 10:00", 1) == ["2026-11-04T09:00+00:00"]


def test_today_is_today_in_the_zone():
    late = instant(datetime(2026, 11, 3, 22, tzinfo=UTC))
    assert CalendarIntervalTrigger(days=1, timezone="Asia/Tokyo", now=late).start_date == date(2026, 11, 4)


def test_a_gap_leaves_out_a_date_and_moves_no_other():
    trigger = CalendarIntervalTrigger(
        weeks=1, hour=23, minute=30, start_date="2024-03-23", timezone="America/Nuuk"
    )
    assert series(trigger, "2024-03-20", 3) == [
        "2024-03-23T23:30-02:00",
        "2024-04-06T23:30-01:00",
        "2024-04-13T23:30-01:00",
    ]


def test_an_overlap_counts_once_and_first():
    trigger = CalendarIntervalTrigger(
        days=1, hour=2, minute=30, start_date="2026-10-24", timezone="Europe/Berlin"
    )
    assert series(trigger, "2026-10-24", 3) == [
        "2026-10-24T02:30+02:00",
        "2026-10-25T02:30+02:00",
        "2026-10-26T02:30+01:00",
    ]


def test_a_time_just_before_midnight_with_jitter_keeps_every_day():
    trigger = CalendarIntervalTrigger(
        days=1, hour=23, minute=59, second=50, jitter=30, start_date="2026-01-01", timezone=UTC
    )
    at = present(trigger.first(instant(datetime(2026, 1, 1, tzinfo=UTC))))
    # The engine adds the jitter to the due time; what it asks about is the nominal time.
    for day in range(1, 30):
        at = present(trigger.after(at, at))
        assert at == instant(datetime(2026, 1, 1, 23, 59, 50, tzinfo=UTC)) + day * DAY


@pytest.mark.thorough
@settings(max_examples=100, derandomize=True)
@given(
    st.integers(0, 2),
    st.integers(0, 14),
    st.integers(0, 3),
    st.integers(0, 40),
    st.dates(date(1972, 1, 1), date(2060, 1, 1)),
    st.integers(0, 20_000),
    st.sampled_from(["Europe/Berlin", "America/Nuuk", "Africa/Cairo", "Pacific/Apia"]),
    st.sampled_from([0, 2, 23]),
)
def test_a_series_is_the_same_wherever_it_is_entered(years, months, weeks, days, start, ahead, zone, hour):
    if not any((years, months, weeks, days)):
        days = 1
    trigger = CalendarIntervalTrigger(
        years=years,
        months=months,
        weeks=weeks,
        days=days,
        start_date=start,
        timezone=zone,
        hour=hour,
        minute=30,
    )
    target = instant(datetime(start.year, start.month, start.day, tzinfo=UTC)) + ahead * DAY
    at = present(trigger.first(instant(datetime(start.year, start.month, start.day, tzinfo=UTC)) - 2 * DAY))
    last = None
    while at <= target:
        last = at
        at = present(trigger.after(at, at))
    assert trigger.after(target) == at
    assert trigger.at_or_before(target) == last


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({}, TriggerError),
        ({"days": -1}, TriggerError),
        ({"days": 1.5}, TriggerTypeError),
        ({"days": True}, TriggerTypeError),
        ({"days": 1, "hour": 24}, TriggerError),
        ({"days": 1, "minute": -1}, TriggerError),
        ({"days": 1, "start_date": "2026-02-30"}, TriggerError),
        ({"days": 1, "start_date": 5}, TriggerTypeError),
        ({"days": 1, "start_date": "2026-01-02", "end_date": "2026-01-01"}, TriggerError),
    ],
)
def test_what_is_no_calendar_interval_is_refused(options, error):
    with pytest.raises(error):
        CalendarIntervalTrigger(**options)


def test_a_calendar_interval_shows_as_in_apscheduler():
    trigger = CalendarIntervalTrigger(
        years=1, months=5, weeks=6, days=8, hour=3, second=8, start_date="2016-03-05", end_date="2020-12-25",
        timezone="Europe/Berlin",
    )  # fmt: skip
    assert str(trigger) == (
        "CalendarIntervalTrigger(years=1, months=5, weeks=6, days=8, time='03:00:08', start_date='2016-03-05', "
        "end_date='2020-12-25', timezone='Europe/Berlin')"
    )
