"""Records written beside the schedule of a job, whose times they leave as they are: where a store has forgotten what it knew.

It asks the store and writes into it; it runs nothing.
"""

from __future__ import annotations

from ..core.plan import Decision
from ..core.recorded import is_recorded
from ..core.run import Run
from ..core.states import MANUAL
from ..errors import StoreConflictError
from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.recorded import Recorded
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

#: How often a job is tried that others change at the same time: each node that opens the store anew claims its runs there.
TRIES = 20

#: What became of an end that was written again: it has a record, its job is gone, or its time has another record.
WRITTEN, NO_JOB, TAKEN = "written", "no job", "taken"


def record_again(store: BaseJobStore, node: str, run: Run) -> str:
    """Write the end of a run that has no record in its store, beside the schedule of its job.

    :return: :data:`WRITTEN`, :data:`NO_JOB`, or :data:`TAKEN` if its time has a record already
    :raises StoreConflictError: if others change its job all the time; it may be tried again
    """
    for _ in range(TRIES):
        decision = beside_the_schedules(store, {run.job_id: [run]}).get(run.job_id)
        if decision is None:
            records = store.recorded({run.job_id: run.nominal}).get(run.job_id, ())
            has_record = any(first <= run.nominal for first, _, _ in records)
            return TAKEN if has_record else NO_JOB
        decision.records.append(run)
        if store.claim([decision], node, store.now()):
            return WRITTEN if run in decision.records else TAKEN
    raise StoreConflictError(
        f'The end of {run!r} could not be recorded: others changed job "{run.job_id}" each time'
    )


def beside_the_schedules(store: BaseJobStore, runs: dict[str, list[Run]]) -> dict[str, Decision]:
    """Return decisions that leave the jobs of some runs as they are; without jobs that are gone.

    Runs whose time has a record are taken out of what was given, and so are jobs of which none is left then.
    """
    # In this order: who writes a record later changes its job's version, and the decision is void.
    jobs = [job for job_id in runs if (job := store.lookup_job(job_id)) is not None]
    recorded = (
        store.recorded({job.id: min(run.nominal for run in runs[job.id]) for job in jobs}) if jobs else {}
    )
    decisions = {}
    for job in jobs:
        records = recorded.get(job.id, ())
        runs[job.id] = [run for run in runs[job.id] if not _has_record(job, records, run)]
        if runs[job.id]:
            decisions[job.id] = decision = Decision(job)
            decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
            decision.state, decision.error = job.state, job.error
    return decisions


def _has_record(job: Job, records: Iterable[Recorded], run: Run) -> bool:
    """Whether one of a job's records stands for the time of a run; that of one by hand is no time of the job, but a key."""
    if any(first == run.nominal for first, _, _ in records):
        return True
    if run.origin == MANUAL:
        return False
    try:
        return any(is_recorded(job.trigger, record, run.nominal) for record in records)
    except BaseException as exc:  # a trigger may raise anything; its job is quarantined when it is planned
        if is_interrupt(exc):
            raise
        return False
