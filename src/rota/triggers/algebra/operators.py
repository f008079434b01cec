"""What all triggers can do with other triggers: union, intersection, difference, filters, shifts, bounds.

Imports nothing until an operator is used; each makes a new trigger and leaves its operands as they are.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime, time, timedelta, tzinfo

    from ...calendars import BusinessCalendar
    from ..base import BaseTrigger
    from ..combining import AndTrigger, OrTrigger
    from .business_days import BusinessDaysTrigger, RollTrigger
    from .filters import BetweenTrigger, WeekdaysTrigger
    from .streams import BoundedTrigger, LimitTrigger, MinusTrigger, OffsetTrigger


class TriggerOperators:
    """The operators of :class:`~rota.triggers.base.BaseTrigger`.

    A trigger stands for a stream of nominal times, that of a schedule which has always run; an operator makes another
    stream of one or two. All results are triggers again: immutable, comparable, and stored as a spec if their operands
    are. The result has the jitter and the spread of its operand, or the largest of its operands.
    """

    __slots__ = ()

    def __or__(self, other: BaseTrigger) -> OrTrigger:
        """Return the trigger that fires when either does, once where both do."""
        from ..combining import OrTrigger, combine  # circle

        return combine(OrTrigger, _trigger(self), other)

    def __and__(self, other: BaseTrigger) -> AndTrigger:
        """Return the trigger that fires at the times that both have. To filter by the clock see :meth:`between`, :meth:`on`.

        :raises NeverFiresError: if it can be shown that they have none in common
        """
        from ..combining import AndTrigger, combine  # circle

        return combine(AndTrigger, _trigger(self), other)

    def __sub__(self, other: BaseTrigger) -> MinusTrigger:
        """Return the trigger that fires when this one does and ``other`` does not.

        :raises NeverFiresError: if it can be shown that nothing is left
        """
        from .streams import minus  # circle

        return minus(_trigger(self), other)

    def between(
        self, start: time | str, end: time | str, *, timezone: tzinfo | str | None = None
    ) -> BetweenTrigger:
        """Return the trigger that keeps the times at which the clock shows ``start`` to ``end``, both included.

        :param start: time of day, or a text such as ``"9:00"``
        :param end: the same; earlier than ``start`` means over midnight. ``"24:00"`` is the end of the day
        :param timezone: zone of that clock (default: the trigger's own zone, else the local one)
        :raises TriggerError: if they are equal, or no times of day
        """
        from .filters import BetweenTrigger  # circle

        return BetweenTrigger(_trigger(self), start, end, timezone)

    def on(
        self,
        *weekdays: int | str | Iterable[int | str],
        timezone: tzinfo | str | None = None,
    ) -> WeekdaysTrigger:
        """Return the trigger that keeps the times on some days of the week.

        :param weekdays: names from mon to sun, ranges and lists of them (``"mon-fri"``, ``"fri-mon"``, ``"sat,sun"``), or
            numbers from 0 (Monday), as in APScheduler
        :param timezone: zone in which the day is read (default: the trigger's own zone, else the local one)
        :raises TriggerError: if a day is not understood
        """
        from .filters import WeekdaysTrigger  # circle

        return WeekdaysTrigger(_trigger(self), weekdays, timezone)

    def offset(
        self,
        delta: float | timedelta = 0,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> OffsetTrigger:
        """Return the trigger that fires so much elapsed time later, or earlier if it is negative.

        :param delta: seconds or a timedelta; the keywords are added to it (a day has 24 hours)
        :raises TriggerError: if the sum is no length of time that can be used
        """
        from .streams import OffsetTrigger  # circle

        more = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
        return OffsetTrigger(_trigger(self), delta, more)

    def limit(self, count: int) -> LimitTrigger:
        """Return the trigger that fires the first ``count`` times only, counted from the start of the schedule.

        Nothing is counted at run time: a time that is missed or coalesced counts like one that ran.

        :param count: 1 to 10 000
        :raises TriggerError: if the schedule has no start to count from: a cron trigger without ``start_date``, for
            instance; write ``.starting(when).limit(n)``
        """
        from .streams import LimitTrigger  # circle

        return LimitTrigger(_trigger(self), count)

    def starting(self, start: datetime | date | str) -> BoundedTrigger:
        """Return the trigger that keeps the times from ``start`` on; the grid of an interval stays where it is.

        :param start: datetime, date or ISO string, read in the trigger's zone where it carries none
        """
        from .streams import BoundedTrigger  # circle

        return BoundedTrigger(_trigger(self), start, None)

    def until(self, end: datetime | date | str) -> BoundedTrigger:
        """Return the trigger that keeps the times up to ``end``, which is included.

        :param end: datetime, date (that is its first moment) or ISO string, read in the trigger's zone where it carries none
        """
        from .streams import BoundedTrigger  # circle

        return BoundedTrigger(_trigger(self), None, end)

    def on_business_days(
        self, calendar: BusinessCalendar, *, timezone: tzinfo | str | None = None
    ) -> BusinessDaysTrigger:
        """Return the trigger that keeps the times on business days; the others are left out.

        :param calendar: says which days those are
        :param timezone: zone in which the day is read (default: the trigger's own zone, else the local one)
        """
        from .business_days import BusinessDaysTrigger  # circle

        return BusinessDaysTrigger(_trigger(self), calendar, timezone)

    def roll(
        self,
        calendar: BusinessCalendar,
        convention: str = "next",
        *,
        days: int = 0,
        timezone: tzinfo | str | None = None,
    ) -> RollTrigger:
        """Return the trigger whose times on other days are moved to a business day, at the same wall clock time.

        :param calendar: says which days are business days
        :param convention: ``"next"``, ``"previous"``, ``"modified_following"`` (the next, unless that is in another
            month: then the previous one), ``"modified_previous"`` or ``"none"`` (not moved)
        :param days: business days by which the time is moved after that; negative: back (``2``: two days after the trade)
        :param timezone: zone in which the day is read (default: the trigger's own zone, else the local one)
        :raises TriggerError: if there is no such convention
        """
        from .business_days import RollTrigger  # circle

        return RollTrigger(_trigger(self), calendar, convention, days, timezone)


def _trigger(operand: TriggerOperators) -> BaseTrigger:
    return operand  # type: ignore[return-value]  # its one subclass, which this module may not import
