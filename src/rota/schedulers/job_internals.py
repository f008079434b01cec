"""What the facade's job methods stand on: planning the first run, storing jobs, optimistic changes.

It starts nothing and runs nothing.
"""

from __future__ import annotations

from functools import partial

from ..clock import FIRST_SHOWN, LAST_SHOWN, MINUTE, SECOND
from ..core.plan import due_time
from ..core.states import ACTIVE, NEW, set_job_state, undo_job_state
from ..engine.announcements import local
from ..errors import (
    ConflictingIdError,
    JobLookupError,
    StoreConflictError,
)
from ..events import EVENT_JOB_ADDED, EVENT_JOB_MODIFIED, EVENT_JOB_REMOVED, JobEvent
from ..job.checks import checked_time, usable_id
from ..logs import INFO
from ..triggers.base import AskedBy
from .lookups import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED, JobLookups
from .names import no_such_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

__all__ = ("STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "JobInternals")

#: How often a change is tried again when others change the same job at the same time.
TRIES = 50

#: How long ago the first time of a new job may be before that is told (microseconds): "now" may have waited for the start.
LATE = MINUTE


#: A start that is wrong by less (microseconds) stays as it is.
EXACT = SECOND // 1000


class JobInternals(JobLookups):
    """The inner half of :class:`~rota.schedulers.job_methods.JobMethods`."""

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Plan a job's first run and store it."""
        try:
            store = self._jobstores.get(jobstore_alias) or self._lookup_jobstore(jobstore_alias)
        except TypeError:  # not hashable
            store = self._lookup_jobstore(jobstore_alias)
        if self._runs_jobs and job.executor not in self._executors:
            self._check_executor(job.executor)
        explicit = job.state != NEW
        if not store.has_clock:
            now = self.clock.now()
        else:
            now = store.now()
            if not explicit:
                _start_by(store, job)
        if not explicit:
            self._plan_first(job, now)
        nominal, is_told = job.next_nominal, False
        if nominal is not None and nominal <= now:
            due, is_late = job.next_due, nominal < now - LATE
            if is_late or not (job.has_new_id or store.is_unrecorded(nominal)):  # a new id has no records
                from ..engine.recorded import pass_over  # import time

                with AskedBy(self):
                    over = pass_over([job], store, now, self._log)
                if over and self._leave_out(store, job, jobstore_alias, replace_existing, explicit):
                    return
            is_told = is_late and not explicit and due == job.next_due
        try:
            store.add_job(job)
            if is_told:
                self._tell_of_past(job, nominal or 0, now)
        except ConflictingIdError:
            if not replace_existing:
                raise
            self._replace(store, job, explicit)
        job._home = self._homes.get(jobstore_alias) or self._home(jobstore_alias)
        if self._listening.mask & EVENT_JOB_ADDED:
            self._tell(JobEvent(EVENT_JOB_ADDED, job.id, jobstore_alias))
        if self._log.enabled(INFO):
            self._log.info('Added job "%s" to job store "%s"', job.name, jobstore_alias)
        if self.state == STATE_RUNNING:
            self._job_came(job, jobstore_alias)

    def _start_by_store(self, job: Job) -> None:
        """Let a start of a stored job's new trigger, which is the time of construction, be one by its store's clock."""
        store = self._jobstores.get(job._home[1] or "")
        if store is not None:
            _start_by(store, job)

    def _tell_of_past(self, job: Job, nominal: int, now: int) -> None:
        """Log that the first time of a new job is past: it may have been meant in another zone."""
        grace = job.policy.misfire_grace
        becomes = "it runs at once" if grace is None or now - nominal <= grace else "it is recorded as missed"
        self._log.info(
            'The time of job "%s", %s, is past, so %s; give timezone= if another zone was meant, or misfire_grace_time= to '
            "have what is late recorded as missed",
            job.name,
            local(job, nominal),
            becomes,
        )

    def _leave_out(self, store: BaseJobStore, job: Job, alias: str, replace: bool, explicit: bool) -> bool:
        """Do not store a job whose last time has a record; False if it goes on in the schedule of one that it replaces."""
        from ..engine.recorded import leave_out  # import time

        with AskedBy(self):
            left_out, removed = leave_out(job, store, replace, explicit)
        if removed:
            self._tell(JobEvent(EVENT_JOB_REMOVED, job.id, alias))
        if left_out:
            job._home = self._home(alias)
        return left_out

    def _plan_first(self, job: Job, now: int) -> None:
        """Plan the first run from ``now``; a trigger whose times are all over leaves the job paused, as in APScheduler."""
        trigger = job.trigger
        if trigger.asks_programs:
            with AskedBy(self):
                first = trigger.first(now)
        else:
            first = trigger.first(now)
        if first is None:
            self._log.warning('Job "%s" is paused: %s has no time to come', job.name, trigger)
            job.set_next(None)
            return
        if first > LAST_SHOWN or first < FIRST_SHOWN:
            checked_time(first, "the first run", trigger)
        # set_next() and due_time(), of which the calls cost more than what they do here: the job is a new one.
        job.next_nominal = first
        job.next_due = first if trigger.regular else due_time(job, first)
        set_job_state(job, ACTIVE)

    def _add_pending(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> bool:
        """Keep a job for start(); what can be refused is refused now.

        :return: False if the scheduler was started meanwhile: then nothing is kept, and the job goes to the store
        """
        self._check_for_store([job], alias)
        with self._jobstores_lock:
            if self._goes_to_stores():
                return False
            self._keep_pending(job, alias, replace, options)
        if self._log.enabled(INFO):
            self._log.info("Job %s is added when the scheduler starts", job.id)
        return True

    def _check_for_store(self, jobs: Sequence[Job], alias: str) -> None:
        """Refuse what a store would refuse, as far as it is known yet; it calls code of users, so no lock is held."""
        store = self._jobstores.get(alias)
        if store is not None:
            for job in jobs:
                store.check_job(job)

    def _keep_pending(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> None:
        """Keep a job for start(); the caller holds the lock."""
        # Looking through all of them for a new id would make adding 10 000 jobs take seconds instead of 0.3.
        known = self._pending_jobs if (alias, job.id) in self._pending_options else ()
        for i, (other, other_alias, _) in enumerate(known):
            if other.id == job.id and other_alias == alias:
                if not replace:
                    raise ConflictingIdError(job.id)
                del self._pending_jobs[i]
                break
        self._pending_jobs.append((job, alias, replace))
        self._pending_options[alias, job.id] = options

    def _add_all_pending(
        self, jobs: Sequence[Job], alias: str, replace: bool, options: Mapping[str, dict[str, Any]]
    ) -> bool:
        """Keep several jobs for start(): all of them or none.

        :param options: the options that were given, by the ids of the jobs that were given any
        :return: False if the scheduler was started meanwhile: then nothing is kept, and the jobs go to the store
        """
        _check_unique(jobs)
        self._check_for_store(jobs, alias)
        with self._jobstores_lock:
            if self._goes_to_stores():
                return False
            before = list(self._pending_jobs), dict(self._pending_options)
            try:
                for job in jobs:
                    self._keep_pending(job, alias, replace, options.get(job.id, {}))
            except BaseException:
                self._pending_jobs[:], self._pending_options = before
                raise
        self._log.info("%d jobs are added when the scheduler starts", len(jobs))
        return True

    def _add_together(self, jobs: Sequence[Job], alias: str, replace: bool, connection: Any) -> None:
        """Plan the first runs of several jobs and store them, all or none; in the caller's transaction if there is one."""
        if connection is not None:
            self._require_started("adding jobs by a connection")
        store = self._lookup_jobstore(alias)
        _check_unique(jobs)
        for executor in dict.fromkeys(job.executor for job in jobs):
            self._check_executor(executor)
        now = store.now()
        planned = set()
        for job in jobs:
            if job.state == NEW:
                _start_by(store, job)
                self._plan_first(job, now)
                planned.add(job.id)
        over: list[Job] = []
        if any(job.next_nominal is not None and job.next_nominal <= now for job in jobs):
            from ..engine.recorded import LOOK_BY_ID, LOOK_NEVER, pass_over  # import time

            # The transaction of the caller is left alone; there the claim decides about times that have a record.
            look = LOOK_BY_ID if connection is None else LOOK_NEVER
            with AskedBy(self):
                over = pass_over(jobs, store, now, self._log, look)
        if over:
            ended = {
                job.id for job in over if self._leave_out(store, job, alias, replace, job.id not in planned)
            }
            jobs = [job for job in jobs if job.id not in ended]
            if not jobs:
                return
        keep = partial(_keep_schedule, only=planned) if replace else None
        if "add_job" in store.__dict__ or "update_job" in store.__dict__:
            store.obey_program()
        store.add_jobs(jobs, keep, connection)
        self._bound(jobs, alias)
        if connection is None and self._wants(EVENT_JOB_ADDED):
            for job in jobs:
                self._tell(JobEvent(EVENT_JOB_ADDED, job.id, alias))
        self._log.info('Added %d jobs to job store "%s"', len(jobs), alias)
        due = [job for job in jobs if job.next_due is not None]
        if self.state == STATE_RUNNING and due and connection is None:
            self._job_came(min(due, key=lambda job: job.next_due or 0), alias)

    def _replace(self, store: BaseJobStore, job: Job, explicit: bool) -> None:
        """Store a job over the one of the same id; an unchanged trigger keeps its next run (and its phase)."""
        planned = job.trigger, job.state, job.next_nominal, job.next_due
        for _ in range(TRIES):
            if "update_job" in store.__dict__:
                store.obey_program()
            existing = store.lookup_job(job.id)
            # Nothing is left of an earlier try: times of a job that has ended meanwhile must not come back.
            job.trigger, state, job.next_nominal, job.next_due = planned
            undo_job_state(job, state)
            try:
                if existing is None:
                    store.add_job(job)
                    return
                version = existing.version
                if not explicit:
                    _keep_schedule(job, existing)
                if store.save_job(job, version):
                    return
            except (JobLookupError, ConflictingIdError):
                continue  # it has gone, or come, in between
        raise changed_all_the_time(job.id)

    def _pending_alias(self, job: Job) -> str | None:
        """Return the alias of the store that a job waits for, None if it does not wait."""
        return next((alias for waiting, alias, _ in list(self._pending_jobs) if waiting is job), None)

    def _change(
        self,
        job_id: str,
        jobstore: str | None,
        change: Callable[[Job], None],
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """Apply a change to a job, again if somebody else changed it in between.

        :param options: the policies that the change sets
        """
        for _ in range(TRIES):
            job, alias = self._lookup_job(job_id, jobstore)
            if alias is None:  # pending: nobody else has it
                change(job)
                waits_for = self._pending_alias(job)
                if options and waits_for is not None:
                    key = waits_for, job.id
                    self._pending_options[key] = {**self._pending_options.get(key, {}), **options}
                return job
            version = job.version
            draft = job.copy()
            change(draft)
            store = self._jobstores.get(alias) or self._lookup_jobstore(alias)
            if "update_job" in store.__dict__:
                store.obey_program()
            store.check_job(draft)
            nominal, before = draft.next_nominal, job.next_nominal
            if nominal is not None and (before is None or nominal < before):  # set back, or resumed
                now = store.now()
                if nominal <= now:
                    from ..engine.recorded import LOOK_ALWAYS, pass_over  # import time

                    # One whose schedule is over by that is stored all the same: the claim ends it.
                    with AskedBy(self):
                        pass_over([draft], store, now, self._log, LOOK_ALWAYS)
            if store.save_job(draft, version):
                if job.version == version:  # not a live object
                    job = draft
                if self._listening.mask & EVENT_JOB_MODIFIED:
                    self._tell(JobEvent(EVENT_JOB_MODIFIED, job_id, alias))
                if self.state == STATE_RUNNING:
                    self._job_came(job, alias)
                return job
        raise changed_all_the_time(job_id)

    def _remove(self, job_id: str, jobstore: str | None) -> str:
        id = job_id if type(job_id) is str else usable_id(job_id)
        if id is None:
            raise no_such_job(job_id, ())
        if self._is_open or self._goes_to_stores():
            for alias, store in (
                self._stores(jobstore) if jobstore is not None else list(self._jobstores.items())
            ):
                if store.does_io and usable_id(id) is None:
                    continue  # no store is asked for an id that no job can have: their answers differ
                try:
                    store.remove_job(id)
                except JobLookupError:
                    continue
                return alias
        else:
            with self._jobstores_lock:
                for i, (job, alias, _) in enumerate(self._pending_jobs):
                    if job.id == id and jobstore in (None, alias):
                        del self._pending_jobs[i]
                        self._pending_options.pop((alias, job.id), None)
                        return alias
        raise no_such_job(job_id, self._some_ids(jobstore) if usable_id(id) else ())


def _start_by(store: BaseJobStore, job: Job) -> None:
    """Let a start that is the time of construction be a time of the clock that counts, where that is not this machine's."""
    ahead, move = store.clock_offset, getattr(job.trigger, "moved", None)
    if ahead is not None and abs(ahead) >= EXACT and move is not None:
        job.trigger = move(ahead)


def changed_all_the_time(job_id: str) -> StoreConflictError:
    """Return the error of a change that met others' changes again and again."""
    return StoreConflictError(f'Job "{job_id}" is changed by others all the time; try again')


def _keep_schedule(job: Job, existing: Job, only: Collection[str] | None = None) -> None:
    """Let a job that replaces another go on in its schedule, if the trigger is unchanged and nobody said otherwise."""
    if only is not None and job.id not in only:
        return
    if existing.error is None and job.trigger.same_schedule(existing.trigger):
        job.trigger = existing.trigger
        set_job_state(job, existing.state)
        job.next_nominal, job.next_due = existing.next_nominal, existing.next_due


def _check_unique(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    twice = [job.id for job in jobs if job.id in seen or seen.add(job.id)]  # type: ignore[func-returns-value]
    if twice:
        raise ConflictingIdError(*twice)
