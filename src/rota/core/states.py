"""The states of jobs and of runs, and which may follow which. Each change of a state goes through here.

Pure. Only what makes an object of what is stored gives it its state directly. The tables are the law: docs/states.md is drawn
from them, and tests and the simulation hold every change to them but an undo (:func:`hold_to_the_tables`). A *job* is what is
planned; a *run* is one of its nominal times that a node has claimed.
"""

from __future__ import annotations

from ..errors import IllegalTransitionError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class HasState(Protocol):
        """A job."""

        id: str
        state: str

    class HasStatus(Protocol):
        """A run."""

        status: str
        reason: str | None
        started_at: int | None
        finished_at: int | None
        retval: Any

        @property
        def id(self) -> str: ...

# --------------------------------------------------------------------------------------------------------------- jobs

#: not planned yet
NEW = "new"
ACTIVE = "active"
PAUSED = "paused"
#: kept, visible, and not run: the job could not be restored or planned
QUARANTINED = "quarantined"
#: the schedule is over; unfinished runs keep the job, or its last run, which has not ended well
ENDED = "ended"

#: What may follow each state of a job, and why.
JOB_TRANSITIONS: dict[str, dict[str, str]] = {
    NEW: {
        ACTIVE: "its first time is planned",
        PAUSED: "it is added without a next time, or its schedule has none",
        QUARANTINED: "it could not be restored from an export or another scheduler",
        ENDED: "all its times have records already",
    },
    ACTIVE: {
        NEW: "it is planned anew",
        PAUSED: "somebody pauses it",
        QUARANTINED: "it cannot be restored or planned",
        ENDED: "its schedule is over",
    },
    PAUSED: {
        NEW: "it is planned anew",
        ACTIVE: "somebody resumes it, or gives it a next time",
        QUARANTINED: "it cannot be restored",
        ENDED: "it is resumed after its schedule is over",
    },
    QUARANTINED: {
        NEW: "it is planned anew, as it was repaired",
        ACTIVE: "it can be restored and planned again",
        PAUSED: "it can be restored again, and has no next time",
        ENDED: "it is replaced by a job whose times all have records",
    },
    ENDED: {
        NEW: "it is planned anew",
        ACTIVE: "it is replaced, or gets another schedule",
        PAUSED: "it is replaced by a paused job, or somebody pauses it while runs of it wait",
        QUARANTINED: "it is found damaged",
    },
}

# --------------------------------------------------------------------------------------------------------------- runs

#: A run that a node has taken and not finished.
CLAIMED = "claimed"
#: A run that nobody has taken: it may start at a time of its own.
WAITING = "waiting"
SUCCEEDED = "succeeded"
FAILED = "failed"
MISSED = "missed"
SKIPPED = "skipped"
TIMED_OUT = "timed_out"
CANCELLED = "cancelled"
LOST = "lost"

#: The ends that are failures of their job.
FAILURES = (FAILED, TIMED_OUT, LOST)

#: What an executor makes of a claimed run that it may not start (see :class:`~rota.core.run.Permission`): no end, and nothing that
#: a store knows.
WITHHELD = "withheld"

#: What an executor makes of a claimed run whose job wants to be called later: no end. A store knows it as why a run waits, and as
#: the outcome of an attempt.
SNOOZED = "snoozed"

#: The origin of a run that somebody asked for, apart from the schedule.
MANUAL = "manual"

#: The states in which a run can end; each run ends in exactly one.
END_STATES = (SUCCEEDED, FAILED, MISSED, SKIPPED, TIMED_OUT, CANCELLED, LOST)

#: The states of a job that keep its waiting runs from starting, but for those that somebody has asked for.
HOLDING_UP = (PAUSED, QUARANTINED)

