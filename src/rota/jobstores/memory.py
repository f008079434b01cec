"""The memory store: live job objects, one heap for each executor, and a bounded ring of ledger records.

Keeps everything in the process; nothing here serializes, waits or survives.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count

from ..clock import HELD, instant, moment
from ..core.plan import ACTIVE, ENDED
from ..errors import ConflictingIdError, JobLookupError
from .base import BaseJobStore
from .memory_ledger import MemoryLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ..core.plan import Decision
    from ..core.run import Run
    from ..job import Job

#: Version of a job that is not in the store any more.
_GONE = -1


class MemoryJobStore(BaseJobStore):
    """Keeps jobs in memory. Callables and arguments may be anything; they are kept as live objects.

    Adding, changing and removing a job cost O(log n). Heap entries are deleted lazily: an entry counts only while the job's
    ``version`` is the one it was pushed with.
    """

    does_io = False

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._heaps: dict[str, list[tuple[int, int, Job]]] = {}
        #: entries that due() gave out and nobody has claimed yet
        self._given: list[tuple[int, int, Job]] = []
        self._stale = 0
        self._versions = count(1)
        self._runs = MemoryLedger()
        self._mutex = self._runs.lock

    def forked(self) -> None:
        """Keep the jobs; the runs that were under way are the parent's."""
        self._runs = MemoryLedger()
        self._mutex = self._runs.lock
        for job in self._jobs.values():
            job.running = 0
        self.detach()

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the live job of that id, or None."""
        return self._jobs.get(job_id)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        limit = instant(now)
        with self._mutex:
            due = [job for job in self._jobs.values() if _is_due(job, limit)]
        return sorted(due, key=_by_time)

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        following = self.next_due(tuple(self._heaps))
        return None if following is None else moment(following)

    def get_all_jobs(self) -> list[Job]:
        """Return the live jobs, sorted by next run time, those without one last."""
        with self._mutex:
            jobs = list(self._jobs.values())
        return sorted(jobs, key=_by_time)

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        """
        with self._mutex:
            if job.id in self._jobs:
                raise ConflictingIdError(job.id)
            self._jobs[job.id] = job
            job.running = self._runs.running.get(job.id, 0) if self._runs.running else 0
            self._push(job)

    def update_job(self, job: Job) -> None:
        """Take over the attributes of ``job`` into the stored job of that id.

        :raises JobLookupError: if there is none
        """
        with self._mutex:
            self._replace(job)

    def remove_job(self, job_id: str) -> None:
        """Forget a job.

        :raises JobLookupError: if there is none
        """
        with self._mutex:
            job = self._jobs.pop(job_id, None)
            if job is None:
                raise JobLookupError(job_id)
            self._drop(job)

    def remove_all_jobs(self) -> None:
        """Forget all jobs."""
        with self._mutex:
            for job in self._jobs.values():
                job.version = _GONE
            self._jobs.clear()
            self._heaps.clear()
            self._given.clear()
            self._stale = 0

    def shutdown(self) -> None:
        """Forget all jobs, as APScheduler's memory store does; the ledger stays readable."""
        self.remove_all_jobs()

    # -- the ledger ----------------------------------------------------------------------------------------------

    def save_job(self, job: Job, version: int) -> bool:
        """Take over a changed copy if the job still has ``version``."""
        with self._mutex:
            stored = self._jobs.get(job.id)
            if stored is None:
                raise JobLookupError(job.id)
            if stored.version != version:
                return False
            self._replace(job)
            return True

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Take the earliest due jobs off the heaps of the executors that have room."""
        found: list[tuple[int, int, Job]] = []
        with self._mutex:
            self._take_back()
            for alias, limit in room.items():
                heap = self._heaps.get(alias)
                taken = 0
                while heap and heap[0][0] <= now and taken < limit:
                    entry = heappop(heap)
                    if entry[2].version == entry[1]:
                        found.append(entry)
                        taken += 1
                    else:
                        self._stale -= 1
            self._given = found
        if len(room) > 1:
            found = sorted(found)
        return [entry[2] for entry in found]

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        earliest: int | None = None
        with self._mutex:
            self._take_back()
            for alias in executors:
                heap = self._heaps.get(alias)
                while heap and heap[0][2].version != heap[0][1]:
                    heappop(heap)
                    self._stale -= 1
                if heap and (earliest is None or heap[0][0] < earliest):
                    earliest = heap[0][0]
        return earliest

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Make decisions true for all jobs that were not changed since they were read."""
        won = []
        running, under_way = self._runs.running, self._runs.under_way
        with self._mutex:
            for decision in decisions:
                job = decision.job
                if job.version != decision.version:
                    continue
                won.append(decision)
                job.next_nominal = decision.next_nominal
                job.next_due = decision.next_due
                for run in decision.runs:
                    run.owner = node
                    run.claimed_at = now
                    under_way[id(run)] = run
                    running[job.id] = job.running = job.running + 1
                if decision.records:
                    self._runs.record(decision.records, node)
                if decision.state == ENDED:
                    del self._jobs[job.id]
                    job.version, job.state = _GONE, ENDED
                else:
                    job.state, job.error = decision.state, decision.error
                    self._push(job)
            self._given = [entry for entry in self._given if entry[2].version == entry[1]]
        return won

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs; a job that waited for them becomes due."""
        running, under_way, jobs = self._runs.running, self._runs.under_way, self._jobs
        with self._mutex:
            for run in runs:
                job_id = run.job_id
                under_way.pop(id(run), None)
                left = running.get(job_id, 0) - 1
                if left > 0:
                    running[job_id] = left
                else:
                    running.pop(job_id, None)
                    left = 0
                job = jobs.get(job_id)
                if job is not None:
                    job.running = left
                    if left == 0 and job.next_due == HELD:
                        job.next_due = job.next_nominal
                        self._push(job)
            self._runs.extend(runs)
        return []

    @property
    def _ledger(self) -> MemoryLedger:
        return self._runs

    # -- under the lock ------------------------------------------------------------------------------------------

    def _push(self, job: Job) -> None:
        """Give the job a new version and put it on its executor's heap."""
        job.version = version = next(self._versions)
        due = job.next_due
        if due is not None and due != HELD and job.state == ACTIVE:
            heap = self._heaps.get(job.executor)
            if heap is None:
                heap = self._heaps[job.executor] = []
            heappush(heap, (due, version, job))

    def _replace(self, job: Job) -> None:
        stored = self._jobs.get(job.id)
        if stored is None:
            raise JobLookupError(job.id)
        if stored is not job:
            running, alias = stored.running, stored._jobstore_alias
            stored.assign(job)
            stored.running, stored._jobstore_alias = running, alias
        self._outdate()
        self._push(stored)

    def _drop(self, job: Job) -> None:
        job.version = _GONE
        self._outdate()

    def _outdate(self) -> None:
        """Count a heap entry that no longer counts; rebuild the heaps when such entries are the most of them."""
        self._stale += 1
        if self._stale > 1000 and self._stale > len(self._jobs):
            for alias, heap in self._heaps.items():
                kept = [entry for entry in heap if entry[2].version == entry[1]]
                heapify(kept)
                self._heaps[alias] = kept
            self._stale = 0

    def _take_back(self) -> None:
        for entry in self._given:
            if entry[2].version == entry[1]:
                heappush(self._heaps.setdefault(entry[2].executor, []), entry)
        self._given = []


def _is_due(job: Job, now: int) -> bool:
    return job.state == ACTIVE and job.next_due is not None and job.next_due <= now


def _by_time(job: Job) -> Any:
    """Sort by time, jobs without one last; equal times in the order in which they came."""
    due = job.next_nominal if job.next_due == HELD else job.next_due
    return (due is None or job.state != ACTIVE, due or 0)
