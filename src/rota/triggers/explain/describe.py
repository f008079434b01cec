"""Triggers in plain language: what fires when, from the values that match and not from how they were written.

Pure. The words are in :mod:`rota.triggers.explain.english`. Loaded when it is asked for.
"""

from __future__ import annotations

from ...errors import TriggerError
from ...util import datetime_repr, suggestion, timezone_repr, timezone_to_text
from ..after import After
from ..calendarinterval import CalendarIntervalTrigger
from ..combining import AndTrigger, OrTrigger
from ..cron import CronTrigger
from ..cron.expressions import (
    MAX_VALUES,
    MIN_VALUES,
    BeforeLastDayExpression,
    LastDayOfMonthExpression,
    LastWeekdayExpression,
    NearestWorkdayExpression,
    WeekdayOccurrenceExpression,
    WeekdayPositionExpression,
)
from ..date import DateTrigger
from ..interval import IntervalTrigger
from .english import English
from .shapes import cyclic_shape, length_of, listed_shape, shape
from .vietnamese import Vietnamese

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..base import BaseTrigger
    from ..cron.expressions import Expression
    from ..cron.fields import BaseField

    Language = English | Vietnamese

LANGUAGES: dict[str, English | Vietnamese] = {"en": English(), "vi": Vietnamese()}
#: Up to this many times of a day are listed instead of described.
_LISTED_TIMES = 6


def explain(trigger: BaseTrigger, language: str = "en") -> str:
    """Return in a sentence when a trigger fires; see :meth:`BaseTrigger.explain`."""
    words = LANGUAGES.get(language)
    if words is None:
        raise TriggerError(
            f"There are no explanations in {language!r}{suggestion(str(language), LANGUAGES)}; write 'en' or 'vi'"
        )
    sentence = describe(trigger, words)
    return sentence[:1].upper() + sentence[1:]


def describe(trigger: BaseTrigger, words: Language) -> str:
    """Return when a trigger fires, as a part of a sentence."""
    if isinstance(trigger, CronTrigger):
        parts = _cron(trigger, words)
    elif isinstance(trigger, IntervalTrigger):
        parts = _interval(trigger, words)
    elif isinstance(trigger, CalendarIntervalTrigger):
        parts = _calendar(trigger, words)
    elif isinstance(trigger, DateTrigger):
        return words.once(datetime_repr(trigger.run_date))
    elif isinstance(trigger, After):
        delay = words.length(length_of(trigger.delay)) if trigger.delay else None
        return words.after_runs(trigger.job_id, trigger.starts_on, delay)
    elif isinstance(trigger, (AndTrigger, OrTrigger)):
        members = [describe(member, words) for member in trigger.triggers]
        if len(members) == 1:
            parts = members
        else:
            parts = [words.all_of(members) if isinstance(trigger, AndTrigger) else words.any_of(members)]
    else:
        from .derived import describe_derived  # rare

        found = describe_derived(trigger, words, lambda part: describe(part, words))
        if found is not None and trigger.parts():
            return "; ".join(found)  # the inner trigger has told its jitter and spread
        parts = [words.own_rule(str(trigger))] if found is None else found
    if trigger.jitter:
        parts.append(words.jitter(trigger.jitter))
    spread: float | None = getattr(trigger, "spread", None)
    if spread:
        parts.append(words.spread(spread))
    return ", ".join(parts)


# ------------------------------------------------------------------------------------------------------------- cron


def _cron(trigger: CronTrigger, words: Language) -> list[str]:
    fields = {field.name: field for field in trigger.fields}
    times, named = _times(fields, words)
    dates = _dates(fields, trigger.day_or_weekday, words)
    parts = [times, *(dates or ([words.every_day] if named else []))]
    if trigger.start_date is not None:
        parts.append(words.beginning(datetime_repr(trigger.start_date)))
    if trigger.end_date is not None:
        parts.append(words.ending(datetime_repr(trigger.end_date)))
    parts[-1] += _zone(trigger)
    return parts


def _zone(trigger: CronTrigger | CalendarIntervalTrigger) -> str:
    return f" ({timezone_to_text(trigger.timezone) or timezone_repr(trigger.timezone)})"


