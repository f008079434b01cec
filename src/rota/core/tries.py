"""What follows a try that came to nothing: another one, and when, or the end of the run.

Pure: decisions about run objects; ``now`` is an argument. What a job has raised is looked at in the worker (:func:`wish_of`); the
node that has the run decides with that.
"""

from __future__ import annotations

from copy import copy
from datetime import timedelta

from ..clock import HELD, SECOND
from ..outcomes import Cancel, RetryAfter, Skip, Snooze, checked_wait
from ..texts import text_of, type_name
from .extras import RETRY, SCHEDULE, extra_of
from .policy import DEFAULT_POLICY
from .run import LAST, asked_to_stop
from .states import ACTIVE, CANCELLED, FAILED, LOST, SKIPPED, SNOOZED, TIMED_OUT, end, snooze

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from .plan import Decision
    from .policy import Policy
    from .run import Run, Wish

#: What ends a waiting retry before its time: the claim of the next scheduled time.
NEXT = "next"
#: What becomes of the run of a worker process, or a node, that has died, unless the job says otherwise.
RERUN = "rerun"
#: Why a run that may be tried again has ended for good.
EXHAUSTED = "attempts exhausted"
NOT_RETRYABLE = "not retryable"
DEADLINE = "retry deadline"
SUPERSEDED = "superseded"
#: Those that a node finds when an attempt has failed.
FINAL = (EXHAUSTED, DEADLINE)


def wish_of(run: Run, exc: BaseException, predicate_named: Callable[[str], Any]) -> Wish | None:
    """Return what is to follow an attempt that has raised an exception; None: nothing.

    :param predicate_named: returns what a textual reference leads to
    :return: what the run waits for, or how it ends; after what wait (microseconds; None: the usual one); the reason of the end
    :raises Exception: whatever the predicate of the job's ``retry`` raises, or a class that somebody has derived from an outcome
    """
    kind = type(exc)
    said: Any = exc
    # Looked at once more, as what is derived from them may have made something else of it.
    if issubclass(kind, (Snooze, RetryAfter)):
        wait = checked_wait(f"{type_name(exc)}()", timedelta(microseconds=said.wait))
        return (SNOOZED if issubclass(kind, Snooze) else RETRY), wait, None
    if issubclass(kind, (Skip, Cancel)):
        reason = None if said.reason is None else text_of(said.reason)
        return (SKIPPED if issubclass(kind, Skip) else CANCELLED), None, reason
    retry = None if run.job is None else run.job.policy.retry
    if retry is None:
        return None
    wanted = retry.is_wanted(exc, predicate_named)
    return None if wanted is False else (RETRY, None if wanted is True else wanted, None)


def follow(run: Run, wish: Wish, now: int) -> bool:
    """Write into a run what its job wants to follow an attempt; return whether that is no failure."""
    what, _, reason = wish
    if what in (SKIPPED, CANCELLED):
        end(run, what, reason, now)
        return True
    run.wish = wish
    if what == SNOOZED:
        snooze(run, now)
    return what == SNOOZED


def next_try(run: Run, now: int, may_rerun: bool = True, is_leaving: bool = False) -> int | None:
    """Decide what follows an attempt; return when the next one may start (instant), None: the run has ended for good.

    If there is another try, ``extra`` of the run says what it waits for. One that has ended for good has the reason why there is no
    other try, where it may have had one; one that was to be called later and was asked to stop meanwhile is cancelled. What was
    decided stays so.

    :param may_rerun: whether a run whose worker process has died may be executed again
    :param is_leaving: whether this node leaves a store that others share, and has stopped its runs for that
    """
    if getattr(run, "wish", None) == LAST:
        return None
    asked = asked_to_stop(run)
    decided = None if getattr(run, "extra", None) is None else run.extra.not_before
    if asked is None and decided is not None:
        return decided
    leaves = is_leaving and asked is None and run.cancelled and run.started_at is not None
    if leaves and run.status in (CANCELLED, FAILED):
        return _after_shutdown(run, now)
    # What has timed out was asked to stop for that.
    if asked is not None or (run.cancelled and run.status != TIMED_OUT and not leaves):
        stop_instead(run, asked or "cancelled while it was running", now)
        return None
    return _after_attempt(run, now, may_rerun)


def _after_attempt(run: Run, now: int, may_rerun: bool) -> int | None:
    wish: Wish | None = getattr(run, "wish", None)
    if run.status == SNOOZED:
        return _waits(run, SNOOZED, now + (wish[1] or 0 if wish else 0), counts=False)
    policy = DEFAULT_POLICY if run.job is None else run.job.policy
    if run.status == LOST:
        return _after_worker(run, policy, now) if may_rerun and policy.on_lost == RERUN else None
    if run.status == TIMED_OUT:  # whatever it has raised since
        return _another(run, policy, now, None) if _tries_timeouts(policy) else None
    return _after_failure(run, policy, now, wish) if run.status == FAILED else None


def _tries_timeouts(policy: Policy) -> bool:
    return policy.retry is not None and policy.retry.is_for_timeouts


def _after_failure(run: Run, policy: Policy, now: int, wish: Wish | None) -> int | None:
    if policy.retry is None and wish is None:
        return None
    if wish is None:
        run.reason = run.reason or NOT_RETRYABLE
        return None
    return _another(run, policy, now, wish[1])


