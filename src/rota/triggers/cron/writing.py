"""Cron triggers as crontab strings, where one exists that is read as the same schedule.

Pure. Loaded when it is asked for.
"""

from __future__ import annotations

from ...errors import TriggerError
from ..fields import call_text
from .expressions import LastDayOfMonthExpression, WeekdayPositionExpression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .fields import BaseField
    from .trigger import CronTrigger

#: in crontab's order
_NAMES = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_EVERY_WEEKDAY = (1 << 7) - 1
_EVERY_DAY = (1 << 31) - 1


def to_crontab(trigger: CronTrigger) -> str:
    """Return the crontab string of a trigger; see :meth:`CronTrigger.to_crontab`."""
    fields = {field.name: field for field in trigger.fields}
    if trigger.dates.extended:
        read = _as_read(fields)
        if _is_read_as(read, trigger):
            return read
    if str(fields["week"]) != "*":
        raise _none(trigger, f"crontab has no field for the ISO week ({fields['week']})")
    day, weekday = _dates(trigger, fields["day"], fields["day_of_week"])
    texts = [str(fields["minute"]), str(fields["hour"]), day, str(fields["month"]), weekday]
    return _joined(texts, fields)


def call(trigger: CronTrigger, spec: dict[str, Any]) -> str:
    """Return the call that makes an equal trigger of one that was read from a crontab string.

    :param spec: its :meth:`CronTrigger.spec`
    """
    name = type(trigger).__name__
    try:
        text = to_crontab(trigger)
    except TriggerError:
        text = ""
    if not _is_read_as(text, trigger):
        return f"{name}.from_spec({spec!r})"
    options = {
        key: value
        for key, value in spec.items()
        if key not in (*trigger.FIELD_NAMES, "crontab", "day_or_weekday")
    }
    return call_text(f"{name}.from_crontab", options, text)


def _as_read(fields: dict[str, BaseField]) -> str:
    """Return the fields as the crontab string said them, if it did."""
    day = ",".join("L" if item == "last" else item for item in str(fields["day"]).split(","))
    texts = [str(fields[name]) for name in ("minute", "hour", "month", "day_of_week")]
    return _joined([*texts[:2], day, *texts[2:]], fields)


def _joined(texts: list[str], fields: dict[str, BaseField]) -> str:
    second, year = str(fields["second"]), str(fields["year"])
    if year != "*":
        return " ".join([second, *texts, year])
    return " ".join(texts if second == "0" else [second, *texts])


def _is_read_as(text: str, trigger: CronTrigger) -> bool:
    try:
        read = trigger.from_crontab(text, trigger.timezone)
    except TriggerError:
        return False
    return read.fields == trigger.fields and read.day_or_weekday == trigger.day_or_weekday


def _dates(trigger: CronTrigger, day: BaseField, day_of_week: BaseField) -> tuple[str, str]:
    """Return the day field and the weekday field."""
    positions = [item for item in day.expressions if isinstance(item, WeekdayPositionExpression)]
    others = [
        "L" if isinstance(item, LastDayOfMonthExpression) else str(item)
        for item in day.expressions
        if item not in positions
    ]
    day_text, weekday_text = ",".join(others), _weekdays(day_of_week)
    if trigger.day_or_weekday and (day.mask() >> 1 == _EVERY_DAY or day_of_week.mask() == _EVERY_WEEKDAY):
        return "*", "*"
    if positions:
        # A position of a weekday stands in crontab's weekday field, and either of the two fields may match.
        if weekday_text != "*" or day_text.startswith("*"):
            raise _none(trigger, f"crontab cannot join day={str(day)!r} and day_of_week={str(day_of_week)!r}")
        return day_text or "*", ",".join(map(_position, positions))
    if weekday_text == "*":
        return day_text, "*"
    # Where one of the two begins with a star, both must match; else either.
    if trigger.day_or_weekday and day_text.startswith("*"):
        raise _none(trigger, f"where the day begins with '*' ({day}), crontab wants the weekday to match too")
    if not trigger.day_or_weekday and not day_text.startswith("*"):
        weekday_text = _starred(day_of_week) or weekday_text
        if not weekday_text.startswith("*"):
            raise _none(
                trigger,
                f"crontab fires when either of day={str(day)!r} and day_of_week={str(day_of_week)!r} matches",
            )
    return day_text, weekday_text


def _position(item: WeekdayPositionExpression) -> str:
    return _NAMES[(item.weekday + 1) % 7] + ("L" if item.option_num == 5 else f"#{item.option_num + 1}")


def _weekdays(field: BaseField) -> str:
    """Return a weekday field by names; a star only where it matches every day anyway."""
    mask = field.mask()
    if mask == _EVERY_WEEKDAY:
        return "*"
    names = [name for number, name in enumerate(_NAMES) if mask >> (number - 1) % 7 & 1]
    if "-".join(names) in "-".join(_NAMES) and len(names) > 2:
        names = [f"{names[0]}-{names[-1]}"]
    special = [str(item) for item in field.expressions if not any(True for _ in item.values(field.name))]
    return ",".join([*names, *special])


def _starred(field: BaseField) -> str | None:
    """Return the form ``*/n`` of a weekday field, counted from Sunday, if it has one."""
    numbers = {number for number in range(7) if field.mask() >> (number - 1) % 7 & 1}
    if any(field.days(length, first) for length in (28, 31) for first in range(7)):
        return None
    return next(
        (f"*/{step}" for step in range(2, 9) if {at % 7 for at in range(0, 8, step)} == numbers), None
    )


def _none(trigger: CronTrigger, why: str) -> TriggerError:
    return TriggerError(f"{trigger} cannot be written as a crontab string: {why}")
