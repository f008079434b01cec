"""What ``modify_job()``, ``reschedule_job()`` and ``resume_job()`` change of a job, and what they refuse.

The book writes the change down, and tries again if somebody else has changed the job meanwhile.
"""

from __future__ import annotations

from functools import partial

from ..clock import NO_TIME
from ..core.pauses import Pause, pause_of, stay_on_hold, text_of
from ..core.policy import OPTION_NAMES
from ..core.states import ACTIVE, ENDED, NEW, PAUSED, QUARANTINED, set_job_state
from ..errors import JobValueError, OptionTypeError
from ..job.checks import usable_id
from ..texts import repr_of
from ..triggers.base import AskedBy
from .edits import note
from .new_jobs import start_by_clock_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..job.handle import Job
    from ..triggers.base import BaseTrigger
    from .book import JobBook


class Changes:
    """Changes jobs of one scheduler.

    :param book: its jobs
    """

    __slots__ = ("_book",)

    def __init__(self, book: JobBook) -> None:
        self._book = book

    def modify(self, job_id: str, jobstore: str | None, changes: dict[str, Any]) -> Job:
        """Change attributes of a job; return it."""
        book = self._book
        if "executor" in changes and book.goes_to_stores():
            book.check_executor(changes["executor"])
        for name in ("func", "on_failure"):
            if isinstance(changes.get(name), str):
                book.new_jobs.check_callable(changes[name], book.scheduler._lookup_job(job_id, jobstore)[1])
        if "trigger" in changes:
            book.new_jobs.check_work(changes["trigger"])
        options = None
        if not book.is_open:  # for jobs that wait for the start
            options = {name: value for name, value in changes.items() if name in OPTION_NAMES}
        job = book.change(job_id, jobstore, partial(_modified, book, changes), options)
        if job._home[1] is not None:
            note(book, job, f"changed: {', '.join(sorted(changes))}")
        return job

    def reschedule(
        self,
        job_id: str,
        jobstore: str | None,
        trigger: BaseTrigger | str | None,
        trigger_args: dict[str, Any],
    ) -> Job:
        """Give a job another trigger and plan its next run from now; return it."""
        book = self._book
        scheduler = book.scheduler
        if trigger is None and isinstance(jobstore, str) and jobstore not in scheduler._jobstores:
            _check_no_trigger(jobstore)
        if trigger == "crontab" and usable_id(job_id):
            trigger_args.setdefault("seed", job_id)
        new = scheduler._create_trigger(trigger, trigger_args)

        def change(draft: Job) -> None:
            draft._modify(trigger=new)
            store = scheduler._jobstores.get(draft._home[1] or "")
            if store is not None:
                start_by_clock_of(store, draft)
            _plan_anew(book, draft)  # the new trigger may be the repair that a quarantined job waits for
            if not _stays_on_hold(draft):
                draft.paused = None
            draft.revision += 1

        job = book.change(job_id, jobstore, change)
        if job._home[1] is not None:
            note(book, job, "rescheduled")
        return job

    def resume(self, job_id: str, jobstore: str | None) -> Job | None:
        """Go on with a job's schedule; return the job, None if its schedule is over: nothing is changed then."""
        book = self._book
        job, alias = book.scheduler._lookup_job(job_id, jobstore)
        if job.state == ENDED:
            return job  # no time is to come; it is there for its records
        if job.state == ACTIVE:
            return job  # it was not paused, and to plan it from now on would drop the time that it owes, or was given
        if job.state == QUARANTINED:
            _check_restored(job)
        with AskedBy(book.scheduler):
            is_over = job.trigger.first(book.now_for(job)) is None
        if job.paused is not None:
            from .governed import resume_paused  # import time

            return resume_paused(book, job, alias, is_over)
        return None if is_over else book.change(job_id, jobstore, partial(_plan_anew, book))


def _modified(book: JobBook, changes: dict[str, Any], draft: Job) -> None:
    """Change a job, which has a new revision then; one that is paused by that keeps the time that it owes, one on hold stays so."""
    nominal = draft.next_nominal if draft.state == ACTIVE else None
    draft._modify(**changes)
    draft.revision += 1
    if draft.next_nominal == NO_TIME and draft.state == ACTIVE and draft.trigger.starts_after is None:
        _plan_anew(book, draft)  # it was started by the ends of another job's runs
    if draft.state == ENDED and "next_run_time" in changes:  # None was given: so pause_job() pauses it
        from .governed import hold_back  # rare

        hold_back(book, draft)
    elif "next_run_time" in changes and not _stays_on_hold(draft):
        if draft.state != PAUSED:
            draft.paused = None
        elif nominal is not None:
            draft.paused = text_of(Pause(nominal, book.now_for(draft)))
        elif (
            pause := pause_of(draft)
        ).until is not None:  # it was paused for a while, and is from now on until it is resumed
            pause.until = None
            draft.paused = text_of(pause)


def _stays_on_hold(draft: Job) -> bool:
    """Leave a job on hold that was on hold before it was changed; return whether it was."""
    if draft.paused is None:
        return False
    pause = pause_of(draft)
    if pause.hold is None:
        return False
    stay_on_hold(draft, pause)
    return True


def _plan_anew(book: JobBook, draft: Job) -> None:
    """Plan a job from now on."""
    draft.error = None
    set_job_state(draft, NEW)
    book.new_jobs.plan_first(draft, book.now_for(draft))


def _check_restored(job: Job) -> None:
    """Refuse to resume a job whose code or data is still missing."""
    from ..codec.unrestored import can_run  # import time

    if not can_run(job):
        raise JobValueError(f'Job "{job.id}" cannot be resumed while it cannot be restored: {job.error}')


def _check_no_trigger(alias: str) -> None:
    """Refuse the name of a trigger in place of the alias of a store, as it stands second in add_job() and Job.reschedule()."""
    from .plugins import BUILT_IN  # rare

    if alias in BUILT_IN["trigger"]:
        raise OptionTypeError(
            f"jobstore must be the alias of a job store, got {repr_of(alias)}; name the parameter: "
            f"reschedule_job(id, trigger={repr_of(alias)}, …)"
        )
