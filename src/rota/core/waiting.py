"""Which waiting runs a node starts, and what becomes of those that nobody starts any more.

Pure decisions about run objects; a store reads the waiting runs, in the order of their times, and carries the decisions out.
"""

from __future__ import annotations

from ..callables import lacking
from .extras import AFTER, ASKED_FOR, RETRY, extra_of, keeps_place
from .overlaps import left_out
from .run import LAST, asked_to_stop, label
from .states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    FAILED,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    end,
    start_waiting,
    wait,
)
from .transitions import may_claim
from .tries import DEADLINE, deadline_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ..job.handle import Job
    from .run import Run

    #: asked with the id of a job, and the nominal time of a run of it; None: those of its runs that are taken together
    MayTake = Callable[[str, int | None], bool]

#: How many microseconds a key that a run was asked for with holds.
KEY_HOLDS = 24 * 60 * 60 * 1_000_000
#: What is said of a waiting run whose job is removed.
JOB_REMOVED = "job removed"


class Taking:
    """Which of the waiting runs a node takes in one step.

    :param node: the id of the node
    :param now: instant
    :param room: for each executor alias, how many runs the node has room for; None: any number, for any alias
    :param may_take: whether a run may be taken or ended at all; see the port. None: any
    """

    __slots__ = ("_group", "_may_take", "_newest", "_node", "_now", "busy", "left")

    def __init__(
        self, node: str, now: int, room: Mapping[str, int] | None, may_take: MayTake | None = None
    ) -> None:
        self._may_take = may_take
        self._node = node
        self._now = now
        #: how much room is left
        self.left = None if room is None else dict(room)
        #: the ids of jobs of which no waiting run can start now but one that has kept its place: a store need not look at more
        self.busy: set[str] = set()
        #: the id of the job of which a run that has kept its place was taken last: what it is taken with is executed after it
        self._group: str | None = None
        #: the nominal time of the newest run of a chain of each job, as far as was looked
        self._newest: dict[str, int] = {}

    def look_at(self, runs: Iterable[Run]) -> None:
        """Look at waiting runs whose time has come, before it is decided about one after another."""
        newest = self._newest
        for run in runs:
            if is_chained(run):
                newest[run.job_id] = max(newest.get(run.job_id, run.nominal), run.nominal)

    def leaves(self, run: Run) -> bool:
        """Whether a waiting run is left as it is, whatever is stored of it: the store has refused to take it lately."""
        if self._may_take is None:
            return False
        return not self._may_take(run.job_id, None if keeps_place(extra_of(run)) else run.nominal)

    @property
    def full(self) -> bool:
        """Whether there is room for nothing more."""
        if self.left is None or self._group is not None:
            return False
        return not any(left > 0 for left in self.left.values())

    def take(
        self,
        run: Run,
        job: Job | None,
        running: int,
        job_for: Callable[[Run, Job], Job],
        refusal: Callable[[Run], str | None] | None = None,
    ) -> bool:
        """Take a waiting run if it may start now; return whether it was changed: taken, or ended.

        Those of a job that have kept their places are taken together, as far as they come one after another, and need the room of
        one: they are executed one after another, as those of one group are.

        A run that is taken is counted on its job by the store, unless it has kept its place while it waited.

        :param job: its job, None: it was removed
        :param running: how many runs of the job are under way, or keep their places
        :param job_for: returns the job with the arguments of the run, if it has its own
        :param refusal: returns why a run is not trusted, None if it is
        """
        group, self._group = self._group, None
        if self.leaves(run):
            return False
        follows = group == run.job_id and keeps_place(extra_of(run))
        if follows:
            self._group = group
        if job is None or self._is_too_late(run, job):
            self._end(run, job)
            return True
        if self._is_left_out(run, job, running):
            return True
        if run.job_id in self.busy and not keeps_place(extra_of(run)):
            return False
        if not self._may_start(run, job, running, follows):
            return False
        reason = None if refusal is None else refusal(run)
        if reason is not None:
            end(run, CANCELLED, f"it is not trusted: {reason}", self._now)
            return True
        try:
            run.job = job_for(run, job)
        except Exception as exc:  # what is stored of its arguments may be anything
            end(run, FAILED, f"its arguments could not be restored: {exc!r}", self._now)
            run.error_type, run.error = type(exc).__name__, str(exc)
            return True
        if self.left is not None and not follows:
            self.left[job.executor] -= 1
        if keeps_place(extra_of(run)):
            self._group = run.job_id
        start_waiting(run)
        run.executor = job.executor
        run.attempt += 1
        run.owner, run.claimed_at, run.started_at, run.finished_at = self._node, self._now, None, None
        run.error_type = run.error = run.traceback = None  # those of the attempt before
        run.cancelled = False  # a time-out asks to stop
        if hasattr(run, "wish"):
            del run.wish
        extra_of(run).not_before = None
        return True

    def _is_too_late(self, run: Run, job: Job) -> bool:
        """Whether the deadline of a retry is over; also while its job is paused."""
        deadline = deadline_of(run, job.policy) if extra_of(run).waiting_for == RETRY else None
        return deadline is not None and self._now > deadline

    def _end(self, run: Run, job: Job | None) -> None:
        """End a run whose job is gone, or that is too late."""
        if job is None:  # what has happened of a try that has failed stays
            end(run, FAILED if extra_of(run).waiting_for == RETRY else CANCELLED, JOB_REMOVED, self._now)
        else:
            end(run, FAILED, DEADLINE, self._now)
        extra_of(run).not_before = None

    def _is_left_out(self, run: Run, job: Job, running: int) -> bool:
        """Whether a run of a chain ends instead, as it meets as many runs of its job as may be under way; see ``overlap``.

        As a due time it is looked at by nodes that could carry it out.
        """
        if not is_chained(run) or may_claim(running, job.policy.limit) or not could_start(job):
            return False
        if self.left is not None and self.left.get(job.executor, 0) <= 0:
            return False
        reason = left_out(job.policy.overlap, run.nominal >= self._newest.get(run.job_id, run.nominal))
        if reason is None:
            return False
        run.job = job
        label(run)
        end(run, SKIPPED, reason, self._now)
        extra_of(run).not_before = None
        return True

    def _may_start(self, run: Run, job: Job, running: int, follows: bool) -> bool:
        extra = extra_of(run)
        if job.state == QUARANTINED or lacking(job):
            self.busy.add(job.id)
            return False
        if is_held_up(job.state, extra.waiting_for):
            return False  # another of its runs may have been asked for
        if self.left is not None and not follows and self.left.get(job.executor, 0) <= 0:
            return False
        if keeps_place(extra):
            return True
        if not may_claim(running, job.policy.limit) or self._is_due(job):  # R2; the schedule goes first
            self.busy.add(job.id)
            return False
        return True

    def _is_due(self, job: Job) -> bool:
        return job.state == ACTIVE and job.next_due is not None and job.next_due <= self._now


