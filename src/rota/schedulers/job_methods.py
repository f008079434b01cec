"""The scheduler's methods that concern jobs: look up, change, remove, print, export, import.

Part of the public facade: it validates and delegates to stores; it runs nothing.
"""

from __future__ import annotations

from ..core.plan import once_more
from ..core.policy import OPTION_NAMES
from ..core.states import ACTIVE, CLAIMED, END_STATES, NEW, PAUSED, QUARANTINED, set_job_state
from ..errors import (
    ConflictingIdError,
    JobValueError,
    MaxInstancesReachedError,
    OptionTypeError,
    SchedulerNotRunningError,
)
from ..events import EVENT_ALL_JOBS_REMOVED, EVENT_JOB_REMOVED, JobEvent, SchedulerEvent
from ..job.checks import usable_id
from ..job.handle import Job
from ..logs import INFO
from ..texts import repr_of, shortened
from ..triggers.base import AskedBy
from .adding import AddingMethods
from .job_internals import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED, TRIES, changed_all_the_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO, Any, TypeVar

    from ..core.run import Run
    from ..triggers.base import BaseTrigger

    Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ("STATE_PAUSED", "STATE_RUNNING", "STATE_STOPPED", "JobMethods")


class JobMethods(AddingMethods):
    """What a scheduler can do with jobs; :class:`~rota.schedulers.base.BaseScheduler` adds its own life."""

    # -- looking up ----------------------------------------------------------------------------------------------

    def get_job(self, job_id: str, jobstore: str | None = None) -> Job | None:
        """Return the job of that id, or None.

        :param jobstore: look only in this store; by default the first store that has the id wins
        """
        return self._find_job(job_id, jobstore)

    def get_jobs(
        self,
        jobstore: str | None = None,
        pending: bool | None = None,
        state: str | Iterable[str] | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Job]:
        """Return the jobs, store by store, sorted by next run time, paused ones last.

        A scheduler that was not started has its stores closed: it returns the jobs that wait for the start.

        :param jobstore: only the jobs of this store
        :param pending: **deprecated**, without effect
        :param state: only jobs with this state, or one of these: "active", "paused", "quarantined"
        :param limit: at most so many; None: all
        :param offset: leave out so many first
        :raises OptionTypeError: for a state that jobs do not have, or a limit or offset below 0
        :raises UnknownAliasError: if a scheduler that was started has no such store
        """
        if pending is not None:
            import warnings

            warnings.warn(
                'The "pending" option is deprecated -- get_jobs() always returns scheduled jobs if the scheduler '
                "has been started and pending jobs otherwise",
                DeprecationWarning,
                stacklevel=2,
            )
        states = _checked_words("Jobs", "state", state, (ACTIVE, PAUSED, QUARANTINED))
        _check_page(0 if limit is None else limit, offset)
        end = None if limit is None else offset + limit
        if not self._goes_to_stores():
            waiting = [job for job, alias, _ in self._pending_jobs if jobstore in (None, alias)]
            return [job for job in waiting if states is None or _state_of(job) in states][offset:end]
        if jobstore is not None:
            self._lookup_jobstore(jobstore)
        stores = self._stores(jobstore)
        if len(stores) == 1:
            ((alias, store),) = stores
            if "get_all_jobs" in store.__dict__:
                store.obey_program()
            return list(self._bound(store.select_jobs(states, limit, offset), alias))
        found: list[Job] = []
        for alias, store in stores:
            store.obey_program()
            missing = None if end is None else end - len(found)
            found += self._bound(store.select_jobs(states, missing), alias)
        return found[offset:]

    def get_runs(
        self,
        job_id: str | None = None,
        status: str | Iterable[str] | None = None,
        limit: int = 100,
        jobstore: str | None = None,
        offset: int = 0,
    ) -> list[Run]:
        """Return records of the ledger, newest first: how each nominal time ended, and what runs now.

        Their times are in the scheduler's zone. Before start() and after shutdown(), a durable store is opened for the look.

        :param job_id: only runs of this job
        :param status: only this status, or one of these (``rota.core.run``: "claimed", "succeeded", "failed", "missed",
            "skipped", "timed_out", "cancelled", "lost")
        :param limit: at most so many
        :param jobstore: only from this store
        :param offset: leave out so many first
        :raises OptionTypeError: for a status that runs do not have, or a limit or offset below 0
        :raises UnknownAliasError: if there is no such store
        :raises SchedulerNotRunningError: in a forked copy of a scheduler that runs in the parent process
        """
        self._goes_to_stores()
        if jobstore is not None:
            self._lookup_jobstore(jobstore)
        wanted = _checked_words("Runs", "status", status, (CLAIMED, *END_STATES))
        _check_page(limit, offset)
        if job_id is not None:
            job_id = usable_id(job_id)
            if job_id is None:
                return []
        stores = self._stores(jobstore)
        if len(stores) == 1:
            runs = self._records(*stores[0], job_id, wanted, limit, offset)
        else:
            parts = [self._records(*store, job_id, wanted, limit + offset, 0) for store in stores]
            runs = sorted((run for part in parts for run in part), key=lambda run: run.nominal, reverse=True)
            runs = runs[offset : offset + limit]
        for run in runs:
            run.timezone = self.timezone
        return runs

    def print_jobs(self, jobstore: str | None = None, out: IO[str] | None = None) -> None:
        """Print a list of the jobs in all stores or one, in APScheduler's text format.

        :param jobstore: only the jobs of this store
        :param out: where to print (``sys.stdout`` if None)
        """
        import sys

        out = out or sys.stdout
        if not self._goes_to_stores():
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

        The schedule stays as it is unless ``next_run_time`` is given (None pauses the job). A time that has a record in the ledger
        does not run again; a warning names it, and the job goes on at its next time.

        :return: the changed job
        :raises JobLookupError: if there is no such job
        :raises UnknownAttributeError: (an AttributeError) for a name that jobs do not have
        """
        if "executor" in changes and self._goes_to_stores():
            self._check_executor(changes["executor"])
        if isinstance(changes.get("func"), str):
            self._check_callable(changes["func"], self._lookup_job(job_id, jobstore)[1])
        self._check_work(changes.get("trigger"))
        options = None
        if not self._is_open:  # for jobs that wait for the start
            options = {name: value for name, value in changes.items() if name in OPTION_NAMES}
        return self._change(job_id, jobstore, lambda draft: draft._modify(**changes), options)

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
        if trigger is None and isinstance(jobstore, str) and jobstore not in self._jobstores:
            _check_no_trigger(jobstore)
        if trigger == "crontab" and usable_id(job_id):
            trigger_args.setdefault("seed", job_id)
        new = self._create_trigger(trigger, trigger_args)

        def change(draft: Job) -> None:
            draft._modify(trigger=new)
            self._start_by_store(draft)
            draft.error = None  # the new trigger may be the repair that a quarantined job waits for
            set_job_state(draft, NEW)
            self._plan_first(draft, self._now_for(draft))

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
        :raises JobValueError: if it is quarantined and its code or data is still missing
        """
        job, _ = self._lookup_job(job_id, jobstore)
        if job.state == QUARANTINED:
            _check_restored(job)
        with AskedBy(self):
            is_over = job.trigger.first(self._now_for(job)) is None
        if is_over:
            self.remove_job(job_id, jobstore)
            return None

        def change(draft: Job) -> None:
            draft.error = None
            set_job_state(draft, NEW)
            self._plan_first(draft, self._now_for(draft))

        return self._change(job_id, jobstore, change)

    def run_job(self, job_id: str, jobstore: str | None = None) -> Run:
        """Have a job run once, now, apart from its schedule, which stays as it is.

        The run is one like any other: it counts as one of the job's ``max_instances``, and it is recorded (its ``reason`` is
        "manual"), with its events; what ran already is repeated. A paused job runs, too. A scheduler that is paused starts the
        run when it is resumed. In a durable store, any node that knows the job's executor may take the run: this one at once,
        others when they renew their leases (every five seconds, unless ``lease`` says otherwise).

        :return: the run as it was asked for. In a durable store that is a record which stays as it is ("claimed"), whoever takes
            the run: :meth:`get_runs` tells what became of it, and its ``cancel()`` raises
        :raises JobLookupError: if there is no such job
        :raises MaxInstancesReachedError: if it runs as often as it may already
        :raises JobValueError: if it is quarantined; or signed, and this store has no key
        :raises UnknownAliasError: if nobody has its executor
        :raises RuntimeError: if the scheduler was not started
        """
        self._require_started("a run by hand")
        for _ in range(TRIES):
            job, alias = self._lookup_job(job_id, jobstore)
            if alias is None:  # stopped meanwhile
                raise SchedulerNotRunningError
            if job.state == QUARANTINED:
                raise JobValueError(f'Job "{job_id}" is quarantined and cannot run: {job.error}')
            if job.sealed is not None:
                raise JobValueError(
                    f'Job "{job_id}" is signed, and nobody would accept a request for a run of it that is not; give the store the '
                    f"signing_key (the command line takes it from ROTA_SIGNING_KEY)"
                )
            if not self._lookup_jobstore(alias).durable:
                self._check_executor(job.executor)
            now = self._lookup_jobstore(alias).now()
            taken = self._lookup_jobstore(alias).recorded({job_id: now}).get(job_id, ())
            with AskedBy(self):
                decision = once_more(job, now, {first for first, _, _ in taken})
            if job.running < job.max_instances and self._request_run(alias, decision):
                self._log.debug('A run of job "%s" was asked for', job_id)
                run = decision.runs[0]
                if self._lookup_jobstore(alias).durable:
                    run.job = None  # whoever takes the run has an object of its own
                return run
            if not decision.runs:  # somebody took its key meanwhile: another one is chosen
                continue
            if job.running >= job.max_instances:
                raise MaxInstancesReachedError(job)
        raise changed_all_the_time(job_id)

    def remove_job(self, job_id: str, jobstore: str | None = None) -> None:
        """Remove a job; a run that is under way goes on, and its record stays.

        :raises JobLookupError: if there is no such job
        """
        alias = self._remove(job_id, jobstore)
        if self._listening.mask & EVENT_JOB_REMOVED:
            self._tell(JobEvent(EVENT_JOB_REMOVED, job_id, alias))
        if self._log.enabled(INFO):
            self._log.info("Removed job %s", job_id)

    def remove_all_jobs(self, jobstore: str | None = None) -> None:
        """Remove all jobs from one store, or from all.

        :param jobstore: alias of the store; None: all
        :raises UnknownAliasError: if a scheduler that was started has no such store
        """
        if not self._goes_to_stores():
            with self._jobstores_lock:
                self._pending_jobs[:] = [
                    entry for entry in self._pending_jobs if jobstore not in (None, entry[1])
                ]
                kept = {(alias, job.id) for job, alias, _ in self._pending_jobs}
                self._pending_options = {
                    key: options for key, options in self._pending_options.items() if key in kept
                }
        else:
            if jobstore is not None:
                self._lookup_jobstore(jobstore)
            for _, store in self._stores(jobstore):
                store.remove_all_jobs()
        self._tell(SchedulerEvent(EVENT_ALL_JOBS_REMOVED, jobstore))

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


