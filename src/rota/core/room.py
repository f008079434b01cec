"""How much an executor is given: so many runs that its workers never wait for the next pass.

Pure: it reads no clock and starts nothing. What is not given stays in the store, where other nodes see it and can take it.
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


class Room:
    """What some workers have been given and have ended, and how many runs more they are given.

    It takes no lock: each worker counts in a place of its own, and what others count is under the lock of their executor.

    :param workers: how many workers there are
    """

    __slots__ = ("_pace", "busy", "ended", "submitted", "unmeasured", "worth_at")

    def __init__(self, workers: int) -> None:
        #: how many runs were given to the workers
        self.submitted = 0
        #: how many runs have ended, by the place of the worker; the first place is everybody else's
        self.ended = [0]
        #: how many microseconds each worker has spent in them
        self.busy = [0]
        #: how many of the ended runs tell nothing about how long runs keep a worker busy
        self.unmeasured = 0
        self._pace = Pace()
        #: with how much in hand another pass of the engine pays
        self.worth_at = workers

    @property
    def in_flight(self) -> int:
        """How many runs wait for a worker or keep one busy."""
        return self.submitted - sum(self.ended)

    def left(self, workers: int, in_hand: int) -> int:
        """Return room for the free workers and about a tenth of a second of work, at the pace of the runs so far.

        :param workers: how many workers there are
        :param in_hand: how much of what was given to them has not ended
        """
        self._pace.update(sum(self.busy), sum(self.ended) - self.unmeasured)
        waiting = ahead(workers, self._pace.average)
        self.worth_at = workers + waiting // 2
        return max(0, workers + waiting - in_hand)


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
