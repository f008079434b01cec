"""What is found after damages were done to a store's data, and whether it accounts for each of them; for the contract of damages.

Reads through the scheduler only; it damages nothing.
"""

from __future__ import annotations

import io

from ...codec.damaged import DAMAGED
from ...core.states import MISSED, QUARANTINED, SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...core.run import Run
    from ..manual import ManualScheduler

#: The kinds of things that a store keeps and a hand can damage.
JOB, RUN, WAITS, RECORD, CHILD, NODE = "job", "run", "waiting", "record", "child", "node"


class Damage:
    """One damage that was done.

    :ivar key: what was damaged, as it was stored before
    """

    def __init__(self, kind: str, field: str, name: str, key: tuple[Any, ...]) -> None:
        self.kind, self.field, self.name, self.key = kind, field, name, key

    def __repr__(self) -> str:
        return f"<{self.kind}.{self.field} is {self.name}: {self.key!r}>"


def check_neighbours(scheduler: ManualScheduler, ids: Iterable[str], period: range) -> None:
    """Check that every time of every healthy job ran, and at its time.

    :param period: from when to when, and from one time to the next
    """
    for id in ids:
        runs = scheduler.get_runs(id, limit=100_000)
        assert {run.status for run in runs} == {SUCCEEDED}
        times = [run.nominal for run in reversed(runs)]
        assert times == list(range(times[0], period.stop, period.step))
        assert times[0] - period.start <= period.step
        assert [run.started_at for run in reversed(runs)] == times


def check_listings(scheduler: ManualScheduler) -> None:
    """Check that nothing that reads many raises because of one."""
    jobs = scheduler.get_jobs()
    assert {type(text) for job in jobs for text in (job.id, job.name, job.executor, job.state)} == {str}
    for job in jobs:
        str(job)
        scheduler.get_job(job.id)
    for run in scheduler.get_runs(limit=100_000):
        run.to_dict()
    scheduler.print_jobs(out=io.StringIO())
    scheduler.export_jobs(io.StringIO())
    scheduler.health()


def _is_damaged(run: Run) -> bool:
    return DAMAGED in f"{run.reason} {run.error}"


class Found:
    """What there is after the damages, and whether it accounts for each of them.

    :param since: when all damages were done
    """

    def __init__(self, scheduler: ManualScheduler, since: int) -> None:
        self.since = since
        self.jobs = {job.id: job for job in scheduler.get_jobs()}
        self.runs: dict[str, list[Run]] = {}
        for run in scheduler.get_runs(limit=100_000):
            self.runs.setdefault(run.job_id, []).append(run)

    def accounts_for(self, damage: Damage) -> bool:
        """Whether what was damaged is in quarantine and says why, or goes on as if nothing had been."""
        if damage.kind == JOB:
            return self._job(damage.key[0])
        job_id = damage.key[0] if damage.kind != NODE else damage.key[0].replace("gone", "node")
        return self.goes_on(job_id, self.since)

    def _job(self, id: str) -> bool:
        job = self.jobs.get(id)
        if job is None:  # its very id was damaged
            return True
        if job.state == QUARANTINED:
            return bool(job.error)
        if job.executor != "default":
            return True  # it waits for an executor that this scheduler does not have
        # What is skipped because of a wrong count is no answer, nor is a record that the damage has spread to.
        runs = self.runs.get(id, ())
        return any(run.status in (SUCCEEDED, MISSED) for run in runs) and not any(map(_is_damaged, runs))

    def goes_on(self, id: str, since: int) -> bool:
        """Whether the job of a damaged run runs again, from an instant on, and has none under way."""
        job = self.jobs.get(id)
        return job is not None and job.running == 0 and self._ran(id, since)

    def _ran(self, id: str, since: int) -> bool:
        return any(
            run.status == SUCCEEDED and (run.started_at or 0) >= since for run in self.runs.get(id, ())
        )
