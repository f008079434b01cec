"""The transactions of one store, as long as its database is the one that was opened.

Knows no table and no statement; what a transaction does is a function of its connection.
"""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy.exc import DBAPIError, IntegrityError

from ...clock import SECOND
from ...errors import HeldRowsError, StoreError, StoreReplacedError
from ..identity import EMPTIED, Changed
from .prepared import OptimisticWriteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from sqlalchemy import Connection

    from ...clock import Clock
    from .server import Server

    Item = TypeVar("Item")
    Result = TypeVar("Result")

#: For how long (microseconds) rows are looked at before they are written, after somebody has held some.
_CAUTIOUS = 10 * SECOND


class Transactions:
    """Reads and writes of one store.

    :param check: refuses calls of a store that is not started, or that has been replaced
    :param replaced: takes note that the database is another one than was opened; returns the error that says so
    :param clock: returns the clock of the scheduler
    """

    def __init__(
        self,
        server: Server,
        check: Callable[[], None],
        replaced: Callable[[str], StoreReplacedError],
        clock: Callable[[], Clock],
    ) -> None:
        self.server = server
        self._check = check
        self._replaced = replaced
        self._clock = clock
        #: until when rows are looked at before they are written (monotonic microseconds)
        self._cautious_until = 0

    def read(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns; it only reads."""
        return self.guarded(self.server.read, work)

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns, in one transaction."""
        return self.guarded(self.server.write, work)

    def step(self, work: Callable[[Connection], Result]) -> Result:
        """Return what ``work(connection)`` returns, in one transaction of the scheduler, which waits for nobody.

        :raises HeldRowsError: if somebody holds a row for longer than a moment
        """
        return self.guarded(self.server.step, work)

    def step_optimistically(self, work: Callable[[Connection, bool], Result]) -> Result:
        """Return what ``work(connection, careful)`` returns, in a step that rarely meets changes by other processes.

        The first try is made without care, and without savepoints, which cost round trips.
        """
        try:
            return self.step(lambda conn: work(conn, False))
        except (OptimisticWriteFailed, IntegrityError):
            return self.step(lambda conn: work(conn, True))

    def step_around_held_rows(self, work: Callable[[Connection, bool], list[Item]]) -> list[Item]:
        """Return what ``work(connection, careful)`` returns, in a step that leaves out what somebody holds.

        It is careful, and looks at rows before it writes them, once somebody has held some; if that does not help, nothing is done.
        """
        careful = self.are_cautious
        with suppress(HeldRowsError):
            return self.step(lambda conn: work(conn, careful))
        if careful or self.server.database.one_writer:
            return []
        self.be_cautious()
        with suppress(HeldRowsError):
            return self.step(lambda conn: work(conn, True))
        return []

    def guarded(
        self,
        carry_out: Callable[[Callable[[Connection], Result]], Result],
        work: Callable[[Connection], Result],
    ) -> Result:
        """Return what ``carry_out(work)`` returns; notice that the database is not the one that was opened.

        :raises StoreReplacedError: if it is another one. A scheduler with a lease opens the store anew then; else the next call
        """
        self._check()
        try:
            return carry_out(work)
        except StoreReplacedError as exc:
            raise self._replaced(exc.change) from None
        except Changed as exc:
            raise self._replaced(str(exc)) from None
        except StoreError as exc:
            if not (
                isinstance(exc.__cause__, DBAPIError)
                and self.server.database.is_without_tables(exc.__cause__)
            ):
                raise
            raise self._replaced(EMPTIED) from exc

    # -- held rows -----------------------------------------------------------------------------------------------

    @property
    def are_cautious(self) -> bool:
        """Whether somebody held rows a moment ago, so that rows are looked at before they are written."""
        if self._cautious_until and self._clock().monotonic() >= self._cautious_until:
            self._cautious_until = 0
        return self._cautious_until > 0

    def be_cautious(self) -> None:
        """Look at rows before they are written for a while: somebody holds some."""
        self._cautious_until = self._clock().monotonic() + _CAUTIOUS

    def stay_cautious(self) -> None:
        """Do so for a while longer, if it is done already."""
        if self._cautious_until:
            self.be_cautious()
