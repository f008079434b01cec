"""Planning: which of a due job's nominal times run, which are recorded as missed or skipped, and what is next.

Pure: a decision is a value; a store makes it true, an executor carries it out.
"""

from __future__ import annotations

from ..clock import HELD, NO_TIME, SECOND
from ..interrupts import is_interrupt
from .overlaps import BUFFER_ALL, COALESCED, MAX_INSTANCES
from .run import Run
from .states import ACTIVE, ENDED, MANUAL, MISSED, QUARANTINED, SKIPPED, end

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from ..job.handle import Job
    from ..triggers.base import BaseTrigger
    from .policy import Policy
    from .walks import Walks

#: How many missed times of one job are handed out together when they are not coalesced.
GROUP_LIMIT = 100

#: How many later nominal times are looked at for one whose jitter has not passed yet.
JITTER_STEPS = 100

#: Stands for the nominal time of a job that is to be planned when its run has ended. Long past, so that the job is due as
#: soon as its store does not hold it any more.
AFTER_RUN = 0

#: How many microseconds are tried for the key of a run by hand; a schedule that has a time at each of them is as good as none.
KEY_STEPS = 1000


class Decision:
    """What is to become of one due job; ``version`` is the version of the job that was looked at."""

    #: whether runs were taken out of it, as their times had records already (R4); others have no such attribute
    left_out: bool

    __slots__ = (
        "error",
        "job",
        "left_out",
        "next_due",
        "next_nominal",
        "records",
        "runs",
        "state",
        "superseded",
        "version",
        "waits_for_room",
    )

    def __init__(self, job: Job) -> None:
        self.job = job
        self.version = job.version
        #: runs to carry out, oldest first; one executor takes them one after another
        self.runs: list[Run] = []
        #: ledger records of nominal times that do not run
        self.records: list[Run] = []
        self.next_nominal: int | None = None
        self.next_due: int | None = None
        self.state = ACTIVE
        #: why the job is quarantined
        self.error: str | None = None
        #: waiting retries that end with this claim; after it, those that did
        self.superseded: Sequence[Run] = ()
        #: whether the job waits until a place is free, which none may be when that is stored (R2)
        self.waits_for_room = False


def plan(
    job: Job,
    now: int,
    walks: Walks | None = None,
    free: int = 0,
    room_came: int | None = None,
    waits: bool = False,
) -> Decision:
    """Decide what is to become of a due job.

    :param job: a job whose ``next_due`` is not later than ``now``
    :param now: instant
    :param walks: what takes walks over the job's times in parts; None: they are taken as a whole
    :param free: how many of the runs that count as under way end with the claim; see :func:`superseding`
    :param room_came: when a place came free for which the job has waited; None: it has not waited for one
    :param waits: whether a time waits for room whatever the job's policy is
    :raises NotYet: if a walk goes on in a later pass
    :raises Exception: whatever the job's trigger raises; see :func:`quarantine`
    """
    decision = Decision(job)
    nominal, due, policy = job.next_nominal, job.next_due, job.policy
    if nominal is None or due is None or due > now:  # changed since it was loaded: the version will not match
        decision.next_nominal, decision.next_due = _not_due(job)
        return decision
    trigger = job.trigger
    if nominal == AFTER_RUN:  # the run that it waited for has ended
        _set_next(decision, trigger.after(now, now), now)
        return decision
    if due < nominal:
        _counted(trigger, _plan_forgotten, decision, nominal, nominal - due, now, walks)
        return decision
    following = trigger.after(nominal, nominal)
    regular = trigger.regular
    busy = job.running - free >= policy.limit
    if busy and (waits or policy.waits_for_room):
        decision.next_nominal, decision.next_due = nominal, HELD
        decision.waits_for_room = True
        return decision
    grace = policy.misfire_grace if room_came is None else _grace_since(policy, room_came, now)
    late = grace is not None and now - due > grace
    if not regular and trigger.follows_end:
        _plan_after_end(decision, nominal, now, busy, late)
        return decision
    if busy or late or (following is not None and following <= now):
        merges = policy.merges if room_came is None else policy.overlap != BUFFER_ALL
        following = _counted(trigger, _plan_many, decision, nominal, now, busy, walks, grace, merges)
    else:
        decision.runs.append(Run(job.id, nominal, due, job, job.executor))
        if regular and following is not None:  # what nearly all runs come to
            decision.next_nominal = decision.next_due = following
            return decision
    _set_next(decision, following, now)
    return decision


