"""What the facade's job methods stand on: look-ups by alias, planning the first run, optimistic changes.

Holds APScheduler's inner methods, which programs override or call. It starts nothing and runs nothing.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from ..clock import is_shown_everywhere
from ..core.plan import NEW, due_time
from ..core.policy import Policy
from ..errors import (
    ConflictingIdError,
    JobLookupError,
    StoreConflictError,
    UnknownAliasError,
)
from ..events import EVENT_JOB_ADDED, EVENT_JOB_MODIFIED, JobEvent
from ..jobchecks import checked_time, not_a_trigger, usable_id
from ..logs import DEBUG
from ..triggers.base import BaseTrigger
from .names import check_names, no_such, no_such_job
from .plugins import create_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from datetime import tzinfo
    from typing import Any

    from ..allowlist import AllowList
    from ..clock import Clock
    from ..core.plan import Decision
    from ..executors.base import BaseExecutor
    from ..job import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger

STATE_STOPPED = 0
STATE_RUNNING = 1
STATE_PAUSED = 2

#: The triggers that may start now: they start by the scheduler's clock.
_STARTING_NOW = ("date", "interval", "calendarinterval", "crontab", "rrule")

#: How often a change is tried again when others change the same job at the same time.
TRIES = 50

#: How many ids are looked through for one that was meant by an unknown one.
MOST_IDS = 1000


class JobInternals:
    """The inner half of :class:`~rota.schedulers.job_methods.JobMethods`."""

    state: int
    clock: Clock
    timezone: tzinfo
    #: the scheduler's logger, guarded
    _log: GuardedLogger
    _executors: dict[str, BaseExecutor]
    _jobstores: dict[str, BaseJobStore]
    _jobstores_lock: Any
    _default_policy: Policy
    #: False: jobs are added and changed here for others to run
    _runs_jobs: bool = True
    #: which callables the jobs in durable stores may name
    _allowed_callables: AllowList | None = None
    #: the names of the parameters of add_job(), for suggestions
    _job_options: tuple[str, ...] = ()
    #: job, store alias, replace_existing: added before start()
    _pending_jobs: list[tuple[Job, str, bool]]
    #: for each alias of a store what its jobs have as ``_home``
    _homes: dict[str, tuple[Any, str | None]]
    #: policies that pending jobs set themselves; the defaults are those of the time of start()
    _pending_options: dict[str, dict[str, Any]]

    def wakeup(self) -> None:
        raise NotImplementedError

    def _dispatch_event(self, event: Any) -> None:
        raise NotImplementedError

    def _tell(self, event: Any) -> None:
        """Call :meth:`_dispatch_event`; what it raises must not undo for the caller what the store has done already."""
        try:
            self._dispatch_event(event)
        except Exception:
            self._log.exception("_dispatch_event() failed for %r", event)

    # -- APScheduler's inner methods, which programs override or call ---------------------------------------------

    def _create_trigger(self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]) -> BaseTrigger:
        """Return ``trigger`` itself, or make the trigger of that name; the scheduler's zone is the default."""
        if trigger is None:
            trigger = "date"
        elif not isinstance(trigger, str):
            if not isinstance(trigger, BaseTrigger):
                raise not_a_trigger(trigger)
            check_names(trigger_args, self._job_options, "add_job() with a trigger object")
            return trigger
        if trigger != "crontab" or not _names_a_zone(trigger_args.get("expr")):
            trigger_args.setdefault("timezone", self.timezone)
        if trigger in _STARTING_NOW:
            trigger_args["now"] = self.clock.now()
        made: BaseTrigger = self._create_plugin_instance("trigger", trigger, trigger_args)
        return made

    def _create_plugin_instance(self, type_: str, alias: str, constructor_kwargs: dict[str, Any]) -> Any:
        """Make an object of the plug-in class of that name ("trigger", "executor" or "jobstore")."""
        return create_plugin(
            type_, alias, constructor_kwargs, self._job_options if type_ == "trigger" else ()
        )

    def _lookup_executor(self, alias: str) -> BaseExecutor:
        """Return the executor of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._executors.get(alias)
        if found is None:
            raise UnknownAliasError(no_such("executor", alias, self._executors, "add_executor()"))
        return found

    def _lookup_jobstore(self, alias: str) -> BaseJobStore:
        """Return the job store of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._jobstores.get(alias)
        if found is None:
            raise UnknownAliasError(no_such("job store", alias, self._jobstores, "add_jobstore()"))
        return found

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]:
        """Return the job of that id and the alias of its store (None if the job is pending).

        :raises JobLookupError: if there is none; it suggests a near id
        """
        found = self._find_job(job_id, jobstore_alias)
        if found is None:
            raise no_such_job(job_id, self._some_ids(jobstore_alias))
        return found

    def _find_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None] | None:
        """Return the job of that id and the alias of its store (None if the job is pending), or None if there is none."""
        id = usable_id(job_id)
        if id is None:
            return None
        if self.state == STATE_STOPPED:
            for job, _, _ in self._pending_jobs:
                if job.id == job_id:
                    return job, None
        else:
            for alias, store in self._stores(jobstore_alias):
                found = store.lookup_job(id)
                if found is not None:
                    found._home = self._home(alias)
                    return found, alias
        return None

    def _some_ids(self, jobstore_alias: str | None) -> list[str]:
        """Return ids that an unknown one may be near to, as far as they cost nothing."""
        ids = [job.id for job, _, _ in self._pending_jobs[:MOST_IDS]]
        for _, store in self._stores(jobstore_alias):
            ids += store.some_ids(MOST_IDS)
        return ids

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Plan a job's first run and store it."""
        store = self._lookup_jobstore(jobstore_alias)
        self._check_executor(job.executor)
        if job.state == NEW:
            explicit = False
            self._plan_first(job, self.clock.now())
        else:
            explicit = True
        try:
            store.add_job(job)
        except ConflictingIdError:
            if not replace_existing:
                raise
            self._replace(store, job, explicit)
        job._home = self._home(jobstore_alias)
        if self._wants(EVENT_JOB_ADDED):
            self._tell(JobEvent(EVENT_JOB_ADDED, job.id, jobstore_alias))
        if self._log.isEnabledFor(DEBUG):
            self._log.debug('Added job "%s" to job store "%s"', job.name, jobstore_alias)
        if self.state == STATE_RUNNING:
            self._job_came(job)

    def _check_executor(self, alias: str) -> None:
        """Refuse a job whose executor does not exist here, unless others run it.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        if self._runs_jobs and alias not in self._executors:
            self._lookup_executor(alias)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _job_came(self, job: Job) -> None:
        """Wake the host up for a new or changed job."""
        self._wake_host()

    def _wake_host(self) -> None:
        """Call :meth:`wakeup`; if it fails, the store has the job all the same, and the next pass finds it."""
        try:
            self.wakeup()
        except Exception:
            self._log.exception("wakeup() failed; jobs that are due wait for the next pass")

    def _request_run(self, alias: str, decision: Decision) -> bool:
        """Claim the run of a decision; False if the job was changed meanwhile, or runs as often as it may."""
        raise NotImplementedError

    def _wants(self, code: int) -> bool:
        """Whether anybody listens to an event."""
        return True

    def _require_started(self, what: str) -> None:
        if self.state == STATE_STOPPED:
            raise RuntimeError(
                f"the scheduler must have been started for {what} to work; call start(paused=True)"
            )

    def _stores(self, alias: str | None) -> list[tuple[str, BaseJobStore]]:
        """Return the stores by alias: all, or the one that is named if it exists."""
        if alias is None:
            return list(self._jobstores.items())
        store = self._jobstores.get(alias)
        return [] if store is None else [(alias, store)]

    def _bound(self, jobs: Sequence[Job], alias: str) -> Sequence[Job]:
        """Make the handles' convenience methods work."""
        home = self._home(alias)
        for job in jobs:
            job._home = home
        return jobs

    def _home(self, alias: str) -> tuple[Any, str | None]:
        """Return what the jobs of a store share: this scheduler and the alias."""
        home = self._homes.get(alias)
        if home is None:
            home = self._homes[alias] = (self, alias)
        return home

    def _check_callable(self, func: Any, alias: str | None) -> None:
        """Refuse the name of a callable that jobs in that store may not have, before anything is imported for it."""
        if self._allowed_callables is None or not isinstance(func, str):
            return
        store = self._jobstores.get(alias or "")
        if store is not None and store.durable:
            self._allowed_callables.check_reference(func)

    def _plan_first(self, job: Job, now: int) -> None:
        """Plan the first run from ``now``; a trigger whose times are all over leaves the job paused, as in APScheduler."""
        first = job.trigger.first(now)
        if first is None:
            self._log.warning('Job "%s" is paused: %s has no time to come', job.name, job.trigger)
        elif not is_shown_everywhere(first):
            checked_time(first, "the first run", job.trigger)
        job.set_next(first, None if first is None else due_time(job, first))

    def _add_pending(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> None:
        """Keep a job for start(); what can be refused is refused now."""
        store = self._jobstores.get(alias)
        if store is not None:
            store.check_job(job)
        with self._jobstores_lock:
            # Looking through all of them for a new id would make adding 10 000 jobs take seconds instead of 0.3.
            known = self._pending_jobs if job.id in self._pending_options else ()
            for i, (other, other_alias, _) in enumerate(known):
                if other.id == job.id and other_alias == alias:
                    if not replace:
                        raise ConflictingIdError(job.id)
                    del self._pending_jobs[i]
                    break
            self._pending_jobs.append((job, alias, replace))
            self._pending_options[job.id] = options
        self._log.debug("Job %s is added when the scheduler starts", job.id)

    def _add_all_pending(
        self, jobs: Sequence[Job], alias: str, replace: bool, options: Mapping[str, dict[str, Any]]
    ) -> None:
        """Keep several jobs for start(): all of them or none.

        :param options: the options that were given, by the ids of the jobs that were given any
        """
        with self._jobstores_lock:
            before = list(self._pending_jobs), dict(self._pending_options)
            try:
                _check_unique(jobs)
                for job in jobs:
                    self._add_pending(job, alias, replace, options.get(job.id, {}))
            except BaseException:
                self._pending_jobs[:], self._pending_options = before
                raise

    def _add_together(self, jobs: Sequence[Job], alias: str, replace: bool, connection: Any) -> None:
        """Plan the first runs of several jobs and store them, all or none; in the caller's transaction if there is one."""
        if connection is not None:
            self._require_started("adding jobs by a connection")
        store = self._lookup_jobstore(alias)
        _check_unique(jobs)
        for executor in dict.fromkeys(job.executor for job in jobs):
            self._check_executor(executor)
        now = self.clock.now()
        planned = set()
        for job in jobs:
            if job.state == NEW:
                self._plan_first(job, now)
                planned.add(job.id)
        keep = partial(_keep_schedule, only=planned) if replace else None
        store.add_jobs(jobs, keep, connection)
        self._bound(jobs, alias)
        if connection is None and self._wants(EVENT_JOB_ADDED):
            for job in jobs:
                self._tell(JobEvent(EVENT_JOB_ADDED, job.id, alias))
        self._log.debug('Added %d jobs to job store "%s"', len(jobs), alias)
        due = [job for job in jobs if job.next_due is not None]
        if self.state == STATE_RUNNING and due and connection is None:
            self._job_came(min(due, key=lambda job: job.next_due or 0))

    def _replace(self, store: BaseJobStore, job: Job, explicit: bool) -> None:
        """Store a job over the one of the same id; an unchanged trigger keeps its next run (and its phase)."""
        planned = job.trigger, job.state, job.next_nominal, job.next_due
        for _ in range(TRIES):
            existing = store.lookup_job(job.id)
            # Nothing is left of an earlier try: times of a job that has ended meanwhile must not come back.
            job.trigger, job.state, job.next_nominal, job.next_due = planned
            with suppress(JobLookupError, ConflictingIdError):  # it has gone, or come, in between
                if existing is None:
                    store.add_job(job)
                    return
                version = existing.version
                if not explicit:
                    _keep_schedule(job, existing)
                if store.save_job(job, version):
                    return
        raise changed_all_the_time(job.id)

    def _change(self, job_id: str, jobstore: str | None, change: Callable[[Job], None]) -> Job:
        """Apply a change to a job, again if somebody else changed it in between."""
        for _ in range(TRIES):
            job, alias = self._lookup_job(job_id, jobstore)
            if alias is None:  # pending: nobody else has it
                change(job)
                return job
            version = job.version
            draft = job.copy()
            change(draft)
            store = self._lookup_jobstore(alias)
            store.check_job(draft)
            if store.save_job(draft, version):
                if job.version == version:  # not a live object
                    job = draft
                if self._wants(EVENT_JOB_MODIFIED):
                    self._tell(JobEvent(EVENT_JOB_MODIFIED, job_id, alias))
                if self.state == STATE_RUNNING:
                    self._job_came(job)
                return job
        raise changed_all_the_time(job_id)

    def _remove(self, job_id: str, jobstore: str | None) -> str:
        id = usable_id(job_id)
        if id is None:
            raise no_such_job(job_id, ())
        if self.state == STATE_STOPPED:
            with self._jobstores_lock:
                for i, (job, alias, _) in enumerate(self._pending_jobs):
                    if job.id == job_id and jobstore in (None, alias):
                        del self._pending_jobs[i]
                        return alias
        else:
            for alias, store in self._stores(jobstore):
                try:
                    store.remove_job(id)
                except JobLookupError:
                    continue
                return alias
        raise no_such_job(job_id, self._some_ids(jobstore))


def changed_all_the_time(job_id: str) -> StoreConflictError:
    """Return the error of a change that met others' changes again and again."""
    return StoreConflictError(f'Job "{job_id}" is changed by others all the time; try again')


def _keep_schedule(job: Job, existing: Job, only: Collection[str] | None = None) -> None:
    """Let a job that replaces another go on in its schedule, if the trigger is unchanged and nobody said otherwise."""
    if only is not None and job.id not in only:
        return
    if existing.error is None and job.trigger.same_schedule(existing.trigger):
        job.trigger = existing.trigger
        job.state = existing.state
        job.next_nominal, job.next_due = existing.next_nominal, existing.next_due


def _check_unique(jobs: Sequence[Job]) -> None:
    seen: set[str] = set()
    twice = [job.id for job in jobs if job.id in seen or seen.add(job.id)]  # type: ignore[func-returns-value]
    if twice:
        raise ConflictingIdError(*twice)


def _names_a_zone(expr: Any) -> bool:
    """Tell whether a zone stands before a crontab expression: ``CRON_TZ=Asia/Tokyo 0 6 * * *``."""
    from ..triggers.cron.notations import zone_before

    return isinstance(expr, str) and zone_before(expr) is not None
