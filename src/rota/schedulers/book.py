"""The job book: which jobs a scheduler has. It looks them up, adds, replaces, changes and removes them.

Before ``start()`` they wait in a list; from then on they are in the job stores. It starts nothing and runs nothing.
"""

from __future__ import annotations

from ..callables import ASKED, lacking
from ..core.overlaps import TERMINATE_OTHER
from ..core.policy import Policy, check_log
from ..core.states import ACTIVE, ENDED, HOLDING_UP, NEW, PAUSED, undo_job_state
from ..errors import (
    ConflictingIdError,
    JobLookupError,
    JobValueError,
    ResourceMissingError,
    SchedulerNotRunningError,
    StoreConflictError,
    in_workers,
)
from ..events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_PAUSED,
    EVENT_JOB_REMOVED,
    JobEvent,
    JobPausedEvent,
    SchedulerEvent,
)
from ..interrupts import is_interrupt
from ..job.checks import usable_id
from ..logs import INFO
from ..triggers.base import AskedBy, BaseTrigger
from .listeners import tell
from .names import no_such_job
from .new_jobs import LATE, keep_hold, keep_schedule, may_owe, now_by_clock_of, tell_of_past
from .pending import PendingJobs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ..engine.engine import Engine
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .hooks import Hooks
    from .listeners import Listeners
    from .new_jobs import NewJobs

#: The states of a scheduler, by APScheduler's names and numbers.
STATE_STOPPED = 0
STATE_RUNNING = 1
STATE_PAUSED = 2
#: How often a change is tried again when others change the same job at the same time.
TRIES = 50
#: How many ids are searched for a suggestion.
MOST_IDS = 1000

_COPIED = (
    "This process was forked from one in which the scheduler runs, and its copy here is stopped: what is asked of it would "
    "reach nobody. Call start() here if this process is to run jobs, too (each process then runs the jobs of a memory store). "
    "To add and look at jobs that others run, start a scheduler of your own here, with runs_jobs=False and the same database"
)


def need_a_look() -> bool:
    """Whether there may be jobs of which more has to be looked at before they are stored than their executor."""
    return bool(ASKED or Policy.some_keep_log or Policy.some_wait or BaseTrigger.some_chain)


