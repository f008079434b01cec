"""Schedules as other systems write them, and plain English: what a text looks like, and what to write instead.

Pure. Loaded when an expression is refused; what it proposes has been read before.
"""

from __future__ import annotations

import re

from ...errors import TriggerError
from .expressions import WEEKDAYS

#: for texts that are recognised but not understood
_EXAMPLES = "in crontab strings '0 3 * * *' is every day at 03:00, and '*/5 * * * *' every five minutes"
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "seconds"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hours"),
    **dict.fromkeys(("d", "day", "days"), "days"),
    **dict.fromkeys(("w", "week", "weeks"), "weeks"),
    **dict.fromkeys(("month", "months"), "months"),
    **dict.fromkeys(("y", "year", "years"), "years"),
}
_HOURS = {"days": 24, "weeks": 168}
_EVERY_ONE = {"minutes": "'* * * * *'", "hours": "'@hourly'", "days": "'@daily'", "weeks": "'@weekly'"}
#: systemd's words for schedules
_WORDS = {
    "minutely": "* * * * *",
    "hourly": "@hourly",
    "daily": "@daily",
    "weekly": "0 0 * * mon",
    "monthly": "@monthly",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "yearly": "@yearly",
    "annually": "@yearly",
}
_WEEKDAY = rf"(?:{'|'.join(WEEKDAYS)})[a-z]*"
_WEEKDAYS = re.compile(rf"{_WEEKDAY}(?:(?:\.\.|,|-){_WEEKDAY})*,?", re.IGNORECASE)
_PART = r"(?:\*|\d+(?:\.\.\d+)?)(?:/\d+)?"
_LIST = rf"{_PART}(?:,{_PART})*"
_DATE = re.compile(rf"(?:({_LIST})-)?({_LIST})-({_LIST})")
_TIME = re.compile(rf"({_LIST}):({_LIST})(?::({_LIST}))?")
_RATE = re.compile(r"rate\(\s*(\d{1,6})\s+([a-z]+)\s*\)", re.IGNORECASE)
_CRON = re.compile(r"cron\((.*)\)", re.IGNORECASE | re.DOTALL)
_AT = re.compile(r"at\((.*)\)", re.IGNORECASE)
_ISO_DATE = re.compile(r"\d{4}-\d\d?-\d\d?(?:[ T]\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?")
_ISO_LENGTH = re.compile(
    r"(?:R\d*/)?P(?:(\d{1,6})W)?(?:(\d{1,6})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,6})S)?)?"
)
_EVERY = re.compile(
    rf"(?:every|each|(?=daily\b))\s*(?:(\d{{1,6}})\s*)?(daily|weekdays?|weekends?|{_WEEKDAY}|[a-z]+)(?:\s*,?\s*(?:at\s+)?(\S.*))?",
    re.IGNORECASE,
)
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?(?::(\d\d))?\s*(am|pm)?", re.IGNORECASE)


def other_notation(text: str) -> str | None:
    """Return what a text is and what to write instead; None if it looks like nothing that is known."""
    for reading in (_aws, _systemd, _plain_english, _iso):
        meant = reading(text)
        if meant is not None:
            return meant
    return None


def _aws(text: str) -> str | None:
    what = "looks like a schedule of AWS"
    if found := _RATE.fullmatch(text):
        unit = _UNITS.get(found[2].lower())
        meant = None if unit is None else _every(int(found[1]), unit, crontab=False)
        return f"{what}; {meant or _EXAMPLES}"
    if found := _AT.fullmatch(text):
        return f"{what}; write add_job(func, 'date', run_date={found[1].strip()!r})"
    found = _CRON.fullmatch(text)
    if found is None:
        return None
    words = found[1].split()
    if len(words) != 6:
        return f"{what}, which has six fields (minute hour day month weekday year); {_EXAMPLES}"
    quartz = f"0 {' '.join(words)}"
    from . import CronTrigger  # circle

    try:
        return f"{what}; write {CronTrigger.from_crontab(quartz, 'UTC', dialect='quartz').to_crontab()!r}"
    except TriggerError as exc:
        return f"{what}, and is not understood as one either: {exc}"


def _systemd(text: str) -> str | None:
    what = "looks like a calendar event of systemd"
    if text.lower() in _WORDS:
        return f"{what}; write {_WORDS[text.lower()]!r}"
    if "*-" in text and "~" in text:  # counted from the end of the month
        return f"{what}; {_EXAMPLES}"
    words = text.split()
    weekdays, date, clock = _weekdays_at(words), _date_at(words), _clock_at(words)
    if date is not None and _is_one_day(date):
        return None
    if len(words) > 1 or (words and date is None and clock is None):
        return None
    if date is None and clock is None and not weekdays:
        return None
    if date is None and not weekdays:
        what = "looks like a time of day"
    zone = words[0] if words else None
    given = {**weekdays, **(date or {})}
    at = clock or {"hour": "0", "minute": "0"}
    fields = {**{name: value for name, value in given.items() if value != "*"}, **at}
    meant = _by_keywords(fields, f"CRON_TZ={zone} " if zone else "", zone)
    return f"{what}; {meant or _EXAMPLES}"


def _weekdays_at(words: list[str]) -> dict[str, str]:
    """Remove leading weekdays from the words; return their field, nothing if there are none."""
    if not (words and _WEEKDAYS.fullmatch(words[0])):
        return {}
    days = re.split(r"(,|\.\.|-)", words.pop(0).rstrip(",").lower())
    return {"day_of_week": "".join("-" if day == ".." else day[:3] for day in days)}