def _not_due(job: Job) -> tuple[int | None, int | None]:
    """Return the times of a job that is not due, as they stay; one that no time starts has none, whatever is stored."""
    if job.next_due == NO_TIME and _has_no_times(job.trigger):
        return NO_TIME, NO_TIME
    return job.next_nominal, job.next_due


def superseding(decision: Decision, retries: Sequence[Run]) -> Decision:
    """Have the waiting retries of a job end with the claim of a later time, for which their places count as free."""
    if retries and decision.runs:
        decision.superseded = list(retries)
    return decision


def _grace_since(policy: Policy, room_came: int, now: int) -> int | None:
    """Return how late times may be that have waited for room: they are late since then; None: none of them is too late."""
    grace = policy.misfire_grace
    return None if grace is None or now - room_came <= grace else grace


def once_more(job: Job, now: int, taken: Collection[int] = ()) -> Decision:
    """Return the decision to run a job now, apart from its schedule, which stays as it is.

    A run by hand has no nominal time: its key is the first microsecond from now on that has no record and is no time of the job.

    :param now: instant of the request
    :param taken: the keys of the job's records from then on
    """
    from .extras import Extra  # rare

    decision = Decision(job)
    key = now
    while key in taken or (key < now + KEY_STEPS and is_time_of(job, key)):
        key += 1
    run = Run(job.id, key, now, job, job.executor)
    run.extra = Extra(MANUAL)
    decision.runs.append(run)
    decision.next_nominal, decision.next_due = job.next_nominal, job.next_due
    decision.state, decision.error = job.state, job.error
    return decision


def is_time_of(job: Job, instant: int) -> bool:
    """Whether an instant is, or may become, a nominal time of a job: on its trigger's grid, or that of its pending time."""
    pending = job.next_nominal
    if instant == pending:
        return True
    try:
        return job.trigger.after(instant - 1) == instant or (
            pending is not None and pending < instant and job.trigger.after(instant - 1, pending) == instant
        )
    except BaseException as exc:  # a trigger that raises has no times, and hinders no run by hand
        if is_interrupt(exc):
            raise
        return False


def is_by_hand(decision: Decision) -> bool:
    """Whether a decision is about a run that somebody asked for, apart from the schedule."""
    return bool(decision.runs) and decision.runs[0].origin == MANUAL


def quarantine(job: Job, error: str) -> Decision:
    """Return the decision to put a job into quarantine because of ``error``; its times are kept."""
    decision = Decision(job)
    decision.state = QUARANTINED
    decision.error = error
    decision.next_nominal = job.next_nominal
    return decision


def quarantined_instead(decision: Decision, error: str) -> None:
    """Make of a decision, which cannot be carried out, the one of :func:`quarantine`."""
    instead = quarantine(decision.job, error)
    decision.superseded = ()
    decision.runs, decision.records = instead.runs, instead.records
    decision.next_nominal, decision.next_due = instead.next_nominal, instead.next_due
    decision.state, decision.error = instead.state, instead.error


def is_forgotten(nominal: int, now: int, age: int | None) -> bool:
    """Whether a nominal time is so old that a ledger that keeps its records for ``age`` microseconds cannot know of its run."""
    return age is not None and nominal < now - age


def forgotten(nominal: int, age: int) -> int:
    """Return the due time that marks a nominal time of :func:`is_forgotten` when its job is stored.

    No other due time comes before its nominal time. The planner records the times up to that age as missed.
    """
    return nominal - age


def due_time(job: Job, nominal: int) -> int:
    """Return the due time of a nominal time: later by the trigger's jitter and spread, the same on every node.

    Jitter: APScheduler adds uniform random seconds from 0 to ``jitter``; so do we, drawn by a hash of job and time.
    Spread: the place of the job among others, drawn by a hash of the job alone; always before the next nominal time.
    """
    trigger = job.trigger
    if trigger.regular:
        return nominal
    jitter, spread = trigger.jitter, trigger.spread
    due = nominal
    if jitter:
        due += _part(f"{job.id}@{nominal}", int(jitter * SECOND))
    if spread:
        room = int(spread * SECOND)
        following = trigger.after(nominal, nominal)
        due += _part(job.id, room if following is None else min(room, following - nominal))
    return due


