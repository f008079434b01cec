"""Triggers: the rules that say when a job runs, found by alias and restored from stored specs.

Imports no trigger until it is asked for one.
"""

from __future__ import annotations

from ..errors import DeserializationError, UnknownAliasError, UnknownTimezoneError
from ..util import ref_to_obj, suggestion
from .base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The triggers that are made by name and arguments, as in ``add_job(func, "cron", hour=3)``: where they are.
NAMED_TRIGGERS = {
    "after": "rota.triggers.after:After",
    "and": "rota.triggers.combining:AndTrigger",
    "business_day": "rota.triggers.business_day:BusinessDayTrigger",
    "calendarinterval": "rota.triggers.calendarinterval:CalendarIntervalTrigger",
    "cron": "rota.triggers.cron:CronTrigger",
    "date": "rota.triggers.date:DateTrigger",
    "interval": "rota.triggers.interval:IntervalTrigger",
    "or": "rota.triggers.combining:OrTrigger",
    "rrule": "rota.triggers.rrule:RRuleTrigger",
}

#: All built-in triggers by the name in their stored form, those included that the methods of other triggers make.
BUILTIN_TRIGGERS = {
    **NAMED_TRIGGERS,
    "between": "rota.triggers.algebra.filters:BetweenTrigger",
    "bounded": "rota.triggers.algebra.streams:BoundedTrigger",
    "business_days": "rota.triggers.algebra.business_days:BusinessDaysTrigger",
    "limit": "rota.triggers.algebra.streams:LimitTrigger",
    "minus": "rota.triggers.algebra.streams:MinusTrigger",
    "offset": "rota.triggers.algebra.streams:OffsetTrigger",
    "on": "rota.triggers.algebra.filters:WeekdaysTrigger",
    "roll": "rota.triggers.algebra.business_days:RollTrigger",
}

_loaded: dict[str, type[BaseTrigger]] = {}


def trigger_class(alias: str) -> type[BaseTrigger]:
    """Return the class of a built-in trigger.

    :raises UnknownAliasError: (a ``KeyError``) if there is none of that alias
    """
    found = _loaded.get(alias)
    if found is None:
        reference = BUILTIN_TRIGGERS.get(alias)
        if reference is None:
            raise UnknownAliasError(
                f'No trigger by the name "{alias}" was found'
                + (suggestion(alias, BUILTIN_TRIGGERS) or f"; there are {', '.join(BUILTIN_TRIGGERS)}")
            )
        found = _loaded[alias] = ref_to_obj(reference)
    return found


def trigger_from_spec(spec: dict[str, Any]) -> BaseTrigger:
    """Return the trigger of which ``spec`` is the :meth:`~rota.triggers.base.BaseTrigger.spec`.

    :raises DeserializationError: (a ``ValueError``) if the data is no spec of a built-in trigger
    :raises UnknownTimezoneError: if it names a time zone that this machine does not have
    """
    try:
        cls: Any = trigger_class(spec["type"])
        trigger: BaseTrigger = cls.from_spec(spec)
    except UnknownTimezoneError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        raise DeserializationError(f"{spec!r} is not the stored form of a trigger: {exc}") from exc
    return trigger
