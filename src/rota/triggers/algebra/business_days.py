"""The triggers of ``on_business_days()`` and ``roll()``: times on other days are left out or moved.

Pure but for what the calendars look up; see :mod:`rota.calendars` and :mod:`rota.triggers.algebra.derived`.
"""

from __future__ import annotations

from datetime import date

from ...calendars.business import SEARCH_DAYS, BusinessCalendar, convention_named
from ...clock import LAST_INSTANT, SECOND
from ...errors import NeverFiresError, TriggerError, TriggerTypeError
from ...work import spend
from ...zone_maps import DAY, FIRST_SECOND, zone_map
from ..base import BaseTrigger
from .derived import SEARCH_LIMIT, following
from .filters import DayFilterTrigger, ZonedTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
#: The bounds of a roll's search: days that are moved must stay in the calendar.
_FIRST = (FIRST_SECOND + 5 * 366 * DAY) * SECOND
_LAST = LAST_INSTANT - 5 * 366 * DAY * SECOND
_LAST_DAY = date(9999, 12, 28).toordinal() - _EPOCH_ORDINAL


class BusinessDaysTrigger(DayFilterTrigger):
    """Keeps the times on business days: ``trigger.on_business_days(calendar)``. Alias: ``business_days``.

    :param trigger: the filtered trigger
    :param calendar: says which days those are
    :param timezone: name or tzinfo of the zone in which the day is read (default: that of the trigger, else the local one)
    """

    __slots__ = ("calendar",)
    alias = "business_days"

    def __init__(
        self,
        trigger: BaseTrigger,
        calendar: BusinessCalendar | dict[str, Any],
        timezone: tzinfo | str | None = None,
    ) -> None:
        super().__init__(trigger, timezone)
        self.calendar = checked_calendar(calendar)

    def _next_day(self, day: int, fitting: bool) -> int | None:
        if day + SEARCH_DAYS > _LAST_DAY:
            return None
        if fitting:
            return day_of(self.calendar.next(date_of(day)))
        # A very long open stretch may count as two: the caller goes on where this one ends.
        end = day + SEARCH_DAYS
        return next((at for at in range(day, end) if not self.calendar.is_business_day(date_of(at))), end)

    def _last_day(self, day: int) -> int | None:
        return day_of(self.calendar.previous(date_of(day)))

    def _parameters(self) -> dict[str, Any]:
        return {"calendar": self.calendar.spec(), **super()._parameters()}

    def _shown(self) -> str:
        return f"on_business_days({self.calendar}{self._zone_shown()})"