def _times(fields: dict[str, BaseField], words: Language) -> tuple[str, bool]:
    """Return the times of a day, and whether they are listed one by one."""
    hours, minutes, seconds = (_values(fields[name]) for name in ("hour", "minute", "second"))
    if len(hours) * len(minutes) * len(seconds) <= _LISTED_TIMES:
        shown = [(hour, minute, second) for hour in hours for minute in minutes for second in seconds]
        times = [f"{hour:02}:{minute:02}:{second:02}" for hour, minute, second in shown]
        return words.at_times([time.removesuffix(":00") if seconds == [0] else time for time in times]), True
    hour, minute, second = shape(hours, 0, 23), shape(minutes, 0, 59), shape(seconds, 0, 59)
    if hour[0] == "list":
        hour = cyclic_shape(hours, 24)
    if len(minutes) == 1 and seconds == [0] and hour[0] in ("all", "every"):
        return words.hourly(minutes[0], 1 if hour[0] == "all" else int(hour[1])), False
    parts = [] if seconds == [0] else [words.seconds(second)]
    parts += [words.minutes(minute)] if minute[0] != "all" or not parts else []
    parts += [words.hours(hour)] if hour[0] != "all" else []
    return ", ".join(parts), False


def _dates(fields: dict[str, BaseField], either: bool, words: Language) -> list[str]:
    days = _days(fields["day"], words)
    weekdays = _weekdays(fields["day_of_week"], words.either if days and not either else words.joint, words)
    if days and weekdays:
        parts = [words.one_or_other(days, weekdays) if either else words.only_if(days, weekdays)]
    else:
        parts = [found for found in (days, weekdays) if found]
    for name, named in (("month", words.months), ("week", words.weeks), ("year", words.years)):
        if not _is_everything(fields[name]):
            parts.append(named(listed_shape(_values(fields[name]), MIN_VALUES[name], MAX_VALUES[name])))
    return parts


def _days(day: BaseField, words: Language) -> str | None:
    if _is_everything(day):
        return None
    numbers = _values(day)
    items = [words.days(listed_shape(numbers, 1, 31))] if numbers else []
    return words.on_days([*items, *(_special(item, words) for item in _specials(day))])


def _weekdays(day_of_week: BaseField, joint: str, words: Language) -> str | None:
    if _is_everything(day_of_week):
        return None
    numbers = _values(day_of_week)
    specials = [_special(item, words) for item in _specials(day_of_week)]
    return words.on_weekdays(cyclic_shape(numbers) if numbers else (), specials, joint)


def _special(item: Expression, words: Language) -> str:
    if isinstance(item, WeekdayPositionExpression):
        return words.nth_weekday(item.option_num, item.weekday)
    if isinstance(item, WeekdayOccurrenceExpression):
        return words.nth_weekday(item.number - 1, item.weekday)
    if isinstance(item, LastWeekdayExpression):
        return words.nth_weekday(5, item.weekday)
    if isinstance(item, BeforeLastDayExpression):
        return words.last_day(item.distance)
    if isinstance(item, NearestWorkdayExpression):
        return words.workday_near(item.day, item.distance)
    return words.last_day(0) if isinstance(item, LastDayOfMonthExpression) else str(item)


def _values(field: BaseField) -> list[int]:
    """Return the values that match in every month, in order."""
    mask, found = field.mask(), []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def _specials(field: BaseField) -> list[Expression]:
    return [item for item in field.expressions if not any(True for _ in item.values(field.name))]


def _is_everything(field: BaseField) -> bool:
    low, high = MIN_VALUES[field.name], MAX_VALUES[field.name]
    return field.mask().bit_count() == high - low + 1


# --------------------------------------------------------------------------------------------------- other triggers


def _interval(trigger: IntervalTrigger, words: Language) -> list[str]:
    length = words.length(length_of(trigger.microseconds / 1_000_000))
    if getattr(trigger, "mode", "rate") == "delay":
        parts = [words.after_end(length)]
    else:
        parts = [words.every(length), words.elapsed(datetime_repr(trigger.start_date))]
    return [*parts, *([] if trigger.end_date is None else [words.ending(datetime_repr(trigger.end_date))])]


def _calendar(trigger: CalendarIntervalTrigger, words: Language) -> list[str]:
    names = ("years", "months", "weeks", "days")
    units = [(name, getattr(trigger, name)) for name in names if getattr(trigger, name)]
    time = words.at_time(trigger.time.isoformat())
    parts = [f"{words.every(words.length(units))} {time}", words.beginning(str(trigger.start_date))]
    if trigger.end_date is not None:
        parts.append(words.ending(str(trigger.end_date)))
    parts[-1] += _zone(trigger)
    return parts
