"""This node's lease in one durable store: kept in time, or lost and begun anew.

It asks the store; what becomes of rescued runs is the engine's business.
"""

from __future__ import annotations

from os import getpid, urandom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from logging import Logger

    from ..clock import Clock
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore


def new_node_id() -> str:
    """Return a name that no other node has, ever."""
    return f"{getpid()}-{urandom(6).hex()}"


class Lease:
    """A node in one store.

    :param length: how long the lease lasts after each renewal (microseconds); it is renewed three times in that time
    """

    __slots__ = ("_clock", "_logger", "_store", "in_doubt", "length", "more", "node", "nodes", "renewed_at")

    def __init__(self, store: BaseJobStore, clock: Clock, logger: Logger, length: int) -> None:
        self._store = store
        self._clock = clock
        self._logger = logger
        self.length = length
        self.node = new_node_id()
        #: this node and its former incarnations
        self.nodes = {self.node}
        #: monotonic microseconds; None: due at once
        self.renewed_at: int | None = None
        #: True while the answer to a claim is missing: the store may hold runs for this node that it does not know of
        self.in_doubt = False
        #: True while the last rescue took something: what there was no room for may be waiting
        self.more = False

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
        return True

    def rescue(self, now: int, room: Mapping[str, int], in_hand: Collection[tuple[str, int]]) -> list[Run]:
        """Take over the runs of dead nodes, and those of this node whose claim was answered by an error."""
        known = set(in_hand) if self.in_doubt else None
        # An error leaves the doubt: what was taken may be ours all the same.
        self.in_doubt = True
        runs = self._store.rescue(self.node, now, room, known)
        self.in_doubt = False
        self.more = bool(runs)
        return runs

    def end(self, unstarted: list[Run], now: int) -> None:
        """Give back the runs that were not started, and end the lease."""
        if self.renewed_at is not None:
            self._store.leave(self.node, unstarted, now)
            self.renewed_at = None
