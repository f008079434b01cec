"""Handing claimed runs to executors.

It claims nothing; what an executor does not take ends here.
"""

from __future__ import annotations

from ..core.run import fail
from ..events import EVENT_JOB_SUBMITTED
from ..executors.steps import chain
from ..interrupts import is_interrupt
from .announcements import announce_submission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.run import Run
    from .outlet import Outlet
    from .store_state import StoreState


def submit(outlet: Outlet, state: StoreState, alias: str, heads: Sequence[Run]) -> None:
    """Hand the heads of groups of claimed runs to an executor, or end them if it does not take them."""
    done = state.completions.done
    state.completions.handing_out = True
    try:
        executor = outlet.executors[alias]
        executor.room_came_free = outlet.room_came_free
        own = executor.__dict__
        if (
            "_do_submit_job" in own
            or "submit_job" in own
            or "_run_job_success" in own
            or "_run_job_error" in own
        ):
            executor.obey_program()  # replaced on the object, perhaps just now
        executor.submit(heads, done)
    except BaseException as exc:  # it was removed or shut down meanwhile, and has taken none of the runs
        if is_interrupt(exc):
            raise
        outlet.logger.exception('Error submitting runs to executor "%s"', alias)
        for head in heads:
            for run in chain(head):
                if not run.ended:
                    fail(run, exc, "", state.store.now())
                    done(run)
    finally:
        state.completions.handing_out = False


def hand_over(outlet: Outlet, state: StoreState, runs: Sequence[Run]) -> None:
    """Give claimed runs that no plan of this pass has made to their executors."""
    followers = {id(run.then) for run in runs}
    heads: dict[str, list[Run]] = {}
    for run in runs:
        state.completions.expect_run(run)
        if run.job is not None and outlet.wanted() & EVENT_JOB_SUBMITTED:
            announce_submission(outlet, state.alias, run.job, EVENT_JOB_SUBMITTED, [run])
        if id(run) not in followers:
            heads.setdefault(run.executor, []).append(run)
    for alias, some in heads.items():
        submit(outlet, state, alias, some)
