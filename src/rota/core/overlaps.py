"""``overlap``: what a due time of a job meets while as many of its runs are under way as may be.

Pure. A job whose due time waits for room is held with its oldest owed time, which has no record yet. The stores let it go on (R6).
"""

from __future__ import annotations

from ..errors import JobValueError
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..triggers.base import BaseTrigger
    from .run import Run

#: The time is recorded as skipped.
SKIP = "skip"
#: The newest owed time runs when a place comes free.
BUFFER_ONE = "buffer_one"
#: Every owed time runs, the oldest first.
BUFFER_ALL = "buffer_all"
#: The oldest run is asked to stop; a worker process is ended; the time waits as with BUFFER_ONE.
CANCEL_OTHER = "cancel_other"
TERMINATE_OTHER = "terminate_other"
#: There is no limit.
ALLOW_ALL = "allow_all"

OVERLAPS = (SKIP, BUFFER_ONE, BUFFER_ALL, CANCEL_OTHER, TERMINATE_OTHER, ALLOW_ALL)
#: With these a due time waits until a run has ended by itself.
BUFFERING = frozenset((BUFFER_ONE, BUFFER_ALL))
#: With these the oldest run makes room.
REPLACING = frozenset((CANCEL_OTHER, TERMINATE_OTHER))
#: With these a due time waits for room.
WAITING_FOR_ROOM = BUFFERING | REPLACING
#: How many runs may be under way with ALLOW_ALL: more than any store or node has.
NO_LIMIT = 1_000_000_000
#: Why a run is cancelled whose place a later time is to have.
REPLACED = "replaced"


def check_overlap(overlap: str, trigger: BaseTrigger) -> None:
    """Refuse a trigger whose times could not wait for room.

    :raises JobValueError: if that is so
    """
    if overlap in BUFFERING and trigger.follows_end:
        raise JobValueError(
            f"overlap must be another than {repr_of(overlap)} with a trigger that counts from the end of a run, got {trigger}; its "
            f"next time comes after that anyway. Leave overlap out"
        )


def room_came(due: int, limit: int, runs: Iterable[Run]) -> int | None:
    """Return when a place came free for a due time that has waited for room (instant); None: it need not have waited.

    Lateness counts from then. What counts as under way at a time are the runs for earlier times that had not ended before it.

    :param due: the due time
    :param limit: how many runs may be under way
    :param runs: records of the job with earlier nominal times
    """
    ends = sorted(
        run.finished_at
        for run in runs
        if run.started_at is not None and run.finished_at is not None and run.finished_at >= due > run.due
    )
    return ends[len(ends) - limit] if len(ends) >= limit else None


def oldest(runs: Iterable[Run]) -> Run | None:
    """Return the run that is to make room for a later time: the one with the oldest nominal time; None: there is none."""
    return min(runs, key=lambda run: run.nominal, default=None)
