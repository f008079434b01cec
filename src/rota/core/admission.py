"""Admission: how many runs an executor with a fixed number of workers should be given at once.

Pure. What is not admitted stays in the store, where other nodes see it and can take it.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..job.handle import Job

#: An executor is given at most this much work ahead (microseconds), so that its workers never wait for the next pass.
AHEAD = 100_000
#: … and at most this many runs.
MOST_AHEAD = 1000
#: What a run is taken to last until the first ones have been measured (microseconds).
FIRST_GUESS = 25_000


class Pace:
    """A moving average of how long runs last, in microseconds."""

    __slots__ = ("_busy", "_ended", "average")

    def __init__(self) -> None:
        self.average = FIRST_GUESS
        self._busy = 0
        self._ended = 0

    def update(self, busy: int, ended: int) -> None:
        """Take in the totals so far: microseconds spent in runs, and runs ended."""
        fresh = ended - self._ended
        if fresh > 0:
            latest = (busy - self._busy) // fresh
            # Many short runs tell enough at once; a few only shift the estimate.
            weight = min(fresh, 10)
            self.average = (self.average * (10 - weight) + latest * weight) // 10
            self._busy, self._ended = busy, ended


def ahead(workers: int, average: int) -> int:
    """Return how many runs may wait for ``workers`` that need ``average`` microseconds for each."""
    return min(MOST_AHEAD, workers * AHEAD // max(average, 1))


def admit(
    jobs: Sequence[Job], rooms: Mapping[str, int], is_coroutine_function: Callable[[Any], bool]
) -> tuple[Sequence[Job], set[str]]:
    """Choose among due jobs where executors have room for any number of coroutines, but not of plain functions.

    :param jobs: due jobs, in the order in which they are to run
    :param rooms: how many plain functions those executors have room for, by alias
    :return: the jobs to take, and the aliases of the executors for which some were left out
    """
    if all(len(jobs) <= room for room in rooms.values()):
        return jobs, set()
    left, admitted, crowded = dict(rooms), [], set()
    for job in jobs:
        alias = job.executor
        if alias in left and not is_coroutine_function(job.func):
            if left[alias] <= 0:
                crowded.add(alias)
                continue
            left[alias] -= 1
        admitted.append(job)
    return admitted, crowded
