"""Due jobs of which runs are under way: whether their counts are right, and which retries end with the claims of their next times.

Before they are planned it reads the store, and has it put counts right; the claim itself ends the retries, and here that is told.
"""

from __future__ import annotations

from collections import Counter

from ..core.policy import Policy
from ..core.states import QUARANTINED
from .announcements import EVENT_OF_STATUS, announce, local
from .due_again import supersede_soon, waiting_retries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..core.plan import Decision
    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .outlet import Outlet
    from .store_state import StoreState


def look_at_busy(
    state: StoreState, jobs: Sequence[Job], logger: GuardedLogger
) -> Mapping[str, Sequence[Run]]:
    """Have the counts of jobs checked that seem to be busy; return the waiting runs that end with the claims of their next times.

    :param jobs: due jobs of which runs are under way, or keep their places
    :return: the runs by the ids of their jobs
    """
    if state.lease is not None:  # else the counts are in this process, changed together with the runs
        _recount_busy(state.store, (state.completions.in_hand or {}).values(), jobs, logger)
    if not Policy.some_retry or all(job.policy.retry is None for job in jobs):
        return {}
    return waiting_retries(state.store, jobs)


def after_claim(outlet: Outlet, state: StoreState, decision: Decision) -> None:
    """Tell of the waiting retries that a claim has ended; if it lets a time wait for room, look for those that came meanwhile."""
    if decision.superseded:
        _tell_superseded(outlet, state, decision)
    elif decision.job.policy.supersedes:  # one of its runs may have been given back since it was planned
        supersede_soon(state.store, decision.job.id, outlet.logger)


def _tell_superseded(outlet: Outlet, state: StoreState, decision: Decision) -> None:
    job = decision.job
    for run in decision.superseded:
        run.job = job
        outlet.logger.error(
            'The run of job "%s" at %s has failed for good: its retry waited when a later time came',
            job,
            local(job, run.nominal),
        )
        if outlet.wanted() & EVENT_OF_STATUS[run.status]:
            announce(outlet, state.alias, run, EVENT_OF_STATUS[run.status])
    state.tell_of_ends(outlet, decision.superseded)
    if Policy.some_tell:
        state.completions.note_failures(decision.superseded).tell()


def _recount_busy(
    store: BaseJobStore, in_hand: Iterable[Run], jobs: Sequence[Job], logger: GuardedLogger
) -> None:
    """Have a store check the counts of jobs that have no place left, as it seems, before a time of theirs is skipped.

    A job that this node itself runs as often as it may has none indeed; the store is not asked about it.
    """
    busy = [job for job in jobs if not 0 <= job.running < job.policy.limit]
    if not busy:
        return
    own = Counter([run.job_id for run in list(in_hand)])
    doubtful = [job for job in busy if own[job.id] < job.policy.limit and job.state != QUARANTINED]
    try:
        if doubtful:
            store.recount(doubtful)
    except BaseException as exc:
        from .damage import each_by_itself  # import time

        each_by_itself(
            store.recount,
            doubtful,
            exc,
            logger,
            'How many runs of job "%s" are under way cannot be put right: %s',
        )
