"""Records that are written outside the passes, beside what a job does: what was left out, or cancelled ahead.

It writes through the port, in any thread, and knows no scheduler but by its zone.
"""

from __future__ import annotations

from ..clock import HELD
from ..core.plan import AFTER_RUN, Decision
from ..interrupts import is_interrupt
from ..triggers.base import AskedBy
from ..util import new_node_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .hooks import Hooks

#: How long writing a record without a job's turn may take before others may take it over (microseconds).
LEASE = 15_000_000


def beside(job: Job) -> Decision:
    """Return a decision that leaves a job as it is; one that waits for room is planned once more."""
    decision = Decision(job)
    decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
    if job.next_due == HELD and job.next_nominal != AFTER_RUN:
        # A place may have come free since it was read, which raises no version; if not, it waits for one again.
        decision.next_due = job.next_nominal
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


def settle_edit(
    scheduler: Hooks, store: BaseJobStore, before: Job, after: Job, now: int, log: GuardedLogger
) -> int | None:
    """Record what a job has left out, right before an edit is stored after which it does not owe that any more.

    It is still paused then, or waits for room, and has the trigger that it had. Whoever settles it once more, as the edit came to
    nothing, records no time again (R4).

    :param scheduler: whose zone its triggers are asked in
    :param before: the job as it was read
    :param after: the job as it is about to be stored; see :func:`~rota.core.pauses.settled_by_edit`
    :param now: instant: not before the one from which on the new schedule is planned
    :return: the version that the job has now; None: somebody else has changed it, and nothing was recorded (R1)
    """
    from ..core.pauses import settled_by_edit  # import time: most programs pause no jobs

    try:
        with AskedBy(scheduler):
            record = settled_by_edit(before, after, now)
    except BaseException as exc:  # a trigger that raises is what the edit may repair
        if is_interrupt(exc):
            raise
        log.exception(
            'What job "%s" has left out while it was paused, or waited for room, cannot be told, and has no record',
            before.id,
        )
        return before.version
    if record is None:
        return before.version
    decision = beside(before)
    decision.records.append(record)
    return before.version if write(store, decision) else None
