"""On which dates a change of the clocks changes what a trigger does.

Pure but for the default of the years, which begin with the current one. Loaded when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from ..clock import SECOND, moment
from ..errors import TriggerError, TriggerTypeError
from ..util import astimezone, timezone_to_text
from ..zone_maps import DAY, zone_map
from .arguments import current_instant
from .base import BaseTrigger
from .calendarinterval import CalendarIntervalTrigger
from .cron import CronTrigger
from .interval import IntervalTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import tzinfo
    from typing import Any

#: How many of the affected times a finding lists.
SHOWN = 10
_EPOCH = datetime(1970, 1, 1)


@dataclass(frozen=True)
class Finding:
    """One change of the clocks that changes what a trigger does."""

    #: the trigger that it is about (a member, where several are combined)
    trigger: BaseTrigger
    #: ``"gap"`` (the clocks jump forward) or ``"overlap"`` (they jump back)
    kind: str
    #: ``"skipped"``, ``"caught up"`` (one fire right after the gap), ``"shifted"``, ``"first pass only"``, ``"both passes"``, or
    #: ``"moved"`` (an interval of whole days comes at another wall time from then on)
    effect: str
    #: the first instant after the change
    at: datetime
    #: how far the clocks jump
    jump: timedelta
    #: the wall times touched, as clocks would show them; at most ten
    wall_times: tuple[datetime, ...]
    #: how many wall times are touched
    count: int
    #: when the trigger fires for those wall times; at most ten
    fires: tuple[datetime, ...]

    @property
    def date(self) -> date:
        """The date that the clocks show when they change."""
        return (self.wall_times[0] if self.wall_times else self.at).date()

    @property
    def text(self) -> str:
        """The finding in a sentence."""
        clocks = "jump forward" if self.kind == "gap" else "go back"
        return f"{self.date}: clocks {clocks} by {_length(self.jump)} at {self._change()}; {self._what()}"

    def _change(self) -> str:
        sign = -1 if self.kind == "gap" else 1
        before = self.at.replace(tzinfo=None, fold=0) + sign * self.jump
        return f"{before:%H:%M:%S}".removesuffix(":00")

    def _what(self) -> str:
        walls = _shown(self.wall_times, self.count)
        if self.effect == "skipped":
            return f"left out, because clocks do not show it: {walls}"
        if self.effect == "caught up":
            return f"one run at {_clock(self.fires[0])} makes up for what clocks do not show: {walls}"
        if self.effect == "shifted":
            return f"runs at {_shown(self.fires, self.count)} instead of what clocks do not show: {walls}"
        if self.effect == "first pass only":
            return f"runs the first time only, though clocks show it twice: {walls}"
        if self.effect == "both passes":
            return f"runs both times, because clocks show it twice: {walls}"
        return f"from then on it runs at {_clock(self.fires[0])} instead of {_clock(self.wall_times[0])}"

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as JSON-able data."""
        return {
            "trigger": str(self.trigger),
            "date": self.date.isoformat(),
            "kind": self.kind,
            "effect": self.effect,
            "at": self.at.isoformat(),
            "jump": int(self.jump.total_seconds()),
            "wall_times": [wall.isoformat() for wall in self.wall_times],
            "count": self.count,
            "fires": [fire.isoformat() for fire in self.fires],
            "text": self.text,
        }


def lint(
    trigger: BaseTrigger, zone: tzinfo | str | None = None, years: int | Iterable[int] | None = None
) -> list[Finding]:
    """Return the findings about a trigger in some years; see :meth:`BaseTrigger.lint`."""
    if zone is not None:
        trigger = _in_zone(trigger, zone)
    wanted = _years(years, trigger.timezone or UTC)
    found = [finding for year in wanted for finding in _findings(trigger, year)]
    return sorted(found, key=lambda finding: finding.at)


def _in_zone(trigger: BaseTrigger, zone: tzinfo | str) -> BaseTrigger:
    from . import trigger_from_spec  # circle

    found = astimezone(zone)
    name = None if found is None else timezone_to_text(found)
    spec = trigger.spec()
    if name is None or spec is None:
        raise TriggerError(
            f"{trigger} cannot be read in the zone {zone!r}: it or the zone has no stored form; build it in that zone"
        )
    return trigger_from_spec(_with_zone(spec, name))


