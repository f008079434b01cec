"""What becomes of the jobs of ended runs, in the step that records these ends: they go, stay, become due, or are paused.

Executes nothing, as :mod:`rota.testing.simulation.protocol`.
"""

from __future__ import annotations

from ...core.orphans import by_job
from ...core.pauses import count_ends
from ...core.policy import Policy
from ...core.states import ENDED
from .database import Change
from .rows import KEPT, counted_down, goes_with, has_waiting, job_of, without_waiting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ...core.run import Run
    from .database import Program


def release(ended: Mapping[str, int], over: bool = False, failed: Collection[str] = ()) -> Program:
    """Count ended runs down; jobs that waited for them become due, and those whose schedule is over go."""
    if not ended:
        return
    ids = sorted(ended)
    if over and not failed:
        gone = yield Change(
            "jobs", without_waiting(ids), lambda row: goes_with(row, ended[row.id]), lambda row: None
        )
        if len(gone) == len(ids):
            return
    rows = yield Change("jobs", ids, lambda row: True, lambda row: counted_down(row, ended[row.id]))
    if any(goes_with(row, ended[row.id]) for row in rows):
        yield from keep_ended(failed)
        over_now = without_waiting(None)
        yield Change("jobs", over_now, lambda row: goes_with(row, 0), lambda row: None)


def counted(runs: Sequence[Run], now: int) -> Program:
    """Count how runs have ended, after they were counted down on their jobs."""
    if not runs or not Policy.some_pause:
        return
    of_job = by_job(runs)
    rows = yield Change("jobs", sorted(of_job), lambda row: True)
    for row in rows:
        job = job_of(row)
        if count_ends(job, of_job[row.id], now):
            template = row.job.copy()
            template.paused, template.revision = job.paused, job.revision
            new = row._replace(
                nominal=job.next_nominal,
                due=job.next_due,
                state=job.state,
                version=row.version + 1,
                job=template,
            )
            yield Change("jobs", [row.id], lambda row: True, lambda row, new=new: new)  # type: ignore[misc]


def keep_ended(ids: Collection[str]) -> Program:
    """Have those of some jobs stay whose schedule is over and of which no run is left."""
    if ids:
        yield Change(
            "jobs",
            lambda view: [id for id in sorted(ids) if not has_waiting(view, id)],
            lambda row: row.state == ENDED and row.running <= 0,
            lambda row: row._replace(state=KEPT),
        )


def open_kept(ids: Collection[str]) -> Program:
    """Take back that some jobs stay without runs: runs of them wait again."""
    if ids:
        yield Change(
            "jobs", sorted(ids), lambda row: row.state == KEPT, lambda row: row._replace(state=ENDED)
        )
        yield from keep_ended(ids)  # those of which nothing waits after all
