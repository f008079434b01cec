"""The clocks of a simulation: those of the nodes, and of the store's server if it has its own. They are wrong, and jump.

It sets clocks; it reads none for anybody.
"""

from __future__ import annotations

from ...clock import HOUR, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

    from ...clock import Clock
    from ..clock import VirtualClock
    from .nodes import Node

#: How wrong a node's clock may be where no server has one: as wrong as machines that are set by NTP, and more (microseconds).
SKEW = 2 * SECOND


class ServerClock:
    """The clock of a server: it runs as fast as the others, and shows what it was set to.

    :param ahead: how far it is ahead of the time that has passed in the world (microseconds)
    """

    def __init__(self, ahead: int) -> None:
        self.ahead = ahead

    def now(self, clock: Clock) -> int:
        """Return the instant that it shows.

        :param clock: any clock of the world, for the time that has passed
        """
        return clock.monotonic() + self.ahead


class Clocks:
    """All clocks of one world.

    :param clock: the time that passes in the world, and what the machine's clock shows
    :param server: the clock of the store's server, None if leases and jobs go by the machine's
    :param say: takes a line for the trace
    """

    def __init__(
        self, rng: Random, clock: VirtualClock, server: ServerClock | None, say: Callable[[str], None]
    ) -> None:
        self._rng = rng
        self._clock = clock
        self._server = server
        self._say = say

    def set_one(self, nodes: Sequence[Node]) -> None:
        """Set a clock forward or back: a node's if the store's server has its own, and now and then that; else the machine's."""
        rng = self._rng
        # Not forward by an hour: so many times of one job would be too many for the ring of records in memory.
        most = rng.choice((2, 10, 60, 60, 600, 3600))
        length = int(most * SECOND * (-rng.random() if most == 3600 else rng.uniform(-1, 1)))
        if self._server is None:
            self._say(f"the clock jumps by {length / SECOND:+.1f} s")
            self._clock.set(self._clock.now() + length)
        elif rng.random() < 0.3 or not nodes:
            self._say(f"the clock of the server jumps by {length / SECOND:+.1f} s")
            self._server.ahead += length
        else:
            node = rng.choice(nodes)
            self._say(f"the clock of {node} jumps by {length / SECOND:+.1f} s")
            node.clock.skew += length

    def wrong(self) -> int:
        """Return how wrong the clock of a new node is: where the server has its own, that does not matter."""
        most = SKEW if self._server is None else HOUR
        return self._rng.choice((0, 0, self._rng.randint(-most, most)))

    def latest(self) -> int:
        """Return what the fastest of the clocks shows by which leases last."""
        return self._clock.now() + SKEW if self._server is None else self._server.now(self._clock)