def _check_restored(job: Job) -> None:
    """Refuse to resume a job whose code or data is still missing."""
    from ..codec.unrestored import can_run

    if not can_run(job):
        raise JobValueError(f'Job "{job.id}" cannot be resumed while it cannot be restored: {job.error}')


def _checked_words(
    what: str, kind: str, words: str | Iterable[str] | None, known: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return the words to look for, None for all, if things of that kind have them."""
    if words is None:
        return None
    wanted = (words,) if isinstance(words, str) else tuple(words)
    for word in wanted:
        if word not in known:
            raise OptionTypeError(f"{what} have no {kind} {repr_of(word)}; they have {', '.join(known)}")
    return wanted


def _check_no_trigger(alias: str) -> None:
    """Refuse the name of a trigger in place of the alias of a store, as it stands second in add_job() and Job.reschedule()."""
    from .plugins import BUILT_IN  # rare

    if alias in BUILT_IN["trigger"]:
        raise OptionTypeError(
            f"jobstore must be the alias of a job store, got {repr_of(alias)}; name the parameter: "
            f"reschedule_job(id, trigger={repr_of(alias)}, …)"
        )


def _check_page(limit: Any, offset: Any) -> None:
    for name, value in (("limit", limit), ("offset", offset)):
        if not isinstance(value, int) or value < 0:
            raise OptionTypeError(
                f"{name} must be a whole number of 0 or more, got {shortened(repr_of(value), 200)}"
            )


def _state_of(job: Job) -> str:
    """Return the state that a job has, or that it will have once it is stored."""
    return ACTIVE if job.state == NEW else job.state
