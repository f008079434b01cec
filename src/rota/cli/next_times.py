"""``rota next``: reads a trigger from one word and tells its next times.

Pure, apart from printing.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ..clock import SYSTEM_CLOCK, instant, moment
from ..errors import CronError
from ..schedulers.plugins import create_plugin
from ..triggers.cron import CronTrigger
from ..triggers.cron.notations import zone_before
from ..util import convert_to_datetime
from .output import CliError, note, print_json, say, until, zone_of

if TYPE_CHECKING:
    from datetime import tzinfo

    from ..triggers.base import BaseTrigger

_NOTATION = re.compile(r"([a-z]+):(.*)")


def read_trigger(text: str, zone: tzinfo, now: int) -> BaseTrigger:
    """Return the trigger that a word stands for.

    :param text: a crontab expression (``*/5 * * * *``, ``@daily``), or a trigger's name and its arguments: ``interval:minutes=5``,
        ``cron:hour=3,minute=*/5``, ``calendarinterval:months=1``, ``date:2026-12-24 18:00:00``
    :param zone: the zone in which it is meant
    :param now: instant
    :raises CliError: with a caret under the column, if a crontab expression is not understood
    :raises RotaError: for other faults in it
    """
    found = _NOTATION.fullmatch(text.strip())
    if found is None:
        try:
            given = zone if zone_before(text) is None else None
            return CronTrigger.from_crontab(text, given, now=now)
        except CronError as exc:
            if exc.column is None:
                raise
            raise CliError(f"{exc}\n  {text}\n  {' ' * (exc.column - 1)}^") from exc
    name, rest = found[1], found[2].strip()
    arguments: dict[str, Any] = {"timezone": zone, "now": now}
    if name == "date" and "=" not in rest:
        arguments["run_date"] = rest
    elif rest:
        for part in re.split(r",(?=\s*\w+\s*=)", rest):
            key, equals, value = part.partition("=")
            if not equals:
                raise CliError(
                    f"{text!r}: arguments are written {name}:name=value,name=value; {part!r} has no '='", 2
                )
            arguments[key.strip()] = _value(value.strip())
    try:
        trigger: BaseTrigger = create_plugin("trigger", name, arguments)
    except TypeError as exc:
        raise CliError(f"{text!r}: {exc}") from exc
    return trigger


def next_times(trigger: BaseTrigger, start: int, count: int) -> list[int]:
    """Return at most ``count`` nominal times from an instant on."""
    times: list[int] = []
    following = trigger.first(start)
    while following is not None and len(times) < count:
        times.append(following)
        following = trigger.after(following, following)
    return times


def show_next(text: str, count: int, zone_name: str | None, start: str | None, as_json: bool) -> None:
    """Print the next times of a trigger."""
    zone = zone_of(zone_name)
    now = SYSTEM_CLOCK.now()
    at = now if start is None else _start(start, zone)
    trigger = read_trigger(text, zone, at)
    times = next_times(trigger, at, count)
    if as_json:
        print_json(
            {
                "trigger": str(trigger),
                "timezone": str(zone),
                "times": [moment(time, zone).isoformat() for time in times],
            }
        )
        return
    for time in times:
        say(f"{_shown(moment(time, zone))}  {until(time, now)}")
    if not times:
        note(f"{trigger} has no time from then on")


def _start(text: str, zone: tzinfo) -> int:
    try:
        when: datetime | None = datetime.fromisoformat(text)
    except ValueError:
        raise CliError(f"--from: {text!r} is not an ISO 8601 time; write 2026-12-24T18:00:00", 2) from None
    when = convert_to_datetime(when, zone, "--from")
    assert when is not None
    return instant(when)


def _shown(at: datetime) -> str:
    fraction = f".{at.microsecond:06}" if at.microsecond else ""
    return f"{at:%a %Y-%m-%d %H:%M:%S}{fraction} {at:%z}"


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
