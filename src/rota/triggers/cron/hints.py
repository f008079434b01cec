"""What to write instead of a refused crontab string or keyword: fields left out, schedules of other systems, wrong types.

Pure. Loaded when an expression is refused; what it proposes has been read before.
"""

from __future__ import annotations

import re

from ...errors import CronError
from .expressions import shown
from .notations import without_zone, zone_before
from .other_systems import clock_of, other_notation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_FIELDS = ("minute", "hour", "day", "month", "weekday")
#: Longer texts and lists are not repeated in messages.
_LONGEST = 200
_BEGINS_COMMAND = re.compile(r"(?!mon|tue|wed|thu|fri|sat|sun)[a-z./][^,*]*$", re.IGNORECASE)


def for_crontab(exc: CronError, expr: str, dialect: str) -> CronError:
    """Return the refusal of a crontab string with what to write instead, as far as that can be told."""
    zone = None if dialect == "apscheduler3" else zone_before(expr)
    words = (expr if zone is None else without_zone(expr)).split()
    text = " ".join(words)
    meant = other_notation(text)
    if meant is not None:
        reading = "" if dialect == "cron" else " (with dialect='cron')"
        return CronError(f"{shown(text)} {meant}{reading}", item=text)
    if "did you mean" in str(exc):  # a better hint
        return exc
    meant = _command_follows(words, dialect)
    if meant is None and exc.item is None:
        meant = _completed(words, dialect, "" if zone is None else f"CRON_TZ={zone} ")
    if meant is None:
        return exc
    return CronError(f"{exc}; {meant}", field=exc.field, item=exc.item, column=exc.column)


def _command_follows(words: list[str], dialect: str) -> str | None:
    """Return a hint that fields are followed by something that is no field, if that is so."""
    if dialect == "cron" and len(words) == 5 and _BEGINS_COMMAND.match(words[4]):
        meant = " ".join([*words[:4], "*"])
        if _is_read(meant):
            return f"if {shown(words[4])} begins a command, the weekday before it is missing; write {meant!r}"
    if dialect != "cron" or len(words) < 6 or not _is_read(" ".join(words[:5])):
        return None
    if _is_read(f"{words[5]} * * * *") or _is_read(f"* * * * {words[5]}"):
        return None
    return f"the first five fields are an expression; what follows looks like a command ({shown(words[5])})"


def _completed(words: list[str], dialect: str, zone: str) -> str | None:
    """Return which fields are missing, and the expression with them.

    :param zone: what stood before the expression
    """
    count = len(words)
    if dialect == "quartz":
        meant = f"0 {' '.join(words)}"
        return f"the seconds are missing; write {zone + meant!r}" if _is_read(meant, dialect) else None
    if count >= 5:
        return None
    missing = _FIELDS[count:]
    meant = " ".join([*words, *["*"] * len(missing)])
    if not words or not _is_read(meant, dialect):
        return f"the fields are {' '.join(_FIELDS)}: '0 3 * * *' is every day at 03:00"
    named = f"the {missing[0]} is" if count == 4 else f"the {', '.join(missing[:-1])} and {missing[-1]} are"
    return f"the fields are {' '.join(_FIELDS)}, so {named} missing; write {zone + meant!r}"


def _is_read(expr: str, dialect: str = "cron") -> bool:
    from .crontab import read  # rare

    try:
        read(expr, dialect, "seed")
    except CronError:
        return False
    return True


def for_keywords(exc: CronError, given: Iterable[tuple[str, object]]) -> CronError:
    """Return the refusal of a field given by keyword with what to write instead, as far as that can be told."""
    values = {name: value for name, value in given if value is not None}
    meant = next((hint for name, value in values.items() if (hint := _crontab_given(name, value))), None)
    if meant is None and exc.field in values:
        meant = _value_meant(exc.field, values[exc.field], exc.item or "")
    if meant is None:
        return exc
    return CronError(f"{exc}; {meant}", field=exc.field, item=exc.item, column=exc.column)


def _crontab_given(name: str, value: object) -> str | None:
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    several = len(value.split()) >= 5
    if name == "year" and (meant := other_notation(" ".join(value.split()))) is not None:
        return f"it {meant}"
    if not (_is_read(value) and (several or value.lstrip().startswith("@"))) and not (
        name == "year" and several
    ):
        return None
    return (
        f"{shown(value)} looks like a crontab string: write CronTrigger.from_crontab({value!r}) or "
        f"add_job(func, 'crontab', expr={value!r})"
    )


def _value_meant(name: str, value: object, item: str) -> str | None:
    if isinstance(value, (list, tuple, set, frozenset, range)):
        if len(value) > _LONGEST:
            return None
        items = sorted(map(str, value)) if isinstance(value, (set, frozenset)) else map(str, value)
        return f"write one text: {name}={','.join(items)!r}"
    if isinstance(value, float) and value.is_integer():
        return f"write {name}={int(value)}"
    if name == "day_of_week" and re.search(r"(?<!\d)7(?!\d)", item):
        return "here 0 is Monday and 6 is Sunday (7 is Sunday in crontab strings only): write 6 or 'sun'"
    clock = clock_of(item) if ":" in item or item[-1:].lower() == "m" else None
    if clock is not None and name in ("hour", "minute", "second", "day"):
        second = f", second={clock[2]}" if clock[2] != "0" else ""
        return f"write hour={clock[0]}, minute={clock[1]}{second}"
    if name == "hour" and item == "24":
        return "midnight is hour=0"
    return None
