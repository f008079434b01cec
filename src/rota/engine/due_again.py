"""Due times that wait for room though no run has to end for that: their jobs are made due once more, and planned anew.

The stores let a job go on when a run of it ends (R6); here a waiting retry is to end with the claim. It changes when jobs are due,
and nothing else.
"""

from __future__ import annotations

from ..clock import HELD
from ..core.extras import RETRY, extra_of
from ..core.plan import AFTER_RUN
from ..core.queries import RunQuery
from ..core.states import ACTIVE, WAITING
from ..core.transitions import may_claim
from ..core.tries import superseded
from ..interrupts import is_interrupt
from ..texts import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger

#: Of how many jobs retries are looked for at once, and how many pages are read for them at most.
JOBS_AT_ONCE = 100
PAGES = 20
#: How many retries of one job end with a claim at most: a transaction of etcd has room for no more.
MOST = 30
#: How often one job is tried while others change it.
TRIES = 20


def waiting_retries(store: BaseJobStore, jobs: Sequence[Job]) -> dict[str, list[Run]]:
    """Return the waiting runs, by the ids of their jobs, that the claim of the next time of these jobs ends."""
    due = {job.id: nominal for job in jobs if (nominal := _next_of(job)) is not None}
    found: dict[str, list[Run]] = {}
    ids = list(due)
    for start in range(0, len(ids), JOBS_AT_ONCE):
        query = RunQuery(job_ids=ids[start : start + JOBS_AT_ONCE], statuses=WAITING)
        cursor = None
        for _ in range(PAGES):
            page = store.find_runs(query, 1000, cursor)
            for run in superseded(page.items, due):
                of_job = found.setdefault(run.job_id, [])
                if len(of_job) < MOST:
                    of_job.append(run)
            cursor = page.cursor
            if cursor is None:
                break
    return found


def _next_of(job: Job) -> int | None:
    """Return the next nominal time of a job of which retries may wait that end with its claim, else None."""
    nominal = job.next_nominal
    if not job.policy.supersedes or job.running <= 0 or job.state != ACTIVE or nominal == AFTER_RUN:
        return None
    return nominal


def make_due(store: BaseJobStore, job: Job, free: int = 0) -> bool:
    """Make a job due that waits for room and has a place; return whether that is done.

    :param job: as it was just read
    :param free: how many of the runs that have its places give them up when it is claimed
    """
    version = job.version  # first, as in memory the job is the one that others change
    waits = job.state == ACTIVE and job.next_due == HELD and job.next_nominal != AFTER_RUN
    if not waits or not may_claim(job.running - free, job.policy.limit):
        return False
    changed = job.copy()
    changed.next_due = changed.next_nominal
    return store.save_job(changed, version)


def for_given_back(
    store: BaseJobStore, runs: Iterable[Run], backfilled: Container[str], logger: GuardedLogger
) -> None:
    """Make the jobs due whose times wait for room while runs of theirs wait for a retry, which the claims of these times end.

    :param runs: runs that were just given back, which keep their places
    :param backfilled: the ids of jobs that have a backfill, whose times wait whatever their policy is
    """
    jobs = (run.job for run in runs if run.job is not None and extra_of(run).waiting_for == RETRY)
    superseding = [job for job in jobs if job.policy.supersedes]
    for id in {job.id for job in superseding if job.policy.waits_for_room or job.id in backfilled}:
        supersede_soon(store, id, logger)


def supersede_soon(store: BaseJobStore, job_id: str, logger: GuardedLogger) -> None:
    """Make a job due whose time waits for room, if retries of it wait that its claim ends; else they run first."""
    try:
        for _ in range(TRIES):
            job = store.lookup_job(job_id)
            if job is None or job.next_due != HELD:
                return
            free = len(waiting_retries(store, [job]).get(job_id, ()))
            if not free or not may_claim(job.running - free, job.policy.limit) or make_due(store, job, free):
                return
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        logger.warning(
            'The time of job "%s" that waits for room waits for its retry, too: %s', job_id, error_text(exc)
        )