class JobBook:
    """The jobs of a scheduler.

    :param scheduler: the scheduler, for its hooks
    :param listening: its listeners
    :param new_jobs: what makes its jobs
    """

    #: the scheduler's logger, guarded
    log: GuardedLogger

    def __init__(self, scheduler: Hooks, listening: Listeners, new_jobs: NewJobs) -> None:
        self.scheduler = scheduler
        self.listening = listening
        self.new_jobs = new_jobs
        #: the jobs that were added before start()
        self.pending = PendingJobs()
        #: whether calls go to the stores: from start() on, and during a shutdown until the last run has ended
        self.is_open = False
        #: whether this is the copy, in a forked child, of a scheduler that runs in the parent
        self.is_copy = False
        #: False: jobs are added and changed here for others to run
        self.runs_jobs = True
        #: the engine, from start() to the end of the shutdown
        self.engine: Engine | None = None
        #: for each alias of a store what its jobs have as ``_home``
        self._homes: dict[str, tuple[Any, str | None]] = {}

    # -- where calls go ------------------------------------------------------------------------------------------

    def goes_to_stores(self) -> bool:
        """Whether a call goes to the stores; else it goes to the jobs that wait for start().

        :raises SchedulerNotRunningError: in the copy of a scheduler that runs in the parent process, where neither would do
        """
        if self.is_copy and not self.is_open:
            raise SchedulerNotRunningError(_COPIED)
        return self.is_open

    def require_started(self, what: str) -> None:
        """Refuse what needs open stores.

        :raises RuntimeError: if the scheduler was not started
        """
        if not self.goes_to_stores():
            raise RuntimeError(
                f"the scheduler must have been started for {what} to work; call start(paused=True)"
            )

    def stores(self, alias: Any) -> list[tuple[str, BaseJobStore]]:
        """Return the stores by alias: all, or the one that is named if it exists."""
        known = self.scheduler._jobstores
        if alias is None:
            return list(known.items())
        store = known.get(alias) if isinstance(alias, str) else None
        return [] if store is None else [(alias, store)]

    def home(self, alias: str) -> tuple[Any, str | None]:
        """Return what the jobs of a store share as ``_home``: the scheduler and the alias."""
        home = self._homes.get(alias)
        if home is None:
            home = self._homes[alias] = (self.scheduler, alias)
        return home

    def bound(self, jobs: Sequence[Job], alias: str) -> Sequence[Job]:
        """Return jobs of a store with their convenience methods working."""
        home = self.home(alias)
        for job in jobs:
            job._home = home
        return jobs

    def check_executor(self, alias: Any) -> None:
        """Refuse a job whose executor does not exist here, unless others run it.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        if self.runs_jobs and not (isinstance(alias, str) and alias in self.scheduler._executors):
            self.scheduler._lookup_executor(alias)

    def check_resources(self, job: Job) -> None:
        """Refuse a job that needs a resource which is not here, unless others run it.

        :raises ResourceMissingError: if that is so
        """
        if not ASKED or not self.runs_jobs:
            return
        for name in lacking(job):
            executor = self.scheduler._executors.get(job.executor)
            if executor is not None and executor.in_workers:
                raise ResourceMissingError(name, in_workers(name))
            raise ResourceMissingError(name)

    def check_policy(self, job: Job) -> None:
        """Refuse a job whose ``overlap`` its executor cannot carry out, unless others run it.

        :raises JobValueError: if that is so
        """
        if job.policy.overlap != TERMINATE_OTHER or not self.runs_jobs:
            return
        executor = self.scheduler._executors.get(job.executor)
        if executor is not None and not executor.in_workers:
            raise JobValueError(
                f'overlap must be another than "terminate_other" for executor {job.executor!r}, got it for job {job.id!r}; only '
                f'worker processes can be ended: use a ProcessPoolExecutor, or overlap="cancel_other"'
            )

    # -- looking up ----------------------------------------------------------------------------------------------

    def find(self, job_id: str, jobstore_alias: str | None) -> Job | None:
        """Return the job of that id, or None if there is none; its ``_home`` names its store, or none if it is pending."""
        if type(job_id) is not str:
            id = usable_id(job_id)
            if id is None:
                return None
            job_id = id
        if not self.is_open and not self.goes_to_stores():
            return self.pending.find(job_id, jobstore_alias)
        # stores() and home(), of which the calls cost more than what they do here.
        for alias, store in (
            self.stores(jobstore_alias)
            if jobstore_alias is not None
            else list(self.scheduler._jobstores.items())
        ):
            if store.does_io and usable_id(job_id) is None:
                continue  # no store is asked for an id that no job can have: their answers differ
            found = store.lookup_job(job_id)
            if found is not None:
                found._home = self._homes.get(alias) or self.home(alias)
                return found
        return None

    def no_such_job(self, job_id: str, jobstore: str | None) -> JobLookupError:
        """Return the error for an id that no job has; it suggests a near id, as far as looking for one costs nothing."""
        if not usable_id(job_id):
            return no_such_job(job_id, ())
        ids = [job.id for job, _, _ in self.pending.entries[:MOST_IDS]]
        for _, store in self.stores(jobstore):
            ids += [
                id for id in store.some_ids(MOST_IDS) if id != job_id
            ]  # one whose schedule is over may be there
        return no_such_job(job_id, ids)

    def now_for(self, job: Job) -> int:
        """Return the instant by the clock that counts for a job: that of its store, this node's if it waits for start()."""
        alias = job._home[1]
        store = None if alias is None else self.scheduler._jobstores.get(alias)
        return self.scheduler.clock.now() if store is None else store.now()

    # -- adding --------------------------------------------------------------------------------------------------

    def add(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Plan a job's first run and store it."""
        scheduler = self.scheduler
        try:
            store = scheduler._jobstores.get(jobstore_alias) or scheduler._lookup_jobstore(jobstore_alias)
        except TypeError:  # not hashable
            store = scheduler._lookup_jobstore(jobstore_alias)
        if (  # need_a_look(), without the call
            job.executor not in scheduler._executors
            or ASKED
            or Policy.some_keep_log
            or Policy.some_wait
            or BaseTrigger.some_chain
        ):
            self._look_closely(job, store, jobstore_alias)
        explicit = job.state != NEW
        now = now_by_clock_of(store, job) if store.has_clock else scheduler.clock.now()
        if not explicit:
            self.new_jobs.plan_first(job, now)
        nominal, is_told = job.next_nominal, False
        if nominal is not None and nominal <= now:
            due, is_late = job.next_due, nominal < now - LATE
            if (
                is_late or not (job.has_new_id or store.is_unrecorded(nominal))  # a new id has no records
            ) and self._is_over(store, job, jobstore_alias, replace_existing, explicit, now):
                return
            is_told = is_late and not explicit and due == job.next_due
        try:
            store.add_job(job)
            if is_told:
                tell_of_past(job, nominal or 0, now, self.log)
        except ConflictingIdError:
            if not replace_existing:
                raise
            self._replace(store, job, explicit, jobstore_alias, now)
        job._home = self._homes.get(jobstore_alias) or self.home(jobstore_alias)
        if self.listening.mask & EVENT_JOB_ADDED:
            tell(scheduler, JobEvent(EVENT_JOB_ADDED, job.id, jobstore_alias), self.log)
        if self.log.enabled(INFO):
            self.log.info('Added job "%s" to job store "%s"', job.name, jobstore_alias)
        if scheduler.state == STATE_RUNNING:
            self.wake_for(job, jobstore_alias)

    def _look_closely(self, job: Job, store: BaseJobStore, alias: str) -> None:
        """Refuse a new job that cannot run as it is to run."""
        self.check_executor(job.executor)
        self.check_resources(job)
        self.check_policy(job)
        check_log(job.policy, store.longest_log)
        if BaseTrigger.some_chain:
            self.prepare_chains([job], alias, True)

    def add_pending(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> bool:
        """Keep a job for start(); what can be refused is refused now.

        :param options: the policies that were given for it
        :return: False if the scheduler was started meanwhile: then nothing is kept, and the job goes to the store
        """
        self.check_for_store([job], alias)
        if BaseTrigger.some_chain:
            self.prepare_chains([job], alias, False)
        with self.scheduler._jobstores_lock:
            if self.goes_to_stores():
                return False
            self.pending.keep(job, alias, replace, options)
        if self.log.enabled(INFO):
            self.log.info("Job %s is added when the scheduler starts", job.id)
        return True

    def prepare_chains(
        self, jobs: Sequence[Job], alias: str, is_stored: bool, may_write: bool = True
    ) -> None:
        """Refuse jobs that cannot be started by others' ends, and let their parents know of them; see :mod:`.chains`.

        :param is_stored: whether they are about to be stored; else they are to wait for start()
        """
        from .chains import Places  # rare

        places = Places(self.scheduler._jobstores, self.pending, is_stored)
        if is_stored:
            places.prepare(jobs, alias, may_write)
        else:
            places.check(jobs, alias)

    def check_for_store(self, jobs: Sequence[Job], alias: str) -> None:
        """Refuse what a store would refuse, as far as it is known yet; it calls code of users, so no lock is held."""
        store = self.scheduler._jobstores.get(alias)
        if store is not None:
            for job in jobs:
                store.check_job(job)
                check_log(job.policy, store.longest_log)

    def _is_over(
        self, store: BaseJobStore, job: Job, alias: str, replace: bool, explicit: bool, now: int
    ) -> bool:
        """Pass over past times of a job that have a record; return whether that was its last, so that it is not stored."""
        from ..engine.added_again import pass_over  # import time

        with AskedBy(self.scheduler):
            over = pass_over([job], store, now, self.log)
        return bool(over) and self.leave_out(store, job, alias, replace, explicit)

    def leave_out(self, store: BaseJobStore, job: Job, alias: str, replace: bool, explicit: bool) -> bool:
        """Do not store a job whose last time has a record; False if it goes on in the schedule of one that it replaces."""
        from ..engine.added_again import leave_out  # import time

        with AskedBy(self.scheduler):
            left_out, removed = leave_out(job, store, replace, explicit)
        if removed:
            self._tell_of_ends(alias, removed)
        if removed is not False:
            tell(self.scheduler, JobEvent(EVENT_JOB_REMOVED, job.id, alias), self.log)
        if left_out:
            job._home = self.home(alias)
        return left_out

    def _replace(self, store: BaseJobStore, job: Job, explicit: bool, alias: str, now: int) -> None:
        """Store a job over the one of the same id; an unchanged trigger keeps its next run (and its phase).

        :param now: the instant from which on it was planned
        """
        planned = job.trigger, job.state, job.next_nominal, job.next_due, job.paused
        for _ in range(TRIES):
            if "update_job" in store.__dict__:
                store.obey_program()
            existing = store.lookup_job(job.id)
            # Nothing is left of an earlier try: times of a job that has ended meanwhile must not come back.
            job.trigger, state, job.next_nominal, job.next_due, job.paused = planned
            undo_job_state(job, state)
            try:
                if existing is None:
                    store.add_job(job)
                    return
                version: int | None = existing.version
                job.chained = job.chained or existing.chained
                if not explicit:
                    keep_schedule(job, existing)
                elif existing.paused is not None:
                    keep_hold(job, existing)
                goes_on = existing.state in HOLDING_UP and job.state == ACTIVE
                if may_owe(existing):
                    from .beside import settle_edit  # import time

                    version = settle_edit(self.scheduler, store, existing, job, now, self.log)
                if version is not None and store.save_job(job, version):
                    if goes_on:
                        self.look_at_waiting(alias)
                    return
            except (JobLookupError, ConflictingIdError):
                continue  # it has gone, or come, in between
        raise changed_all_the_time(job.id)

    def wake_for(self, job: Job, alias: str) -> None:
        """Wake the host up for a new or changed job, if it would come too late by itself."""
        if self.engine is not None and self.engine.wakes_before(job.next_due, alias):
            self.wake_host()

    def look_at_waiting(self, alias: str) -> None:
        """Have the next pass look for waiting runs that the state of their job kept from starting, and wake the host for it."""
        state = None if self.engine is None else self.engine.stores.get(alias)
        # A store of this process is asked at once, which costs less than a pass.
        if state is not None and (state.store.does_io or state.store.next_waiting() is not None):
            state.asked.tell()
            if self.scheduler.state == STATE_RUNNING:
                self.wake_host()

    def wake_host(self) -> None:
        """Call ``wakeup()``; if it fails, the store has the job all the same, and the next pass finds it."""
        try:
            self.scheduler.wakeup()
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self.log.exception("wakeup() failed; jobs that are due wait for the next pass")

    # -- changing ------------------------------------------------------------------------------------------------

    def change(
        self,
        job_id: str,
        jobstore: str | None,
        change: Callable[[Job], None],
        options: Mapping[str, Any] | None = None,
    ) -> Job:
        """Apply a change to a job, again if somebody else changed it in between.

        :param options: the policies that the change sets
        """
        scheduler = self.scheduler
        for _ in range(TRIES):
            job, alias = scheduler._lookup_job(job_id, jobstore)
            if alias is None:  # pending: nobody else has it
                return self._change_pending(job, change, options)
            version: int | None = job.version
            draft = job.copy()
            change(draft)
            store = scheduler._jobstores.get(alias) or scheduler._lookup_jobstore(alias)
            if "update_job" in store.__dict__:
                store.obey_program()
            self._check_change(job, draft, store, alias)
            nominal, before = draft.next_nominal, job.next_nominal
            if nominal is not None and (before is None or nominal < before):  # set back, or resumed
                self._pass_over(store, draft, nominal)
            is_paused = draft.state == PAUSED != job.state
            goes_on = job.state in HOLDING_UP and draft.state in (ACTIVE, ENDED)
            if may_owe(job):
                from .beside import settle_edit  # import time

                version = settle_edit(scheduler, store, job, draft, store.now(), self.log)
            if version is not None and store.save_job(draft, version):
                if job.version == version:  # not a live object
                    job = draft
                if self.listening.mask & (EVENT_JOB_MODIFIED | EVENT_JOB_PAUSED):
                    self._tell_of_change(job, alias, is_paused)
                if goes_on:
                    self.look_at_waiting(alias)
                if scheduler.state == STATE_RUNNING:
                    self.wake_for(job, alias)
                return job
        raise changed_all_the_time(job_id)

    def _pass_over(self, store: BaseJobStore, draft: Job, nominal: int) -> None:
        """Pass over past times of a changed job that have a record.

        One whose schedule is over by that is stored all the same: the claim ends it.
        """
        now = store.now()
        if nominal <= now:
            from ..engine.added_again import LOOK_ALWAYS, pass_over  # import time

            with AskedBy(self.scheduler):
                pass_over([draft], store, now, self.log, LOOK_ALWAYS)

    def _change_pending(
        self, job: Job, change: Callable[[Job], None], options: Mapping[str, Any] | None
    ) -> Job:
        """Apply a change to a job that waits for start()."""
        draft = job.copy()
        change(draft)
        waits_for = self.pending.alias_of(job)
        if waits_for is not None and BaseTrigger.some_chain:
            self.prepare_chains([draft], waits_for, False)
        job.assign(draft)
        if options and waits_for is not None:
            self.pending.add_options(job, waits_for, options)
        return job

    def _check_change(self, job: Job, draft: Job, store: BaseJobStore, alias: str) -> None:
        """Refuse a changed job that cannot run as it is to run."""
        if ASKED and (draft.func is not job.func or draft.executor != job.executor):
            self.check_resources(draft)
        store.check_job(draft)
        check_log(draft.policy, store.longest_log)
        self.check_policy(draft)
        if BaseTrigger.some_chain and draft.trigger is not job.trigger:
            self.prepare_chains([draft], alias, True)

    def _tell_of_change(self, job: Job, alias: str, is_paused: bool) -> None:
        tell(self.scheduler, JobEvent(EVENT_JOB_MODIFIED, job.id, alias), self.log)
        if is_paused:
            from ..core.pauses import note_of  # rare

            tell(self.scheduler, JobPausedEvent(EVENT_JOB_PAUSED, job.id, alias, note_of(job)), self.log)

    # -- removing ------------------------------------------------------------------------------------------------

    def remove(self, job_id: str, jobstore: str | None) -> None:
        """Remove a job; a run that is under way goes on, and its record stays.

        :raises JobLookupError: if there is no such job
        """
        id = job_id if type(job_id) is str else usable_id(job_id)
        if id is None:
            raise no_such_job(job_id, ())
        alias: str | None
        if self.is_open or self.goes_to_stores():
            for alias, store in (
                self.stores(jobstore) if jobstore is not None else list(self.scheduler._jobstores.items())
            ):
                if store.does_io and usable_id(id) is None:
                    continue  # no store is asked for an id that no job can have: their answers differ
                try:
                    ended = store.remove_job(id)
                except JobLookupError:
                    continue
                if ended:
                    self._tell_of_ends(alias, ended)
                break
            else:
                alias = None
        else:
            with self.scheduler._jobstores_lock:
                alias = self.pending.remove(id, jobstore)
        if alias is None:
            raise self.no_such_job(job_id, jobstore)
        if self.listening.mask & EVENT_JOB_REMOVED:
            tell(self.scheduler, JobEvent(EVENT_JOB_REMOVED, job_id, alias), self.log)
        if self.log.enabled(INFO):
            self.log.info("Removed job %s", job_id)

    def _tell_of_ends(self, alias: str, ended: Any) -> None:
        from .ends import tell_of_ends  # rare

        if isinstance(ended, list):  # a program's own store may return anything
            tell_of_ends(self.scheduler, self.engine, self.listening.mask, alias, ended, self.log)

    def remove_all(self, jobstore: str | None) -> None:
        """Remove all jobs from one store, or from all.

        :raises UnknownAliasError: if a scheduler that was started has no such store
        """
        scheduler = self.scheduler
        if not self.goes_to_stores():
            with scheduler._jobstores_lock:
                self.pending.remove_all(jobstore)
        else:
            if jobstore is not None:
                scheduler._lookup_jobstore(jobstore)
            for alias, store in self.stores(jobstore):
                ended = store.remove_all_jobs()
                if ended:
                    self._tell_of_ends(alias, ended)
        tell(scheduler, SchedulerEvent(EVENT_ALL_JOBS_REMOVED, jobstore), self.log)


def changed_all_the_time(job_id: str) -> StoreConflictError:
    """Return the error of a change that met others' changes again and again."""
    return StoreConflictError(f'Job "{job_id}" is changed by others all the time; try again')
