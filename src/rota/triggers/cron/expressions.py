"""The kinds of expression that a cron field may hold, and the values each stands for.

Pure. The names and parameters of APScheduler's classes are kept; the crontab extensions (``L-3``, ``15W``, ``fri#2``)
have classes of their own.
"""

from __future__ import annotations

import re

from ...compat.absent import inner_name
from ...errors import TriggerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = (
    "AllExpression",
    "BeforeLastDayExpression",
    "LastDayOfMonthExpression",
    "LastWeekdayExpression",
    "MonthRangeExpression",
    "NearestWorkdayExpression",
    "RangeExpression",
    "WeekdayNumberExpression",
    "WeekdayOccurrenceExpression",
    "WeekdayPositionExpression",
    "WeekdayRangeExpression",
)

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

_FIELDS = ("year", "month", "day", "week", "day_of_week", "hour", "minute", "second")
MIN_VALUES = dict(zip(_FIELDS, (1970, 1, 1, 1, 0, 0, 0, 0), strict=True))
MAX_VALUES = dict(zip(_FIELDS, (9999, 12, 31, 53, 6, 23, 59, 59), strict=True))

#: Longer texts are no schedules, and are not cached.
LONGEST_TEXT = 4000


def shown(text: str) -> str:
    """Return a text as it is quoted in messages: in quotes, cut if it is long."""
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def mask_of(values: Iterable[int]) -> int:
    """Return the integer that has the bits of the given values."""
    result = 0
    for value in values:
        result |= 1 << value
    return result


def index_of(kind: str, names: list[str], name: str) -> int:
    """Return the index of a name in a list.

    :raises TriggerError: if it is not there
    """
    try:
        return names.index(name.lower())
    except ValueError:
        raise TriggerError(f'Invalid {kind} name "{name}"; write one of {", ".join(names)}') from None


class Expression:
    """Base class: one item of a comma list; equal to another of the same class and text."""

    value_re = re.compile("")

    def validate_range(self, field_name: str) -> None:
        """Raise a TriggerError if a value or step does not suit the field."""
        self.validate_values(field_name)

    def validate_values(self, field_name: str) -> None:
        """Raise a TriggerError if a value does not suit the field; steps may be of any length, as in crontab."""

    def values(self, field_name: str) -> Iterable[int]:
        """Return the values of the field that match, where these are the same in every month."""
        return ()

    def mask(self, field_name: str) -> int:
        """Return the mask of :meth:`values`."""
        return mask_of(self.values(field_name))

    def days(self, length: int, first_weekday: int) -> int:
        """Return the mask of the days that match in a month, where this depends on the month.

        :param length: days in the month
        :param first_weekday: weekday of its first day, 0 = Monday
        """
        return 0

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash((type(self), str(self)))


def _every(first: int, last: int, step: int | None) -> int:
    """Return the mask of every step-th value of a range that does not run over the end of its field."""
    if not step or step == 1:
        return (2 << last) - (1 << first)
    if step > last - first:  # the formula below would make a huge integer
        return 1 << first
    size = ((last - first) // step + 1) * step
    return ((1 << size) - 1) // ((1 << step) - 1) << first


class AllExpression(Expression):
    """``*`` and ``*/step``: every value, or every step-th from the field's minimum."""

    value_re = re.compile(r"\*(?:/(?P<step>\d+))?", re.ASCII)

    def __init__(self, step: str | int | None = None) -> None:
        self.step = None if step is None else int(step)
        if self.step == 0:
            raise TriggerError("Increment must be higher than 0")

    def validate_range(self, field_name: str) -> None:
        self._check_step(MAX_VALUES[field_name] - MIN_VALUES[field_name])

    def _check_step(self, value_range: int) -> None:
        if self.step and self.step > value_range:
            raise TriggerError(
                f"the step value ({self.step}) is higher than the total range of the expression ({value_range})"
            )

    def values(self, field_name: str) -> Iterable[int]:
        return range(MIN_VALUES[field_name], MAX_VALUES[field_name] + 1, self.step or 1)

    def mask(self, field_name: str) -> int:
        return _every(MIN_VALUES[field_name], MAX_VALUES[field_name], self.step)

    def __str__(self) -> str:
        return f"*/{self.step}" if self.step else "*"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.step})"


