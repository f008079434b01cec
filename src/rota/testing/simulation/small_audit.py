"""What every commit in a small world must leave behind, whoever made it.

Pure: it compares the committed rows before and after.
"""

from __future__ import annotations

from ...clock import HELD
from ...core.states import CANCELLED, CLAIMED, ENDED, FAILED, WAITING
from ...core.tries import SUPERSEDED
from .attempts import name
from .audit import Violation
from .rows import under_way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .database import View
    from .rows import JobRow, RunRow


def judge(before: View, after: View, schedule: Sequence[int], now: int | None, by_user: bool) -> None:
    """Compare what was committed before and after a commit.

    :param schedule: the nominal times that each job has
    :param now: what the server's clock shows; None: it has jumped, so leases say nothing about who is alive
    :param by_user: whether somebody added or removed a job, and no node did its work
    :raises Violation: if something is wrong
    """
    if before.runs is not after.runs:
        _judge_runs(before, after, now)
    if before.jobs is after.jobs and before.runs is after.runs:
        return
    for job_id, row in after.jobs.items():
        _judge_job(row, under_way(after, job_id))
        old = before.jobs.get(job_id)
        if old is not None and old.since == row.since and not by_user and _is_earlier(row, old):
            raise Violation(f"{job_id} was moved back from {old.nominal} to {row.nominal}")
        _judge_times(row, after, schedule, row.nominal)
    if not by_user:
        for job_id, row in before.jobs.items():
            if job_id not in after.jobs:
                _judge_times(row, after, schedule, None)


def judge_end(view: View) -> None:
    """Check what is left after everything has come to rest."""
    for key, run in view.runs.items():
        if run.status in (CLAIMED, WAITING):
            raise Violation(f"{name(key)} never ended")
    for job_id, job in view.jobs.items():
        if job.due is not None:
            raise Violation(f"{job_id} is still there, due at {job.due} and {job.state}")


def _judge_runs(before: View, after: View, now: int | None) -> None:
    for key in before.runs:
        if key not in after.runs:
            raise Violation(f"the record of {name(key)} is gone")
    new = set()
    for key, run in after.runs.items():
        old = before.runs.get(key)
        if old is None:
            if run.attempt != 1:
                raise Violation(f"{name(key)} begins with attempt {run.attempt}")
            if run.status == CLAIMED:
                new.add(run.job_id)
        elif old is not run:
            _judge_change(key, old, run, before, now)
    for job_id in new:
        job, beside = before.jobs.get(job_id), under_way(before, job_id) - _superseded(before, after, job_id)
        if job is None:
            raise Violation(f"a run of {job_id} was claimed, which was not in the store")
        limit = job.job.policy.max_instances
        if beside >= limit:
            raise Violation(f"a run of {job_id} was claimed beside {beside} others (max_instances={limit})")


def _judge_change(key: tuple[str, int], old: RunRow, run: RunRow, before: View, now: int | None) -> None:
    fence = old.owner, old.attempt
    if old.status == WAITING:
        _judge_taken(key, old, run)
        return
    if old.status != CLAIMED:
        raise Violation(f"the record of {name(key)} was written twice")
    if run.status != CLAIMED:
        if run.ended_by != fence:
            raise Violation(
                f"the stale outcome of {name(key)} by {run.ended_by} was not refused: it belongs to {fence}"
            )
        if run.status == WAITING and _is_asked(old):
            raise Violation(f"{name(key)} was given back though somebody had asked it to stop")
    elif run.owner is not None and (run.owner, run.attempt) != fence:
        if _is_asked(old):
            raise Violation(f"{name(key)} was taken over though somebody had asked it to stop")
        dead = old.owner is not None
        if run.attempt != old.attempt + dead:
            raise Violation(f"{name(key)} was claimed twice")
        lease = before.nodes.get(old.owner) if dead else None
        if lease is not None and now is not None and lease.until >= now:
            raise Violation(f"{name(key)} was taken from {old.owner}, which is alive")


def _judge_taken(key: tuple[str, int], old: RunRow, run: RunRow) -> None:
    """Check what has become of a run that has waited for another try."""
    if run.status == CLAIMED:
        if run.attempt != old.attempt + 1:
            raise Violation(f"{name(key)} was taken as attempt {run.attempt} after {old.attempt}")
    elif (run.status, run.reason) != (FAILED, SUPERSEDED) and run.status != CANCELLED:
        raise Violation(f"{name(key)} waited, and is {run.status} ({run.reason})")


def _superseded(before: View, after: View, job_id: str) -> int:
    """Return how many waiting runs of a job have ended with the claim of a later time."""
    return sum(
        run.status == WAITING and key[0] == job_id and after.runs[key].reason == SUPERSEDED
        for key, run in before.runs.items()
    )


def _is_asked(run: RunRow) -> bool:
    return run.extra is not None and run.extra.cancel is not None


def _judge_job(row: JobRow, number: int) -> None:
    if row.running != number:
        raise Violation(f"{row.id} counts {row.running} runs under way; there are {number}")
    if row.due == HELD and not number:
        raise Violation(f"{row.id} waits for runs that have ended")
    if row.state == ENDED and not number:
        raise Violation(f"{row.id} is over and its runs have ended, and its row is left")


def _judge_times(row: JobRow, after: View, schedule: Sequence[int], until: int | None) -> None:
    """Check that each time of a job from the first to the one that is to come is in a record."""
    for nominal in schedule:
        if row.since is None or nominal < row.since or (until is not None and nominal >= until):
            continue
        if (row.id, nominal) not in after.runs and not any(
            run.job_id == row.id and run.nominal <= nominal <= run.last for run in after.runs.values()
        ):
            raise Violation(f"{name((row.id, nominal))} is in no record")


def _is_earlier(row: JobRow, old: JobRow) -> bool:
    return row.nominal is not None and old.nominal is not None and row.nominal < old.nominal
