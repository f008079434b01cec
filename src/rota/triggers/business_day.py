"""The trigger of the n-th business day of each month, quarter or year.

Pure but for what the calendar looks up; see :mod:`rota.calendars`.
"""

from __future__ import annotations

from datetime import date, datetime, time

from ..calendars import BusinessCalendar
from ..clock import LAST_INSTANT, SECOND, moment
from ..errors import NeverFiresError, TriggerError
from ..util import suggestion
from ..zone_maps import DAY, zone_map
from .algebra.business_days import checked_calendar, checked_whole, date_of, day_of
from .arguments import (
    checked_jitter,
    checked_spread,
    checked_state,
    is_zone_given,
    optional_instant,
    zone_for,
)
from .fields import JITTER, TIMEZONE, Field, Fields
from .terms import TriggerWithZone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import timedelta, tzinfo
    from typing import Any

#: How many months each kind of period has.
PERIODS = {"month": 1, "quarter": 3, "half-year": 6, "year": 12}
#: How many periods without an n-th business day are looked at.
SEARCH_PERIODS = 500


class BusinessDayTrigger(TriggerWithZone):
    """Fires on the n-th business day of each month, quarter or year. Alias: ``business_day``.

    A period that has no n-th business day is left out. A wall time in a gap is read with the offset before the gap, one in
    an overlap as the first (RFC 5545, 3.3.5).

    :param nth: 1 for the first business day, 2 for the second; -1 for the last, -2 for the one before it
    :param calendar: says which days are business days (default: Monday to Friday)
    :param of: ``"month"``, ``"quarter"``, ``"half-year"`` or ``"year"``
    :param hour: hour of the day, 0 to 23
    :param minute: 0 to 59
    :param second: 0 to 59
    :param start_date: datetime, date or string: the earliest possible time, included
    :param end_date: datetime, date or string: the last possible time, included
    :param timezone: name or tzinfo of the wall clock (default: that of the dates, else the local zone)
    :param jitter: seconds by which a due time may come after its nominal time
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: accepted because all triggers take it
    :raises TriggerError: if a parameter is out of range
    :raises TriggerTypeError: if a parameter has the wrong type
    """

    __slots__ = ("_clock", "_end", "_start", "calendar", "nth", "of", "zone_given")

    zone_given: bool

    alias = "business_day"
    # States have what the slots hold, and were stored in this order.
    declared = Fields(
        1,
        Field("nth"),
        Field("calendar", write=lambda calendar: calendar.spec()),
        Field("of", "month"),
        *(Field(name, 0, held=None, spec=f"_time.{name}") for name in ("hour", "minute", "second")),
        Field("start_date", None, held=None, spec="_start_text"),
        Field("end_date", None, held=None, spec="_end_text"),
        TIMEZONE,
        JITTER,
        Field("spread", None),
        *(Field(name, spec=None) for name in ("_clock", "_start", "_end")),
        Field("zone_given", spec=None, same=None),
        states="_clock _end _start calendar jitter nth of spread timezone zone_given",
    )

    def __init__(
        self,
        nth: int = -1,
        calendar: BusinessCalendar | dict[str, Any] | None = None,
        of: str = "month",
        *,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | timedelta | None = None,
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        if of not in PERIODS:
            raise TriggerError(
                f"There is no period {of!r}{suggestion(str(of), PERIODS)}; there are {', '.join(PERIODS)}"
            )
        self.of = of
        self.nth = checked_whole("nth", nth, -31 * PERIODS[of], 31 * PERIODS[of])
        if not nth:
            raise TriggerError("nth: 1 is the first business day, -1 the last; there is no 0th")
        self.calendar = BusinessCalendar() if calendar is None else checked_calendar(calendar)
        self._clock = (
            checked_whole("hour", hour, 0, 23) * 3600
            + checked_whole("minute", minute, 0, 59) * 60
            + checked_whole("second", second, 0, 59)
        )
        self._timezone = zone = zone_for(timezone, start_date, end_date)
        self.zone_given = is_zone_given(timezone, start_date, end_date)
        self._start = optional_instant(start_date, zone, "start_date")
        self._end = optional_instant(end_date, zone, "end_date")
        self._jitter = checked_jitter(jitter)
        self._spread = checked_spread(spread)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant``.

        :raises NeverFiresError: if five hundred periods one after another have no n-th business day
        """
        if self._start is not None and instant < self._start:
            instant = self._start - 1
        return None if instant >= LAST_INSTANT else self._search(max(instant, 0), 1)

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time up to ``instant``, in 1970 or later.

        :raises NeverFiresError: if five hundred periods one after another have no n-th business day
        """
        instant = min(instant, LAST_INSTANT if self._end is None else self._end)
        return None if instant < 0 else self._search(instant, -1)

    def origin(self) -> int | None:
        return self._start

    def _search(self, instant: int, step: int) -> int | None:
        today = date_of(zone_map(self.timezone).wall_of(instant // SECOND) // DAY - step)
        months = PERIODS[self.of]
        period = (today.year * 12 + today.month - 1) // months
        if step > 0:
            period = max(period, 1970 * 12 // months)
        for _ in range(SEARCH_PERIODS):
            first = period * months
            if not 1970 * 12 <= first < 9999 * 12:
                return None
            found = self._fire_in(first, months)
            period += step
            if found is None or (found <= instant if step > 0 else found > instant):
                continue
            outside = self._end is not None and found > self._end
            return None if outside or (self._start is not None and found < self._start) else found
        raise NeverFiresError(f"{self} has no time in {SEARCH_PERIODS} periods near {self._moment(instant)}")

    def _fire_in(self, first: int, months: int) -> int | None:
        """Return the time in a period, given by its first month (months since the year 0), if it has one."""
        start, end = _month_start(first), _month_start(first + months)
        left = abs(self.nth)
        for day in range(start, end) if self.nth > 0 else range(end - 1, start - 1, -1):
            if self.calendar.is_business_day(date_of(day)):
                left -= 1
                if not left:
                    return zone_map(self.timezone).second_of(day * DAY + self._clock) * SECOND
        return None

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> BusinessDayTrigger:
        """Return the trigger of a :meth:`spec`."""
        return cls(**{name: value for name, value in spec.items() if name != "type"})

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        for name in ("_clock", "_end", "_start", "calendar", "nth", "of"):
            setattr(self, name, state[name])
        self._timezone, self._jitter, self._spread = state["timezone"], state["jitter"], state["spread"]
        self.zone_given = state.get("zone_given", True)

    @property
    def _time(self) -> time:
        minutes, second = divmod(self._clock, 60)
        return time(minutes // 60, minutes % 60, second)

    @property
    def _start_text(self) -> str | None:
        return None if self._start is None else moment(self._start, self.timezone).isoformat()

    @property
    def _end_text(self) -> str | None:
        return None if self._end is None else moment(self._end, self.timezone).isoformat()

    def _shown(self) -> list[str]:
        of = [f"of='{self.of}'"] if self.of != "month" else []
        return [f"nth={self.nth}", *of, f"time='{self._time}'"]

    def __str__(self) -> str:
        return f"business_day[{', '.join(self._shown())}]"


def _month_start(month: int) -> int:
    return day_of(date(month // 12, month % 12 + 1, 1))
