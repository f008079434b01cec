"""The six rules of the claim protocol, by which stores move jobs and runs, and functions for those that are carried out in Python.

Pure. What a store says in SQL, Lua or MongoDB's language cites the rule that it carries out; so do the contract's tests.

====  ==========================================================================================================================
R1    a decision counts only if the job's version is the one that was looked at
R2    runs are claimed only while fewer than the limit are under way; a job begins to wait for room only while as many are
R3    the claim moves the job: next times, state, version + 1, running + n, in the same step
R4    a nominal time is planned only if it has no record (:mod:`rota.core.recorded`); a waiting record is taken by its fence
R5    an end is accepted from the owner and attempt that the record names, or if it is the very same end again
R6    when a run ends, a job that waits for room, or for the end of all of its runs, becomes due; one that counts from the end of
      its run is due after its last run; one whose schedule is over is removed with its last run, unless that has failed, timed out
      or was lost: then it stays as ended
====  ==========================================================================================================================
"""

from __future__ import annotations

from ..clock import HELD
from .policy import Policy
from .run import label
from .states import ACTIVE, ENDED, FAILURES, PAUSED, set_job_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .plan import Decision
    from .run import Run


def marked(decision: Decision, node: str, now: int) -> list[Run]:
    """Return the runs and records of a decision, with the node that claims them and the time (R3).

    Records of a job whose schedule is over keep its name and its callable, as its row goes.
    """
    if decision.state == ENDED:
        for record in decision.records:
            label(record)
    runs = decision.runs + decision.records
    for run in runs:
        run.owner, run.claimed_at = node, now
    return runs


def ends_pause(decision: Decision) -> bool:
    """Whether a decision, of which nothing is carried out yet, lets a paused job go on: what is kept of its pause goes with it."""
    job = decision.job
    return job.state == PAUSED and decision.state in (ACTIVE, ENDED) and job.paused is not None


def moved(decision: Decision, running: int | None = None) -> None:
    """Set a decision's job to what its claim has stored (R3).

    :param running: how many of its runs are under way now (by default, those that it knew of and those of the decision)
    """
    job = decision.job
    job.next_nominal, job.next_due = decision.next_nominal, decision.next_due
    job.error = decision.error
    if job.state != decision.state:
        if ends_pause(decision):
            job.paused = None
        set_job_state(job, decision.state)
    job.version = decision.version + 1
    gone = len(decision.superseded)
    job.running = job.running + len(decision.runs) - gone if running is None else running


def released(nominal: int | None, due: int | None, running: int, spare: int = 0) -> int | None:
    """Return when a job is due that has so many runs under way: if it waits for their end and there are no more, at once (R6).

    :param nominal: its next nominal time
    :param due: when it was due; HELD: it waits
    :param spare: how many may still be under way then
    """
    return nominal if due == HELD and running <= spare else due


def not_ended_well(runs: Iterable[Run]) -> set[str]:
    """Return the ids of the jobs, of some runs that end in one step, whose last one has failed, timed out or was lost (R6)."""
    last: dict[str, Run] = {}
    for run in runs:
        known = last.get(run.job_id)
        if known is None or (run.finished_at or 0) >= (known.finished_at or 0):
            last[run.job_id] = run
    return {job_id for job_id, run in last.items() if run.status in FAILURES}


def rooms_of(runs: Iterable[Run]) -> set[str]:
    """Return the ids of jobs that may wait for one place of several, as far as their ended runs know (R6)."""
    if not Policy.some_wait:
        return set()
    return {run.job_id for run in runs if run.job is None or run.job.policy.spare}


def may_claim(running: int, limit: int) -> bool:
    """Whether another run of a job may be claimed (R2)."""
    return running < limit


def is_allowed(decision: Decision, running: int) -> bool:
    """Whether a job has room for the runs of a decision, or none where the decision is to wait for it (R2).

    :param running: how many of its runs are under way, without those that end with the claim
    """
    if decision.runs:
        return running < decision.job.policy.limit
    return not decision.waits_for_room or running >= decision.job.policy.limit
