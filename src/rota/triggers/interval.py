"""The trigger that fires every so much elapsed time.

Pure; see the port in :mod:`rota.triggers.base`. Integer arithmetic on the grid ``start + n × interval`` throughout.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from ..clock import DAY, LAST_INSTANT, SECOND, SYSTEM_CLOCK, microseconds, moment
from ..clock import instant as to_instant
from ..compat.absent import inner_name
from ..errors import TriggerError, TriggerTypeError
from ..texts import repr_of
from ..util import astimezone, convert_to_datetime
from ..zone_maps import zone_map
from .arguments import carries_zone, checked_jitter, checked_spread, checked_state, optional_instant, zone_for
from .fields import ZONE_GIVEN, Field, Fields
from .terms import JITTER, SPREAD, TIMEZONE, TriggerWithTerms, plain_terms, terms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, tzinfo
    from typing import Any

    from .base import BaseTrigger
    from .terms import Terms


#: The epoch was a Thursday; weeks are aligned to Mondays.
_MONDAY = 4 * DAY


class IntervalTrigger(TriggerWithTerms):
    """Fires every so much elapsed time, whatever the clocks in the zone do. Alias: ``interval``.

    The times lie on the grid ``start_date + n × interval``; once a job has fired, on the grid of its last nominal time.
    Jitter and spread never move the grid.

    :param weeks: weeks to wait
    :param days: days to wait (of 24 hours)
    :param hours: hours to wait
    :param minutes: minutes to wait
    :param seconds: seconds to wait; like the others an int or float. A sum of zero means one second, with a UserWarning
    :param start_date: datetime, date or string: the first time (default: as ``first`` says)
    :param end_date: datetime, date or string: the last possible time, included
    :param timezone: name or tzinfo, for reading and showing dates (default: that of the dates, else the local one)
    :param jitter: seconds by which a due time may come after its nominal time
    :param first: the first time where there is no ``start_date``: ``"after"`` one interval (as in APScheduler), ``"now"``, or
        ``"aligned"``: at the next multiple of the interval on the clock of the zone, counted from a Monday at midnight
        (every 15 minutes at :00, :15, :30, :45; each process that starts comes to the same grid)
    :param mode: ``"rate"``: the times lie on the grid, however long runs take; ``"delay"``: the interval is counted from the end
        of a run (once the scheduler has recorded it) to the next, so that there is one run at a time and none is made up for
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: instant that counts as the current time (the system's time by default)
    :raises TriggerError: if the interval is negative, ``first`` or ``mode`` is not known, or a date or the jitter is wrong
    :raises TriggerTypeError: if a parameter has the wrong type
    """

    __slots__ = ("_start", "_terms")

    elapsed = True
    alias = "interval"
    declared = Fields(
        2,
        Field("seconds", spec="_seconds", state=None, same="_interval"),
        Field("start_date", spec="_start_text", same="_start"),
        TIMEZONE,
        Field("end_date", None, spec="_end_text", same="_terms.end"),
        JITTER,
        SPREAD,
        Field("interval", held=None, state="interval"),
        Field("mode", "rate", sparse=True),
        ZONE_GIVEN,
        states="timezone start_date end_date interval jitter spread mode zone_given",
    )

    def __init__(
        self,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        start_date: datetime | date | str | None = None,
        end_date: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | timedelta | None = None,
        *,
        first: str = "after",
        mode: str = "rate",
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        interval = _length(weeks, days, hours, minutes, seconds)
        zone_given = True
        if type(timezone) is ZoneInfo:
            zone: tzinfo = timezone
        else:
            zone = zone_for(timezone, start_date, end_date)
            if not timezone:  # it matters only if a wall time is read
                dates = (("start_date", start_date or None), ("end_date", end_date))
                zone_given = first != "aligned" and all(carries_zone(value, name) for name, value in dates)
        if start_date:
            start = optional_instant(start_date, zone, "start_date")
            assert start is not None
            if first != "after":
                raise TriggerError(
                    f"first={repr_of(first)} is for an interval without start_date, which says when it begins"
                )
        else:
            if now is None:
                now = SYSTEM_CLOCK.now()
            start = now + interval if first == "after" else _first(first, now, interval, zone)
        if mode not in ("rate", "delay"):
            raise TriggerError(f"There is no mode={repr_of(mode)}; it is 'rate' or 'delay'")
        end = None if end_date is None else optional_instant(end_date, zone, "end_date")
        # The result of a sum has room for one more digit, 16 bytes for each job; that of `| 0` has not.
        self._start = start | 0
        # Many jobs have the same interval: a number and a slot of their own would take 48 bytes for each job.
        manner = (
            interval,
            mode == "delay",
            True if start_date else "aligned" if first == "aligned" else False,
        )
        if jitter is None and spread is None and zone_given:
            # Like terms(), without the call.
            self._terms = plain_terms(zone_map(zone), None, end, None, None, manner)
        else:
            jitter = None if jitter is None else checked_jitter(jitter)
            spread = None if spread is None else checked_spread(spread)
            self._terms = terms(zone, None, end, jitter, spread, manner, zone_given)

    @property
    def _interval(self) -> int:
        interval: int = self._terms.manner[0]
        return interval

    @property
    def _seconds(self) -> float:
        interval: int = self._terms.manner[0]
        return interval / SECOND if interval % SECOND else interval // SECOND

    @property
    def _start_text(self) -> str:
        return self._terms.zone.isoformat(self._start)

    @property
    def follows_end(self) -> bool:  # type: ignore[override]  # it does not change
        """Whether the interval is counted from the end of a run."""
        return self._terms.manner[1] is True

    @property
    def regular(self) -> bool:
        terms = self._terms
        return terms.punctual and not terms.manner[1]

    @property
    def start_given(self) -> bool:  # type: ignore[override]  # it does not change
        """Whether there was a ``start_date``."""
        return self._terms.manner[2] is True

    @property
    def interval(self) -> timedelta:
        """The time from one nominal time to the next."""
        return timedelta(microseconds=self._interval)

    @property
    def interval_length(self) -> float:
        """The interval in seconds."""
        return self._interval / SECOND

    @property
    def microseconds(self) -> int:
        """The interval in microseconds."""
        return self._interval

    @property
    def mode(self) -> str:
        """``"rate"`` or ``"delay"``."""
        return "delay" if self._terms.manner[1] else "rate"

    @property
    def start_date(self) -> datetime:
        """A time of the grid, the first one."""
        return moment(self._start, self.timezone)

    @start_date.setter
    def start_date(self, start_date: datetime | date | str) -> None:
        self._assign("start_date", convert_to_datetime(start_date, self.timezone, "start_date"))

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the previous time plus the interval; without one, the first time of the grid that is not past."""
        if previous_fire_time is not None:
            found = self._bounded(to_instant(previous_fire_time) + self._interval)
        else:
            found = self._native.after(self, to_instant(now) - 1)
        return None if found is None else self._moment(found)

    def moved(self, delta: int) -> IntervalTrigger:
        """Return the same trigger with another start, unless that was given; what is aligned stays on its grid."""
        interval, _, given = self._terms.manner
        if given is True or type(self) is not IntervalTrigger:
            return self
        trigger = IntervalTrigger.__new__(IntervalTrigger)
        trigger._start = self._start + (delta if not given else delta // interval * interval)
        trigger._terms = self._terms
        return trigger

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant`` on the grid: that of ``previous`` where it is known."""
        terms = self._terms
        interval, end = terms.manner[0], terms.end
        if previous is None:
            found = start = self._start
            if instant >= start:
                found += ((instant - start) // interval + 1) * interval
        elif instant <= previous:
            found = previous + interval
        else:
            found = previous + ((instant - previous) // interval + 1) * interval
        # Like _bounded(), without the call (0.06 of 0.15 µs).
        return None if found > LAST_INSTANT or (end is not None and found > end) else found

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time of the grid up to ``instant``."""
        end = self._terms.end
        instant = min(instant, LAST_INSTANT if end is None else end)
        if instant < self._start:
            return None
        return self._start + (instant - self._start) // self._interval * self._interval

    def origin(self) -> int | None:
        return self._start

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time on the grid of ``first`` up to ``now``, and how many there are: one division."""
        end = self._terms.end
        if end is not None and end < now:
            now = max(end, first)
        steps = (now - first) // self._interval
        return first + steps * self._interval, steps + 1

    def same_schedule(self, other: BaseTrigger) -> bool:
        if type(other) is not type(self) or type(self) is not IntervalTrigger:
            return super().same_schedule(other)
        assert isinstance(other, IntervalTrigger)
        if self._terms.zone.text is None or other._terms.zone.text is None:
            return self == other
        return self.declared.same_schedule(self, other, self.start_given)

    def plain_text(self) -> str | None:
        """Return the text of a :meth:`spec` that says no more than :meth:`plain` takes, None if it says more."""
        terms = self._terms
        interval, follows_end, _ = terms.manner
        zone = terms.zone
        if interval % SECOND or follows_end or terms.end is not None or zone.quoted is None:
            return None
        if terms.jitter is not None or terms.spread is not None:
            return None
        start = zone.isoformat(self._start)
        return f'{{"type":"interval","seconds":{interval // SECOND},"start_date":"{start}","timezone":{zone.quoted}}}'

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> IntervalTrigger:
        """Return the trigger of a :meth:`spec`."""
        return cls(
            seconds=spec["seconds"],
            start_date=spec["start_date"],
            end_date=spec.get("end_date"),
            timezone=spec["timezone"],
            jitter=spec.get("jitter"),
            spread=spec.get("spread"),
            mode=spec.get("mode", "rate"),
        )

    @classmethod
    def plain(cls, start: int, timezone: str, seconds: str) -> IntervalTrigger:
        """Return the trigger of a :meth:`spec` that says no more than this; there are thousands of them to be read.

        :param start: the instant of its ``start_date``
        :param seconds: digits: more than zero, and not beyond the calendar
        :raises UnknownTimezoneError: if there is no such zone
        """
        trigger = cls.__new__(cls)
        trigger._start = start | 0
        trigger._terms = _plain_terms(timezone, seconds)
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 2)
        self._start = to_instant(state["start_date"])
        self._terms = terms(
            astimezone(state["timezone"]) or UTC,
            None,
            None if state["end_date"] is None else to_instant(state["end_date"]),
            state.get("jitter"),
            state.get("spread"),
            (microseconds(state["interval"]), state.get("mode") == "delay", True),
            state.get("zone_given", True),
        )

    def _bounded(self, instant: int) -> int | None:
        end = self._terms.end
        return None if instant > LAST_INSTANT or (end is not None and instant > end) else instant

    def __str__(self) -> str:
        return f"interval[{self.interval!s}]"


@lru_cache(maxsize=1024)
def _plain_terms(timezone: str, seconds: str) -> Terms:
    return terms(astimezone(timezone) or UTC, None, None, None, None, (int(seconds) * SECOND, False, True))


def _first(first: str, now: int, interval: int, zone: tzinfo) -> int:
    """Return the start for ``first="now"`` and ``first="aligned"``."""
    if first == "now":
        return now
    if first != "aligned":
        raise TriggerError(f"There is no first={repr_of(first)}; it is 'after', 'now' or 'aligned'")
    offset = zone_map(zone).offset(now // SECOND) * SECOND
    return now + (_MONDAY - now - offset) % interval


def _length(weeks: Any, days: Any, hours: Any, minutes: Any, seconds: Any) -> int:
    """Return the sum in microseconds; zero counts as one second, as in APScheduler, with a warning."""
    try:
        total = (((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60 + seconds
        if type(total) is int:
            length = total * SECOND
        else:
            length = microseconds(
                timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
            )
    except TypeError:
        given = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        wrong = (item for item in given.items() if not isinstance(item[1], (int, float)))
        name, value = next(wrong, ("seconds", seconds))
        from .meant import number_meant  # rare

        raise TriggerTypeError(
            f"{name} must be a number, got {repr_of(value)}{number_meant(name, value)}"
        ) from None
    except (ValueError, OverflowError) as exc:
        raise TriggerError(f"The interval is not a length of time that can be used: {exc}") from None
    if 0 < length <= LAST_INSTANT:
        return length
    if total and not length:
        raise TriggerError(f"An interval must be a microsecond at least, got {total} seconds")
    if length < 0:
        raise TriggerError(f"An interval must not be negative, got {total} seconds")
    if length > LAST_INSTANT:
        raise TriggerError(f"An interval of {total} seconds is longer than the calendar")
    if not length:
        import warnings  # rare

        warnings.warn(
            "An interval of nothing (no weeks, days, hours, minutes or seconds, or all of them 0) fires every second, as in "
            "APScheduler; write seconds=1 if that is meant",
            UserWarning,
            stacklevel=_depth_of_user(),
        )
    return SECOND


def _depth_of_user() -> int:
    """Return how many frames up from the caller the first one outside of this package is."""
    import sys  # rare

    depth = 1
    while True:
        try:
            module = sys._getframe(depth + 1).f_globals.get("__name__", "")
        except ValueError:
            return depth
        if not module.startswith("rota."):
            return depth + 1
        depth += 1


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
