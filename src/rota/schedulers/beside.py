"""Records that are written outside the passes, beside what a job does: what was left out, or cancelled ahead.

It writes through the port, in any thread; it knows no scheduler but by its hooks.
"""

from __future__ import annotations

from ..core.pauses import left_out, pause_of
from ..core.plan import Decision
from ..core.states import ACTIVE, PAUSED
from ..triggers.base import AskedBy
from ..util import new_node_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .hooks import Hooks

#: How often a record is tried against others' changes of its job.
TRIES = 50
#: How long writing a record without a job's turn may take before others may take it over (microseconds).
LEASE = 15_000_000


def beside(job: Job) -> Decision:
    """Return a decision that leaves a job as it is."""
    decision = Decision(job)
    decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
    decision.state, decision.error = job.state, job.error
    return decision


def write(store: BaseJobStore, decision: Decision) -> bool:
    """Have a store carry out a decision that claims no run, outside the passes; False if its job was changed."""
    if not store.durable:
        return bool(store.claim([decision], "", store.now()))
    node = new_node_id()
    store.renew(node, store.now(), LEASE)
    try:
        return bool(store.claim([decision], node, store.now()))
    finally:
        store.leave(node, (), store.now())


def paused_before(job: Job) -> Job | None:
    """Return a copy of a job that an edit may let go on, None if it is not paused by itself."""
    if job.state != PAUSED or job.paused is None or job._home[1] is None or pause_of(job).hold is not None:
        return None
    return job.copy()


def settle_edited(scheduler: Hooks, store: BaseJobStore, before: Job) -> None:
    """Record what a job has left out while it was paused, after an edit has let it go on.

    :param before: the job as it was paused
    """
    for _ in range(TRIES):
        job = store.lookup_job(before.id)
        if job is None or job.state != ACTIVE:
            return
        now = store.now()
        end = now if job.next_nominal is None else min(now, job.next_nominal)
        with AskedBy(scheduler):
            record = left_out(before, pause_of(before), "paused", end)
        if record is None:
            return
        record.finished_at = now
        decision = beside(job)
        decision.records.append(record)
        if write(store, decision):
            return
