"""The part of the port for jobs that are started by the ends of other jobs' runs; see :mod:`rota.core.chains`.

A store knows the parents, whose ends it has to look at; which jobs an end starts is read when it is written. It decides nothing.
"""

from __future__ import annotations

from ..triggers.base import BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..core.run import Run
    from ..job.handle import Job


class StartsChains:
    """What a store does for chains."""

    #: whether the end of a run leaves runs at other jobs
    starts_chains: bool = False
    #: the ids of the jobs that start others, as far as this store object knows
    _parents: frozenset[str] = frozenset()

    def note_child(self, parent: str, child: str) -> None:
        """Take note that a job is about to be stored that the ends of another one start.

        What is noted of jobs that are gone, or are started otherwise by now, does no harm.

        :param parent: the id of the other job
        :param child: the id of the job
        """
        self._parents = self._parents | {parent}
        BaseTrigger.some_chain = True

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the jobs that the ends of some jobs start, as they are stored, in any order.

        :param parents: the ids of the other jobs
        """
        return ()

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs whose ends start others, and maybe of some more: those of which children are gone."""
        return ()

    def look_for_parents(self) -> None:
        """Learn which jobs start others; a node does so when it starts and with each renewal."""
        if self.starts_chains:
            found = frozenset(self.parents())
            if found != self._parents:
                self._parents = found
            if found:
                BaseTrigger.some_chain = True

    @property
    def has_chains(self) -> bool:
        """Whether a job is known that starts others."""
        return bool(self._parents)

    def may_start_others(self, job_id: str) -> bool:
        """Whether a job is known to start others by the ends of its runs."""
        return job_id in self._parents

    def starting(self, runs: Iterable[Run]) -> list[Run]:
        """Return those of some ended runs whose ends may start other jobs; nothing is asked for it."""
        if not BaseTrigger.some_chain:
            return []
        from ..core.chains import parents_among  # import time: most programs have no chains

        return parents_among(runs, self._parents)

    def _follow(self, runs: Sequence[Run], now: int) -> None:
        """Leave runs at the jobs that the ends of some start, in a store that keeps its ledger in memory."""
