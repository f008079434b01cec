"""The triggers of ``a - b``, ``offset()``, ``limit()``, ``starting()`` and ``until()``.

Pure; see :mod:`rota.triggers.algebra.derived`.
"""

from __future__ import annotations

from datetime import timedelta

from ...clock import LAST_INSTANT, SECOND, microseconds, moment
from ...errors import NeverFiresError, TriggerError, TriggerTypeError
from ...util import datetime_repr, local_timezone
from ...work import COUNTING, are_few_left, spend
from ..arguments import carries_zone, optional_instant
from ..base import WALK_LIMIT, BaseTrigger
from ..combining import BaseCombiningTrigger
from ..fields import call_text
from ..interval import IntervalTrigger
from .derived import DerivedTrigger, fires_at, following

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, datetime
    from typing import Any

#: The most that limit() counts; see :class:`LimitTrigger`.
LARGEST_LIMIT = 10_000

_UNKNOWN = -(2**62)


class MinusTrigger(BaseCombiningTrigger):
    """Fires when the first trigger does and the second does not: ``a - b``. Alias: ``minus``.

    :raises NeverFiresError: if it can be shown that nothing is left
    """

    __slots__ = ()
    alias = "minus"

    def __init__(self, trigger: BaseTrigger, without: BaseTrigger) -> None:
        super().__init__([trigger, without], trigger.jitter)
        self._spread = trigger.spread
        if trigger == without or _covers(without, trigger):
            raise NeverFiresError(f"{trigger} has no time that {without} does not have too")

    def first(self, now: int) -> int | None:
        """Return the first time of the first trigger, which may be past, that the second does not have."""
        found = self.triggers[0].first(now)
        if found is None or not fires_at(self.triggers[1], found):
            return found
        return self.after(max(found, now - 1))

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time of the first trigger later than ``instant`` that the second does not have.

        :raises NeverFiresError: if a hundred thousand times one after another are left out
        """
        trigger, without = self.triggers
        at = trigger.after(instant, None if previous is None else trigger.anchor_among(previous))
        for _ in range(WALK_LIMIT):
            if at is None or not fires_at(without, at):
                return at
            at = following(trigger, at)
        raise self._nothing_left(instant)

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time of the first trigger up to ``instant`` that the second does not have."""
        trigger, without = self.triggers
        at = trigger.at_or_before(instant)
        for _ in range(WALK_LIMIT):
            if at is None or not fires_at(without, at):
                return at
            at = trigger.at_or_before(at - 1)
        raise self._nothing_left(instant)

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are.

        The times that are left out are counted one by one, a hundred thousand of them at most, and fewer where that is much work.
        """
        trigger, without = self.triggers
        last, count = trigger.latest(first, now)
        while last > first and fires_at(without, last):
            spend(COUNTING)
            last, count = trigger.latest(first, last - 1)
        left_out = following(without, first)
        for _ in range(WALK_LIMIT):
            if left_out is None or left_out > last or are_few_left():
                break
            count -= fires_at(trigger, left_out)
            left_out = following(without, left_out)
        return last, count

    def origin(self) -> int | None:
        return self.triggers[0].origin()

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> BaseCombiningTrigger:
        """Return the trigger of a :meth:`spec`."""
        made = super().from_spec(spec)
        if len(made.triggers) != 2:
            raise TriggerError(f"a minus has two triggers, not {len(made.triggers)}")
        return made

    def __repr__(self) -> str:
        return call_text(type(self).__name__, {}, *self.triggers)

    def _nothing_left(self, instant: int) -> NeverFiresError:
        return NeverFiresError(
            f"{self} has no time near {self._moment(instant)}: very many times of {self.triggers[0]}, one after "
            f"another, are also times of {self.triggers[1]}"
        )


def minus(one: BaseTrigger, other: object) -> MinusTrigger:
    """Return ``one - other``."""
    return MinusTrigger(one, other) if isinstance(other, BaseTrigger) else NotImplemented


def _covers(other: BaseTrigger, trigger: BaseTrigger) -> bool:
    """Tell whether each time of an interval trigger provably is one of another interval trigger."""
    if not (isinstance(other, IntervalTrigger) and isinstance(trigger, IntervalTrigger)):
        return False
    start, other_start = trigger.origin(), other.origin()
    assert start is not None
    assert other_start is not None
    return (
        trigger.microseconds % other.microseconds == 0
        and (start - other_start) % other.microseconds == 0
        and other_start <= start
        and other.end_date is None
    )


class OffsetTrigger(DerivedTrigger):
    """Fires so much elapsed time later than another trigger: ``trigger.offset(delta)``. Alias: ``offset``.

    :param trigger: the other trigger
    :param seconds: seconds or a timedelta; negative means earlier
    :param more: units and how many of each, added to it
    """

    __slots__ = ("_delta",)
    alias = "offset"

    def __init__(
        self, trigger: BaseTrigger, seconds: float | timedelta = 0, more: dict[str, float] | None = None
    ) -> None:
        super().__init__(trigger)
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float, timedelta)):
            raise TriggerTypeError(f"offset() takes seconds or a timedelta, not {seconds!r}")
        try:
            self._delta = microseconds(seconds) + microseconds(timedelta(**(more or {})))
        except TypeError:
            raise TriggerTypeError(f"offset() takes numbers, not {more}") from None
        except (ValueError, OverflowError):
            given = {"seconds": seconds, **{name: value for name, value in (more or {}).items() if value}}
            raise TriggerError(f"offset() takes a length of time that can be used, not {given}") from None
        if abs(self._delta) > LAST_INSTANT:
            raise TriggerError(f"An offset of {self._delta // SECOND} seconds is longer than the calendar")

    @property
    def delta(self) -> timedelta:
        """By how much the times are moved."""
        return timedelta(microseconds=self._delta)

    def first(self, now: int) -> int | None:
        """Return the first time, moved."""
        return self._moved(self.trigger.first(now - self._delta))

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first moved time later than ``instant``."""
        anchor = self._anchor(None if previous is None else previous - self._delta)
        return self._moved(self.trigger.after(instant - self._delta, anchor))

    def at_or_before(self, instant: int) -> int | None:
        """Return the last moved time up to ``instant``."""
        return self._moved(self.trigger.at_or_before(instant - self._delta))

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last moved time from ``first`` to ``now``, and how many there are."""
        last, count = self.trigger.latest(first - self._delta, now - self._delta)
        return last + self._delta, count

    def origin(self) -> int | None:
        start = self.trigger.origin()
        return None if start is None else start + self._delta

    def _moved(self, at: int | None) -> int | None:
        return None if at is None or at + self._delta > LAST_INSTANT else at + self._delta

    def _parameters(self) -> dict[str, Any]:
        whole, rest = divmod(self._delta, 1_000_000)
        return {"seconds": self._delta / 1_000_000 if rest else whole}

    def _shown(self) -> str:
        sign = "-" if self._delta < 0 else ""
        return f"offset('{sign}{abs(self.delta)}')"


class BoundedTrigger(DerivedTrigger):
    """Keeps the times of another trigger from a start on or up to an end, both included. Alias: ``bounded``.

    :param trigger: the other trigger
    :param start: datetime, date or string: the earliest time
    :param end: datetime, date or string: the last possible time
    :raises TriggerError: if one is no date, or the end is earlier than the start
    """

    __slots__ = ("_end", "_start")
    alias = "bounded"

    def __init__(
        self,
        trigger: BaseTrigger,
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
    ) -> None:
        super().__init__(trigger)
        zone = self.timezone or local_timezone()
        self._start = optional_instant(start, zone, "start")
        self._end = optional_instant(end, zone, "end")
        if self.timezone is None:
            self._machine_zone = not (carries_zone(start, "start") and carries_zone(end, "end"))
        if start is None and end is None:
            raise TriggerError("starting() and until() take a datetime, a date or a string, not None")
        if self._start is not None and self._end is not None and self._end < self._start:
            raise TriggerError(f"The end {end} is earlier than the start {start}")

    def first(self, now: int) -> int | None:
        """Return the first time, which may be past, if it lies within the bounds, else the first from now on that does."""
        found = self.trigger.first(now)
        if found is None or self._inside(found):
            return found
        return self.after(now - 1)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time within the bounds that is later than ``instant``."""
        if self._start is not None and instant < self._start:
            instant = self._start - 1
        found = self.trigger.after(instant, self._anchor(previous))
        return None if found is None or (self._end is not None and found > self._end) else found

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time within the bounds up to ``instant``."""
        found = self.trigger.at_or_before(instant if self._end is None else min(instant, self._end))
        return None if found is None or (self._start is not None and found < self._start) else found

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are."""
        return self.trigger.latest(first, now if self._end is None else max(first, min(now, self._end)))

    def origin(self) -> int | None:
        inner = self.trigger.origin()
        if self._start is None or inner is None:
            return inner if self._start is None else self._start
        return max(inner, self._start)

    def _inside(self, at: int) -> bool:
        return (self._start is None or at >= self._start) and (self._end is None or at <= self._end)

    def _texts(self) -> dict[str, Any]:
        zone = self.timezone or local_timezone()
        bounds = (("start", self._start), ("end", self._end))
        return {name: moment(at, zone) for name, at in bounds if at is not None}

    def _parameters(self) -> dict[str, Any]:
        return {name: at.isoformat() for name, at in self._texts().items()}

    def _identity(self) -> tuple[Any, ...]:
        return (self.trigger, self._start, self._end)

    def _shown(self) -> str:
        calls = {"start": "starting", "end": "until"}
        return ".".join(f"{calls[name]}('{datetime_repr(at)}')" for name, at in self._texts().items())


