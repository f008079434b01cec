"""How a job was paused or put on hold: what a store keeps of it in one text, and what resuming owes the ledger.

Pure. Failures in a row, after which a job is paused (``pause_on_failure``), are kept in the same text.
"""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter

from ..clock import HELD, NO_TIME
from ..texts import shortened
from .plan import AFTER_RUN, latest, record_of
from .states import ACTIVE, FAILURES, PAUSED, SKIPPED, SUCCEEDED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from ..job.handle import Job
    from .run import Run

#: The longest note (characters).
LONGEST_NOTE = 500

#: Why times are skipped that have waited for room until their job was given another schedule, or another next time.
RESCHEDULED = "rescheduled"

#: what a pause keeps, and of which types it is
_KINDS: dict[str, type] = {
    "since": int,
    "at": int,
    "until": int,
    "note": str,
    "hold": str,
    "held": int,
    "active": bool,
    "given": int,
    "over": bool,
    "failures": list,
    "good": int,
}


_values = attrgetter(*_KINDS)


class Pause:
    """How a job was paused.

    :ivar int | None since: the nominal time that it owed then (instant); None: it had none
    :ivar int | None at: when (instant)
    :ivar int | None until: when it goes on by itself (instant)
    :ivar str | None note: why, in words
    :ivar str | None hold: why it is on hold, in words; None: it is not
    :ivar int | None held: since when, if somebody had paused it before (instant)
    :ivar bool | None active: of a job on hold, whether it goes on when it is released; else somebody has paused it as well
    :ivar int | None given: the next time (instant) that a job was given while it is on hold, with which it goes on
    :ivar bool | None over: whether its schedule was over, so that only what waits of it is held back: it ends again when it goes on
    :ivar list[int] | None failures: when the failures in a row have ended (instants, earliest first), as far as they count towards
        ``pause_on_failure``; also of a job that is not paused
    :ivar int | None good: when the last success has ended (instant), while runs that have ended before it may still be recorded
    """

    __slots__ = (
        "active",
        "at",
        "failures",
        "given",
        "good",
        "held",
        "hold",
        "note",
        "over",
        "since",
        "until",
    )

    def __init__(
        self,
        since: int | None = None,
        at: int | None = None,
        until: int | None = None,
        note: str | None = None,
        hold: str | None = None,
        active: bool | None = None,
        failures: list[int] | None = None,
        good: int | None = None,
        held: int | None = None,
        given: int | None = None,
        over: bool | None = None,
    ) -> None:
        self.since = since
        self.at = at
        self.until = until
        self.note = note
        self.hold = hold
        self.held = held
        self.active = active
        self.given = given
        self.over = over
        self.failures = failures
        self.good = good


def text_of(pause: Pause) -> str:
    """Return a pause as a stored text."""
    parts = [
        f'"{name}":{value if type(value) is int else _encoded(value)}'
        for name, value in zip(_KINDS, _values(pause), strict=True)
        if value is not None
    ]
    return "{" + ",".join(parts) + "}"


def _encoded(value: Any) -> str:
    from json import dumps  # import time, which a pause without words need not take

    return dumps(value, ensure_ascii=False, separators=(",", ":"))


def pause_of(job: Job) -> Pause:
    """Return how a job was paused, as far as that is known and sound."""
    pause, text = Pause(), job.paused
    if text:
        for name, value in _kept(text):
            setattr(pause, name, value)
        if pause.failures is not None:
            pause.failures = [at for at in pause.failures if type(at) is int]
    return pause


@lru_cache(maxsize=64)  # of one pause it is asked several times on end
def _kept(text: str) -> list[tuple[str, Any]]:
    """Return what a stored text says, as far as it is sound."""
    from json import loads  # import time

    try:
        return [(name, value) for name, value in loads(text).items() if type(value) is _KINDS.get(name)]
    except (ValueError, TypeError, AttributeError, RecursionError):
        return []


