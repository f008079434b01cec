"""Business calendars: which days are business days, and how to get from a day to one.

A calendar is a value; what it knows of public holidays it looks up in the ``holidays`` library by name, a year at a time.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

from ..errors import NeverFiresError, TriggerError, TriggerTypeError
from ..util import asdate, suggestion
from .weekdays import weekday_numbers, weekdays_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from typing import Any

#: After how many days without a business day the search gives up.
SEARCH_DAYS = 1000

#: The roll conventions, and the names by which markets know the same.
CONVENTIONS = {
    "none": "none",
    "unadjusted": "none",
    "next": "next",
    "following": "next",
    "previous": "previous",
    "preceding": "previous",
    "modified_following": "modified_following",
    "modified_next": "modified_following",
    "modified_previous": "modified_previous",
    "modified_preceding": "modified_previous",
}


class BusinessCalendar:
    """Says which days are business days: those that are neither at the weekend nor closed. Immutable, equal by value.

    :param country: ISO code of a country, of a part of it (``"DE-BY"``), or several: closed where any of them has a public
        holiday (needs ``rota[holidays]``)
    :param market: code of a market (``"NYSE"``, ``"ECB"``), or several: closed where any of them is (needs ``rota[holidays]``)
    :param weekend: days of the week (``"sat,sun"``; ``"fri,sat"``; ``()`` for none)
    :param closed: dates or ISO strings: further days that are closed
    :param open: dates or ISO strings: days that are business days whatever else is said
    :raises TriggerError: if a name or a date is not known
    :raises MissingExtraError: (an ``ImportError``) if holidays are asked for and ``holidays`` is not installed

    Names are stored, not the dates behind them: an update of ``holidays`` brings later changes of the law.
    """

    __slots__ = ("_closed", "_known", "_open", "_weekend", "countries", "markets")

    countries: tuple[str, ...]
    markets: tuple[str, ...]

    def __init__(
        self,
        country: str | Iterable[str] | None = None,
        market: str | Iterable[str] | None = None,
        *,
        weekend: int | str | Iterable[int | str] = "sat,sun",
        closed: Iterable[date | str] = (),
        open: Iterable[date | str] = (),
    ) -> None:
        self.countries = _names("country", country)
        self.markets = _names("market", market)
        self._weekend = frozenset() if weekend == "" else weekday_numbers(weekend)
        if len(self._weekend) == 7:
            raise TriggerError("weekend: seven days leave no business day")
        self._closed = _dates("closed", closed)
        self._open = _dates("open", open)
        #: the holidays of the years that were asked for
        self._known: dict[int, frozenset[date]] = {}
        if self.countries or self.markets:
            from .public_holidays import check_names  # import time

            check_names(self.countries, self.markets)

    @property
    def weekend(self) -> str:
        """The days of the weekend as a text, such as ``sat-sun``."""
        return weekdays_text(self._weekend)

    def is_business_day(self, day: date) -> bool:
        """Whether a date is a business day."""
        if day in self._open:
            return True
        return not (day.weekday() in self._weekend or day in self._closed or day in self._holidays(day.year))

    def business_days(self, start: date, end: date) -> Iterator[date]:
        """Yield the business days from ``start`` to ``end``, both included."""
        for number in range(start.toordinal(), end.toordinal() + 1):
            day = date.fromordinal(number)
            if self.is_business_day(day):
                yield day

    def next(self, day: date) -> date:
        """Return the first business day from ``day`` on.

        :raises NeverFiresError: if there is none in a thousand days
        """
        return self._search(day, 1)

    def previous(self, day: date) -> date:
        """Return the last business day up to ``day``.

        :raises NeverFiresError: if there is none in a thousand days
        """
        return self._search(day, -1)

    def shift(self, day: date, days: int) -> date:
        """Return the business day that is so many business days after ``day``; negative: before it; 0: ``day`` itself."""
        step = 1 if days > 0 else -1
        for _ in range(abs(days)):
            day = self._search(day + timedelta(days=step), step)
        return day

    def roll(self, day: date, convention: str = "next") -> date:
        """Return the business day that stands for ``day``: itself if it is one, else what the convention says.

        :param convention: ``"next"``, ``"previous"``, ``"modified_following"``, ``"modified_previous"`` or ``"none"``
            (``"following"``, ``"preceding"`` and ``"unadjusted"`` are other names)
        :raises TriggerError: if there is no such convention
        """
        convention = convention_named(convention)
        if convention == "none" or self.is_business_day(day):
            return day
        forward = convention in ("next", "modified_following")
        found = self.next(day) if forward else self.previous(day)
        if convention.startswith("modified") and found.month != day.month:
            found = self.previous(day) if forward else self.next(day)
        return found

    def spec(self) -> dict[str, Any]:
        """Return the calendar as JSON-able data: names and dates, without what is at its default."""
        spec: dict[str, Any] = {}
        for name, names in (("country", self.countries), ("market", self.markets)):
            if names:
                spec[name] = list(names) if len(names) > 1 else names[0]
        if self._weekend != {5, 6}:
            spec["weekend"] = self.weekend
        for name, days in (("closed", self._closed), ("open", self._open)):
            if days:
                spec[name] = [day.isoformat() for day in sorted(days)]
        return spec

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> BusinessCalendar:
        """Return the calendar of a :meth:`spec`."""
        return cls(**spec)

    def _holidays(self, year: int) -> frozenset[date]:
        known = self._known.get(year)
        if known is None:
            known = frozenset()
            if self.countries or self.markets:
                from .public_holidays import holidays_of  # import time

                known = holidays_of(self.countries, self.markets, year)
            self._known[year] = known
        return known

    def _search(self, day: date, step: int) -> date:
        number = day.toordinal()
        for _ in range(SEARCH_DAYS):
            if self.is_business_day(day):
                return day
            number += step
            day = date.fromordinal(number)
        raise NeverFiresError(f"{self} has no business day in the {SEARCH_DAYS} days next to {day}")

    def __reduce__(self) -> Any:
        return (_restored, (self.spec(),))

    def __eq__(self, other: object) -> bool:
        return self.spec() == other.spec() if isinstance(other, BusinessCalendar) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.countries, self.markets, self._weekend, self._closed, self._open))

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in self.spec().items()]
        return f"BusinessCalendar({', '.join(shown)})"

    def __str__(self) -> str:
        spec = self.spec()
        shown = [f"{name}={spec[name]!r}" for name in ("country", "market", "weekend") if name in spec]
        shown += [f"{name}=<{len(spec[name])} dates>" for name in ("closed", "open") if name in spec]
        return f"BusinessCalendar({', '.join(shown)})"


def convention_named(name: Any) -> str:
    """Return the usual name of a roll convention.

    :raises TriggerError: if there is none of that name
    """
    found = CONVENTIONS.get(name) if isinstance(name, str) else None
    if found is None:
        names = ", ".join(dict.fromkeys(CONVENTIONS.values()))
        raise TriggerError(
            f"There is no roll convention {name!r}{suggestion(str(name), CONVENTIONS)}; there are {names}"
        )
    return found


def ical_dates(source: str | bytes | PathLike[str], first_year: int, last_year: int) -> list[date]:
    """Return the days of the all-day events of an iCalendar file, for ``closed=`` or ``open=`` (needs ``rota[icalendar]``).

    Recurring events count in the years that are named; events with a time of day and cancelled ones do not count.

    :param source: path of the file, or its content as bytes
    :param first_year: the first year that is wanted
    :param last_year: the last one
    :raises TriggerError: if the file is not an iCalendar file, or the years are not a range
    :raises MissingExtraError: (an ``ImportError``) if a library is not installed
    """
    from .ical import dates_of  # import time

    return dates_of(source, first_year, last_year)


def _restored(spec: dict[str, Any]) -> BusinessCalendar:
    return BusinessCalendar(**spec)


def _names(what: str, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    names = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(name, str) and name for name in names):
        raise TriggerTypeError(f"{what} is a code such as 'DE', or several, not {value!r}")
    return tuple(sorted({name.upper() for name in names}))


def _dates(what: str, values: Any) -> frozenset[date]:
    if isinstance(values, (str, date)):
        raise TriggerTypeError(f"{what} takes a list of dates, not {values!r}; write [{values!r}]")
    days = [asdate(value) for value in values]
    for day in days:
        if isinstance(day, datetime) or not isinstance(day, date):
            raise TriggerTypeError(f"{what} takes dates or ISO strings, not {day!r}")
    return frozenset(days)
