"""The port of all triggers: what the engine asks of them, and APScheduler's interface on top.

Pure: a trigger may not read the clock, keep state between calls, or do I/O.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from ..clock import instant as to_instant
from ..clock import moment
from ..errors import TriggerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime, tzinfo
    from typing import Any

#: How many occurrences the default methods walk before they give up counting one by one.
WALK_LIMIT = 100_000


class BaseTrigger(ABC):
    """Base class of all triggers.

    A custom trigger implements :meth:`get_next_fire_time` (APScheduler's interface); it is enough. The engine asks
    the methods on instants below; the built-in triggers answer those directly.
    """

    __slots__ = ()

    #: seconds by which a due time may come after its nominal time, or None
    jitter: float | None = None
    #: the zone in which the trigger's wall times are meant, or None
    timezone: tzinfo | None = None

    @abstractmethod
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """Return the next nominal time, or None if there is none (APScheduler's interface).

        :param previous_fire_time: the previous nominal time, or None for a new schedule
        :param now: the current time
        """

    def first(self, now: int) -> int | None:
        """Return the first nominal time of a schedule that starts at ``now``; it may lie in the past (date trigger).

        :param now: instant, microseconds since the epoch
        """
        return _instant_or_none(self.get_next_fire_time(None, self._moment(now)))

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Return the first nominal time that is later than ``instant``, or None.

        :param instant: microseconds since the epoch
        :param previous: the last nominal time that fired, where the caller knows it; it anchors the phase of an interval
            and tells a cron trigger whether the first pass of a repeated hour has fired
        """
        base = self._moment(instant)
        following = _instant_or_none(self.get_next_fire_time(base, base))
        if following is not None and following <= instant:
            raise TriggerError(
                f"{self} went back in time: asked for a time after {base.isoformat()}, it answered "
                f"{self._moment(following).isoformat()}; get_next_fire_time() must return a later time or None"
            )
        return following

    def latest(self, first: int, now: int) -> tuple[int, int]:
        """Return the last nominal time from ``first`` to ``now`` and how many there are, both ends included.

        :param first: a nominal time of this trigger that is not later than ``now``
        :param now: instant, microseconds since the epoch
        :return: the last nominal time, and the count (at least 1)
        """
        last, count = first, 1
        while count < WALK_LIMIT:
            following = self.after(last, last)
            if following is None or following > now:
                break
            last, count = following, count + 1
        return last, count

    def spec(self) -> dict[str, Any] | None:
        """Return the trigger as JSON-able data with a ``type`` key, or None if it has no such form."""
        return None

    def _moment(self, instant: int) -> datetime:
        return moment(instant, self.timezone) if self.timezone is not None else moment(instant)


def _instant_or_none(value: datetime | None) -> int | None:
    return None if value is None else to_instant(value)
