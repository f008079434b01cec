"""The triggers that combine others: ``and`` fires when all agree, ``or`` when any of them fires.

Pure; see the port in :mod:`rota.triggers.base`. Members keep their own grids: a time of one never moves another.
"""

from __future__ import annotations

from math import gcd

from ..clock import instant as to_instant
from ..clock import trigger_zone
from ..compat.absent import inner_name
from ..errors import NeverFiresError, TriggerError, TriggerTypeError
from ..work import are_few_left, check_size, spend
from .algebra.derived import fires_at, following, member_of_state, member_state, refuse_delay
from .arguments import checked_jitter, checked_spread, checked_state
from .base import WALK_LIMIT, BaseTrigger
from .date import DateTrigger
from .fields import JITTER, SPREAD, Field, Fields, call_text
from .interval import IntervalTrigger
from .terms import TriggerWithJitter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta, tzinfo
    from typing import Any, TypeVar

    C = TypeVar("C", "AndTrigger", "OrTrigger")

#: How often the members of an ``and`` are asked in turn before the search for a common time is given up.
SEARCH_LIMIT = 10_000
#: How many triggers an ``and`` may have; each is compared with all others.
MOST_THAT_AGREE = 100


class BaseCombiningTrigger(TriggerWithJitter):
    """What ``and`` and ``or`` have in common.

    :param triggers: the triggers to combine, at least one
    :param jitter: seconds by which a due time may come after its nominal time
    :param timezone: the zone in which times are shown (default: that of the first member)
    :param spread: seconds over which jobs with this trigger are spread by their ids
    :param now: accepted because all triggers take it; members keep what they were made with
    """

    __slots__ = ("_timezone", "triggers")
    counts_work = True

    declared = Fields(
        1,
        Field("triggers", spec="_member_specs", state="_member_states", same="_members"),
        JITTER,
        SPREAD,
    )
    triggers: list[BaseTrigger]

    def __init__(
        self,
        triggers: Iterable[BaseTrigger],
        jitter: float | timedelta | None = None,
        *,
        timezone: tzinfo | None = None,
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        self.triggers = list(triggers)
        wrong = [
            member for member in self.triggers if not callable(getattr(member, "get_next_fire_time", None))
        ]
        if wrong:
            raise TriggerTypeError(f"{type(self).__name__} combines triggers, not {wrong[0]!r}")
        if not self.triggers:
            raise TriggerError(f"{type(self).__name__} needs at least one trigger to combine")
        check_size(self)
        for member in self.triggers:
            refuse_delay(member)
        self._jitter = checked_jitter(jitter)
        self._spread = checked_spread(spread)
        self._timezone = self._zone_of_members() or timezone

    @property
    def timezone(self) -> tzinfo | None:  # type: ignore[override]  # it is not assigned
        """The zone in which times are shown, or None."""
        return self._timezone

    @property
    def zone_given(self) -> bool:  # type: ignore[override]  # it does not change
        """False where a member reads wall times in the zone of this machine because none was given."""
        return all(getattr(member, "zone_given", True) for member in self.triggers)

    def _zone_of_members(self) -> tzinfo | None:
        zones = (trigger_zone(member) for member in self.triggers)
        return next((zone for zone in zones if zone is not None), None)

    def parts(self) -> list[BaseTrigger]:
        """Return the members."""
        return self.triggers

    def _anchors(self, previous: int | None) -> list[int | None]:
        if previous is None:
            return [None] * len(self.triggers)
        return [member.anchor_among(previous) for member in self.triggers]

    def anchor_among(self, previous: int) -> int | None:
        return previous

    def same_schedule(self, other: BaseTrigger) -> bool:
        return (
            isinstance(other, BaseCombiningTrigger)
            and type(self) is type(other)
            and (self.jitter, self.spread) == (other.jitter, other.spread)
            and len(self.triggers) == len(other.triggers)
            and all(
                mine.same_schedule(theirs) for mine, theirs in zip(self.triggers, other.triggers, strict=True)
            )
        )

    @property
    def _member_specs(self) -> list[dict[str, Any] | None] | None:
        specs = [member.spec() for member in self.triggers]
        return None if None in specs else specs

    @property
    def _member_states(self) -> list[tuple[str, Any]]:
        return [member_state(member) for member in self.triggers]

    @property
    def _members(self) -> tuple[BaseTrigger, ...]:
        return tuple(self.triggers)

    @classmethod
    def from_spec(cls, spec: dict[str, Any]) -> BaseCombiningTrigger:
        """Return the trigger of a :meth:`spec`."""
        from . import trigger_from_spec  # circle

        trigger = cls.__new__(cls)
        trigger.triggers = [trigger_from_spec(member) for member in spec["triggers"]]
        check_size(trigger)
        trigger._jitter = spec.get("jitter")
        trigger._spread = spec.get("spread")
        trigger._timezone = trigger._zone_of_members()
        return trigger

    def __setstate__(self, state: Any) -> None:
        state = checked_state(self, state, 1)
        self._jitter = state["jitter"]
        self._spread = state.get("spread")
        self.triggers = [member_of_state(*member) for member in state["triggers"]]
        check_size(self)
        self._timezone = self._zone_of_members()

    def __str__(self) -> str:
        return f"{self.alias}[{', '.join(str(member) for member in self.triggers)}]"

    def __repr__(self) -> str:
        options = {
            name: seconds for name, seconds in (("jitter", self.jitter), ("spread", self.spread)) if seconds
        }
        return call_text(type(self).__name__, options, self.triggers)


class AndTrigger(BaseCombiningTrigger):
    """Fires at the times on which all its members agree; ends when one of them ends. Alias: ``and``.

    Cron members take the minimum for the fields below the last one given: ``hour=9`` and ``day_of_week="mon"`` never
    agree (09:00 and 00:00), which is refused here.

    :raises NeverFiresError: if it can be shown that two of the members never agree
    """

    __slots__ = ()
    alias = "and"

    def __init__(
        self,
        triggers: Iterable[BaseTrigger],
        jitter: float | timedelta | None = None,
        *,
        timezone: tzinfo | None = None,
        spread: float | timedelta | None = None,
        now: int | None = None,
    ) -> None:
        super().__init__(triggers, jitter, timezone=timezone, spread=spread, now=now)
        if len(self.triggers) > MOST_THAT_AGREE:
            raise TriggerError(
                f"AndTrigger must have {MOST_THAT_AGREE} triggers at most, got {len(self.triggers)}; say what they have in "
                f"common by fewer of them"
            )
        for index, one in enumerate(self.triggers):
            for other in self.triggers[index + 1 :]:
                if _never_agree(one, other):
                    raise NeverFiresError(f"{one} and {other} never fire at the same time")

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first time later than ``instant`` that all members agree on, None if a member has ended.

        :raises NeverFiresError: if none is found after asking ten thousand times
        """
        anchors = self._anchors(previous)
        at, agreed, asked = instant + 1, 0, 0
        while agreed < len(self.triggers):
            which = asked % len(self.triggers)
            member = self.triggers[which]
            found = member.after(instant, anchors[which]) if at == instant + 1 else following(member, at - 1)
            if found is None:
                return None
            agreed = agreed + 1 if found == at else 1
            at = found
            asked += 1
            spend()
            if asked > SEARCH_LIMIT:
                raise NeverFiresError(
                    f"{self} has no time that suits all its triggers between {self._moment(instant)} and {self._moment(at)}"
                )
        return at

    def origin(self) -> int | None:
        return max(
            (at for at in (member.origin() for member in self.triggers) if at is not None), default=None
        )

    def at_or_before(self, instant: int) -> int | None:
        """Return the last time up to ``instant`` that all members agree on, None if there is none near."""
        at, agreed = instant, 0
        for asked in range(SEARCH_LIMIT):
            spend()
            found = self.triggers[asked % len(self.triggers)].at_or_before(at)
            if found is None:
                return None
            agreed = agreed + 1 if found == at else 1
            at = found
            if agreed >= len(self.triggers):
                return at
        return None


class OrTrigger(BaseCombiningTrigger):
    """Fires when any of its members fires (once, if several do at a time); ends with the last. Alias: ``or``."""

    __slots__ = ()
    alias = "or"

    def first(self, now: int) -> int | None:
        """Return the earliest first time of the members."""
        return min(
            (at for at in (member.first(now) for member in self.triggers) if at is not None), default=None
        )

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the earliest time of any member that is later than ``instant``."""
        times = (
            member.after(instant, anchor)
            for member, anchor in zip(self.triggers, self._anchors(previous), strict=True)
        )
        return min((at for at in times if at is not None), default=None)

    def origin(self) -> int | None:
        starts = [member.origin() for member in self.triggers]
        return None if None in starts else min(at for at in starts if at is not None)

    def at_or_before(self, instant: int) -> int | None:
        """Return the latest time of any member up to ``instant``."""
        times = (member.at_or_before(instant) for member in self.triggers)
        return max((at for at in times if at is not None), default=None)

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last time from ``first`` to ``now``, and how many there are.

        Members are counted by themselves, and what a sparser one has in common with a denser one only once. The
        comparison stops after 100 000 times, or when it takes much work; further coincidences are then counted twice.
        """
        spans: list[tuple[int, int, int, BaseTrigger]] = []
        for member, anchor in zip(self.triggers, self._anchors(first), strict=True):
            start = member.after(first - 1, anchor)
            if start is not None and start <= now:
                last, count = member.latest(start, now)
                spans.append((count, start, last, member))
        if not spans:
            return first, 1
        spans.sort(key=lambda span: span[0], reverse=True)
        total, steps = spans[0][0], 0
        for index, (count, start, last, member) in enumerate(spans[1:], 1):
            total += count
            at: int | None = start
            while at is not None and at <= last and steps < WALK_LIMIT and not are_few_left():
                spend()
                if any(low <= at <= high and fires_at(other, at) for _, low, high, other in spans[:index]):
                    total -= 1
                at = member.after(at, at)
                steps += 1
        return max(span[2] for span in spans), total


def combine(cls: type[C], one: BaseTrigger, other: BaseTrigger) -> C:
    """Return the combination of two triggers; one of the same kind is taken apart, so that chains stay flat."""
    if not isinstance(other, BaseTrigger):
        return NotImplemented
    members = [
        member
        for trigger in (one, other)
        for member in (trigger.triggers if type(trigger) is cls else (trigger,))
    ]
    jitters = [trigger.jitter for trigger in (one, other) if trigger.jitter is not None]
    spreads = [trigger.spread for trigger in (one, other) if trigger.spread is not None]
    return cls(members, max(jitters, default=None), spread=max(spreads, default=None))


def _never_agree(one: BaseTrigger, other: BaseTrigger) -> bool:
    """Tell whether two triggers provably have no time in common."""
    if isinstance(one, IntervalTrigger) and isinstance(other, IntervalTrigger):
        distance = to_instant(one.start_date) - to_instant(other.start_date)
        return distance % gcd(one.microseconds, other.microseconds) != 0
    for date, member in ((one, other), (other, one)):
        if isinstance(date, DateTrigger):
            return _starts_are_given(member) and not fires_at(member, to_instant(date.run_date))
    from .cron import CronTrigger  # circle

    if isinstance(one, CronTrigger) and isinstance(other, CronTrigger):
        return one.never_agrees_with(other)
    return False


def _starts_are_given(trigger: BaseTrigger) -> bool:
    """Tell whether the starts of a trigger and all its parts were given; a date may lie before the time of construction."""
    return trigger.start_given and all(map(_starts_are_given, trigger.parts()))


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
