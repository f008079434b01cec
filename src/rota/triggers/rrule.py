"""The trigger of recurrence rules (RFC 5545).

Pure. ``rrule_text`` reads the text, ``rrule_rules`` makes the times of a rule, through the ``dateutil`` library.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from datetime import UTC, datetime

from ..clock import SECOND, moment
from ..clock import instant as to_instant
from ..errors import NeverFiresError, TooMuchWorkError, TriggerError, TriggerTypeError
from ..util import astimezone, convert_to_datetime, localize, timezone_to_text
from .base import (
    LAST_INSTANT,
    NO_ZONE,
    WALK_LIMIT,
    InstantTrigger,
    checked_jitter,
    checked_spread,
    checked_state,
    current_instant,
    is_zone_given,
    zone_for,
)
from .rrule_rules import Rule
from .rrule_text import read_recurrence
from .work import STEPS_OF_A_PLAN, refusing, spend, within
from .zones import DAY, zone_map

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import date, timedelta, tzinfo
    from typing import Any


#: What it takes to begin the search for the times of a rule, in steps.
_BEGINNING = 8


class RRuleTrigger(InstantTrigger):
    """Fires at the times of a recurrence rule of iCalendar. Alias: ``rrule``. Needs ``rota[rrule]``.

    A rule counts in wall times of one zone. A wall time in a gap is read with the offset before the gap, one in an overlap as
    the first (RFC 5545, 3.3.5); times that then fall together are one.

    :param rule: a rule (``"FREQ=MONTHLY;BYDAY=-1FR"``), or lines of iCalendar: ``DTSTART``, ``RRULE``, ``RDATE``, ``EXDATE``
    :param dtstart: datetime, date or string: the start, where the text has no ``DTSTART`` (default: the current time)
    :param timezone: name or tzinfo, where ``DTSTART`` in the text has none (default: that of ``dtstart``, else the local zone)
    :param jitter: seconds by which a due time may come after its nominal time
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: instant that counts as the current time (the system's time by default)
    :raises TriggerError: if anything in the text is not understood, with its line and part
    :raises NeverFiresError: if a rule has no time at all
    """

    __slots__ = (
        "_dates",
        "_dtstart",
        "_recurrence",
        "_rules",
        "_without",
        "jitter",
        "spread",
        "start_given",
        "timezone",
        "zone_given",
    )

    counts_work = True
    jitter: float | None
    spread: float | None
    start_given: bool
    timezone: tzinfo
    zone_given: bool

    def __init__(
        self,
        rule: str,
        dtstart: datetime | date | str | None = None,
        timezone: tzinfo | str | None = None,
        jitter: float | timedelta | None = None,
        spread: float | timedelta | None = None,
        *,
        now: int | None = None,
    ) -> None:
        if not isinstance(rule, str):
            raise TriggerTypeError(f"A recurrence rule is a text, not {rule!r}")
        self._recurrence = recurrence = read_recurrence(rule)
        if recurrence.start is not None and dtstart is not None:
            raise TriggerError("the start is given twice: in the text and as dtstart")
        start, zone = recurrence.start, recurrence.zone
        self.timezone = zone if zone is not None else zone_for(timezone, dtstart)
        self.zone_given = zone is not None or is_zone_given(timezone, dtstart)
        self.start_given = start is not None or dtstart is not None
        if start is None:
            start = _wall(dtstart, self.timezone, now)
        self._dtstart = start
        refusing(self, within, STEPS_OF_A_PLAN, self._make_rules, True)
        self.jitter = checked_jitter(jitter)
        self.spread = checked_spread(spread)

    def _make_rules(self, refuse_never: bool) -> None:
        recurrence, start = self._recurrence, self._dtstart
        found = {self._second(at) * SECOND for at in recurrence.dates}
        if not recurrence.rules:
            found.add(self._second(start) * SECOND)
        self._without = frozenset(self._second(at) for at in recurrence.without)
        self._dates = tuple(sorted(at for at in found if at // SECOND not in self._without))
        self._rules = tuple(
            Rule(text, start, None if until is None else self._second(until))
            for text, until in recurrence.rules
        )
        if refuse_never:
            self._refuse_never()

    def _refuse_never(self) -> None:
        """Refuse a rule without a time: from the start that was given, or if there is none, from whatever start."""
        zone = zone_map(self.timezone)
        for rule in self._rules:
            if next(rule.seconds(0, zone), None) is not None:
                continue
            if self.start_given:
                raise NeverFiresError(f"RRULE:{rule.text} has no time from {self._dtstart} on")
            parts = [part for part in rule.text.split(";") if not part.startswith(("INTERVAL=", "COUNT="))]
            if next(Rule(";".join(parts), _ANY_START, None).seconds(0, zone), None) is None:
                raise NeverFiresError(f"RRULE:{rule.text} has no time, whenever it starts")

    @property
    def dtstart(self) -> datetime:
        """The start of the recurrence."""
        return moment(self._second(self._dtstart) * SECOND, self.timezone)

    @property
    def rule(self) -> str:
        """The rule as lines of iCalendar, without ``DTSTART``."""
        return "\n".join(self._recurrence.lines())

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant``."""
        return None if instant >= LAST_INSTANT else next(self._times(instant), None)

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time up to ``instant``."""
        start, instant = self.origin(), min(instant, LAST_INSTANT)
        span = max((rule.period for rule in self._rules), default=DAY) * 4 * SECOND
        while True:
            last = None
            for at in self._times(instant - span - 1):
                if at > instant:
                    break
                last = at
            if last is not None or instant - span < start:
                return last
            span *= 8

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are, as far as the work of one call goes."""
        last, count = first, 1
        try:
            for at in self._times(first):
                if at > now or count >= WALK_LIMIT:
                    break
                last, count = at, count + 1
        except TooMuchWorkError:
            if count == 1:
                raise
        return last, count

    def origin(self) -> int:
        return min((self._second(self._dtstart) * SECOND, *self._dates))

    def _times(self, instant: int) -> Iterator[int]:
        """Yield the times later than an instant, in order, each once."""
        zone = zone_map(self.timezone)
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
            if second not in without and not (days and moment(at, self.timezone).date() in days):
                yield at

    def _second(self, at: datetime) -> int:
        """Return the second of a time that is naive (a wall time of the zone) or aware."""
        if at.tzinfo is None:
            at = localize(at, self.timezone)
        return to_instant(at) // SECOND

    def same_schedule(self, other: Any) -> bool:
        if not isinstance(other, RRuleTrigger) or self.start_given:
            return super().same_schedule(other)
        one, two = self.spec(), other.spec()
        return one is not None and two is not None and {**one, "dtstart": None} == {**two, "dtstart": None}

    def spec(self) -> dict[str, Any] | None:
        """Return ``{"type": "rrule", "rule", "dtstart", "timezone"}``, with ``jitter`` and ``spread`` if given."""
        zone = timezone_to_text(self.timezone)
        if zone is None:
            return None
        result: dict[str, Any] = {
            "type": "rrule",
            "rule": self.rule,
            "dtstart": self._dtstart.isoformat(),
            "timezone": zone,
        }
        for name, seconds in (("jitter", self.jitter), ("spread", self.spread)):
            if seconds is not None:
                result[name] = seconds
        return result

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> RRuleTrigger:
        """Return the trigger of a :meth:`spec`."""
        trigger = cls.__new__(cls)
        trigger._restore(
            spec["rule"], datetime.fromisoformat(spec["dtstart"]), astimezone(spec["timezone"]) or UTC
        )
        trigger.jitter, trigger.spread = spec.get("jitter"), spec.get("spread")
        return trigger

    def __getstate__(self) -> dict[str, Any]:
        state = {
            "version": 1,
            "rule": self.rule,
            "dtstart": self._dtstart.isoformat(),
            "timezone": self.timezone,
            "jitter": self.jitter,
            "spread": self.spread,
        }
        return state if self.zone_given else {**state, "zone_given": False}

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        self._restore(state["rule"], datetime.fromisoformat(state["dtstart"]), state["timezone"])
        self.jitter, self.spread = state["jitter"], state["spread"]
        self.zone_given = state.get("zone_given", True)

    def _restore(self, rule: str, dtstart: datetime, zone: tzinfo) -> None:
        self._recurrence = read_recurrence(rule)
        self._dtstart, self.timezone, self.start_given, self.zone_given = dtstart, zone, True, True
        refusing(self, within, STEPS_OF_A_PLAN, self._make_rules, False)

    def _identity(self) -> tuple[Any, ...]:
        zone = timezone_to_text(self.timezone)
        return (self.rule, self._dtstart, zone, self.jitter, self.spread)

    def __str__(self) -> str:
        return f"rrule[{', '.join(self._recurrence.lines()).removeprefix('RRULE:')}]"


#: A day that each month has, in a year that has all days.
_ANY_START = datetime(2000, 1, 1)


def _wall(dtstart: Any, zone: tzinfo, now: int | None) -> datetime:
    """Return the start of a recurrence on the wall clock of its zone."""
    given = convert_to_datetime(dtstart, NO_ZONE, "dtstart")
    if given is None or given.tzinfo is not NO_ZONE:
        at = current_instant(now) if given is None else to_instant(given)
        given = moment(at, zone)
    return given.replace(tzinfo=None, microsecond=0, fold=0)
