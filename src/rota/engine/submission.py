"""Handing claimed runs to executors; those that may not start yet are handed out again, or leave, as another node has them.

It claims nothing, and waits for nothing; what an executor does not take ends here.
"""

from __future__ import annotations

from itertools import pairwise

from ..core.policy import Policy
from ..core.run import GONE, fail
from ..core.states import CANCELLED, end, withhold
from ..events import EVENT_JOB_SUBMITTED
from ..executors.steps import chain
from ..interrupts import is_interrupt
from .announcements import announce_submission

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..core.run import Run
    from .completions import Completions
    from .lease import Lease
    from .outlet import Outlet
    from .store_state import StoreState


def submit(outlet: Outlet, state: StoreState, alias: str, heads: Sequence[Run]) -> None:
    """Hand the heads of groups of claimed runs to an executor, or end them if it does not take them."""
    done = state.completions.done
    if Policy.some_keep_log:
        from ..executors.kept_logs import keep_logs  # most jobs keep no logs

        keep_logs()
    if Policy.some_time_out:
        limit_times(state.completions, heads)
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


def limit_times(completions: Completions, heads: Sequence[Run]) -> None:
    """Have the time of runs watched that are about to be handed out, as far as it is limited."""
    watch = None
    for head in heads:
        run: Run | None = head
        while run is not None:
            job = run.job
            if job is not None and job.policy.time_limit is not None:
                if watch is None:
                    watch = completions.watch()
                run.watch = watch
            run = run.then


def hand_over(outlet: Outlet, state: StoreState, runs: Sequence[Run]) -> None:
    """Give claimed runs that no plan of this pass has made to their executors."""
    here = {id(run) for run in runs}
    for run in runs:  # what has left its group meanwhile has its end, or waits
        while run.then is not None and id(run.then) not in here:
            run.then = run.then.then
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


def start_withheld(outlet: Outlet, state: StoreState, lease: Lease) -> None:
    """Hand withheld runs to their executors again as far as they have their permission, and drop those of other nodes.

    A group is looked at when its executor has reported all of it, so that no member starts beside another one. Members that have
    left, as another node had them when they were to start, are waited for no more.
    """
    withheld = state.completions.withheld
    runs = [withheld.popleft() for _ in range(len(withheld))]
    if any(run.permission is not lease.permission and run.permission is not GONE for run in runs):
        lease.unsure = True  # they were on their way when the store was asked last
        try:
            lease.renew(state.completions.in_hand or {})
        except BaseException:
            withheld.extendleft(reversed(runs))
            raise
    reported = {id(run) for run in runs}
    in_hand = {id(run) for run in (state.completions.in_hand or {}).values()}
    # Also behind members that have left: they were cancelled before they started.
    followers = {id(run) for head in runs for run in chain(head)[1:]}
    for head in runs:
        if id(head) not in followers:
            group = [run for run in chain(head) if id(run) in reported or id(run) in in_hand]
            if all(id(run) in reported for run in group):
                _start_group(outlet, state, group)
            else:
                withheld.extend(run for run in group if id(run) in reported)


def _start_group(outlet: Outlet, state: StoreState, group: Sequence[Run]) -> None:
    completions, now = state.completions, state.store.now()
    left = []
    for run in group:
        if run.permission is GONE:
            withhold(run)
            completions.done(run)
        elif run.cancelled:
            end(run, CANCELLED, "cancelled before it started", now)
            completions.done(run)
        else:
            left.append(run)
    if not left:
        return
    for run, following in pairwise(left):
        run.then = following
    left[-1].then = None
    permission = left[0].permission
    if permission is not None and outlet.clock.monotonic() < permission.until:
        submit(outlet, state, left[0].executor, [left[0]])
    else:
        completions.withheld.extend(left)
