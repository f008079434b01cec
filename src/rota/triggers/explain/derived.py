"""In plain language: triggers made of others (filters, moves, bounds), business days and calendar rules.

Pure. Part of :mod:`rota.triggers.explain.describe`; loaded when such a trigger is explained.
"""

from __future__ import annotations

from ...calendars import BusinessCalendar
from ...calendars.weekdays import weekday_numbers
from ...util import datetime_repr, timezone_repr, timezone_to_text
from ..algebra.business_days import BusinessDaysTrigger, RollTrigger
from ..algebra.filters import BetweenTrigger, WeekdaysTrigger
from ..algebra.streams import BoundedTrigger, LimitTrigger, MinusTrigger, OffsetTrigger
from ..business_day import BusinessDayTrigger
from ..rrule import RRuleTrigger
from .shapes import cyclic_shape, length_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..base import BaseTrigger
    from .english import English
    from .vietnamese import Vietnamese

    Language = English | Vietnamese


def describe_derived(
    trigger: BaseTrigger, words: Language, described: Callable[[BaseTrigger], str]
) -> list[str] | None:
    """Return the parts of a sentence about a trigger, None for a kind that is not known here.

    :param described: returns when another trigger fires, as a part of a sentence
    """
    if isinstance(trigger, MinusTrigger):
        of, without = trigger.triggers
        return [described(of), words.without(described(without))]
    if isinstance(trigger, BusinessDayTrigger):
        return _business_day(trigger, words)
    if isinstance(trigger, RRuleTrigger):
        rule = str(trigger).removeprefix("rrule[").removesuffix("]")
        return [f"{words.calendar_rule(rule)} {_zone(trigger)}"]
    said = _said(trigger, words)
    if said is None:
        return None
    return [described(trigger.parts()[0]), said]


def _said(trigger: BaseTrigger, words: Language) -> str | None:
    """Return what a derived trigger does to its inner trigger."""
    if isinstance(trigger, BetweenTrigger):
        shown = trigger._parameters()
        return words.only_between(shown["start"], shown["end"])
    if isinstance(trigger, WeekdaysTrigger):
        shape = cyclic_shape(sorted(weekday_numbers(trigger.weekdays)))
        return words.only(words.on_weekdays(shape, [], words.joint))
    if isinstance(trigger, BusinessDaysTrigger):
        return words.only(words.business_days(_calendar(trigger.calendar, words)))
    if isinstance(trigger, RollTrigger):
        return words.rolled(trigger.convention, trigger.days, _calendar(trigger.calendar, words))
    if isinstance(trigger, OffsetTrigger):
        seconds = trigger.delta.total_seconds()
        return words.moved(words.length(length_of(abs(seconds))), seconds >= 0)
    if isinstance(trigger, LimitTrigger):
        return words.limited(trigger.count)
    if isinstance(trigger, BoundedTrigger):
        bounds = trigger._texts()
        named = {"start": words.beginning, "end": words.ending}
        return ", ".join(named[name](datetime_repr(at)) for name, at in bounds.items())
    return None


def _business_day(trigger: BusinessDayTrigger, words: Language) -> list[str]:
    clock = trigger._clock
    time = f"{clock // 3600:02}:{clock // 60 % 60:02}:{clock % 60:02}".removesuffix(":00")
    parts = [
        words.at_times([time]),
        words.nth_business_day(trigger.nth, trigger.of) + _calendar(trigger.calendar, words),
    ]
    spec = trigger.spec() or {}
    if "start_date" in spec:
        parts.append(words.beginning(spec["start_date"]))
    if "end_date" in spec:
        parts.append(words.ending(spec["end_date"]))
    parts[-1] += f" {_zone(trigger)}"
    return parts


def _calendar(calendar: BusinessCalendar, words: Language) -> str:
    return words.calendar([*calendar.countries, *calendar.markets])


def _zone(trigger: BusinessDayTrigger | RRuleTrigger) -> str:
    return f"({timezone_to_text(trigger.timezone) or timezone_repr(trigger.timezone)})"
