"""From the texts of cron fields to a schedule, whose parts are shared by all triggers that have them in common.

Pure, apart from a bounded memory of what has been read.
"""

from __future__ import annotations

from functools import lru_cache

from ...errors import NeverFiresError
from .dates import Dates
from .fields import DEFAULT_VALUES, BaseField, DayOfMonthField, DayOfWeekField, MonthField, WeekField
from .schedule import Schedule

FIELD_NAMES = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
FIELDS_MAP: dict[str, type[BaseField]] = {
    "year": BaseField,
    "month": MonthField,
    "week": WeekField,
    "day": DayOfMonthField,
    "day_of_week": DayOfWeekField,
    "hour": BaseField,
    "minute": BaseField,
    "second": BaseField,
}

_MINIMA = [str(DEFAULT_VALUES[name]) for name in FIELD_NAMES]


def _whole(texts: tuple[str | None, ...]) -> list[str]:
    """Return the texts of all fields: those below the least significant one given take their minimum."""
    whole: list[str] = []
    below = True
    for index in range(7, -1, -1):
        text = texts[index]
        if text is None:
            text = _MINIMA[index] if below else "*"
        else:
            below = False
        whole.append(text)
    if below:  # nothing is given
        return ["*"] * 8
    whole.reverse()
    return whole


def own_schedule(
    classes: dict[str, type[BaseField]],
    texts: tuple[str | None, ...],
    extended: bool,
    day_or_weekday: bool,
) -> Schedule:
    """Return the schedule of fields whose classes are a program's own."""
    fields = tuple(
        classes[name](name, text, given is None, extended)
        for name, text, given in zip(FIELD_NAMES, _whole(texts), texts, strict=True)
    )
    return Schedule(fields, day_or_weekday, extended=extended)


# Programs have few schedules and many jobs, and many schedules differ in a field or two: each part is kept once.


@lru_cache(maxsize=4096)
def _shared_field(name: str, text: str, is_default: bool, extended: bool) -> BaseField:
    return FIELDS_MAP[name](name, text, is_default, extended)


@lru_cache(maxsize=1024)
def _shared_dates(texts: tuple[str, ...], extended: bool, day_or_weekday: bool) -> Dates:
    names = FIELD_NAMES[:5]
    fields = tuple(
        _shared_field(name, text, False, extended) for name, text in zip(names, texts, strict=True)
    )
    dates = Dates(fields, day_or_weekday)
    if not dates.match_some():
        shown = ", ".join(f"{name}='{text}'" for name, text in zip(names[1:], texts[1:], strict=True))
        raise NeverFiresError(f"No date matches {shown}, in any year")
    return dates


@lru_cache(maxsize=1024)
def shared_schedule(texts: tuple[str | None, ...], extended: bool, day_or_weekday: bool) -> Schedule:
    """Return the schedule of the texts of the eight fields, the same object for the same texts."""
    whole = _whole(texts)
    fields = tuple(
        [
            _shared_field(name, text, given is None, extended)
            for name, text, given in zip(FIELD_NAMES, whole, texts, strict=True)
        ]
    )
    return Schedule(
        fields, day_or_weekday, _shared_dates(tuple(whole[:5]), extended, day_or_weekday), extended
    )
