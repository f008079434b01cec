"""Asking runs to stop on the node that has them, once; what becomes of them then is their executor's.

It writes nothing into a store but a note that a run of another node was asked.
"""

from __future__ import annotations

from ..core.extras import extra_of
from ..core.overlaps import REPLACED, TERMINATE_OTHER
from ..core.states import CLAIMED
from ..events import EVENT_JOB_CANCEL_REQUESTED, JobCancelRequestedEvent
from ..jobstores.held_rows import as_soon_as_free
from .announcements import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .outlet import Outlet
    from .store_state import StoreState


def stop_here(outlet: Outlet, state: StoreState, run: Run, reason: str) -> Run | None:
    """Ask a run to stop if this node has it; else the node that has it sees the request when it asks the store.

    :param run: as its store has it
    :return: its record if it has ended by that, as it had not started
    """
    here = run if run.job is not None else (state.completions.in_hand or {}).get((run.job_id, run.nominal))
    if here is not None:
        return stop(outlet, state, here, reason)
    note_request(state.store, run, outlet.logger)
    return None


def note_request(store: BaseJobStore, run: Run, logger: GuardedLogger) -> None:
    """Keep with a run of another node that somebody has asked it to stop: it may return before its node has heard of that."""
    from ..core.beats import CANCEL_REQUESTED  # rare
    from ..core.details import NOTE
    from ..interrupts import is_interrupt

    try:
        as_soon_as_free(store.write_parts, [(run.job_id, run.nominal, {NOTE: CANCEL_REQUESTED})])
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        logger.exception("That run %r was asked to stop could not be kept with it", run)


def stop(outlet: Outlet, state: StoreState, run: Run, reason: str) -> Run | None:
    """Ask a run that is under way here to stop, once; one that has not started ends at once, if its executor lets it.

    :return: the record of one that has ended by that
    """
    from ..core.beats import CANCEL_REQUESTED  # rare

    extra = extra_of(run)
    if run.status != CLAIMED:
        return None
    if run.cancelled:  # asked already, as its time is over; a cancel besides means no further try
        extra.cancel = extra.cancel or reason
        return None
    extra.cancel = reason
    run.cancelled = True
    executor, record = outlet.executors.get(run.executor), None
    if executor is not None and executor.skips_cancelled:
        from .withdrawn import withdrawn_of  # rare

        record = withdrawn_of(state.completions).withdraw(run, reason, state.store.now())
    if record is None:
        run.heartbeat(note=CANCEL_REQUESTED)
        if executor is not None:
            by_force = (
                reason == REPLACED and run.job is not None and run.job.policy.overlap == TERMINATE_OTHER
            )
            (executor.terminate_run if by_force else executor.cancel_run)(run)
    outlet.logger.info("Run %r was asked to stop: %s", run, reason)
    if outlet.wanted() & EVENT_JOB_CANCEL_REQUESTED:
        code, time = EVENT_JOB_CANCEL_REQUESTED, local(run.job, run.nominal)
        outlet.dispatch(JobCancelRequestedEvent(code, run.job_id, state.alias, time, reason, run))
    if record is not None:  # its turn may come much later
        state.completions.end_instead(run, record, goes_on=False)
    return record
