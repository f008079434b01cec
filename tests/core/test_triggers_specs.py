"""Triggers as data: specs, pickles (APScheduler's older versions too), equality, and the registry."""

from __future__ import annotations

import copy
import json
import pickle
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import dateutil.tz
import pytest
import pytz

from rota.errors import DeserializationError, UnknownAliasError, UnknownTimezoneError
from rota.triggers import BUILTIN_TRIGGERS, trigger_class, trigger_from_spec
from rota.triggers.after import After
from rota.triggers.algebra.business_days import BusinessDaysTrigger, RollTrigger
from rota.triggers.algebra.filters import BetweenTrigger, WeekdaysTrigger
from rota.triggers.algebra.streams import BoundedTrigger, LimitTrigger, MinusTrigger, OffsetTrigger
from rota.triggers.base import InstantTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.cron.expressions import AllExpression, RangeExpression
from rota.triggers.cron.fields import BaseField, DayOfMonthField, DayOfWeekField, MonthField, WeekField
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger
from tests.present import present

NOW = int(datetime(2026, 11, 2, 10, 0, 0, tzinfo=UTC).timestamp()) * 1_000_000
FIXED = timezone(timedelta(hours=5, minutes=30))

TRIGGERS = [
    DateTrigger("2026-12-24 18:00:00.000001", "Europe/Berlin"),
    DateTrigger(datetime(2026, 10, 25, 2, 30, tzinfo=FIXED)),
    DateTrigger("2026-12-24", now=NOW),
    IntervalTrigger(seconds=5, timezone="UTC"),
    IntervalTrigger(seconds=0.05, timezone=FIXED, jitter=1.5, end_date="2030-01-01"),
    IntervalTrigger(
        weeks=1,
        days=2,
        hours=3,
        minutes=4,
        seconds=5.000001,
        start_date="2026-10-25 02:30:00",
        timezone="Europe/Berlin",
    ),
    CalendarIntervalTrigger(days=1, timezone="Europe/Berlin"),
    CalendarIntervalTrigger(
        years=1,
        months=2,
        weeks=3,
        days=4,
        hour=5,
        minute=6,
        second=7,
        start_date="2026-01-31",
        end_date="2030-01-01",
        timezone="UTC",
        jitter=8,
    ),
    CronTrigger(timezone="UTC"),
    CronTrigger(day="2nd fri", hour="*/3", timezone="Europe/Berlin", jitter=5, dst="shift"),
    CronTrigger(year="2026-2030", week="1-20/2", day_of_week="sat-mon", second=30, timezone=FIXED),
    CronTrigger(
        hour=3,
        start_date="2026-10-25 02:30:00",
        end_date=datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
        timezone="Europe/Berlin",
    ),
    CronTrigger.from_crontab("*/90 9 13 * fri", "Europe/Berlin"),
    CronTrigger.from_crontab("0 0 L-3,LW,L-3W,15W * fri#2,sunL", "UTC", dst="wall"),
    CronTrigger.from_crontab("30 0 12 ? * 2-6 2030", "UTC", dialect="quartz"),
    CronTrigger.from_crontab("H H * * H", "UTC", seed="job"),
    AndTrigger(
        [
            CronTrigger(hour=3, timezone="UTC"),
            IntervalTrigger(hours=1, start_date="2026-01-01", timezone="UTC"),
        ],
        jitter=3,
    ),
    OrTrigger([CronTrigger(hour=3, timezone="UTC"), AndTrigger([DateTrigger("2027-01-01", "UTC")])]),
    CronTrigger(minute=5, timezone="UTC") - CronTrigger(hour=3, minute=5, timezone="UTC"),
    CronTrigger(minute=5, timezone="UTC", jitter=3).between("22:00", "5:30").on("fri-mon", timezone=FIXED),
    CronTrigger(minute=5, timezone="UTC").between("22:00:01.5", "24:00", timezone="Europe/Berlin"),
    CronTrigger(minute=5, timezone="UTC").offset(-0.25).starting("2026-10-25 02:30:00").limit(7),
    CronTrigger(minute=5, timezone="Europe/Berlin").offset(days=3).until("2026-12-25"),
]
IDS = [f"{number}-{type(trigger).__name__}" for number, trigger in enumerate(TRIGGERS)]