def _part(key: str, whole: int) -> int:
    """Return a number from 0 to ``whole`` (not included), the same for the same key everywhere and for ever."""
    from hashlib import blake2b  # import time

    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") * whole // 2**64


def _most_late(job: Job) -> int:
    """Return by how many microseconds a due time of the job can come after its nominal time."""
    trigger = job.trigger
    return int((trigger.jitter or 0) * SECOND) + int((trigger.spread or 0) * SECOND)


def _counted(trigger: BaseTrigger, call: Callable[..., Any], *args: Any) -> Any:
    """Call what asks a trigger many questions; together they may take a number of steps.

    A single question is bounded by the trigger itself, so that what nearly all plans come to costs nothing more.
    """
    if not _counts_work(trigger):
        return call(*args)
    from .. import work  # most schedules are made of plain triggers only

    return work.refusing(trigger, work.within, work.STEPS_OF_A_PLAN, call, *args)


def _counts_work(trigger: BaseTrigger) -> bool:
    return getattr(trigger, "counts_work", False)  # some are only registered as triggers


def _has_no_times(trigger: BaseTrigger) -> bool:
    return (
        getattr(trigger, "starts_after", None) is not None
    )  # likewise; the ends of another job's runs start it


def _plan_forgotten(decision: Decision, nominal: int, age: int, now: int, walks: Walks | None) -> None:
    """Record the times that are older than the ledger remembers as missed: nobody knows whether they ran."""
    job, trigger = decision.job, decision.job.trigger
    if _has_no_times(trigger):  # none is owed, whatever is stored
        decision.next_nominal = decision.next_due = NO_TIME
        return
    if trigger.follows_end:  # one time is owed, and the next is counted from now
        last, count, following = nominal, 1, trigger.after(now, now)
    else:
        last, count = _latest(job, nominal, max(nominal, now - age), walks)
        following = trigger.after(last, last)
    record = record_of(job, nominal, last, count, MISSED, "older than the ledger remembers", now)
    record.due = due_time(job, nominal)
    decision.records.append(record)
    _set_next(decision, following, now)


def _plan_after_end(decision: Decision, nominal: int, now: int, busy: bool, late: bool) -> None:
    """Decide for a job whose next time is counted from the end of its run: one time is owed, and the job is held."""
    job = decision.job
    following = job.trigger.after(now, now)
    if late and not busy:
        decision.records.append(record_of(job, nominal, nominal, 1, MISSED, "too late", now))
        _set_next(decision, following, now)
        return
    if busy:
        decision.records.append(record_of(job, nominal, nominal, 1, SKIPPED, MAX_INSTANCES, now))
        decision.waits_for_room = True
    else:
        decision.runs.append(Run(job.id, nominal, due_time_of(job, nominal), job, job.executor))
    if following is None:
        decision.state = ENDED
    else:
        decision.next_nominal, decision.next_due = AFTER_RUN, HELD


def _plan_many(
    decision: Decision,
    nominal: int,
    now: int,
    busy: bool,
    walks: Walks | None,
    grace: int | None,
    merges: bool,
) -> int | None:
    """Decide when several times are owed, the job is late, or it runs as often as it may; return what follows.

    :param grace: how late a time may be
    :param merges: whether only the newest time runs
    """
    job = decision.job
    trigger = job.trigger
    last, count = _last_due(job, nominal, now, walks)
    if busy:
        decision.records.append(record_of(job, nominal, last, count, SKIPPED, MAX_INSTANCES, now))
        return trigger.after(last, last)
    if merges:
        if grace is not None and now - due_time_of(job, last) > grace:
            decision.records.append(record_of(job, nominal, last, count, MISSED, "too late", now))
        else:
            if count > 1:
                before, skipped = _latest(job, nominal, last - 1, walks)
                decision.records.append(record_of(job, nominal, before, skipped, SKIPPED, COALESCED, now))
            decision.runs.append(Run(job.id, last, due_time_of(job, last), job, job.executor))
        return trigger.after(last, last)
    first: int | None = nominal
    if grace is not None and now - due_time_of(job, nominal) > grace:
        # Jitter makes a due time later, so only what is too late by the whole jitter is missed without a look at it.
        surely = now - grace - 1 - _most_late(job)
        before, missed = _latest(job, nominal, max(nominal, surely), walks)
        decision.records.append(record_of(job, nominal, before, missed, MISSED, "too late", now))
        first = trigger.after(before, before)
    while first is not None and first <= last and len(decision.runs) < GROUP_LIMIT:
        due = due_time_of(job, first)
        if due > now:  # its jitter has not passed yet
            break
        if grace is not None and now - due > grace:
            decision.records.append(record_of(job, first, first, 1, MISSED, "too late", now))
        else:
            decision.runs.append(Run(job.id, first, due, job, job.executor))
        first = trigger.after(first, first)
    for run, then in zip(decision.runs, decision.runs[1:], strict=False):
        run.then = then
    return first