def _after_shutdown(run: Run, now: int) -> int | None:
    """Decide for a run that was stopped as its node leaves: any other node may take it at once, unless it is not to be repeated."""
    if run.job is not None and run.job.policy.on_lost == LOST:
        end(run, LOST, "its scheduler was shut down while it was running", now)
        return None
    return _waits(run, SNOOZED, now, counts=False)


def stop_instead(run: Run, reason: str, now: int) -> None:
    """End a run that is not tried again because somebody has asked it to stop; a time that was over before decides its end."""
    extra_of(run).not_before = None
    if run.status == SNOOZED or (run.status in (FAILED, LOST) and asked_to_stop(run) is not None):
        end(run, CANCELLED, reason, now)


def is_unasked(run: Run) -> bool:
    """Whether a run has failed and, as far as its node knows, nobody has asked it to stop; its store may know better."""
    return run.status in (FAILED, LOST) and asked_to_stop(run) is None


def hear(run: Run, reason: str, now: int) -> None:
    """Let a run that has failed know that somebody had asked it to stop before it ended: it is cancelled.

    :param reason: as its store has it
    """
    extra_of(run).cancel = reason
    stop_instead(run, reason, now)


def not_given_back(run: Run, reason: str, now: int) -> None:
    """End a run that was to be tried again, and that its store does not take back."""
    extra_of(run).not_before = None
    if run.status == SNOOZED:
        end(run, CANCELLED, reason, now)
    else:
        run.reason = reason


def _waits(run: Run, what: str, not_before: int, counts: bool) -> int:
    extra = extra_of(run)
    extra.waiting_for, extra.not_before = what, not_before
    extra.uncounted += not counts
    return not_before


def _another(run: Run, policy: Policy, now: int, wait: int | None) -> int | None:
    tries = run.tries
    if tries >= policy.max_attempts:
        run.reason = run.reason or EXHAUSTED
        return None
    not_before = now + (wait if wait is not None else wait_after(run, policy, tries))
    deadline = deadline_of(run, policy)
    if deadline is not None and not_before > deadline:
        run.reason = run.reason or DEADLINE
        return None
    return _waits(run, RETRY, not_before, counts=True)


def _after_worker(run: Run, policy: Policy, now: int) -> int | None:
    """Decide for a run whose worker process has died: that is a failed try."""
    if run.tries >= policy.max_attempts:
        run.reason = f"{run.reason}, and the run was tried {run.tries} times (max_attempts)"
        return None
    return _another(run, policy, now, None)


def wait_after(run: Run, policy: Policy, tries: int) -> int:
    """Return the wait after so many tries (microseconds): the same on every node."""
    if policy.retry is None:
        return 0
    from hashlib import blake2b  # import time

    drawn = blake2b(f"{run.job_id}@{run.nominal}#{run.attempt}".encode("utf-8", "replace"), digest_size=8)
    return policy.retry.wait(tries, int.from_bytes(drawn.digest(), "big") / 2**64)


def deadline_of(run: Run, policy: Policy) -> int | None:
    """Return the instant after which a run is tried no more, None: there is none."""
    if policy.retry is None or policy.retry.timeout is None:
        return None
    extra = getattr(run, "extra", None)
    began = run.due if extra is None or extra.asked_at is None else extra.asked_at
    return began + int(policy.retry.timeout * SECOND)


def after_death(run: Run, policy: Policy, now: int) -> int | None:
    """Decide when a run whose node is gone may be tried again, which this node has taken over; None: at once.

    Then it is to be given back, and what it was taken over for does not count as a try.
    """
    if policy.retry is None:
        return None
    return _waits(run, RETRY, now + wait_after(run, policy, run.tries), counts=False)


def superseded(waiting: Iterable[Run], claimed: Mapping[str, int]) -> list[Run]:
    """Return the waiting retries that the claim of a scheduled time ends: those of scheduled times before it.

    :param waiting: waiting runs
    :param claimed: the nominal time that is claimed, by the id of the job
    """
    return [
        run
        for run in waiting
        if (run.waiting_for, run.origin) == (RETRY, SCHEDULE)
        and run.nominal < claimed[run.job_id]
        and _is_first(run)
    ]


def _is_first(run: Run) -> bool:
    """Whether a run was not opened again by somebody: what is asked for is superseded by nothing."""
    return getattr(run, "extra", None) is None or run.extra.asked_at is None


def end_superseded(runs: Sequence[Run], now: int) -> None:
    """End waiting runs as a later time of their job is claimed; what their last try raised stays with them."""
    for run in runs:
        end(run, FAILED, SUPERSEDED, now)
        extra_of(run).not_before = None


def leave_to_next(decision: Decision, most: int) -> None:
    """Leave the times of a group beyond so many runs to the next claim: when they are tried again, a store takes all in one step.

    Like times that are more than one group holds, they wait until the group has ended.
    """
    left = decision.runs[most:]
    if not left:
        return
    following = left[0].nominal
    decision.runs = decision.runs[:most]
    decision.runs[-1].then = None
    decision.records = [record for record in decision.records if record.nominal < following]
    decision.next_nominal, decision.next_due, decision.state = following, HELD, ACTIVE


def ended_copies(runs: Iterable[Run], now: int) -> list[Run]:
    """Return copies of waiting runs that end as by :func:`end_superseded`; they themselves wait until their store says so."""
    copies = [copy(run) for run in runs]
    for run in copies:
        run.extra = copy(run.extra)
    end_superseded(copies, now)
    return copies
