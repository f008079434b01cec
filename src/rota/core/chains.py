"""Which jobs the end of a run starts, and the runs that wait for it at those.

Pure: decisions about job and run objects, with ``now`` as an argument. A store carries them out in the step that writes the end.
"""

from __future__ import annotations

from ..clock import NO_TIME
from ..triggers.base import BaseTrigger
from .run import Run, label
from .states import (
    CANCELLED,
    ENDED,
    FAILED,
    LOST,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SUCCEEDED,
    TIMED_OUT,
    end,
    set_job_state,
    wait,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from ..job.handle import Job
    from .extras import Extra
    from .plan import Decision

#: Which ends count, for each value of ``on``.
_COUNTING = {
    "succeeded": (SUCCEEDED,),
    "failed": (FAILED, TIMED_OUT, LOST),
    "any": (SUCCEEDED, FAILED, TIMED_OUT, LOST, CANCELLED),
}
#: Why a time is cancelled that was never to run; it starts nothing.
SKIPPED_AHEAD = "skipped ahead"
#: How many jobs may be started by the ends of one, and how many jobs may follow each other.
MOST_CHILDREN, LONGEST_CHAIN = 20, 100


def starts_others(run: Run) -> bool:
    """Whether a run has ended in a way that may start other jobs."""
    if run.status not in _COUNTING["any"] or run.count != 1:
        return False
    if run.status == CANCELLED and run.reason == SKIPPED_AHEAD:
        return False
    extra = getattr(run, "extra", None)
    return extra is None or not (extra.unchained or _is_old(run, extra))


def _is_old(run: Run, extra: Extra) -> bool:
    """Whether nobody has executed a run since it was opened by a rerun or backfill: its end is none of an attempt that is new."""
    from .extras import BACKFILL, RERUN  # import time

    return run.owner is None and extra.waiting_for in (RERUN, BACKFILL)


def parent_of(job: Job) -> str | None:
    """Return the id of the job of which ended runs start a job, None: there is none."""
    return getattr(job.trigger, "starts_after", None)  # some are only registered as triggers


def check_place(job: Job) -> bool:
    """Look at the place in its chain of an active job that no time starts; one that nothing would start is put into quarantine.

    That is one with a trigger made of several, inside which the job that starts it stands: no end is looked for there.

    :return: whether the pass has to plan it, as it is in quarantine, or waits for a time that is never due
    """
    if parent_of(job) is not None:
        return job.next_due == NO_TIME != job.next_nominal
    if not has_inside(job.trigger):
        return False
    job.error = f"no run starts it, as {job.trigger} has a job inside that it comes after; give it an After of its own"
    set_job_state(job, QUARANTINED)
    return True


def parents_among(runs: Iterable[Run], known: Collection[str]) -> list[Run]:
    """Return those of some ended runs whose ends may start other jobs.

    :param known: the ids of jobs that are known to start others, beside those that say so themselves
    """
    if not BaseTrigger.some_chain:
        return []
    return [
        run
        for run in runs
        if (run.job_id in known or (run.job is not None and run.job.chained)) and starts_others(run)
    ]


def ends_among(decisions: Iterable[Decision]) -> list[Run]:
    """Return the ends of runs among the records of claims that may start other jobs: what a store had forgotten is recorded so."""
    if not BaseTrigger.some_chain:
        return []
    return [record for decision in decisions for record in decision.records if starts_others(record)]


def followers(
    run: Run, jobs: Iterable[Job], now: int, is_taken: Callable[[str, int], bool] | None = None
) -> list[Run]:
    """Return what the end of a run adds to the jobs that it starts: runs that wait, and records of those that are paused.

    A job in quarantine has its run wait until it can be carried out.

    :param run: a run that has ended
    :param jobs: the jobs that may be started, as the store has them
    :param now: instant of the end, where the run does not say it
    :param is_taken: whether a job has a record at an instant; None: it is asked later
    """
    ended_at = now if run.finished_at is None else run.finished_at
    found = []
    for job in jobs:
        trigger = job.trigger
        if parent_of(job) != run.job_id or job.state == ENDED or job.id == run.job_id:
            continue
        if run.status not in _COUNTING[trigger.starts_on]:
            continue
        nominal = ended_at
        while is_taken is not None and is_taken(job.id, nominal):
            nominal += 1
        found.append(_follower(run, job, nominal, ended_at + trigger.delay_after))
    return found


def _follower(parent: Run, job: Job, nominal: int, not_before: int) -> Run:
    from .extras import AFTER, Extra  # import time

    run = Run(job.id, nominal, not_before, None, job.executor)
    run.attempt = 0
    extra = run.extra = Extra(AFTER)
    extra.parent = parent.id
    if job.state == PAUSED:
        from .pauses import is_on_hold  # rare

        end(run, SKIPPED, "on hold" if is_on_hold(job) else "paused", not_before)
        run.finished_at = parent.finished_at
        run.job = job
        label(run)
        run.job = None
        return run
    extra.waiting_for, extra.not_before = AFTER, not_before
    wait(run)
    return run


def moved_on(run: Run) -> None:
    """Give a run that was not written the next microsecond as its key: the one that it had is taken."""
    run.nominal += 1
    run.last = run.nominal


# ------------------------------------------------------------------------------------------------- what may be a chain


def has_inside(trigger: BaseTrigger) -> bool:
    """Whether a trigger that is made of others has one among these that stands for the ends of a job's runs."""
    parts = trigger.parts() if hasattr(trigger, "parts") else ()
    return any(getattr(part, "starts_after", None) is not None or has_inside(part) for part in parts)


def trouble(
    job_id: str,
    parent: str,
    parent_of: Callable[[str], str | None],
    children_of: Callable[[str], Sequence[str]],
) -> str | None:
    """Return why a job cannot be started by the ends of another one, and the way out; None: it can.

    :param job_id: the id of the job
    :param parent: the id of the other one
    :param parent_of: returns the id of the job whose ends start a job; None: none, or it is not there
    :param children_of: returns the ids of the jobs that the ends of a job start
    """
    above = [job_id]
    at: str | None = parent
    while at is not None:
        above.append(at)
        if at == job_id:
            circle = " after ".join(f'"{id}"' for id in above)
            return f"closes a circle: {circle}; start one of them by a schedule of its own"
        if len(above) > LONGEST_CHAIN:
            return (
                f"makes a chain of more than {LONGEST_CHAIN} jobs; let one job call several functions, or start "
                f'"{job_id}" by a schedule of its own'
            )
        at = parent_of(at)
    others = [id for id in children_of(parent) if id != job_id]
    if len(others) >= MOST_CHILDREN:
        return (
            f'is the {MOST_CHILDREN + 1}st job after "{parent}", which may start {MOST_CHILDREN}; let one of these call '
            f'several functions, or put a job between: "{job_id}" after one of {", ".join(sorted(others)[:3])} …'
        )
    below = _depth_below(job_id, children_of, LONGEST_CHAIN - len(above) + 1)
    if len(above) + below > LONGEST_CHAIN:
        return (
            f"makes a chain of more than {LONGEST_CHAIN} jobs with those after it; start it, or one of those, by a schedule of "
            f"its own"
        )
    return None


def _depth_below(job_id: str, children_of: Callable[[str], Sequence[str]], most: int) -> int:
    """Return how many jobs follow a job one after another, up to one more than a number."""
    level, seen, depth = [job_id], {job_id}, 0
    while depth <= most:
        level = [id for parent in level for id in children_of(parent) if id not in seen]
        if not level:
            return depth
        seen.update(level)
        depth += 1
    return depth
