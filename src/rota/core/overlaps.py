"""``overlap``: what happens to a due time whose job already has as many runs under way as it may.

Pure. A job whose due time waits for room is held with its oldest owed time, which has no record yet. The stores let it go on (R6).
"""

from __future__ import annotations

from ..errors import JobValueError
from ..texts import repr_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..triggers.base import BaseTrigger

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
#: Why a time is skipped that finds no place, and one that was merged into a later one.
MAX_INSTANCES, COALESCED = "max_instances", "coalesced"


def left_out(overlap: str, is_newest: bool) -> str | None:
    """Return why a run of a chain is skipped that finds no place of its job free; None: it waits for one.

    :param overlap: the job's
    :param is_newest: whether no later run of a chain waits for a place of this job
    """
    if overlap == SKIP:
        return MAX_INSTANCES
    return None if is_newest or overlap == BUFFER_ALL else COALESCED


def check_overlap(overlap: str, trigger: BaseTrigger) -> None:
    """Refuse a trigger whose times could not wait for room.

    :raises JobValueError: if that is so
    """
    if overlap in BUFFERING and trigger.follows_end:
        raise JobValueError(
            f"overlap must be another than {repr_of(overlap)} with a trigger that counts from the end of a run, got {trigger}; its "
            f"next time comes after that anyway. Leave overlap out"
        )
