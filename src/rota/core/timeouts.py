"""When the time of an attempt is over, and why: it takes longer than it may, or has said nothing for longer than it may.

Pure: ``now`` is an argument. Times are microseconds on the monotonic clock of the node that has the run; what the machine slept of
them is taken out. It stops nothing and tells nobody; :mod:`rota.engine.timeouts` does.
"""

from __future__ import annotations

from ..clock import HELD
from ..errors import RunTimedOutError
from ..texts import error_text, repr_of, shortened
from . import states
from .policy import seconds_of
from .states import SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from .policy import Policy

    #: returns what is kept beside the records of some runs, by job id and nominal time
    PartsOf = Callable[[Collection[tuple[str, int]]], Mapping[tuple[str, int], Mapping[str, str]]]


#: Why a run has ended as ``timed_out``.
TIMEOUT = "timeout"
NO_HEARTBEAT = "no heartbeat"
#: The name of the part that says, beside the record of a run that goes on, that the time of its attempt is over.
MARK = "timed_out"
#: The longest text of what a run has returned or raised after its time, in its note and its error (characters).
_SHOWN = 500


def until(
    policy: Policy, started: int, beat_at: int | None, sleeps: Sequence[tuple[int, int]] = ()
) -> tuple[int, str]:
    """Return when the time of an attempt is over, as far as is known, and why it will be; of two at once it is the time-out.

    :param policy: the policy of its job, which has a limit
    :param beat_at: when it has said something last; None: it has not
    :param sleeps: when it was noticed that the machine had slept, and how long, oldest first
    """
    quiet_since = started if beat_at is None else max(started, beat_at)
    for noticed, length in sleeps:
        if noticed > started:
            started += length
            quiet_since = max(quiet_since, noticed)  # it had no time to say something
    silent = HELD if policy.heartbeat_timeout is None else quiet_since + policy.heartbeat_timeout
    late = HELD if policy.timeout is None else started + policy.timeout
    return (late, TIMEOUT) if late <= silent else (silent, NO_HEARTBEAT)


def note_of(run: Any) -> str | None:
    """Return what the note of a run says that has ended after its time: what it returned; None: it returned nothing."""
    if run.status != SUCCEEDED or run.retval is None:
        return None
    return f"returned after its time was over: {shortened(repr_of(run.retval), _SHOWN)}"


def time_out(run: Any, policy: Policy, reason: str, now: int) -> None:
    """Let a run end as one whose time is over, whatever it has returned or raised since.

    :param policy: the policy of its job
    :param now: instant
    """
    raised = run.exception
    if reason == TIMEOUT:
        how = f"has taken longer than its timeout of {seconds_of(policy.timeout)} s"
    else:
        how = f"has not called heartbeat() for its heartbeat_timeout of {seconds_of(policy.heartbeat_timeout)} s"
    if raised is not None:
        how += f"; after that it raised {shortened(error_text(raised), _SHOWN)}"
    states.time_out(run, reason, now)
    error = RunTimedOutError(run, how)
    error.__cause__ = raised
    run.exception, run.error_type, run.error = error, RunTimedOutError.__name__, str(error)


def mark_of(run: Any, reason: str) -> str:
    """Return what is kept beside the record of a run that goes on after its time; it is about this attempt."""
    return f"{run.attempt} {reason}"


def marked(runs: Sequence[Any], jobs: Mapping[str, Any], parts_of: PartsOf) -> dict[tuple[str, int], str]:
    """Return for each of these runs whose time was over before its node died why that is so.

    Nothing is asked about runs of jobs without a limit; a job that was removed meanwhile may have had one.

    :param jobs: the jobs of the runs, by id
    """
    keys = []
    for run in runs:
        job = jobs.get(run.job_id)
        policy = None if job is None else job.policy
        if policy is None or policy.time_limit is not None:
            keys.append((run.job_id, run.nominal))
    found = parts_of(keys) if keys else {}
    reasons = {}
    for run in runs if found else ():
        key = (run.job_id, run.nominal)
        mark = found.get(key, {}).get(MARK)
        for reason in (TIMEOUT, NO_HEARTBEAT):
            if mark == mark_of(run, reason):
                reasons[key] = reason
    return reasons


def time_out_with_node(run: Any, reason: str, now: int) -> None:
    """End a run whose time was over before its node died.

    :param now: instant
    """
    states.time_out(run, reason, now)
    run.exception = error = RunTimedOutError(
        run, f"had not ended after its time ({reason}) when its node died"
    )
    run.error_type, run.error = RunTimedOutError.__name__, str(error)
