"""The times of recurrence rules, from any point on.

Pure. Rules of weeks and longer are expanded by the ``dateutil`` library, which no other module imports; in a rule of days
or less it finds the dates, and the times of a day are arithmetic.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, bisect_right
from datetime import datetime, timedelta

from ..clock import LAST_INSTANT, SECOND, moment
from ..clock import instant as to_instant
from ..errors import MissingExtraError, NeverFiresError, TriggerError
from ..util import localize
from ..work import spend
from ..zone_maps import DAY, ZoneMap, zone_map

try:
    from dateutil.rrule import rrule, rrulestr
except ImportError as exc:
    raise MissingExtraError("A trigger of recurrence rules", "rrule") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import tzinfo

    from .recurrence_text import Recurrence

_EPOCH = datetime(1970, 1, 1)
_LAST_WALL = datetime(9999, 12, 28)
_SECOND = timedelta(seconds=1)
_UNITS = {"SECONDLY": 1, "MINUTELY": 60, "HOURLY": 3600, "DAILY": DAY, "WEEKLY": 7 * DAY}
#: The parts that choose among the times of a day; a rule of less than a day leaves the others to a rule of days.
_OF_A_DAY = ("FREQ", "INTERVAL", "COUNT", "BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS")
#: For how many years the next time is looked for. The calendar repeats after 400 years; what depends on dates alone recurs
#: within 40.
_SEARCH_YEARS = {"YEARLY": 400, "MONTHLY": 400, "WEEKLY": 100}
_SEARCH_YEARS_OF_DAYS = 60
#: How many periods of a rule without a time are looked at, one after another; 86 400 show all that a day can.
SEARCH_PERIODS = 200_000
#: How many times a rule of weeks or longer may have on each of its days.
TIMES_OF_A_DAY = 1440
#: What a time of a rule takes, in steps; how many periods that a rule leaves out take one; how many days that are looked at do.
_TIME, _PERIODS, _DAYS = 1, 16, 16
#: What a search takes, in steps, that finds nothing up to the end of the calendar: two of them may be made to construct a trigger.
_FRUITLESS = 40_000
#: What it takes to begin the search for the times of a rule, in steps.
_BEGINNING = 8
#: A day that each month has, in a year that has all days.
_ANY_START = datetime(2000, 1, 1)


class RecurrenceTimes:
    """The times of a recurrence: those of its rules and its single dates, without its exceptions.

    Wall times in a gap are read with the offset before the gap, those in an overlap as the first (RFC 5545, 3.3.5); times that
    then fall together are one.

    :param recurrence: what the text says
    :param start: the start, naive for a wall time of the zone
    :param zone: the zone whose wall clock counts
    """

    __slots__ = ("_dates", "_recurrence", "_rules", "_start", "_without", "_zone")

    def __init__(self, recurrence: Recurrence, start: datetime, zone: tzinfo) -> None:
        self._recurrence, self._start, self._zone = recurrence, start, zone
        found = {self._second(at) * SECOND for at in recurrence.dates}
        if not recurrence.rules:
            found.add(self._second(start) * SECOND)
        self._without = frozenset(self._second(at) for at in recurrence.without)
        self._dates = tuple(sorted(at for at in found if at // SECOND not in self._without))
        self._rules = tuple(
            Rule(text, start, None if until is None else self._second(until))
            for text, until in recurrence.rules
        )

    def refuse_never(self, start_given: bool) -> None:
        """Raise NeverFiresError for a rule without a time: from the given start, or if none was given, from whatever start."""
        zone = zone_map(self._zone)
        for rule in self._rules:
            if next(rule.seconds(0, zone), None) is not None:
                continue
            if start_given:
                raise NeverFiresError(f"RRULE:{rule.text} has no time from {self._start} on")
            parts = [part for part in rule.text.split(";") if not part.startswith(("INTERVAL=", "COUNT="))]
            if next(Rule(";".join(parts), _ANY_START, None).seconds(0, zone), None) is None:
                raise NeverFiresError(f"RRULE:{rule.text} has no time, whenever it starts")

    def start(self) -> int:
        """Return the instant of the start."""
        return self._second(self._start) * SECOND

    def origin(self) -> int:
        """Return the instant from which on there may be times."""
        return min((self.start(), *self._dates))

    def period(self) -> int:
        """Return the length of the longest period of a rule, in seconds."""
        return max((rule.period for rule in self._rules), default=DAY)

    def after(self, instant: int) -> Iterator[int]:
        """Yield the times later than an instant, in order, each once."""
        zone = zone_map(self._zone)
        spend(_BEGINNING * (1 + len(self._rules)))
        streams: list[Iterable[int]] = [rule.seconds(instant // SECOND, zone) for rule in self._rules]
        streams.append(at // SECOND for at in self._dates[bisect_right(self._dates, instant) :])
        without, days = self._without, self._recurrence.without_days
        last = None
        for second in heapq.merge(*streams):
            at = second * SECOND
            if at <= instant or second == last:
                continue
            if at > LAST_INSTANT:
                return
            last = second
            if second not in without and not (days and moment(at, self._zone).date() in days):
                yield at

    def _second(self, at: datetime) -> int:
        """Return the second of a time that is naive (a wall time of the zone) or aware."""
        try:
            return to_instant(localize(at, self._zone) if at.tzinfo is None else at) // SECOND
        except (ValueError, OverflowError) as exc:
            raise TriggerError(
                f"a time of a recurrence must be within the years 1 to 9999 in UTC, got {at}: {exc}"
            ) from None


class Rule:
    """One ``RRULE``.

    :param text: the rule without ``UNTIL``, checked
    :param start: wall time of the start
    :param until: the last possible second, included
    """

    __slots__ = ("_counted", "_expand", "_search", "period", "text", "until")

    def __init__(self, text: str, start: datetime, until: int | None) -> None:
        self.text = text
        self.until = until
        parts = dict(part.split("=") for part in text.split(";"))
        frequency, interval = parts["FREQ"], int(parts.get("INTERVAL", "1"))
        months = {"MONTHLY": 1, "YEARLY": 12}.get(frequency, 0) * interval
        #: the length of a period in seconds; of months, the longest
        self.period = months * 31 * DAY or _UNITS[frequency] * interval
        years = _SEARCH_YEARS.get(frequency, _SEARCH_YEARS_OF_DAYS)
        self._search = timedelta(seconds=min(years * 366 * DAY + 8 * self.period, 8000 * 366 * DAY))
        count = parts.pop("COUNT", None)
        self._expand: _Days | _Times
        if frequency in ("SECONDLY", "MINUTELY", "HOURLY", "DAILY"):
            self._expand = _Times(parts, start)
        else:
            self._expand = _Days(parts, start, months)
        #: all wall times of a rule with COUNT, which are counted from the start
        self._counted: tuple[int, ...] | None = None
        if count is not None:
            found = self._expand.walls(_wall(start), _later(start, self._search))
            self._counted = tuple(self._first_walls(int(count), found))

    def seconds(self, second: int, zone: ZoneMap) -> Iterator[int]:
        """Yield the seconds of the rule in order: all that are later than ``second``, and perhaps some that are not."""
        waiting: list[int] = []
        for wall in self._walls(zone.wall_of(second) - 3 * _reach(zone, second)):
            found = zone.second_of(wall)
            if self.until is not None and found > self.until:
                break
            # Close to a gap, later wall times may stand for earlier seconds.
            if _reach(zone, found):
                heapq.heappush(waiting, found)
                continue
            while waiting:
                yield heapq.heappop(waiting)
            spend(_TIME)
            yield found
        while waiting:
            yield heapq.heappop(waiting)

    def _first_walls(self, count: int, found: Iterator[int]) -> Iterator[int]:
        for _, wall in zip(range(count), found, strict=False):
            spend(_TIME)
            yield wall

    def _walls(self, since: int) -> Iterator[int]:
        if self._counted is not None:
            return iter(self._counted[bisect_left(self._counted, since) :])
        since = max(since, self._expand.start)
        return self._expand.walls(since, _later(_EPOCH + since * _SECOND, self._search))


class _Days:
    """The wall times of a rule of weeks, months or years.

    :param parts: the parts of the rule, without ``COUNT`` and ``UNTIL``
    :param start: wall time of the start
    :param months: the length of a period in months, or 0
    """

    __slots__ = ("_looks", "_months", "_period", "_rrule", "_setting_up", "_start", "start")

    def __init__(self, parts: dict[str, str], start: datetime, months: int) -> None:
        parts = {**parts, **_days_counted(parts)}
        text = ";".join(f"{name}={value}" for name, value in parts.items())
        times = 1
        for name in ("BYHOUR", "BYMINUTE", "BYSECOND"):
            times *= len(_numbers(parts.get(name))) or 1
        if times > TIMES_OF_A_DAY:
            raise TriggerError(
                f"BYHOUR, BYMINUTE and BYSECOND must give {TIMES_OF_A_DAY:,} times a day at most in a rule of {parts['FREQ']}, got "
                f"{times:,}; write FREQ=DAILY or shorter, with BYDAY, BYMONTHDAY or BYMONTH for the days"
            )
        try:
            made = rrulestr(text, dtstart=start)
        except (ValueError, TypeError) as exc:
            raise TriggerError(f"RRULE:{text} is not understood: {exc}") from None
        assert isinstance(made, rrule)
        self._rrule = made
        self._start = start
        self._months = months
        self._period = _UNITS.get(parts["FREQ"], 0) * int(parts.get("INTERVAL", "1")) * _SECOND
        #: how often each day is looked at, and what it takes to begin a search, in steps
        self._looks, self._setting_up = 1 + len(_numbers(parts.get("BYSETPOS"))), 10 + times // 4
        self.start = _wall(start)

    def walls(self, since: int, until: datetime) -> Iterator[int]:
        """Yield the wall seconds from ``since`` on, as long as the search for the next one does not go beyond ``until``."""
        first = _EPOCH + since * _SECOND
        span = until - first
        while True:
            spend(self._setting_up)
            last, before = None, first
            for at in self._rrule.replace(dtstart=self._start_near(first), until=_later(first, span)):
                spend((at - before).days * self._looks // _DAYS)
                before = at
                if at >= first:
                    last = at
                    yield _wall(at)
            if last is None or last >= _LAST_WALL - timedelta(days=400):
                spend(_FRUITLESS)
                return
            first = last + _SECOND

    def _start_near(self, since: datetime) -> datetime:
        """Return a start that is a whole number of periods later than the rule's, so that it has the same times from there on."""
        start = self._start
        if not self._months:
            steps = max((since - start) // self._period - 1, 0)
            return start + steps * self._period
        steps = ((since.year - start.year) * 12 + since.month - start.month) // self._months - 1
        while steps > 0:
            month = start.year * 12 + start.month - 1 + steps * self._months
            try:
                return start.replace(year=month // 12, month=month % 12 + 1)
            except ValueError:
                steps -= 1  # that month has no such day
        return start


class _Times:
    """The wall times of a rule of days, hours, minutes or seconds.

    :param parts: the parts of the rule, without ``COUNT`` and ``UNTIL``
    :param start: wall time of the start
    """

    __slots__ = ("_chosen", "_days", "_interval", "_kept", "_periods", "_unit", "start")

    def __init__(self, parts: dict[str, str], start: datetime) -> None:
        self._unit = unit = _UNITS[parts["FREQ"]]
        self._interval = int(parts.get("INTERVAL", "1"))
        self.start = _wall(start)
        hours, minutes, seconds = (_numbers(parts.get(name)) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        within = [
            (hour * 60 + minute) * 60 + second
            for hour in (hours or [start.hour] if unit == DAY else [0])
            for minute in (minutes or [start.minute] if unit >= 3600 else [0])
            for second in (seconds or [start.second] if unit >= 60 else [0])
        ]
        #: the periods of a day that are not left out, by their number
        self._periods: Sequence[int] = range(DAY // unit)
        if unit < DAY and (hours or minutes or seconds):
            spend(DAY // unit // _PERIODS)
            self._periods = _chosen_periods(unit, hours, minutes, seconds)
        self._kept = frozenset(self._periods) if isinstance(self._periods, list) else self._periods
        positions = _numbers(parts.get("BYSETPOS"))
        #: the seconds of a period at which it fires
        self._chosen = _at_positions(sorted(within), positions) if positions else tuple(sorted(within))
        spend(len(within) // _PERIODS)
        #: the rule that chooses the dates, if any does
        self._days: _Days | None = None
        of_dates = {name: value for name, value in parts.items() if name not in _OF_A_DAY}
        if of_dates.keys() - {"WKST"}:
            # Without one of these a rule of years takes the day of its start.
            if not of_dates.keys() & {"BYDAY", "BYMONTHDAY", "BYYEARDAY"}:
                of_dates["BYMONTHDAY"] = ",".join(map(str, range(1, 32)))
            self._days = _Days({"FREQ": "YEARLY", **of_dates}, datetime(start.year, 1, 1), 12)

    def walls(self, since: int, until: datetime) -> Iterator[int]:
        """Yield the wall seconds from ``since`` on, as long as the search for the next one does not go beyond ``until``."""
        chosen = self._chosen
        if not chosen:
            return
        span = _wall(until) - since
        limit, empty = since + span, 0
        for day in self._dates(since // DAY * DAY, until):
            if day > limit or empty > SEARCH_PERIODS:
                return
            spend()
            for number in self._periods_of(day, max(since - day, 0) // self._unit):
                empty += 1
                if not empty % 1024:
                    spend(1024 // _PERIODS)
                if number not in self._kept:
                    continue
                for second in chosen:
                    wall = day + number * self._unit + second
                    if wall >= since:
                        limit, empty = wall + span, 0
                        yield wall

    def _periods_of(self, day: int, begin: int) -> Iterable[int]:
        """Return the periods of a day that the interval reaches, by their number, from ``begin`` on."""
        if self._interval == 1:
            return self._periods[bisect_left(self._periods, begin) :] if begin else self._periods
        first = self.start // self._unit - day // self._unit
        return range(begin + (first - begin) % self._interval, DAY // self._unit, self._interval)

    def _dates(self, since: int, until: datetime) -> Iterator[int]:
        if self._days is None:
            return iter(range(since, _wall(_LAST_WALL), DAY))
        return self._days.walls(since, until)


def _chosen_periods(
    unit: int, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]
) -> list[int]:
    """Return the numbers of the periods of a day that begin in one of these hours, minutes and seconds; empty: in any."""
    of_hours, of_minutes, of_seconds = map(frozenset, (hours, minutes, seconds))
    return [
        number
        for number in range(DAY // unit)
        if (not hours or number * unit // 3600 in of_hours)
        and (unit == 3600 or not minutes or number * unit // 60 % 60 in of_minutes)
        and (unit > 1 or not seconds or number % 60 in of_seconds)
    ]


def _at_positions(within: Sequence[int], positions: Iterable[int]) -> Sequence[int]:
    """Return the items at some positions (BYSETPOS), counted from 1, or from -1 at the end."""
    size = len(within)
    places = {place - 1 if place > 0 else size + place for place in positions}
    return tuple(second for place, second in enumerate(within) if place in places)


def _days_counted(parts: dict[str, str]) -> dict[str, str]:
    """Return BYDAY where it mixes counted and plain days, with all of them counted.

    The RFC means days that are either (3.3.10); ``dateutil`` takes days that are both, and finds none.
    """
    days = parts.get("BYDAY", "").split(",")
    plain = [day for day in days if len(day) == 2]
    if not plain or len(plain) == len(days):
        return {}
    weeks = 5 if parts["FREQ"] == "MONTHLY" or "BYMONTH" in parts else 53
    counted = [day for day in days if len(day) > 2]
    return {
        "BYDAY": ",".join([*counted, *(f"{number}{day}" for day in plain for number in range(1, weeks + 1))])
    }


def _numbers(text: str | None) -> list[int]:
    return [] if text is None else sorted({int(item) for item in text.split(",")})


def _wall(at: datetime) -> int:
    return (at - _EPOCH) // _SECOND


def _reach(zone: ZoneMap, second: int) -> int:
    """Return how far wall times may lie out of order near a second: 0 where the clocks do not change soon."""
    start, end, offset = zone.stretch(second)
    jumps = abs(zone.offset(start - 1) - offset), abs(zone.offset(end) - offset)
    distances = second - start, end - second
    return max((jump for jump, distance in zip(jumps, distances, strict=True) if distance <= jump), default=0)


def _later(at: datetime, distance: timedelta) -> datetime:
    try:
        return min(at + distance, _LAST_WALL)
    except OverflowError:
        return _LAST_WALL
