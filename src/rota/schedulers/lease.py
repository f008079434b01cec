"""This node's lease in one durable store: kept in time, or lost and begun anew.

It asks the store; what becomes of rescued runs is the engine's business.
"""

from __future__ import annotations

from os import getpid, urandom

from ..clock import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..clock import Clock
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger


def new_node_id() -> str:
    """Return a name that no other node has, ever."""
    return f"{getpid()}-{urandom(6).hex()}"


class Lease:
    """A node in one store.

    :param length: how long the lease lasts after each renewal (microseconds); it is renewed three times in that time
    """

    __slots__ = (
        "_clock",
        "_clocks_differ",
        "_logger",
        "_rescued",
        "_store",
        "asked",
        "in_doubt",
        "length",
        "node",
        "nodes",
        "renewed_at",
    )

    def __init__(self, store: BaseJobStore, clock: Clock, logger: GuardedLogger, length: int) -> None:
        self._store = store
        self._clock = clock
        self._logger = logger
        self._clocks_differ = False
        self.length = length
        self.node = new_node_id()
        #: this node and its former incarnations
        self.nodes = {self.node}
        #: monotonic microseconds; None: due at once
        self.renewed_at: int | None = None
        #: True while the answer to a claim is missing: the store may hold runs for this node that it does not know of
        self.in_doubt = False
        #: True once somebody has asked for a run that this node may take at once
        self.asked = False
        #: rescued runs that have not ended yet, as far as is known
        self._rescued: set[tuple[str, int]] = set()

    @property
    def every(self) -> int:
        """Microseconds from one renewal to the next."""
        return self.length // 3

    def keep(self, now: int) -> bool:
        """Renew the lease if it is time; a lease that was over is begun anew by a new incarnation.

        :return: whether it was renewed now
        """
        elapsed = self._clock.monotonic()
        if self.renewed_at is not None and elapsed - self.renewed_at < self.every:
            return False
        if not self._store.renew(self.node, now, self.length):
            self._logger.error(
                "Node %s did not renew its lease in time; others may have taken its runs over. It goes on as a new node",
                self.node,
            )
            self.node = new_node_id()
            self.nodes.add(self.node)
            self.in_doubt = False
            self._store.renew(self.node, now, self.length)
        self.renewed_at = elapsed
        self._compare_clocks()
        return True

    def _compare_clocks(self) -> None:
        """Say once when the store's clock shows another time: jobs run by this node's, leases last by the store's."""
        offset = self._store.clock_offset or 0
        wrong = abs(offset) > SECOND
        if wrong and not self._clocks_differ:
            self._logger.warning(
                "The clock of %r is %+.1f s ahead of this machine's; jobs run by this machine's. Set the clocks by NTP",
                self._store,
                offset / SECOND,
            )
        self._clocks_differ = wrong

    def rescue(self, now: int, room: Mapping[str, int], in_hand: Mapping[tuple[str, int], Run]) -> list[Run]:
        """Take over the runs of dead nodes, and those of this node whose claim was answered by an error."""
        known = None
        if self.in_doubt:
            # Not what a former incarnation has in hand: this one may own the same times without knowing.
            known = {(run.job_id, run.nominal) for run in list(in_hand.values()) if run.owner == self.node}
        # An error leaves the doubt: what was taken may be ours all the same.
        self.in_doubt = True
        self.asked = False
        runs = self._store.rescue(self.node, now, room, known)
        self.in_doubt = False
        self._rescued.update((run.job_id, run.nominal) for run in runs)
        return runs

    def may_rescue_more(self, in_hand: Collection[tuple[str, int]]) -> bool:
        """Whether rescued runs have ended since the last look, so that there is room for what had to wait."""
        if not self._rescued:
            return False
        before = len(self._rescued)
        self._rescued = {key for key in self._rescued if key in in_hand}
        return len(self._rescued) < before

    def end(self, unstarted: list[Run], now: int) -> None:
        """Give back the runs that were not started, and end the lease."""
        if self.renewed_at is not None:
            self._store.leave(self.node, unstarted, now)
            self.renewed_at = None
