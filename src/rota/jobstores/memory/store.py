"""The memory store: live job objects, a queue of due times for each executor, and a bounded ring of records.

It holds the claim protocol, too: its loops are the hot path of every scheduler, so nothing is called that need not be. Nothing
here serializes, waits for a disk or survives the process.
"""

from __future__ import annotations

from itertools import islice
from operator import itemgetter

from ...clock import HELD, instant, moment
from ...compat.absent import refuse
from ...core.chains import ends_among
from ...core.plan import is_by_hand
from ...core.policy import Policy
from ...core.states import ACTIVE, ENDED, set_job_state
from ...core.transitions import ends_pause, is_allowed, not_ended_well, released
from ...errors import ConflictingIdError, JobLookupError
from ...triggers.base import BaseTrigger
from ..base import ALIASES, COUNTED, BaseJobStore
from ..memory_ledger import MemoryLedger
from .due_queue import DueQueue

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...job.handle import Job
    from .chains import Chains
    from .due_queue import Entry


#: The queues may hold this number of entries that are out of date.
_MOST_STALE = 1000
#: How long a fork waits for other threads that change the jobs (seconds).
_FORK = 5.0


class MemoryJobStore(BaseJobStore):
    """Keeps jobs in memory. Callables and arguments may be anything; they are kept as live objects.

    Adding, changing and removing a job cost O(log n) at most. Each of these raises the job's ``version``, so that the queues'
    entries of its former due times are out of date; a job that is not in the store has a version below 1.
    """

    does_io = False
    starts_chains = True
    #: the jobs after others; None: there was none yet
    _chains: Chains | None = None

    def __init__(self) -> None:
        self._by_id: dict[str, Job] = {}
        self._queues: dict[str, DueQueue] = {}
        #: entries that due() has returned and that are not claimed yet
        self._given: list[Entry] = []
        #: how many entries in the queues are out of date, at most
        self._stale = 0
        #: ids of jobs whose schedule is over and whose last run has not ended well
        self._over: set[str] = set()
        #: ids of jobs that were added again or set back, and have records of times to come
        self._recorded: set[str] = set()
        self._runs = MemoryLedger()
        self._mutex = self._runs.lock
        self._is_held = False

    def before_fork(self) -> None:
        """Wait until no other thread changes the jobs, for five seconds at most."""
        self._is_held = self._mutex.acquire(timeout=_FORK)

    def after_fork(self) -> None:
        """Let other threads change the jobs again."""
        if self._is_held:
            self._is_held = False
            self._mutex.release()

    def forked(self) -> None:
        """Keep the jobs; the runs that were under way are the parent's."""
        self._runs = MemoryLedger()
        self._recorded.clear()
        self._mutex = self._runs.lock
        for job in [job for job in self._by_id.values() if job.state == ENDED and job.running > 0]:
            del self._by_id[job.id]
        for job in self._by_id.values():
            job.running = 0
        self.detach()

    # -- APScheduler's eight methods -----------------------------------------------------------------------------

    def lookup_job(self, job_id: str) -> Job | None:
        """Return the live job of that id, or None.

        One whose schedule is over is there if runs of it wait, or its last one has not ended well.
        """
        job = self._by_id.get(job_id)
        return None if job is None or (job.state == ENDED and not self._is_kept(job)) else job

    def get_due_jobs(self, now: datetime) -> list[Job]:
        """Return the active jobs that are due, earliest first; nothing is claimed."""
        limit = instant(now)
        with self._mutex:
            due = [job for job in self._by_id.values() if _is_due(job, limit)]
        return sorted(due, key=_by_time)

    def get_next_run_time(self) -> datetime | None:
        """Return the earliest next run time, or None."""
        following = MemoryJobStore.next_due(self, tuple(self._queues))
        return None if following is None else moment(following)

    def get_all_jobs(self) -> list[Job]:
        """Return the live jobs, sorted by next run time, those without one last."""
        with self._mutex:
            jobs = [job for job in self._by_id.values() if job.state != ENDED]
        return sorted(jobs, key=_by_time)

    def some_ids(self, limit: int) -> list[str]:
        """Return at most ``limit`` ids of jobs."""
        with self._mutex:
            return list(islice(self._by_id, limit))

    def add_job(self, job: Job) -> None:
        """Store a job.

        :raises ConflictingIdError: if a job of that id exists
        """
        with self._mutex:
            if job.id in self._by_id:
                self._make_room(job.id)
            self._by_id[job.id] = job
            running = self._runs.running
            job.running = running.pop(job.id, 0) if running else 0
            nominal = job.next_nominal
            if nominal is not None and nominal <= self._runs.claimed_until:
                self._look_back(job, nominal)
            job.version = abs(job.version) + 1  # _push(), without the call
            self._queue(job)
            if BaseTrigger.some_chain:
                self._note(job)

    def update_job(self, job: Job) -> None:
        """Copy the attributes of ``job`` into the stored job of that id.

        :raises JobLookupError: if there is none
        """
        if self._is_moved(job):
            return
        with self._mutex:
            stored = MemoryJobStore.lookup_job(self, job.id)
            if stored is None:
                raise JobLookupError(job.id)
            self._replace(stored, job)

    def remove_job(self, job_id: str) -> Sequence[Run] | None:
        """Delete a job; return its waiting runs, which are cancelled.

        :raises JobLookupError: if there is none
        """
        ended = None
        with self._mutex:
            job = MemoryJobStore.lookup_job(self, job_id)
            if job is None:
                raise JobLookupError(job_id)
            self._drop(job)
            if self._runs.waits(job_id):
                ended = self._runs.cancel_waiting(job_id, self.now())
                self._follow(ended, self.now())
            self._stale += 1
            if self._stale > _MOST_STALE:
                self._tidy()
        return ended

    def remove_all_jobs(self) -> Sequence[Run] | None:
        """Delete all jobs; return their waiting runs, which are cancelled."""
        return self._remove_all(None)

    def _remove_all(self, reason: str | None) -> Sequence[Run]:
        ended: list[Run] = []
        with self._mutex:
            for job in self._by_id.values():
                self._leave(job)
            if "_beside" in self._runs.__dict__:
                ended += self._runs.cancel_waiting(None, self.now(), reason)
            self._by_id.clear()
            self._over.clear()
            self._queues.clear()
            self._given.clear()
            self._stale = 0
        return ended

    def shutdown(self) -> None:
        """Delete all jobs, as APScheduler's memory store does; the records can still be read."""
        self._remove_all("its scheduler was shut down")

    # -- the ledger ----------------------------------------------------------------------------------------------

    def save_job(self, job: Job, version: int) -> bool:
        """Copy a changed job into the stored one if that still has ``version`` (R1)."""
        with self._mutex:
            stored = MemoryJobStore.lookup_job(self, job.id)
            if stored is None:
                raise JobLookupError(job.id)
            if stored.version != version:
                return False
            self._replace(stored, job)
            return True

    def recorded(self, since: Mapping[str, int]) -> dict[str, list[Recorded]]:
        """Return the records of some jobs that stand for times from an instant on; there are none after the last claim."""
        until = self._runs.claimed_until
        asked = {job_id: start for job_id, start in since.items() if start <= until}
        return super().recorded(asked) if asked else {}

    def is_unrecorded(self, since: int) -> bool:
        """Whether nothing was claimed from that instant on."""
        return since > self._runs.claimed_until

    def due(self, now: int, room: Mapping[str, int]) -> list[Job]:
        """Take the earliest due jobs out of the queues of the executors that have room."""
        found: list[Entry] = []
        with self._mutex:
            self._take_back()
            for alias, limit in room.items():
                queue = self._queues.get(alias)
                if queue is not None:
                    found += queue.take(now, limit)
            if len(room) > 1:
                found.sort(key=itemgetter(0))
            self._given = found
        return [entry[3] for entry in found]

    def next_due(self, executors: Iterable[str]) -> int | None:
        """Return the earliest due time among the jobs of these executors."""
        with self._mutex:
            self._take_back()
            queues = [self._queues[alias] for alias in executors if alias in self._queues]
            times = [time for queue in queues if (time := queue.earliest()) is not None]
        return min(times, default=None)

    def overdue(self, now: int, executors: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor alias that is not among ``executors``."""
        known = set(executors)
        with self._mutex:
            self._take_back()
            others = [alias for alias in self._queues if alias not in known][:ALIASES]
            waiting = {alias: self._queues[alias].waiting(now, COUNTED) for alias in others}
        return {alias: count for alias, count in waiting.items() if count}

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out decisions about jobs that were not changed since they were read.

        R2 holds with R1: only a claim raises a job's count of running runs, and each claim changes its version.
        """
        won = []
        under_way = self._runs.under_way
        with self._mutex:
            came_back = self._recorded
            if len(decisions) == 1 and is_by_hand(decisions[0]):
                self._runs.leave_out(decisions[0])  # R4
                if decisions[0].runs:  # its nominal time may be some microseconds later than now
                    self._runs.claimed_until = max(self._runs.claimed_until, decisions[0].runs[0].nominal)
            for decision in decisions:
                job = decision.job
                if job.version != decision.version:  # R1
                    continue
                if came_back and job.id in came_back and not self._runs.leave_out(decision):  # R4
                    came_back.discard(job.id)
                # R2, R4
                if (decision.superseded or not decision.runs) and not self._is_allowed(decision, now):
                    continue
                won.append(decision)
                job.next_nominal = decision.next_nominal  # R3
                job.next_due = decision.next_due
                for run in decision.runs:
                    run.owner = node
                    run.claimed_at = now
                    under_way[run] = None
                    job.running += 1
                if decision.records:
                    self._record(decision, node, now)
                if job.state != decision.state:
                    _change_state(job, decision)
                if decision.state == ENDED and job.running <= 0 and not self._runs.waits(job.id):
                    self._drop(job)
                else:
                    self._push(job)
            self._given = [entry for entry in self._given if entry[3].version == entry[2]]
            if now > self._runs.claimed_until:
                self._runs.claimed_until = now
        return won

    def _record(self, decision: Decision, node: str, now: int) -> None:
        """Keep the records of a decision, which may be about times to come."""
        self._runs.record(decision.records, node)
        self._follow(ends_among((decision,)), now)
        latest = max(record.last for record in decision.records)
        following = decision.next_nominal
        if latest > now or (following is not None and latest >= following):
            self._runs.claimed_until = max(self._runs.claimed_until, latest)
            self._recorded.add(decision.job.id)

    def _is_allowed(self, decision: Decision, now: int) -> bool:
        """End the waiting retries of a decision; False: it cannot be carried out."""
        if not decision.runs and self._runs.comes_back(decision):
            self._recorded.add(decision.job.id)
        if not decision.superseded:
            return bool(decision.runs) or is_allowed(decision, decision.job.running)
        ended = self._runs.supersede(decision, decision.job.running, now)
        decision.job.running -= ended or 0
        if ended and BaseTrigger.some_chain:
            self._follow(decision.superseded, now)
        return ended is not None

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        """Record ended runs; a job that waited for them becomes due (R6).

        R5 needs no look at the records: the runs are live objects of this process, and belong to its one node.
        """
        under_way, jobs = self._runs.under_way, self._by_id
        over = []
        with self._mutex:
            for run in runs:
                under_way.pop(run, None)
                job = jobs.get(run.job_id)
                if job is None:
                    self._runs.count_down(run.job_id)
                    continue
                job.running -= 1
                if job.next_due == HELD:
                    self._let_go_on(job)
                elif job.running <= 0 and job.state == ENDED:
                    over.append(job)
            self._runs.extend(runs)
            if over:
                self._end(over, runs)
            if Policy.some_pause:
                self._count_ends(runs, now)
            if BaseTrigger.some_chain:
                self._follow(runs, now)
        return []

    def _end(self, jobs: Sequence[Job], runs: Sequence[Run]) -> None:
        """Forget jobs whose schedule is over, and whose last runs have ended well (R6)."""
        failed = not_ended_well(runs)
        for job in jobs:
            if job.id in failed:
                self._over.add(job.id)
            elif not self._runs.waits(job.id):
                self._drop(job)

    def _count_ends(self, runs: Sequence[Run], now: int) -> None:
        for job_id in {run.job_id for run in runs}:
            job = self._by_id.get(job_id)
            if job is not None and job.policy.pause_on_failure:
                from ...core.pauses import count_ends  # most jobs have no such limit

                if count_ends(job, [run for run in runs if run.job_id == job_id], now):
                    self._push(job)

    def next_waiting(self) -> int | None:
        """Return when a waiting run may start, or is to end (instant)."""
        return super().next_waiting() if self._runs.has_waiting else None

    def _running_of(self, job: Job) -> int:
        return job.running

    def _take_run(self, job: Job, run: Run, counted: bool) -> None:
        self._runs.under_way[run] = None
        if not counted:
            job.running += 1

    def _is_opened(self, job: Job, split: bool) -> None:
        with self._mutex:
            self._recorded.add(job.id)
            if split:  # who has read the records before may have missed a piece (R1)
                self._push(job)
                self._stale += 1
                if self._stale > _MOST_STALE:
                    self._tidy()

    def _waits_no_more(self, job: Job, run: Run) -> None:
        if job.state == ENDED and job.running <= 0 and not self._runs.waits(job.id):
            self._end([job], [run])

    def _has_job(self, job_id: str) -> bool:
        return job_id in self._by_id

    def _ended_jobs(self) -> list[Job]:
        with self._mutex:
            return [job for job in self._by_id.values() if job.state == ENDED]

    def _release_run(self, run: Run) -> None:
        self._runs.under_way.pop(run, None)
        job = self._by_id.get(run.job_id)
        if job is None:
            self._runs.count_down(run.job_id)
            return
        job.running -= 1
        if job.next_due == HELD:
            self._let_go_on(job)

    def _let_go_on(self, job: Job) -> None:
        """Make a job due that waits for the end of its runs, if so many have ended (R6)."""
        due = released(job.next_nominal, HELD, job.running, job.policy.spare)
        if due != HELD:
            job.next_due = due
            self._push(job)

    def recount(self, jobs: Sequence[Job]) -> None:
        """Set the counts of jobs to how many of their runs are under way."""
        with self._mutex:
            under_way = self._runs.count_under_way(job.id for job in jobs)
            for job in jobs:
                job.running = under_way[job.id]

    def mend_in_steps(self, now: int) -> Iterator[tuple[list[Job], list[Run]]]:
        """Find nothing: jobs and runs are live objects, and no one else writes them."""
        return iter(())

    def prune_in_steps(self, now: int) -> Iterator[int]:
        """Forget the jobs whose schedule is over and of which no record is left; the ring bounds itself."""
        with self._mutex:
            known = {run.job_id for run in self._runs.everything()} if self._over else set()
            for job_id in self._over - known:
                job = self._by_id.get(job_id)
                if job is not None and job.state == ENDED and job.running <= 0:
                    self._drop(job)
            self._over &= known
        return iter(())

    @property
    def _ledger(self) -> MemoryLedger:  # type: ignore[override]  # the port's is for stores of eight methods
        return self._runs

    # -- chains --------------------------------------------------------------------------------------------------

    def children(self, parents: Collection[str]) -> Sequence[Job]:
        """Return the live jobs that the ends of some jobs start."""
        with self._mutex:
            return () if self._chains is None else self._chains.children(parents)

    def parents(self) -> Collection[str]:
        """Return the ids of the jobs that start others, and of some that did."""
        return () if self._chains is None else self._chains.parents()

    def _note(self, job: Job) -> None:
        if self._chains is None:
            from .chains import Chains  # import time: most programs have no chains

            self._chains = Chains(self._by_id)
        if self._chains.note(job):
            self._parents = self._chains.parents()

    def _follow(self, runs: Sequence[Run], now: int) -> None:
        """Leave runs at the jobs that the ends of some start, in the step that keeps these ends."""
        if self._chains is not None:
            self._chains.follow(self.starting(runs), now, self._runs)

    # -- under the lock ------------------------------------------------------------------------------------------

    def _look_back(self, job: Job, nominal: int) -> None:
        """Take note of a job, added or changed, that has records of times from its next one on."""
        if self._runs.recorded(job.id, nominal):
            self._recorded.add(job.id)

    def _push(self, job: Job) -> None:
        """Give the job a new version, and put it into its executor's queue."""
        job.version = abs(job.version) + 1
        self._queue(job)

    def _queue(self, job: Job) -> None:
        due = job.next_due
        if job.state == ACTIVE and due is not None and due != HELD:
            queue = self._queues.get(job.executor)
            if queue is None:
                queue = self._queues[job.executor] = DueQueue(job.executor, self.clock.now())
            queue.put(job, due)

    def _replace(self, stored: Job, job: Job) -> None:
        if stored is not job:
            kept = stored.running, stored.version, stored._home
            stored.assign(job)
            stored.running, stored.version, stored._home = kept
        nominal = stored.next_nominal
        if nominal is not None and nominal <= self._runs.claimed_until:
            self._look_back(stored, nominal)
        stored.version = abs(stored.version) + 1  # _push(), without the call
        self._queue(stored)
        if stored.state == ENDED:  # it was paused; it goes with its last record
            self._over.add(stored.id)
        if BaseTrigger.some_chain:
            self._note(stored)
        self._stale += 1
        if self._stale > _MOST_STALE:
            self._tidy()

    def _leave(self, job: Job) -> None:
        """Take note that a job has left the store; its runs under way are counted if it is added again."""
        job.version = -job.version
        if self._recorded:
            self._recorded.discard(job.id)
        if job.running > 0:
            self._runs.running[job.id] = job.running

    def _is_kept(self, job: Job) -> bool:
        """Whether a job whose schedule is over is there: runs of it wait, or its last one has not ended well."""
        return job.running <= 0 or self._runs.waits(job.id)

    def _drop(self, job: Job) -> None:
        del self._by_id[job.id]
        self._leave(job)

    def _make_room(self, job_id: str) -> None:
        """Have a job whose schedule is over give way to a new one.

        :raises ConflictingIdError: if there is another one of that id
        """
        job = self._by_id[job_id]
        if job.state != ENDED:
            raise ConflictingIdError(job_id)
        self._drop(job)

    def _tidy(self) -> None:
        """Rebuild the queues if most of their entries may be out of date."""
        if self._stale > len(self._by_id):
            self._stale = 0
            self._queues.clear()
            self._given.clear()
            for job in self._by_id.values():
                self._queue(job)

    def _take_back(self) -> None:
        for entry in self._given:
            if entry[3].version == entry[2]:
                self._queues[entry[3].executor].put_back(entry)
        self._given = []


def _change_state(job: Job, decision: Decision) -> None:
    if ends_pause(decision):
        job.paused = None
    job.error = decision.error
    set_job_state(job, decision.state)


def _is_due(job: Job, now: int) -> bool:
    return job.state == ACTIVE and job.next_due is not None and job.next_due <= now


def _by_time(job: Job) -> Any:
    """Return the sort key of listings: by time, jobs without one last; equal times in the order of adding."""
    due = job.next_nominal if job.next_due == HELD else job.next_due
    return (due is None or job.state != ACTIVE, due or 0)


refuse(MemoryJobStore, "_jobs", "_jobs_index")
