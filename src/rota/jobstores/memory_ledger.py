"""Runs under way and a ring of records in the memory of this process: for the memory store, and stores of eight methods.

It keeps what it is told, and knows no store.
"""

from __future__ import annotations

from collections import deque
from heapq import nlargest
from itertools import islice
from operator import attrgetter
from threading import RLock

from ..core.plan import AFTER_RUN
from ..core.run import label
from ..core.states import CLAIMED, PAUSED
from ..core.transitions import may_claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ..core.changes import Change
    from ..core.orders import Request
    from ..core.plan import Decision
    from ..core.recorded import Recorded
    from ..core.run import Run
    from ..job.handle import Job

#: How many records the memory of a process keeps for a store.
RING_SIZE = 10_000
#: Of how many jobs edits are kept before it is looked for those that are gone.
FEW_CHANGED = 32


class Beside:
    """What is kept beside jobs and records in memory.

    :ivar backfills: what is left of backfills, by the ids of their jobs
    :ivar parts: texts by name, for the key of each run
    :ivar changes: the last edits of each job, newest first
    :ivar most_changed: of how many jobs there may be edits before those of removed jobs go
    :ivar node: the id of the one node, and what it says of itself
    :ivar draining: the id of the node if it is to claim nothing more
    :ivar waiting: the waiting runs
    :ivar keys: nominal time and instant of the request, for the job and the key that a run was asked for with
    :ivar ended_jobs: jobs whose schedule is over and of which a run waits to be tried again, by their ids
    :ivar requests: the request, the node that is asked, when, and the answer, for the id of each request
    """

    __slots__ = (
        "backfills",
        "changes",
        "draining",
        "ended_jobs",
        "keys",
        "most_changed",
        "node",
        "parts",
        "requests",
        "waiting",
    )

    def __init__(self) -> None:
        from .waiting_runs import WaitingRuns  # import time

        self.backfills: dict[str, str] = {}
        self.parts: dict[tuple[str, int], dict[str, str]] = {}
        self.changes: dict[str, list[Change]] = {}
        self.most_changed = FEW_CHANGED
        self.node: tuple[str, str] | None = None
        self.draining: str | None = None
        self.waiting = WaitingRuns()
        self.keys: dict[tuple[str, str], tuple[int, int]] = {}
        self.ended_jobs: dict[str, Job] = {}
        self.requests: dict[str, tuple[Request, str, int, str | None]] = {}


