"""What a job, or a middleware before it, raises to say how its run goes on: later, once more, or not at all.

Values; what becomes of the run is decided in :mod:`rota.core.tries`.
"""

from __future__ import annotations

from datetime import timedelta

from .clock import SECOND, microseconds
from .errors import JobTypeError, JobValueError, RunOutcome
from .texts import repr_of, type_name

__all__ = ("Cancel", "RetryAfter", "Skip", "Snooze")

#: The longest wait that anything may ask for (microseconds): a thousand years.
LONGEST_WAIT = 1000 * 366 * 24 * 3600 * SECOND


class Snooze(RunOutcome):
    """The job is to be called again later, for the same nominal time; that is no failure, and may happen any number of times.

    While the run waits it keeps its place among the runs of its job.

    :param seconds: how much later: a positive number of seconds, or a timedelta
    :raises JobTypeError, JobValueError: if it is something else
    """

    def __init__(self, seconds: float | timedelta) -> None:
        super().__init__(seconds)
        self.wait = checked_wait("Snooze()", seconds)


class RetryAfter(RunOutcome):
    """The try has failed, and the next one is to start after some time, up to ``max_attempts``; the job needs no ``retry=``.

    Without ``retry=`` a run that waits keeps its place, and due times follow ``overlap``: by default they are skipped.

    :param seconds: after what time: a positive number of seconds, or a timedelta
    :raises JobTypeError, JobValueError: if it is something else
    """

    def __init__(self, seconds: float | timedelta) -> None:
        super().__init__(seconds)
        self.wait = checked_wait("RetryAfter()", seconds)

    def __str__(self) -> str:
        return f"asked for another try in {self.wait / SECOND:g} s"


class Skip(RunOutcome):
    """There is nothing to do this time: the run ends as skipped, which is no failure.

    :param reason: why, in words
    """

    def __init__(self, reason: str = "the job had nothing to do") -> None:
        super().__init__(reason)
        self.reason = reason


class Cancel(RunOutcome):
    """The run is to end here: it ends as cancelled, which is no failure, and is not tried again.

    :param reason: why, in words
    """

    def __init__(self, reason: str = "the job cancelled itself") -> None:
        super().__init__(reason)
        self.reason = reason


def checked_wait(name: str, value: object) -> int:
    """Return a wait as microseconds.

    :param name: what it was given to, for the message
    :raises JobTypeError: if it is neither a number nor a timedelta
    :raises JobValueError: if it is not positive, or endless
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        raise JobTypeError(
            f"{name} must be given a number of seconds or a timedelta, got {repr_of(value)} (a {type_name(value)})"
        )
    try:
        wait = microseconds(value)
    except (ValueError, OverflowError):  # nan, inf
        wait = -1
    if not 0 < wait <= LONGEST_WAIT:
        raise JobValueError(
            f"{name} must be given a positive number of seconds, up to a thousand years, got {repr_of(value)}"
        )
    return wait
