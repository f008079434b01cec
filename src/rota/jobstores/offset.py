"""How far the clock of a store's server is ahead of this machine's: leases are kept by the server's clock.

It measures and remembers; what is done with a lease is the store's business.
"""

from __future__ import annotations

from ..clock import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..clock import Clock

#: Differences up to this (microseconds) are within what a measurement over a network can tell, and count as none.
TOLERANCE = SECOND // 10
#: A lease that was renewed later than this (microseconds) from now, as it seems, was renewed before a clock was set back.
AHEAD = 5 * SECOND


class Offset:
    """The difference between two clocks, measured again and again."""

    def __init__(self) -> None:
        #: microseconds that the server's clock is ahead; None: not measured, or there is nothing to measure
        self.measured: int | None = None

    def measure(self, ask: Callable[[], int | None], clock: Clock) -> None:
        """Ask the server for its time. A virtual clock is everybody's clock, so nothing is measured then.

        :param ask: returns the server's time (instant), None if it cannot tell
        :param clock: the clock of this node
        """
        if clock.virtual:
            return
        before = clock.now()
        there = ask()
        if there is not None:
            self.measured = there - (before + clock.now()) // 2

    def at(self, now: int) -> int:
        """Return the instant on the server's clock."""
        measured = self.measured
        return now if measured is None or -TOLERANCE <= measured <= TOLERANCE else now + measured
