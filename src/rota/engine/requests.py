"""Runs that somebody asks for, apart from the schedule: claimed at once, and started by the next pass.

It claims through the port; it hands nothing to executors.
"""

from __future__ import annotations

from ..core.states import CANCELLED, MANUAL, end, wait
from ..events import EVENT_JOB_CANCELLED
from ..jobstores.held_rows import as_soon_as_free
from .announcements import announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..core.plan import Decision
    from ..core.run import Run
    from .outlet import Outlet
    from .store_state import StoreState


def request(state: StoreState, node: str, decision: Decision) -> bool:
    """Claim the run of a decision outside the passes. Thread-safe.

    :param node: the id of this node in a store that needs no lease
    :return: False if the job was changed meanwhile, or runs as often as it may; or if the key of the run was taken, and the
        decision has no run any more
    """
    if state.store.durable:
        (run,) = decision.runs
        decision.runs = open_run(state, run)
        return bool(decision.runs)
    if not state.store.claim([decision], node, state.store.now()) or not decision.runs:
        return False
    state.requested.extend(decision.runs)
    return True


def open_run(state: StoreState, run: Run) -> list[Run]:
    """Have a run wait for its time, for any node; return it, or the one of the same key; nothing if its key was taken."""
    from ..core.extras import extra_of  # rare

    now = state.store.now()
    extra = extra_of(run)
    extra.waiting_for = MANUAL
    if extra.not_before is None:
        extra.not_before = now
    wait(run)
    run.attempt = 0
    opened = as_soon_as_free(state.store.open_runs, [run], now)
    state.asked.tell()
    return opened


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
        state.completions.tell_askers(runs)
        for run in runs:
            announce(outlet, state.alias, run, EVENT_JOB_CANCELLED)
