"""The triggers of ``between()`` and ``on()``: they keep those times at which the wall clock fits.

Pure; see :mod:`rota.triggers.algebra.derived`. A filter is a set of wall times that is open for a while and closed for a while;
the search jumps from one opening to the next, however dense the filtered trigger is.
"""

from __future__ import annotations

from abc import abstractmethod
from datetime import time

from ...calendars.weekdays import weekday_numbers, weekdays_text
from ...clock import DAY as MICROSECONDS_A_DAY
from ...clock import LAST_INSTANT, SECOND
from ...errors import TooMuchWorkError, TriggerError, TriggerTypeError
from ...util import astimezone, local_timezone, timezone_to_text
from ...work import COUNTING, spend
from ...zone_maps import DAY, FIRST_SECOND, ZoneMap, zone_map
from ..base import WALK_LIMIT, BaseTrigger
from .derived import SEARCH_LIMIT, DerivedTrigger, following

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import tzinfo
    from typing import Any


class ZonedTrigger(DerivedTrigger):
    """Base class of the derived triggers that read the clock of a zone.

    :param trigger: the inner trigger
    :param timezone: name or tzinfo of the zone of the clock (default: that of the trigger, else the local one)
    """

    __slots__ = ("_zone_given", "zone")

    zone: tzinfo

    def __init__(self, trigger: BaseTrigger, timezone: tzinfo | str | None = None) -> None:
        super().__init__(trigger)
        given = astimezone(timezone)
        # Without a zone anywhere, the local one is part of the trigger: it is stored.
        self._zone_given = given is not None or self.timezone is None
        self._machine_zone = given is None and self.timezone is None
        self.zone = given or self.timezone or local_timezone()

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if self._zone_given:
            state["parameters"]["timezone"] = self.zone
        return state

    def _parameters(self) -> dict[str, Any]:
        return {"timezone": timezone_to_text(self.zone)} if self._zone_given else {}

    def spec(self) -> dict[str, Any] | None:
        return None if timezone_to_text(self.zone) is None else super().spec()

    def _zone_shown(self) -> str:
        return f", timezone='{self.zone}'" if self._zone_given else ""


