"""Jobs that are added or changed: times that have a record already are passed over, and the user is told.

It changes jobs that are about to be stored, and logs; it stores nothing. What it does not see, the claim decides.
"""

from __future__ import annotations

from contextlib import suppress

from ..core.plan import due_time, forgotten, is_forgotten
from ..core.recorded import is_recorded, next_unrecorded
from ..core.states import ENDED, set_job_state
from ..errors import ConflictingIdError, JobLookupError
from .announcements import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..core.recorded import Recorded
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger

#: of which jobs records are looked for: of those whose id was not made for them, of all as they are stored already, of none
LOOK_BY_ID, LOOK_ALWAYS, LOOK_NEVER = "by id", "always", "never"


def pass_over(
    jobs: Sequence[Job], store: BaseJobStore, now: int, logger: GuardedLogger, look: str = LOOK_BY_ID
) -> list[Job]:
    """Move jobs on whose next time is past and has a record in a store.

    A time that is older than the store remembers is marked, so that it is recorded as missed and does not run; not that of a job
    which is stored already.

    :param jobs: jobs as they are about to be stored
    :param now: instant
    :param look: of which jobs the records are looked for
    :return: the jobs that have no time to come without a record, as they were
    """
    past = [job for job in jobs if job.next_nominal is not None and job.next_nominal <= now]
    since = {
        job.id: job.next_nominal or 0
        for job in past
        if look == LOOK_ALWAYS or (look == LOOK_BY_ID and not job.has_new_id)
    }
    found = store.recorded(since) if since else {}
    age = None if look == LOOK_ALWAYS else store.remembers
    over = []
    for job in past:
        nominal = job.next_nominal or 0
        following = _first_without(job, nominal, found.get(job.id, ()), logger)
        if following is None:
            over.append(job)
        elif age is not None and is_forgotten(following, now, age):
            job.set_next(following, forgotten(following, age))
            logger.warning(
                'The time %s of job "%s" is older than the ledger remembers (keep_days): it is recorded as missed and does not '
                "run; run_job() runs the job",
                local(job, following),
                job.id,
            )
        elif following != nominal:
            job.set_next(following, due_time(job, following))
    return over


def leave_out(job: Job, store: BaseJobStore, replace: bool, explicit: bool) -> tuple[bool, Any]:
    """Make a job whose last time has a record one that has ended and is in no store, as it would be after its claim.

    :param replace: whether it replaces a job of its id
    :param explicit: whether its times were given, so that it does not go on in the schedule of that
    :return: whether it is left out, and what the store returned of a job that it replaces and that was removed; False: of none
    :raises ConflictingIdError: if there is a job of its id that it does not replace
    """
    store.check_job(job)
    existing = store.lookup_job(job.id)
    removed: Any = False
    if existing is not None and existing.state != ENDED:  # one whose schedule is over conflicts with nothing
        if not replace:
            raise ConflictingIdError(job.id)
        if not explicit and existing.error is None and job.trigger.same_schedule(existing.trigger):
            return False, False
        with suppress(JobLookupError):
            removed = store.remove_job(job.id) or None
    job.set_next(None)
    set_job_state(job, ENDED)
    return True, removed


def _first_without(job: Job, nominal: int, recorded: Sequence[Recorded], logger: GuardedLogger) -> int | None:
    """Return the job's first time without a record, and warn if that is not the one that it was to have."""
    trigger = job.trigger
    record = next((record for record in recorded if is_recorded(trigger, record, nominal)), None)
    if record is None:
        return nominal
    following = next_unrecorded(trigger, recorded, nominal)
    logger.warning(
        'The time %s of job "%s" has a record already (%s) and does not run again; %s; run_job() runs it once more',
        local(job, nominal),
        job.id,
        record[2],
        "its schedule is over" if following is None else f"the job goes on at {local(job, following)}",
    )
    return following
