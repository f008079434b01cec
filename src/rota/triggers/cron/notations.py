"""What Go's cron, and Kubernetes with it, write besides fields: a zone before the expression, and ``@every``.

Pure. Durations are those of Go: ``1h30m``, ``90s``, ``1.5h``.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ...errors import CronError
from .expressions import shown

EVERY = "@every"

_ZONE = re.compile(r"\s*(?:CRON_TZ|TZ)=(\S*)\s*")
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([a-zµμ]+)", re.ASCII | re.IGNORECASE)
_MICROSECONDS: dict[str, int | Fraction] = {
    "h": 3_600_000_000,
    "m": 60_000_000,
    "s": 1_000_000,
    "ms": 1000,
    "us": 1,
    "µs": 1,
    "μs": 1,
    "ns": Fraction(1, 1000),
}
#: what people write for Go's units, and how it is written there
_OTHER_UNITS = {
    **dict.fromkeys(("d", "day", "days"), (24, "h")),
    **dict.fromkeys(("w", "week", "weeks"), (168, "h")),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), (1, "h")),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), (1, "m")),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), (1, "s")),
}


def zone_before(expr: str) -> str | None:
    """Return the name of the zone that stands before an expression (``CRON_TZ=Asia/Tokyo 0 6 * * *``), None if there is none."""
    found = _ZONE.match(expr)
    return None if found is None else found[1]


def without_zone(expr: str) -> str:
    """Return an expression with blanks in place of the zone before it, so that its columns stay what they are."""
    found = _ZONE.match(expr)
    return expr if found is None else " " * found.end() + expr[found.end() :]


def is_every(expr: str) -> bool:
    """Tell whether an expression is an ``@every``."""
    return expr.split(maxsplit=1)[:1] == [EVERY]


def read_every(expr: str) -> int:
    """Return the microseconds of ``@every 1h30m``.

    :raises CronError: if the duration is not understood, or is not longer than zero
    """
    text = expr.strip().removeprefix(EVERY).strip()
    column = expr.index(EVERY) + len(EVERY) + 1
    column += len(expr[column - 1 :]) - len(expr[column - 1 :].lstrip())
    total, at = Fraction(0), 0
    while at < len(text):
        found = _PART.match(text, at)
        if found is None or found[2] not in _MICROSECONDS or len(found[1]) > 18:
            break
        total += Fraction(found[1]) * _MICROSECONDS[found[2]]
        at = found.end()
    if at < len(text) or not text:
        raise CronError(
            f"@every: {shown(text)} at column {column} is no duration; write it as 1h30m, 90s or 1.5h"
            f"{_rewritten(text)}",
            item=text,
            column=column,
        )
    if total < 1:
        raise CronError(
            f"@every: {shown(text)} at column {column}: the duration must be a microsecond at least; write it as 1h30m or 90s",
            item=text,
            column=column,
        )
    return int(total)


def _rewritten(text: str) -> str:
    """Return what other units stand for, as the end of a message; nothing if that is not clear."""
    parts = re.findall(r"(\d{1,9})\s*([a-z]+)(?:\s+|,\s*|$|(?=\d))", text.lower())
    if not parts or "".join("".join(part) for part in parts) != re.sub(r"[\s,]", "", text.lower()):
        return ""
    known = {**{unit: (1, unit) for unit in _MICROSECONDS}, **_OTHER_UNITS}
    if any(unit not in known for _, unit in parts):
        return ""
    meant = "".join(f"{int(number) * known[unit][0]}{known[unit][1]}" for number, unit in parts)
    return f": @every {meant}"
