"""The ledger of stores that implement APScheduler's eight methods only: one node, and the records in the memory of this process.

It reaches a store by its eight methods alone. It is no base class: the port's defaults call it.
"""

from __future__ import annotations

from ..clock import HELD, instant, moment
from ..core.plan import is_by_hand
from ..core.policy import Policy
from ..core.recorded import first_nominal
from ..core.states import ACTIVE, ENDED, QUARANTINED, set_job_state
from ..core.transitions import is_allowed
from ..errors import ConflictingIdError, JobLookupError
from ..interrupts import is_interrupt
from .memory_ledger import RING_SIZE, MemoryLedger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import Any, Protocol

    from ..core.plan import Decision
    from ..core.run import Run
    from ..job.handle import Job
    from ..logs import GuardedLogger

    class Store(Protocol):
        """What is asked of a store; see :class:`~rota.jobstores.base.BaseJobStore`."""

        def check_job(self, job: Job) -> None: ...
        def lookup_job(self, job_id: str) -> Job | None: ...
        def get_due_jobs(self, now: datetime) -> list[Job]: ...
        def get_next_run_time(self) -> datetime | None: ...
        def add_job(self, job: Job) -> None: ...
        def update_job(self, job: Job) -> None: ...
        def remove_job(self, job_id: str) -> Sequence[Run] | None: ...


#: what is kept of a job that does not wait: no time, and that no count of its runs lets it go on
NOTHING = (None, -1)


class EightMethodsLedger(MemoryLedger):
    """Runs, records, and the jobs that wait for their runs; carries out the claim protocol by the store's eight methods.

    :param size: how many records are kept
    """

    def __init__(self, size: int = RING_SIZE) -> None:
        super().__init__(size)
        #: the pending nominal time of each job that waits for its runs to end
        self.held: dict[str, tuple[int | None, int]] = {}
        #: what counts towards the pause of jobs after failures; see :func:`rota.core.pauses.count_ends`
        self.counted: dict[str, str] = {}
        #: when it began (instant); None: nobody has looked for due jobs yet
        self.began: int | None = None

    def lost_until(self) -> int | None:
        """Return until when times may have run of which there is no record: the jobs may be older than this process."""
        lost = super().lost_until()
        return lost if self.began is None else max(lost or self.began, self.began)

    def save(self, store: Store, job: Job) -> bool:
        """Replace the stored job; there is no version to compare."""
        with self.lock:
            if job.id in self.counted and job.state == ACTIVE:
                stored = store.lookup_job(job.id)
                if stored is not None and stored.next_run_time is None and job.id not in self.held:
                    del self.counted[job.id]  # it is resumed
            store.update_job(job)
        return True

    def due(self, store: Store, now: int, room: Mapping[str, int]) -> list[Job]:
        """Return due jobs, earliest first, at most as many for each executor as it has room for."""
        with self.lock:
            if self.began is None:
                self.began = now
            jobs = []
            left = dict(room)
            for job in store.get_due_jobs(moment(now)):
                if left.get(job.executor, 0) > 0 and job.id not in self.held:
                    left[job.executor] -= 1
                    job.running = self.running.get(job.id, 0)
                    jobs.append(job)
            return jobs

    def next_due(self, store: Store) -> int | None:
        """Return the earliest next run time as an instant, or None."""
        with self.lock:
            following = store.get_next_run_time()
        return None if following is None else instant(following)

    def claim(
        self, store: Store, decisions: Sequence[Decision], node: str, now: int, log: GuardedLogger
    ) -> list[Decision]:
        """Carry out decisions; return those that were. A job that the store cannot move stays due, and the others go on.

        R1 holds without versions: there is one node, and a job that was removed since is not found.

        :raises BaseException: what the store raised, if nothing was claimed
        """
        won = []
        error: BaseException | None = None
        with self.lock:
            until = self.claimed_until
            for decision in decisions:
                job = decision.job
                self._leave_out_if_late(decision, until)  # R4
                job.running = self.running.get(job.id, 0)
                if decision.superseded:
                    ended = self.supersede(decision, job.running, now)
                    if ended is None:
                        continue
                    for _ in range(ended):
                        self.count_down(job.id)
                    job.running -= ended
                if not is_allowed(decision, job.running):  # R2
                    continue
                before = job.copy()
                job.set_next(decision.next_nominal, decision.next_due)  # R3
                job.error = decision.error
                set_job_state(job, decision.state)
                try:
                    if decision.state == ENDED:
                        store.remove_job(job.id)
                    else:
                        self._move(store, job, decision)
                except JobLookupError:
                    continue
                except BaseException as exc:
                    job.assign(before)
                    if is_interrupt(exc):
                        raise
                    error = exc
                    log.warning("Error moving job %s to its next run; it stays due: %r", job.id, exc)
                    continue
                self._note_claim(decision, node, now)
                won.append(decision)
        if error is not None and not won:  # else what was claimed has to be executed
            raise error
        return won

    def finish(self, store: Store, runs: Sequence[Run], now: int, log: GuardedLogger) -> None:
        """Record ended runs; a job that waited for the last of them becomes due (R6). R5 holds: there is one node."""
        with self.lock:
            self.extend(runs)
            free: dict[str, None] = {}
            for run in runs:
                self.under_way.pop(run, None)
                if self.count_down(run.job_id) <= self.held.get(run.job_id, NOTHING)[1]:
                    free[run.job_id] = None
            for job_id in free:
                self._release(store, job_id)
            if Policy.some_pause:
                self.count_ends(store, runs, now, log)

    def count_ends(self, store: Store, runs: Iterable[Run], now: int, log: GuardedLogger) -> None:
        """Pause jobs after too many failures in a row. What is counted is kept here, as the store knows nothing of it."""
        of_job: dict[str, list[Run]] = {}
        for run in runs:
            if run.job is None or run.job.policy.pause_on_failure:
                of_job.setdefault(run.job_id, []).append(run)
        with self.lock:
            for job_id, some in of_job.items():
                self._count_ends_of(store, job_id, some, now, log)

    def _count_ends_of(
        self, store: Store, job_id: str, runs: Sequence[Run], now: int, log: GuardedLogger
    ) -> None:
        from ..core.pauses import count_ends  # most jobs have no such limit

        job = store.lookup_job(job_id)
        if job is None or not job.policy.pause_on_failure:
            return
        before = self.counted.pop(job_id, None)
        draft = job.copy()
        if job_id in self.held:  # it is stored as a paused one
            draft.set_next(self.held[job_id][0])
        draft.paused, draft.running = before, self.running.get(job_id, 0)
        count_ends(draft, runs, now)
        paused = [run for run in runs if hasattr(run, "pauses")]
        if not paused:
            if draft.paused is not None:
                self.counted[job_id] = draft.paused
            return
        try:
            store.update_job(draft)
            self.held.pop(job_id, None)
        except BaseException as exc:
            for run in paused:
                del run.pauses
            if before is not None:
                self.counted[job_id] = before  # the next failure tries it again
            if is_interrupt(exc):
                raise
            log.warning("Error pausing job %s after its failures: %r", job_id, exc)

    def release_run(self, store: Store, run: Run) -> None:
        """Count a run as not under way any more; a job that waited for the last of them becomes due (R6)."""
        with self.lock:
            self.under_way.pop(run, None)
            if self.count_down(run.job_id) <= self.held.get(run.job_id, NOTHING)[1]:
                self._release(store, run.job_id)

    def recount(self, jobs: Iterable[Job]) -> None:
        """Count anew the runs of jobs that are under way, here and on the jobs."""
        with self.lock:
            jobs = list(jobs)
            under_way = self.count_under_way(job.id for job in jobs)
            for job in jobs:
                job.running = under_way[job.id]
                if job.running:
                    self.running[job.id] = job.running
                else:
                    self.running.pop(job.id, None)

    def mend(self, store: Store) -> None:
        """Let the jobs be due that wait for runs though none are under way."""
        with self.lock:
            counts = self.count_under_way(self.held)
            for job_id in [job_id for job_id, count in counts.items() if not count]:
                self._release(store, job_id)

    # -- under the lock ------------------------------------------------------------------------------------------

    def _leave_out_if_late(self, decision: Decision, until: int) -> None:
        """Take out of a decision what has a record, if it may meet one: its times are of an earlier claim, or it is by hand."""
        since = first_nominal(decision)
        if since is not None and (since <= until or is_by_hand(decision)):
            self.leave_out(decision)

    def _move(self, store: Store, job: Job, decision: Decision) -> None:
        """Store a job that was moved. The store knows one time only, so a job that waits is paused there, and noted here."""
        if decision.next_due == HELD:
            self.held[job.id] = (decision.next_nominal, job.policy.spare)
            job.set_next(None)
        elif decision.state == QUARANTINED:
            job.set_next(None)
        store.update_job(job)

    def _note_claim(self, decision: Decision, node: str, now: int) -> None:
        """Take note of a decision's runs and records."""
        for run in decision.runs:
            run.owner = node
            run.claimed_at = now
            self.under_way[run] = None
        if decision.runs:
            self.running[decision.job.id] = self.running.get(decision.job.id, 0) + len(decision.runs)
        if now > self.claimed_until:
            self.claimed_until = now
        for record in decision.records:
            self.claimed_until = max(self.claimed_until, record.last)
        self.record(decision.records, node)

    def _release(self, store: Store, job_id: str) -> None:
        """Let a job be due that waited for its runs."""
        nominal, _ = self.held[job_id]
        job = store.lookup_job(job_id)
        if job is not None:
            job.set_next(nominal)
            store.update_job(job)
        self.held.pop(job_id, None)  # not before the store has taken it: it is tried again


