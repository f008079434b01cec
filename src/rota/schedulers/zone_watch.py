"""One warning of triggers that were made without a time zone: they are read in the machine's, and the scheduler has another.

Compares and makes the text; it changes no trigger and logs nothing.
"""

from __future__ import annotations

from datetime import datetime

from ..clock import DAY, HOUR, moment
from ..codec.triggers import trigger_of, trigger_spec
from ..texts import shortened, text_of
from ..util import local_timezone, timezone_repr, timezone_to_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import tzinfo
    from typing import Any

    from ..triggers.base import BaseTrigger

#: When two zones or two readings are compared: from now on through a year, the readings at different times of the day.
_WEEKS = range(0, 365 * DAY, 7 * DAY)
_LOOKS = range(0, 365 * DAY, 61 * DAY + 5 * HOUR)


class ZoneWatch:
    """What a scheduler remembers of triggers without a zone: which zones it has compared, and whether it has warned."""

    __slots__ = ("_compared", "_differ", "_told")

    def __init__(self) -> None:
        self._compared: tuple[tzinfo, tzinfo] | None = None
        self._differ = False
        self._told = False

    def warning(self, trigger: BaseTrigger, zone: tzinfo, now: int) -> str | None:
        """Return what to warn of, for the first trigger that runs at other times than in the scheduler's zone; else None.

        :param zone: the scheduler's zone
        """
        if self._told:
            return None
        machine = local_timezone()
        if self._compared != (machine, zone):
            self._compared, self._differ = (machine, zone), _differ(machine, zone, now)
        found = _two_readings(trigger, machine, zone, now) if self._differ else None
        if found is None:
            return None
        self._told = True
        here, there = timezone_repr(machine), timezone_repr(zone)
        return (
            f"The trigger {shortened(text_of(trigger), 200)} was made without a time zone, so it is read in this machine's, "
            f"{here}, and not in the scheduler's, {there}: its next time is {found[0]}, and would be {found[1]}. Give it "
            f"timezone={here!r} or timezone={there!r}, whichever you mean. Other triggers of this kind are not reported"
        )


def _differ(machine: tzinfo, zone: tzinfo, now: int) -> bool:
    """Whether the clocks of two zones differ at some time of the year to come."""
    if timezone_to_text(machine) == timezone_to_text(zone):
        return False
    return any(moment(now + at, machine).utcoffset() != moment(now + at, zone).utcoffset() for at in _WEEKS)


def _two_readings(trigger: BaseTrigger, machine: tzinfo, zone: tzinfo, now: int) -> tuple[str, str] | None:
    """Return a next time of a trigger as it is, and as it would be in the other zone, where they differ; else None."""
    try:
        other = trigger_of(_moved(trigger_spec(trigger), machine, zone))
        for at in _LOOKS:
            first, second = trigger.first(now + at), other.first(now + at)
            if first != second:
                return _shown(first, machine), _shown(second, zone)
    except Exception:  # a trigger of users, or one that cannot be written down: nothing to tell
        return None
    return None


def _moved(spec: Any, machine: tzinfo, zone: tzinfo) -> Any:
    """Return the spec of a trigger with the wall times of the machine's zone read in another zone."""
    if isinstance(spec, list):
        return [_moved(item, machine, zone) for item in spec]
    if not isinstance(spec, dict):
        return spec
    moved = {key: _moved(value, machine, zone) for key, value in spec.items()}
    if spec.get("timezone") == timezone_to_text(machine):
        moved["timezone"] = timezone_to_text(zone)
        for key, value in spec.items():
            if key.endswith("_date") and isinstance(value, str) and "T" in value:
                moved[key] = (
                    datetime.fromisoformat(value).astimezone(machine).replace(tzinfo=zone).isoformat()
                )
    return moved


def _shown(instant: int | None, zone: tzinfo) -> str:
    return "none" if instant is None else text_of(moment(instant, zone).strftime("%Y-%m-%d %H:%M:%S %Z"))
