"""Business calendars and the triggers that know them: filters, rolls, the n-th business day."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.calendars import BusinessCalendar, ical_dates
from rota.clock import HOUR, instant, moment
from rota.errors import NeverFiresError, TriggerError, TriggerTypeError
from rota.triggers import BUILTIN_TRIGGERS, trigger_class, trigger_from_spec
from rota.triggers.algebra.business_days import RollTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.needs import need
from tests.present import present

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = BusinessCalendar()
#: 1 to 8 May 2026 closed (Friday to Friday), Saturday the 9th open
MAY = BusinessCalendar(closed=[date(2026, 5, day) for day in range(1, 9)], open=["2026-05-09"])
SINCE = datetime(2026, 4, 1, tzinfo=UTC)


def shown(trigger, count: int, since: datetime = SINCE) -> list[str]:
    return [f"{at:%a %m-%d %H:%M}" for at in trigger.next(count, since)]


# ----------------------------------------------------------------------------------------------------------- calendars


def test_business_days_are_those_neither_at_the_weekend_nor_closed_unless_they_are_open():
    assert [str(day) for day in MAY.business_days(date(2026, 4, 29), date(2026, 5, 12))] == [
        "2026-04-29", "2026-04-30", "2026-05-09", "2026-05-11", "2026-05-12"]  # fmt: skip
    friday = BusinessCalendar(weekend="fri,sat")
    assert not friday.is_business_day(date(2026, 5, 1))
    assert friday.is_business_day(date(2026, 5, 3))
    assert BusinessCalendar(weekend=()).is_business_day(date(2026, 5, 3))


def test_a_day_is_rolled_by_each_convention():
    saturday = date(2026, 5, 2)
    for convention, day in [
        ("none", "05-02"), ("unadjusted", "05-02"), ("next", "05-09"), ("following", "05-09"), ("previous", "04-30"),
        ("preceding", "04-30"), ("modified_following", "05-09"), ("modified_previous", "05-09"),
    ]:  # fmt: skip
        assert f"{MAY.roll(saturday, convention):%m-%d}" == day, convention
    last = date(2026, 5, 31)  # a Sunday
    assert WEEK.roll(last, "next") == date(2026, 6, 1)
    assert WEEK.roll(last, "modified_following") == date(2026, 5, 29)
    assert WEEK.roll(last, "modified_previous") == date(2026, 5, 29)
    assert WEEK.roll(date(2026, 5, 29), "previous") == date(2026, 5, 29)


def test_business_days_are_counted_on_and_back():
    assert MAY.shift(date(2026, 4, 30), 1) == date(2026, 5, 9)
    assert MAY.shift(date(2026, 5, 11), -2) == date(2026, 4, 30)
    assert MAY.shift(date(2026, 5, 2), 0) == date(2026, 5, 2)


def test_holidays_come_by_country_part_and_market():
    need("holidays", "holidays")
    germany, bavaria = BusinessCalendar("DE"), BusinessCalendar("de-by")
    assert germany.is_business_day(date(2026, 1, 6))
    assert not bavaria.is_business_day(date(2026, 1, 6))
    exchange = BusinessCalendar(market="NYSE")
    assert not exchange.is_business_day(date(2026, 4, 3))
    assert exchange.is_business_day(date(2026, 4, 6))
    joint = BusinessCalendar(["DE", "GB-ENG"], market=["NYSE", "ECB"])
    assert joint == BusinessCalendar(("GB-ENG", "DE"), market=("ECB", "NYSE"))
    assert not joint.is_business_day(date(2026, 8, 31))  # the summer bank holiday
    assert not joint.is_business_day(date(2026, 9, 7))  # labor day
    for make, says in [
        (lambda: BusinessCalendar("DEE"), "did you mean"),
        (lambda: BusinessCalendar("DE-XX"), "part 'XX' of DE"),
        (lambda: BusinessCalendar(market="NISE"), "market 'NISE'"),
    ]:
        with pytest.raises(TriggerError, match=says):
            make()


def test_a_calendar_is_a_value_of_names_and_dates():
    calendar = BusinessCalendar(
        weekend="fri,sat", closed=["2026-12-24", date(2026, 12, 23)], open=["2026-12-25"]
    )
    spec = {"weekend": "fri-sat", "closed": ["2026-12-23", "2026-12-24"], "open": ["2026-12-25"]}
    assert calendar.spec() == spec
    for back in (
        BusinessCalendar.from_spec(json.loads(json.dumps(spec))),
        pickle.loads(pickle.dumps(calendar)),
    ):
        assert back == calendar
        assert hash(back) == hash(calendar)
    assert WEEK.spec() == {}
    assert calendar != WEEK
    assert str(calendar) == "BusinessCalendar(weekend='fri-sat', closed=<2 dates>, open=<1 dates>)"


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: BusinessCalendar(weekend="mon-sun"), TriggerError, "seven days"),
        (lambda: BusinessCalendar(weekend="son"), TriggerError, "did you mean"),
        (lambda: BusinessCalendar(closed="2026-01-01"), TriggerTypeError, "list of dates"),
        (lambda: BusinessCalendar(closed=[datetime(2026, 1, 1)]), TriggerTypeError, "dates or ISO"),
        (lambda: BusinessCalendar(closed=["2026-13-01"]), TriggerError, "2026-13-01"),
        (lambda: BusinessCalendar(5), TypeError, "iterable"),  # type: ignore[arg-type]
        (lambda: BusinessCalendar([5]), TriggerTypeError, "code such as"),  # type: ignore[list-item]
        (lambda: WEEK.roll(date(2026, 1, 1), "folowing"), TriggerError, "did you mean 'following'"),
        (lambda: BusinessDayTrigger(0), TriggerError, "no 0th"),
        (lambda: BusinessDayTrigger(32), TriggerError, "from -31 to 31"),
        (lambda: BusinessDayTrigger("1"), TriggerTypeError, "whole number"),  # type: ignore[arg-type]
        (lambda: BusinessDayTrigger(of="decade"), TriggerError, "there are month"),
        (lambda: BusinessDayTrigger(hour=24), TriggerError, "0 to 23"),
        (lambda: BusinessDayTrigger(calendar="DE"), TriggerTypeError, "BusinessCalendar"),  # type: ignore[arg-type]
        (lambda: CronTrigger(timezone=UTC).roll(WEEK, days=1.5), TriggerTypeError, "whole number"),  # type: ignore[arg-type]
        (lambda: CronTrigger(timezone=UTC).on_business_days("DE"), TriggerTypeError, "BusinessCalendar"),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_refused(make, error, says):
    with pytest.raises(error, match=says):
        make()


ICAL = b"""BEGIN:VCALENDAR\r
VERSION:2.0\r
PRODID:-//Rota//Test//EN\r
BEGIN:VEVENT\r
UID:1\r
DTSTART;VALUE=DATE:20241224\r
DTEND;VALUE=DATE:20241227\r
RRULE:FREQ=YEARLY\r
EXDATE;VALUE=DATE:20271224\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:1\r
RECURRENCE-ID;VALUE=DATE:20261224\r
DTSTART;VALUE=DATE:20261231\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:2\r
DTSTART;VALUE=DATE:20260701\r
DURATION:P2D\r
RDATE;VALUE=DATE:20260801\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:3\r
DTSTART:20260901T090000Z\r
END:VEVENT\r
BEGIN:VEVENT\r
UID:4\r
STATUS:CANCELLED\r
DTSTART;VALUE=DATE:20260902\r
END:VEVENT\r
END:VCALENDAR\r
"""


def test_the_days_of_an_icalendar_file_may_be_closed(tmp_path):
    need("icalendar", "icalendar")
    need("dateutil", "rrule")
    days = ["2026-07-01", "2026-07-02", "2026-08-01", "2026-08-02", "2026-12-31",
            "2028-12-24", "2028-12-25", "2028-12-26"]  # fmt: skip
    assert [str(day) for day in ical_dates(ICAL, 2026, 2028)] == days
    file = tmp_path / "closed.ics"
    file.write_bytes(ICAL)
    calendar = BusinessCalendar(closed=ical_dates(file, 2026, 2028))
    assert not calendar.is_business_day(date(2026, 7, 1))
    with pytest.raises(TriggerError, match="not a range"):
        ical_dates(ICAL, 2028, 2026)
    with pytest.raises(TriggerError, match="must be an iCalendar file"):
        ical_dates(b"hello", 2026, 2028)


# ------------------------------------------------------------------------------------------------------------ triggers


def test_the_nth_business_day_of_a_period_counted_from_either_end():
    assert shown(BusinessDayTrigger(-1, hour=17, timezone=UTC), 3) == [
        "Thu 04-30 17:00",
        "Fri 05-29 17:00",
        "Tue 06-30 17:00",
    ]
    assert shown(BusinessDayTrigger(2, MAY, timezone=UTC), 3) == [
        "Thu 04-02 00:00",
        "Mon 05-11 00:00",
        "Tue 06-02 00:00",
    ]
    assert shown(BusinessDayTrigger(3, of="quarter", timezone=UTC), 2) == [
        "Fri 04-03 00:00",
        "Fri 07-03 00:00",
    ]
    assert shown(BusinessDayTrigger(-2, of="year", timezone=UTC), 2) == ["Wed 12-30 00:00", "Thu 12-30 00:00"]
    assert shown(BusinessDayTrigger(23, timezone=UTC), 2) == ["Fri 07-31 00:00", "Thu 12-31 00:00"]


def test_a_period_without_an_nth_business_day_is_left_out_and_a_search_in_vain_ends():
    assert shown(BusinessDayTrigger(17, MAY, timezone=UTC), 2) == ["Thu 04-23 00:00", "Tue 06-23 00:00"]
    with pytest.raises(NeverFiresError, match="500 periods"):
        BusinessDayTrigger(24, timezone=UTC).after(0)


def test_the_nth_business_day_keeps_to_its_bounds_and_looks_back():
    trigger = BusinessDayTrigger(1, start_date="2026-05-04", end_date="2026-07-01", timezone=UTC)
    assert shown(trigger, 9) == ["Mon 06-01 00:00", "Wed 07-01 00:00"]
    assert trigger.at_or_before(instant(datetime(2026, 6, 30, tzinfo=UTC))) == instant(
        datetime(2026, 6, 1, tzinfo=UTC)
    )
    assert trigger.at_or_before(instant(datetime(2026, 5, 30, tzinfo=UTC))) is None
    assert trigger.at_or_before(instant(datetime(2030, 1, 1, tzinfo=UTC))) == instant(
        datetime(2026, 7, 1, tzinfo=UTC)
    )
    assert shown(trigger.limit(1), 9) == ["Mon 06-01 00:00"]


def test_a_time_in_a_gap_is_read_with_the_offset_before_it():
    march = BusinessDayTrigger(-1, BusinessCalendar(weekend=(), closed=["2026-03-30", "2026-03-31"]), hour=2, minute=30,
                               timezone=BERLIN)  # fmt: skip
    assert march.next(1, datetime(2026, 3, 1, tzinfo=UTC))[0].isoformat() == "2026-03-29T03:30:00+02:00"


def test_times_on_other_days_are_left_out_or_moved():
    salary = CronTrigger(day=25, hour=9, timezone=BERLIN)
    october = datetime(2026, 7, 1, tzinfo=UTC)
    assert shown(salary.on_business_days(WEEK), 2, october) == ["Tue 08-25 09:00", "Fri 09-25 09:00"]
    assert shown(salary.roll(WEEK, "previous"), 3, october) == [
        "Fri 07-24 09:00",
        "Tue 08-25 09:00",
        "Fri 09-25 09:00",
    ]
    assert shown(salary.roll(WEEK), 2, october) == ["Mon 07-27 09:00", "Tue 08-25 09:00"]
    month_end = CronTrigger(day="last", hour=18, timezone=BERLIN).roll(WEEK, "modified_following")
    assert shown(month_end, 3, datetime(2026, 5, 1, tzinfo=UTC)) == [
        "Fri 05-29 18:00",
        "Tue 06-30 18:00",
        "Fri 07-31 18:00",
    ]


def test_settlement_is_two_business_days_after_the_trade():
    trade = CronTrigger(day_of_week="thu", hour=12, timezone=UTC)
    assert shown(trade.roll(WEEK, days=2), 2) == ["Mon 04-06 12:00", "Mon 04-13 12:00"]
    assert shown(trade.roll(WEEK, days=-3), 2) == ["Mon 04-06 12:00", "Mon 04-13 12:00"]


def test_times_that_are_moved_onto_one_another_are_one_and_in_order():
    daily = CronTrigger(hour="9,17", timezone=UTC)
    assert shown(daily.roll(WEEK), 4, datetime(2026, 4, 3, 10, tzinfo=UTC)) == [
        "Fri 04-03 17:00", "Mon 04-06 09:00", "Mon 04-06 17:00", "Tue 04-07 09:00"]  # fmt: skip


def test_a_past_date_is_moved_and_may_be_due_later():
    saturday = DateTrigger(datetime(2026, 4, 4, 12, tzinfo=UTC))
    sunday = instant(datetime(2026, 4, 5, tzinfo=UTC))
    assert moment(present(saturday.roll(WEEK, "next").first(sunday))) == datetime(2026, 4, 6, 12, tzinfo=UTC)
    assert moment(present(saturday.roll(WEEK, "previous").first(sunday))) == datetime(
        2026, 4, 3, 12, tzinfo=UTC
    )


def test_a_roll_of_a_dense_trigger_says_that_it_is_for_sparse_ones():
    with pytest.raises(NeverFiresError, match="a few times a day"):
        IntervalTrigger(seconds=1, start_date="2026-01-01", timezone=UTC).roll(WEEK).after(instant(SINCE))


def test_a_dense_trigger_on_business_days_costs_a_step_for_each_opening():
    trigger = IntervalTrigger(seconds=1, start_date="2026-01-01", timezone=UTC).on_business_days(MAY)
    last, count = trigger.latest(instant(SINCE), instant(datetime(2026, 5, 10, tzinfo=UTC)))
    assert (moment(last), count) == (datetime(2026, 5, 9, 23, 59, 59, tzinfo=UTC), 23 * 86400)
    always = IntervalTrigger(days=1, start_date="2020-01-01", timezone=UTC).on_business_days(
        BusinessCalendar(weekend=())
    )
    assert always.latest(instant(SINCE), instant(SINCE) + 5000 * 24 * HOUR)[1] == 5001


TRIGGERS = [
    CronTrigger(hour=9, timezone=UTC).on_business_days(MAY, timezone=BERLIN),
    CronTrigger(hour=9, timezone=UTC).roll(MAY, "following", days=-2),
    BusinessDayTrigger(timezone=UTC),
    BusinessDayTrigger(3, MAY, "quarter", hour=1, minute=2, second=3, start_date="2026-01-01", end_date="2030-01-01",
                       timezone=BERLIN, jitter=3, spread=60),
]  # fmt: skip


NAMES = {kind.__name__: kind for kind in map(trigger_class, BUILTIN_TRIGGERS)}


@pytest.mark.parametrize("trigger", TRIGGERS, ids=range(len(TRIGGERS)))
def test_they_come_back_from_spec_and_pickle(trigger):
    for back in (
        trigger_from_spec(json.loads(json.dumps(trigger.spec()))),
        pickle.loads(pickle.dumps(trigger)),
    ):
        assert back == trigger
        assert hash(back) == hash(trigger)
        assert (str(back), repr(back), back.spec()) == (str(trigger), repr(trigger), trigger.spec())
        assert eval(repr(back), NAMES) == trigger
        assert back.next(5, SINCE) == trigger.next(5, SINCE)
    assert [other for other in TRIGGERS if other == trigger] == [trigger]


# ---------------------------------------------------------------------------------------------------------- the oracle


@pytest.mark.thorough
@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.sets(st.integers(0, 60), max_size=25),
    st.sets(st.integers(0, 60), max_size=5),
    st.sampled_from(["none", "next", "previous", "modified_following", "modified_previous"]),
    st.integers(-4, 4),
    st.sampled_from([CronTrigger(hour="1,23", timezone=BERLIN), CronTrigger(day="5,10,last", hour=2, minute=30, timezone=BERLIN),
                     IntervalTrigger(hours=13, start_date="2026-01-01", timezone=BERLIN)]),
    st.integers(0, 60 * 24),
)  # fmt: skip
def test_a_roll_moves_each_time_as_its_definition_says(closed, opened, convention, days, inner, hours):
    origin = date(2026, 3, 10)
    calendar = BusinessCalendar(
        closed=[origin + timedelta(n) for n in closed], open=[origin + timedelta(n) for n in opened]
    )
    trigger = RollTrigger(inner, calendar, convention, days)
    begin, end = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 5, 10, tzinfo=UTC)
    moved = set()
    for at in inner.occurrences(begin - timedelta(60), end + timedelta(60)):
        day = calendar.shift(calendar.roll(at.date(), convention), days)
        wall = datetime.combine(day, at.time(), BERLIN)
        moved.add(instant(at) if day == at.date() else instant(wall.replace(fold=0)))
    wanted = sorted(at for at in moved if instant(begin) <= at <= instant(end))
    found = [instant(at) for at in trigger.occurrences(begin, end)]
    assert found == wanted
    now = instant(begin + timedelta(hours=hours))
    assert trigger.at_or_before(now) == max(at for at in moved if at <= now)
    past = [at for at in wanted if at <= now]
    if past:
        assert trigger.latest(past[0], now) == (past[-1], len(past))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    st.integers(-24, 24).filter(bool),
    st.sets(st.integers(0, 200), max_size=60),
    st.sampled_from(["month", "quarter"]),
)
def test_the_nth_business_day_is_that_of_a_count(nth, closed, of):
    calendar = BusinessCalendar(closed=[date(2026, 1, 1) + timedelta(n) for n in closed])
    trigger = BusinessDayTrigger(nth, calendar, of, timezone=UTC, hour=6)
    months = 1 if of == "month" else 3
    wanted = []
    for first in range(0, 12, months):
        start = date(2026, first + 1, 1)
        end = date(2026 + (first + months) // 12, (first + months) % 12 + 1, 1) - timedelta(1)
        open_days = list(calendar.business_days(start, end))
        if abs(nth) <= len(open_days):
            wanted.append(open_days[nth - 1 if nth > 0 else nth])
    try:
        found = [at.date() for at in trigger.occurrences("2026-01-01", "2026-12-31")]
    except NeverFiresError:
        assert abs(nth) > 23
        return
    assert found == [day for day in wanted if day < date(2026, 12, 31)]


def _calendar(*lines: str) -> bytes:
    need("icalendar", "icalendar")
    event = ["BEGIN:VEVENT", "UID:1", *lines, "END:VEVENT"]
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *event, "END:VCALENDAR", ""]).encode()


def test_an_event_of_many_years_that_comes_every_day_counts_each_day_once():
    found = ical_dates(
        _calendar("DTSTART;VALUE=DATE:20200101", "DTEND;VALUE=DATE:20400101", "RRULE:FREQ=DAILY"), 2026, 2030
    )
    assert (len(found), found[0], found[-1]) == (1826, date(2026, 1, 1), date(2030, 12, 31))


@pytest.mark.parametrize(
    "lines",
    [
        ("DTSTART;VALUE=DATE:20261399",),
        ("DTSTART;VALUE=DATE:20260821", "DTSTART;VALUE=DATE:20260822"),
        ("DTSTART;VALUE=DATE:20260821", "DTEND;VALUE=DATE:20260822", "DTEND;VALUE=DATE:20260823"),
    ],
    ids=["no date", "two starts", "two ends"],
)
def test_an_event_that_is_not_valid_is_refused(lines):
    with pytest.raises(TriggerError, match="must"):
        ical_dates(_calendar(*lines), 2026, 2030)


def test_an_event_that_lasts_until_the_end_of_the_calendar_is_taken():
    lines = ("DTSTART;VALUE=DATE:20301230", "DURATION:P4000000D")
    assert ical_dates(_calendar(*lines), 2026, 2030) == [date(2030, 12, 30), date(2030, 12, 31)]
