"""What becomes of the runs in hand when their store was emptied, put back from a backup, or replaced, and is opened anew.

It asks the store; it runs nothing. What a run that is under way did is told in any case: in a new record, or as lost.
"""

from __future__ import annotations

from ..core.plan import Decision
from ..core.run import GONE, Run
from ..core.states import CLAIMED, LOST, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..jobstores.base import BaseJobStore
    from .engine import Engine
    from .lease import Lease
    from .store_state import StoreState

#: How many claimed runs of this node are looked for in a backup that was put back.
MOST = 10_000


def reopen(engine: Engine, state: StoreState) -> None:
    """Open a store anew, begin its lease, and write the runs in hand again that it does not have.

    It may be called again if it raises.
    """
    store, lease, completions = state.store, state.lease, state.completions
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
        lease.in_doubt = lease.in_doubt or bool(lease.left_over)
        if missing:
            engine.logger.warning(
                "Job store %r is open again and did not have %d runs in hand; %d of them are written anew, the others have no "
                "place in it: what comes of those that have begun is told as lost",
                state.alias,
                len(missing),
                len(kept),
            )
    state.replaced = False


def _claim_again(store: BaseJobStore, lease: Lease, runs: Sequence[Run]) -> list[Run]:
    """Claim runs in hand of which the store knows nothing, beside the schedules of their jobs; return those that it took."""
    of_job: dict[str, list[Run]] = {}
    for run in runs:
        of_job.setdefault(run.job_id, []).append(run)
    decisions, copies = [], {}
    recorded = store.recorded({job_id: min(run.nominal for run in some) for job_id, some in of_job.items()})
    for job_id, some in of_job.items():
        decision = _beside_the_schedule(store, job_id)
        if decision is None:
            continue
        taken = {first for first, _, _ in recorded.get(job_id, ())}
        for run in some:
            if run.nominal not in taken:
                copy = _claimed(run, decision)
                copies[id(copy)] = run
                decision.runs.append(copy)
        if decision.runs:
            decisions.append(decision)
    kept = []
    for decision in store.claim(decisions, lease.node, store.now()) if decisions else ():
        for copy in decision.runs:
            found = copies.get(id(copy))
            if found is not None and copy.nominal == found.nominal:
                found.owner = copy.owner
                kept.append(found)
    return kept


def record_again(store: BaseJobStore, node: str, run: Run) -> bool:
    """Write the end of a run that has no record in its store, beside the schedule of its job; False if there is no such job."""
    decision = _beside_the_schedule(store, run.job_id)
    if decision is None or any(
        first == run.nominal for first, _, _ in store.recorded({run.job_id: run.nominal}).get(run.job_id, ())
    ):
        return False
    decision.records.append(run)
    return bool(store.claim([decision], node, store.now())) and run in decision.records


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


def _beside_the_schedule(store: BaseJobStore, job_id: str) -> Decision | None:
    """Return a decision that leaves a job as it is; None if there is no such job."""
    job = store.lookup_job(job_id)
    if job is None:
        return None
    decision = Decision(job)
    decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
    decision.state, decision.error = job.state, job.error
    return decision


def _claimed(run: Run, decision: Decision) -> Run:
    """Return a run as it was when it was claimed; the one in hand may end at this moment."""
    copy = Run(run.job_id, run.nominal, run.due, decision.job, run.executor)
    copy.last, copy.count, copy.attempt = run.last, run.count, run.attempt
    copy.reason = run.reason if run.status == CLAIMED else None
    return copy
