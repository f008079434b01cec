"""What others ask of this node in one store: runs that wait for their time, cancelling, draining, questions.

It asks the store now and then, and carries out what it answers; it plans nothing, and waits for no run.
"""

from __future__ import annotations

from ..callables import ASKED
from ..clock import SECOND
from ..core.extras import extra_of, keeps_place
from ..core.orphans import linked
from ..core.overlaps import REPLACED, TERMINATE_OTHER
from ..core.states import CLAIMED
from ..events import EVENT_JOB_CANCEL_REQUESTED, JobCancelRequestedEvent
from ..executors.base import UNBOUNDED
from .announcements import EVENT_OF_STATUS, announce, local
from .submission import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..core.orders import Orders
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from .outlet import Outlet
    from .store_state import StoreState

#: How soon waiting runs that could not start are looked at again (microseconds).
AGAIN = SECOND // 2
#: How soon it is looked at backfills after waiting runs were started (microseconds).
MORE = SECOND // 4


def attend(
    outlet: Outlet, state: StoreState, node: str, room: Callable[[], Mapping[str, int]], may_start: bool
) -> None:
    """Do what others ask of this node, as far as it has been told of it, and start the runs whose time has come.

    :param node: the id of this node in the store
    :param room: returns for each executor alias how many more runs it takes
    :param may_start: whether runs may be started now
    """
    asked = state.asked
    if asked.told and (state.lease is None or state.lease.renewed_at is not None):
        look(outlet, state, node, room())
    if not may_start or asked.draining:
        return
    if asked.backfills:
        from .backfills import carry_on  # rare

        carry_on(outlet, state)
    if asked.next_waiting is not None:
        start_waiting(outlet, state, node, room)


def look(outlet: Outlet, state: StoreState, node: str, room: Mapping[str, int]) -> None:
    """Ask the store, and do what others wish.

    :param node: the id of this node in the store
    :param room: for each executor alias, how many more runs it takes
    """
    asked, store = state.asked, state.store
    asked.told = False
    now = store.now()
    _say(outlet, state, node, room)
    orders = store.orders(node, now)
    asked.next_waiting = orders.next_waiting
    if set(orders.backfills) - set(asked.backfills):
        asked.backfill_at = 0
    asked.backfills = orders.backfills
    _drain(outlet, state, orders)
    for job_id, nominal, reason in orders.cancels:
        run = (state.completions.in_hand or {}).get((job_id, nominal))
        if run is not None:
            stop(outlet, state, run, reason)
    for request in orders.requests:
        from ..core.details import cut  # rare
        from ..core.orders import LONGEST_ANSWER
        from .stacks import stack_of

        store.answer(request.id, cut(stack_of(request.subject), LONGEST_ANSWER), now)
    store.look_for_parents()


def wait(outlet: Outlet, state: StoreState) -> float | None:
    """Return the seconds until a waiting run has to be looked for, None: none is known."""
    asked = state.asked
    if asked.next_waiting is None or asked.draining:
        return None
    until = max(asked.next_waiting - state.store.now(), asked.again_at - outlet.clock.monotonic(), 0)
    return until / SECOND


def sooner(outlet: Outlet, state: StoreState, seconds: float | None) -> float | None:
    """Return the sooner one of a wait and that for a waiting run, or a backfill."""
    left, asked = wait(outlet, state), state.asked
    if asked.backfills and not asked.draining:
        look = max(asked.backfill_at - outlet.clock.monotonic(), 0) / SECOND
        left = look if left is None else min(left, look)
    return seconds if left is None else left if seconds is None else min(left, seconds)


def start_waiting(
    outlet: Outlet, state: StoreState, node: str, room: Callable[[], Mapping[str, int]]
) -> None:
    """Start the runs that have waited for their time, as far as there is room.

    :param node: the id of this node in the store
    :param room: returns for each executor alias how many more runs it takes
    """
    if wait(outlet, state):
        return
    permission = None if state.lease is None else state.lease.permission
    taken = []
    for run in _take(outlet, state, node, room()):
        if run.ended:
            outlet.logger.warning("Run %r is %s: %s", run, run.status, run.reason)
            announce(outlet, state.alias, run, EVENT_OF_STATUS[run.status])
            state.completions.tell_askers([run])
            state.completions.tell_of_pauses([run])
        else:
            run.permission = permission
            taken.append(run)
    asked = state.asked
    if asked.backfills and taken:  # others are opened in the place of those that have started
        asked.backfill_at = min(asked.backfill_at, outlet.clock.monotonic() + MORE)
    # Those of one group, which have waited for the same time, are executed one after another again.
    linked(run for run in taken if keeps_place(extra_of(run)))
    hand_over(outlet, state, taken)


