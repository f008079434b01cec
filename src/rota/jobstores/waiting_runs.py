"""The waiting runs that the memory of a process keeps for a store: by job, by key, and in the order in which they may start.

It keeps what it is told under the lock of its ledger, and decides nothing.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from ..core.run import Run

#: How many entries of runs that do not wait any more there may be beside as many as there are waiting runs.
FEW = 64


class WaitingRuns:
    """Waiting runs. What is asked about one job, or about the earliest, does not depend on how many others there are."""

    __slots__ = ("_count", "_of_job", "_times")

    def __init__(self) -> None:
        self._of_job: dict[str, dict[int, Run]] = {}
        self._count = 0
        #: a heap of (not before, job, nominal time); that of a run that does not wait any more stays until there are many
        self._times: list[tuple[int, str, int]] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Run]:
        for runs in self._of_job.values():
            yield from runs.values()

    def put(self, run: Run) -> None:
        """Keep a run that waits from now on."""
        runs = self._of_job.setdefault(run.job_id, {})
        if run.nominal not in runs:
            self._count += 1
        runs[run.nominal] = run
        heappush(self._times, (run.extra.not_before or 0, run.job_id, run.nominal))

    def of(self, job_id: str) -> Collection[Run]:
        """Return the waiting runs of a job."""
        runs = self._of_job.get(job_id)
        return () if runs is None else runs.values()

    def get(self, job_id: str, nominal: int) -> Run | None:
        """Return a waiting run, None if there is no such one."""
        runs = self._of_job.get(job_id)
        return None if runs is None else runs.get(nominal)

    def take_out(self, run: Run) -> None:
        """Take out a run that waits no longer."""
        runs = self._of_job[run.job_id]
        del runs[run.nominal]
        if not runs:
            del self._of_job[run.job_id]
        self._count -= 1
        if len(self._times) > 2 * self._count + FEW:
            self._times = [entry for entry in self._times if self._is_current(entry)]
            heapify(self._times)

    def earliest_first(self) -> Iterator[Run]:
        """Return the waiting runs in the order in which they may start. Nothing is put or taken out meanwhile."""
        times = self._times
        # The smallest entry that is left is always among the children of those that were seen.
        ahead = [(times[0], 0)] if times else []
        last = None
        while ahead:
            entry, index = heappop(ahead)
            for child in (2 * index + 1, 2 * index + 2):
                if child < len(times):
                    heappush(ahead, (times[child], child))
            if entry != last and self._is_current(entry):  # one that was taken out and put back has two
                yield self._of_job[entry[1]][entry[2]]
            last = entry

    def _is_current(self, entry: tuple[int, str, int]) -> bool:
        not_before, job_id, nominal = entry
        run = self.get(job_id, nominal)
        return run is not None and (run.extra.not_before or 0) == not_before
