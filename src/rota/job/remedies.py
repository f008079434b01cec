"""What to write instead of what was given to ``add_job()``: the second half of its refusals.

Texts only; they are made when a job is refused, and cannot raise whatever was given.
"""

from __future__ import annotations

import sys
from datetime import date, datetime, time, timedelta

from ..errors import CallableLookupError, CallableReferenceError
from ..texts import repr_of, shortened, text_of, type_name
from ..triggers.base import BaseTrigger
from ..util import suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CRON_CHARACTERS = frozenset("0123456789*/,-~?")


def shown(value: object) -> str:
    """Return a value as messages show it."""
    return shortened(repr_of(value), 200)


def instead_of_func(value: object) -> str:
    """Return what to write instead of something that cannot be called, which mostly is what a call has returned."""
    kind = type_name(value)
    if kind in ("coroutine", "generator", "async_generator"):
        name = text_of(getattr(value, "__qualname__", "function"))
        return f"pass the function itself and its arguments: add_job({name}, args=[…]), without calling it"
    return "if a call returned it, pass the function itself and its arguments: add_job(function, args=[…])"


def instead_of_series(value: object) -> str:
    """Return what to write instead of args that are one argument."""
    return f"write args=[{shown(value)}]"


def schedule_in_args(args: object, trigger: object) -> str | None:
    """Return what to write instead of a schedule where the arguments of the function belong; None if it is no schedule.

    :param trigger: the name of the trigger that was given before it
    """
    if not (isinstance(args, str) and isinstance(trigger, str) and trigger in ("cron", "crontab", "date")):
        return None
    remedy = instead_of_trigger_name(args)
    return None if remedy is None else f"they are what the function is called with; {remedy}"


def instead_of_trigger(value: object) -> str:
    """Return what to write instead of something that is no trigger."""
    if isinstance(value, type) and issubclass(value, BaseTrigger):
        return f"write {value.__name__}(…), with the arguments of the trigger"
    if isinstance(value, timedelta):
        return f'write "interval", seconds={value.total_seconds():g}'
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f'write "interval", seconds={value}'
    if isinstance(value, date):  # and datetime
        return f'write "date", run_date={shown(value) if isinstance(value, datetime) else repr(value.isoformat())}'
    if isinstance(value, time):
        return f'write "cron", hour={value.hour}, minute={value.minute}, second={value.second}'
    if isinstance(value, (list, tuple, set)):
        return "combine triggers by OrTrigger([…]) or AndTrigger([…])"
    return 'write a trigger such as IntervalTrigger(hours=1), or the name of one with its arguments: "interval", hours=1'


def instead_of_trigger_name(text: str) -> str | None:
    """Return what to write instead of the name of a trigger that is no name but a schedule; None if it is not that either."""
    stripped = text.strip()
    fields = stripped.split()
    if len(fields) == 4 and all(map(_CRON_CHARACTERS.issuperset, fields)):
        return f'a crontab string has five fields, minute hour day month weekday; write "crontab", expr={shown(f"{stripped} *")}'
    if stripped.startswith("@") or (len(fields) in (5, 6, 7) and _CRON_CHARACTERS.issuperset(fields[0])):
        return f'write "crontab", expr={shown(stripped)}'
    if stripped.upper().startswith(("RRULE:", "FREQ=", "DTSTART")):
        return f'write "rrule", rule={shown(stripped)}'
    try:
        datetime.fromisoformat(stripped)
    except ValueError:
        from ..triggers.cron.other_systems import other_notation  # import time

        meant = other_notation(shortened(" ".join(fields), 200))
        return None if meant is None else "it " + meant.replace("; write '", '; write "crontab", expr=\'')
    return f'write "date", run_date={shown(stripped)}'


def instead_of_reference(reference: str, exc: CallableReferenceError | CallableLookupError) -> str:
    """Return what was probably meant by a textual reference that leads nowhere, as the end of its message."""
    module_name, colon, path = reference.partition(":")
    if not colon:
        module_name, _, path = reference.rpartition(".")
        if module_name in sys.modules:
            return f"; did you mean '{module_name}:{path}'?"
        return "" if isinstance(exc, CallableLookupError) else f"; {instead_of_func(reference)}"
    found: Any = sys.modules.get(module_name)
    if found is None:
        return suggestion(module_name, sys.modules)
    names = path.split(".")
    for number, name in enumerate(names):
        try:
            found = getattr(found, name)
        except Exception:
            near = suggestion(name, _names(found))
            meant = near.partition("'")[2].partition("'")[0]
            before = ".".join([*names[:number], meant])
            return f"; did you mean '{module_name}:{before}'?" if meant else ""
    return ""


def _names(value: object) -> list[str]:
    try:
        return list(map(str, dir(value)))
    except Exception:
        return []
