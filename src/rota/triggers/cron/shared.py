"""From the texts of cron fields to the dates and times of a schedule, which triggers with the same fields share.

Pure, apart from a bounded memory of what has been read.
"""

from __future__ import annotations

from functools import lru_cache

from .dates import Dates
from .fields import DEFAULT_VALUES, FIELDS_MAP, BaseField
from .schedule import Times

FIELD_NAMES = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")

#: The texts of some fields as they were given, None for fields that were not.
Texts = tuple[str | None, ...]

_NO_DATE: Texts = (None,) * 5
_NO_TIME: Texts = (None,) * 3
_MINIMA = [str(DEFAULT_VALUES[name]) for name in FIELD_NAMES]


def dates_and_times(
    texts: Texts, extended: bool, either: bool, classes: dict[str, type[BaseField]]
) -> tuple[Dates, Times]:
    """Return what the texts of the eight fields say, the same objects for the same texts.

    :param classes: the classes of the fields; those of a program's own share nothing
    :raises CronError: if a text is not understood
    :raises NeverFiresError: if no date matches
    """
    day_texts, time_texts = texts[:5], texts[5:]
    date_given, time_given = day_texts != _NO_DATE, time_texts != _NO_TIME
    if classes is not FIELDS_MAP:
        return (
            Dates(_fields(0, day_texts, time_given, False, extended, classes), either, extended),
            Times(_fields(5, time_texts, False, date_given, extended, classes)),
        )
    return (
        _shared_dates(extended, either, time_given, *day_texts),
        _shared_times(extended, date_given, *time_texts),
    )


def _fields(
    at: int,
    texts: Texts,
    lower_given: bool,
    higher_given: bool,
    extended: bool,
    classes: dict[str, type[BaseField]] | None = None,
) -> tuple[BaseField, ...]:
    """Return some of the fields: those below the least significant one given take their minimum, the others ``*``.

    :param at: which one of the eight the first is
    """
    fields: list[BaseField] = []
    below = not lower_given and (higher_given or texts.count(None) < len(texts))
    for index in range(len(texts) - 1, -1, -1):
        text, name = texts[index], FIELD_NAMES[at + index]
        is_default = text is None
        if text is None:
            text = _MINIMA[at + index] if below else "*"
        else:
            below = False
        fields.append(
            _shared_field(name, text, is_default, extended)
            if classes is None
            else classes[name](name, text, is_default, extended)
        )
    fields.reverse()
    return tuple(fields)


# Programs have few schedules and many jobs, and many schedules differ in a field or two: each part is kept once. There are
# 1440 pairs of an hour and a minute, and 372 of a month and a day.


@lru_cache(maxsize=4096)
def _shared_field(name: str, text: str, is_default: bool, extended: bool) -> BaseField:
    return FIELDS_MAP[name](name, text, is_default, extended)


@lru_cache(maxsize=1024)
def _shared_dates(extended: bool, either: bool, time_given: bool, *texts: str | None) -> Dates:
    return Dates(_fields(0, texts, time_given, False, extended), either, extended)


@lru_cache(maxsize=2048)
def _shared_times(extended: bool, date_given: bool, *texts: str | None) -> Times:
    return Times(_fields(5, texts, False, date_given, extended))