def note_of(job: Job) -> str | None:
    """Return why a job was paused or put on hold, in words; None: nobody has said."""
    pause = pause_of(job)
    return pause.note if pause.hold is None else pause.hold or pause.note


def is_on_hold(job: Job) -> bool:
    """Whether a job is on hold."""
    return job.paused is not None and job.state == PAUSED and pause_of(job).hold is not None


def stay_on_hold(job: Job, pause: Pause) -> None:
    """Leave a job on hold that was given a next time, or another trigger: it goes on with that when it is released.

    One that was paused as well is only on hold then; one that was given no time is paused as well. What it has left out before that
    time it does not owe any more: see :func:`settled_by_edit`.

    :param job: the changed job
    :param pause: how it was on hold before
    """
    given = job.next_nominal
    pause.active, pause.given = given is not None, given
    pause.until = None
    if given is not None:
        pause.note, pause.since = None, given
    job.set_next(None)
    job.paused = text_of(pause)


def goes_on_with(pause: Pause, now: int) -> int | None:
    """Return the time to come that a job had when it was paused or put on hold, or was given on hold, with which it goes on.

    None: it is planned from now on.
    """
    following = pause.since if pause.given is None else pause.given
    return following if following is not None and now < following < NO_TIME else None


def left_out(job: Job, pause: Pause, reason: str, now: int) -> Run | None:
    """Return the record of the times before ``now`` that a job does not run as it was paused, None if there are none.

    A time that it goes on with is not among them: a date that has passed is still to come for a job that is resumed.

    :param reason: "paused" or "on hold"
    :param now: instant from which on it is planned again
    :raises Exception: whatever the job's trigger raises
    """
    following = job.trigger.first(now)
    return _left_out_before(job, pause, reason, now if following is None else min(now, following), now)


def settled_by_edit(before: Job, after: Job, now: int) -> Run | None:
    """Return the record of what a job has left out, if after an edit it does not owe that any more; None: there is nothing.

    It was paused, or has waited for room. These are times of the schedule that it had. From the time on that the edit gives it,
    past or not, they are planned. One that is paused all the same, and has another trigger, owes the times of that from now on.

    :param before: the job as it is stored
    :param after: the job as it is about to be stored; it may be changed
    :param now: instant: not before the one from which on the new schedule is planned
    :raises Exception: whatever a trigger raises
    """
    if waits_for_room(before, now):
        pause, reason = Pause(before.next_nominal), RESCHEDULED
    elif before.state == PAUSED and before.paused is not None:
        pause = pause_of(before)
        reason = "on hold" if pause.hold is not None and pause.active else "paused"
    else:
        return None
    following = after.next_nominal
    if after.state == PAUSED:
        owed = pause_of(after)
        if owed.since == pause.since:
            if after.trigger is before.trigger or after.trigger.same_schedule(before.trigger):
                return None
            if owed.since is not None:
                owed.since = after.trigger.first(now)
                after.paused = text_of(owed)
        following = owed.since
    end = now if following is None or following == AFTER_RUN else min(now, following)
    return _left_out_before(before, pause, reason, end, now)


def waits_for_room(job: Job, now: int) -> bool:
    """Whether times of a job wait until a place comes free for them: it owes these, and they have no record."""
    nominal = job.next_nominal
    if job.state != ACTIVE or job.next_due != HELD or nominal is None:
        return False
    return nominal != AFTER_RUN and nominal <= now


def lets_go(before: Job, after: Job, now: int) -> bool:
    """Whether a job that replaces one that is paused, or waits for room, does not owe what that one may have left out.

    It asks no trigger.

    :param before: the job as it is stored
    :param after: the job as it is about to be stored
    :param now: instant
    """
    if waits_for_room(before, now):
        goes_on = after.next_nominal if after.state != PAUSED else pause_of(after).since
        return goes_on != before.next_nominal
    if before.state != PAUSED or before.paused is None:
        return False
    since = pause_of(before).since
    return since is not None and since < now and (after.state != PAUSED or pause_of(after).since != since)