def _take(outlet: Outlet, state: StoreState, node: str, room: Mapping[str, int]) -> Sequence[Run]:
    """Take waiting runs whose time has come; return those, and those that have ended instead."""
    asked, store, lease = state.asked, state.store, state.lease
    if lease is not None:
        # An error does not tell whether runs were taken, so it leaves a doubt.
        was_sure, doubts = not lease.in_doubt, lease.doubt()
    runs: Sequence[Run] = store.take_waiting(node, store.now(), room)
    if lease is not None and was_sure:
        lease.dispel(doubts)
    if any(extra_of(run).backfill is not None for run in runs):
        from .backfills import leave_one  # rare

        runs = leave_one(state, runs)
    asked.next_waiting = store.next_waiting()
    following = asked.next_waiting
    if following is not None and following <= store.now():  # there is no room, or their jobs are busy
        asked.again_at = outlet.clock.monotonic() + AGAIN
        if ASKED:
            state.lacking_of(outlet).look_at_waiting()
    return runs


def _say(outlet: Outlet, state: StoreState, node: str, room: Mapping[str, int]) -> None:
    """Let the others know about this node, if that is not what it has said last."""
    from os import getpid  # import time
    from socket import gethostname

    from ..core.nodes import about  # import time
    from ..version import __version__

    free = {alias: None if left >= UNBOUNDED else left for alias, left in room.items()}
    now = state.store.now()
    since = now if state.asked.said is None else state.asked.said["since"]
    saying = about(gethostname(), getpid(), __version__, free, state.store.clock_offset, since)
    if saying != state.asked.said:
        state.store.describe(node, saying, now)
        state.asked.said = saying


def _drain(outlet: Outlet, state: StoreState, orders: Orders) -> None:
    asked = state.asked
    if orders.outdated and not asked.outdated:
        outlet.logger.error(
            "Job store %r has a layout that is newer than this version of Rota knows: this node claims nothing more there. "
            "Update it",
            state.alias,
        )
    asked.outdated = orders.outdated
    draining = orders.draining or orders.outdated
    if draining != asked.draining:
        asked.draining = draining
        outlet.logger.info("Node %s in job store %r", "drains" if draining else "claims again", state.alias)


def stop_here(outlet: Outlet, state: StoreState, run: Run, reason: str) -> None:
    """Ask a run to stop if this node has it; else the node that has it sees the request when it asks the store.

    :param run: as its store has it
    """
    here = run if run.job is not None else (state.completions.in_hand or {}).get((run.job_id, run.nominal))
    if here is not None:
        stop(outlet, state, here, reason)
    else:
        note_request(state.store, run, outlet.logger)


def note_request(store: BaseJobStore, run: Run, logger: GuardedLogger) -> None:
    """Keep with a run of another node that somebody has asked it to stop: it may return before its node has heard of that."""
    from ..core.beats import CANCEL_REQUESTED  # rare
    from ..core.details import NOTE
    from ..interrupts import is_interrupt

    try:
        store.write_parts([(run.job_id, run.nominal, {NOTE: CANCEL_REQUESTED})])
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        logger.exception("That run %r was asked to stop could not be kept with it", run)


def stop(outlet: Outlet, state: StoreState, run: Run, reason: str) -> None:
    """Ask a run that is under way here to stop, once."""
    from ..core.beats import CANCEL_REQUESTED  # rare

    extra = extra_of(run)
    if run.status != CLAIMED:
        return
    if run.cancelled:  # as its time is over, too: then it is not tried again
        extra.cancel = extra.cancel or reason
        return
    extra.cancel = reason
    run.cancelled = True
    run.heartbeat(note=CANCEL_REQUESTED)
    executor = outlet.executors.get(run.executor)
    if executor is not None:
        by_force = reason == REPLACED and run.job is not None and run.job.policy.overlap == TERMINATE_OTHER
        (executor.terminate_run if by_force else executor.cancel_run)(run)
    outlet.logger.info("Run %r was asked to stop: %s", run, reason)
    if outlet.wanted() & EVENT_JOB_CANCEL_REQUESTED:
        code, time = EVENT_JOB_CANCEL_REQUESTED, local(run.job, run.nominal)
        outlet.dispatch(JobCancelRequestedEvent(code, run.job_id, state.alias, time, reason, run))
