"""What the facade's job methods look up: stores, executors, triggers and jobs by their names, and where a call goes.

Holds APScheduler's inner methods, which programs override or call. It changes no job, and starts and runs nothing.
"""

from __future__ import annotations

from ..errors import SchedulerNotRunningError, TooMuchWorkError, UnknownAliasError
from ..interrupts import is_interrupt
from ..job.checks import not_a_trigger, usable_id
from ..triggers.base import AskedBy, BaseTrigger
from .names import check_names, no_such, no_such_job
from .plugins import create_plugin

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import tzinfo
    from typing import Any

    from ..clock import Clock
    from ..core.plan import Decision
    from ..core.policy import Policy
    from ..core.run import Run
    from ..executors.base import BaseExecutor
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from ..trust.allowlist import AllowList
    from .listeners import Listeners
    from .zone_watch import ZoneWatch

STATE_STOPPED = 0
STATE_RUNNING = 1
STATE_PAUSED = 2

#: The triggers that may start now: they start by the scheduler's clock.
_STARTING_NOW = ("date", "interval", "calendarinterval", "crontab", "rrule")
#: aliases of triggers that find each time at once
_PLAIN = frozenset(("cron", "crontab", "date", "interval", "calendarinterval"))

#: How many ids are looked through for one that was meant by an unknown one.
MOST_IDS = 1000


_COPIED = (
    "This process was forked from one in which the scheduler runs, and its copy here is stopped: what is asked of it would "
    "reach nobody. Call start() here if this process is to run jobs, too (each process then runs the jobs of a memory store). "
    "To add and look at jobs that others run, start a scheduler of your own here, with runs_jobs=False and the same database"
)


