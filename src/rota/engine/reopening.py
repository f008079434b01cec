"""What becomes of the runs in hand when their store was emptied, put back from a backup, or replaced, and is opened anew.

It asks the store; it runs nothing. What a run that is under way did is told in any case: in a new record, or as lost.
"""

from __future__ import annotations

from itertools import pairwise

from ..core.plan import Decision
from ..core.run import GONE, Run
from ..core.states import CLAIMED, LOST, end
from .missing_records import TRIES, beside_the_schedules
from .refusals import refusals_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..jobstores.base import BaseJobStore
    from .lease import Lease
    from .outlet import Outlet
    from .store_state import StoreState

#: How many claimed runs of this node are looked for in a backup that was put back.
MOST = 10_000


def reopen(outlet: Outlet, state: StoreState) -> None:
    """Open a store anew, begin its lease, and write the runs in hand again that it does not have.

    It may be called again if it raises.
    """
    store, lease, completions = state.store, state.lease, state.completions
    completions.reopened += 1
    store.reopen()
    outlet.listen_to(store, state.asked.tell)
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
        refusals_of(completions, store, lease, outlet.logger).displaced = {id(run) for run in lost}
        lease.left_over = {
            (run.job_id, run.nominal)
            for run in store.get_runs(status=CLAIMED, limit=MOST)
            if run.owner == lease.node and (run.job_id, run.nominal) not in in_hand
        }
        if lease.left_over:
            lease.doubt()
        if missing:
            outlet.logger.warning(
                "Job store %r is open again and did not have %d runs in hand; %d of them are written anew. What comes of the "
                "others that have begun is recorded when they end, or told as lost if their jobs are gone",
                state.alias,
                len(missing),
                len(kept),
            )
    state.back_off.replaced = False


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
        for job_id, decision in beside_the_schedules(store, left).items():
            for run in left[job_id]:
                copy = _claimed(run, decision)
                copies[id(copy)] = run
                decision.runs.append(copy)
            if decision.job.running < decision.job.policy.limit:  # else its end is recorded when it comes
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


def _claimed(run: Run, decision: Decision) -> Run:
    """Return a run as it was when it was claimed; the one in hand may end at this moment."""
    copy = Run(run.job_id, run.nominal, run.due, decision.job, run.executor)
    copy.last, copy.count, copy.attempt = run.last, run.count, run.attempt
    copy.reason = run.reason if run.status == CLAIMED else None
    return copy
