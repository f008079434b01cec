"""Whether a trigger's zone was given, or is that of the machine because nobody said which."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from datetime import timezone as dt_timezone

import pytest

from rota.calendars import BusinessCalendar
from rota.triggers import trigger_from_spec
from rota.triggers.base import BaseTrigger
from rota.triggers.business_day import BusinessDayTrigger
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.combining import AndTrigger, OrTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.crontab import CrontabTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from rota.triggers.rrule import RRuleTrigger

AWARE = datetime(2026, 5, 1, 12, tzinfo=dt_timezone(timedelta(hours=2)))
NAIVE = datetime(2026, 5, 1, 12)


class EveryHour(BaseTrigger):
    """A custom trigger without a zone."""

    def __repr__(self):  # a parameter's name is the same in all workers of the tests
        return "EveryHour()"

    def get_next_fire_time(self, previous_fire_time, now):
        return now + timedelta(hours=1)


MACHINE = [
    DateTrigger(NAIVE),
    DateTrigger("2026-05-01 12:00:00"),
    IntervalTrigger(hours=1, start_date=NAIVE),
    IntervalTrigger(hours=1, start_date=AWARE, end_date="2027-01-01"),
    IntervalTrigger(hours=1, first="aligned"),
    CalendarIntervalTrigger(days=1),
    CronTrigger(hour=9),
    CronTrigger(hour=9, start_date="2026-05-01T12:00:00+02:00"),
    CronTrigger.from_crontab("0 9 * * 1-5"),
    CrontabTrigger("0 9 * * *"),
    RRuleTrigger("FREQ=DAILY", dtstart=NAIVE),
    BusinessDayTrigger(1),
    EveryHour().between("9:00", "17:00"),
    EveryHour().on("mon"),
    EveryHour().starting("2026-05-01"),
]
GIVEN = [
    DateTrigger(AWARE),
    DateTrigger("2026-05-01T12:00:00+02:00"),
    DateTrigger(NAIVE, "Asia/Tokyo"),
    DateTrigger(),
    IntervalTrigger(hours=1),
    IntervalTrigger(hours=1, start_date=AWARE),
    IntervalTrigger(hours=1, start_date="2026-05-01T12:00:00Z"),
    IntervalTrigger(hours=1, start_date=NAIVE, timezone="Asia/Tokyo"),
    IntervalTrigger(hours=1, first="aligned", timezone=UTC),
    CalendarIntervalTrigger(days=1, timezone="Asia/Tokyo"),
    CronTrigger(hour=9, timezone="Asia/Tokyo"),
    CronTrigger(hour=9, end_date=AWARE),
    CronTrigger.from_crontab("0 9 * * 1-5", UTC),
    CrontabTrigger("0 9 * * *", "Asia/Tokyo"),
    RRuleTrigger("FREQ=DAILY", dtstart=AWARE),
    RRuleTrigger("DTSTART;TZID=Asia/Tokyo:20260501T120000\nRRULE:FREQ=DAILY"),
    BusinessDayTrigger(1, timezone="Asia/Tokyo"),
    EveryHour(),
    EveryHour().between("9:00", "17:00", timezone="Asia/Tokyo"),
    EveryHour().starting(AWARE),
]


@pytest.mark.parametrize("trigger", MACHINE, ids=lambda trigger: type(trigger).__name__)
def test_a_trigger_tells_that_its_zone_is_that_of_the_machine(trigger):
    assert trigger.zone_given is False


@pytest.mark.parametrize("trigger", GIVEN, ids=lambda trigger: type(trigger).__name__)
def test_a_trigger_tells_that_its_zone_was_given_or_does_not_matter(trigger):
    assert trigger.zone_given is True


@pytest.mark.parametrize("trigger", [*MACHINE, *GIVEN], ids=lambda trigger: type(trigger).__name__)
def test_copies_and_pickles_know_where_the_zone_came_from(trigger):
    for again in (copy.copy(trigger), copy.deepcopy(trigger), pickle.loads(pickle.dumps(trigger))):
        assert again.zone_given is trigger.zone_given


@pytest.mark.parametrize("trigger", MACHINE, ids=lambda trigger: type(trigger).__name__)
def test_a_stored_trigger_names_its_zone_so_that_it_is_given(trigger):
    spec = trigger.spec()
    if spec is not None:
        assert "zone_given" not in spec
        assert trigger_from_spec(spec).zone_given is True
        assert trigger_from_spec(spec) == trigger


@pytest.mark.parametrize("combined", [AndTrigger, OrTrigger])
def test_a_combination_has_the_machine_s_zone_if_a_member_has_it(combined):
    berlin, machine = CronTrigger(hour="*", timezone="Europe/Berlin"), CronTrigger(hour=9)
    assert combined([berlin, machine]).zone_given is False
    assert combined([machine, berlin]).zone_given is False
    assert combined([berlin, EveryHour()]).zone_given is True
    assert pickle.loads(pickle.dumps(combined([berlin, machine]))).zone_given is False


def test_a_derived_trigger_has_the_zone_of_the_one_it_is_made_of():
    machine, berlin = CronTrigger(hour=9), CronTrigger(hour=9, timezone="Europe/Berlin")
    calendar = BusinessCalendar()
    for trigger, given in ((machine, False), (berlin, True)):
        assert (trigger - DateTrigger(AWARE)).zone_given is given
        assert trigger.between("8:00", "10:00").zone_given is given
        assert trigger.on("mon-fri", timezone="UTC").zone_given is given
        assert trigger.starting("2026-01-01").limit(3).zone_given is given
        assert trigger.offset(hours=1).roll(calendar).zone_given is given
