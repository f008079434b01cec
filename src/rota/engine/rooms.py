"""Due times whose job already has as many runs under way as it may: when room came for those that have waited, who makes room.

It reads the store, and asks runs to stop; what becomes of the times is planned elsewhere (:mod:`rota.core.overlaps`).
"""

from __future__ import annotations

from ..core.backfill import meets_backfill
from ..core.extras import AFTER, extra_of, keeps_place
from ..core.overlaps import BUFFER_ALL, REPLACED, REPLACING
from ..core.places import oldest, room_came
from ..core.plan import AFTER_RUN, GROUP_LIMIT
from ..core.queries import RunQuery
from ..core.run import asked_to_stop
from ..core.states import ACTIVE, CANCELLED, CLAIMED, WAITING
from ..core.transitions import may_claim
from ..core.waiting import could_start, is_chained
from .announcements import EVENT_OF_STATUS, announce
from .stops import stop_here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from ..core.plan import Decision
    from ..core.run import Run
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .outlet import Outlet
    from .store_state import StoreState

#: How many runs of a job are looked at.
RUNS = 1000


def rooms_came(
    store: BaseJobStore, jobs: Sequence[Job], backfilled: Container[str], now: int
) -> dict[str, int]:
    """Return by id when a place came free for due jobs that have waited for one, as far as it makes a difference (instants).

    :param backfilled: the ids of jobs that have a backfill, whose times wait for its runs whatever their policy is
    """
    waited = {
        job.id: job
        for job in jobs
        if (job.policy.waits_for_room or job.id in backfilled) and _makes_a_difference(job, now)
    }
    if not waited:
        return {}
    found: dict[str, int] = {}
    for id, runs in store.last_runs(list(waited), GROUP_LIMIT).items():
        job = waited[id]
        came = room_came(job.next_due or 0, job.policy.limit, runs)
        if came is not None:
            found[id] = came
    return found


def _makes_a_difference(job: Job, now: int) -> bool:
    policy, due = job.policy, job.next_due
    if job.state != ACTIVE or due is None or job.next_nominal == AFTER_RUN:
        return False
    is_late = policy.misfire_grace is not None and now - due > policy.misfire_grace
    return is_late or (not policy.coalesce and policy.overlap != BUFFER_ALL and now > due)


def meet_backfills(store: BaseJobStore, jobs: Sequence[Job], backfilled: Container[str]) -> set[str]:
    """Return the ids of due jobs that have no place left and of which backfilled runs have one: no time is skipped for these.

    :param backfilled: the ids of jobs that have a backfill
    """
    full = [job.id for job in jobs if job.id in backfilled and job.running >= job.policy.limit]
    return {id for id in full if meets_backfill(_with_places(store, id))}


def make_room(outlet: Outlet, state: StoreState, decisions: Sequence[Decision]) -> Sequence[Decision]:
    """Have the oldest runs of jobs stop whose due times are to take their places.

    :return: the decisions without those about jobs that have a place by now, and are to be planned anew
    """
    planned_anew = []
    for decision in decisions:
        if decision.waits_for_room and decision.job.policy.overlap in REPLACING:
            run = _oldest(state.store, decision.job.id)
            if run is not None and _replace(outlet, state, run):
                planned_anew.append(decision)
    return [each for each in decisions if each not in planned_anew] if planned_anew else decisions


def make_room_for_chains(outlet: Outlet, state: StoreState) -> bool:
    """Have the oldest runs of jobs stop whose places are to go to runs of a chain that wait; return whether one is free at once."""
    store = state.store
    now = store.now()
    query = RunQuery(statuses=[WAITING], origins=[AFTER])
    found = store.find_runs(query, RUNS).items
    ids = {run.job_id for run in found if is_chained(run) and (extra_of(run).not_before or 0) <= now}
    is_free = False
    for job in [job for id in sorted(ids) if (job := store.lookup_job(id)) is not None]:
        if job.policy.overlap not in REPLACING or may_claim(job.running, job.policy.limit):
            continue
        if could_start(job) and job.executor in outlet.executors:
            run = _oldest(store, job.id)
            if run is not None and asked_to_stop(run) is None:  # it is asked once
                is_free |= _replace(outlet, state, run)
    return is_free


def _oldest(store: BaseJobStore, job_id: str) -> Run | None:
    """Return the oldest run that has one of the places of a job; None: there is none, or a backfill has opened one of them.

    A time waits for backfilled runs, and replaces none.
    """
    runs = _with_places(store, job_id)
    return None if meets_backfill(runs) else oldest(runs)


def _with_places(store: BaseJobStore, job_id: str) -> list[Run]:
    """Return the runs of a job that have its places: those under way, and those that keep one while they wait."""
    page = store.find_runs(RunQuery(job_ids=[job_id], statuses=(CLAIMED, WAITING)), RUNS)
    return [run for run in page.items if run.status == CLAIMED or keeps_place(extra_of(run))]


def _replace(outlet: Outlet, state: StoreState, run: Run) -> bool:
    """Ask a run to stop, once; one that waits, or has not started here, ends at once. Return whether it has ended."""
    now = state.store.now()
    try:
        asked = state.store.cancel_run(run.job_id, run.nominal, REPLACED, now)
    except BaseException as exc:
        from .damage import note_refusal  # import time

        note_refusal(exc, outlet.logger, "Run %r cannot be asked to make room: %s", run)
        return False
    if asked is None:
        return True
    if asked.status == CLAIMED:
        return stop_here(outlet, state, asked, REPLACED) is not None
    if asked.status == CANCELLED and asked.finished_at == now:  # it waited: nobody else tells of its end
        outlet.logger.info("Run %r is cancelled: %s", asked, REPLACED)
        announce(outlet, state.alias, asked, EVENT_OF_STATUS[CANCELLED])
        state.tell_of_ends(outlet, [asked])
    return asked.ended