class MemoryLedger:
    """The runs under way, and a bounded ring of records of those that have ended.

    :param size: how many records are kept
    """

    def __init__(self, size: int = RING_SIZE) -> None:
        self.size = size
        self.lock = RLock()
        #: how many runs of each job are under way; of the memory store, which counts on its jobs, those of jobs that left it
        self.running: dict[str, int] = {}
        #: in the order of their claims
        self.under_way: dict[Run, None] = {}
        self._ended: deque[Run] = deque(maxlen=size)
        #: the latest instant of a claim: no nominal time after it has a record
        self.claimed_until = 0
        #: how many records were kept so far, and how many of them are in the index
        self._count = 0
        self._indexed = 0
        #: the records of each job, for jobs that are added again; brought up to date when it is needed, and bounded by the ring
        self._index: dict[str, list[Recorded]] = {}
        self._index_size = 0

    @property
    def beside(self) -> Beside:
        """What is kept beside jobs and records; made when it is needed first."""
        beside: Beside | None = self.__dict__.get("_beside")
        if beside is None:
            beside = self.__dict__.setdefault("_beside", Beside())
        return beside

    def everything(self) -> list[Run]:
        """Return all records, runs under way among them, in no order."""
        with self.lock:  # a copy, as other threads go on writing
            runs = [*map(as_recorded, self.under_way), *self._ended]
            if "_beside" in self.__dict__:
                runs += self.beside.waiting
        for run in runs:
            label(run)  # those under way still have their jobs
        return runs

    def of_jobs(self, job_ids: Collection[str]) -> list[Run]:
        """Return the live objects of some jobs' records, runs under way among them, in no order; under the lock."""
        runs = [run for run in self.under_way if run.job_id in job_ids]
        for run in runs:
            label(run)
        runs += [run for run in self._ended if run.job_id in job_ids]
        if "_beside" in self.__dict__:
            runs += [run for job_id in job_ids for run in self.beside.waiting.of(job_id)]
        return runs

    def wait(self, run: Run) -> None:
        """Have a run wait; it has a record from now on."""
        self.beside.waiting.put(run)
        self.claimed_until = max(self.claimed_until, run.nominal)

    @property
    def has_waiting(self) -> bool:
        """Whether runs wait."""
        beside: Beside | None = self.__dict__.get("_beside")
        return beside is not None and len(beside.waiting) > 0

    def waits(self, job_id: str) -> bool:
        """Whether runs of a job wait."""
        return self.has_waiting and bool(self.beside.waiting.of(job_id))

    def cancel_waiting(self, job_id: str | None, now: int, reason: str | None = None) -> list[Run]:
        """End the waiting runs of a job that is removed; return them.

        :param job_id: None: all jobs are removed
        :param reason: why they end, in words; None: their job is removed
        """
        from ..core.extras import keeps_place  # rare
        from ..core.waiting import JOB_REMOVED, cancelled

        waiting = self.beside.waiting
        runs = list(waiting if job_id is None else waiting.of(job_id))
        for run in runs:
            waiting.take_out(run)
            cancelled(run, reason or JOB_REMOVED, now)
            label(run)
            run.job = None
            if keeps_place(run.extra):  # it counts as one under way
                self.count_down(run.job_id)
        self.extend(runs)
        return runs

    def supersede(self, decision: Decision, running: int, now: int) -> int | None:
        """End the waiting retries of a decision; return how many there are.

        None: one of them does not wait any more (R4), or there is no room for the runs of the decision all the same (R2).

        :param running: how many runs of the job are under way, or keep their places
        """
        from ..core.tries import end_superseded  # rare

        waiting = self.beside.waiting
        found = [waiting.get(run.job_id, run.nominal) for run in decision.superseded]
        runs = [run for run in found if run is not None]
        if len(runs) < len(found) or not may_claim(running - len(runs), decision.job.policy.limit):
            return None
        for run in runs:
            waiting.take_out(run)
            run.job = decision.job
            label(run)
        end_superseded(runs, now)
        self.extend(runs)
        decision.superseded = runs
        return len(runs)

    def put_in_place(self, run: Run, record: Run) -> None:
        """Know a run under way by another object from now on."""
        with self.lock:
            if run in self.under_way:
                del self.under_way[run]
                self.under_way[record] = None

    def lost_until(self) -> int | None:
        """Return the end of the newest record that may have left the ring (instant); None: none has."""
        with self.lock:
            full = len(self._ended) == self.size
            return self._ended[0].finished_at if full else None

    def __contains__(self, run: Run) -> bool:
        """Whether the ring has a record."""
        return run in self._ended

    def take_out(self, run: Run) -> None:
        """Take an ended run out of the ring: it is opened again."""
        with self.lock:
            self._ended.remove(run)
            self._index.clear()
            self._index_size = self._indexed = 0
            self._count = len(self._ended)

    def record(self, records: Sequence[Run], node: str) -> None:
        """Keep records of nominal times that did not run.

        :param node: the id of the node that decided so
        """
        for record in records:
            record.owner = node
            label(record)
        self.extend(records)

    def extend(self, runs: Sequence[Run]) -> None:
        """Keep ended runs."""
        self._count += len(runs)
        self._ended.extend(runs)

    def count_down(self, job_id: str) -> int:
        """Count a run of a job as ended; return how many of its runs are under way now."""
        left = self.running.get(job_id, 0) - 1
        if left > 0:
            self.running[job_id] = left
            return left
        self.running.pop(job_id, None)
        return 0

    def count_under_way(self, job_ids: Iterable[str]) -> dict[str, int]:
        """Return how many runs of some jobs are under way."""
        counts = dict.fromkeys(job_ids, 0)
        for run in self.under_way:
            if run.job_id in counts:
                counts[run.job_id] += 1
        return counts

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        from ..core.recorded import standing_from  # import time

        with self.lock:
            self._update_index()
            found = standing_from(self._index.get(job_id, ()), since)
            current = [_standing(run) for run in self.under_way if run.job_id == job_id]
            if "_beside" in self.__dict__:
                current += [_standing(run) for run in self.beside.waiting.of(job_id)]
        return standing_from([*found, *current], since) if current else found

    def leave_out(self, decision: Decision) -> bool:
        """Take out of a decision what has a record already (R4); return whether later times of its job have one, too."""
        from ..core.recorded import first_nominal, leave_out_recorded  # import time

        since = first_nominal(decision)
        following = decision.next_nominal
        if since is None:
            return True
        # A run by hand comes later than times that its job owes.
        recorded = self.recorded(decision.job.id, min(since, following or since))
        leave_out_recorded(decision, recorded)
        if following is None:  # what a paused job owes is planned when it is resumed
            return decision.state == PAUSED
        return any(last >= following for _, last, _ in recorded)

    def comes_back(self, decision: Decision) -> bool:
        """Whether a decision without runs lets its job come back to times with records; what has one is taken out of it (R4).

        The job's pause is over, or its next time is counted from now, after the clock was set back. What a paused job has left out
        may have records as well.
        """
        following = decision.next_nominal
        if decision.job.state != PAUSED and (
            following is None
            or not AFTER_RUN < following <= self.claimed_until
            or decision.waits_for_room  # its time is owed already
        ):
            return False
        return self.leave_out(decision)

    def _update_index(self) -> None:
        new = min(self._count - self._indexed, len(self._ended))
        self._indexed = self._count
        if self._index_size + new > 2 * (self._ended.maxlen or 0):  # half of it or more has left the ring
            self._index.clear()
            self._index_size, new = 0, len(self._ended)
        self._index_size += new
        for run in islice(reversed(self._ended), new):
            self._index.setdefault(run.job_id, []).append(_standing(run))

    def select(self, job_id: str | None, status: str | Iterable[str] | None, limit: int) -> list[Run]:
        """Return records, newest first, runs under way among them.

        :param job_id: only records of this job
        :param status: only records with this status, or one of these
        :param limit: the largest number of records
        """
        wanted = {status} if isinstance(status, str) else None if status is None else set(status)
        with self.lock:  # a copy, as other threads go on writing
            runs = [*map(as_recorded, reversed(self.under_way)), *reversed(self._ended)]
            if "_beside" in self.__dict__:
                runs += self.beside.waiting
        found = (
            run
            for run in runs
            if (job_id is None or run.job_id == job_id) and (wanted is None or run.status in wanted)
        )
        newest = nlargest(limit, found, key=attrgetter("nominal"))
        for run in newest:
            label(run)  # those under way still have their jobs
        return newest


def as_recorded(run: Run) -> Run:
    """Return a run under way as its record says: what a worker has made of it counts from when it is recorded on."""
    if run.status == CLAIMED:
        return run
    from copy import copy  # import time: most programs do not look at runs that are about to be recorded

    record = copy(run)
    label(record)
    record.status = CLAIMED
    record.reason = record.finished_at = record.job = record.then = None
    record.retval = record.kept = record.exception = record.error_type = record.error = record.traceback = (
        None
    )
    if hasattr(record, "extra"):  # what it is to wait for is decided already, and it does not wait yet
        record.extra = copy(record.extra)
        record.extra.waiting_for = record.extra.not_before = None
    return record


def _standing(run: Run) -> Recorded:
    return run.nominal, run.last, run.status
