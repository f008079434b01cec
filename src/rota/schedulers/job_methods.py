"""The scheduler's methods that concern jobs: add, look up, change, remove, print, export, import.

Part of the public facade: it validates and delegates to stores; it runs nothing.
"""

from __future__ import annotations

from ..core.plan import NEW, due_time
from ..core.policy import OPTION_NAMES, Policy, with_options
from ..errors import ConflictingIdError, JobLookupError, StoreConflictError, UnknownAliasError
from ..events import (
    EVENT_ALL_JOBS_REMOVED,
    EVENT_JOB_ADDED,
    EVENT_JOB_MODIFIED,
    EVENT_JOB_REMOVED,
    JobEvent,
    SchedulerEvent,
)
from ..job import Job
from ..triggers.base import BaseTrigger
from ..util import undefined
from .plugins import create_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta, tzinfo
    from logging import Logger
    from typing import IO, Any, TypeVar

    from ..clock import Clock
    from ..core.run import Run
    from ..executors.base import BaseExecutor
    from ..jobstores.base import BaseJobStore

    Function = TypeVar("Function", bound=Callable[..., Any])

STATE_STOPPED = 0
STATE_RUNNING = 1
STATE_PAUSED = 2

#: How often a change is tried again when others change the same job at the same time.
TRIES = 50