class RangeExpression(AllExpression):
    """``a``, ``a-b``, ``a/step`` (to the end of the field) and ``a-b/step``."""

    value_re = re.compile(r"(?P<first>\d+)(?:-(?P<last>\d+))?(?:/(?P<step>\d+))?", re.ASCII)
    #: whether a range may run over the end of the field
    wraps = False

    def __init__(
        self, first: str | int, last: str | int | None = None, step: str | int | None = None
    ) -> None:
        super().__init__(step)
        self.first = int(first)
        self.last = int(last) if last is not None else self.first if step is None else None
        if self.last is not None and self.first > self.last and not self.wraps:
            raise TriggerError("The minimum value in a range must not be higher than the maximum")

    def validate_range(self, field_name: str) -> None:
        super().validate_range(field_name)
        self.validate_values(field_name)
        last = MAX_VALUES[field_name] if self.last is None else self.last
        if last or self.first:  # APScheduler lets 0-0/n pass
            size = 0 if last >= self.first else MAX_VALUES[field_name] + 1
            self._check_step(last - self.first + size)

    def validate_values(self, field_name: str) -> None:
        low, high = MIN_VALUES[field_name], MAX_VALUES[field_name]
        if self.first < low:
            raise TriggerError(f"the first value ({self.first}) is lower than the minimum value ({low})")
        last = high if self.last is None else self.last
        if max(self.first, last) > high:
            raise TriggerError(
                f"the last value ({max(self.first, last)}) is higher than the maximum value ({high})"
            )

    def values(self, field_name: str) -> Iterable[int]:
        low, high = MIN_VALUES[field_name], MAX_VALUES[field_name]
        last = high if self.last is None else self.last
        size = high - low + 1
        if last < self.first:
            last += size
        return [low + (value - low) % size for value in range(self.first, last + 1, self.step or 1)]

    def mask(self, field_name: str) -> int:
        last = MAX_VALUES[field_name] if self.last is None else self.last
        return mask_of(self.values(field_name)) if last < self.first else _every(self.first, last, self.step)

    def __str__(self) -> str:
        # With a step, 7-7 is not 7: that would run to the end of the field.
        single = self.last is None or (self.last == self.first and not self.step)
        text = str(self.first) if single else f"{self.first}-{self.last}"
        return f"{text}/{self.step}" if self.step else text

    def __repr__(self) -> str:
        shown = [str(self.first)]
        if self.last not in (None, self.first) or self.step:
            shown.append(str(self.last))
        if self.step:
            shown.append(str(self.step))
        return f"{type(self).__name__}({', '.join(shown)})"


class WeekdayNumberExpression(RangeExpression):
    """A weekday or range of weekdays in numbers, 0 = Monday; a reversed range runs over Sunday."""

    wraps = True


class _NameRangeExpression(RangeExpression):
    value_re = re.compile(r"(?P<first>[a-z]+)(?:-(?P<last>[a-z]+))?", re.IGNORECASE | re.ASCII)
    kind = ""
    names: list[str] = []
    lowest = 0

    def __init__(self, first: str, last: str | None = None) -> None:
        super().__init__(
            index_of(self.kind, self.names, first) + self.lowest,
            None if last is None else index_of(self.kind, self.names, last) + self.lowest,
        )

    def _shown(self) -> list[str]:
        ends = [self.first] if self.last is None or self.last == self.first else [self.first, self.last]
        return [self.names[value - self.lowest] for value in ends]

    def __str__(self) -> str:
        return "-".join(self._shown())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._shown()))})"


class MonthRangeExpression(_NameRangeExpression):
    """A month or range of months by name."""

    kind = "month"
    names = MONTHS
    lowest = 1


class WeekdayRangeExpression(_NameRangeExpression):
    """A weekday or range of weekdays by name; a reversed range runs over Sunday."""

    wraps = True
    kind = "weekday"
    names = WEEKDAYS


# ----------------------------------------------------------------------------------- what depends on the month


_EVERY_SEVENTH = mask_of(range(0, 31, 7))


def weekday_days(weekday: int, length: int, first_weekday: int) -> int:
    """Return the mask of the days of a month that fall on a weekday."""
    return (_EVERY_SEVENTH << ((weekday - first_weekday) % 7 + 1)) & ((2 << length) - 1)


def _last_bit(mask: int) -> int:
    return 1 << (mask.bit_length() - 1)


