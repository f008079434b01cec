"""What becomes of the runs in hand when their store was emptied, put back from a backup, or replaced, and is opened anew.

It asks the store; it runs nothing. What a run that is under way did is told in any case: in a new record, or as lost.
"""

from __future__ import annotations

from itertools import pairwise

from ..core.plan import Decision
from ..core.recorded import is_recorded
from ..core.run import CLAIMED, GONE, LOST, MANUAL, Run, end
from ..errors import StoreConflictError
from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..core.recorded import Recorded
    from ..job import Job
    from ..jobstores.base import BaseJobStore
    from .engine import Engine
    from .lease import Lease
    from .store_state import StoreState

#: How many claimed runs of this node are looked for in a backup that was put back.
MOST = 10_000
#: How often a job is tried that others change at the same time: each node that opens the store anew claims its runs there.
TRIES = 20

#: What became of an end that was written again: it has a record, its job is gone, or its time has another record.
WRITTEN, NO_JOB, TAKEN = "written", "no job", "taken"


def reopen(engine: Engine, state: StoreState) -> None:
    """Open a store anew, begin its lease, and write the runs in hand again that it does not have.

    It may be called again if it raises.
    """
    store, lease, completions = state.store, state.lease, state.completions
    completions.reopened += 1
    store.reopen()
    engine.listen_to(store)
    state.skipping.clear()
    if lease is not None:
        in_hand = dict(completions.in_hand or {})
        missing = lease.begin_anew(in_hand)
        kept = _claim_again(store, lease, missing) if missing else []
        written = {id(run) for run in kept}
        lost = [run for run in missing if id(run) not in written]
        for run in kept:
            run.permission = lease.permission
        for run in lost:
            run.permission = GONE
        completions.displaced = {id(run) for run in lost}
        lease.left_over = {
            (run.job_id, run.nominal)
            for run in store.get_runs(status=CLAIMED, limit=MOST)
            if run.owner == lease.node and (run.job_id, run.nominal) not in in_hand
        }
        if lease.left_over:
            lease.doubt()
        if missing:
            engine.logger.warning(
                "Job store %r is open again and did not have %d runs in hand; %d of them are written anew. What comes of the "
                "others that have begun is recorded when they end, or told as lost if their jobs are gone",
                state.alias,
                len(missing),
                len(kept),
            )
    state.replaced = False


def _claim_again(store: BaseJobStore, lease: Lease, runs: Sequence[Run]) -> list[Run]:
    """Claim runs in hand of which the store knows nothing, beside the schedules of their jobs; return those that it took.

    A job that others change meanwhile is looked at again: they may have recorded one of these times.
    """
    left: dict[str, list[Run]] = {}
    for run in runs:
        left.setdefault(run.job_id, []).append(run)
    kept: list[Run] = []
    for _ in range(TRIES):
        copies: dict[int, Run] = {}
        decisions = []
        for job_id, decision in _beside_the_schedules(store, left).items():
            for run in left[job_id]:
                copy = _claimed(run, decision)
                copies[id(copy)] = run
                decision.runs.append(copy)
            if (
                decision.job.running < decision.job.policy.max_instances
            ):  # else its end is recorded when it comes
                decisions.append(decision)
        for decision in store.claim(decisions, lease.node, store.now()) if decisions else ():
            del left[decision.job.id]
            for copy in decision.runs:
                copies[id(copy)].owner = copy.owner
                kept.append(copies[id(copy)])
        left = {decision.job.id: left[decision.job.id] for decision in decisions if decision.job.id in left}
        if not left:
            break
    return kept


def leave_in_hand(state: StoreState, decisions: Iterable[Decision]) -> None:
    """Take out of decisions that were carried out the runs that are in hand: their store has forgotten that they were claimed.

    Their record is the new one; that they are executed once is enough. The lease is renewed at once, to see what the store is.
    """
    in_hand = state.completions.in_hand or {}
    for decision in decisions:
        runs = [run for run in decision.runs if (run.job_id, run.nominal) not in in_hand]
        if len(runs) < len(decision.runs):
            decision.runs = runs
            for run, then in pairwise([*runs, None]):
                if run is not None:
                    run.then = then
    if state.lease is not None:
        state.lease.hurry = True


def record_again(store: BaseJobStore, node: str, run: Run) -> str:
    """Write the end of a run that has no record in its store, beside the schedule of its job.

    :return: :data:`WRITTEN`, :data:`NO_JOB`, or :data:`TAKEN` if its time has a record already
    :raises StoreConflictError: if others change its job all the time; it may be tried again
    """
    for _ in range(TRIES):
        decision = _beside_the_schedules(store, {run.job_id: [run]}).get(run.job_id)
        if decision is None:
            records = store.recorded({run.job_id: run.nominal}).get(run.job_id, ())
            has_record = any(first <= run.nominal for first, _, _ in records)
            return TAKEN if has_record else NO_JOB
        decision.records.append(run)
        if store.claim([decision], node, store.now()):
            return WRITTEN if run in decision.records else TAKEN
    raise StoreConflictError(
        f'The end of {run!r} could not be recorded: others changed job "{run.job_id}" each time'
    )


def end_left_over(runs: Iterable[Run], left_over: set[tuple[str, int]], now: int) -> list[Run]:
    """End those of a node's rescued runs that it had claimed before its store was put back, and may not execute again.

    :param left_over: the keys of the runs that the store holds for the node since then
    :return: the runs that were ended
    """
    ended = []
    for run in runs:
        key, job = (run.job_id, run.nominal), run.job
        if key not in left_over or run.ended or job is None:
            continue
        left_over.discard(key)
        if job.policy.on_lost == LOST or run.attempt >= job.policy.max_attempts:
            end(run, LOST, "its store was put back from a backup after it had been claimed", now)
            ended.append(run)
    return ended


def _beside_the_schedules(store: BaseJobStore, runs: dict[str, list[Run]]) -> dict[str, Decision]:
    """Return decisions that leave the jobs of some runs as they are; without jobs that are gone.

    Runs whose time has a record are taken out of what was given, and so are jobs of which none is left then.
    """
    # In this order: who writes a record later changes its job's version, and the decision is void.
    jobs = [job for job_id in runs if (job := store.lookup_job(job_id)) is not None]
    recorded = (
        store.recorded({job.id: min(run.nominal for run in runs[job.id]) for job in jobs}) if jobs else {}
    )
    decisions = {}
    for job in jobs:
        records = recorded.get(job.id, ())
        runs[job.id] = [run for run in runs[job.id] if not _has_record(job, records, run)]
        if runs[job.id]:
            decisions[job.id] = decision = Decision(job)
            decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
            decision.state, decision.error = job.state, job.error
    return decisions


def _has_record(job: Job, records: Iterable[Recorded], run: Run) -> bool:
    """Whether one of a job's records stands for the time of a run; that of one by hand is no time of the job, but a key."""
    if any(first == run.nominal for first, _, _ in records):
        return True
    if run.reason == MANUAL:
        return False
    try:
        return any(is_recorded(job.trigger, record, run.nominal) for record in records)
    except BaseException as exc:  # a trigger may raise anything; its job is quarantined when it is planned
        if is_interrupt(exc):
            raise
        return False


def _claimed(run: Run, decision: Decision) -> Run:
    """Return a run as it was when it was claimed; the one in hand may end at this moment."""
    copy = Run(run.job_id, run.nominal, run.due, decision.job, run.executor)
    copy.last, copy.count, copy.attempt = run.last, run.count, run.attempt
    copy.reason = run.reason if run.status == CLAIMED else None
    return copy
