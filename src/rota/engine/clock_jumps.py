"""Clocks that were set, and machines that slept: noticing it, and what becomes of jobs that count elapsed time.

It is told what the clocks show, or asks a store; it reads none itself.
"""

from __future__ import annotations

from functools import partial

from ..clock import HELD, SECOND
from ..core.plan import KEY_STEPS, due_time
from ..core.recorded import MOST
from ..core.states import ACTIVE
from ..errors import JobLookupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from ..core.recorded import Recorded
    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from ..logs import GuardedLogger
    from ..triggers.base import BaseTrigger

#: How far wall and monotonic clock may drift apart between two passes before it counts as a jump (microseconds).
JUMP = 2 * SECOND
#: So many of the newest records tell whether the clock was set back while no scheduler was there.
NEWEST = 10
#: For so many jobs records are looked up at once.
TOGETHER = 500
#: After so long (microseconds) the moving of jobs makes way for due ones.
TURN = SECOND // 100


class ClockWatch:
    """Compares how far the wall clock and the monotonic clock have come since the last look."""

    __slots__ = ("_before", "_slept")

    def __init__(self) -> None:
        self._before: tuple[int, int] | None = None
        self._slept: int | None = None

    def jump(self, now: int, elapsed: int) -> int:
        """Return by how many microseconds the wall clock has jumped, 0 if it has not.

        :param now: instant
        :param elapsed: what the monotonic clock shows, in microseconds
        """
        before, self._before = self._before, (now, elapsed)
        if before is None:
            return 0
        delta = (now - before[0]) - (elapsed - before[1])
        return 0 if -JUMP < delta < JUMP else delta

    def sleep(self, slept: int) -> int:
        """Return for how many microseconds the machine has slept since the last look, 0 if it has not.

        :param slept: what the clock counts of that, in microseconds
        """
        before, self._slept = self._slept, slept
        return 0 if before is None or slept - before < JUMP else slept - before


def set_back_unseen(store: BaseJobStore, alias: str, logger: GuardedLogger) -> int:
    """Return how far the clock was set back while nobody looked (microseconds), at least; 0: it was not.

    What was recorded last was so at a time that has not come yet then.
    """
    if not store.durable:
        return 0
    from ..core.queries import RunQuery  # import time: it is asked once

    newest = store.find_runs(RunQuery(), NEWEST).items
    back = max((record.finished_at or 0 for record in newest), default=0) - store.now()
    if back < JUMP:
        return 0
    logger.warning(
        "What was recorded last in job store %r was so at a time that has not come yet, so the clock was set back while no "
        "scheduler was there: jobs that count elapsed time run on at their intervals, others at their next times",
        alias,
    )
    return back


def bring_forward(store: BaseJobStore, back: int, logger: GuardedLogger) -> Iterator[None]:
    """Move elapsed-time jobs whose next time has become far, as the clock was set back, so that they run on at their interval.

    Each is moved once: another node that does the same has changed the job's version (R1). Yields now and then, as there may be
    many; the next step goes on.

    :param back: how far the clock was set back (microseconds)
    """
    waiting = [
        job for job in store.select_jobs((ACTIVE,)) if turns_until(job.trigger, job.next_nominal, store.now())
    ]
    for place in range(0, len(waiting), TOGETHER):
        jobs = waiting[place : place + TOGETHER]
        now = store.now()
        times = {job.id: nearest(job, now, back) for job in jobs}
        recorded = store.recorded(times)
        # Of very many records the oldest are told; whether the job has run before its next time is told by the newest.
        many = {job.id: _before(job) for job in jobs if len(recorded.get(job.id, ())) >= MOST}
        newest = store.recorded(many) if many else {}
        for job in jobs:
            found = [*recorded.get(job.id, ()), *newest.get(job.id, ())]
            nominal = in_rhythm(job, times[job.id], found, partial(_is_made_ahead, store, job.id))
            if nominal is not None:
                _save(store, job, nominal, logger)
            yield


def _before(job: Job) -> int:
    """Return the time before the next one of an elapsed-time job."""
    return (job.next_nominal or 0) - _interval_of(job.trigger)


