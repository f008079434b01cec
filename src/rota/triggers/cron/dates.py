"""The dates that a cron schedule matches, as bit masks of days for each month of a year.

Pure. One object is shared by all schedules with the same date fields, however their times differ.
"""

from __future__ import annotations

from datetime import date
from functools import cache

from ...errors import NeverFiresError
from .expressions import weekday_days

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .fields import BaseField

FIRST_YEAR, LAST_YEAR = 1970, 9998
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_EVERY_WEEKDAY = (1 << 7) - 1
_NO_MONTHS: tuple[int, ...] = ()


class Dates:
    """The matching days of every year.

    :param fields: year, month, day, week and day_of_week
    :param either: whether a date matches by its day *or* its weekday (crontab(5), both restricted)
    :param extended: whether the fields use the crontab extensions
    :raises NeverFiresError: if no date of the calendar matches, whatever the year
    """

    __slots__ = (
        "_by_kind",
        "_days",
        "_months",
        "_weekdays",
        "_weeks",
        "by_year",
        "either",
        "extended",
        "fields",
        "years",
    )

    def __init__(self, fields: tuple[BaseField, ...], either: bool = False, extended: bool = False) -> None:
        self.fields, self.either, self.extended = fields, either, extended
        year, month, day, week, day_of_week = fields
        #: the years that match, counted from 1970, or None for all
        self.years = None if str(year) == "*" else year.mask() >> FIRST_YEAR
        self._weeks = None if str(week) == "*" else week.mask()
        self._months, self._days, self._weekdays = month.mask(), day.mask(), day_of_week.mask()
        #: what :meth:`of_year` remembers
        self.by_year: dict[int, tuple[int, ...]] = {}
        self._by_kind: dict[tuple[bool, int, bool], tuple[int, ...]] = {}
        if not self._match_some():
            shown = ", ".join(f"{field.name}='{field}'" for field in fields[1:])
            raise NeverFiresError(f"No date matches {shown}, in any year")

    def of_year(self, year: int) -> tuple[int, ...]:
        """Return the masks of the days of each month (index 1 to 12); empty if nothing matches in the year."""
        if year < FIRST_YEAR or (self.years is not None and not self.years >> (year - FIRST_YEAR) & 1):
            found = _NO_MONTHS
        else:
            found = self.without_year(year)
            if not any(found):
                found = _NO_MONTHS
        self.by_year[year] = found
        return found

    def without_year(self, year: int) -> tuple[int, ...]:
        """Return the masks of a year without regard to the year field."""
        kind = _kind(year)
        found = self._by_kind.get(kind)
        if found is None:
            leap, first_weekday, _ = kind
            masks = [0]
            for month in range(1, 13):
                length = 29 if month == 2 and leap else _LENGTHS[month]
                masks.append(
                    self._month(year, month, length, first_weekday) if self._months >> month & 1 else 0
                )
                first_weekday = (first_weekday + length) % 7
            found = self._by_kind[kind] = tuple(masks)
        return found

    def _match_some(self) -> bool:
        """Tell whether any date of the calendar matches, whatever the year."""
        if self._weeks is None and (self._weekdays == _EVERY_WEEKDAY or (self.either and self._days)):
            # Only the day and the month matter; the longest February has 29 days.
            days = _EVERY_DAY if self.either and self._weekdays else self._days
            longest = 0
            for month, length in enumerate(_LENGTHS):
                if self._months >> month & 1:
                    longest = max(longest, length + (month == 2))
            if days & ((2 << longest) - 2):
                return True
        elif self._weeks is None and self._weekdays and self._days == _EVERY_DAY:
            return True
        return any(any(self.without_year(year)) for year in every_kind_of_year())

    def never_meet(self, other: Dates) -> bool:
        """Tell whether two rules provably match no common date."""
        if self.years is not None and other.years is not None and not self.years & other.years:
            return True
        return not any(
            one & two
            for year in every_kind_of_year()
            for one, two in zip(self.without_year(year), other.without_year(year), strict=True)
        )

    def _month(self, year: int, month: int, length: int, first_weekday: int) -> int:
        days = self._days | self.fields[2].days(length, first_weekday)
        weekdays = self.fields[4].days(length, first_weekday)
        if self._weekdays == _EVERY_WEEKDAY:
            weekdays = _EVERY_DAY
        else:
            for weekday in range(7):
                if self._weekdays >> weekday & 1:
                    weekdays |= weekday_days(weekday, length, first_weekday)
        mask = days | weekdays if self.either else days & weekdays
        mask &= (2 << length) - 2
        if self._weeks is not None:
            for number in range(1, length + 1):
                if mask >> number & 1 and not self._weeks >> date(year, month, number).isocalendar()[1] & 1:
                    mask &= ~(1 << number)
        return mask


_EVERY_DAY = (1 << 32) - 2


@cache
def every_kind_of_year() -> list[int]:
    """Return one year of each kind: the calendar repeats itself after 400 years, most of which are alike."""
    kinds = {_kind(year): year for year in range(2000, 2400)}
    return list(kinds.values())


def _kind(year: int) -> tuple[bool, int, bool]:
    """Return what the dates of a year depend on: leap or not, its first weekday, and whether the year before was leap.

    (The last tells whether a first of January that is a Saturday is in week 52 or 53.)
    """
    return _is_leap(year), (date(year, 1, 1).toordinal() - 1) % 7, _is_leap(year - 1)


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
