"""Parameters that programs assign to a trigger which they have made: what is assigned is checked as in the constructor."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest

from rota.errors import TriggerError, TriggerTypeError, UnknownTimezoneError
from rota.triggers import trigger_from_spec
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2029, 1, 1, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
#: the kinds that keep a zone for themselves
ZONED: dict[str, Callable[[], Any]] = {
    "cron": lambda: CronTrigger(hour=9, timezone=UTC),
    "interval": lambda: IntervalTrigger(hours=1, start_date=START),
    "calendarinterval": lambda: CalendarIntervalTrigger(
        days=1, hour=9, start_date="2029-01-01", timezone=UTC
    ),
    "rrule": lambda: RRuleTrigger("FREQ=DAILY", datetime(2029, 1, 1, 9), UTC),
    "business_day": lambda: BusinessDayTrigger(1, hour=9, timezone=UTC),
}
MADE_OF: dict[str, Callable[[], Any]] = {
    "and": lambda: AndTrigger([CronTrigger(hour=9, timezone=UTC)]),
    "or": lambda: OrTrigger([CronTrigger(hour=9, timezone=UTC)]),
}
FILTERED: dict[str, Callable[[], Any]] = {
    "between": lambda: CronTrigger(minute=0, jitter=5, timezone=UTC).between("9:00", "17:00"),
    "on": lambda: CronTrigger(minute=0, jitter=5, timezone=UTC).on("mon"),
}


@pytest.mark.parametrize("kind", ZONED | MADE_OF)
def test_an_assigned_jitter_is_checked_and_stored(kind: str) -> None:
    trigger = (ZONED | MADE_OF)[kind]()
    with pytest.raises(TriggerTypeError, match="jitter must be a number of seconds"):
        trigger.jitter = "five"
    with pytest.raises(TriggerError, match="from 0 up"):
        trigger.jitter = -1
    assert trigger.jitter is None
    trigger.jitter = timedelta(minutes=1)
    assert trigger.jitter == 60
    assert trigger_from_spec(trigger.spec()).jitter == pickle.loads(pickle.dumps(trigger)).jitter == 60
    trigger.jitter = None
    assert trigger.jitter is None


@pytest.mark.parametrize("kind", ZONED)
def test_an_assigned_zone_is_checked_and_the_times_are_read_in_it(kind: str) -> None:
    trigger = ZONED[kind]()
    with pytest.raises(UnknownTimezoneError, match="Berlln"):
        trigger.timezone = "Europe/Berlln"
    assert trigger.timezone is UTC
    trigger.timezone = "Europe/Berlin"
    assert trigger.timezone is BERLIN
    first = trigger.get_next_fire_time(None, START)
    assert first.tzinfo is BERLIN
    assert first.hour == (1 if kind == "interval" else 9)
    assert trigger_from_spec(trigger.spec()).get_next_fire_time(None, START) == first


def test_assigned_dates_of_a_series_are_checked_and_bound_it() -> None:
    trigger = ZONED["calendarinterval"]()
    for name, wrong in (("start_date", 5), ("start_date", None), ("end_date", 5)):
        with pytest.raises(TriggerTypeError, match=f"{name} must be a date"):
            setattr(trigger, name, wrong)
    trigger.start_date, trigger.end_date = "2029-02-01", datetime(2029, 2, 2, tzinfo=UTC)
    assert (trigger.start_date, trigger.end_date) == (date(2029, 2, 1), date(2029, 2, 2))
    assert trigger.next(3, START) == [datetime(2029, 2, day, 9, tzinfo=UTC) for day in (1, 2)]
    trigger.end_date = None
    assert len(trigger.next(3, START)) == 3


def test_an_assigned_zone_of_a_date_is_checked_and_shows_the_same_time() -> None:
    trigger = DateTrigger(START)
    with pytest.raises(UnknownTimezoneError, match="nonsense"):
        trigger.timezone = "nonsense"
    trigger.timezone = "Europe/Berlin"
    assert trigger.timezone is BERLIN
    assert trigger.run_date == START
    assert trigger.run_date.tzinfo is BERLIN
    assert trigger_from_spec(present(trigger.spec())).timezone is BERLIN


@pytest.mark.parametrize("kind", MADE_OF)
def test_the_zone_of_a_combination_is_that_of_its_members(kind: str) -> None:
    trigger = MADE_OF[kind]()
    with pytest.raises(AttributeError):
        trigger.timezone = "Europe/Berlin"
    assert trigger.timezone is UTC


@pytest.mark.parametrize("kind", FILTERED)
def test_what_a_filtered_trigger_has_of_the_inner_one_is_assigned_there(kind: str) -> None:
    trigger = FILTERED[kind]()
    for name in ("jitter", "spread", "timezone"):
        with pytest.raises(AttributeError):
            setattr(trigger, name, 7)
    assert trigger.jitter == 5
    trigger.trigger.jitter = 6
    assert trigger.jitter == trigger_from_spec(trigger.spec()).jitter == 6