def next_look(found: Iterable[tuple[Run, Job | None]]) -> int | None:
    """Return when somebody has to look at waiting runs next (instant); None: not before a job of theirs is changed.

    :param found: the runs with their jobs, earliest first; it is read no further than need be
    """
    earliest: int | None = None
    for run, job in found:
        if earliest is not None and (extra_of(run).not_before or 0) >= earliest:
            break
        at = looked_at(run, job)
        if at is not None and (earliest is None or at < earliest):
            earliest = at
    return earliest


def looked_at(run: Run, job: Job | None) -> int | None:
    """Return when somebody has to look at a waiting run (instant): when it may start, or its deadline is over.

    None: only a change of its job, which is paused or in quarantine, lets it start.
    """
    extra = extra_of(run)
    not_before = extra.not_before or 0
    if job is None or not is_held_up(job.state, extra.waiting_for):
        return not_before
    deadline = deadline_of(run, job.policy) if extra.waiting_for == RETRY else None
    return None if deadline is None else max(not_before, deadline + 1)


def is_held_up(state: str, waiting_for: str | None) -> bool:
    """Whether the state of a job keeps a run of it that waits for something from starting."""
    return state == QUARANTINED or (state == PAUSED and waiting_for not in ASKED_FOR)


def is_chained(run: Run) -> bool:
    """Whether a waiting run is one that the end of another job's run has left, and that nobody has taken yet."""
    extra = getattr(run, "extra", None)
    return extra is not None and extra.waiting_for == AFTER


def answers_for_key(record: Run | None) -> bool:
    """Whether a run is what is returned when its key is used again: not if it went with its job, as another has that id now.

    :param record: the record of the time that the key stands for, None: it was forgotten
    """
    return record is not None and record.reason != JOB_REMOVED


def could_start(job: Job) -> bool:
    """Whether waiting runs of a job start by themselves on this node when a place is free."""
    return job.state == ACTIVE and not lacking(job)


def opened(run: Run, not_before: int) -> None:
    """Make a run, new or ended, one that waits."""
    wait(run)
    run.owner = run.claimed_at = run.started_at = run.finished_at = None
    run.retval = run.exception = run.error_type = run.error = run.traceback = None
    run.kept = None
    extra_of(run).not_before = not_before


def given_back(run: Run, not_before: int) -> None:
    """Make a claimed run one that waits, for any node; its attempt stays as it is until somebody takes it."""
    wait(run)
    run.owner = run.claimed_at = run.started_at = run.finished_at = None
    extra_of(run).not_before = not_before


def has_no_job(run: Run, record: Run | None = None) -> Run:
    """Take note that a run is not taken back because its job was removed while it was under way: its attempt is the last.

    :param record: its record, which says so if it is another attempt's, or somebody has asked the run to stop; None: it is neither
    """
    if record is None or (not is_asked(run, record) and _is_same_attempt(run, record)):
        run.wish = LAST
    return run


def is_asked(run: Run, record: Run | None) -> bool:
    """Whether a run is not taken back because somebody has asked it to stop, as its record says; then the run says so, too.

    :param run: a run that is to be given back
    :param record: its record, None if there is none
    """
    if record is None or not _is_same_attempt(run, record):
        return False
    asked = asked_to_stop(record)
    if asked is not None:
        extra_of(run).cancel = asked
    return asked is not None


def _is_same_attempt(run: Run, record: Run) -> bool:
    return (record.status, record.owner, record.attempt) == (CLAIMED, run.owner, run.attempt)


def cancelled(run: Run, reason: str, now: int) -> None:
    """End a waiting run because somebody has cancelled it."""
    end(run, CANCELLED, reason, now)
    extra_of(run).not_before = None
