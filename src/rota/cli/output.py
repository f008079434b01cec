"""How the command line speaks: errors, JSON, columns, and times as people read them.

Formats and prints; it knows no scheduler.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Any

from ..clock import SECOND, moment, trigger_zone
from ..errors import UnknownTimezoneError
from ..masking import without_secrets
from ..texts import text_of
from ..triggers.date import DateTrigger
from ..triggers.interval import IntervalTrigger
from ..util import astimezone, local_timezone, timezone_to_text
from .escaping import escaped, escaped_json, escaped_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo


#: Names of the zone whose clocks never differ from UTC.
_UTC = {"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"}


class CliError(Exception):
    """Something that the user has to put right; the message says what and how."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def zone_of(name: str | None) -> tzinfo:
    """Return the zone of that name, the local one if there is none.

    :raises CliError: if no zone has that name
    """
    try:
        return astimezone(name) or local_timezone()
    except UnknownTimezoneError as exc:
        raise CliError(f"--timezone: {exc}", 2) from exc


def say(text: str, flush: bool = False) -> None:
    """Print text; line breaks stay, so what came from elsewhere has been through :func:`~rota.cli.escaping.escaped` before."""
    print(escaped_lines(text), flush=flush)


def fail(message: str, *urls: str) -> None:
    """Print an error on stderr.

    :param urls: the URLs that it may speak of
    """
    note(f"error: {without_secrets(message, *urls)}")


def note(message: str) -> None:
    """Print something that is neither result nor error on stderr."""
    print(escaped_lines(message, "  "), file=sys.stderr, flush=True)


def print_any_character() -> None:
    """Let stdout and stderr print characters that their encoding does not have, as ``\\u…``, instead of raising."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def json_text(value: Any, indent: int | None = None) -> str:
    """Return a value as JSON in characters that stdout has."""
    encoding = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "").replace("_", "")
    ensure_ascii = encoding not in ("utf8", "utf8sig")
    return escaped_json(json.dumps(value, indent=indent, ensure_ascii=ensure_ascii, default=text_of))


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print(json_text(value, 2))


def print_columns(head: Sequence[str], rows: Sequence[Sequence[str]], empty: str, stretch: int) -> None:
    """Print a table: cut to the width of a terminal, in full where the output goes elsewhere.

    :param empty: what to print instead of a table without rows
    :param stretch: how many columns at the end give way on a terminal; if one of them gets too narrow, the last is left out
    """
    if not rows:
        print(empty)
        return
    rows = [[escaped(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in (head, *rows)) for i in range(len(head))]
    if not sys.stdout.isatty():
        for line in (head, *rows):
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
        return
    from rich.console import Console  # optional
    from rich.text import Text

    console = Console()
    used = [i for i in range(len(head)) if any(row[i] for row in rows)]
    head, rows = [head[i] for i in used], [[row[i] for i in used] for row in rows]
    stretch -= sum(i not in used for i in range(len(widths) - stretch, len(widths)))
    widths = [widths[i] for i in used]
    widths = _fitted(widths, stretch, console.width)
    for line in (head, *rows):
        text = Text(style="bold" if line is head else "")
        for cell, width in zip(line, widths, strict=False):
            shown = cell if len(cell) <= width else cell[: max(width - 1, 0)] + "…"
            text.append(shown.ljust(width + 2), STYLES.get(cell, ""))
        text.rstrip()
        console.print(text, no_wrap=True, overflow="ellipsis", crop=True)


def _fitted(widths: list[int], stretch: int, total: int) -> list[int]:
    """Return the widths of columns on a terminal, of which the last ``stretch`` share what the others leave."""
    fixed, flexible = widths[: len(widths) - stretch], widths[len(widths) - stretch :]
    left = total - sum(fixed) - 2 * len(fixed) - 2 * (stretch - 1)
    if stretch > 1 and left < sum(flexible) and left < 25 * stretch:
        return _fitted(widths[:-1], stretch - 1, total)
    found = []
    for i, width in enumerate(flexible):
        others = sum(flexible[i + 1 :])
        share = max(min(width, max(left - others, left // (stretch - i))), 8)
        found.append(share)
        left -= share
    return fixed + found


#: The colours of states and outcomes.
STYLES = {
    "succeeded": "green",
    "failed": "bold red",
    "timed_out": "bold red",
    "lost": "bold red",
    "quarantined": "bold red",
    "missed": "yellow",
    "skipped": "yellow",
    "cancelled": "yellow",
    "paused": "yellow",
    "claimed": "cyan",
    "running": "cyan",
}


def iso(instant: int | None, zone: tzinfo) -> str | None:
    """Return an instant in ISO 8601 with seconds, or None."""
    return None if instant is None else moment(instant, zone).isoformat(timespec="seconds")


def local_time(instant: int, zone: tzinfo, now: int) -> str:
    """Return an instant as a wall time: without its date if that is today's, without its seconds if it is not."""
    at, today = moment(instant, zone), moment(now, zone)
    return f"{at:%H:%M:%S}" if at.date() == today.date() else f"{at:%Y-%m-%d %H:%M}"


