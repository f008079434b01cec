"""The clock, and the conversions between datetimes and instants.

The only module that may read the time; everything else takes ``now`` (an instant) or a :class:`Clock`.
An *instant* is an ``int``: microseconds since the Unix epoch, UTC.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache, partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

#: A due time later than every real one: "not due before the runs it waits for have finished".
HELD = 2**62

#: No trigger fires later than this: 9999-12-29, the last day that every zone can show.
LAST_INSTANT = 253402128000 * SECOND

#: The longest time (seconds) that a host may wait: a clock that was set is noticed after it.
SLICE = 30.0
#: How long a node's lease lasts (seconds) unless the scheduler says otherwise; it is renewed three times in that time.
LEASE = 15.0

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)
#: Zones are up to 16 hours behind UTC (in old times) and 14 ahead.
FIRST_SHOWN = (datetime(1, 1, 1, 16, tzinfo=UTC) - _EPOCH) // _MICROSECOND
LAST_SHOWN = (datetime(9999, 12, 31, 10, tzinfo=UTC) - _EPOCH) // _MICROSECOND - 1
#: Stands for the next time of a job that has none and is not paused: what starts it is no time.
NO_TIME = LAST_SHOWN


class Clock:
    """The time as the operating system gives it.

    Subclass it to drive schedulers by another time (see :class:`rota.testing.VirtualClock`).
    """

    __slots__ = ()

    #: whether it shows another time than the world's, so that nobody else's clock can be compared with it
    virtual = False

    def now(self) -> int:
        """Return the current instant in microseconds since the epoch (UTC); it jumps when the clock is set."""
        return time.time_ns() // 1000

    def monotonic(self) -> int:
        """Return microseconds on a clock that never goes back; only differences mean anything.

        It goes on while the machine sleeps or the process is stopped, where the operating system has such a clock.
        """
        return _counted_ns() // 1000

    def slept(self) -> int:
        """Return the microseconds of :meth:`monotonic` in which the machine slept; only differences mean anything.

        0 where the operating system does not tell.
        """
        return (_counted_ns() - time.monotonic_ns()) // 1000


def _counting_clock() -> Callable[[], int]:
    """Return what reads the monotonic clock that counts the time in which the machine sleeps, in nanoseconds."""
    # Of macOS it is this one, and not Python's own; on Windows it is Python's own.
    clock = getattr(time, "CLOCK_BOOTTIME" if sys.platform == "linux" else "CLOCK_MONOTONIC", None)
    if clock is None:
        return time.monotonic_ns
    try:
        time.clock_gettime_ns(clock)
    except OSError:  # a kernel or a sandbox without it
        return time.monotonic_ns
    return partial(time.clock_gettime_ns, clock)


_counted_ns = _counting_clock()

#: The clock that is used where no other is given.
SYSTEM_CLOCK = Clock()


def instant(moment: datetime) -> int:
    """Return the instant of an aware datetime, exact to the microsecond.

    :param moment: an aware datetime, in any zone; ``fold`` is honoured
    :raises TypeError: if the datetime is naive
    """
    return (moment - _EPOCH) // _MICROSECOND


def instant_of_text(wall: str, offset: str) -> int:
    """Return the instant of an ISO 8601 text that is given in two parts; a half of the time of making the datetime first.

    :param wall: date and time
    :param offset: the offset of that time from UTC, as ``+HH:MM``
    :raises ValueError, TypeError: if they are something else
    """
    return (datetime.fromisoformat(wall) - _NAIVE_EPOCH) // _MICROSECOND - _offset(offset)


@lru_cache(maxsize=256)
def _offset(text: str) -> int:
    return -instant(datetime.fromisoformat(f"1970-01-01T00:00:00{text}"))


def is_shown_everywhere(instant: int) -> bool:
    """Whether an instant falls into the years 1 to 9999 in all time zones, so that nobody fails to show or convert it."""
    return FIRST_SHOWN <= instant <= LAST_SHOWN


def moment(instant: int, timezone: tzinfo = UTC) -> datetime:
    """Return the aware datetime of an instant in a time zone.

    :param instant: microseconds since the epoch
    :param timezone: the zone of the answer
    :raises OverflowError: outside the years 1 to 9999
    """
    utc = _EPOCH + timedelta(microseconds=instant)
    return utc if timezone is UTC else utc.astimezone(timezone)


def trigger_zone(trigger: object) -> tzinfo | None:
    """Return the zone of a trigger, or None; what triggers of others keep under that name may be something else, as a text."""
    zone = getattr(trigger, "timezone", None)
    return zone if isinstance(zone, tzinfo) else None


def shown_moment(instant: int, timezone: tzinfo = UTC) -> datetime:
    """Return the aware datetime of an instant; one that the zone cannot show becomes the nearest one that all zones can."""
    try:
        return moment(instant, timezone)
    except (OverflowError, ValueError):
        return moment(min(max(instant, FIRST_SHOWN), LAST_SHOWN), timezone)


def microseconds(seconds: float | timedelta) -> int:
    """Return a duration given in seconds (int, float or timedelta) as whole microseconds."""
    if isinstance(seconds, timedelta):
        return seconds // _MICROSECOND
    if isinstance(seconds, int):
        return seconds * SECOND
    return round(seconds * SECOND)