class JobMethods:
    """What a scheduler can do with jobs; :class:`~rota.schedulers.base.BaseScheduler` adds its own life."""

    state: int
    clock: Clock
    timezone: tzinfo
    _logger: Logger
    _executors: dict[str, BaseExecutor]
    _jobstores: dict[str, BaseJobStore]
    _jobstores_lock: Any
    _default_policy: Policy
    #: job, store alias, replace_existing: added before start()
    _pending_jobs: list[tuple[Job, str, bool]]
    #: policies that pending jobs set themselves; the defaults are those of the time of start()
    _pending_options: dict[str, dict[str, Any]]

    def wakeup(self) -> None:
        raise NotImplementedError

    def _dispatch_event(self, event: Any) -> None:
        raise NotImplementedError

    # -- adding --------------------------------------------------------------------------------------------------

    def add_job(
        self,
        func: Callable[..., Any] | str,
        trigger: BaseTrigger | str | None = None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        replace_existing: bool = False,
        expires: float | timedelta | None = undefined,
        on_lost: str = undefined,
        max_attempts: int = undefined,
        **trigger_args: Any,
    ) -> Job:
        """Add a job and wake the scheduler up.

        :param func: what to call: a callable (plain or ``async def``) or a reference to one (``"package.module:name"``)
        :param trigger: a trigger, or the name of one with its arguments in ``trigger_args``; None: run once, now
        :param args: positional arguments for ``func``
        :param kwargs: keyword arguments for ``func``
        :param id: the job's identifier (a random one if None); unique in its store
        :param name: a description for people (the callable's name if None)
        :param misfire_grace_time: seconds that a run may be late and still run; None: never too late (the default)
        :param coalesce: True (the default): several owed times become one run, for the latest; False: each is run
        :param max_instances: how many runs of the job may be under way at once (default 1)
        :param next_run_time: the first run, instead of the trigger's; None adds the job paused
        :param jobstore: alias of the store that is to keep the job
        :param executor: alias of the executor that is to run it
        :param replace_existing: replace a job of the same id; if its trigger is unchanged, its next run is kept
        :param expires: seconds after the due time at which a run that still waits in a queue is not started any more
        :param on_lost: what happens to a run whose process died (durable stores): "rerun" (the default) or "lost"
        :param max_attempts: how often such a run is started at most (default 3)
        :param trigger_args: the arguments of the trigger that ``trigger`` names
        :return: the job
        :raises InvalidJobError: (its subclasses) for whatever is wrong with the job
        :raises TriggerError: if the trigger's arguments are wrong
        :raises ConflictingIdError: if a job of that id exists and ``replace_existing`` is False
        :raises UnknownAliasError: if the store or the executor does not exist in a scheduler that runs
        """
        given = (misfire_grace_time, coalesce, max_instances, expires, on_lost, max_attempts)
        options = {
            option: value
            for option, value in zip(_OPTION_ORDER, given, strict=True)
            if value is not undefined
        }
        attributes: dict[str, Any] = {
            "trigger": self._create_trigger(trigger, trigger_args),
            "executor": executor,
            "func": func,
            "args": () if args is None else tuple(args) if not isinstance(args, str) else args,
            "kwargs": {} if kwargs is None else dict(kwargs) if hasattr(kwargs, "keys") else kwargs,
            "name": name,
        }
        if next_run_time is not undefined:
            attributes["next_run_time"] = next_run_time
        job = Job(self, id, **attributes)
        job.policy = with_options(self._default_policy, options)
        if self.state == STATE_STOPPED:
            self._add_pending(job, jobstore, replace_existing, options)
        else:
            self._real_add_job(job, jobstore, replace_existing)
        return job

    def scheduled_job(
        self,
        trigger: BaseTrigger | str | None,
        args: Iterable[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        id: str | None = None,
        name: str | None = None,
        misfire_grace_time: float | timedelta | None = undefined,
        coalesce: bool = undefined,
        max_instances: int = undefined,
        next_run_time: datetime | str | None = undefined,
        jobstore: str = "default",
        executor: str = "default",
        **trigger_args: Any,
    ) -> Callable[[Function], Function]:
        """Return a decorator that adds a function as a job; the parameters are those of :meth:`add_job`.

        A job of the same ``id`` is replaced (its next run is kept if the trigger is unchanged).
        """

        def decorate(func: Function) -> Function:
            self.add_job(
                func,
                trigger,
                args,
                kwargs,
                id,
                name,
                misfire_grace_time,
                coalesce,
                max_instances,
                next_run_time,
                jobstore,
                executor,
                True,
                **trigger_args,
            )
            return func

        return decorate

    # -- looking up ----------------------------------------------------------------------------------------------

    def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Return the job of that id, or None.

        :param jobstore: look only in this store; by default the first store that has the id wins
        """
        try:
            return self._lookup_job(job_id, jobstore)[0]
        except JobLookupError:
            return None

    def get_jobs(self, jobstore: str | None = None, pending: bool | None = None) -> list[Job]:
        """Return the jobs, store by store, sorted by next run time, paused ones last.

        A scheduler that was not started has its stores closed: it returns the jobs that wait for the start.

        :param jobstore: only the jobs of this store
        :param pending: **deprecated**, without effect
        """
        if pending is not None:
            import warnings

            warnings.warn(
                'The "pending" option is deprecated -- get_jobs() always returns scheduled jobs if the scheduler '
                "has been started and pending jobs otherwise",
                DeprecationWarning,
                stacklevel=2,
            )
        if self.state == STATE_STOPPED:
            return [job for job, alias, _ in self._pending_jobs if jobstore in (None, alias)]
        return [job for alias, store in self._stores(jobstore) for job in self._bound(store.get_all_jobs(), alias)]

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        jobstore: str | None = None,
    ) -> list[Run]:
        """Return records of the ledger, newest first: how each nominal time ended, and what runs now.

        :param job_id: only runs of this job
        :param status: only this status, or one of these (``rota.core.run``: "claimed", "succeeded", "failed", "missed",
            "skipped", "timed_out", "cancelled", "lost")
        :param limit: at most so many
        :param jobstore: only from this store
        """
        runs = [run for _, store in self._stores(jobstore) for run in store.get_runs(job_id, status, limit)]
        runs.sort(key=lambda run: run.nominal, reverse=True)
        return runs[:limit]

    def print_jobs(self, jobstore: str | None = None, out: IO[str] | None = None) -> None:
        """Print a list of the jobs in all stores or one, in APScheduler's text format.

        :param jobstore: only the jobs of this store
        :param out: where to print (``sys.stdout`` if None)
        """
        import sys

        out = out or sys.stdout
        if self.state == STATE_STOPPED:
            print("Pending jobs:", file=out)
            for job in self.get_jobs(jobstore):
                print(f"    {job}", file=out)
            if not self._pending_jobs:
                print("    No pending jobs", file=out)
            return
        for alias in sorted(self._jobstores):
            if jobstore in (None, alias):
                print(f"Jobstore {alias}:", file=out)
                jobs = self.get_jobs(alias)
                for job in jobs:
                    print(f"    {job}", file=out)
                if not jobs:
                    print("    No scheduled jobs", file=out)

    # -- changing ------------------------------------------------------------------------------------------------

    def modify_job(self, job_id: str, jobstore: str | None = None, **changes: Any) -> Job:
        """Change attributes of a job; any but ``id`` may be given.

        The schedule stays as it is unless ``next_run_time`` is given (None pauses the job).

        :return: the changed job
        :raises JobLookupError: if there is no such job
        :raises UnknownAttributeError: (an AttributeError) for a name that jobs do not have
        """
        if "executor" in changes and self.state != STATE_STOPPED:
            self._lookup_executor(changes["executor"])
        return self._change(job_id, jobstore, lambda draft: draft._modify(**dict(changes)))

    def reschedule_job(
        self,
        job_id: str,
        jobstore: str | None = None,
        trigger: BaseTrigger | str | None = None,
        **trigger_args: Any,
    ) -> Job:
        """Give a job another trigger and plan its next run from now.

        :param trigger: a trigger, or the name of one with its arguments in ``trigger_args``
        :return: the changed job
        :raises JobLookupError: if there is no such job
        """
        new = self._create_trigger(trigger, trigger_args)

        def change(draft: Job) -> None:
            draft._modify(trigger=new)
            self._plan_first(draft)

        return self._change(job_id, jobstore, change)

    def pause_job(self, job_id: str, jobstore: str | None = None) -> Job:
        """Stop running a job until it is resumed.

        :return: the changed job
        :raises JobLookupError: if there is no such job
        """
        return self.modify_job(job_id, jobstore, next_run_time=None)

    def resume_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Go on with a job's schedule from now; what was due while it was paused is left out.

        :return: the changed job, or None if its schedule is over and it was removed
        :raises JobLookupError: if there is no such job
        """
        job, _ = self._lookup_job(job_id, jobstore)
        if job.trigger.first(self.clock.now()) is None:
            self.remove_job(job_id, jobstore)
            return None

        def change(draft: Job) -> None:
            draft.state, draft.error = NEW, None
            self._plan_first(draft)

        return self._change(job_id, jobstore, change)

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job; a run that is under way goes on, and its record stays.

        :raises JobLookupError: if there is no such job
        """
        alias = self._remove(job_id, jobstore)
        self._dispatch_event(JobEvent(EVENT_JOB_REMOVED, job_id, alias))
        self._logger.info("Removed job %s", job_id)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """Remove all jobs from one store, or from all.

        :param jobstore: alias of the store; None: all
        """
        if self.state == STATE_STOPPED:
            with self._jobstores_lock:
                self._pending_jobs[:] = [
                    entry for entry in self._pending_jobs if jobstore not in (None, entry[1])
                ]
        else:
            for _, store in self._stores(jobstore):
                store.remove_all_jobs()
        self._dispatch_event(SchedulerEvent(EVENT_ALL_JOBS_REMOVED, jobstore))

    # -- files ---------------------------------------------------------------------------------------------------

    def export_jobs(self, outfile: Any, jobstore: str | None = None) -> None:
        """Write the jobs to a file as JSON (no pickle in it).

        :param outfile: a path, or a file opened for writing text
        :param jobstore: only the jobs of this store
        :raises RuntimeError: if the scheduler is not running
        :raises TransientJobError, SerializationError: if a job cannot be written down
        """
        from .transfer import export_jobs

        self._require_started("job export")
        export_jobs(self.get_jobs(jobstore), outfile)

    def import_jobs(self, infile: Any, jobstore: str = "default") -> None:
        """Add the jobs of a file that :meth:`export_jobs` has written; all of them or, if one cannot be read, none.

        :param infile: a path, or a file opened for reading text
        :param jobstore: alias of the store that is to keep the jobs
        :raises RuntimeError: if the scheduler is not running
        :raises DeserializationError: if the file or a job in it cannot be read
        :raises ConflictingIdError: if the id of a job exists already; nothing is added then
        """
        from .transfer import import_jobs

        self._require_started("job import")
        jobs = import_jobs(infile)
        store = self._lookup_jobstore(jobstore)
        for job in jobs:
            job._scheduler = self
            store.check_job(job)
            if store.lookup_job(job.id) is not None:
                raise ConflictingIdError(job.id)
        for job in jobs:
            self._real_add_job(job, jobstore, False)

    # -- APScheduler's inner methods, which programs override or call ---------------------------------------------

    def _create_trigger(self, trigger: BaseTrigger | str | None, trigger_args: dict[str, Any]) -> BaseTrigger:
        """Return ``trigger`` itself, or make the trigger of that name; the scheduler's zone is the default."""
        from ..errors import JobTypeError, UnknownOptionError

        if isinstance(trigger, BaseTrigger):
            if trigger_args:
                raise UnknownOptionError(
                    f"add_job() has no option {', '.join(map(repr, trigger_args))}; a trigger object takes no more arguments"
                )
            return trigger
        if trigger is None:
            trigger = "date"
        elif not isinstance(trigger, str):
            raise JobTypeError(f"Expected a trigger instance or string, got {type(trigger).__name__} instead")
        trigger_args.setdefault("timezone", self.timezone)
        if trigger in ("date", "interval"):  # those that start now start by the scheduler's clock
            trigger_args["now"] = self.clock.now()
        made: BaseTrigger = self._create_plugin_instance("trigger", trigger, trigger_args)
        return made

    def _create_plugin_instance(self, type_: str, alias: str, constructor_kwargs: dict[str, Any]) -> Any:
        """Make an object of the plug-in class of that name ("trigger", "executor" or "jobstore")."""
        return create_plugin(type_, alias, constructor_kwargs)

    def _lookup_executor(self, alias: str) -> BaseExecutor:
        """Return the executor of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._executors.get(alias)
        if found is None:
            raise UnknownAliasError(_no_such("executor", alias, self._executors, "add_executor()"))
        return found

    def _lookup_jobstore(self, alias: str) -> BaseJobStore:
        """Return the job store of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._jobstores.get(alias)
        if found is None:
            raise UnknownAliasError(_no_such("job store", alias, self._jobstores, "add_jobstore()"))
        return found

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]:
        """Return the job of that id and the alias of its store (None if the job is pending).

        :raises JobLookupError: if there is none
        """
        if self.state == STATE_STOPPED:
            for job, _, _ in self._pending_jobs:
                if job.id == job_id:
                    return job, None
        else:
            for alias, store in self._stores(jobstore_alias):
                found = store.lookup_job(job_id)
                if found is not None:
                    return self._bound((found,), alias)[0], alias
        raise JobLookupError(job_id)

    def _real_add_job(self, job: Job, jobstore_alias: str, replace_existing: bool) -> None:
        """Plan a job's first run and store it."""
        store = self._lookup_jobstore(jobstore_alias)
        self._lookup_executor(job.executor)
        if job.state == NEW:
            explicit = False
            self._plan_first(job)
        else:
            explicit = True
        try:
            store.add_job(job)
        except ConflictingIdError:
            if not replace_existing:
                raise
            self._replace(store, job, explicit)
        job._jobstore_alias = jobstore_alias
        if self._wants(EVENT_JOB_ADDED):
            self._dispatch_event(JobEvent(EVENT_JOB_ADDED, job.id, jobstore_alias))
        self._logger.debug('Added job "%s" to job store "%s"', job.name, jobstore_alias)
        if self.state == STATE_RUNNING:
            self._job_came(job)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _job_came(self, job: Job) -> None:
        """Wake the host up for a new or changed job."""
        self.wakeup()

    def _wants(self, code: int) -> bool:
        """Whether anybody listens to an event."""
        return True

    def _require_started(self, what: str) -> None:
        if self.state == STATE_STOPPED:
            raise RuntimeError(f"the scheduler must have been started for {what} to work; call start(paused=True)")

    def _stores(self, alias: str | None) -> list[tuple[str, BaseJobStore]]:
        """Return the stores by alias: all, or the one that is named if it exists."""
        return [(name, store) for name, store in list(self._jobstores.items()) if alias in (None, name)]

    def _bound(self, jobs: Sequence[Job], alias: str) -> Sequence[Job]:
        """Make the handles' convenience methods work."""
        for job in jobs:
            job._scheduler, job._jobstore_alias = self, alias
        return jobs

    def _plan_first(self, job: Job) -> None:
        first = job.trigger.first(self.clock.now())
        job.set_next(first, None if first is None else due_time(job, first))

    def _add_pending(self, job: Job, alias: str, replace: bool, options: dict[str, Any]) -> None:
        """Keep a job for start(); what can be refused is refused now."""
        store = self._jobstores.get(alias)
        if store is not None:
            store.check_job(job)
        with self._jobstores_lock:
            for i, (other, other_alias, _) in enumerate(self._pending_jobs):
                if other.id == job.id and other_alias == alias:
                    if not replace:
                        raise ConflictingIdError(job.id)
                    del self._pending_jobs[i]
                    break
            self._pending_jobs.append((job, alias, replace))
            self._pending_options[job.id] = options
        self._logger.debug("Job %s is added when the scheduler starts", job.id)

    def _replace(self, store: BaseJobStore, job: Job, explicit: bool) -> None:
        """Store a job over the one of the same id; an unchanged trigger keeps its next run (and its phase)."""
        for _ in range(TRIES):
            existing = store.lookup_job(job.id)
            if existing is None:
                store.add_job(job)
                return
            version = existing.version
            if not explicit and existing.error is None and _same_schedule(existing.trigger, job.trigger):
                job.trigger = existing.trigger
                job.state = existing.state
                job.next_nominal, job.next_due = existing.next_nominal, existing.next_due
            try:
                if store.save_job(job, version):
                    return
            except JobLookupError:
                continue
        raise StoreConflictError(f'Job "{job.id}" is changed by others all the time; try again')

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
                    self._dispatch_event(JobEvent(EVENT_JOB_MODIFIED, job_id, alias))
                if self.state == STATE_RUNNING:
                    self._job_came(job)
                return job
        raise StoreConflictError(f'Job "{job_id}" is changed by others all the time; try again')

    def _remove(self, job_id: str, jobstore: str | None) -> str:
        if self.state == STATE_STOPPED:
            with self._jobstores_lock:
                for i, (job, alias, _) in enumerate(self._pending_jobs):
                    if job.id == job_id and jobstore in (None, alias):
                        del self._pending_jobs[i]
                        return alias
        else:
            for alias, store in self._stores(jobstore):
                try:
                    store.remove_job(job_id)
                except JobLookupError:
                    continue
                return alias
        raise JobLookupError(job_id)


_OPTION_ORDER = ("misfire_grace_time", "coalesce", "max_instances", "expires", "on_lost", "max_attempts")
assert set(_OPTION_ORDER) == set(OPTION_NAMES)


def _same_schedule(old: BaseTrigger, new: BaseTrigger) -> bool:
    """Whether two triggers say the same, leaving aside a start that neither of them was given."""
    if type(old) is not type(new):
        return False
    same: bool = new.same_schedule(old)
    return same


def _no_such(what: str, alias: str, known: Iterable[str], remedy: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(str(alias), list(known), n=1)
    hint = f'did you mean "{near[0]}"?' if near else f"there are {', '.join(sorted(known)) or 'none'}"
    return f"No such {what}: {alias}; {hint} (or add it by {remedy})"