class FilterTrigger(ZonedTrigger):
    """Base class of the triggers that keep the times at which the clock of a zone fits.

    A wall time is the number of microseconds since the epoch that the clock shows, as if it were UTC.
    """

    __slots__ = ()

    @abstractmethod
    def _next_wall(self, wall: int) -> int | None:
        """Return the first wall time from ``wall`` on that fits, None if there is none."""

    @abstractmethod
    def _last_wall(self, wall: int) -> int | None:
        """Return the last wall time up to ``wall`` that fits, None if there is none."""

    @abstractmethod
    def _next_closed(self, wall: int) -> int | None:
        """Return the first wall time from ``wall`` on that does not fit, None if there is none."""

    def first(self, now: int) -> int | None:
        """Return the first time, which may be past, if it fits, else the first one from now on that does."""
        found = self.trigger.first(now)
        if found is None or first_from(zone_map(self.zone), found, self._next_wall) == found:
            return found
        return self.after(now - 1)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant`` that fits.

        :raises NeverFiresError: if ten thousand times one after another do not fit
        """
        zone = zone_map(self.zone)
        at = self.trigger.after(instant, self._anchor(previous))
        for _ in range(SEARCH_LIMIT):
            if at is None:
                return None
            opens = first_from(zone, at, self._next_wall)
            if opens is None or opens == at:
                return opens
            at = following(self.trigger, opens - 1)
        raise self._no_time(instant, at or LAST_INSTANT)

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time up to ``instant`` that fits.

        :raises NeverFiresError: if ten thousand times one after another do not fit
        """
        zone = zone_map(self.zone)
        at = self.trigger.at_or_before(instant)
        for _ in range(SEARCH_LIMIT):
            if at is None:
                return None
            opens = last_until(zone, at, self._last_wall)
            if opens is None or opens == at:
                return opens
            spend()
            at = self.trigger.at_or_before(opens)
        raise self._no_time(instant, at or 0)

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are: a step for each opening."""
        zone = zone_map(self.zone)
        at, last, count = first, first, 0
        try:
            for _ in range(WALK_LIMIT):
                spend(COUNTING)
                closes = first_from(zone, at, self._next_closed)
                # If the first time does not fit, the user has chosen it.
                end = now if closes is None else max(at, min(now, closes - 1))
                last, more = self.trigger.latest(at, end)
                count += more
                found = self.after(last, last)
                if found is None or found > now:
                    break
                at = found
        except TooMuchWorkError:  # what was counted so far is right; the caller asks again for the rest
            if not count:
                raise
        return last, count


def first_from(zone: ZoneMap, at: int, next_wall: Callable[[int], int | None]) -> int | None:
    """Return the first instant from ``at`` on at which the clock shows a wall time that fits, None if there is none.

    :param next_wall: returns the first fitting wall time from a wall time on
    """
    while at <= LAST_INSTANT:
        second = at // SECOND
        _, end, offset = zone.stretch(second)
        found = next_wall(at + offset * SECOND)
        if found is not None and found - offset * SECOND < end * SECOND:
            return found - offset * SECOND
        at = end * SECOND
        if end - second >= 2 * DAY:  # no change of the clocks repeats a wall time that has passed
            if found is None:
                return None
            at = max(at, found - MICROSECONDS_A_DAY)  # no zone is a day off
    return None


def last_until(zone: ZoneMap, at: int, last_wall: Callable[[int], int | None]) -> int | None:
    """Return the last instant up to ``at`` at which the clock shows a wall time that fits, None if there is none.

    :param last_wall: returns the last fitting wall time up to a wall time
    """
    while at >= FIRST_SECOND * SECOND:
        second = at // SECOND
        start, _, offset = zone.stretch(second)
        found = last_wall(at + offset * SECOND)
        if found is not None and found - offset * SECOND >= start * SECOND:
            return found - offset * SECOND
        at = start * SECOND - 1
        if second - start >= 2 * DAY:
            if found is None:
                return None
            at = min(at, found + MICROSECONDS_A_DAY)
    return None


class BetweenTrigger(FilterTrigger):
    """Keeps the times at which the clock shows ``start`` to ``end``, both included. Alias: ``between``.

    The clock is read when the trigger fires: in an overlap both passes fit or do not; a fixed cron time that a gap
    swallowed fires at the gap's end, and that is the time which counts.

    :param trigger: the filtered trigger
    :param start: time of day, or a text such as ``"9:00"`` or ``"17:30:15"``
    :param end: the same; earlier than ``start`` means over midnight. ``"24:00"`` is the last microsecond of the day
    :param timezone: name or tzinfo of the zone of the clock (default: that of the trigger, else the local one)
    :raises TriggerError: if one is no time of day, or they are equal
    """

    __slots__ = ("_end", "_start")
    alias = "between"

    def __init__(
        self,
        trigger: BaseTrigger,
        start: time | str,
        end: time | str,
        timezone: tzinfo | str | None = None,
    ) -> None:
        super().__init__(trigger, timezone)
        self._start, self._end = _time_of_day("start", start), _time_of_day("end", end)
        if self._start == MICROSECONDS_A_DAY:
            raise TriggerError("start: '24:00' is the end of a day; write '00:00'")
        if self._start == self._end:
            raise TriggerError(f"between() needs two times; start and end are both {start}")
        self._end = min(self._end, MICROSECONDS_A_DAY - 1)

    def _next_wall(self, wall: int) -> int | None:
        at = wall % MICROSECONDS_A_DAY
        if self._fits(at):
            return wall
        return wall - at + self._start + (MICROSECONDS_A_DAY if at > self._start else 0)

    def _last_wall(self, wall: int) -> int | None:
        at = wall % MICROSECONDS_A_DAY
        if self._fits(at):
            return wall
        return wall - at + self._end - (MICROSECONDS_A_DAY if at < self._end else 0)

    def _next_closed(self, wall: int) -> int | None:
        at = wall % MICROSECONDS_A_DAY
        if not self._fits(at):
            return wall
        return wall - at + self._end + 1 + (MICROSECONDS_A_DAY if at > self._end else 0)

    def _fits(self, at: int) -> bool:
        if self._start <= self._end:
            return self._start <= at <= self._end
        return at >= self._start or at <= self._end

    def _parameters(self) -> dict[str, Any]:
        return {"start": _text_of(self._start), "end": _text_of(self._end), **super()._parameters()}

    def _shown(self) -> str:
        return f"between('{_text_of(self._start)}', '{_text_of(self._end)}'{self._zone_shown()})"


class DayFilterTrigger(FilterTrigger):
    """Base class of the filters that keep whole days; a day is the number of days since the epoch."""

    __slots__ = ()

    @abstractmethod
    def _next_day(self, day: int, fitting: bool) -> int | None:
        """Return the first day from ``day`` on that fits, or that does not; None if there is none."""

    @abstractmethod
    def _last_day(self, day: int) -> int | None:
        """Return the last day up to ``day`` that fits, None if there is none."""

    def _next_wall(self, wall: int) -> int | None:
        return self._first_moment(wall, True)

    def _next_closed(self, wall: int) -> int | None:
        return self._first_moment(wall, False)

    def _last_wall(self, wall: int) -> int | None:
        day = self._last_day(wall // MICROSECONDS_A_DAY)
        return None if day is None else min(wall, (day + 1) * MICROSECONDS_A_DAY - 1)

    def _first_moment(self, wall: int, fitting: bool) -> int | None:
        day = self._next_day(wall // MICROSECONDS_A_DAY, fitting)
        return None if day is None else max(wall, day * MICROSECONDS_A_DAY)


class WeekdaysTrigger(DayFilterTrigger):
    """Keeps the times on some days of the week. Alias: ``on``.

    :param trigger: the filtered trigger
    :param weekdays: names from mon to sun, ranges and lists of them, or numbers from 0 (Monday)
    :param timezone: name or tzinfo of the zone of the clock (default: that of the trigger, else the local one)
    :raises TriggerError: if a day is not understood, or none is given
    """

    __slots__ = ("_days",)
    alias = "on"

    def __init__(
        self,
        trigger: BaseTrigger,
        weekdays: int | str | Iterable[Any],
        timezone: tzinfo | str | None = None,
    ) -> None:
        super().__init__(trigger, timezone)
        self._days = weekday_numbers(weekdays)
        if not self._days:
            raise TriggerError("on() needs at least one weekday, such as 'mon-fri'")

    @property
    def weekdays(self) -> str:
        """The days as a text, such as ``mon-fri``."""
        return weekdays_text(self._days)

    def _next_day(self, day: int, fitting: bool) -> int | None:
        return next((day + n for n in range(7) if ((day + n + 3) % 7 in self._days) is fitting), None)

    def _last_day(self, day: int) -> int | None:
        return next(day - n for n in range(7) if (day - n + 3) % 7 in self._days)

    def _parameters(self) -> dict[str, Any]:
        return {"weekdays": self.weekdays, **super()._parameters()}

    def _shown(self) -> str:
        return f"on('{self.weekdays}'{self._zone_shown()})"


# ------------------------------------------------------------------------------------------------- reading and writing


def _time_of_day(name: str, value: Any) -> int:
    """Return the microseconds since midnight of a time or a text."""
    if isinstance(value, str):
        if value.strip() == "24:00":
            return MICROSECONDS_A_DAY
        hour, colon, rest = value.strip().partition(":")
        try:
            value = time.fromisoformat(f"{hour.zfill(2)}:{rest}") if colon else None
        except ValueError:
            value = None
        if value is None:
            raise TriggerError(f"{name}: a time of day is written HH:MM or HH:MM:SS")
    if not isinstance(value, time):
        raise TriggerTypeError(f"{name} must be a time or a text such as '9:00', not {value!r}")
    if value.tzinfo is not None:
        raise TriggerError(f"{name}: give the zone as timezone=…, not with the time {value}")
    return ((value.hour * 60 + value.minute) * 60 + value.second) * SECOND + value.microsecond


def _text_of(at: int) -> str:
    if at == MICROSECONDS_A_DAY - 1:
        return "24:00"
    seconds, micro = divmod(at, SECOND)
    minutes, second = divmod(seconds, 60)
    shown = time(minutes // 60, minutes % 60, second, micro)
    return shown.isoformat("minutes" if not second and not micro else "auto")
