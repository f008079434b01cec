"""Runs that the ends of others leave at the jobs after them, as the SQL store sends it to PostgreSQL.

Executes nothing, and chooses nothing that ``rota.core.chains`` decides.
"""

from __future__ import annotations

from ...core.chains import followers, moved_on, parent_of, starts_others
from ...core.states import ENDED
from .database import COMMIT, Duplicate, Insert, Read
from .rows import KEPT, job_of, row_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ...core.run import Run
    from ...job.handle import Job
    from .database import Program, View


def children_of(view: View, parents: Collection[str]) -> list[Job]:
    """Return the jobs that the ends of some jobs start."""
    rows = (row for row in view.jobs.values() if row.state not in (ENDED, KEPT))
    return [job_of(row) for row in rows if parent_of(row.job) in parents]


def parents_in(view: View) -> list[str]:
    """Return the ids of the jobs that start others."""
    return sorted({parent for row in view.jobs.values() if (parent := parent_of(row.job)) is not None})


def nobody(runs: Sequence[Run]) -> list[Run]:
    """Return that no end of some runs starts anything."""
    return []


def follow(runs: Sequence[Run], now: int) -> Program:
    """Write what the ends of runs leave at other jobs, in the transaction that writes these ends."""
    ended = [run for run in runs if starts_others(run)]
    if not ended:
        return
    ids = {run.job_id for run in ended}
    children: list[Job] = yield Read(lambda view: children_of(view, ids))
    for run in ended if children else ():
        for left in followers(run, children, now):
            yield from _insert(left)


def follow_alone(runs: Sequence[Run], now: int) -> Program:
    """Write what the ends of runs leave at other jobs in a transaction of its own: a mutant of the protocol."""
    yield from follow(runs, now)
    yield COMMIT


def _insert(run: Run) -> Program:
    """Write a run under the first key from its own on that has no record."""
    while True:
        taken = yield Read(
            lambda view: any(
                row.nominal <= run.nominal <= row.last
                for row in view.runs.values()
                if row.job_id == run.job_id
            )
        )
        if not taken:
            row = row_of(run)
            try:
                yield Insert("runs", lambda view, row=row: {(row.job_id, row.nominal): row}, nested=True)  # type: ignore[misc]
                return
            except Duplicate:  # somebody else's, which was not to be seen yet
                pass
        moved_on(run)
