"""Recurrence rules as text: lines of iCalendar (RFC 5545, 3.8.5), read to the last character.

Pure. What the RFC forbids is refused, with the line and the part.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time

from ..errors import TriggerError
from ..util import astimezone, suggestion

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
#: least and greatest number in the parts that are lists of numbers; where they may be negative, zero is excluded
NUMBERS = {
    "BYSECOND": (0, 59),
    "BYMINUTE": (0, 59),
    "BYHOUR": (0, 23),
    "BYMONTHDAY": (-31, 31),
    "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53),
    "BYMONTH": (1, 12),
    "BYSETPOS": (-366, 366),
}
PARTS = ("FREQ", "UNTIL", "COUNT", "INTERVAL", "WKST", "BYDAY", *NUMBERS)
#: What RFC 5545, 3.3.10 forbids.
FORBIDDEN = {
    "BYWEEKNO": [name for name in FREQUENCIES if name != "YEARLY"],
    "BYYEARDAY": ["DAILY", "WEEKLY", "MONTHLY"],
    "BYMONTHDAY": ["WEEKLY"],
}
#: The most that COUNT may be: a counted rule is walked from its start.
LARGEST_COUNT = 10_000
#: The most rules, dates and dates left out of one text, and numbers in one list; each position is looked for by itself.
MOST_RULES, MOST_DATES, MOST_NUMBERS, MOST_POSITIONS = 50, 10_000, 1000, 20
LARGEST_INTERVAL = 1_000_000

_DATE = re.compile(r"(\d{8})(?:T(\d{6})(Z?))?", re.ASCII)
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)


class Recurrence:
    """What the lines say. Times are naive where the text names no zone: wall times of the trigger's zone."""

    __slots__ = ("dates", "rules", "start", "without", "without_days", "zone")

    def __init__(self) -> None:
        self.start: datetime | None = None
        #: the zone that DTSTART names
        self.zone: tzinfo | None = None
        #: rules without UNTIL, and their UNTIL
        self.rules: list[tuple[str, datetime | None]] = []
        self.dates: list[datetime] = []
        self.without: list[datetime] = []
        self.without_days: set[date] = set()

    def lines(self) -> Sequence[str]:
        """Return the lines except DTSTART, in one form, however they were written."""
        found = []
        for rule, until in self.rules:
            found.append(f"RRULE:{rule}" + ("" if until is None else f";UNTIL={_text(until)}"))
        for name, times in (("RDATE", self.dates), ("EXDATE", self.without)):
            for zone in ("", "Z"):
                texts = sorted({_text(at) for at in times if _text(at).endswith("Z") is bool(zone)})
                if texts:
                    found.append(f"{name}:{','.join(texts)}")
        if self.without_days:
            found.append(
                f"EXDATE;VALUE=DATE:{','.join(f'{day:%Y%m%d}' for day in sorted(self.without_days))}"
            )
        return found


def read_recurrence(text: str) -> Recurrence:
    """Read a rule, or lines of iCalendar.

    :raises TriggerError: if anything is not understood
    """
    found = Recurrence()
    lines = [line.strip() for line in re.sub(r"\r?\n[ \t]", "", text.strip()).splitlines()]
    for number, line in enumerate(lines, 1):
        if line:
            try:
                _read_line(line, found)
                _check_numbers(found)
            except TriggerError as exc:
                where = f"line {number}: " if len(lines) > 1 else ""
                raise type(exc)(f"{where}{exc}") from None
    if not (found.rules or found.dates or found.start):
        raise TriggerError("the text has no rule; write one such as FREQ=WEEKLY;BYDAY=MO,WE")
    return found


def _read_line(line: str, found: Recurrence) -> None:
    head, colon, value = line.partition(":")
    if not colon:
        head, value = "RRULE", line
    name, *options = head.upper().split(";")
    if name == "RRULE":
        if options:
            raise TriggerError(f"RRULE takes no parameter, not {options[0]!r}")
        found.rules.append(_read_rule(value.upper()))
        return
    if name not in ("DTSTART", "RDATE", "EXDATE"):
        hint = "; subtract another trigger by `-` instead" if name == "EXRULE" else ""
        raise TriggerError(f"{name!r} is not DTSTART, RRULE, RDATE or EXDATE{hint}")
    zone, is_date = _read_options(name, head.split(";")[1:])
    items = value.split(",", MOST_DATES + 1)[: MOST_DATES + 1]
    values = [_read_time(name, item, zone, is_date) for item in items]
    if name == "DTSTART":
        if found.start is not None or len(values) != 1:
            raise TriggerError("there is one DTSTART, with one time")
        (at,) = values
        start = at if isinstance(at, datetime) else datetime.combine(at, time())
        found.zone = start.tzinfo
        found.start = start.replace(tzinfo=None, fold=0)
        return
    for at in values:
        if isinstance(at, datetime):
            (found.dates if name == "RDATE" else found.without).append(at)
        elif name == "RDATE":
            found.dates.append(datetime.combine(at, time()))
        else:
            found.without_days.add(at)


def _check_numbers(found: Recurrence) -> None:
    """Refuse a text as soon as it has too many rules or dates; no more of a line is read than shows it."""
    for name, many, most in (
        ("RRULE", len(found.rules), MOST_RULES),
        ("RDATE", len(found.dates), MOST_DATES),
        ("EXDATE", len(found.without) + len(found.without_days), MOST_DATES),
    ):
        if many > most:
            raise TriggerError(
                f"{name} must be there {most:,} times at most, got more; divide them among several jobs"
            )


