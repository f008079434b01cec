"""Removing a job store from a scheduler: its runs that are under way end and are recorded in it, then it is closed.

It removes no job: they stay in the store.
"""

from __future__ import annotations

from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..engine.store_state import StoreState
    from .lifecycle import Lifecycle


def drain_store(life: Lifecycle, state: StoreState) -> None:
    """Let the runs of a removed store end, here or elsewhere, and close it."""
    scheduler = life.scheduler
    finish = partial(scheduler._finish_removal, state)
    if scheduler._may_wait() or _is_at_rest(life, state):
        finish()
    else:
        scheduler._do_aside(finish)


def _is_at_rest(life: Lifecycle, state: StoreState) -> bool:
    """Whether no run of a removed store is under way, and no pass may still hand one out."""
    if life.is_inside() or not life.tick_lock.acquire(blocking=False):
        return False
    try:
        return not state.completions.in_flight
    finally:
        life.tick_lock.release()


def finish_removal(life: Lifecycle, state: StoreState) -> None:
    """Wait for the runs of a removed store, give back those that have not started, and close it."""
    life.wait_for_pass()  # it may still hand out its runs
    engine = life.require_engine()
    state.completions.drain()
    for run in list((state.completions.in_hand or {}).values()):
        if run.started_at is None:
            run.cancelled = True  # whoever is about to start it leaves it, and it is given back
            run.cancelled = run.started_at is None
    life.scheduler._wait_idle(state.completions, None, lambda: state in engine.leaving)
    life.registry.end_removal(engine, state)