def turns_until(trigger: Any, nominal: int | None, now: int) -> int:
    """Return how many times of an elapsed-time job come before its next one: none, unless the clock was set back or it waits.

    :param trigger: any trigger; those that do not count elapsed time have no such times
    """
    interval = _interval_of(trigger)
    if nominal is None or interval <= 0:
        return 0
    return max((nominal - now - 1) // interval, 0)


def _interval_of(trigger: Any) -> int:
    """Return the interval of an elapsed-time trigger, 0 for any other one."""
    interval: int = trigger.microseconds if getattr(trigger, "elapsed", False) else 0
    return interval


def nearest(job: Job, now: int, back: int) -> int:
    """Return at which time of the grid of its next one a job goes on: the first after an instant, or the one after that.

    Right after a run, the first one would be that run's own, as the clock comes to it again. If the run was less than half an
    interval ago then, the job would run twice in a moment for a clock that was put right.

    :param back: how far the clock was set back (microseconds)
    """
    pending, trigger = job.next_nominal or 0, job.trigger
    interval: int = trigger.microseconds  # type: ignore[attr-defined]
    nominal = pending - turns_until(trigger, pending, now) * interval
    # What is no whole interval of the jump is how long ago the run was, once its time comes again.
    ago = back % interval
    return nominal + interval if nominal - now < ago < interval // 2 else nominal


def in_rhythm(
    job: Job, nominal: int, recorded: Sequence[Recorded], is_ahead: Callable[[int], bool] = lambda _: False
) -> int | None:
    """Return when an elapsed-time job goes on after the clock was set back; None if it has to wait for the time that it has.

    That is for a start that was given, which has no run before it, or as all times before were left out ahead.

    :param nominal: its first time from now on, by its interval
    :param recorded: the job's records that stand for times from then on
    :param is_ahead: whether the record that a nominal time is the key of was made ahead, and is no sign of another clock
    :return: that time, or one beside it if it has a record: a record never moves. One that was left out ahead stays so
    """
    from ..core.recorded import is_recorded  # import time

    trigger, pending = job.trigger, job.next_nominal or 0
    interval: int = trigger.microseconds  # type: ignore[attr-defined]
    ahead = _Ahead(recorded, is_ahead)
    while pending > nominal and pending - interval in ahead:
        pending -= interval
    if pending <= nominal:
        return None
    if trigger.follows_end:
        has_run = any(record[0] not in ahead for record in recorded)  # in a time that has not come yet
    else:
        has_run = any(is_recorded(trigger, record, pending - interval) for record in recorded) or any(
            _was_moved_before(pending, interval, record) and record[0] not in ahead for record in recorded
        )
    if not has_run and (trigger.start_given or trigger.origin() != pending):
        return None
    return unrecorded(trigger, ahead.first_other(nominal, interval), interval, recorded)


def _was_moved_before(pending: int, interval: int, record: Recorded) -> bool:
    """Whether the time that a job has was moved in front of a record already, to its grid or right beside that."""
    first, last, _ = record
    return last >= pending and (pending - first) % interval < KEY_STEPS


class _Ahead:
    """The keys of records that were made ahead, each looked for when it is asked about.

    :param recorded: records of one job
    :param is_ahead: whether the record that a nominal time is the key of was made ahead
    """

    __slots__ = ("_is_ahead", "_keys")

    def __init__(self, recorded: Sequence[Recorded], is_ahead: Callable[[int], bool]) -> None:
        self._keys = {first for first, last, _ in recorded if first == last}
        self._is_ahead = is_ahead

    def __contains__(self, nominal: int) -> bool:
        return nominal in self._keys and self._is_ahead(nominal)

    def first_other(self, nominal: int, interval: int) -> int:
        """Return the first of a time and those that follow it whose record was not made ahead, or that has none."""
        while nominal in self:
            nominal += interval
        return nominal


def _is_made_ahead(store: BaseJobStore, job_id: str, nominal: int) -> bool:
    from ..core.recorded import is_made_ahead  # import time

    record = store.get_run(job_id, nominal)
    return record is not None and is_made_ahead(record)


def go_on(store: BaseJobStore, job: Job, logger: GuardedLogger) -> None:
    """Let an elapsed-time job whose time had a record go on beside its records, if they are of a time before a clock was set back.

    The next time, which has not come yet, has one then as well, if that was not made ahead.
    """
    following, interval = job.next_nominal, _interval_of(job.trigger)
    if following is None or interval <= 0 or following <= store.now():
        return
    from ..core.recorded import is_recorded  # import time

    nominal = following - interval
    recorded = store.recorded({job.id: nominal}).get(job.id, ())
    ahead = _Ahead(recorded, partial(_is_made_ahead, store, job.id))
    following = ahead.first_other(following, interval)
    if any(is_recorded(job.trigger, record, following) for record in recorded):
        nominal = unrecorded(job.trigger, ahead.first_other(nominal, interval), interval, recorded)
        _save(store, job, nominal, logger)


def unrecorded(trigger: BaseTrigger, nominal: int, interval: int, recorded: Sequence[Recorded]) -> int:
    """Return a time, or if it has a record the first instant after it from which on no multiple of the interval has one."""
    from ..core.recorded import is_recorded  # import time

    if not any(is_recorded(trigger, record, nominal) for record in recorded):
        return nominal
    taken = {(first - nominal) % interval for first, _, _ in recorded}
    return nominal + next(phase for phase in range(len(taken) + 1) if phase not in taken)


def _save(store: BaseJobStore, job: Job, nominal: int, logger: GuardedLogger) -> None:
    changed = job.copy()
    changed.set_next(nominal, HELD if job.next_due == HELD else due_time(job, nominal))
    try:
        store.save_job(changed, job.version)  # False: somebody else has changed it, perhaps in the same way
    except JobLookupError:  # it was removed meanwhile
        pass
    except BaseException as exc:
        from .damage import note_refusal  # import time

        note_refusal(
            exc, logger, 'Job "%s" waits for its next time by the clock before it was set back: %s', job
        )
