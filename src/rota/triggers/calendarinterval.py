"""The trigger that fires every so many days, weeks, months or years, always at the same wall clock time.

Pure; see the port in :mod:`rota.triggers.base`. Counts in dates; only the last step turns a date into an instant.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from datetime import time as dt_time

from ..clock import LAST_INSTANT, SECOND, moment
from ..compat.absent import inner_name
from ..errors import TriggerError, TriggerTypeError
from ..texts import repr_of
from ..util import asdate, astimezone, timezone_repr
from ..zone_maps import DAY, zone_map
from .arguments import checked_jitter, checked_spread, checked_state, current_instant, is_zone_given, zone_for
from .fields import JITTER, SPREAD, TIMEZONE, ZONE_GIVEN, Field, Fields
from .terms import TriggerWithZone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LAST_ORDINAL = date(9999, 12, 28).toordinal()


class CalendarIntervalTrigger(TriggerWithZone):
    """Fires at the same wall clock time every so many years, months, weeks and days. Alias: ``calendarinterval``.

    From one date to the next, years and months are added first, again and again until the day of the month exists
    there (31 January plus a month is 31 March), then weeks and days. A date on which the clocks jump over the time is
    left out; where they show it twice, the first time counts. Both never move the dates that follow. The first time
    is the first of the series that begins with ``start_date`` which is not past.

    :param years: years from one date to the next
    :param months: months
    :param weeks: weeks
    :param days: days
    :param hour: hour of the day, 0 to 23
    :param minute: 0 to 59
    :param second: 0 to 59
    :param start_date: date or ISO string: the first date (default: today in the zone)
    :param end_date: date or ISO string: the last possible date, included
    :param timezone: name or tzinfo (default: the local zone)
    :param jitter: seconds by which a due time may come after its nominal time
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: instant that counts as the current time (the system's time by default)
    :raises TriggerError: if the interval is not at least one day, or a parameter is out of range
    :raises TriggerTypeError: if a parameter has the wrong type
    """

    __slots__ = (
        "_end_date",
        "_second_of_day",
        "_start_date",
        "days",
        "months",
        "start_given",
        "weeks",
        "years",
        "zone_given",
    )

    zone_given: bool

    alias = "calendarinterval"
    declared = Fields(
        1,
        *(Field(name, 0, state=None) for name in ("years", "months", "weeks", "days")),
        *(Field(name, 0, held=None, spec=f"time.{name}") for name in ("hour", "minute", "second")),
        Field("interval", held=None, state="_interval"),
        Field("time", held=None, state="_time", same="_second_of_day"),
        Field("start_date", write=date.isoformat),
        Field("end_date", None, write=date.isoformat),
        TIMEZONE,
        JITTER,
        SPREAD,
        ZONE_GIVEN,
    )

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        hour: int = 0,
        minute: int = 0,
        second: int = 0,
        start_date: date | str | None = None,
        end_date: date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | timedelta | None = None,
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        self._timezone = zone_for(timezone)
        self.zone_given = is_zone_given(timezone)
        self.years = _whole("years", years, 9998)
        self.months = _whole("months", months, 9998 * 12)
        self.weeks = _whole("weeks", weeks, _LAST_ORDINAL // 7)
        self.days = _whole("days", days, _LAST_ORDINAL)
        if self.years == self.months == self.weeks == self.days == 0:
            raise TriggerError("interval must be at least 1 day long; give years, months, weeks or days")
        self._second_of_day = (
            _whole("hour", hour, 23) * 3600 + _whole("minute", minute, 59) * 60 + _whole("second", second, 59)
        )
        start = self._date("start_date", start_date)
        self.start_given = start is not None
        self._start_date: date = start or moment(current_instant(now), self.timezone).date()
        self._end_date = self._date("end_date", end_date)
        # Without a start_date, a series that is over already is no error: it has no times to come.
        if self.start_given and self.end_date is not None and self.start_date > self.end_date:
            raise TriggerError(
                f"end_date cannot be earlier than start_date; got {self.start_date} to {self.end_date}"
            )
        self._jitter = checked_jitter(jitter)
        self._spread = checked_spread(spread)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant``, in the series of ``previous`` or else of ``start_date``."""
        if previous is not None and previous > instant:
            instant = previous
        second = instant // SECOND
        zone = zone_map(self.timezone)
        today = zone.wall_of(second) // DAY + _EPOCH_ORDINAL
        if previous is None:
            at: date | None = self._skip(self.start_date, today - 2)
        else:
            known = date.fromordinal(zone.wall_of(previous // SECOND) // DAY + _EPOCH_ORDINAL)
            at = self._step(self._skip(known, today - 2))
        while at is not None and (self.end_date is None or at <= self.end_date):
            found = self._second_on(at)
            if found is not None and found > second:
                return found * SECOND if found * SECOND <= LAST_INSTANT else None
            at = self._step(at)
        return None

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time of the series of ``start_date`` up to ``instant``."""
        second = instant // SECOND
        today = zone_map(self.timezone).wall_of(second) // DAY + _EPOCH_ORDINAL
        last = self.end_date or date.fromordinal(_LAST_ORDINAL)
        # Start early enough for one or two dates that are left out: changes of the clocks are half a year apart.
        margin = 2 + 3 * (self.days + 7 * self.weeks + 31 * (self.months + 12 * self.years))
        for since in (min(today, last.toordinal()) - margin, 0):
            at: date | None = self._skip(self.start_date, since)
            found: int | None = None
            while at is not None and at <= last and at.toordinal() <= today + 1:
                candidate = self._second_on(at)
                if candidate is not None and candidate <= second:
                    found = candidate
                at = self._step(at)
            if found is not None:
                return found * SECOND
        return None

    def walls_between(self, low: int, high: int) -> list[int]:
        """Return the wall seconds of the series from ``low`` to before ``high``, whether clocks show them or not."""
        found: list[int] = []
        at: date | None = self._skip(self.start_date, low // DAY + _EPOCH_ORDINAL - 1)
        while at is not None and (self.end_date is None or at <= self.end_date):
            wall = (at.toordinal() - _EPOCH_ORDINAL) * DAY + self._second_of_day
            if wall >= high:
                break
            if wall >= low:
                found.append(wall)
            at = self._step(at)
        return found

    def origin(self) -> int | None:
        wall = (self.start_date.toordinal() - _EPOCH_ORDINAL) * DAY
        return zone_map(self.timezone).second_of(wall) * SECOND

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> CalendarIntervalTrigger:
        """Return the trigger of a :meth:`spec`."""
        trigger = cls(**{name: value for name, value in spec.items() if name not in ("type", "end_date")})
        trigger._end_date = trigger._date(
            "end_date", spec.get("end_date")
        )  # it may be earlier than the start
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        self.years, self.months, self.weeks, self.days = state["interval"]
        hour, minute, second = state["time"]
        self._second_of_day = hour * 3600 + minute * 60 + second
        self._start_date = state["start_date"]
        self.start_given = True
        self._end_date = state["end_date"]
        self._timezone = astimezone(state["timezone"]) or UTC
        self.zone_given = state.get("zone_given", True)
        self._jitter = state["jitter"]
        self._spread = state.get("spread")

    def _second_on(self, at: date) -> int | None:
        """Return the second at which the time is first shown on a date, None if the clocks jump over it."""
        wall = (at.toordinal() - _EPOCH_ORDINAL) * DAY + self._second_of_day
        return min(zone_map(self.timezone).seconds_of(wall), default=None)

    def _step(self, at: date) -> date | None:
        """Return the date after ``at``, None beyond the calendar."""
        months = self.years * 12 + self.months
        index = at.year * 12 + at.month - 1
        while months:
            index += months
            if index // 12 > 9999:
                return None
            try:
                at = date(index // 12, index % 12 + 1, at.day)
                break
            except ValueError:
                continue  # The day does not exist in that month.
        ordinal = at.toordinal() + self.weeks * 7 + self.days
        return date.fromordinal(ordinal) if ordinal <= _LAST_ORDINAL else None

    def _skip(self, at: date, target: int) -> date:
        """Return a date of the series from ``at`` that is not later than the ordinal ``target`` (or ``at`` itself)."""
        distance = target - at.toordinal()
        months, days = self.years * 12 + self.months, self.weeks * 7 + self.days
        if distance <= 0 or (months and days):
            return at
        if not months:
            return date.fromordinal(at.toordinal() + distance // days * days)
        goal = date.fromordinal(target)
        steps = ((goal.year - at.year) * 12 + goal.month - at.month - 1) // months
        while steps > 0:
            index = at.year * 12 + at.month - 1 + steps * months
            try:
                return date(index // 12, index % 12 + 1, at.day)
            except ValueError:
                steps -= 1
        return at

    def _date(self, name: str, value: Any) -> date | None:
        value = asdate(value)
        if isinstance(value, datetime):
            value = (value if value.tzinfo is None else value.astimezone(self.timezone)).date()
        if value is not None and not isinstance(value, date):
            raise TriggerTypeError(f"{name} must be a date or an ISO string, not {repr_of(value)}")
        return value

    @property
    def start_date(self) -> date:
        """The first date of the series."""
        return self._start_date

    @start_date.setter
    def start_date(self, start_date: date | str) -> None:
        found = self._date("start_date", start_date)
        if found is None:
            raise TriggerTypeError(f"start_date must be a date or an ISO string, not {repr_of(start_date)}")
        self._assign("start_date", found)

    @property
    def end_date(self) -> date | None:
        """The last possible date, or None."""
        return self._end_date

    @end_date.setter
    def end_date(self, end_date: date | str | None) -> None:
        self._assign("end_date", self._date("end_date", end_date))

    @property
    def time(self) -> dt_time:
        """The wall clock time of every date."""
        minute, second = divmod(self._second_of_day, 60)
        return dt_time(minute // 60, minute % 60, second)

    @property
    def _interval(self) -> list[int]:
        return [self.years, self.months, self.weeks, self.days]

    @property
    def _time(self) -> list[int]:
        at = self.time
        return [at.hour, at.minute, at.second]

    def __str__(self) -> str:
        fields = [
            f"{name}={getattr(self, name)}"
            for name in ("years", "months", "weeks", "days")
            if getattr(self, name)
        ]
        fields.append(f"time={self.time.isoformat()!r}")
        fields.append(f"start_date='{self.start_date}'")
        if self.end_date is not None:
            fields.append(f"end_date='{self.end_date}'")
        if self.jitter:
            fields.append(f"jitter={self.jitter}")
        if self.spread:
            fields.append(f"spread={self.spread}")
        fields.append(f"timezone={timezone_repr(self.timezone)!r}")
        return f"{type(self).__name__}({', '.join(fields)})"


def _whole(name: str, value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        from .meant import whole_number_meant  # rare

        raise TriggerTypeError(
            f"{name} must be a whole number, not {repr_of(value)}{whole_number_meant(name, value)}"
        )
    if not 0 <= value <= most:
        raise TriggerError(f"{name} must be from 0 to {most}, not {value}")
    return value


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
