"""How far the database server's clock is ahead of this machine's: leases are kept by the server's clock.

It measures and remembers; what is done with a lease is the store's business.
"""

from __future__ import annotations

from ...clock import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

    from ...clock import Clock

#: Differences up to this (microseconds) are within what a measurement over a network can tell, and count as none.
TOLERANCE = SECOND // 10


class Offset:
    """The difference between two clocks, measured again and again.

    :param question: selects the server's time as an instant, None if the database has no clock of its own
    """

    def __init__(self, question: TextClause | None) -> None:
        self._question = question
        #: microseconds that the server's clock is ahead; None: not measured, or there is nothing to measure
        self.measured: int | None = None

    def measure(self, conn: Connection, clock: Clock) -> None:
        """Ask the server for its time. A virtual clock is everybody's clock, so nothing is measured then."""
        if self._question is None or clock.virtual:
            return
        before = clock.now()
        there = int(conn.execute(self._question).scalar_one())
        self.measured = there - (before + clock.now()) // 2

    def at(self, now: int) -> int:
        """Return the instant on the server's clock."""
        measured = self.measured
        return now if measured is None or -TOLERANCE <= measured <= TOLERANCE else now + measured