@pytest.mark.parametrize("trigger", TRIGGERS, ids=IDS)
def test_a_trigger_comes_back_from_its_spec(trigger):
    spec = json.loads(json.dumps(trigger.spec()))
    back = trigger_from_spec(spec)
    assert back == trigger
    assert hash(back) == hash(trigger)
    assert back.spec() == spec
    assert (str(back), repr(back)) == (str(trigger), repr(trigger))
    assert [back.after(NOW + n * 10**12) for n in range(5)] == [
        trigger.after(NOW + n * 10**12) for n in range(5)
    ]
    assert spec["type"] in BUILTIN_TRIGGERS


@pytest.mark.parametrize("trigger", TRIGGERS, ids=IDS)
def test_what_a_trigger_shows_is_the_call_that_makes_an_equal_one(trigger):
    again = eval(repr(trigger))
    assert again == trigger
    assert repr(again) == repr(trigger)


def test_a_trigger_shows_the_crontab_string_that_it_was_read_from():
    for text in ("0 9 * * 1-5", "*/90 9 13 * fri,mon", "15 */2 L,15W * *", "30 0 12 * */2 *"):
        trigger = CronTrigger.from_crontab(text, "UTC", jitter=5)
        assert (
            repr(trigger) == f"CronTrigger.from_crontab({trigger.to_crontab()!r}, timezone='UTC', jitter=5)"
        )


def test_a_trigger_in_a_zone_without_a_name_shows_that_no_call_makes_it():
    shown = repr(CronTrigger(hour=3, timezone=dateutil.tz.tzstr("EST5EDT")))
    assert shown == "<CronTrigger cron[hour='3']>"


@pytest.mark.parametrize("trigger", TRIGGERS, ids=IDS)
def test_a_trigger_comes_back_from_a_pickle_and_a_copy(trigger):
    for back in (pickle.loads(pickle.dumps(trigger)), copy.deepcopy(trigger), copy.copy(trigger)):
        assert back == trigger
        assert repr(back) == repr(trigger)


@pytest.mark.parametrize("trigger", TRIGGERS, ids=IDS)
def test_a_trigger_differs_from_the_others_and_from_other_things(trigger):
    assert [other for other in TRIGGERS if other == trigger] == [trigger]
    assert trigger != str(trigger)


def test_the_spec_of_a_crontab_says_how_it_was_read():
    trigger = CronTrigger.from_crontab("*/5 9-17 13 * 1-5", "Europe/Berlin")
    assert trigger.spec() == {
        "type": "cron",
        "month": "*",
        "day": "13",
        "day_of_week": "mon-fri",
        "hour": "9-17",
        "minute": "*/5",
        "timezone": "Europe/Berlin",
        "crontab": True,
        "day_or_weekday": True,
    }


def test_zones_of_all_makers_are_stored_by_name_or_offset():
    zones = [
        (pytz.timezone("Europe/Berlin"), "Europe/Berlin"),
        (pytz.utc, "UTC"),
        (pytz.FixedOffset(-90), "-01:30"),
        (dateutil.tz.gettz("Europe/Berlin"), "Europe/Berlin"),
        (dateutil.tz.tzutc(), "UTC"),
        (dateutil.tz.tzoffset(None, 3600), "+01:00"),
        (FIXED, "+05:30"),
    ]
    for zone, text in zones:
        trigger = CronTrigger(hour=3, timezone=zone)
        assert present(trigger.spec())["timezone"] == text
        assert trigger.after(NOW) == trigger_from_spec(present(trigger.spec())).after(NOW)


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "croon", "hour": 3},
        {"type": "cron", "hour": 3},
        {"type": "cron", "hour": "99", "timezone": "UTC"},
        {"type": "interval", "timezone": "UTC"},
        {"type": "interval", "seconds": "x", "start_date": "2026-01-01", "timezone": "UTC"},
        {"type": "date", "run_date": "soon", "timezone": "UTC"},
        {"type": "calendarinterval", "days": 1, "timezone": "UTC", "extra": 1},
        {"type": "or", "triggers": [{"type": "cron"}]},
        {"type": None},
    ],
)
def test_what_is_no_spec_is_refused_with_its_value(spec):
    with pytest.raises(DeserializationError):
        trigger_from_spec(spec)


def test_a_zone_that_this_machine_lacks_is_named():
    with pytest.raises(UnknownTimezoneError, match="Mars/Olympus"):
        trigger_from_spec({"type": "cron", "hour": "3", "timezone": "Mars/Olympus"})


