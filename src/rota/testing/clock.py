"""A clock that stands still until a test moves it.

It drives triggers, engine, leases and retries in virtual time. It runs nothing by itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ..clock import SECOND, Clock, instant, microseconds, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import TypeAlias

    #: an aware datetime (a naive one is taken as UTC), or an instant
    Time: TypeAlias = datetime | int

#: Where virtual time starts unless a test says otherwise: a Monday.
START = datetime(2029, 1, 1, tzinfo=UTC)


class VirtualClock(Clock):
    """A clock for tests: it shows the same time until it is moved.

    ``clock.advance(hours=3)`` lets time pass (the wall clock and the monotonic clock move together); ``clock.set(…)`` sets the
    wall clock alone, as an administrator or a time server does; ``clock.sleep(…)`` lets time pass in which the machine sleeps.
    Hand it to a scheduler by its ``clock`` option; to let a scheduler run what becomes due meanwhile, move time by
    :meth:`ManualScheduler.advance() <rota.testing.manual.ManualScheduler.advance>` instead.

    :param start: the time that it shows first (a naive datetime is taken as UTC); 1 January 2029, 00:00 UTC by default
    """

    __slots__ = ("_elapsed", "_slept", "_wall")

    virtual = True

    def __init__(self, start: Time | None = None) -> None:
        self._wall = _to_instant(START if start is None else start)
        self._elapsed = 1000 * SECOND
        self._slept = 0

    def now(self) -> int:
        """Return the instant that the clock shows (microseconds since the epoch, UTC)."""
        return self._wall

    def monotonic(self) -> int:
        """Return the microseconds that have passed; :meth:`set` does not change them."""
        return self._elapsed

    def slept(self) -> int:
        """Return the microseconds that have passed by :meth:`sleep`."""
        return self._slept

    def datetime(self, timezone: tzinfo = UTC) -> datetime:
        """Return the time that the clock shows as an aware datetime.

        :param timezone: the zone of the answer
        """
        return moment(self._wall, timezone)

    def advance(
        self,
        duration: float | timedelta = 0,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> None:
        """Let time pass. The parts are added up.

        :param duration: seconds, or a timedelta
        :raises ValueError: if the sum is negative; :meth:`set` moves the wall clock back
        """
        self._move(span(duration, weeks, days, hours, minutes, seconds))

    def advance_to(self, time: Time) -> None:
        """Let time pass until the wall clock shows ``time`` (a datetime or an instant).

        :raises ValueError: if it is past; :meth:`set` moves the wall clock back
        """
        self._move(_to_instant(time) - self._wall)

    def sleep(self, duration: float | timedelta) -> None:
        """Let time pass in which the machine sleeps, as with the lid of a laptop closed.

        :param duration: seconds, or a timedelta
        :raises ValueError: if it is negative
        """
        length = microseconds(duration)
        self._move(length)
        self._slept += length

    def set(self, time: Time) -> None:
        """Set the wall clock, forward or back, without any time passing (a clock jump).

        :param time: a datetime (a naive one is taken as UTC) or an instant
        """
        self._wall = _to_instant(time)

    def _move(self, length: int) -> None:
        if length < 0:
            raise ValueError(
                f"Time cannot pass backwards (by {length / SECOND} s); use set() to put the wall clock back"
            )
        self._wall += length
        self._elapsed += length

    def __repr__(self) -> str:
        return f"<VirtualClock {self.datetime().isoformat()}>"


def span(
    duration: float | timedelta, weeks: float, days: float, hours: float, minutes: float, seconds: float
) -> int:
    """Return the sum of lengths of time in microseconds."""
    parts = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return microseconds(duration) + microseconds(parts)


def _to_instant(time: Time) -> int:
    if isinstance(time, int):
        return time
    return instant(time if time.tzinfo is not None else time.replace(tzinfo=UTC))