class RollTrigger(ZonedTrigger):
    """Moves the times on other days to a business day, at the same wall clock time: ``trigger.roll(calendar)``. Alias: ``roll``.

    Times that come to lie on one another are one. A wall time in a gap is read with the offset before the gap, one in an
    overlap as the first (RFC 5545, 3.3.5); times that are not moved stay what they are.

    :param trigger: the trigger whose times are moved; one that fires a few times a day at most
    :param calendar: says which days are business days
    :param convention: see :meth:`rota.calendars.BusinessCalendar.roll`
    :param days: business days by which the time is moved after that, -260 to 260
    :param timezone: name or tzinfo of the zone in which the day is read (default: that of the trigger, else the local one)
    :raises TriggerError: if there is no such convention
    """

    __slots__ = ("calendar", "convention", "days")
    alias = "roll"

    def __init__(
        self,
        trigger: BaseTrigger,
        calendar: BusinessCalendar | dict[str, Any],
        convention: str = "next",
        days: int = 0,
        timezone: tzinfo | str | None = None,
    ) -> None:
        super().__init__(trigger, timezone)
        self.calendar = checked_calendar(calendar)
        self.convention = convention_named(convention)
        self.days = checked_whole("days", days, -260, 260)

    def first(self, now: int) -> int | None:
        """Return the first time from now on; that of a past date, moved, which may be past too."""
        found = self.trigger.first(now)
        return self._moved(found)[1] if found is not None and found < now else self.after(now - 1)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first moved time later than ``instant``.

        :raises NeverFiresError: if ten thousand times of the trigger do not decide which it is
        """
        if instant > _LAST:
            return None
        instant = max(instant, _FIRST)
        # Moved days keep the order of the days they come from. One day more is for clocks that go back over midnight.
        day = self._day_of(instant) - 1
        at = following(self.trigger, _instant_before(self._first_source(day)))
        best: tuple[int, int] | None = None
        for _ in range(SEARCH_LIMIT):
            if at is None:
                break
            moved_day, moved = self._moved(at)
            if best is not None and moved_day > best[1] + 1:
                break
            if moved > instant and (best is None or moved < best[0]):
                best = moved, moved_day
            at = following(self.trigger, at)
        else:
            raise self._too_dense()
        return None if best is None or best[0] > LAST_INSTANT else best[0]

    def at_or_before(self, instant: int) -> int | None:
        """Return the last moved time up to ``instant``.

        :raises NeverFiresError: if ten thousand times of the trigger do not decide which it is
        """
        if instant < _FIRST:
            return None
        day = self._day_of(min(instant, _LAST)) + 1
        at = self.trigger.at_or_before(_instant_before(self._last_source(day) + 3))
        best: tuple[int, int] | None = None
        for _ in range(SEARCH_LIMIT):
            if at is None:
                break
            moved_day, moved = self._moved(at)
            if best is not None and moved_day < best[1] - 1:
                break
            if moved <= instant and (best is None or moved > best[0]):
                best = moved, moved_day
            spend()
            at = self.trigger.at_or_before(at - 1)
        else:
            raise self._too_dense()
        return None if best is None else best[0]

    def origin(self) -> int | None:
        start = self.trigger.origin()
        return None if start is None else min(start, _instant_before(self._rolled(self._day_of(start))))

    def _moved(self, at: int) -> tuple[int, int]:
        """Return the day and the instant to which a time is moved."""
        zone = zone_map(self.zone)
        second, rest = divmod(at, SECOND)
        day, clock = divmod(zone.wall_of(second), DAY)
        moved = self._rolled(day)
        return (day, at) if moved == day else (moved, zone.second_of(moved * DAY + clock) * SECOND + rest)

    def _rolled(self, day: int) -> int:
        return day_of(self.calendar.shift(self.calendar.roll(date_of(day), self.convention), self.days))

    def _first_source(self, target: int) -> int:
        """Return the first day that is moved to ``target`` or a later one."""
        day = target
        while self._rolled(day) < target:
            day += 1
        while self._rolled(day - 1) >= target:
            day -= 1
        return day

    def _last_source(self, target: int) -> int:
        """Return the last day that is moved to ``target`` or an earlier one."""
        day = target
        while self._rolled(day) > target:
            day -= 1
        while self._rolled(day + 1) <= target:
            day += 1
        return day

    def _day_of(self, instant: int) -> int:
        return zone_map(self.zone).wall_of(instant // SECOND) // DAY

    def _too_dense(self) -> NeverFiresError:
        return NeverFiresError(
            f"{self}: ten thousand times of {self.trigger} do not decide which of them comes next; roll() is for triggers "
            f"that fire a few times a day"
        )

    def _parameters(self) -> dict[str, Any]:
        days = {"days": self.days} if self.days else {}
        return {
            "calendar": self.calendar.spec(),
            "convention": self.convention,
            **days,
            **super()._parameters(),
        }

    def _shown(self) -> str:
        days = f", days={self.days}" if self.days else ""
        return f"roll({self.calendar}, '{self.convention}'{days}{self._zone_shown()})"


def checked_calendar(value: Any) -> BusinessCalendar:
    """Return a calendar, given as such or as its spec.

    :raises TriggerTypeError: if it is something else
    """
    if isinstance(value, BusinessCalendar):
        return value
    if isinstance(value, dict):
        return BusinessCalendar.from_spec(value)
    raise TriggerTypeError(f"calendar must be a rota.calendars.BusinessCalendar, not {value!r}")


def checked_whole(name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number that lies within bounds; refuse anything else."""
    if isinstance(value, bool) or not isinstance(value, int):
        from ..meant import whole_number_meant  # rare

        raise TriggerTypeError(
            f"{name} must be a whole number, not {value!r}{whole_number_meant(name, value)}"
        )
    if not least <= value <= most:
        raise TriggerError(f"{name} must be from {least} to {most}, not {value}")
    return value


def date_of(day: int) -> date:
    """Return the date of a number of days since the epoch."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def day_of(at: date) -> int:
    """Return the number of days from the epoch to a date."""
    return at.toordinal() - _EPOCH_ORDINAL


def _instant_before(day: int) -> int:
    """Return an instant before the day begins in any zone."""
    return (day - 1) * DAY * SECOND
