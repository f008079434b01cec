"""A cron schedule on the wall clock: which wall seconds match, found by dates and bit masks.

Pure, and without time zones: *wall seconds* count what a clock shows as if it were UTC.
"""

from __future__ import annotations

from datetime import date

from .dates import FIRST_YEAR, LAST_YEAR, Dates

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fields import BaseField

DAY = 86400
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
LAST_WALL = (date(LAST_YEAR, 12, 31).toordinal() - EPOCH_ORDINAL + 1) * DAY


def _low(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


class Times:
    """The matching seconds of a day, the same on every date that matches.

    :param fields: hour, minute and second
    """

    __slots__ = ("_first_second", "_hours", "_minutes", "_seconds", "fields", "first", "wild")

    def __init__(self, fields: tuple[BaseField, ...]) -> None:
        self.fields = fields
        hour, minute, second = fields
        self._hours, self._minutes, self._seconds = hours, minutes, seconds = (
            hour.mask(),
            minute.mask(),
            second.mask(),
        )
        #: whether the second, minute or hour begins with ``*`` (crontab's rule for what follows real time at DST changes)
        self.wild = second.begins_with_star() or minute.begins_with_star() or hour.begins_with_star()
        self._first_second = _low(seconds)
        self.first = _low(hours) * 3600 + _low(minutes) * 60 + self._first_second

    def first_from(self, second: int) -> int:
        """Return the first matching second of a day from ``second`` on, -1 if there is none."""
        hour, rest = divmod(second, 3600)
        if self._hours >> hour & 1:
            minute, rest = divmod(rest, 60)
            if self._minutes >> minute & 1:
                left = self._seconds >> rest
                if left:
                    return second + (left & -left).bit_length() - 1
            left = self._minutes >> (minute + 1)
            if left:
                return hour * 3600 + (minute + (left & -left).bit_length()) * 60 + self._first_second
        left = self._hours >> (hour + 1)
        if left:
            return (hour + (left & -left).bit_length()) * 3600 + self.first % 3600
        return -1

    def last(self) -> int:
        """Return the last matching second of a day."""
        return self.last_to(DAY - 1)

    def last_to(self, second: int) -> int:
        """Return the last matching second of a day up to ``second``, -1 if there is none."""
        hour, rest = divmod(second, 3600)
        latest = self._seconds.bit_length() - 1
        if self._hours >> hour & 1:
            minute, rest = divmod(rest, 60)
            if self._minutes >> minute & 1:
                left = self._seconds & ((2 << rest) - 1)
                if left:
                    return hour * 3600 + minute * 60 + left.bit_length() - 1
            left = self._minutes & ((1 << minute) - 1)
            if left:
                return hour * 3600 + (left.bit_length() - 1) * 60 + latest
        left = self._hours & ((1 << hour) - 1)
        if left:
            return (left.bit_length() - 1) * 3600 + (self._minutes.bit_length() - 1) * 60 + latest
        return -1

    def count_before(self, second: int) -> int:
        """Return how many seconds of a day match before ``second``."""
        hour, rest = divmod(second, 3600)
        minute, rest = divmod(rest, 60)
        per_minute = self._seconds.bit_count()
        count = (self._hours & ((1 << hour) - 1)).bit_count() * self._minutes.bit_count() * per_minute
        if self._hours >> hour & 1:
            count += (self._minutes & ((1 << minute) - 1)).bit_count() * per_minute
            if self._minutes >> minute & 1:
                count += (self._seconds & ((1 << rest) - 1)).bit_count()
        return count

    def count(self) -> int:
        """Return how many seconds of a day match."""
        return self._hours.bit_count() * self._minutes.bit_count() * self._seconds.bit_count()

    def is_periodic(self, length: int) -> bool:
        """Tell whether the times are the same after so many seconds: in every hour, and within the hour."""
        minutes, seconds = divmod(length % 3600, 60)
        if self._hours != (1 << 24) - 1 or seconds:
            return False
        whole = (1 << 60) - 1
        return self._minutes == (self._minutes << minutes | self._minutes >> (60 - minutes)) & whole

    def never_meet(self, other: Times) -> bool:
        """Tell whether two rules match no common second of a day."""
        return not (
            self._hours & other._hours and self._minutes & other._minutes and self._seconds & other._seconds
        )


class Schedule:
    """The wall seconds that match: the dates and the times of eight fields, both shared with other schedules."""

    __slots__ = ("dates", "times")

    dates: Dates
    times: Times

    def next_wall(self, wall: int) -> int | None:
        """Return the first matching wall second from ``wall`` on, None if there is none before the calendar ends."""
        if wall < 0:
            wall = 0
        elif wall >= LAST_WALL:
            return None
        day, second = divmod(wall, DAY)
        today = date.fromordinal(day + EPOCH_ORDINAL)
        year, month = today.year, today.month
        masks = self.dates.by_year.get(year)
        if masks is None:
            masks = self.dates.of_year(year)
        if masks:
            left = masks[month] >> today.day
            if left & 1:
                time = self.times.first_from(second)
                if time >= 0:
                    return wall - second + time
                left -= 1
            if left:
                return (day + _low(left)) * DAY + self.times.first
        return self._first_after(year, month, masks)

    def _first_after(self, year: int, month: int, masks: tuple[int, ...]) -> int | None:
        """Return the first matching wall second after a month."""
        dates = self.dates
        years, known = dates.years, dates.by_year
        while True:
            for later, mask in enumerate(masks[month + 1 :], month + 1):
                if mask:
                    first = date(year, later, 1).toordinal() - EPOCH_ORDINAL
                    return (first + _low(mask) - 1) * DAY + self.times.first
            month, masks = 0, ()
            while not masks:  # a separate loop: 29 February is a Monday in one year of 28
                year += 1
                if years is not None:
                    left = years >> (year - FIRST_YEAR)
                    year = year + _low(left) if left else LAST_YEAR + 1
                if year > LAST_YEAR:
                    return None
                found = known.get(year)
                masks = dates.of_year(year) if found is None else found

    def last_wall(self, wall: int) -> int | None:
        """Return the last matching wall second up to ``wall``, None if there is none since 1970."""
        if wall < 0:
            return None
        day, second = divmod(min(wall, LAST_WALL - 1), DAY)
        today = date.fromordinal(day + EPOCH_ORDINAL)
        year, month = today.year, today.month
        masks = self._of_year(year)
        if masks:
            if masks[month] >> today.day & 1:
                time = self.times.last_to(second)
                if time >= 0:
                    return day * DAY + time
            left = masks[month] & ((1 << today.day) - 1)
            if left:
                return (day - today.day + left.bit_length() - 1) * DAY + self.times.last()
        return self._last_before(year, month, masks)

    def _last_before(self, year: int, month: int, masks: tuple[int, ...]) -> int | None:
        """Return the last matching wall second before a month."""
        years = self.dates.years
        while True:
            for earlier in range(month - 1 if masks else 0, 0, -1):
                if masks[earlier]:
                    first = date(year, earlier, 1).toordinal() - EPOCH_ORDINAL
                    return (first + masks[earlier].bit_length() - 2) * DAY + self.times.last()
            year -= 1
            if years is not None:
                year = FIRST_YEAR + (years & ((2 << (year - FIRST_YEAR)) - 1)).bit_length() - 1
            if year < FIRST_YEAR:
                return None
            month, masks = 13, self._of_year(year)

    def count_walls(self, start: int, end: int) -> int:
        """Return how many wall seconds match from ``start`` to before ``end``."""
        start, end = max(start, 0), min(end, LAST_WALL - 1)
        if end <= start:
            return 0
        first_day, first_second = divmod(start, DAY)
        last_day, last_second = divmod(end, DAY)
        count = self._days_between(first_day, last_day) * self.times.count()
        if first_second and self._day_matches(first_day):
            count -= self.times.count_before(first_second)
        if last_second and self._day_matches(last_day):
            count += self.times.count_before(last_second)
        return count

    def _day_matches(self, day: int) -> bool:
        at = date.fromordinal(day + EPOCH_ORDINAL)
        masks = self._of_year(at.year)
        return bool(masks and masks[at.month] >> at.day & 1)

    def _days_between(self, first: int, last: int) -> int:
        """Return how many dates match from day ``first`` to before day ``last``."""
        start, end = date.fromordinal(first + EPOCH_ORDINAL), date.fromordinal(last + EPOCH_ORDINAL)
        count = 0
        for year in range(start.year, end.year + 1):
            masks = self._of_year(year)
            if not masks:
                continue
            count += sum(mask.bit_count() for mask in masks)
            if year == start.year:
                count -= sum(mask.bit_count() for mask in masks[: start.month])
                count -= (masks[start.month] & ((1 << start.day) - 1)).bit_count()
            if year == end.year:
                count -= sum(mask.bit_count() for mask in masks[end.month + 1 :])
                count -= (masks[end.month] >> end.day).bit_count()
        return count

    def never_meets(self, other: Schedule) -> bool:
        """Tell whether two schedules provably match no common wall second."""
        return self.times.never_meet(other.times) or self.dates.never_meet(other.dates)

    def _of_year(self, year: int) -> tuple[int, ...]:
        found = self.dates.by_year.get(year)
        return self.dates.of_year(year) if found is None else found
