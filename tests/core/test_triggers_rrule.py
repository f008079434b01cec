"""Recurrence rules: against dateutil's own expansion from the start, against the RFC's words on DST, and as text."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rota.clock import HOUR, SECOND, instant, moment
from rota.errors import NeverFiresError, TriggerError, TriggerTypeError, UnknownTimezoneError
from rota.triggers import trigger_from_spec
from rota.util import localize
from tests.needs import need
from tests.present import present

need("dateutil", "rrule")
from dateutil.rrule import rrulestr  # noqa: E402

from rota.triggers.rrule import RRuleTrigger  # noqa: E402

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 2, 9)


def shown(trigger: RRuleTrigger, count: int, since: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> list[str]:
    return [f"{at:%a %Y-%m-%d %H:%M}" for at in trigger.next(count, since)]


def test_a_rule_is_enough_and_counts_from_now():
    trigger = RRuleTrigger(
        "FREQ=WEEKLY;BYDAY=MO,WE", timezone=UTC, now=instant(datetime(2026, 3, 3, 9, tzinfo=UTC)) + 5
    )
    assert shown(trigger, 3) == ["Wed 2026-03-04 09:00", "Mon 2026-03-09 09:00", "Wed 2026-03-11 09:00"]
    assert not trigger.start_given
    later = RRuleTrigger(
        "BYDAY=MO,WE;FREQ=WEEKLY", timezone=UTC, now=instant(datetime(2026, 3, 3, 10, tzinfo=UTC))
    )
    assert later.same_schedule(trigger)
    assert not later.same_schedule(RRuleTrigger("FREQ=WEEKLY;BYDAY=MO", timezone=UTC))


def test_lines_of_icalendar_say_start_zone_additions_and_exceptions():
    trigger = RRuleTrigger(
        "DTSTART;TZID=Europe/Berlin:20260302T090000\r\n"
        "RRULE:FREQ=DAILY;COUNT=4\r\n"
        "RDATE;TZID=Europe/Berlin:20260303T170000,2026\r\n 0310T090000\r\n"
        "EXDATE;TZID=Europe/Berlin:20260304T090000\r\n"
        "EXDATE;VALUE=DATE:20260305\r\n",
        timezone="America/New_York",  # the text is more exact
    )
    assert trigger.timezone == BERLIN
    assert shown(trigger, 9) == [
        "Mon 2026-03-02 09:00",
        "Tue 2026-03-03 09:00",
        "Tue 2026-03-03 17:00",
        "Tue 2026-03-10 09:00",
    ]
    assert trigger.rule.splitlines() == [
        "RRULE:FREQ=DAILY;COUNT=4",
        "RDATE:20260303T160000Z,20260310T080000Z",
        "EXDATE:20260304T080000Z",
        "EXDATE;VALUE=DATE:20260305",
    ]
    assert trigger.dtstart == datetime(2026, 3, 2, 9, tzinfo=BERLIN)


def test_times_without_a_rule_are_the_start_and_the_additions():
    trigger = RRuleTrigger("DTSTART:20260302T090000Z\nRDATE:20260305T090000Z")
    assert shown(trigger, 5) == ["Mon 2026-03-02 09:00", "Thu 2026-03-05 09:00"]
    assert trigger.timezone is UTC


def test_until_is_included_and_read_in_its_own_zone():
    for until in ("20260305T080000Z", "20260305T090000", "20260305"):
        trigger = RRuleTrigger(f"FREQ=DAILY;UNTIL={until}", START, BERLIN)
        assert shown(trigger, 9)[-1] == "Thu 2026-03-05 09:00", until
        assert trigger_from_spec(present(trigger.spec())) == trigger
    assert (
        shown(RRuleTrigger("FREQ=DAILY;UNTIL=20260305T075959Z", START, BERLIN), 9)[-1]
        == "Wed 2026-03-04 09:00"
    )


def test_two_rules_are_united():
    trigger = RRuleTrigger("RRULE:FREQ=WEEKLY;BYDAY=MO\nRRULE:FREQ=MONTHLY;BYMONTHDAY=3", START, UTC)
    assert shown(trigger, 3) == ["Mon 2026-03-02 09:00", "Tue 2026-03-03 09:00", "Mon 2026-03-09 09:00"]


def test_a_time_in_a_gap_has_the_offset_before_it_and_one_in_an_overlap_is_the_first():
    daily = RRuleTrigger("FREQ=DAILY", datetime(2026, 3, 28, 2, 30), BERLIN)
    assert [at.isoformat() for at in daily.next(3, datetime(2026, 3, 28, tzinfo=UTC))] == [
        "2026-03-28T02:30:00+01:00", "2026-03-29T03:30:00+02:00", "2026-03-30T02:30:00+02:00"]  # fmt: skip
    assert [at.isoformat() for at in daily.next(2, datetime(2026, 10, 24, 22, tzinfo=UTC))] == [
        "2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]  # fmt: skip


def test_what_falls_together_behind_a_gap_is_one_and_in_order():
    half_hours = RRuleTrigger("FREQ=MINUTELY;INTERVAL=30", datetime(2026, 3, 29, 1), BERLIN)
    assert [f"{at:%H:%M%z}" for at in half_hours.next(6, datetime(2026, 3, 29, tzinfo=UTC))] == [
        "01:00+0100", "01:30+0100", "03:00+0200", "03:30+0200", "04:00+0200", "04:30+0200"]  # fmt: skip
    lost_day = RRuleTrigger("FREQ=HOURLY;INTERVAL=10", datetime(2011, 12, 29, 20), ZoneInfo("Pacific/Apia"))
    assert [f"{at:%d %H:%M}" for at in lost_day.next(5, datetime(2011, 12, 29, tzinfo=UTC))] == [
        "29 20:00", "31 02:00", "31 06:00", "31 12:00", "31 16:00"]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "start", "times"),
    [
        # RFC 5545, 3.8.5.3
        ("FREQ=MONTHLY;BYDAY=1FR;COUNT=3", "1997-09-05", ["Fri 1997-09-05", "Fri 1997-10-03", "Fri 1997-11-07"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28", ["Sun 1997-09-28", "Wed 1997-10-29", "Fri 1997-11-28"]),
        ("FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1,100,200", "1997-01-01", ["Wed 1997-01-01", "Thu 1997-04-10", "Sat 1997-07-19"]),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12", ["Mon 1997-05-12", "Mon 1998-05-11", "Mon 1999-05-17"]),
        ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", ["Fri 1998-02-13", "Fri 1998-03-13", "Fri 1998-11-13"]),
        ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", ["Thu 1997-09-04", "Tue 1997-10-07", "Thu 1997-11-06"]),
        ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05",
         ["Tue 1997-08-05", "Sun 1997-08-17", "Tue 1997-08-19"]),
        ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15", ["Mon 2007-01-15", "Tue 2007-01-30", "Thu 2007-02-15"]),
    ],
)  # fmt: skip
def test_the_examples_of_the_rfc(rule, start, times):
    trigger = RRuleTrigger(rule, f"{start} 09:00:00", "America/New_York")
    assert shown(trigger, 3, datetime(1990, 1, 1, tzinfo=UTC)) == [f"{time} 09:00" for time in times]


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("", "has no rule"),
        ("FREQ=DALY", "FREQ is one of"),
        ("INTERVAL=2", "FREQ is one of"),
        ("FREQ=DAILY;BYHUOR=3", "did you mean 'BYHOUR'"),
        ("FREQ=DAILY;", "''"),
        ("FREQ=DAILY;BYHOUR=", "no value"),
        ("FREQ=DAILY;BYHOUR=3;BYHOUR=4", "twice"),
        ("FREQ=DAILY;BYHOUR=24", "0 to 23"),
        ("FREQ=DAILY;INTERVAL=0", "1 to"),
        ("FREQ=DAILY;INTERVAL=99999999999999999", "1 to"),
        ("FREQ=DAILY;COUNT=100000000", "1 to 10000"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20270101", "exclude each other"),
        ("FREQ=DAILY;UNTIL=2027-01-01", "YYYYMMDD"),
        ("FREQ=MONTHLY;BYMONTHDAY=0", "-31 to 31"),
        ("FREQ=MONTHLY;BYMONTH=¹", "whole numbers"),
        ("FREQ=WEEKLY;BYMONTHDAY=3", "does not go with"),
        ("FREQ=WEEKLY;BYDAY=2MO", "needs FREQ=MONTHLY"),
        ("FREQ=MONTHLY;BYDAY=60MO", "1 to 53"),
        ("FREQ=MONTHLY;BYDAY=MON", "not a day"),
        ("FREQ=MONTHLY;BYSETPOS=1", "there is none"),
        ("FREQ=MONTHLY;WKST=XX", "WKST"),
        ("FREQ=YEARLY;BYEASTER=0", "not understood"),
        ("RRULE;X=1:FREQ=DAILY", "no parameter"),
        ("DTSTART:20260101T090000\nDTSTART:20260101T090000", "line 2: there is one DTSTART"),
        ("DTSTART;FOO=BAR:20260101T090000", "TZID"),
        ("DTSTART:20260101T250000", "not a time"),
        ("DTSTART:20260230", "not a time"),
        ("EXRULE:FREQ=DAILY", "subtract"),
        ("SUMMARY:Meeting", "not DTSTART"),
        ("FREQ=DAILY\nRDATE;VALUE=PERIOD:19970101T180000Z/PT1H", "line 2: RDATE"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(rule, says):
    with pytest.raises(TriggerError, match=says):
        RRuleTrigger(rule, timezone=UTC)


def test_the_start_is_given_once_and_the_rule_is_a_text():
    with pytest.raises(TriggerError, match="twice"):
        RRuleTrigger("DTSTART:20260101T090000\nRRULE:FREQ=DAILY", START)
    with pytest.raises(TriggerTypeError):
        RRuleTrigger(None)  # type: ignore[arg-type]


@pytest.mark.thorough
@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;INTERVAL=2;BYSECOND=1",
        "FREQ=HOURLY;INTERVAL=1000000;BYHOUR=3;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=HOURLY;BYSETPOS=2;BYMINUTE=3",
        "FREQ=DAILY;UNTIL=20200101",
    ],
)
def test_a_rule_without_any_time_is_refused(rule):
    with pytest.raises(NeverFiresError, match="has no time"):
        RRuleTrigger(rule, datetime(2026, 1, 1), UTC)


def test_a_rule_of_seconds_costs_no_more_for_being_old():
    trigger = RRuleTrigger("FREQ=SECONDLY", datetime(1980, 1, 1), BERLIN)
    now = instant(datetime(2026, 3, 2, 9, tzinfo=UTC))
    assert trigger.after(now + 1) == now + SECOND
    assert trigger.at_or_before(now + 1) == now
    assert trigger.latest(now - HOUR, now) == (now, 3601)


TRIGGERS = [
    RRuleTrigger("FREQ=DAILY", START, UTC, jitter=3, spread=5),
    RRuleTrigger("DTSTART;TZID=Europe/Berlin:20260329T023000\nRRULE:FREQ=HOURLY;UNTIL=20270101T000000Z\nEXDATE:20260401T000000Z"),
    RRuleTrigger("DTSTART;VALUE=DATE:20260301\nRDATE;VALUE=DATE:20260401,20260501\nEXDATE;VALUE=DATE:20260401", timezone=BERLIN),
]  # fmt: skip


def test_a_start_in_a_gap_moves_the_first_time_only():
    for trigger in (
        RRuleTrigger("FREQ=DAILY", "2026-03-29 02:30:00", BERLIN),
        RRuleTrigger("FREQ=DAILY", datetime(2026, 3, 29, 2, 30), BERLIN),
        RRuleTrigger("DTSTART;TZID=Europe/Berlin:20260329T023000\nRRULE:FREQ=DAILY"),
    ):
        assert [f"{at:%d %H:%M}" for at in trigger.next(3, "2026-03-01")] == [
            "29 03:30",
            "30 02:30",
            "31 02:30",
        ]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=range(len(TRIGGERS)))
def test_it_comes_back_from_spec_and_pickle(trigger):
    for back in (
        trigger_from_spec(json.loads(json.dumps(trigger.spec()))),
        pickle.loads(pickle.dumps(trigger)),
    ):
        assert back == trigger
        assert hash(back) == hash(trigger)
        assert (str(back), repr(back), back.spec()) == (str(trigger), repr(trigger), trigger.spec())
        assert eval(repr(back)) == trigger
        assert back.next(5, START.replace(tzinfo=UTC)) == trigger.next(5, START.replace(tzinfo=UTC))
    assert [other for other in TRIGGERS if other == trigger] == [trigger]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from(["FREQ=", "DAILY", "YEARLY", "SECONDLY", ";", ";", "=", "BYDAY=", "1MO", "-53SU", "COUNT=",
                             "INTERVAL=", "99999999", "BYHOUR=", "3", "-1", ",", "UNTIL=", "20270101T000000Z", "\n", "RDATE:",
                             "EXDATE:", "DTSTART;", "TZID=UTC:", "BYSETPOS=", "BYMONTH=", "BYYEARDAY=", "¹"]),
            max_size=14,
        ).map("".join),
    )
)  # fmt: skip
def test_any_text_is_read_or_refused_and_nothing_hangs(text):
    try:
        trigger = RRuleTrigger(text, timezone=UTC, now=instant(START.replace(tzinfo=UTC)))
    except (TriggerError, UnknownTimezoneError):
        return
    back = trigger_from_spec(present(trigger.spec()))
    assert isinstance(back, RRuleTrigger)
    assert back.rule == trigger.rule
    trigger.after(0)


# ------------------------------------------------------------------------------------------------------- the oracle


def lists(low: int, high: int, size: int = 3) -> st.SearchStrategy[str]:
    numbers = st.integers(low, high).filter(bool) if low < 0 else st.integers(low, high)
    return st.lists(numbers, min_size=1, max_size=size, unique=True).map(
        lambda found: ",".join(map(str, found))
    )


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    parts = [f"FREQ={frequency}"]
    if draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, 5 if frequency in ('MONTHLY', 'YEARLY') else 40))}")
    days = st.lists(st.sampled_from(["MO", "TU", "FR", "SU"]), min_size=1, max_size=3, unique=True).map(
        ",".join
    )
    optional = {"BYMONTH": lists(1, 12), "BYDAY": days, "BYHOUR": lists(0, 4), "BYMINUTE": lists(0, 59)}
    if frequency != "WEEKLY":
        optional["BYMONTHDAY"] = lists(-31, 31)
    if frequency == "YEARLY":
        optional["BYWEEKNO"] = lists(-53, 53)
    chosen = draw(st.sets(st.sampled_from(sorted(optional)), max_size=3))
    parts += [f"{name}={draw(optional[name])}" for name in sorted(chosen)]
    if chosen and draw(st.integers(0, 3)) == 0:
        parts.append(f"BYSETPOS={draw(lists(-3, 3, 2))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(['MO', 'SU', 'WE']))}")
    if draw(st.integers(0, 4)) == 0:
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    return ";".join(parts)


@pytest.mark.thorough
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rules(),
    st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns"]),
    st.dates(date(2009, 1, 1), date(2011, 12, 25)),
    st.sampled_from([0, 2, 3, 23]),
    st.integers(0, 900),
)
def test_the_times_are_those_of_the_expansion_from_the_start(rule, zone, day, hour, days):
    start, zone = datetime(day.year, day.month, day.day, hour, 30), ZoneInfo(zone)
    now = start + timedelta(days=days)
    window = now - timedelta(days=2), now + timedelta(days=4)
    try:
        trigger = RRuleTrigger(rule, start, zone)
    except NeverFiresError:
        return
    walls = []
    for wall in rrulestr(rule, dtstart=start):
        if wall > window[1] or len(walls) > 20_000:
            break
        walls.append(wall)
    if len(walls) > 20_000:
        return  # the expansion from the start is what takes too long
    wanted = sorted({instant(localize(wall, zone)) for wall in walls})
    low, high = (instant(localize(wall, zone)) for wall in window)
    wanted_inside = [at for at in wanted if low + 24 * HOUR < at < high - 24 * HOUR]
    found, at = [], trigger.after(low + 24 * HOUR)
    while at is not None and at < high - 24 * HOUR:
        found.append(at)
        at = trigger.after(at, at)
    assert found == wanted_inside
    middle = instant(localize(now, zone))
    assert trigger.at_or_before(middle) == max((at for at in wanted if at <= middle), default=None)
    if found:
        assert trigger.latest(found[0], found[-1]) == (found[-1], len(found))
        assert moment(found[0]).second == 0


def test_a_bound_that_is_no_instant_is_refused_as_a_trigger_that_is_wrong():
    with pytest.raises(TriggerError, match="within the years 1 to 9999 in UTC"):
        RRuleTrigger("FREQ=DAILY;UNTIL=99991231T235959", "2026-01-01", timezone="America/New_York")
