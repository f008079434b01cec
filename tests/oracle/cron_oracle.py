"""What a cron schedule should do, worked out slowly: an oracle for :class:`rota.triggers.cron.CronTrigger`.

Shares nothing with the triggers. It reads the texts of the fields itself, asks of every date and every second whether they match,
lets a clock run through the changes of a zone, and applies the table of the policies as it is written in the documentation.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("Change", "Reading", "Tick", "calendar_fires", "changes", "clock", "clock_fires")

THREE_HOURS = 3 * 3600
FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
LIMITS = {
    "year": (1970, 9999),
    "month": (1, 12),
    "day": (1, 31),
    "week": (1, 53),
    "day_of_week": (0, 6),
    "hour": (0, 23),
    "minute": (0, 59),
    "second": (0, 59),
}
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


# ---------------------------------------------------------------------------------------------------------- reading


class Reading:
    """What the fields of a schedule say.

    :param texts: the texts of the fields by the names of the keyword interface; weekdays as names or, in a crontab, as its numbers
    :param notation: ``"keyword"``, ``"cron"`` or ``"quartz"``
    """

    def __init__(self, texts: dict[str, str], notation: str) -> None:
        self.notation = notation
        if notation == "keyword":
            texts = _with_defaults(texts)
        else:
            texts = {"year": "*", "week": "*", "second": "0", **texts}
        self.texts = texts
        #: whether the second, minute or hour begins with a star
        self.wild = any(texts[name].startswith("*") for name in ("second", "minute", "hour"))
        either = notation != "keyword" and not any(
            texts[name].startswith(("*", "?")) for name in ("day", "day_of_week")
        )
        rules = {name: self._rule(name, texts[name]) for name in FIELDS}
        self._time_rules = (rules["hour"], rules["minute"], rules["second"])
        self.hours, self.minutes, self.seconds = (
            [value for value in range(LIMITS[name][1] + 1) if rule(value)]
            for name, rule in zip(("hour", "minute", "second"), self._time_rules, strict=True)
        )

        @cache
        def matches_date(at: date) -> bool:
            day, weekday = rules["day"](at), rules["day_of_week"](at)
            return bool(
                (day or weekday if either else day and weekday)
                and rules["month"](at.month)
                and rules["year"](at.year)
                and rules["week"](at.isocalendar()[1])
            )

        self.matches_date: Callable[[date], bool] = matches_date

    def matches(self, wall: datetime) -> bool:
        """Tell whether the schedule names a wall time."""
        hour, minute, second = self._time_rules
        return bool(
            minute(wall.minute) and hour(wall.hour) and second(wall.second) and self.matches_date(wall.date())
        )

    def _rule(self, name: str, text: str) -> Callable[..., bool]:
        if text == "?":
            return lambda _: True
        rules = [self._item(name, item.strip()) for item in text.split(",")]
        return lambda value: any(rule(value) for rule in rules)

    def _item(self, name: str, item: str) -> Callable[..., bool]:
        if name == "day":
            special = _special_day(item)
            if special is not None:
                return special
            numbers = self._numbers(name, item)
            return lambda at: at.day in numbers
        if name == "day_of_week":
            if "#" in item or (len(item) > 1 and item.endswith("L")):
                return self._special_weekday(item)
            if item == "L":
                return lambda at: at.weekday() == 5
            weekdays = self._numbers(name, item)
            return lambda at: at.weekday() in weekdays
        values = self._numbers(name, item)
        return lambda value: value in values

    def _numbers(self, name: str, item: str) -> frozenset[int]:
        low, high = LIMITS[name]
        crontab_weekday = name == "day_of_week" and self.notation != "keyword"
        if crontab_weekday:
            low, high = (1, 7) if self.notation == "quartz" else (0, 7)
        body, _, step_text = item.partition("/")
        step = int(step_text) if step_text else 1
        if body == "*":
            first, last = low, high
        else:
            first_text, dash, last_text = body.partition("-")
            first = self._number(name, first_text)
            last = self._number(name, last_text) if dash else high if step_text else first
        found, at = [], first
        if last < first:
            last += 7  # only weekdays run over the end
        while at <= last:
            found.append(at)
            at += step
        if name != "day_of_week":
            return frozenset(found)
        # Weekday 0 of the result is Monday; that is crontab's 1 and Quartz's 2.
        shift = {"keyword": 0, "cron": 1, "quartz": 2}[self.notation]
        return frozenset((number - shift) % 7 for number in found)

    def _number(self, name: str, text: str) -> int:
        if text.isdigit():
            return int(text)
        if name == "month":
            return _MONTHS.index(text.lower()) + 1
        monday_first = _WEEKDAYS.index(text.lower())
        if self.notation == "keyword":
            return monday_first
        sunday_first = (monday_first + 1) % 7
        return sunday_first + 1 if self.notation == "quartz" else sunday_first

    def _special_weekday(self, item: str) -> Callable[[date], bool]:
        body, sign, number = item.partition("#")
        text = body if sign else item[:-1]
        (weekday,) = self._numbers("day_of_week", text)
        if sign:
            return lambda at: at.weekday() == weekday and (at.day - 1) // 7 + 1 == int(number)
        return lambda at: at.weekday() == weekday and (at + timedelta(7)).month != at.month


def _with_defaults(texts: dict[str, str]) -> dict[str, str]:
    """Return all fields: those below the least significant one given take their minimum, the others a star."""
    given = [index for index, name in enumerate(FIELDS) if name in texts]
    lowest = max(given, default=len(FIELDS))
    result = {}
    for index, name in enumerate(FIELDS):
        minimum = index > lowest and name not in ("week", "day_of_week")
        result[name] = texts.get(name, str(LIMITS[name][0]) if minimum else "*")
    return result


def _special_day(item: str) -> Callable[[date], bool] | None:
    folded = item.upper()
    if folded in ("L", "LAST"):
        return lambda at: at.day == _length(at)
    if folded.startswith("L-"):
        before = int(folded[2:].removesuffix("W"))
        if folded.endswith("W"):
            return lambda at: before < _length(at) and at.day == _nearest_workday(at, _length(at) - before)
        return lambda at: at.day == _length(at) - before
    if folded.endswith("W"):
        return lambda at: at.day == _nearest_workday(at, None if folded == "LW" else int(folded[:-1]))
    position, blank, weekday = item.partition(" ")
    if not blank:
        return None
    wanted = _WEEKDAYS.index(weekday.lower())
    if position == "last":
        return lambda at: at.weekday() == wanted and at.day + 7 > _length(at)
    which = int(position[0])
    return lambda at: at.weekday() == wanted and 7 * which - 6 <= at.day <= 7 * which


def _length(at: date) -> int:
    return next(day for day in (31, 30, 29, 28) if _exists(at, day))


def _exists(at: date, day: int) -> bool:
    try:
        at.replace(day=day)
    except ValueError:
        return False
    return True


def _nearest_workday(at: date, day: int | None) -> int:
    last = _length(at)
    wanted = last if day is None else min(day, last)
    workdays = [number for number in range(1, last + 1) if at.replace(day=number).weekday() < 5]
    return min(workdays, key=lambda number: abs(number - wanted))


# --------------------------------------------------------------------------------------------- changes of the clocks


class Change:
    """A change of a zone's offset: the first second of the new one, and the offsets before and after."""

    def __init__(self, at: int, before: int, after: int) -> None:
        self.at = at
        self.before = before
        self.after = after


