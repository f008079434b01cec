"""The days of the all-day events of an iCalendar file, through the ``icalendar`` library.

The only module that imports it; nothing else may.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path

from ..clock import instant, moment
from ..errors import MissingExtraError, TriggerError
from ..work import STEPS_OF_A_PLAN, within

try:
    from icalendar import Calendar
except ImportError as exc:
    raise MissingExtraError("Reading an iCalendar file", "icalendar") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike
    from typing import Any


def dates_of(source: str | bytes | PathLike[str], first_year: int, last_year: int) -> list[date]:
    """Return the days of all-day events; see :func:`rota.calendars.ical_dates`."""
    if not 1970 <= first_year <= last_year <= 9000:
        raise TriggerError(f"the years {first_year} to {last_year} are not a range within 1970 to 9000")
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    try:
        return _dates_in(Calendar.from_ical(content), date(first_year, 1, 1), date(last_year, 12, 31))
    except TriggerError:
        raise
    except Exception as exc:  # the library raises much, and some of it when a value is looked at
        shown = "the content" if isinstance(source, bytes) else str(source)
        raise TriggerError(f"{shown} must be an iCalendar file of valid events, got {exc!r:.200}") from None


def _dates_in(calendar: Any, first: date, last: date) -> list[date]:
    events: list[Any] = [event for event in calendar.walk("VEVENT") if _is_day(event.get("DTSTART"))]
    moved = {
        (str(event.get("UID")), event["RECURRENCE-ID"].dt) for event in events if "RECURRENCE-ID" in event
    }
    days: set[int] = set()
    for event in events:
        if str(event.get("STATUS", "")).upper() == "CANCELLED":
            continue
        uid, length, known = str(event.get("UID")), _length(event), first.toordinal()
        earliest = date.fromordinal(max(known - length, 1))
        for start in _starts(event, earliest, last):
            if "RECURRENCE-ID" not in event and (uid, start) in moved:
                continue
            # They come in their order, so that days which an earlier one has are not counted again.
            begin, end = max(start.toordinal(), known), min(start.toordinal() + length, last.toordinal() + 1)
            days.update(range(begin, end))
            known = max(known, end)
    return [date.fromordinal(day) for day in sorted(days)]


def _is_day(value: Any) -> bool:
    if isinstance(value, list):
        raise TriggerError(f"an event must have one DTSTART and one DTEND, got {len(value)} of one")
    value = getattr(value, "dt", None)
    return isinstance(value, date) and not isinstance(value, datetime)


def _length(event: Any) -> int:
    """Return how many days an event lasts; RFC 5545 3.6.1: one, unless the event says otherwise."""
    start: date = event["DTSTART"].dt
    if _is_day(event.get("DTEND")):
        end: date = event["DTEND"].dt
        return max((end - start).days, 1)
    duration = event.get("DURATION")
    days: int = 1 if duration is None else duration.dt.days
    return max(days, 1)


def _starts(event: Any, first: date, last: date) -> Iterator[date]:
    start: date = event["DTSTART"].dt
    if not ("RRULE" in event or "RDATE" in event or "EXDATE" in event):
        yield start
        return
    lines = [f"DTSTART:{start:%Y%m%d}"]
    for name in ("RRULE", "RDATE", "EXDATE"):
        values = event.get(name, [])
        for value in values if isinstance(values, list) else [values]:
            date_only = "" if name == "RRULE" else ";VALUE=DATE"
            lines.append(f"{name}{date_only}:{value.to_ical().decode()}")
    yield from within(STEPS_OF_A_PLAN, _days_of, "\n".join(lines), start, max(first, start), last)


def _days_of(text: str, start: date, first: date, last: date) -> list[date]:
    from .recurrence import RecurrenceTimes  # optional: dateutil
    from .recurrence_text import read_recurrence

    times = RecurrenceTimes(read_recurrence(text), datetime.combine(start, time()), UTC)
    times.refuse_never(start_given=True)
    days = []
    for at in times.after(instant(datetime.combine(first, time(), UTC)) - 1):
        day = moment(at).date()
        if day > last:
            break
        days.append(day)
    return days