def due_time_of(job: Job, nominal: int) -> int:
    """Return the due time of a nominal time, which for the job's pending one is stored with the job."""
    if nominal == job.next_nominal and job.next_due is not None and job.next_due != HELD:
        return job.next_due
    return due_time(job, nominal)


def _last_due(job: Job, nominal: int, now: int, walks: Walks | None) -> tuple[int, int]:
    """Return the last nominal time that is due at ``now``, and how many there are from ``nominal`` on."""
    last, count = _latest(job, nominal, now, walks)
    if _most_late(job):
        for _ in range(JITTER_STEPS):
            if due_time_of(job, last) <= now:  # that of the pending time is
                break
            last, count = _latest(job, nominal, last - 1, walks)
        else:
            last, count = nominal, 1
    return last, count


def _latest(job: Job, first: int, end: int, walks: Walks | None) -> tuple[int, int]:
    """Return what :func:`latest` does of a job's trigger; where its times have to be walked over, as far as a pass has time for.

    :raises NotYet: if that is not all
    """
    if walks is not None:
        from .walks import goes_in_parts, walks_by_step  # most plans are about one time

        if walks_by_step(job.trigger) or goes_in_parts(job.trigger):
            return walks.latest(job, first, end)
    return latest(job.trigger, first, end)


def latest(trigger: BaseTrigger, first: int, now: int) -> tuple[int, int]:
    """Return the last nominal time from ``first`` to ``now``, and how many there are.

    ``first`` need not be one of the trigger's own times: a user may have set it (``next_run_time``).
    """
    following = trigger.after(first, first)
    if following is None or following > now:
        return first, 1
    if _counts_work(trigger):
        last, count = _latest_counted(trigger, following, now)
    else:
        last, count = trigger.latest(following, now)
    return last, count + 1


def _latest_counted(trigger: BaseTrigger, first: int, now: int) -> tuple[int, int]:
    """Return the last time and the count as far as the work of one call goes; the passes to come do the rest."""
    from .. import work  # import time
    from ..errors import TooMuchWorkError
    from ..triggers.base import BaseTrigger

    try:
        return work.within(work.STEPS, trigger.latest, first, now)
    except TooMuchWorkError:  # one by one then: that is right as far as it goes
        return work.within(work.STEPS, BaseTrigger.latest, trigger, first, now)


def record_of(job: Job, first: int, last: int, count: int, status: str, reason: str, now: int) -> Run:
    """Return the record of nominal times that do not run: ``first`` to ``last``, ``count`` in all."""
    record = Run(job.id, first, due_time_of(job, first), job, job.executor)
    record.last = last
    record.count = count
    end(record, status, reason, now)
    return record


def _set_next(decision: Decision, following: int | None, now: int) -> None:
    if following is None:
        decision.state = ENDED
        return
    decision.next_nominal = following
    due = due_time(decision.job, following)
    # More missed times are owed than one group holds: they wait until the group has finished.
    held = following <= now and not decision.job.policy.merges and decision.runs
    decision.next_due = HELD if held and due <= now else due


def move_on(decision: Decision, following: int | None) -> None:
    """Let a job that waits for the end of its runs go on at another time then; None: its schedule is over."""
    decision.next_nominal = following
    if following is None:
        decision.next_due, decision.state = None, ENDED