def _with_zone(spec: Any, name: str) -> Any:
    if isinstance(spec, dict):
        return {key: name if key == "timezone" else _with_zone(value, name) for key, value in spec.items()}
    return [_with_zone(value, name) for value in spec] if isinstance(spec, list) else spec


def _years(years: int | Iterable[int] | None, zone: tzinfo) -> list[int]:
    if years is None:
        current = moment(current_instant(None), zone).year
        return list(range(current, current + 5))
    found = [years] if isinstance(years, int) else list(years)
    for year in found:
        if isinstance(year, bool) or not isinstance(year, int):
            raise TriggerTypeError(
                f"years are whole numbers, such as 2026 or range(2026, 2031), not {year!r}"
            )
        if not 1970 <= year <= 9998:
            raise TriggerError(
                f"{year} is no year from 1970 to 9998; give calendar years, such as range(2026, 2031)"
            )
    return sorted(set(found))


def _findings(trigger: BaseTrigger, year: int) -> Iterator[Finding]:
    parts = trigger.parts()
    if parts:
        for part in parts:
            yield from _findings(part, year)
    elif isinstance(trigger, (CronTrigger, CalendarIntervalTrigger, IntervalTrigger)):
        zone = zone_map(trigger.timezone)
        start, end = (_seconds(datetime(at, 1, 1)) for at in (year, year + 1))
        stretches = zone.stretches(start - 2 * DAY, end + 2 * DAY)
        for (_, _, before), (at, _, after) in pairwise(stretches):
            if start <= at + min(before, after) < end:
                finding = _finding(trigger, at, before, after)
                if finding is not None:
                    yield finding


def _finding(
    trigger: CronTrigger | CalendarIntervalTrigger | IntervalTrigger, at: int, before: int, after: int
) -> Finding | None:
    if isinstance(trigger, IntervalTrigger):
        return _of_interval(trigger, at, before, after)
    low, high = at + min(before, after), at + max(before, after)
    if isinstance(trigger, CronTrigger):
        effect, walls, count = trigger.at_change(at, before, after, SHOWN)
    else:
        walls = trigger.walls_between(low, high)
        count, effect = len(walls), "skipped" if after > before else "first pass only"
    if not walls or not _runs_at(trigger, at, high - low):
        return None
    fires = {
        "skipped": [],
        "caught up": [at],
        "shifted": [wall - before for wall in walls],
        "first pass only": [wall - before for wall in walls],
        "both passes": sorted(wall - offset for wall in walls for offset in (before, after)),
    }[effect]
    return Finding(
        trigger,
        "gap" if after > before else "overlap",
        effect,
        moment(at * SECOND, trigger.timezone),
        timedelta(seconds=high - low),
        tuple(_EPOCH + timedelta(seconds=wall) for wall in walls),
        count,
        tuple(moment(fire * SECOND, trigger.timezone) for fire in fires[:SHOWN]),
    )


def _of_interval(trigger: IntervalTrigger, at: int, before: int, after: int) -> Finding | None:
    if trigger.microseconds % (DAY * SECOND):
        return None
    following = trigger.after(at * SECOND - 1)
    if following is None or not _runs_at(trigger, at, 0):
        return None
    fire = moment(following, trigger.timezone)
    wall = fire.replace(tzinfo=None, fold=0) - timedelta(seconds=after - before)
    return Finding(
        trigger,
        "gap" if after > before else "overlap",
        "moved",
        moment(at * SECOND, trigger.timezone),
        timedelta(seconds=abs(after - before)),
        (wall,),
        1,
        (fire,),
    )


def _runs_at(trigger: Any, at: int, length: int) -> bool:
    """Tell whether the schedule has begun and not ended at a change of the clocks."""
    start, end = trigger.start_date, trigger.end_date
    if isinstance(trigger, CalendarIntervalTrigger):
        return True  # walls_between() has looked at them
    return (start is None or start.timestamp() < at + length) and (
        end is None or end.timestamp() >= at - length
    )


def _seconds(wall: datetime) -> int:
    return int((wall - _EPOCH).total_seconds())


def _clock(at: datetime) -> str:
    return f"{at:%H:%M:%S}".removesuffix(":00")


def _length(jump: timedelta) -> str:
    hours, rest = divmod(int(jump.total_seconds()), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _shown(times: tuple[datetime, ...], count: int) -> str:
    if count == 1:
        return _clock(times[0])
    named = ", ".join(_clock(at) for at in times[:3])
    return f"{named} and {count - 3} more" if count > 3 else named
