"""Runs of dead nodes: what is told of them, what is kept of the attempts that died, and when the next ones start.

It hands out nothing; what it returns is executed at once.
"""

from __future__ import annotations

from ..core.details import GIVEN_BACK, Attempt, part_of_attempt
from ..core.extras import extra_of
from ..core.policy import Policy
from ..core.run import asked_to_stop
from ..core.states import CANCELLED
from ..core.tries import after_death
from ..interrupts import is_interrupt
from ..texts import error_text
from .announcements import EVENT_OF_STATUS, announce

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.details import RunParts
    from ..core.run import Permission, Run
    from .outlet import Outlet
    from .store_state import StoreState


def sort_rescued(
    outlet: Outlet, state: StoreState, rescued: Sequence[Run], permission: Permission | None
) -> list[Run]:
    """Tell what has become of rescued runs; return those that this node executes now.

    :param permission: what they need to start
    """
    taken = []
    again = 0
    for run in rescued:
        if run.status == CANCELLED:
            outlet.logger.info("Run %r is cancelled: %s", run, run.reason)
            announce(outlet, state.alias, run, EVENT_OF_STATUS[run.status])
        elif run.ended:
            outlet.logger.error("Run %r of a dead node was recorded as %s: %s", run, run.status, run.reason)
            announce(outlet, state.alias, run, EVENT_OF_STATUS[run.status])
        elif run.job is None or run.executor not in outlet.executors:
            outlet.logger.error("Run %r of a dead node waits for an executor %r", run, run.executor)
        else:
            again += run.attempt > 1
            outlet.logger.debug("Run %r is taken over", run)
            run.permission = permission
            taken.append(run)
    if Policy.some_tell:
        state.completions.note_failures(rescued).tell()
    if Policy.some_pause:
        state.completions.tell_of_pauses(rescued)
    if not again:
        return taken
    outlet.logger.warning("%d runs of dead nodes are executed again (job store %r)", again, state.alias)
    return after_deaths(outlet, state, taken)


def after_deaths(outlet: Outlet, state: StoreState, taken: Sequence[Run]) -> list[Run]:
    """Return those of the runs of dead nodes that are executed at once; those that are to wait for a retry are given back.

    :param taken: runs that this node has taken over; what had been started has its attempt that died as a part
    """
    store, now = state.store, state.store.now()
    died = [run for run in taken if hasattr(run, "parts")]
    # Runs of one job are executed one after another: they wait together, or not at all if one of them had not been started.
    at_once = {run.job_id for run in taken if not hasattr(run, "parts")}
    waiting = [
        run
        for run in died
        if run.job is not None
        and run.job_id not in at_once
        and after_death(run, run.job.policy, now) is not None
    ]
    _wait_together(waiting)
    kept: dict[tuple[str, int], dict[str, str | None]] = {
        (run.job_id, run.nominal): dict(run.parts) for run in died
    }
    for run in waiting:  # each run once: a tree changes nothing twice in one step
        name, text = part_of_attempt(Attempt(run.attempt, GIVEN_BACK, run.owner))
        kept[run.job_id, run.nominal][name] = text
    parts: list[RunParts] = [(*key, texts) for key, texts in kept.items()]
    try:
        if parts:
            store.write_parts(parts, None if state.lease is None else state.lease.node)
        refused = store.give_back(waiting, now) if waiting else []
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        outlet.logger.warning("Runs of dead nodes do not wait for their next try: %s", error_text(exc))
        if state.lease is not None:
            # They may wait all the same: the answer was lost. Those that do not are this node's, which finds them as what it has
            # claimed and does not know of, and executes them at once.
            state.lease.doubt()
        refused = []
    given_back = [run for run in waiting if run not in refused]
    for run in given_back:
        state.asked.begin_at(extra_of(run).not_before or now)
    if given_back:
        from .due_again import for_given_back  # rare

        for_given_back(store, given_back, state.asked.backfills, outlet.logger)
    asked = [run for run in refused if asked_to_stop(run) is not None]
    for run in asked:  # it is not called: its executor ends it
        run.cancelled, run.then = True, None
        extra_of(run).not_before = None
    return [run for run in taken if run not in waiting or run in asked]


def _wait_together(runs: Sequence[Run]) -> None:
    """Let the runs of each job wait for the same time: those of one group are executed one after another."""
    latest: dict[str, int] = {}
    for run in runs:
        latest[run.job_id] = max(latest.get(run.job_id, 0), extra_of(run).not_before or 0)
    for run in runs:
        extra_of(run).not_before = latest[run.job_id]
