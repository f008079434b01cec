"""How many records there are by hour, and which hours are counted once and for all, so that a heat map need not read them again.

Pure: it reads no ledger and no clock.
"""

from __future__ import annotations

from ..clock import DAY, HOUR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

#: How long an hour stays in the table of counts.
KEPT = 400 * DAY


class HourCounts(dict[int, dict[str, int]]):
    """How many records there are by hour (instant at its beginning) and status.

    :ivar searched_back_to: the nominal time (UTC) to which counting has got that has looked at as many records as it may; of the
        times before it there is only what was counted already. None: all are counted
    """

    searched_back_to: datetime | None = None

    def of_statuses(self, statuses: Collection[str] | None) -> HourCounts:
        """Return the counts of some statuses only; None: of all."""
        if statuses is None:
            return self
        found = HourCounts()
        found.searched_back_to = self.searched_back_to
        for hour, counts in self.items():
            some = {status: count for status, count in counts.items() if status in statuses}
            if some:
                found[hour] = some
        return found


def hour_of(instant: int) -> int:
    """Return the beginning of the hour in which an instant is."""
    return instant - instant % HOUR


def countable_until(now: int, unfinished: int | None) -> int:
    """Return the end of the last hour that may be counted (instant): all hours before it may be, too.

    An hour may be counted when it has been over for an hour and no run of a time before its end is unfinished; at the latest when
    it has been over for a day.

    :param now: instant
    :param unfinished: the earliest nominal time of the runs that have not ended; None: all have
    """
    over = hour_of(now - HOUR)
    return over if unfinished is None else min(over, max(hour_of(unfinished), hour_of(now - DAY)))
