"""Runs that somebody asks for, apart from the schedule: claimed at once, and started by the next pass.

It claims through the port; it hands nothing to executors.
"""

from __future__ import annotations

from ..clock import SECOND
from ..core.states import CANCELLED, end
from ..events import EVENT_JOB_CANCELLED
from ..util import new_node_id
from .announcements import announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.plan import Decision
    from ..core.run import Run
    from ..jobstores.base import BaseJobStore
    from .outlet import Outlet
    from .store_state import StoreState

#: How long asking may take before others may rescue the run (microseconds).
LEASE = 15 * SECOND


def request(state: StoreState, node: str, decision: Decision) -> bool:
    """Claim the run of a decision outside the passes. Thread-safe.

    :param node: the id of this node in a store that needs no lease
    :return: False if the job was changed meanwhile, or runs as often as it may; or if the key of the run was taken, and the
        decision has no run any more
    """
    if state.store.durable:
        if not _leave_to_others(state.store, decision):
            return False
        if state.lease is not None:
            state.lease.asked = True
    else:
        if not state.store.claim([decision], node, state.store.now()) or not decision.runs:
            return False
        state.requested.extend(decision.runs)
    return True


def _leave_to_others(store: BaseJobStore, decision: Decision) -> bool:
    """Claim a run and give it back unstarted, so that the first node with room takes it, as after a shutdown."""
    node = new_node_id()
    store.renew(node, store.now(), LEASE)
    given_back: Sequence[Run] = ()
    try:
        if store.claim([decision], node, store.now()):
            given_back = decision.runs
    finally:
        store.leave(node, given_back, store.now())
    return bool(given_back)


def cancel(outlet: Outlet, state: StoreState) -> None:
    """End the runs that no pass has started: nobody else can take them, as their store dies with this process."""
    now = state.store.now()
    runs = []
    while state.requested:
        run = state.requested.popleft()
        end(run, CANCELLED, "the scheduler was shut down before it started", now)
        runs.append(run)
    if runs:
        state.store.finish(runs, now)
        for run in runs:
            announce(outlet, state.alias, run, EVENT_JOB_CANCELLED)