def test_built_in_triggers_are_found_by_alias():
    assert trigger_class("cron") is CronTrigger
    assert {trigger_class(alias) for alias in BUILTIN_TRIGGERS} == {
        After,
        DateTrigger,
        IntervalTrigger,
        CronTrigger,
        CalendarIntervalTrigger,
        AndTrigger,
        OrTrigger,
        MinusTrigger,
        BetweenTrigger,
        WeekdaysTrigger,
        OffsetTrigger,
        LimitTrigger,
        BoundedTrigger,
        BusinessDaysTrigger,
        RollTrigger,
        BusinessDayTrigger,
        RRuleTrigger,
    }
    with pytest.raises(UnknownAliasError, match="did you mean 'interval'"):
        trigger_class("intervall")


def test_asking_for_no_trigger_loads_none():
    code = "import rota.triggers, sys; print([m for m in sys.modules if m.startswith('rota.triggers.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (
        done.stdout.strip()
        == "['rota.triggers.algebra', 'rota.triggers.algebra.operators', 'rota.triggers.base']"
    )


# ----------------------------------------------------------------------------------------- states of APScheduler


def restored(kind: type[InstantTrigger], state) -> Any:
    trigger: Any = kind.__new__(kind)
    trigger.__setstate__(state)
    return trigger


BERLIN_2015 = pytz.timezone("Europe/Berlin").localize(datetime(2015, 7, 1, 12))


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: (None, state)])
def test_states_of_apscheduler_3_are_read(wrap):
    berlin = pytz.timezone("Europe/Berlin")
    date_trigger = restored(DateTrigger, wrap({"run_date": BERLIN_2015}))
    assert date_trigger == DateTrigger("2015-07-01 12:00:00", "Europe/Berlin")
    interval = restored(
        IntervalTrigger,
        wrap(
            {
                "timezone": berlin,
                "start_date": BERLIN_2015,
                "end_date": None,
                "interval": timedelta(minutes=5),
            }
        ),
    )
    assert interval == IntervalTrigger(minutes=5, start_date="2015-07-01 12:00:00", timezone="Europe/Berlin")

    def old(field, *expressions, default=False):
        # As unpickled: the attributes of APScheduler's objects, without a call of the constructor.
        made = field[0].__new__(field[0])
        made.__dict__.update(name=field[1], expressions=list(expressions), is_default=default)
        return made

    hour = RangeExpression.__new__(RangeExpression)
    hour.__dict__.update(step=None, first=3, last=3)
    star = AllExpression.__new__(AllExpression)
    star.__dict__.update(step=None)
    zero = RangeExpression(0)
    fields = [
        old((BaseField, "year"), star, default=True),
        old((MonthField, "month"), star, default=True),
        old((DayOfMonthField, "day"), star, default=True),
        old((WeekField, "week"), star, default=True),
        old((DayOfWeekField, "day_of_week"), star, default=True),
        old((BaseField, "hour"), hour),
        old((BaseField, "minute"), zero, default=True),
        old((BaseField, "second"), zero, default=True),
    ]
    cron = restored(
        CronTrigger, wrap({"timezone": berlin, "start_date": None, "end_date": None, "fields": fields})
    )
    assert cron == CronTrigger(hour=3, timezone="Europe/Berlin")
    both = restored(
        OrTrigger,
        wrap(
            {
                "version": 1,
                "jitter": None,
                "triggers": [("rota.triggers.date:DateTrigger", {"run_date": BERLIN_2015})],
            }
        ),
    )
    assert both == OrTrigger([date_trigger])
    calendar = restored(
        CalendarIntervalTrigger,
        wrap(
            {
                "version": 1,
                "interval": [0, 1, 0, 0],
                "time": [3, 0, 0],
                "start_date": date(2015, 7, 1),
                "end_date": None,
                "timezone": berlin,
                "jitter": None,
            }
        ),
    )
    assert calendar == CalendarIntervalTrigger(
        months=1, hour=3, start_date="2015-07-01", timezone="Europe/Berlin"
    )


@pytest.mark.parametrize("trigger", TRIGGERS[::3], ids=IDS[::3])
def test_a_state_of_a_later_version_is_refused(trigger):
    state = {**trigger.__getstate__(), "version": 3}
    with pytest.raises(DeserializationError, match="Got serialized data for version 3"):
        restored(type(trigger), state)


def test_states_have_the_versions_and_keys_of_apscheduler():
    assert DateTrigger("2026-01-01", "UTC").__getstate__().keys() == {"version", "run_date"}
    state = IntervalTrigger(seconds=1).__getstate__()
    assert state.keys() == {"version", "timezone", "start_date", "end_date", "interval", "jitter"}
    assert state["version"] == 2
    state = CronTrigger(hour=3, timezone="UTC").__getstate__()
    assert state.keys() >= {"version", "timezone", "start_date", "end_date", "fields", "jitter"}
    assert state["version"] == 2