def _left_out_before(job: Job, pause: Pause, reason: str, end: int, now: int) -> Run | None:
    """Return the record of the times before ``end`` that a job owes."""
    first = pause.since
    if first is None or first == AFTER_RUN or first >= end:  # its next time was to come after a run
        return None
    if job.trigger.follows_end:  # one time is owed, and the next is counted from now
        return record_of(job, first, first, 1, SKIPPED, reason, now)
    last, count = latest(job.trigger, first, end - 1)
    return record_of(job, first, last, count, SKIPPED, reason, now)


# ------------------------------------------------------------------------------------------------- failures in a row


def counting(runs: Iterable[Run]) -> list[Run]:
    """Return those of some ended runs whose ends are counted: their jobs, as they were claimed, have ``pause_on_failure``."""
    return [run for run in runs if run.job is not None and run.job.policy.pause_on_failure and counts(run)]


def counts(run: Run) -> bool:
    """Whether the end of a run is a failure, or a success after which counting begins anew."""
    return run.status == SUCCEEDED or run.status in FAILURES


def only_counted(pause: Pause) -> str | None:
    """Return what is kept of a pause that is over: the failures in a row; None: there are none."""
    if not pause.failures and pause.good is None:
        return None
    return text_of(Pause(failures=pause.failures, good=pause.good))


def count_ends(job: Job, runs: Sequence[Run], now: int) -> bool:
    """Count how runs of a job have ended, and pause it after so many failures in a row as it may have (``pause_on_failure``).

    They count in the order of their ends, whatever the order in which they are recorded. A paused job counts nothing, as resuming
    it begins anew; one on hold does, and is paused as well.

    :param job: the job as it is stored, with as many runs under way as are left after these; it is changed
    :param runs: runs that have ended now; the one that has its job paused is told so (``run.pauses``)
    :param now: instant
    :return: whether the job was changed; it needs a higher version then
    """
    for run in runs:
        if hasattr(run, "pauses"):  # of a try of the same step that came to nothing
            del run.pauses
    limit = job.policy.pause_on_failure
    pause = pause_of(job)
    if not limit or not (
        job.state == ACTIVE or (job.state == PAUSED and pause.hold is not None and pause.active)
    ):
        return False
    before, failures, good = job.paused, pause.failures or [], pause.good
    for run in sorted(filter(counts, runs), key=lambda run: run.finished_at or now):
        at = run.finished_at or now
        if good is not None and at <= good:
            continue
        if run.status == SUCCEEDED:
            good = at
            failures = [other for other in failures if other > at]
            continue
        failures = sorted([*failures, at])
        if len(failures) >= limit:
            _pause_after(job, pause, run, len(failures), now)
            return True
    pause.failures = failures or None
    # What ends of others are still to be recorded may be earlier ones.
    pause.good = good if failures or job.running > 0 else None
    if job.state == ACTIVE:
        job.paused = only_counted(pause)
    else:
        job.paused = text_of(pause)
    return job.paused != before


def _pause_after(job: Job, pause: Pause, run: Run, count: int, now: int) -> None:
    """Pause a job after failures, of which a run is the last."""
    which = f"{count} failures in a row, the last of them" if count > 1 else "the failure of"
    what = ": ".join(text for text in (run.error_type, run.error) if text) or run.reason or ""
    when = f"{run.scheduled_run_time.isoformat(sep=' ')} (attempt {run.attempt}, {run.status})"
    said = shortened(f"{which} the run of {when}{f': {what}' if what else ''}", LONGEST_NOTE)
    is_active = job.state == ACTIVE
    since = job.next_nominal if is_active else pause.since
    is_held = pause.hold is not None
    active, held = (False, pause.held or pause.at) if is_held else (None, None)
    job.set_next(None)
    job.paused = text_of(Pause(since, now, None, said, pause.hold, active, held=held))
    job.revision += 1
    run.pauses = said, job.revision