def add_all(
    store: Store,
    lock: AbstractContextManager[Any],
    jobs: Sequence[Job],
    replace: Callable[[Job, Job], None] | None,
) -> None:
    """Store jobs of different ids one by one; if one fails, those before it are taken back.

    :param lock: held meanwhile
    :param replace: as in :meth:`~rota.jobstores.base.BaseJobStore.add_jobs`
    :raises ConflictingIdError: if ids exist already, and nothing replaces them
    """
    with lock:
        for job in jobs:
            store.check_job(job)
        found = {job.id: store.lookup_job(job.id) for job in jobs}
        existing = {id: None if job is None or job.state == ENDED else job for id, job in found.items()}
        conflicts = [job_id for job_id, stored in existing.items() if stored is not None]
        if conflicts and replace is None:
            raise ConflictingIdError(*conflicts)
        before = {job_id: stored.copy() for job_id, stored in existing.items() if stored is not None}
        done: list[Job] = []
        try:
            for job in jobs:
                stored = existing[job.id]
                if stored is None or replace is None:
                    store.add_job(job)
                else:
                    replace(job, stored)
                    store.update_job(job)
                done.append(job)
        except BaseException:
            for job in done:
                if job.id in before:
                    store.update_job(before[job.id])
                else:
                    store.remove_job(job.id)
            raise


def overdue(jobs: Iterable[Job], now: int, executors: Iterable[str]) -> dict[str, int]:
    """Return how many of the jobs are due, for each executor alias that is not among ``executors``."""
    known = set(executors)
    waiting: dict[str, int] = {}
    for job in jobs:
        due = job.next_due
        if job.state == ACTIVE and due is not None and due <= now and job.executor not in known:
            waiting[job.executor] = waiting.get(job.executor, 0) + 1
    return waiting
