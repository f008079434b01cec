"""What a pass does about damaged data: claims that a store refuses, and counts that contradict the ledger.

It asks the store, and says what became of it; the engine hands out runs.
"""

from __future__ import annotations

from collections import Counter

from ..core.plan import quarantine
from ..core.states import QUARANTINED
from ..errors import StoreError
from ..interrupts import is_interrupt
from ..texts import error_text, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.plan import Decision
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .store_state import StoreState

#: After so many jobs of which a store takes neither the claim nor the quarantine, with nothing in between, it is asked no further.
GIVE_UP = 3


def is_of_store(exc: BaseException) -> bool:
    """Whether an error speaks of the store, not of what it was given."""
    return issubclass(type(exc), (OSError, StoreError))


def claim_singly(
    store: BaseJobStore, decisions: Sequence[Decision], node: str, now: int, error: BaseException
) -> tuple[list[Decision], BaseException | None]:
    """Claim decisions one by one, as the store refuses them together; a job whose claim it refuses is quarantined, and says why.

    :param error: what the store said of all of them; if it speaks of the store, nothing is asked again
    :return: the decisions that were carried out, those to quarantine a job among them, and the error that is left
    """
    won: list[Decision] = []
    left = error if is_of_store(error) else None
    failures = 0
    for decision in decisions if left is None else ():
        refusal: BaseException | None = error
        if len(decisions) > 1:
            refusal = _try(store, decision, node, now, won)
        if refusal is not None and not is_of_store(refusal):
            reason = f"the store refuses its claim: {shortened(error_text(refusal), 500)}"
            refusal = _try(store, quarantine(decision.job, reason), node, now, won)
        if refusal is None:
            failures = 0
            continue
        left = refusal
        failures += 1
        if is_of_store(refusal) or failures == GIVE_UP:
            break
    return won, left


def _try(
    store: BaseJobStore, decision: Decision, node: str, now: int, won: list[Decision]
) -> BaseException | None:
    """Claim one decision, and add it to those that were; return what the store raises instead."""
    try:
        won += store.claim([decision], node, now)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        return exc
    return None


def recount_busy(state: StoreState, jobs: Sequence[Job]) -> None:
    """Have the store check the counts of jobs that have no place left, as it seems, before a time of theirs is skipped.

    A job that this node itself runs as often as it may has none indeed; the store is not asked about it.
    """
    busy = [job for job in jobs if job.running and not 0 <= job.running < job.policy.max_instances]
    if not busy:
        return
    own = Counter([run.job_id for run in list((state.completions.in_hand or {}).values())])
    doubtful = [job for job in busy if own[job.id] < job.policy.max_instances and job.state != QUARANTINED]
    if doubtful:
        state.store.recount(doubtful)