class WeekdayPositionExpression(Expression):
    """``2nd fri``, ``last sun``: an occurrence of a weekday within the month."""

    options = ["1st", "2nd", "3rd", "4th", "5th", "last"]
    value_re = re.compile(
        rf"(?P<option_name>{'|'.join(options)}) +(?P<weekday_name>\w+)", re.IGNORECASE | re.ASCII
    )

    def __init__(self, option_name: str, weekday_name: str) -> None:
        self.option_num = index_of("position", self.options, option_name)
        self.weekday = index_of("weekday", WEEKDAYS, weekday_name)

    def days(self, length: int, first_weekday: int) -> int:
        all_of_them = weekday_days(self.weekday, length, first_weekday)
        if self.option_num == 5:
            return _last_bit(all_of_them)
        return all_of_them & (0b11111110 << (7 * self.option_num))

    def __str__(self) -> str:
        return f"{self.options[self.option_num]} {WEEKDAYS[self.weekday]}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.options[self.option_num]!r}, {WEEKDAYS[self.weekday]!r})"


class LastDayOfMonthExpression(Expression):
    """``last``: the last day of the month."""

    value_re = re.compile(r"last", re.IGNORECASE)

    def days(self, length: int, first_weekday: int) -> int:
        return 1 << length

    def __str__(self) -> str:
        return "last"

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class BeforeLastDayExpression(Expression):
    """``L-3``: so many days before the last day of the month."""

    value_re = re.compile(r"L-(?P<distance>\d+)", re.ASCII)

    def __init__(self, distance: str | int) -> None:
        self.distance = int(distance)

    def validate_values(self, field_name: str) -> None:
        if self.distance > 30:
            raise TriggerError(f"the distance ({self.distance}) is higher than the maximum value (30)")

    def days(self, length: int, first_weekday: int) -> int:
        day = length - self.distance
        return 1 << day if day >= 1 else 0

    def __str__(self) -> str:
        return f"L-{self.distance}"


class NearestWorkdayExpression(Expression):
    """``15W``, ``LW``, ``L-3W``: the Monday to Friday nearest to a day (or to one before the last), within the same month.

    In a month that has no such day its last day is taken; one without the day that ``L-30W`` counts to is left out.
    """

    value_re = re.compile(r"(?:(?P<day>\d+)|L(?:-(?P<distance>\d+))?)W", re.ASCII)

    def __init__(self, day: str | int | None = None, distance: str | int | None = None) -> None:
        #: the day, or None if it is counted from the last one
        self.day = None if day is None else int(day)
        #: how many days before the last one
        self.distance = int(distance or 0)

    def validate_values(self, field_name: str) -> None:
        if self.day is not None and not 1 <= self.day <= 31:
            raise TriggerError(f"the day ({self.day}) is not one of 1 to 31")
        if self.distance > 30:
            raise TriggerError(f"the distance ({self.distance}) is higher than the maximum value (30)")

    def days(self, length: int, first_weekday: int) -> int:
        day = length - self.distance if self.day is None else min(self.day, length)
        if day < 1:
            return 0
        weekday = (first_weekday + day - 1) % 7
        if weekday == 5:
            day += -1 if day > 1 else 2
        elif weekday == 6:
            day += 1 if day < length else -2
        return 1 << day

    def __str__(self) -> str:
        if self.day is not None:
            return f"{self.day}W"
        return f"L-{self.distance}W" if self.distance else "LW"


class WeekdayOccurrenceExpression(Expression):
    """``fri#2``: an occurrence of a weekday within the month, in the weekday field."""

    value_re = re.compile(r"(?P<weekday_name>[a-z]+)#(?P<number>[1-5])", re.IGNORECASE | re.ASCII)

    def __init__(self, weekday_name: str, number: str | int) -> None:
        self.weekday = index_of("weekday", WEEKDAYS, weekday_name)
        self.number = int(number)

    def days(self, length: int, first_weekday: int) -> int:
        return weekday_days(self.weekday, length, first_weekday) & (0b11111110 << (7 * (self.number - 1)))

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.weekday]}#{self.number}"


class LastWeekdayExpression(Expression):
    """``friL``: the last of a weekday in the month, in the weekday field."""

    value_re = re.compile(r"(?P<weekday_name>[a-z]{3})L", re.ASCII)

    def __init__(self, weekday_name: str) -> None:
        self.weekday = index_of("weekday", WEEKDAYS, weekday_name)

    def days(self, length: int, first_weekday: int) -> int:
        return _last_bit(weekday_days(self.weekday, length, first_weekday))

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.weekday]}L"


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> object:
        return inner_name(__name__, name)