def offset(zone: ZoneInfo, second: int) -> int:
    """Return by how many seconds a zone is ahead of UTC."""
    delta = datetime.fromtimestamp(second, zone).utcoffset()
    assert delta is not None
    return delta.days * 86400 + delta.seconds


@lru_cache(maxsize=1024)
def changes(key: str, first_year: int = 1970, last_year: int = 2050) -> tuple[Change, ...]:
    """Return all changes of a zone's offset in a span of years, found by looking at every day."""
    zone = ZoneInfo(key)
    at = int(datetime(first_year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(last_year + 1, 1, 1, tzinfo=UTC).timestamp())
    found = []
    before = offset(zone, at)
    while at < end:
        after = offset(zone, at + 86400)
        if after != before:
            low, high = at, at + 86400
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
            found.append(Change(high, before, after))
            before = after
        at += 86400
    return tuple(found)


class Tick:
    """A moment of real time and what a clock on the wall shows."""

    __slots__ = ("at", "before", "skipped", "turned", "wall")

    def __init__(
        self, at: int, wall: datetime, before: int | None, turned: int, skipped: list[datetime]
    ) -> None:
        self.at = at
        self.wall = wall
        #: when the wall showed the same for the first time, None if it did not
        self.before = before
        #: when the clock was last put back
        self.turned = turned
        #: the wall times that the clock has jumped over to come here
        self.skipped = skipped


@lru_cache(maxsize=16)
def clock(key: str, start: int, end: int, step: int) -> tuple[Tick, ...]:
    """Let a clock run from ``start`` to ``end`` (seconds since the epoch), one tick every ``step`` seconds."""
    zone, unit = ZoneInfo(key), timedelta(seconds=step)
    found: list[Tick] = []
    shown: dict[datetime, int] = {}
    last: datetime | None = None
    turned = start
    for at in range(start, end, step):
        wall = datetime.fromtimestamp(at, zone).replace(tzinfo=None, fold=0)
        skipped: list[datetime] = []
        if last is not None:
            if wall < last:
                turned = at
            jumped = last + unit
            while jumped < wall:
                skipped.append(jumped)
                jumped += unit
        found.append(Tick(at, wall, shown.get(wall), turned, skipped))
        shown.setdefault(wall, at)
        last = wall
    return tuple(found)


# ------------------------------------------------------------------------------------------------------------ fires


class _Fires:
    """The fires of a schedule, worked out in the order of real time."""

    def __init__(self, reading: Reading, policy: str, start: int | None) -> None:
        self.wild = reading.wild
        self.policy = policy
        self.start = start
        self.found: set[int] = set()

    def add(self, at: int) -> None:
        if self.start is None or at >= self.start:
            self.found.add(at)

    def after_gap(self, end: int, length: int, shifted: list[int]) -> None:
        """Deal with matching times in a gap; ``shifted``: as far after its beginning as they lie in it."""
        caught_up = self.policy == "vixie" and not self.wild and length <= THREE_HOURS
        if self.policy == "gap-end" or caught_up:
            self.add(end)
        elif self.policy == "shift":
            for at in shifted:
                self.add(at)

    def second_pass(self, at: int, first: int, turned: int) -> None:
        """Deal with a matching time that the clock has shown at ``first``, before it was put back at ``turned``."""
        hidden = False
        if not self.wild and self.policy != "wall":
            if self.policy == "shift":
                hidden = True
            elif at - first <= THREE_HOURS:
                hidden = any(first <= fire < turned for fire in self.found)
        if not hidden:
            self.add(at)


def clock_fires(reading: Reading, ticks: tuple[Tick, ...], policy: str, start: int | None) -> list[int]:
    """Return when a schedule fires while a clock runs.

    :param start: when the schedule begins (seconds), None if it has always been there
    """
    step = ticks[1].at - ticks[0].at
    fires, matches = _Fires(reading, policy, start), reading.matches
    for tick in ticks:
        if tick.skipped:
            over = [number for number, wall in enumerate(tick.skipped) if matches(wall)]
            if over:
                shifted = [tick.at + number * step for number in over]
                fires.after_gap(tick.at, len(tick.skipped) * step, shifted)
        if matches(tick.wall):
            if tick.before is None:
                fires.add(tick.at)
            else:
                fires.second_pass(tick.at, tick.before, tick.turned)
    return sorted(at for at in fires.found if at <= ticks[-1].at)


def calendar_fires(reading: Reading, key: str, policy: str, first: date, days: int, start: int) -> list[int]:
    """Return when a schedule fires on so many dates, looking at each; changes of the clocks as PEP 495 tells them."""
    zone = ZoneInfo(key)
    events: list[tuple[int, str, int, int]] = []
    for number in range(days):
        at = first + timedelta(number)
        if reading.matches_date(at):
            for hour in reading.hours:
                for minute in reading.minutes:
                    for second in reading.seconds:
                        events += _events(datetime(at.year, at.month, at.day, hour, minute, second), zone)
    fires = _Fires(reading, policy, start)
    for at_second, kind, one, other in sorted(events):
        if kind == "gap":
            fires.after_gap(at_second, one, [other])
        elif kind == "second pass":
            fires.second_pass(at_second, one, other)
        else:
            fires.add(at_second)
    return sorted(fires.found)


def _events(wall: datetime, zone: ZoneInfo) -> list[tuple[int, str, int, int]]:
    """Return when clocks in a zone show a wall time: once, twice, or never (then the end of the gap)."""
    one, two = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    seconds = int(one.timestamp()), int(two.timestamp())
    if seconds[0] == seconds[1]:
        return [(seconds[0], "once", 0, 0)]
    turned = _change_between(zone, min(seconds), max(seconds))
    if seconds[0] < seconds[1]:
        return [(seconds[0], "once", 0, 0), (seconds[1], "second pass", seconds[0], turned)]
    return [(turned, "gap", seconds[0] - seconds[1], seconds[0])]


def _change_between(zone: ZoneInfo, low: int, high: int) -> int:
    before = offset(zone, low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset(zone, middle) == before else (low, middle)
    return high
