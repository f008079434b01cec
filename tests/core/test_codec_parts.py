"""Plain triggers are made of their texts directly, and are what their specs say."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest

from rota.codec import loads
from rota.codec.triggers import plain_text, plain_trigger, trigger_of
from rota.codec.values import to_text
from rota.errors import UnknownTimezoneError
from rota.triggers.calendarinterval import CalendarIntervalTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger

if TYPE_CHECKING:
    from rota.triggers.base import BaseTrigger

BERLIN = ZoneInfo("Europe/Berlin")
START = '"start_date":"2026-03-29T02:00:00.000001+01:00"'


def spec_of(trigger: BaseTrigger) -> str:
    return to_text(trigger.spec(), "trigger")


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(hours=1, start_date=datetime(2026, 1, 1, 5, 0, 0, 1, UTC), timezone="UTC"),
        IntervalTrigger(seconds=7, start_date=datetime(2026, 10, 25, 2, 30, fold=1), timezone=BERLIN),
        IntervalTrigger(weeks=500, start_date=date(1969, 7, 20), timezone="-09:30"),
        IntervalTrigger(days=1, timezone="Asia/Ho_Chi_Minh"),
        DateTrigger(datetime(2026, 1, 1, 5, 0, 0, 1, UTC)),
        DateTrigger(datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN)),
    ],
)
def test_a_plain_trigger_is_the_one_of_its_spec(trigger: BaseTrigger) -> None:
    text = spec_of(trigger)
    assert plain_text(trigger) == text
    found, expected = plain_trigger(text), trigger_of(loads(text))
    assert found is not None
    assert type(found) is type(expected)
    assert found == expected
    assert found.__getstate__() == expected.__getstate__()
    assert spec_of(found) == text
    for now in (0, 1_800_000_000_000_000):
        assert found.first(now) == expected.first(now)


def test_plain_intervals_share_what_they_have_in_common() -> None:
    one, two = (
        plain_trigger(spec_of(IntervalTrigger(hours=1, start_date=date(2026, 1, day), timezone="UTC")))
        for day in (1, 2)
    )
    assert isinstance(one, IntervalTrigger) and isinstance(two, IntervalTrigger)
    assert one._terms is two._terms
    assert one != two


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(hours=1, end_date=date(2030, 1, 1), timezone="UTC"),
        IntervalTrigger(hours=1, jitter=5, timezone="UTC"),
        IntervalTrigger(hours=1, mode="delay", timezone="UTC"),
        IntervalTrigger(seconds=1.5, timezone="UTC"),
        IntervalTrigger(hours=1, start_date=date(1800, 1, 1), timezone=BERLIN),
        CalendarIntervalTrigger(months=1, timezone="UTC"),
        CronTrigger(minute=5, timezone="UTC"),
    ],
)
def test_a_trigger_that_says_more_is_left_to_its_spec(trigger: BaseTrigger) -> None:
    assert plain_trigger(spec_of(trigger)) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        f'{{"type":"interval","seconds":0,{START},"timezone":"UTC"}}',
        f'{{"type":"interval","seconds":-5,{START},"timezone":"UTC"}}',
        f'{{"type":"interval","seconds":05,{START},"timezone":"UTC"}}',
        f'{{"type":"interval","seconds":\u0661,{START},"timezone":"UTC"}}',
        f'{{"type":"interval","seconds":99999999999,{START},"timezone":"UTC"}}',
        f'{{"type":"interval","seconds":5,{START},"timezone":null}}',
        f'{{"type":"interval","seconds":5,{START},"timezone":""}}',
        f'{{"type":"interval","seconds":5,{START},"timezone":"U\\u0054C"}}',
        f'{{"type":"interval","seconds":5,{START},"timezone":"UTC"}} ',
        f'{{"type":"interval","seconds":5,{START},"timezone":"UTC","mode":"delay"}}',
        '{"type":"interval","seconds":5,"start_date":"2026-02-30T02:00:00+01:00","timezone":"UTC"}',
        '{"type":"interval","seconds":5,"start_date":"2026-02-03T02:00:00","timezone":"UTC"}',
        '{"type":"interval","seconds":5,"start_date":"2026-02-03\\n02:00:00+01:00","timezone":"UTC"}',
        '{"type":"date","run_date":"2026-02-03T02:00:00+03","timezone":"UTC"}',
        '{"type":"date","run_date":"2026-02-03T02:00:00+01:00+01:00","timezone":"UTC"}',
    ],
)
def test_a_text_of_another_form_is_left_to_its_spec(text: str) -> None:
    assert plain_trigger(text) is None


def test_a_plain_trigger_with_an_unknown_zone_fails_as_its_spec_does() -> None:
    text = f'{{"type":"interval","seconds":5,{START},"timezone":"Europe/Brelin"}}'
    with pytest.raises(UnknownTimezoneError) as direct:
        plain_trigger(text)
    with pytest.raises(UnknownTimezoneError) as by_spec:
        trigger_of(loads(text))
    assert str(direct.value) == str(by_spec.value)


class Derived(IntervalTrigger):
    """A user's class, which may be written in another way."""

    __slots__ = ()


class Odd(tzinfo):
    """A zone with a fraction of a second."""

    key = "Odd/Zone"

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(microseconds=1)

    def dst(self, moment: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, moment: datetime | None) -> str:
        return self.key


@pytest.mark.parametrize(
    "trigger",
    [
        IntervalTrigger(seconds=1.5, timezone="UTC"),
        IntervalTrigger(hours=1, timezone="UTC", jitter=0),
        IntervalTrigger(hours=1, timezone="UTC", spread=60),
        IntervalTrigger(hours=1, timezone="UTC", mode="delay"),
        IntervalTrigger(hours=1, timezone="UTC", end_date=date(2126, 1, 1)),
        Derived(hours=1, timezone="UTC"),
        DateTrigger(datetime(2026, 1, 1, tzinfo=timezone(timedelta(microseconds=1)))),
        DateTrigger(datetime(2026, 1, 1, tzinfo=Odd())),
        CronTrigger(hour=3, timezone="UTC"),
    ],
)
def test_other_triggers_have_no_plain_text(trigger: BaseTrigger) -> None:
    assert plain_text(trigger) is None
