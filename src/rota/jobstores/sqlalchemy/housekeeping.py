"""Housekeeping of the SQL store, in steps: jobs that can be restored again, damage, counts, and what is forgotten.

The methods of the port; the engine claims due jobs between two steps.
"""

from __future__ import annotations

from functools import partial

from ...errors import HeldRowsError
from ..durable import DurableJobStore
from ..retention import NODES_KEPT
from .asked import AskedTables
from .damage import Damage
from .forms import healed
from .healing import Healing
from .pruning import Pruning
from .search import SearchedTables

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from ...clock import Clock
    from ...core.run import Run
    from ...job.handle import Job
    from .history import History
    from .jobs import Jobs
    from .leases import Leases
    from .runs import Runs
    from .server import Server

#: How many tags and edits one step looks at.
LOOKED_AT = 1000


class HousekeptTables(AskedTables, SearchedTables, DurableJobStore):
    """The tables of one store, and what is done about them from time to time."""

    _server: Server
    _jobs: Jobs
    _runs: Runs
    _history: History
    _damage: Damage
    _leases: Leases
    #: the ``_home`` of all its jobs: the scheduler, and the alias of the store
    _home: tuple[Any, str | None]
    _job_of: Callable[[Any], Job]

    def heal_in_steps(self, now: int) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now."""
        self._check_started()
        job_of = partial(healed, format=self._format, home=self._home)
        yield from Healing(self._transactions, self._jobs, self._runs, job_of, self.clock).steps(now)

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Look for damage that no other step comes across; see the port."""
        self._check_started()
        yield from self._damage.steps(self._transactions, self._job_of, now)

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job; and nodes that are long gone."""
        self._check_started()
        try:
            yield from self._count_in_steps(self.clock, now, self._bounds.wants_all(now))
            yield from Pruning(
                self._server, self._history, self._counts, self._bounds, now, self.clock
            ).steps()
            self._leases.forget(now - NODES_KEPT)
            if self._server.read(partial(self._orders.has_old, now=now)):
                self._server.step(partial(self._orders.forget, now=now))
        except HeldRowsError as exc:
            self._log.debug("The rest of what is too old is deleted with the next housekeeping: %s", exc)

    def _count_in_steps(self, clock: Clock, now: int, all: bool) -> Iterator[int]:
        """Count records and durations, and forget what belongs to jobs that are gone; see :meth:`prune_in_steps`.

        :param all: whether to look at all jobs, too
        """
        server = self._transactions.server
        for _ in self._counts.steps(server, clock, now, all):
            yield 0
        start: tuple[str, Any] | None = ("tags", "") if all else None
        while start is not None:
            keys, start = server.read(partial(self._beside.orphaned, start=start, looked_at=LOOKED_AT))
            if keys:
                server.step(partial(self._beside.forget, keys=keys))
            yield 0