#: What may follow each state of a run, and why. A run that has ended ends no second time; it may be
#: asked for once more.
RUN_TRANSITIONS: dict[str, dict[str, str]] = {
    CLAIMED: {
        SUCCEEDED: "the job returned",
        FAILED: "the job raised, or could not be called",
        MISSED: "it was too late to start",
        SKIPPED: "the job runs as often as it may, or later times stand for it",
        TIMED_OUT: "its time is over, whatever it does then",
        CANCELLED: "it was stopped before or while it ran, or its job was removed before it started",
        LOST: "its node died, or its store was replaced",
        WITHHELD: "its node's lease was not renewed when it was to start",
        WAITING: "it is asked for, or its node gives it back until later",
        SNOOZED: "the job wants to be called later",
    },
    WAITING: {
        CLAIMED: "its time has come, and a node takes it",
        CANCELLED: "somebody cancels it, its job is removed, or it is not trusted",
        SKIPPED: "the end of another job's run has left it, and its job has no place for it",
        FAILED: "its arguments cannot be restored, it is too late for another try, or a later time is claimed",
        LOST: "it is damaged",
    },
    SNOOZED: {
        WAITING: "its node gives it back until then",
        TIMED_OUT: "its time was over before",
        CANCELLED: "somebody asked it to stop meanwhile",
    },
    WITHHELD: {
        CLAIMED: "it waits for its permission",
        CANCELLED: "somebody stopped it before it started",
    },
    **{state: {WAITING: "it is tried again, or somebody asks for it once more"} for state in END_STATES},
}
for _stopped in (CANCELLED, FAILED):
    RUN_TRANSITIONS[_stopped][LOST] = "its node has stopped it to leave, and it is not to be repeated"
for _failed in (FAILED, LOST):
    RUN_TRANSITIONS[_failed][CANCELLED] = "somebody asked it to stop, so that it is not tried again"

_held = False


def hold_to_the_tables(held: bool = True) -> None:
    """Have every change that the tables do not know raise IllegalTransitionError; for tests and the simulation."""
    global _held
    _held = held


def set_job_state(job: HasState, state: str) -> None:
    """Bring a job into a state."""
    if _held:
        _check("job", job.id, JOB_TRANSITIONS, getattr(job, "state", NEW), state)
    job.state = state


def undo_job_state(job: HasState, state: str) -> None:
    """Put back the state that a job had before a change that came to nothing."""
    job.state = state


def end(run: HasStatus, status: str, reason: str | None, now: int) -> None:
    """End a run in the given state, for the given reason."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, status)
    run.status = status
    run.reason = reason
    run.finished_at = now


def time_out(run: HasStatus, reason: str, now: int) -> None:
    """End a run whose time is over. The end that it was given since then gives way to that: no store knows it."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, CLAIMED, TIMED_OUT)
    run.retval = None
    run.status = TIMED_OUT
    run.reason = reason
    run.finished_at = now


def succeed(run: HasStatus, retval: Any, now: int) -> None:
    """End a run with its return value."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, SUCCEEDED)
    run.retval = retval
    run.status = SUCCEEDED
    run.finished_at = now


def withhold(run: HasStatus) -> None:
    """Mark a run that may not start yet; it has not begun."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, WITHHELD)
    run.status = WITHHELD
    run.started_at = None


def snooze(run: HasStatus, now: int) -> None:
    """Mark a run whose job wants to be called later; its attempt is over."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, SNOOZED)
    run.status = SNOOZED
    run.finished_at = now


def wait(run: HasStatus) -> None:
    """Make a run one that waits for a time of its own."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, WAITING)
    run.status = WAITING
    run.reason = None


def start_waiting(run: HasStatus) -> None:
    """Make a waiting run a claimed one."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, CLAIMED)
    run.status = CLAIMED


def take_back(run: HasStatus) -> None:
    """Make a withheld run a claimed one again."""
    if _held:
        _check("run", run.id, RUN_TRANSITIONS, run.status, CLAIMED)
    run.status = CLAIMED


def _check(what: str, name: str, table: dict[str, dict[str, str]], before: str, after: str) -> None:
    if after != before and after not in table.get(before, ()):
        raise IllegalTransitionError(
            f"the state of {what} {name!r} must be one that may follow {before!r}, got {after!r}; see rota.core.states"
        )


def as_mermaid(table: dict[str, dict[str, str]]) -> str:
    """Return a table of transitions as a state diagram in Mermaid's language."""
    lines = ["stateDiagram-v2"]
    for before, following in table.items():
        lines += [f"    {before} --> {after}: {why.replace(':', ',')}" for after, why in following.items()]
        if not following:
            lines.append(f"    {before} --> [*]")
    return "\n".join(lines)