def _date_at(words: list[str]) -> dict[str, str] | None:
    """Remove a leading date from the words; return its fields, None if there is none."""
    found = _DATE.fullmatch(words[0]) if words else None
    if found is None:
        return None
    words.pop(0)
    named = zip(("year", "month", "day"), found.groups(), strict=True)
    return {name: _keyword(text) for name, text in named if text}


def _is_one_day(date: dict[str, str]) -> bool:
    return len(date) == 3 and all(text.isdigit() for text in date.values())


def _clock_at(words: list[str]) -> dict[str, str] | None:
    """Remove a leading time of day from the words; return its fields, None if there is none."""
    found = _TIME.fullmatch(words[0]) if words else None
    if found is None:
        return None
    words.pop(0)
    named = zip(("hour", "minute", "second"), found.groups("0"), strict=True)
    return {name: _keyword(text) for name, text in named}


def _keyword(text: str) -> str:
    return text.replace("..", "-")


def _by_keywords(fields: dict[str, str], before: str = "", zone: str | None = None) -> str | None:
    """Return "write …": a crontab string, or if there is none the keywords; None if no trigger has these fields."""
    from . import CronTrigger  # circle

    if fields.get("second") in ("0", "00"):
        fields = {name: text for name, text in fields.items() if name != "second"}
    try:
        trigger = CronTrigger(timezone=zone or "UTC", **fields)  # type: ignore[arg-type]
    except ValueError:  # an unknown zone too
        return None
    try:
        return f"write {before + trigger.to_crontab()!r}"
    except TriggerError:
        given = "".join(f", {name}={text!r}" for name, text in fields.items())
        return f"write add_job(func, 'cron'{given}{f', timezone={zone!r}' if zone else ''})"


def _plain_english(text: str) -> str | None:
    found = _EVERY.fullmatch(text)
    if found is None:
        return None
    clock = clock_of(found[3])
    meant: str | None = None
    number, unit = int(found[1] or 1), found[2].lower()
    fields = {} if clock is None else dict(zip(("hour", "minute", "second"), clock, strict=True))
    if found[3] and clock is None:
        pass
    elif unit in _UNITS:
        meant = _every_at(number, _UNITS[unit], fields) if fields else _every(number, _UNITS[unit])
    elif found[1] is None:
        meant = _on_weekdays(unit, fields or {"hour": "0", "minute": "0", "second": "0"})
    return f"is plain English; {meant or _EXAMPLES}"


def _every_at(number: int, unit: str, clock: dict[str, str]) -> str | None:
    """Return "write …" for a time of day on every so many days or longer; None for shorter ones."""
    if unit == "days" and number == 1:
        return _by_keywords(clock)
    if not number or unit in ("seconds", "minutes", "hours"):
        return None
    shown_clock = "".join(f", {name}={value}" for name, value in clock.items() if value != "0")
    return f"write add_job(func, 'calendarinterval', {unit}={number}{shown_clock})"


def _on_weekdays(word: str, clock: dict[str, str]) -> str | None:
    """Return "write …" for a time of day on the days that a word names: daily, weekdays, weekends, or a weekday."""
    named = {"daily": None, "weekday": "mon-fri", "weekend": "sat-sun"}
    weekdays = named.get(word.removesuffix("s"), word[:3])
    return _by_keywords({"day_of_week": weekdays, **clock} if weekdays else clock)


def clock_of(text: str | None) -> tuple[str, str, str] | None:
    """Return hour, minute and second of a time of day, None if it is none."""
    found = _CLOCK.fullmatch((text or "").strip().replace("noon", "12:00").replace("midnight", "0:00"))
    if found is None:
        return None
    hour, half = int(found[1]), (found[4] or "").lower()
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return str(hour), str(int(found[2] or 0)), str(int(found[3] or 0))


def _every(number: int, unit: str, *, crontab: bool = True) -> str | None:
    """Return "write …" for every so many units."""
    if not number:
        return None
    if unit in ("months", "years"):
        alias = {"months": "@monthly", "years": "@yearly"}[unit]
        return (
            f"write {alias!r}" if number == 1 else f"write add_job(func, 'calendarinterval', {unit}={number})"
        )
    hours = number * _HOURS.get(unit, 1)
    ways = [
        f"'@every {hours}{'h' if unit in _HOURS else unit[0]}'",
        f"add_job(func, 'interval', {unit}={number})",
    ]
    if crontab and (fields := _crontab_for_every(number, unit)):
        ways.insert(0, fields)
    return f"write {', '.join(ways[:-1])} or {ways[-1]}"


def _crontab_for_every(number: int, unit: str) -> str | None:
    """Return the crontab string for every so many units, as it is written in Python; None if there is none."""
    if number == 1:
        return _EVERY_ONE.get(unit)
    if unit == "minutes" and 60 % number == 0:
        return f"'*/{number} * * * *'"
    return f"'0 */{number} * * *'" if unit == "hours" and 24 % number == 0 else None


def _iso(text: str) -> str | None:
    if _ISO_DATE.fullmatch(text):
        return f"is a date; write add_job(func, 'date', run_date={text!r})"
    if text.upper().removeprefix("RRULE:").startswith("FREQ="):
        return f"is a recurrence rule of iCalendar; write add_job(func, 'rrule', rule={text!r})"
    found = _ISO_LENGTH.fullmatch(text)
    if found is None or not any(found.groups()):
        return None
    named = zip(("weeks", "days", "hours", "minutes", "seconds"), found.groups(), strict=True)
    given = "".join(f", {name}={int(number)}" for name, number in named if number)
    return f"looks like a duration of ISO 8601; write add_job(func, 'interval'{given})"
