"""The trigger of recurrence rules (RFC 5545).

Pure. The rules are read and their times made in :mod:`rota.calendars`.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ..calendars.recurrence import RecurrenceTimes
from ..calendars.recurrence_text import read_recurrence
from ..clock import LAST_INSTANT, SECOND, moment
from ..clock import instant as to_instant
from ..errors import TooMuchWorkError, TriggerError, TriggerTypeError
from ..util import astimezone, convert_to_datetime
from ..work import STEPS_OF_A_PLAN, refusing, within
from .arguments import (
    NO_ZONE,
    checked_jitter,
    checked_spread,
    checked_state,
    current_instant,
    is_zone_given,
    zone_for,
)
from .base import WALK_LIMIT
from .fields import JITTER, TIMEZONE, ZONE_GIVEN, Field, Fields
from .terms import TriggerWithZone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import date, timedelta, tzinfo
    from typing import Any


class RRuleTrigger(TriggerWithZone):
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
        "_dtstart",
        "_recurrence",
        "_times",
        "start_given",
        "zone_given",
    )

    counts_work = True
    #: whether :meth:`latest` goes as far as the steps of its call, so that it can be asked in parts
    goes_in_parts = True
    start_given: bool
    zone_given: bool

    alias = "rrule"
    declared = Fields(
        1,
        Field("rule"),
        Field("dtstart", held="_dtstart_text"),
        TIMEZONE,
        JITTER,
        Field("spread", None),
        ZONE_GIVEN,
    )

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
        self._timezone = zone if zone is not None else zone_for(timezone, dtstart)
        self.zone_given = zone is not None or is_zone_given(timezone, dtstart)
        self.start_given = start is not None or dtstart is not None
        if start is None:
            start = _wall(dtstart, self.timezone, now)
        self._dtstart = start
        refusing(self, within, STEPS_OF_A_PLAN, self._make_times, True)
        self._jitter = checked_jitter(jitter)
        self._spread = checked_spread(spread)

    def _make_times(self, refuse_never: bool) -> None:
        self._times = RecurrenceTimes(self._recurrence, self._dtstart, self.timezone)
        if refuse_never:
            # If no start was given, the rule may have times from another start on.
            self._times.refuse_never(self.start_given)

    @property
    def dtstart(self) -> datetime:
        """The start of the recurrence."""
        return moment(self._times.start(), self.timezone)

    @property
    def _dtstart_text(self) -> str:
        return self._dtstart.isoformat()

    @property
    def rule(self) -> str:
        """The rule as lines of iCalendar, without ``DTSTART``."""
        return "\n".join(self._recurrence.lines())

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant``."""
        return None if instant >= LAST_INSTANT else next(self._times.after(instant), None)

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time up to ``instant``."""
        start, instant = self.origin(), min(instant, LAST_INSTANT)
        span = self._times.period() * 4 * SECOND
        while True:
            last = None
            for at in self._times.after(instant - span - 1):
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
            for at in self._times.after(first):
                if at > now or count >= WALK_LIMIT:
                    break
                last, count = at, count + 1
        except TooMuchWorkError:
            if count == 1:
                raise
        return last, count

    def origin(self) -> int:
        return self._times.origin()

    def same_schedule(self, other: Any) -> bool:
        if not isinstance(other, RRuleTrigger) or self.start_given:
            return super().same_schedule(other)
        one, two = self.spec(), other.spec()
        return one is not None and two is not None and {**one, "dtstart": None} == {**two, "dtstart": None}

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> RRuleTrigger:
        """Return the trigger of a :meth:`spec`."""
        trigger = cls.__new__(cls)
        trigger._restore(
            spec["rule"], datetime.fromisoformat(spec["dtstart"]), astimezone(spec["timezone"]) or UTC
        )
        trigger._jitter, trigger._spread = spec.get("jitter"), spec.get("spread")
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        self._restore(state["rule"], datetime.fromisoformat(state["dtstart"]), state["timezone"])
        self._jitter, self._spread = state["jitter"], state["spread"]
        self.zone_given = state.get("zone_given", True)

    def _restore(self, rule: str, dtstart: datetime, zone: tzinfo) -> None:
        self._recurrence = read_recurrence(rule)
        self._dtstart, self._timezone, self.start_given, self.zone_given = dtstart, zone, True, True
        refusing(self, within, STEPS_OF_A_PLAN, self._make_times, False)

    def __str__(self) -> str:
        return f"rrule[{', '.join(self._recurrence.lines()).removeprefix('RRULE:')}]"


def _wall(dtstart: Any, zone: tzinfo, now: int | None) -> datetime:
    """Return the start of a recurrence on the wall clock of its zone."""
    given = convert_to_datetime(dtstart, NO_ZONE, "dtstart")
    if given is None or given.tzinfo is not NO_ZONE:
        at = current_instant(now) if given is None else to_instant(given)
        given = moment(at, zone)
    return given.replace(tzinfo=None, microsecond=0, fold=0)