class JobLookups:
    """The innermost part of :class:`~rota.schedulers.job_methods.JobMethods`: where things are, and who is told."""

    state: int
    #: whether calls go to the stores: from start() on, and during a shutdown until the last run has ended
    _is_open: bool = False
    #: whether this is the copy, in a forked child, of a scheduler that runs in the parent
    _is_copy: bool = False
    clock: Clock
    timezone: tzinfo
    #: the scheduler's logger, guarded
    _log: GuardedLogger
    _listening: Listeners
    _executors: dict[str, BaseExecutor]
    _jobstores: dict[str, BaseJobStore]
    _jobstores_lock: Any
    _default_policy: Policy
    #: False: jobs are added and changed here for others to run
    _runs_jobs: bool = True
    #: which callables the jobs in durable stores may name
    _allowed_callables: AllowList | None = None
    #: made with the first trigger that has no zone of its own
    _zone_watch: ZoneWatch | None = None
    #: the names of the parameters of add_job(), for suggestions
    _job_options: tuple[str, ...] = ()
    #: job, store alias, replace_existing: added before start()
    _pending_jobs: list[tuple[Job, str, bool]]
    #: for each alias of a store what its jobs have as ``_home``
    _homes: dict[str, tuple[Any, str | None]]
    #: policies that pending jobs set themselves, by store alias and id; the defaults are those of the time of start()
    _pending_options: dict[tuple[str, str], dict[str, Any]]

    def wakeup(self) -> None:
        raise NotImplementedError

    def _dispatch_event(self, event: Any) -> None:
        raise NotImplementedError

    def _tell(self, event: Any) -> None:
        """Call :meth:`_dispatch_event`; what it raises must not undo for the caller what the store has done already."""
        try:
            self._dispatch_event(event)
        except BaseException as exc:  # a subclass may override it
            if is_interrupt(exc):
                raise
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
            if not getattr(trigger, "zone_given", True):  # some are only registered as triggers
                self._watch_zone(trigger)
            self._check_work(trigger)
            return trigger
        if trigger != "crontab" or not _names_a_zone(trigger_args.get("expr")):
            trigger_args.setdefault("timezone", self.timezone)
        if trigger in _STARTING_NOW:
            trigger_args["now"] = self.clock.now()
        made: BaseTrigger = self._create_plugin_instance("trigger", trigger, trigger_args)
        if trigger not in _PLAIN:
            self._check_work(made)
        return made

    def _create_plugin_instance(self, type_: str, alias: str, constructor_kwargs: dict[str, Any]) -> Any:
        """Make an object of the plug-in class of that name ("trigger", "executor" or "jobstore")."""
        return create_plugin(
            type_, alias, constructor_kwargs, self._job_options if type_ == "trigger" else ()
        )

    def _lookup_executor(self, alias: Any) -> BaseExecutor:
        """Return the executor of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._executors.get(alias) if isinstance(alias, str) else None
        if found is None:
            raise UnknownAliasError(no_such("executor", alias, self._executors, "add_executor()"))
        return found

    def _lookup_jobstore(self, alias: Any) -> BaseJobStore:
        """Return the job store of that alias.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        found = self._jobstores.get(alias) if isinstance(alias, str) else None
        if found is None:
            raise UnknownAliasError(no_such("job store", alias, self._jobstores, "add_jobstore()"))
        return found

    def _lookup_job(self, job_id: str, jobstore_alias: str | None) -> tuple[Job, str | None]:
        """Return the job of that id and the alias of its store (None if the job is pending).

        :raises JobLookupError: if there is none; it suggests a near id
        """
        found = JobLookups._find_job(self, job_id, jobstore_alias)
        if found is None:
            raise no_such_job(job_id, self._some_ids(jobstore_alias) if usable_id(job_id) else ())
        return found, found._home[1]

    def _find_job(self, job_id: str, jobstore_alias: str | None) -> Job | None:
        """Return the job of that id, or None if there is none; its ``_home`` names its store, or none if it is pending."""
        if type(job_id) is not str:
            id = usable_id(job_id)
            if id is None:
                return None
            job_id = id
        if not self._is_open and not self._goes_to_stores():
            for job, alias, _ in self._pending_jobs:
                if job.id == job_id and jobstore_alias in (None, alias):
                    return job
            return None
        # _stores() and _home(), of which the calls cost more than what they do here.
        for alias, store in (
            self._stores(jobstore_alias) if jobstore_alias is not None else list(self._jobstores.items())
        ):
            if store.does_io and usable_id(job_id) is None:
                continue  # no store is asked for an id that no job can have: their answers differ
            found = store.lookup_job(job_id)
            if found is not None:
                found._home = self._homes.get(alias) or self._home(alias)
                return found
        return None

    def _now_for(self, job: Job) -> int:
        """Return the instant by the clock that counts for a job: that of its store, this node's if it waits for start()."""
        alias = job._home[1]
        store = None if alias is None else self._jobstores.get(alias)
        return self.clock.now() if store is None else store.now()

    def _some_ids(self, jobstore_alias: str | None) -> list[str]:
        """Return ids that an unknown one may be near to, as far as they cost nothing."""
        ids = [job.id for job, _, _ in self._pending_jobs[:MOST_IDS]]
        for _, store in self._stores(jobstore_alias):
            ids += store.some_ids(MOST_IDS)
        return ids

    def _check_executor(self, alias: Any) -> None:
        """Refuse a job whose executor does not exist here, unless others run it.

        :raises UnknownAliasError: (a KeyError) if there is none
        """
        if self._runs_jobs and not (isinstance(alias, str) and alias in self._executors):
            self._lookup_executor(alias)

    def _job_came(self, job: Job, alias: str) -> None:
        """Wake the host up for a new or changed job."""
        self._wake_host()

    def _wake_host(self) -> None:
        """Call :meth:`wakeup`; if it fails, the store has the job all the same, and the next pass finds it."""
        try:
            self.wakeup()
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            self._log.exception("wakeup() failed; jobs that are due wait for the next pass")

    def _request_run(self, alias: str, decision: Decision) -> bool:
        """Claim the run of a decision; False if the job was changed meanwhile, or runs as often as it may."""
        raise NotImplementedError

    def _wants(self, code: int) -> bool:
        """Whether anybody listens to an event."""
        return True

    def _goes_to_stores(self) -> bool:
        """Whether a call goes to the stores; else it goes to the jobs that wait for start().

        :raises SchedulerNotRunningError: in the copy of a scheduler that runs in the parent process, where neither would do
        """
        if self._is_copy and not self._is_open:
            raise SchedulerNotRunningError(_COPIED)
        return self._is_open

    def _require_started(self, what: str) -> None:
        if not self._goes_to_stores():
            raise RuntimeError(
                f"the scheduler must have been started for {what} to work; call start(paused=True)"
            )

    def _stores(self, alias: Any) -> list[tuple[str, BaseJobStore]]:
        """Return the stores by alias: all, or the one that is named if it exists."""
        if alias is None:
            return list(self._jobstores.items())
        store = self._jobstores.get(alias) if isinstance(alias, str) else None
        return [] if store is None else [(alias, store)]

    def _records(
        self,
        alias: str,
        store: BaseJobStore,
        job_id: str | None,
        status: Collection[str] | None,
        limit: int,
        offset: int,
    ) -> list[Run]:
        """Return records of one store, which need not be open."""
        raise NotImplementedError

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

    def _check_work(self, trigger: Any) -> None:
        """Refuse a trigger of which the planner could not find the next times.

        :raises TooMuchWorkError: if that is so; whatever else a part of it raises is the planner's business
        """
        if not getattr(trigger, "counts_work", False):
            return
        try:
            with AskedBy(self):
                first = trigger.first(self.clock.now())
                if first is not None:
                    trigger.after(first, first)
        except TooMuchWorkError:
            raise
        except Exception:
            pass

    def _watch_zone(self, trigger: BaseTrigger) -> None:
        """Warn once of a trigger without a zone that the scheduler's zone would give other times."""
        if self._zone_watch is None:
            from .zone_watch import ZoneWatch  # rare

            self._zone_watch = ZoneWatch()
        warning = self._zone_watch.warning(trigger, self.timezone, self.clock.now())
        if warning is not None:
            self._log.warning("%s", warning)


def _names_a_zone(expr: Any) -> bool:
    """Tell whether a zone stands before a crontab expression: ``CRON_TZ=Asia/Tokyo 0 6 * * *``."""
    from ..triggers.cron.notations import zone_before  # import time

    return isinstance(expr, str) and zone_before(expr) is not None
