"""The order in which the jobs of one executor come due in the memory store: the near ones sorted or in a heap, others in buckets.

It keeps references to live jobs, and drops entries that are out of date lazily. It takes no lock, and it changes no job.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count, islice

from ...clock import HELD
from ...core.states import ACTIVE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...job.handle import Job

    #: due time, order of arrival, the version of the job for which it holds, job
    Entry = tuple[int, int, int, Job]

#: A bucket holds the jobs that are due within 2**26 microseconds, a good minute. A job in it costs a reference of 8 bytes instead
#: of a heap entry of 104, and no comparisons, until the bucket's time comes.
_SHIFT = 26

#: Near entries are sorted when one of them is due: then taking one costs no comparison instead of fifteen, and mostly they are in
#: order already. Sorting this number of entries in no order takes a twentieth of a second; more stay in the heap.
_SORTED = 50_000


class DueQueue:
    """Jobs by due time. An entry counts only while the job has the version, or the due time, that it had when it was put in.

    :param executor: alias of the executor whose jobs these are
    :param now: instant; jobs that are due until about then are near
    """

    __slots__ = ("_arrivals", "_executor", "_far", "_first", "_near", "_opened", "_order", "_sorted")

    def __init__(self, executor: str, now: int) -> None:
        self._executor = executor
        #: a heap
        self._near: list[Entry] = []
        #: near ones, too; the earliest is the last
        self._sorted: list[Entry] = []
        #: the number of the last bucket whose jobs are near
        self._opened = now >> _SHIFT
        self._far: dict[int, list[Job]] = {}
        #: a heap of the numbers of the buckets
        self._order: list[int] = []
        #: the earliest entry of the first bucket; None: not known
        self._first: Entry | None = None
        self._arrivals = count()

    def put(self, job: Job, due: int) -> None:
        """Put in an active job.

        :param due: instant at which it is due
        """
        bucket = due >> _SHIFT
        if bucket <= self._opened:
            heappush(self._near, (due, next(self._arrivals), job.version, job))
            return
        jobs = self._far.get(bucket)
        if jobs is None:
            self._far[bucket] = [job]
            heappush(self._order, bucket)
        else:
            jobs.append(job)
        if self._first is not None and due < self._first[0]:
            self._first = (due, 0, job.version, job)

    def put_back(self, entry: Entry) -> None:
        """Put in again an entry that :meth:`take` has returned."""
        heappush(self._near, entry)

    def take(self, now: int, limit: int) -> list[Entry]:
        """Remove and return the entries of the earliest due jobs, at most ``limit`` of them."""
        if self._order and self._order[0] <= now >> _SHIFT:
            self._open(now >> _SHIFT)
        self._opened = max(self._opened, now >> _SHIFT)
        near, ordered = self._near, self._sorted
        if not ordered and near and near[0][0] <= now and len(near) <= _SORTED:
            near.sort(reverse=True)
            near, ordered = self._near, self._sorted = ordered, near
        taken: list[Entry] = []
        while len(taken) < limit:
            if near and near[0][0] <= now and not (ordered and ordered[-1] < near[0]):
                entry = heappop(near)
            elif ordered and ordered[-1][0] <= now:
                entry = ordered.pop()
            else:
                break
            if entry[3].version == entry[2]:
                taken.append(entry)
        return taken

    def earliest(self) -> int | None:
        """Return the earliest due time, or None."""
        near, ordered, order = self._near, self._sorted, self._order
        while near and near[0][3].version != near[0][2]:
            heappop(near)
        while ordered and ordered[-1][3].version != ordered[-1][2]:
            ordered.pop()
        if near or ordered:
            return min(near[0][0] if near else HELD, ordered[-1][0] if ordered else HELD)
        while order:
            first = self._first
            if first is not None and first[3].version == first[2] and first[0] >> _SHIFT == order[0]:
                return first[0]
            self._first = self._earliest_of(order[0])
            if self._first is None:
                del self._far[heappop(order)]
        return None

    def waiting(self, now: int, most: int) -> int:
        """Return how many jobs are due, ``most`` at most; no more than twice as many entries are looked at."""
        if self._order and self._order[0] <= now >> _SHIFT:
            self._open(now >> _SHIFT)
            self._opened = max(self._opened, now >> _SHIFT)
        entries = islice(_due(self._near, self._sorted, now), 2 * most)
        return min(sum(entry[3].version == entry[2] for entry in entries), most)

    def _open(self, last: int) -> None:
        """Move the jobs of the buckets up to a number into the heap."""
        while self._order and self._order[0] <= last:
            bucket = heappop(self._order)
            self._near += self._entries(bucket)
            del self._far[bucket]
        heapify(self._near)

    def _entries(self, bucket: int) -> list[Entry]:
        """Return entries for the jobs of a bucket that are still due in it, once each."""
        executor, arrivals = self._executor, self._arrivals
        found: dict[int, Entry] = {}
        for job in self._far[bucket]:
            due = job.next_due
            if due is None or due >> _SHIFT != bucket or job.executor != executor:
                continue
            version = job.version
            if version > 0 and job.state == ACTIVE:
                found[id(job)] = (due, next(arrivals), version, job)
        return list(found.values())

    def _earliest_of(self, bucket: int) -> Entry | None:
        """Return an entry for the first of the jobs of a bucket that are still due in it, or None."""
        first: Entry | None = None
        # Mostly they are in order: then one comparison of their times is all that most of them cost.
        before = (bucket + 1) << _SHIFT
        for job in self._far[bucket]:
            due = job.next_due
            if due is None or due >= before or due >> _SHIFT != bucket or job.executor != self._executor:
                continue
            if job.version > 0 and job.state == ACTIVE:
                first, before = (due, 0, job.version, job), due
        return first


def _due(heap: list[Entry], ordered: list[Entry], now: int) -> Iterator[Entry]:
    """Yield the entries that are due, in any order; few of the others are looked at."""
    for entry in reversed(ordered):
        if entry[0] > now:
            break
        yield entry
    places = [0]
    while places:
        place = places.pop()
        if place < len(heap) and heap[place][0] <= now:
            yield heap[place]
            places += (2 * place + 1, 2 * place + 2)
