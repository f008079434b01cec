"""Runs that the ends of others leave at the jobs after them, kept in the step that keeps these ends.

What an end starts is decided in ``rota.core.chains``. Whoever calls has the store's lock.
"""

from __future__ import annotations

from ...core.chains import followers, parent_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ...core.run import Run
    from ...job.handle import Job
    from ..memory_ledger import MemoryLedger


class Chains:
    """Knows the jobs after others, and keeps what the ends of these leave there.

    :param jobs: the jobs of the store by their ids
    """

    def __init__(self, jobs: Mapping[str, Job]) -> None:
        self._jobs = jobs
        #: for the ids of jobs the ids of those that their ends start; some of these may be gone, or start otherwise
        self._children: dict[str, set[str]] = {}

    def note(self, job: Job) -> bool:
        """Take note of a job that is stored; return whether the ends of another one start it."""
        parent = parent_of(job)
        if parent is None:
            return False
        self._children.setdefault(parent, set()).add(job.id)
        return True

    def children(self, parents: Collection[str]) -> list[Job]:
        """Return the live jobs that the ends of some jobs start."""
        found = (self._jobs.get(id) for parent in parents for id in sorted(self._children.get(parent, ())))
        return [job for job in found if job is not None and parent_of(job) in parents]

    def parents(self) -> frozenset[str]:
        """Return the ids of the jobs that start others, and of some that did."""
        return frozenset(self._children)

    def follow(self, ended: Iterable[Run], now: int, ledger: MemoryLedger) -> None:
        """Leave runs at the jobs that some ends start.

        :param ended: the runs whose ends may start other jobs
        """

        def is_taken(job_id: str, instant: int) -> bool:
            return any(first <= instant <= last for first, last, _ in ledger.recorded(job_id, instant))

        for run in ended:
            for started in followers(run, self.children((run.job_id,)), now, is_taken):
                if started.ended:
                    ledger.extend([started])
                    ledger.claimed_until = max(ledger.claimed_until, started.nominal)
                else:
                    ledger.wait(started)
