"""Records that are opened again, by ``rerun()`` and ``backfill()``: the run that waits in their place, and what is left of a record
that stands for several times.

Pure: records are handed in. It reads no ledger and stores nothing; a store carries out what is decided, in one step.
"""

from __future__ import annotations

from copy import copy

from ..clock import HELD
from .extras import RERUN, Extra
from .plan import due_time_of, latest
from .recorded import is_recorded
from .run import Run
from .states import SUCCEEDED, wait
from .walks import walks_by_step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..job.handle import Job
    from ..triggers.base import BaseTrigger

#: Over how many times of a record a trigger is walked that has no other way to count them.
WALKED = 1000


class Cut:
    """A record in whose place runs are opened, as it was looked at.

    :ivar Run found: the record; a store that has another one by now opens none of the runs
    :ivar list left: the records of what is left of it: of the times before those of the runs, and after them
    :ivar seen: what a store compares: status, attempt, last time and count. A record in memory is changed in its place
    """

    __slots__ = ("found", "left", "seen")

    def __init__(self, found: Run, left: Sequence[Run] = ()) -> None:
        self.found = found
        self.left = list(left)
        self.seen = (found.status, found.attempt, found.last, found.count)

    @property
    def splits(self) -> bool:
        """Whether the record stands for several times."""
        return self.seen[3] > 1 or self.seen[2] != self.found.nominal

    def is_same(self, record: Run | None) -> bool:
        """Whether a record is still as it was looked at."""
        return record is not None and self.seen == (
            record.status,
            record.attempt,
            record.last,
            record.count,
        )

    def covers(self, run: Run) -> bool:
        """Whether a run takes the place of one of the record's times."""
        return run.job_id == self.found.job_id and self.found.nominal <= run.nominal <= self.seen[2]

    def __repr__(self) -> str:
        return f"<Cut {self.found.id} {len(self.left)}>"


def cut_of(job: Job, record: Run, times: Sequence[int]) -> Cut:
    """Return the cut that takes times out of a record, which follow each other in it; counts come from the job's trigger.

    A record that was made by another schedule stands for whatever times that had: its pieces reach up to what is taken out.

    :param times: one or more times for which the record stands, oldest first
    :raises Exception: whatever the job's trigger raises
    """
    first, last, left = times[0], times[-1], []
    same = _is_of(job.trigger, record)
    rest, before = record.count - len(times), 0
    if record.nominal < first:
        end, before = latest(job.trigger, record.nominal, first - 1)
        if last == record.last:
            before = rest
        else:  # if nobody can tell how many it has: a piece of one time would stand for none but its first or last
            before = min(before if same else max(before, 2), max(rest - 1, 1))
        left.append(_piece(job, record, record.nominal, end if same else first - 1, before))
    if last < record.last:
        following = job.trigger.after(last, last) if same else None
        begin = last + 1 if following is None else following
        left.append(_piece(job, record, begin, record.last, rest - before))
    return Cut(record, left)


def _is_of(trigger: BaseTrigger, record: Run) -> bool:
    """Whether the times of a record are those that a trigger has there; taken for granted where it takes many steps to tell."""
    if record.count > WALKED and walks_by_step(trigger):
        return True
    return latest(trigger, record.nominal, record.last) == (record.last, record.count)


def _piece(job: Job, record: Run, first: int, last: int, count: int) -> Run:
    piece = copy(record)
    if count <= 1:  # it stands for one time, which is the record's first or its last
        first = last = first if first == record.nominal else last
    if first != record.nominal:
        piece.nominal, piece.due = first, due_time_of(job, first)
    piece.last, piece.count = last, 1 if first == last else count
    piece.job = None
    return piece


def stands_for(job: Job | None, record: Run, nominal: int) -> bool:
    """Whether a record stands for a nominal time; of a job that is gone, for all from its first to its last.

    :raises Exception: whatever the job's trigger raises
    """
    if job is None:
        return record.nominal <= nominal <= record.last
    return is_recorded(job.trigger, (record.nominal, record.last, record.status), nominal)


def opened_again(job: Job, record: Run, nominal: int, now: int, why: str = RERUN) -> Run:
    """Return a run that waits in the place of a record that has ended, or of one of its times; its tries begin anew.

    :param why: what it waits for
    """
    due = record.due if nominal == record.nominal else due_time_of(job, nominal)
    run = Run(record.job_id, nominal, nominal if due == HELD else due, None, job.executor)
    run.attempt = record.attempt
    before = getattr(record, "extra", None)
    run.extra = extra = Extra(record.origin)
    extra.waiting_for, extra.not_before, extra.asked_at = why, now, now
    extra.uncounted = record.attempt
    if before is not None:
        extra.args, extra.kwargs, extra.parent = before.args, before.kwargs, before.parent
    extra.succeeded_at = record.finished_at if record.status == SUCCEEDED else before and before.succeeded_at
    wait(run)
    return run


def by_run(cuts: Iterable[Cut], runs: Sequence[Run]) -> dict[tuple[str, int], Cut]:
    """Return for the key of each run the cut that it belongs to; those that belong to none are left out."""
    found: dict[tuple[str, int], Cut] = {}
    for cut in cuts:
        for run in runs:
            if cut.covers(run):
                found[run.job_id, run.nominal] = cut
    return found
