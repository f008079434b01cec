"""The thread that renews a lease, independent of passes and loops: a node that is busy or blocked is not dead.

It renews and does nothing else: no pass, no event, no code of users.
"""

from __future__ import annotations

from ..clock import HOUR, SECOND
from ..texts import error_text
from .native import Lock, start_thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..clock import Clock
    from ..logs import GuardedLogger
    from .lease import Lease

#: The first pause (seconds) after a renewal that failed; the pauses double, up to a fifteenth of the lease.
PAUSE = 0.1
#: The longest time from one renewal to the next (microseconds): threads cannot wait for any time.
LONGEST = HOUR
#: How long the end of a scheduler waits for a thread that is held up by its store (seconds).
PATIENCE = 1.0


class Renewals:
    """Renews a lease three times in its length, from a native thread.

    The thread ends by itself when the node does no work any more; the next pass starts another one.

    :param lease: the lease; it is renewed once it has begun
    :param renew: renews it
    :param works: returns whether the node's passes go on, or a shutdown waits for its runs
    """

    __slots__ = ("_clock", "_join", "_lease", "_logger", "_renew", "_stop", "_works")

    def __init__(
        self,
        lease: Lease,
        renew: Callable[[], None],
        works: Callable[[], bool],
        clock: Clock,
        logger: GuardedLogger,
    ) -> None:
        self._lease = lease
        self._renew = renew
        self._works = works
        self._clock = clock
        self._logger = logger
        #: held while the thread is to go on; None: there is none
        self._stop: Lock | None = None
        self._join: Callable[[float], object] | None = None

    def ensure(self) -> None:
        """Start the thread unless it is there; without one, the passes renew the lease."""
        if self._stop is not None or self._lease.ended:
            return
        stop = Lock()
        stop.acquire()
        self._stop = stop
        self._lease.kept = True
        try:
            self._join = start_thread("rota-renewals", lambda: self._main(stop))
        except RuntimeError:  # there can be no more threads at the moment
            self._has_ended(stop)

    def stop(self) -> None:
        """End the thread; it is waited for unless the store holds it up."""
        stop, join = self._stop, self._join
        if stop is not None:
            self._has_ended(stop)
            stop.release()
            if join is not None:
                join(PATIENCE)

    def _has_ended(self, stop: Lock) -> None:
        if self._stop is stop:
            self._stop = None
            self._lease.kept = False

    def _main(self, stop: Lock) -> None:
        failures = 0
        try:
            while not stop.acquire(True, self._seconds_left(failures)):
                if not self._works():
                    return
                try:
                    self._renew()
                    failures = 0
                except BaseException as exc:  # whatever a store raises, the next try may succeed
                    failures += 1
                    if failures == 1:
                        self._logger.warning(
                            "Node %s could not renew its lease: %s; trying again",
                            self._lease.node,
                            error_text(exc),
                        )
        finally:
            self._has_ended(stop)

    def _seconds_left(self, failures: int) -> float:
        """Return the seconds until the next renewal."""
        every, renewed_at = min(self._lease.every, LONGEST), self._lease.renewed_at
        if failures:
            return min(PAUSE * 2.0 ** min(failures, 16), every / 5 / SECOND)
        if renewed_at is None:  # the passes begin it
            return every / SECOND
        # At least a little: a pass may be renewing it at this moment.
        return max(renewed_at + every - self._clock.monotonic(), every // 10) / SECOND
