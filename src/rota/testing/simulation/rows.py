"""The rows of the SQL store's tables as the simulation keeps them, and the jobs and runs that they are made from.

Pure conversions.
"""

from __future__ import annotations

from copy import copy
from typing import NamedTuple

from ...codec.results import text_of_result, value_of
from ...core.extras import keeps_place
from ...core.recorded import standing_from
from ...core.run import Run
from ...core.states import ACTIVE, CLAIMED, ENDED, SKIPPED, WAITING
from ...core.transitions import released
from ...core.waiting import next_look
from ...jobstores.documents import label_of
from ...texts import storable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ...core.extras import Extra
    from ...core.recorded import Recorded
    from ...job.handle import Job
    from .database import View


#: the state of an ended job without unfinished runs, whose last run has not ended well
KEPT = "over"


class JobRow(NamedTuple):
    """A row of the jobs table.

    :ivar job: what makes the job; its times, version and counter are those of the row
    :ivar since: the nominal time with which the job came, or was changed last; only the audit looks at it
    """

    id: str
    nominal: int | None
    due: int | None
    version: int
    state: str
    running: int
    error: str | None
    job: Job
    since: int | None


class RunRow(NamedTuple):
    """A row of the runs table.

    :ivar ended_by: node and attempt that presented the end, or gave the run back; only the audit looks at it
    """

    job_id: str
    nominal: int
    last: int
    times: int
    due: int
    attempt: int
    status: str
    reason: str | None
    owner: str | None
    executor: str
    claimed: int | None
    started: int | None
    finished: int | None
    result: str | None
    error_type: str | None
    error: str | None
    traceback: str | None
    name: str | None
    func: str | None
    ended_by: tuple[str | None, int] | None
    extra: Extra | None


class NodeRow(NamedTuple):
    """A row of the nodes table: the lease is over after ``until``, and was renewed at ``started``."""

    id: str
    until: int
    started: int


def job_of(row: JobRow, home: tuple[Any, str | None] = (None, None)) -> Job:
    """Return the job of a row."""
    job = row.job.copy()
    job._home = home
    job.next_nominal, job.next_due, job.version = row.nominal, row.due, row.version
    job.state, job.running, job.error = ENDED if row.state == KEPT else row.state, row.running, row.error
    return job


def run_of(row: RunRow) -> Run:
    """Return the record of a row."""
    run = Run(row.job_id, row.nominal, row.due, None, row.executor)
    run.last, run.count, run.attempt = row.last, row.times, row.attempt
    run.status, run.reason, run.owner = row.status, row.reason, row.owner
    run.claimed_at, run.started_at, run.finished_at = row.claimed, row.started, row.finished
    run.retval = None if row.result is None else value_of(row.result)
    run.error_type, run.error, run.traceback = row.error_type, row.error, row.traceback
    run.name, run.func = row.name, row.func
    if row.extra is not None:
        run.extra = copy(row.extra)
    return run


def row_of(run: Run) -> RunRow:
    """Return the row of a run."""
    return RunRow(
        run.job_id,
        run.nominal,
        run.last,
        run.count,
        run.due,
        run.attempt,
        run.status,
        storable(run.reason),
        run.owner,
        run.executor,
        run.claimed_at,
        run.started_at,
        run.finished_at,
        text_of_result(run) if run.ended else None,
        storable(run.error_type),
        storable(run.error),
        storable(run.traceback),
        *(label_of(run) if run.ended else (None, None)),
        None,
        copy(getattr(run, "extra", None)),
    )


def is_due(row: JobRow, now: int) -> bool:
    """Whether a job is active and due."""
    return row.state == ACTIVE and row.due is not None and row.due <= now


def recorded(view: View, job_id: str, since: int) -> list[Recorded]:
    """Return the records of a job that stand for times from an instant on, oldest first."""
    of_job = (row for row in view.runs.values() if row.job_id == job_id)
    return standing_from(((row.nominal, row.last, row.status) for row in of_job), since)


def under_way(view: View, job_id: str) -> int:
    """Return how many runs of a job are under way, or keep their places."""
    return sum(
        row.status == CLAIMED or (row.status == WAITING and keeps_place(row.extra))
        for row in view.runs.values()
        if row.job_id == job_id
    )


