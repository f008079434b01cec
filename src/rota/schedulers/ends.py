"""Ends of waiting runs that a call has cancelled: no node had them, so the scheduler that was called tells of them.

It tells; it stores nothing.
"""

from __future__ import annotations

from ..events import EVENT_JOB_CANCELLED, JobExecutionEvent
from .listeners import tell

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.run import Run
    from ..engine.engine import Engine
    from ..logs import GuardedLogger
    from .hooks import Hooks


def tell_of_ends(
    scheduler: Hooks, engine: Engine | None, wanted: int, alias: str, runs: Sequence[Run], log: GuardedLogger
) -> None:
    """Send the events of waiting runs that were cancelled, and tell those who wait for them.

    :param wanted: the mask of events that somebody listens to
    :param alias: of the store of their jobs
    """
    for run in runs:
        run.timezone = scheduler.timezone
    state = None if engine is None else engine.stores.get(alias)
    if engine is not None and state is not None:
        state.tell_of_ends(engine.outlet, runs)
    if wanted & EVENT_JOB_CANCELLED:
        for run in runs:
            time = run.scheduled_run_time
            tell(scheduler, JobExecutionEvent(EVENT_JOB_CANCELLED, run.job_id, alias, time, run=run), log)
