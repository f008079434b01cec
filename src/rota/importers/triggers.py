"""From the triggers of APScheduler 3, as pickles and exports say them, to those of Rota: all versions of their states.

Pure; a trigger of any other class is refused, by its name.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..triggers.calendarinterval import CalendarIntervalTrigger
from ..triggers.combining import AndTrigger, OrTrigger
from ..triggers.cron import CronTrigger
from ..triggers.date import DateTrigger
from ..triggers.interval import IntervalTrigger
from .pickles import Made, Name
from .values import NotTakenOver, Values

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..triggers.base import BaseTrigger

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_POSITIONS = ("1st", "2nd", "3rd", "4th", "5th", "last")
_FIELDS = "apscheduler.triggers.cron.fields."
_EXPRESSIONS = "apscheduler.triggers.cron.expressions."
_MAX_NESTING = 20


def trigger_of_made(found: Any, values: Values, path: str = "trigger", depth: int = 0) -> BaseTrigger:
    """Return the trigger that a note stands for.

    :raises NotTakenOver: if it is none of APScheduler's, or its state is not understood
    """
    maker = _MAKERS.get(repr(found.name)) if isinstance(found, Made) else None
    if maker is None or depth > _MAX_NESTING:
        raise NotTakenOver(
            path, f"{found!r:.200} is not a trigger of APScheduler; write the job anew with a trigger of Rota"
        )

    def make(values: Values, made: Made, path: Any) -> BaseTrigger:
        trigger: BaseTrigger = maker(_state(made.state, path), values, path, depth)
        return trigger

    trigger: BaseTrigger = values.made(found, path, make)
    return trigger


def _state(state: Any, path: str) -> dict[str, Any]:
    # This is how objects with slots are pickled if no method gives their state.
    if isinstance(state, tuple) and len(state) == 2:
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict):
        raise NotTakenOver(path, "its state is missing")
    if state.get("version", 1) > 2:
        raise NotTakenOver(
            path, f"its state has version {state['version']!r:.20}; APScheduler 3 writes 1 and 2"
        )
    return state


def _date(state: dict[str, Any], values: Values, path: str, depth: int) -> BaseTrigger:
    return DateTrigger(_given(state, "run_date", values, path))


def _interval(state: dict[str, Any], values: Values, path: str, depth: int) -> BaseTrigger:
    length = values.value(state["interval"], f"{path}.interval")
    if not isinstance(length, timedelta):
        raise NotTakenOver(f"{path}.interval", f"{length!r:.80} is not a length of time")
    return IntervalTrigger(
        days=length.days,
        seconds=length.seconds + length.microseconds / 1_000_000,
        start_date=_given(state, "start_date", values, path),
        end_date=_moment(state, "end_date", values, path),
        timezone=values.zone(state["timezone"], f"{path}.timezone"),
        jitter=_jitter(state, values, path),
    )


def crontab_of(trigger: object) -> str | None:
    """Return the crontab string of which APScheduler's ``from_crontab()`` makes such a trigger; None if there is none."""
    if type(trigger) is not CronTrigger:
        return None
    fields = {field.name: field for field in trigger.fields}
    given = [fields.pop(name) for name in ("minute", "hour", "day", "month", "day_of_week")]
    if any(field.is_default for field in given) or not all(field.is_default for field in fields.values()):
        return None
    return " ".join(map(str, given))


def _cron(state: dict[str, Any], values: Values, path: str, depth: int) -> BaseTrigger:
    fields: dict[str, Any] = {}
    for field in state["fields"]:
        if not (isinstance(field, Made) and repr(field.name).startswith(_FIELDS)):
            raise NotTakenOver(f"{path}.fields", f"{field!r:.80} is not a field of a cron trigger")
        content = _state(field.state, f"{path}.fields")
        if not content["is_default"]:
            name = content["name"]
            if name not in CronTrigger.FIELD_NAMES:
                raise NotTakenOver(f"{path}.fields", f"there is no field {name!r:.40}")
            fields[name] = ",".join(_expression(part, f"{path}.{name}") for part in content["expressions"])
    return CronTrigger(
        **fields,
        start_date=_moment(state, "start_date", values, path),
        end_date=_moment(state, "end_date", values, path),
        timezone=values.zone(state["timezone"], f"{path}.timezone"),
        jitter=_jitter(state, values, path),
    )


