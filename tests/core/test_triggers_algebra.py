"""Streams of nominal times combined: union, intersection, difference, filters, shifts and bounds.

The oracle lists the times of the operands one by one and keeps, moves or counts them as the definition says.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.calendars import BusinessCalendar
from rota.clock import HOUR, LAST_INSTANT, MINUTE, SECOND, instant, moment
from rota.codec import loads
from rota.codec.triggers import trigger_of, trigger_spec
from rota.codec.values import to_text
from rota.errors import NeverFiresError, TriggerError, TriggerTypeError
from rota.triggers import trigger_from_spec
from rota.triggers.algebra.derived import following
from rota.triggers.base import BaseTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
#: Sunday, 25 October 2026: the clocks in Berlin go back at 01:00 UTC
START = datetime(2026, 10, 23, 12, tzinfo=UTC)
NOW = instant(START)


def walk(trigger: BaseTrigger, since: int, until: int) -> Iterator[int]:
    at = following(trigger, since - 1)
    while at is not None and at <= until:
        yield at
        at = trigger.after(at, at)


def shown(trigger: BaseTrigger, count: int, since: datetime = START) -> list[str]:
    return [f"{at:%a %d %H:%M}" for at in trigger.next(count, since)]


# ----------------------------------------------------------------------------------------------------- the operators


def test_or_and_minus_are_operators_and_chains_stay_flat():
    noon = CronTrigger(hour=12, timezone=UTC)
    hourly = CronTrigger(minute=0, timezone=UTC)
    once = DateTrigger(START + timedelta(minutes=5))
    assert (noon | hourly | once) == OrTrigger([noon, hourly, once])
    assert (noon & hourly) == AndTrigger([noon, hourly])
    assert str(hourly - noon) == f"minus[{hourly}, {noon}]"
    assert shown(noon | once, 3) == ["Fri 23 12:00", "Fri 23 12:05", "Sat 24 12:00"]
    assert shown(noon & hourly, 2) == ["Fri 23 12:00", "Sat 24 12:00"]
    assert shown(hourly - noon, 2) == ["Fri 23 13:00", "Fri 23 14:00"]


@pytest.mark.parametrize("operate", [lambda a: a | 5, lambda a: a & "mon", lambda a: a - None])
def test_operators_take_triggers_only(operate):
    with pytest.raises(TypeError, match="unsupported operand"):
        operate(CronTrigger(hour=12, timezone=UTC))


def test_a_filter_keeps_times_whatever_their_rhythm():
    work = IntervalTrigger(minutes=90, start_date=START, timezone=UTC).between("9:00", "17:00").on("mon-fri")
    assert shown(work, 8) == [
        "Fri 23 12:00", "Fri 23 13:30", "Fri 23 15:00", "Fri 23 16:30",
        "Mon 26 09:00", "Mon 26 10:30", "Mon 26 12:00", "Mon 26 13:30",
    ]  # fmt: skip


def test_between_includes_both_ends_and_runs_over_midnight():
    hourly = CronTrigger(minute=0, timezone=UTC)
    assert shown(hourly.between(time(9), time(11)), 4) == [
        "Sat 24 09:00", "Sat 24 10:00", "Sat 24 11:00", "Sun 25 09:00"]  # fmt: skip
    assert shown(hourly.between("22:00", "1:00"), 5) == [
        "Fri 23 22:00", "Fri 23 23:00", "Sat 24 00:00", "Sat 24 01:00", "Sat 24 22:00"]  # fmt: skip
    assert shown(hourly.between("22:00", "24:00"), 3) == ["Fri 23 22:00", "Fri 23 23:00", "Sat 24 22:00"]


def test_the_clock_of_a_filter_may_be_in_another_zone():
    hourly = CronTrigger(minute=0, timezone=UTC)
    assert shown(hourly.between("9:00", "10:00", timezone="Europe/Berlin"), 4) == [
        "Sat 24 07:00", "Sat 24 08:00", "Sun 25 08:00", "Sun 25 09:00"]  # fmt: skip


def test_weekdays_are_names_ranges_lists_or_apschedulers_numbers():
    daily = CronTrigger(hour=6, timezone=UTC)
    written: list[tuple[Any, str]] = [
        (("mon-fri",), "mon-fri"), ((0, 1, 2, 3, 4), "mon-fri"), (("SAT, Sun",), "sat-sun"), (("sat", "sun"), "sat-sun"),
        (("fri-mon",), "fri-mon"), (([2, "tue"],), "tue-wed"), (("0,2,4",), "mon,wed,fri"), ((range(7),), "mon-sun"),
        (("5-0",), "sat-mon"),
    ]  # fmt: skip
    for days, text in written:
        assert str(daily.on(*days)) == f"{daily}.on('{text}')"
    assert shown(daily.on("fri-mon"), 4) == ["Sat 24 06:00", "Sun 25 06:00", "Mon 26 06:00", "Fri 30 06:00"]


def test_offset_moves_by_elapsed_time():
    daily = CronTrigger(hour=0, minute=30, timezone=BERLIN)
    moved = daily.offset(hours=2, minutes=15)
    assert shown(moved, 3) == ["Sat 24 02:45", "Sun 25 02:45", "Mon 26 02:45"]
    assert [at.fold for at in moved.next(3, START)] == [0, 0, 0]
    assert daily.offset(8100) == daily.offset(timedelta(hours=2.25)) == moved
    assert shown(daily.offset(-1800), 1) == ["Sat 24 00:00"]
    assert moved.delta == timedelta(hours=2.25)


def test_an_offset_beyond_the_calendar_is_told_in_seconds():
    with pytest.raises(TriggerError, match="An offset of -259200000000 seconds is longer than the calendar"):
        IntervalTrigger(minutes=1).offset(days=-3_000_000)


def test_an_offset_that_is_no_length_of_time_is_refused():
    daily: Any = CronTrigger(hour=0, minute=30, timezone=BERLIN)
    wrong: dict[str, Any]
    for wrong in ({"days": 10**9}, {"days": float("nan")}, {"delta": float("inf")}, {"weeks": 10**6}):
        with pytest.raises(TriggerError):
            daily.offset(**wrong)
    for wrong in ({"days": "1"}, {"delta": "5"}, {"delta": True}):
        with pytest.raises(TriggerTypeError):
            daily.offset(**wrong)


def test_limit_keeps_the_first_times_of_the_schedule_and_counts_no_runs():
    three = IntervalTrigger(hours=1, start_date=START).on("fri").limit(3)
    assert shown(three, 9) == ["Fri 23 12:00", "Fri 23 13:00", "Fri 23 14:00"]
    assert three.after(NOW + 2 * HOUR - 1) == NOW + 2 * HOUR
    assert three.after(NOW + 2 * HOUR) is None
    assert three.latest(NOW, NOW + 9 * HOUR) == (NOW + 2 * HOUR, 3)
    assert shown(DateTrigger(START).limit(5), 9) == ["Fri 23 12:00"]


def test_limit_counts_from_a_start_however_it_is_given():
    daily = CronTrigger(hour=12, timezone=UTC)
    for trigger in (
        daily.starting(START).limit(2),
        CronTrigger(hour=12, timezone=UTC, start_date=START).limit(2),
        CalendarIntervalTrigger(days=1, hour=12, start_date="2026-10-23", timezone=UTC).limit(2),
        (daily.starting(START) | daily.starting(START + timedelta(days=3))).limit(2),
        (daily & CronTrigger(minute=0, timezone=UTC).starting(START)).limit(2),
        (daily.starting(START) - CronTrigger(day=30, hour="*", timezone=UTC)).limit(2),
        daily.offset(-HOUR // SECOND).starting(START).offset(HOUR // SECOND).limit(1) | daily.starting("2026-10-24").limit(1),
    ):  # fmt: skip
        assert shown(trigger, 5) in (["Fri 23 12:00", "Sat 24 12:00"], ["Sat 24 12:00"]), trigger


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger(hour=12, timezone=UTC),
        CronTrigger(hour=12, timezone=UTC).between("9:00", "17:00"),
        CronTrigger(hour=12, timezone=UTC).until("2030-01-01"),
        CronTrigger(hour=12, timezone=UTC) | DateTrigger(START),
    ],
)
def test_limit_refuses_a_schedule_without_a_start_and_says_what_to_write(trigger):
    with pytest.raises(TriggerError, match=r"write \.starting\(when\)\.limit\(3\)"):
        trigger.limit(3)


def test_starting_and_until_bound_a_schedule_and_leave_its_grid():
    every = IntervalTrigger(hours=5, start_date=START, timezone=UTC)
    bounded = every.starting("2026-10-24").until(datetime(2026, 10, 24, 13, tzinfo=UTC))
    assert shown(bounded, 9) == ["Sat 24 03:00", "Sat 24 08:00", "Sat 24 13:00"]
    assert bounded.at_or_before(NOW + 10**15) == instant(datetime(2026, 10, 24, 13, tzinfo=UTC))
    assert bounded.at_or_before(NOW) is None
    assert shown(every.until(date(2026, 10, 24)), 9) == ["Fri 23 12:00", "Fri 23 17:00", "Fri 23 22:00"]
    assert str(every.until("2026-10-24")) == "interval[5:00:00].until('2026-10-24 00:00:00 UTC')"


def test_a_past_date_stays_due_if_the_filter_lets_it_through():
    past = DateTrigger(START - timedelta(days=1))
    assert past.on("thu").first(NOW) == NOW - 24 * HOUR
    assert past.on("fri").first(NOW) is None
    assert past.starting(START - timedelta(days=2)).limit(1).offset(60).first(NOW) == NOW - 24 * HOUR + MINUTE
    assert past.starting(START).first(NOW) is None
    assert (past - CronTrigger(hour=12, timezone=UTC)).first(NOW) is None
    assert (past - CronTrigger(hour=13, timezone=UTC)).first(NOW) == NOW - 24 * HOUR


# ------------------------------------------------------------------------------------------------------ clock changes


def test_both_passes_of_an_overlap_lie_in_a_window_of_the_wall_clock():
    quarters = (
        IntervalTrigger(minutes=30, start_date=START, timezone=BERLIN).between("2:00", "2:30").on("sun")
    )
    assert [at.isoformat() for at in quarters.next(4, START)] == [
        "2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00",
        "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00"]  # fmt: skip


def test_a_window_inside_a_gap_is_never_open():
    minutes = CronTrigger(minute="*", timezone=BERLIN).between("2:10", "2:50").on("sun")
    assert minutes.next(1, datetime(2026, 3, 28, tzinfo=UTC))[0].isoformat() == "2026-04-05T02:10:00+02:00"


def test_what_a_fixed_cron_leaves_out_in_the_second_pass_no_filter_brings_back():
    fixed = CronTrigger(hour=2, minute=30, timezone=BERLIN)
    second_pass = fixed.between(
        "1:00", "1:45", timezone=UTC
    )  # lets the second pass through and not the first
    assert second_pass.next(1, START)[0].isoformat() == "2026-10-26T02:30:00+01:00"


def test_a_filter_over_the_lost_day_of_apia_goes_on_after_it():
    daily = CronTrigger(hour=12, timezone="Pacific/Apia").on("thu-sat")
    assert shown(daily, 3, datetime(2011, 12, 29, tzinfo=UTC)) == [
        "Thu 29 12:00",
        "Sat 31 12:00",
        "Thu 05 12:00",
    ]


# ------------------------------------------------------------------------------------------------------- the searches


def test_a_dense_trigger_is_not_walked_through_a_closed_window():
    asked = []

    class Counting(IntervalTrigger):
        def after(self, instant, previous=None):
            asked.append(instant)
            return super().after(instant, previous)

    work = Counting(seconds=0.01, start_date=START, timezone=UTC).between("9:00", "17:00").on("mon-fri")
    friday = instant(datetime(2026, 10, 23, 17, tzinfo=UTC))
    assert work.after(friday) == instant(datetime(2026, 10, 26, 9, tzinfo=UTC))
    assert len(asked) < 12
    asked.clear()
    last, count = work.latest(NOW, NOW + 365 * 24 * HOUR)
    assert moment(last) == datetime(2027, 10, 22, 17, tzinfo=UTC)
    assert count == 5 * 3600 * 100 + 1 + 260 * (8 * 3600 * 100 + 1)
    assert len(asked) < 5000


@pytest.mark.parametrize(
    "trigger",
    [
        CronTrigger(hour=9, timezone=UTC).between("10:00", "11:00"),
        CronTrigger(day=1, month=1, timezone=UTC, year=2029).on("tue"),
        IntervalTrigger(days=7, start_date=START).on("sat").on("sun"),
        CronTrigger(minute=0, timezone=UTC) - CronTrigger(minute=0, hour="0-12,13-23", timezone=UTC),
        IntervalTrigger(hours=1, start_date=START)
        - IntervalTrigger(minutes=7, start_date=START - timedelta(days=9)),
    ],
)
def test_a_search_in_vain_ends_with_an_error_or_none(trigger, monkeypatch):
    monkeypatch.setattr("rota.triggers.algebra.streams.WALK_LIMIT", 1000)
    try:
        found = trigger.after(NOW)
    except NeverFiresError as error:
        assert "has no time" in str(error)
    else:
        assert found is None or isinstance(trigger, type(trigger))


def test_what_provably_leaves_nothing_is_refused():
    hourly = IntervalTrigger(hours=1, start_date=START)
    for nothing in (
        lambda: hourly - hourly,
        lambda: hourly - IntervalTrigger(minutes=20, start_date=START - timedelta(hours=3)),
        lambda: DateTrigger(START) & hourly.starting(START + timedelta(hours=1)),
    ):
        with pytest.raises(NeverFiresError):
            nothing()
    assert (hourly - IntervalTrigger(minutes=20, start_date=START + timedelta(hours=3))).after(
        NOW
    ) == NOW + HOUR


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda a: a.between("9:00", "9:00"), TriggerError, "two times"),
        (lambda a: a.between("9", "10:00"), TriggerError, "HH:MM"),
        (lambda a: a.between("25:00", "10:00"), TriggerError, "HH:MM"),
        (lambda a: a.between("24:00", "10:00"), TriggerError, "00:00"),
        (lambda a: a.between(9, "10:00"), TriggerTypeError, "time"),
        (lambda a: a.between(time(9, tzinfo=UTC), "10:00"), TriggerError, "timezone="),
        (lambda a: a.on(), TriggerError, "at least one"),
        (lambda a: a.on("mom"), TriggerError, "did you mean"),
        (lambda a: a.on("mon-fri/2"), TriggerError, "not understood"),
        (lambda a: a.on("mon,"), TriggerError, "not understood"),
        (lambda a: a.on(7), TriggerError, "6 is Sunday"),
        (lambda a: a.on(1.5), TriggerTypeError, "not 1.5"),
        (lambda a: a.on(True), TriggerTypeError, "not True"),
        (lambda a: a.offset("1h"), TriggerTypeError, "seconds or a timedelta"),
        (lambda a: a.offset(float("nan")), TriggerError, "length of time"),
        (lambda a: a.offset(10**15), TriggerError, "longer"),
        (lambda a: a.limit(0), TriggerError, "1 to"),
        (lambda a: a.limit(10**6), TriggerError, r"until\(\)"),
        (lambda a: a.limit("3"), TriggerTypeError, "whole number"),
        (lambda a: a.until(None), TriggerError, "not None"),
        (lambda a: a.starting("soon"), TriggerError, "soon"),
    ],
)
def test_wrong_arguments_are_refused_with_what_to_write(make, error, says):
    with pytest.raises(error, match=says):
        make(IntervalTrigger(hours=1, start_date=START))


DAILY = IntervalTrigger(days=1, start_date="2026-01-01", timezone=UTC)


@pytest.mark.parametrize(
    "trigger",
    [
        DAILY.on("mon"), DAILY.between("0:00", "1:00"), DAILY.offset(5), DAILY.offset(-5), DAILY.limit(5),
        DAILY.until("2027-01-01"), DAILY.starting("2027-01-01"), DAILY - CronTrigger(day=1, timezone=UTC),
        DAILY.on_business_days(BusinessCalendar()), DAILY.roll(BusinessCalendar()), BusinessDayTrigger(timezone=UTC),
    ],
    ids=str,
)  # fmt: skip
def test_beyond_the_calendar_there_is_nothing(trigger):
    for at in (-(2**62), -(10**17), -1, 0, LAST_INSTANT - 1, LAST_INSTANT, LAST_INSTANT + 1, 2**62):
        for found in (trigger.after(at), trigger.at_or_before(at)):
            assert found is None or 0 < found <= LAST_INSTANT


# ------------------------------------------------------------------------------------------------------ as data


class Custom(BaseTrigger):
    """A trigger as users write it: times from a list, no spec."""

    def __init__(self, *hours: int) -> None:
        self.hours = hours

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Custom) and self.hours == other.hours

    __hash__ = None  # type: ignore[assignment]  # equal ones may change

    def get_next_fire_time(self, previous_fire_time, now):
        times = (START + timedelta(hours=hour) for hour in self.hours)
        return next(
            (at for at in times if (previous_fire_time is None or at > previous_fire_time) and at >= now),
            None,
        )


def test_triggers_made_of_a_users_own_trigger_are_kept_by_pickle_and_by_the_codec():
    for trigger in (
        Custom(1, 5, 70).on("fri", timezone=UTC),
        Custom(1, 5, 70) | IntervalTrigger(days=1, start_date=START),
        Custom(1, 5, 70).offset(3) - Custom(5),
    ):
        assert trigger.spec() is None
        for back in (
            pickle.loads(pickle.dumps(trigger)),
            trigger_of(loads(to_text(trigger_spec(trigger), "trigger"))),
        ):
            assert back == trigger
            assert back.next(3, START) == trigger.next(3, START)


def test_jitter_and_spread_of_the_operands_are_kept():
    hourly = IntervalTrigger(hours=1, start_date=START, jitter=30)
    assert hourly.between("9:00", "17:00").offset(5).limit(3).jitter == 30
    assert (hourly | CronTrigger(hour=3, timezone=UTC, jitter=60)).jitter == 60
    assert (hourly - CronTrigger(hour=3, timezone=UTC)).jitter == 30


def test_a_start_that_nobody_gave_is_no_part_of_the_schedule():
    one, other = (IntervalTrigger(hours=1, now=NOW + n).between("9:00", "17:00") for n in (0, 5))
    assert one.same_schedule(other)
    assert one != other
    assert not one.same_schedule(IntervalTrigger(hours=1, now=NOW).between("9:00", "18:00"))
    assert not one.same_schedule(IntervalTrigger(hours=2, now=NOW).between("9:00", "17:00"))


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "on", "weekdays": "mon"},
        {"type": "on", "trigger": {"type": "cron", "timezone": "UTC"}, "weekdays": "foo"},
        {"type": "minus", "triggers": [{"type": "cron", "timezone": "UTC"}]},
        {"type": "limit", "trigger": {"type": "cron", "timezone": "UTC"}, "count": 3},
        {"type": "offset", "trigger": {"type": "cron", "timezone": "UTC"}, "seconds": "x"},
    ],
)  # fmt: skip
def test_a_spec_that_is_none_is_refused(spec):
    with pytest.raises(ValueError, match="stored form"):
        trigger_from_spec(spec)


# ------------------------------------------------------------------------------------------------------- the oracle

OPERANDS = [
    IntervalTrigger(minutes=25, start_date=START, timezone=BERLIN),
    IntervalTrigger(hours=7, start_date=START + timedelta(minutes=5), timezone=BERLIN),
    CronTrigger(hour="*/2", minute=30, timezone=BERLIN),
    CronTrigger(hour=2, minute="0,30", timezone=BERLIN),
    CalendarIntervalTrigger(days=1, hour=2, minute=30, start_date="2026-10-20", timezone=BERLIN),
    DateTrigger(START + timedelta(hours=30)),
]
#: Long enough for what the filters and offsets look back at.
LONG_AGO = NOW - 40 * 24 * HOUR
HORIZON = NOW + 7 * 24 * HOUR
HALF_HOURS = st.integers(0, 47).map(lambda half: time(half // 2, half % 2 * 30))


def everything(trigger: BaseTrigger) -> set[int]:
    return set(walk(trigger, LONG_AGO, HORIZON + 40 * 24 * HOUR))


@st.composite
def streams(draw: st.DrawFn, depth: int = 3) -> tuple[BaseTrigger, set[int]]:
    """Draw a trigger together with the set of its times, made from the sets of its operands by the definition."""
    if not depth or draw(st.integers(0, 4)) == 0:
        trigger = draw(st.sampled_from(OPERANDS))
        return trigger, everything(trigger)
    one, ones = draw(streams(depth - 1))
    try:
        made, times = draw(st.sampled_from(OPERATIONS))(draw, one, ones, depth - 1)
    except NeverFiresError:
        return one, ones
    return (made, times) if times else (one, ones)  # a search in vain is an error, and another test


def either(draw, one, ones, depth):
    two, twos = draw(streams(depth))
    return one | two, ones | twos


def both(draw, one, ones, depth):
    two, twos = draw(streams(depth))
    return one & two, ones & twos


def without(draw, one, ones, depth):
    two, twos = draw(streams(depth))
    return one - two, ones - twos


def between(draw, one, ones, depth):
    start, end = draw(st.lists(HALF_HOURS, min_size=2, max_size=2, unique=True))
    zone = draw(st.sampled_from([BERLIN, ZoneInfo("America/St_Johns")]))

    def inside(at: int) -> bool:
        clock = moment(at, zone).time()
        return start <= clock <= end if start < end else clock >= start or clock <= end

    return one.between(start, end, timezone=zone), {at for at in ones if inside(at)}


def on(draw, one, ones, depth):
    days = draw(st.sets(st.integers(0, 6), min_size=1))
    return one.on(*days), {at for at in ones if moment(at, one.timezone).weekday() in days}


def offset(draw, one, ones, depth):
    seconds = draw(st.sampled_from([-7200, -0.5, 90, 3600, 30 * 3600]))
    return one.offset(seconds), {at + int(seconds * SECOND) for at in ones}


def limit(draw, one, ones, depth):
    start, count = LONG_AGO + 30 * 24 * HOUR, draw(st.integers(1, 40))
    return one.starting(moment(start)).limit(count), set(sorted(at for at in ones if at >= start)[:count])


def starting(draw, one, ones, depth):
    edge = NOW + draw(st.integers(-20, 100)) * HOUR
    return one.starting(moment(edge)), {at for at in ones if at >= edge}


def until(draw, one, ones, depth):
    edge = NOW + draw(st.integers(-20, 100)) * HOUR
    return one.until(moment(edge)), {at for at in ones if at <= edge}


OPERATIONS = [either, both, without, between, on, offset, limit, starting, until]


@pytest.mark.thorough
@settings(max_examples=60, deadline=None, derandomize=True)
@given(streams(), st.integers(0, 6 * 48))
def test_every_stream_has_the_times_that_the_definition_gives_it(drawn, half_hours):
    trigger, wanted = drawn
    now = NOW + half_hours * 30 * MINUTE
    window = sorted(at for at in wanted if NOW <= at <= HORIZON)
    found, vain = [], False
    try:
        for at in walk(trigger, NOW, HORIZON):
            found.append(at)
    except NeverFiresError:  # an operand has no further times, and nothing proves it
        vain = True
    assert found == (window[: len(found)] if vain else window)
    before = [at for at in wanted if LONG_AGO < at <= now]
    if before:
        assert trigger.at_or_before(now) == max(before)
    past = [at for at in window if at <= now]
    if past and not vain:
        assert trigger.latest(past[0], now) == (past[-1], len(past))
    spec = trigger.spec()
    assert trigger_from_spec(spec) == trigger
    assert trigger_from_spec(spec).spec() == spec
    assert pickle.loads(pickle.dumps(trigger)) == trigger
