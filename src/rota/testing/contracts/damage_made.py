"""Jobs, runs, records and nodes that are made in a store to be damaged; for the contract of damages.

Knows the port only; it damages nothing.
"""

from __future__ import annotations

from ...clock import NO_TIME, SECOND
from ...core.extras import RETRY, extra_of
from ...core.plan import plan
from ...core.retry import Retry
from ...core.states import succeed
from ...triggers.after import After
from .damage_found import CHILD, JOB, NODE, RECORD, RUN, WAITS
from .orders import asked_for
from .store_jobs import START, make_job

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.run import Run
    from ...job.handle import Job
    from ...jobstores.base import BaseJobStore

LEASE = 10 * SECOND
#: When the scheduler comes, long after all others have gone and their leases were over.
LATER = START + 3_700 * SECOND
#: Until when those runs wait that do.
NOT_BEFORE = LATER - 60 * SECOND


def make_jobs(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make jobs that are due now."""
    jobs = [
        make_job(f"job{number}", every=3600, args=(number,), kwargs={"word": "x"}) for number in range(count)
    ]
    if jobs:
        store.add_jobs(jobs)
    return [(job.id,) for job in jobs]


def claimed(store: BaseJobStore, ids: list[str], node: str, **more: Any) -> list[Run]:
    """Add jobs that are due, and let a node claim them; return the runs in the order of the ids."""
    jobs = [make_job(id, every=150, **more) for id in ids]
    if not jobs:
        return []
    store.add_jobs(jobs)
    return _claimed(store, jobs, node)


def _claimed(store: BaseJobStore, jobs: list[Job], node: str, now: int = START) -> list[Run]:
    """Let a node claim the next run of each of some jobs; return these."""
    store.renew(node, now, LEASE)
    won = store.claim([plan(job, now) for job in jobs], node, now)
    assert [(run.job_id, run.nominal) for decision in won for run in decision.runs] == [
        (job.id, now) for job in jobs
    ]
    return [decision.runs[0] for decision in won]


def _end(store: BaseJobStore, runs: list[Run], now: int, value: Any = None) -> None:
    """End runs with success, a second after a time."""
    for run in runs:
        run.started_at = now
        succeed(run, value, now + SECOND)
    assert store.finish(runs, now + SECOND) == []


def make_runs(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make runs that a node has claimed that is gone."""
    runs = claimed(store, [f"run{number}" for number in range(count)], "gone")
    return [(run.job_id, run.nominal) for run in runs]


def make_records(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make records of times that ran; those of one field are those of one job."""
    times = [START + number * 150 * SECOND for number in range(each)]
    jobs = [make_job(f"record{number}", every=150) for number in range(count // each)]
    if jobs:
        store.add_jobs(jobs)
    for number, time in enumerate(times if jobs else ()):
        _end(store, _claimed(store, jobs, "writer", time), time, {"value": number})
        for job in jobs:
            job.running = 0
    return [(job.id, time) for job in jobs for time in times]


def make_nodes(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make leases of nodes, each with a run under way."""
    jobs = [make_job(f"node{number}", every=150) for number in range(count)]
    if jobs:
        store.add_jobs(jobs)
    for number, job in enumerate(jobs):
        _claimed(store, [job], f"gone{number}")
    return [(f"gone{number}",) for number in range(count)]


def make_waiting(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make runs that wait: one half for another try, with which no other run of their jobs starts, one half asked for."""
    jobs = [make_job(f"waiting{number}", LATER, every=150) for number in range(1, count, 2)]
    if jobs:
        store.add_jobs(jobs)
    asked = [asked_for(job.id, NOT_BEFORE, nominal=START + 1) for job in jobs]
    assert len(store.open_runs(asked, START)) == len(asked)
    retry = Retry(wait_initial=60, until=None)
    again = claimed(store, [f"waiting{number}" for number in range(0, count, 2)], "waits", retry=retry)
    for run in again:
        run.started_at = START
        extra_of(run).waiting_for, extra_of(run).not_before = RETRY, NOT_BEFORE
    assert (store.give_back(again, START) if again else []) == []
    keys = {run.job_id: run.nominal for run in (*asked, *again)}
    return [(id, keys[id]) for id in (f"waiting{number}" for number in range(count))]


def make_children(store: BaseJobStore, count: int, each: int) -> list[tuple[Any, ...]]:
    """Make records of jobs that were started by the ends of others."""
    numbers, times = range(count // each), [START + number * 150 * SECOND for number in range(each)]
    parents = [make_job(f"parent{number}", every=150) for number in numbers]
    children = [make_job(f"child{number}", NO_TIME, trigger=After(f"parent{number}")) for number in numbers]
    for parent, child in zip(parents, children, strict=True):
        parent.chained = True
        store.note_child(parent.id, child.id)
    if parents:
        store.add_jobs(parents + children)
    for time in times if parents else ():
        _end(store, _claimed(store, parents, "writer", time), time)
        started = store.take_waiting("writer", time + SECOND, None)
        assert len(started) == len(parents)
        _end(store, started, time + SECOND)
        for job in parents:
            job.running = 0
    return [(job.id, time + SECOND) for job in children for time in times]


MAKE = {
    JOB: make_jobs,
    RUN: make_runs,
    WAITS: make_waiting,
    RECORD: make_records,
    CHILD: make_children,
    NODE: make_nodes,
}