def duration(microseconds: int | float) -> str:
    """Return a length of time in its two largest units: ``20 ms``, ``4.51 s``, ``3 min 5 s``, ``2 h``, ``4 d 1 h``."""
    seconds = microseconds / SECOND
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    whole = round(seconds)
    for (size, unit), (smaller, smaller_unit) in (
        ((86400, "d"), (3600, "h")),
        ((3600, "h"), (60, "min")),
        ((60, "min"), (1, "s")),
    ):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {smaller_unit}" if rest else "")
    return f"{whole} s"


def in_full(microseconds: int) -> str:
    """Return a length of time with all its units: ``1 d 3 h 2 s``, ``0.2 s``."""
    whole, rest = divmod(microseconds, 60 * SECOND)
    parts = []
    for size, unit in ((1440, "d"), (60, "h"), (1, "min")):
        if whole >= size:
            parts.append(f"{whole // size} {unit}")
            whole %= size
    if rest or not parts:
        parts.append(f"{f'{rest / SECOND:.6f}'.rstrip('0').rstrip('.')} s")
    return " ".join(parts)


def until(instant: int, now: int) -> str:
    """Return how far an instant is away: in its largest unit: ``in 5 s``, ``2 d ago``."""
    seconds = (instant - now) // SECOND
    if seconds >= 0:
        return f"in {_rough(seconds)}"
    return f"{_rough(-seconds)} ago"


def _rough(seconds: int) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def trigger_text(trigger: object, zone: tzinfo | None = None) -> str:
    """Return a trigger in a few words: ``cron minute=*/5``, ``every 5 s``, ``cron hour=3 Europe/Berlin``.

    :param zone: the zone in which times are shown; that of the trigger's wall times is named if it is another one
    """
    if type(trigger) is IntervalTrigger:
        length = in_full(round(trigger.interval_length * SECOND))
        return f"{length} after each run" if trigger.follows_end else f"every {length}"
    text = one_line(text_of(trigger))
    own = None if isinstance(trigger, DateTrigger) else trigger_zone(trigger)
    name = "" if own is None else zone_name(own)
    shown = "" if zone is None or not name or name == zone_name(zone) else f" {name}"
    found = re.fullmatch(r"(cron|date)\[(.*)\]", text)
    if found is None:
        found = re.fullmatch(r"CalendarIntervalTrigger\((.*?)(?:, start_date=.*)?\)", text)
        text = text if found is None else f"calendarinterval {found[1]}"
        text = text.replace("'", "")
        return text if name and name in text else text + shown
    kind, rest = found[1], found[2].replace("'", "")
    if kind == "cron":
        fields = rest.split(", ")
        rest = ", ".join(field for field in fields if not field.endswith("=*")) or fields[-1]
    return f"{kind} {rest}{shown}"


def zone_name(zone: tzinfo) -> str:
    """Return the name of a zone; UTC has one."""
    name = timezone_to_text(zone) or text_of(zone)
    return "UTC" if name in _UTC else name


def one_line(text: str, limit: int = 0) -> str:
    """Return a text on one line, in printable characters, cut to ``limit`` characters if that is not 0."""
    joined = escaped(" ".join(text.split()))
    return joined if not limit or len(joined) <= limit else joined[: limit - 1] + "…"


def log_level_of(name: str) -> int:
    """Return the number of a log level.

    :raises CliError: if there is none of that name
    """
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise CliError(
            f"--log-level: there is no level {name!r}; there are debug, info, warning, error, critical", 2
        )
    return level
