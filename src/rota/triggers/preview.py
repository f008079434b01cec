"""Looking ahead: the nominal times of any trigger, one by one.

Pure but for the default of ``start``, which is the system's time. Loaded when it is asked for.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

from ..clock import instant, moment
from ..errors import TriggerError
from ..util import convert_to_datetime
from .arguments import current_instant
from .base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def occurrences(
    trigger: BaseTrigger, start: datetime | date | str | None, end: datetime | date | str | None
) -> Iterator[datetime]:
    """Yield the nominal times of a trigger from ``start`` to ``end``; see :meth:`BaseTrigger.occurrences`."""
    since, until = read_time(trigger, start, "start"), None if end is None else read_time(trigger, end, "end")
    return _walk(trigger, since, until)


def next_times(trigger: BaseTrigger, n: int, start: datetime | date | str | None) -> list[datetime]:
    """Return the first ``n`` nominal times from ``start`` on; see :meth:`BaseTrigger.next`."""
    if type(n) is not int or n < 0:
        raise TriggerError(f"n is how many times are wanted, a whole number from 0 up, not {n!r}")
    found = _walk(trigger, read_time(trigger, start, "start"), None)
    return [at for _, at in zip(range(n), found, strict=False)]


def read_time(trigger: BaseTrigger, value: datetime | date | str | None, name: str) -> int:
    """Return the instant of a date; one without a zone is meant in the trigger's, None is the current time."""
    found = convert_to_datetime(value, trigger.timezone or UTC, name)
    return current_instant(None) if found is None else instant(found)


def _walk(trigger: BaseTrigger, since: int, until: int | None) -> Iterator[datetime]:
    zone = trigger.timezone or UTC
    at = trigger.first(since)
    if at is not None and at < since:  # a date that is past
        at = trigger.after(since - 1)
    while at is not None and (until is None or at <= until):
        yield moment(at, zone)
        at = trigger.after(at, at)