def when(row: RunRow) -> int:
    """Return when a waiting run may start."""
    return 0 if row.extra is None else row.extra.not_before or 0


def waiting_of(view: View) -> list[RunRow]:
    """Return the runs that wait, the earliest first."""
    waiting = [row for row in view.runs.values() if row.status == WAITING]
    return sorted(waiting, key=lambda row: (when(row), row.job_id, row.nominal))


def next_waiting(view: View) -> int | None:
    """Return when somebody has to look at waiting runs next."""
    rows = ((row, view.jobs.get(row.job_id)) for row in waiting_of(view))
    return next_look((run_of(row), None if job is None else job_of(job)) for row, job in rows)


def waiting_attempts(view: View, job_id: str, nominals: Iterable[int]) -> dict[int, int]:
    """Return the attempts of those of some runs of a job that wait, by their nominal times."""
    rows = (view.runs.get((job_id, nominal)) for nominal in nominals)
    return {row.nominal: row.attempt for row in rows if row is not None and row.status == WAITING}


def superseded_of(row: RunRow, run: Run) -> RunRow:
    """Return the row of a waiting retry as one that has ended, with the end of a run."""
    extra = copy(row.extra)
    if extra is not None:
        extra.not_before = None
    ended_by = row.owner, row.attempt
    new = row._replace(status=run.status, reason=run.reason, finished=run.finished_at)
    return new._replace(ended_by=ended_by, extra=extra)


def has_waiting(view: View, job_id: str) -> bool:
    """Whether runs of a job wait."""
    return any(row.job_id == job_id and row.status == WAITING for row in view.runs.values())


def within(view: View, ranges: Sequence[tuple[str, int, int]]) -> bool:
    """Whether there is a record after the first and up to the last time of one of these ranges."""
    return any(
        job_id == of and first < nominal <= last
        for of, first, last in ranges
        for job_id, nominal in view.runs
    )


def reaches(view: View, firsts: Sequence[tuple[str, int]]) -> bool:
    """Whether a record that began before one of these times reaches up to it."""
    return any(
        key[0] == of and key[1] < first <= row.last for of, first in firsts for key, row in view.runs.items()
    )


def goes_with(row: JobRow, less: int) -> bool:
    """Whether a job goes with so many of its runs: its schedule is over."""
    return row.state == ENDED and row.running <= less


def visible(view: View, job_id: str) -> JobRow | None:
    """Return the row of a job; one whose schedule is over is there as long as runs of it wait."""
    row = view.jobs.get(job_id)
    return None if row is None or (row.state == ENDED and not has_waiting(view, job_id)) else row


def without_waiting(ids: Iterable[str] | None) -> Callable[[View], list[str]]:
    """Return those of some jobs (None: of all) of which no run waits."""
    return lambda view: [
        id for id in (sorted(view.jobs) if ids is None else ids) if not has_waiting(view, id)
    ]


def brought(row: NodeRow, now: int) -> NodeRow:
    """Return a lease that was renewed in the future, as it seems, as one that counts from now."""
    return row._replace(until=row.until - row.started + now, started=now)


def counted_down(row: JobRow, less: int) -> JobRow:
    """Return a job of which so many runs have ended: if it waits for their end, it is due (R6)."""
    due = released(row.nominal, row.due, row.running - less, row.job.policy.spare)
    return row._replace(due=due, running=row.running - less)


def request_in(view: View, run: Run) -> str | None:
    """Return why somebody has asked a run to stop, as its record says while its node has it."""
    row = view.runs.get((run.job_id, run.nominal))
    if row is None or (row.status, row.owner, row.attempt) != (CLAIMED, run.owner, run.attempt):
        return None
    return None if row.extra is None else row.extra.cancel


def is_as_in(stored: Mapping[str, JobRow]) -> Callable[[JobRow], bool]:
    """Return whether a row is as it was; it always is while it is locked."""
    return lambda row: row.version == stored[row.id].version


def is_refusal(record: Run) -> bool:
    """Whether a time is recorded as skipped because the counter says that the job runs as often as it may."""
    return record.status == SKIPPED and record.reason == "max_instances"


def without_pause(job: Job) -> Job:
    """Return a copy of what makes a job, of which nothing is kept of a pause that has ended."""
    template = job.copy()
    template.paused = None
    return template
