"""What others ask of this node in one store: runs that wait for their time, cancelling, draining, questions.

It asks the store now and then, and carries out what it answers; it plans nothing, and waits for no run.
"""

from __future__ import annotations

from ..callables import ASKED
from ..clock import SECOND
from ..core.extras import extra_of, keeps_place
from ..core.orphans import linked
from ..core.overlaps import MAX_INSTANCES
from ..core.policy import Policy
from ..core.states import SKIPPED
from ..errors import HeldRowsError
from ..executors.base import UNBOUNDED
from ..interrupts import is_interrupt
from .announcements import EVENT_OF_STATUS, announce, announce_skipped
from .damage import is_away, note_refusal
from .rooms import make_room_for_chains
from .stops import stop
from .submission import hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..core.orders import Orders
    from ..core.run import Run
    from .outlet import Outlet
    from .store_state import StoreState

#: How soon waiting runs that could not start are looked at again (microseconds).
AGAIN = SECOND // 2
#: How soon backfills are looked at after waiting runs were started (microseconds).
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
    asked.begun = False
    orders = store.orders(node, now)
    asked.note_next(orders.next_waiting)
    asked.know(orders.backfills)
    for id in orders.strays:
        if id not in asked.strays:
            asked.strays.add(id)
            outlet.logger.error(
                'What is left of a backfill is damaged, and is left alone: it is kept as "%s" and belongs to no job; '
                "another backfill() runs the times that are missing",
                id,
            )
    _drain(outlet, state, orders)
    for job_id, nominal, reason in orders.cancels:
        run = (state.completions.in_hand or {}).get((job_id, nominal))
        if run is not None:
            stop(outlet, state, run, reason)
    for request in orders.requests:
        from ..core.details import cut  # rare
        from ..core.orders import LONGEST_ANSWER
        from .stacks import stack_of

        try:
            store.answer(request.id, cut(stack_of(request.subject), LONGEST_ANSWER), now)
        except BaseException as exc:
            note_refusal(exc, outlet.logger, "The stack that somebody has asked for cannot be written: %s")
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
    runs, taken = _take(outlet, state, node, room()), []
    for run in runs:
        if run.ended:
            _tell_of_end(outlet, state, run)
            state.completions.tell_askers([run])
            state.completions.tell_of_pauses([run])
        else:
            run.permission = permission
            state.skipping.discard(run.job_id)
            taken.append(run)
    asked = state.asked
    if asked.backfills and taken:  # others are opened in the place of those that have started
        asked.backfill_at = min(asked.backfill_at, outlet.clock.monotonic() + MORE)
    # Those of one group, which have waited for the same time, are executed one after another again.
    linked(run for run in taken if keeps_place(extra_of(run)))
    hand_over(outlet, state, taken)
    _look_further(outlet, state, runs)  # after what is taken has been handed out, as this may raise


def _take(outlet: Outlet, state: StoreState, node: str, room: Mapping[str, int]) -> Sequence[Run]:
    """Take waiting runs whose time has come; return those, and those that have ended instead."""
    lease = state.lease
    if lease is not None:
        # An error does not tell whether runs were taken, so it leaves a doubt.
        was_sure, doubts = not lease.in_doubt, lease.doubt()
    runs, is_sure = _taken(outlet, state, node, room)
    if lease is not None and was_sure and is_sure:
        lease.dispel(doubts)
    if any(extra_of(run).backfill is not None for run in runs):
        from .backfills import leave_one  # rare

        runs = leave_one(state, runs)
    return runs


def _taken(
    outlet: Outlet, state: StoreState, node: str, room: Mapping[str, int]
) -> tuple[Sequence[Run], bool]:
    """Take waiting runs, without those that the store refuses; return them, and whether it is sure that these are all."""
    store, refused = state.store, state.refused_runs
    if refused is None:
        try:
            return store.take_waiting(node, store.now(), room), True
        except BaseException as exc:
            if is_interrupt(exc) or is_away(exc):
                raise
            from .refused_runs import RefusedRuns  # rare

            refused = state.refused_runs = RefusedRuns(outlet.clock, outlet.logger)
    runs = refused.take(lambda left, may_take: store.take_waiting(node, store.now(), left, may_take), room)
    if not refused:
        state.refused_runs = None
    return runs, refused.is_sure


def _look_further(outlet: Outlet, state: StoreState, runs: Sequence[Run]) -> None:
    """Look when a waiting run has to be looked for again, and have room made for those of chains that find none.

    :param runs: what was just taken, or has ended
    """
    asked, store = state.asked, state.store
    asked.begun = False
    following = store.next_waiting()
    asked.note_next(following)
    if following is not None and following <= store.now():  # there is no room, or their jobs are busy
        asked.again_at = outlet.clock.monotonic() + AGAIN
        if [1 for run in runs if run.ended]:  # a step looks at some of each job
            asked.again_at = 0
        if store.has_chains and Policy.some_wait and make_room_for_chains(outlet, state):
            asked.again_at = 0
        if ASKED:
            state.lacking_of(outlet).look_at_waiting()


def _tell_of_end(outlet: Outlet, state: StoreState, run: Run) -> None:
    """Log and announce that a waiting run has ended instead of starting."""
    job = run.job
    if run.status != SKIPPED or job is None:
        outlet.logger.warning("Run %r is %s: %s", run, run.status, run.reason)
        announce(outlet, state.alias, run, EVENT_OF_STATUS[run.status])
        return
    # As a due time that finds no place, or is merged into a later one.
    if run.reason == MAX_INSTANCES:
        announce_skipped(outlet, state.alias, job, run, state.skipping)
    run.job = None


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
        try:
            state.store.describe(node, saying, now)
        except BaseException as exc:
            note_refusal(exc, outlet.logger, "What is known of node %s cannot be written: %s", node)
            if isinstance(exc, HeldRowsError):  # it is said with the next look
                return
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