class LimitTrigger(DerivedTrigger):
    """Keeps the first times of another trigger, counted from the start of its schedule. Alias: ``limit``.

    :param trigger: the other trigger; it must have a start
    :param count: how many times, 1 to 10 000
    :raises TriggerError: if the schedule has no start, or the count is out of range
    """

    __slots__ = ("_last", "count")
    alias = "limit"

    def __init__(self, trigger: BaseTrigger, count: int) -> None:
        super().__init__(trigger)
        if isinstance(count, bool) or not isinstance(count, int):
            raise TriggerTypeError(f"limit() takes a whole number, not {count!r}")
        if not 1 <= count <= LARGEST_LIMIT:
            raise TriggerError(
                f"limit() takes 1 to {LARGEST_LIMIT}, not {count}; to end later, name the end by until()"
            )
        if trigger.origin() is None:
            raise TriggerError(
                f"limit() counts from the start of the schedule, and {trigger} has none; write "
                f".starting(when).limit({count})"
            )
        self.count = count
        self._last = _UNKNOWN

    def first(self, now: int) -> int | None:
        """Return the first time, which may be past."""
        return self._kept(self.trigger.first(now))

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first of the kept times that is later than ``instant``."""
        return self._kept(self.trigger.after(instant, self._anchor(previous)))

    def at_or_before(self, instant: int) -> int | None:
        """Return the last of the kept times up to ``instant``."""
        return self.trigger.at_or_before(min(instant, self._end()))

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last of the kept times from ``first`` to ``now``, and how many there are."""
        return self.trigger.latest(first, max(first, min(now, self._end())))

    def _kept(self, at: int | None) -> int | None:
        return None if at is None or at > self._end() else at

    def _end(self) -> int:
        """Return the last of the kept times; found by a walk from the start, once."""
        if self._last == _UNKNOWN:
            start = self.trigger.origin()
            assert start is not None
            last, at = LAST_INSTANT, self.trigger.after(start - 1)
            for _ in range(self.count):
                if at is None:
                    last = LAST_INSTANT
                    break
                last, at = at, following(self.trigger, at)
            self._last = last
        return self._last

    def _parameters(self) -> dict[str, Any]:
        return {"count": self.count}

    def _shown(self) -> str:
        return f"limit({self.count})"
