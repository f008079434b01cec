"""A store whose server has a clock of its own, which may be wrong and jump, as those of the nodes may.

It tells the time and measures it, as the stores of real servers do.
"""

from __future__ import annotations

from ...jobstores.server_clock import Offset
from .rules import ALL
from .snapshots import SnapshotJobStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any

    from ...core.run import Run
    from .clocks import ServerClock
    from .rules import Rules
    from .snapshots import SharedDatabase


class ClockedJobStore(SnapshotJobStore):
    """A store that tells the time by the clock of its server.

    :param server: the clock of the server that the store objects share
    """

    def __init__(self, database: SharedDatabase, server: ServerClock, rules: Rules = ALL) -> None:
        super().__init__(database, rules)
        self._server = server
        self._offset = Offset()

    def start(self, scheduler: Any, alias: str) -> None:
        super().start(scheduler, alias)
        self._offset = Offset()
        self.measure_clock()

    def now(self) -> int:
        return self._offset.now(self.clock)

    @property
    def clock_offset(self) -> int | None:
        return self._offset.against(self.clock)

    def measure_clock(self) -> int:
        # Also by virtual clocks, which are everybody's anywhere else.
        return self._offset.measure(lambda: self._server.now(self.clock), self.clock)

    def renew(
        self, node: str, now: int, lease: int, in_hand: Collection[Run] = (), in_doubt: bool = False
    ) -> list[Run] | None:
        return super().renew(node, now + self.measure_clock(), lease, in_hand, in_doubt)