def _read_options(name: str, options: Sequence[str]) -> tuple[tzinfo | None, bool]:
    zone, is_date = None, False
    for option in options:
        key, _, value = option.partition("=")
        if key.upper() == "TZID":
            zone = astimezone(value.strip('"'))
        elif key.upper() == "VALUE" and value.upper() in ("DATE", "DATE-TIME"):
            is_date = value.upper() == "DATE"
        else:
            raise TriggerError(
                f"{name}: the parameter {option!r} is not understood; write TZID=… or VALUE=DATE"
            )
    return zone, is_date


def _read_time(name: str, text: str, zone: tzinfo | None, is_date: bool) -> datetime | date:
    shape = _DATE.fullmatch(text.strip().upper())
    try:
        if shape is None or (is_date and shape[2]):
            raise ValueError
        day = datetime.strptime(shape[1], "%Y%m%d").date()
        if shape[2] is None:
            return day
        clock = datetime.strptime(shape[2], "%H%M%S").time()
    except ValueError:
        raise TriggerError(
            f"{name}: {text!r} is not a {'date' if is_date else 'time'}; "
            f"write YYYYMMDD{'' if is_date else 'THHMMSS, with Z for UTC'}"
        ) from None
    return datetime.combine(day, clock, UTC if shape[3] else zone)


def _read_rule(text: str) -> tuple[str, datetime | None]:
    """Return a rule without UNTIL, its parts in the usual order, and UNTIL."""
    parts = _parts(text)
    frequency = parts.get("FREQ")
    if frequency not in FREQUENCIES:
        raise TriggerError(f"RRULE: FREQ is one of {', '.join(FREQUENCIES)}, not {frequency}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise TriggerError("RRULE: COUNT and UNTIL exclude each other")
    _check_lengths(parts)
    _read_numbers(parts, frequency)
    if parts.get("WKST", "MO") not in WEEKDAYS:
        raise TriggerError(f"RRULE: WKST is one of {', '.join(WEEKDAYS)}, not {parts['WKST']}")
    if "BYDAY" in parts:
        _check_days(parts["BYDAY"], frequency, "BYWEEKNO" in parts)
    if "BYSETPOS" in parts and not any(name.startswith("BY") and name != "BYSETPOS" for name in parts):
        raise TriggerError("RRULE: BYSETPOS picks from what another BY part gives; there is none")
    until = _read_until(parts.pop("UNTIL")) if "UNTIL" in parts else None
    return ";".join(f"{name}={parts[name]}" for name in PARTS if name in parts), until


def _parts(text: str) -> dict[str, str]:
    """Return the values of a rule by the names of its parts."""
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, sign, value = part.partition("=")
        if name not in PARTS:
            raise TriggerError(
                f"RRULE: {part!r} is not understood{suggestion(name, PARTS)}; it has parts such as FREQ=DAILY"
            )
        if not sign or not value:
            raise TriggerError(f"RRULE: {name} has no value")
        if name in parts:
            raise TriggerError(f"RRULE: {name} is there twice")
        parts[name] = value
    return parts


def _read_numbers(parts: dict[str, str], frequency: str) -> None:
    """Check the parts that are numbers, and write them in the usual form."""
    for name, most in (("COUNT", LARGEST_COUNT), ("INTERVAL", LARGEST_INTERVAL)):
        if name in parts:
            parts[name] = str(_number(name, parts[name], 1, most))
    for name, (least, most) in NUMBERS.items():
        if name in parts:
            parts[name] = ",".join(str(_number(name, item, least, most)) for item in parts[name].split(","))
            if frequency in FORBIDDEN.get(name, ()):
                raise TriggerError(f"RRULE: {name} does not go with FREQ={frequency} (RFC 5545, 3.3.10)")


def _check_lengths(parts: dict[str, str]) -> None:
    for name in ("BYDAY", *NUMBERS):
        most = MOST_POSITIONS if name == "BYSETPOS" else MOST_NUMBERS
        if parts.get(name, "").count(",") >= most:
            raise TriggerError(
                f"RRULE: {name} must have {most:,} members at most, got more; leave out what another part can say"
            )


def _read_until(text: str) -> datetime:
    at = _read_time("RRULE: UNTIL", text, None, False)
    # The RFC wants the type of DTSTART; a bare date, which many write, is taken as the whole day.
    return at if isinstance(at, datetime) else datetime.combine(at, time(23, 59, 59))


def _check_days(text: str, frequency: str, with_weeks: bool) -> None:
    for item in text.split(","):
        shape = _DAY.fullmatch(item)
        if shape is None:
            raise TriggerError(f"RRULE: BYDAY: {item!r} is not a day such as MO, 2TU or -1FR")
        if shape[1] is None:
            continue
        if frequency not in ("MONTHLY", "YEARLY") or with_weeks:
            raise TriggerError(
                f"RRULE: BYDAY: the number in {item!r} needs FREQ=MONTHLY or YEARLY, without BYWEEKNO"
            )
        if not 1 <= abs(int(shape[1])) <= 53:
            raise TriggerError(f"RRULE: BYDAY: the number in {item!r} is out of range; 1 to 53 is allowed")


def _number(name: str, text: str, least: int, most: int) -> int:
    digits = text[1:] if text[:1] in ("+", "-") else text
    value = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 9 else None
    if value is None or not least <= value <= most or (least < 0 and not value):
        raise TriggerError(
            f"RRULE: {name}={text} is out of range; whole numbers from {least} to {most} are allowed"
        )
    return value


def _text(at: datetime) -> str:
    return f"{at:%Y%m%dT%H%M%S}" if at.tzinfo is None else f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
