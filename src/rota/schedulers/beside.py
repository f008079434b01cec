"""Records that are written outside the passes, beside what a job does: what was left out, or cancelled ahead.

It writes through the port, in any thread, and knows no scheduler.
"""

from __future__ import annotations

from ..core.plan import Decision
from ..util import new_node_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

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
