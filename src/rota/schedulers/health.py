"""What ``health()`` tells of a scheduler: from memory, whatever the stores do meanwhile.

It asks no store and waits for nothing.
"""

from __future__ import annotations

from ..clock import SECOND, shown_moment
from .book import STATE_RUNNING, STATE_STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..engine.store_state import StoreState
    from .lifecycle import Lifecycle


def report(life: Lifecycle) -> dict[str, Any]:
    """Return how a scheduler is, as JSON-able data."""
    engine, scheduler = life.engine, life.scheduler
    found: dict[str, Any] = {
        "alive": False,
        "state": ("stopped", "running", "paused")[scheduler.state],
        "node": None,
        "last_tick": None,
        "lag": 0.0,
        "in_flight": 0,
        "overdue": {},
        "stores": {},
        "executors": {},
        "listeners": [queue.report() for queue in life.book.listening.queues],
    }
    if engine is None or scheduler.state == STATE_STOPPED:
        return found
    found["node"], found["in_flight"] = engine.node, engine.in_flight
    for alias, executor in list(scheduler._executors.items()):
        found["executors"][alias] = {"room": executor.capacity()}
    for alias, state in engine.stores.items():
        store, seen = state.store, state.housekeeping
        found["stores"][alias] = _of_store(state)
        if seen.earliest is not None and scheduler.state == STATE_RUNNING:
            found["lag"] = max(found["lag"], (store.now() - seen.earliest) / SECOND)
        for name, waiting in seen.overdue.items():
            found["overdue"][name] = found["overdue"].get(name, 0) + waiting
    engine.look_soon()
    if engine.last_tick is not None:
        found["last_tick"] = shown_moment(engine.last_tick).isoformat()
    found["alive"] = scheduler._host_is_alive() and not engine.is_overdue()
    return found


def _of_store(state: StoreState) -> dict[str, Any]:
    offset, seen = state.store.clock_offset, state.housekeeping
    return {
        "ok": state.back_off.error is None,
        "error": state.back_off.error,
        "failures": state.back_off.failures,
        "clock_offset": None if offset is None else offset / SECOND,
        "age": seen.age,
        "to_heal": seen.to_heal,
        "to_forget": seen.to_forget,
        "hanging": sorted(job_id for job_id, _ in state.unclaimed.hanging),
    }
