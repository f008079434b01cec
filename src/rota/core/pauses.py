"""How a job was paused or put on hold: what a store keeps of it in one text, and what resuming owes the ledger.

Pure.
"""

from __future__ import annotations

from json import dumps, loads

from .plan import AFTER_RUN, latest, record_of
from .states import PAUSED, SKIPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..job.handle import Job
    from .run import Run

#: The longest note (characters).
LONGEST_NOTE = 500

#: what a pause keeps, and of which types it is
_KINDS: dict[str, type] = {"since": int, "at": int, "until": int, "note": str, "hold": str, "active": bool}


class Pause:
    """How a job was paused.

    :ivar int | None since: the nominal time that it owed then (instant); None: it had none
    :ivar int | None at: when (instant)
    :ivar int | None until: when it goes on by itself (instant)
    :ivar str | None note: why, in words
    :ivar str | None hold: why it is on hold, in words; None: it is not
    :ivar bool | None active: of a job on hold, whether it goes on when it is released; else somebody has paused it as well
    """

    __slots__ = ("active", "at", "hold", "note", "since", "until")

    def __init__(
        self,
        since: int | None = None,
        at: int | None = None,
        until: int | None = None,
        note: str | None = None,
        hold: str | None = None,
        active: bool | None = None,
    ) -> None:
        self.since = since
        self.at = at
        self.until = until
        self.note = note
        self.hold = hold
        self.active = active


def text_of(pause: Pause) -> str:
    """Return a pause as a stored text."""
    values = {name: value for name in _KINDS if (value := getattr(pause, name)) is not None}
    return dumps(values, ensure_ascii=False, separators=(",", ":"))


def pause_of(job: Job) -> Pause:
    """Return how a job was paused, as far as that is known and sound."""
    pause = Pause()
    try:
        values = loads(job.paused or "{}")
        for name, kind in _KINDS.items():
            if type(values.get(name)) is kind:
                setattr(pause, name, values[name])
    except (ValueError, TypeError, AttributeError, RecursionError):
        pass
    return pause


def note_of(job: Job) -> str | None:
    """Return why a job was paused or put on hold, in words; None: nobody has said."""
    pause = pause_of(job)
    return pause.note if pause.hold is None else pause.hold or pause.note


def is_on_hold(job: Job) -> bool:
    """Whether a job is on hold."""
    return job.paused is not None and job.state == PAUSED and pause_of(job).hold is not None


def left_out(job: Job, pause: Pause, reason: str, now: int) -> Run | None:
    """Return the record of the times before ``now`` that a job does not run as it was paused, None if there are none.

    A time that it goes on with is not among them: a date that has passed is still to come for a job that is resumed.

    :param reason: "paused" or "on hold"
    :param now: instant from which on it is planned again
    :raises Exception: whatever the job's trigger raises
    """
    first, following = pause.since, job.trigger.first(now)
    end = now if following is None else min(now, following)
    if first is None or first == AFTER_RUN or first >= end:  # its next time was to come after a run
        return None
    if job.trigger.follows_end:  # one time is owed, and the next is counted from now
        return record_of(job, first, first, 1, SKIPPED, reason, now)
    last, count = latest(job.trigger, first, end - 1)
    return record_of(job, first, last, count, SKIPPED, reason, now)