def _expression(found: Any, path: str) -> str:
    """Return the text of an item of a cron field."""
    if not (isinstance(found, Made) and repr(found.name).startswith(_EXPRESSIONS)):
        raise NotTakenOver(path, f"{found!r:.80} is not an expression of a cron trigger")
    kind, state = repr(found.name).removeprefix(_EXPRESSIONS), found.state or {}
    step = f"/{_number(state['step'])}" if state.get("step") else ""
    if kind == "AllExpression":
        return f"*{step}"
    if kind == "LastDayOfMonthExpression":
        return "last"
    if kind == "WeekdayPositionExpression":
        return f"{_POSITIONS[_number(state['option_num'])]} {_WEEKDAYS[_number(state['weekday'])]}"
    first, last = _number(state["first"]), state["last"]
    shows: dict[str, Callable[[int], str]] = {
        "RangeExpression": str,
        "MonthRangeExpression": lambda number: _MONTHS[number - 1],
        "WeekdayRangeExpression": lambda number: _WEEKDAYS[number],
    }
    show = shows.get(kind)
    if show is None:
        raise NotTakenOver(path, f"{found!r} is not an expression of a cron trigger")
    if last is None or (last == first and not step):
        return f"{show(first)}{step}"
    return f"{show(first)}-{show(_number(last))}{step}"


def _calendar_interval(state: dict[str, Any], values: Values, path: str, depth: int) -> BaseTrigger:
    years, months, weeks, days = map(_number, state["interval"])
    hour, minute, second = map(_number, state["time"])
    return CalendarIntervalTrigger(
        years=years,
        months=months,
        weeks=weeks,
        days=days,
        hour=hour,
        minute=minute,
        second=second,
        start_date=_day(state, "start_date", values, path),
        end_date=_day(state, "end_date", values, path),
        timezone=values.zone(state["timezone"], f"{path}.timezone"),
        jitter=_jitter(state, values, path),
    )


def _combined(cls: type[AndTrigger] | type[OrTrigger]) -> Any:
    def make(state: dict[str, Any], values: Values, path: str, depth: int) -> BaseTrigger:
        members = []
        for i, (reference, member) in enumerate(state["triggers"]):
            module, _, name = str(reference).partition(":")
            made = Made(Name(module, name), (), member)
            members.append(trigger_of_made(made, values, f"{path}.triggers[{i}]", depth + 1))
        return cls(members, jitter=_jitter(state, values, path))

    return make


def _given(state: dict[str, Any], name: str, values: Values, path: str) -> datetime:
    value = _moment(state, name, values, path)
    if value is None:
        raise NotTakenOver(f"{path}.{name}", "it is missing")
    return value


def _moment(state: dict[str, Any], name: str, values: Values, path: str) -> datetime | None:
    value = values.value(state[name], f"{path}.{name}")
    if value is not None and (not isinstance(value, datetime) or value.tzinfo is None):
        raise NotTakenOver(f"{path}.{name}", f"{value!r:.80} is not a date and time with a time zone")
    return value


def _day(state: dict[str, Any], name: str, values: Values, path: str) -> date | None:
    value = values.value(state[name], f"{path}.{name}")
    if value is not None and type(value) is not date:
        raise NotTakenOver(f"{path}.{name}", f"{value!r:.80} is not a date")
    return value


def _jitter(state: dict[str, Any], values: Values, path: str) -> float | None:
    jitter = values.value(state.get("jitter"), f"{path}.jitter")
    if jitter is not None and type(jitter) not in (int, float):
        raise NotTakenOver(f"{path}.jitter", f"{jitter!r:.80} is not a number of seconds")
    return jitter or None


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.80} is not a whole number")
    return value


_MAKERS: dict[str, Any] = {
    "apscheduler.triggers.date.DateTrigger": _date,
    "apscheduler.triggers.interval.IntervalTrigger": _interval,
    "apscheduler.triggers.cron.CronTrigger": _cron,
    "apscheduler.triggers.calendarinterval.CalendarIntervalTrigger": _calendar_interval,
    "apscheduler.triggers.combining.AndTrigger": _combined(AndTrigger),
    "apscheduler.triggers.combining.OrTrigger": _combined(OrTrigger),
}
