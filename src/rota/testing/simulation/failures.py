"""Jobs that are paused after failures in a row, as the SQL store counts them in the step that records an end.

Executes nothing, as :mod:`rota.testing.simulation.protocol`.
"""

from __future__ import annotations

from ...core.orphans import by_job
from ...core.pauses import count_ends
from ...core.policy import Policy
from .database import Change
from .rows import job_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...core.run import Run
    from .database import Program


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
