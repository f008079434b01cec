"""What is planned of due jobs: what stands in their way is looked at first, and an error with one stops that one alone.

It reads the store, and writes nothing; what becomes of a job is decided in :mod:`rota.core.plan`.
"""

from __future__ import annotations

from ..core.plan import plan, quarantine, superseding
from ..core.policy import Policy
from ..core.states import QUARANTINED
from ..core.walks import NotYet
from ..interrupts import is_interrupt
from ..texts import error_text, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from ..core.plan import Decision
    from ..core.run import Run
    from ..core.walks import Walks
    from ..job.handle import Job
    from ..logs import GuardedLogger
    from .store_state import StoreState

_NONE: Mapping[str, Sequence[Run]] = {}


class Met:
    """What due jobs meet, by their ids.

    :param retries: the waiting runs that end with the claims of their next times
    :param rooms: when a place came free for which a job has waited (instant)
    :param waits: the jobs whose times wait for room whatever their policy is
    """

    __slots__ = ("retries", "rooms", "waits")

    def __init__(
        self, retries: Mapping[str, Sequence[Run]], rooms: Mapping[str, int], waits: Container[str]
    ) -> None:
        self.retries = retries
        self.rooms = rooms
        self.waits = waits


def what_is_met(state: StoreState, jobs: Sequence[Job], now: int, logger: GuardedLogger) -> Met | None:
    """Return what due jobs meet; None, as nearly always: nothing that the jobs themselves do not say."""
    retries = _NONE
    busy = [job for job in jobs if job.running]
    if busy:
        from .busy import look_at_busy  # import time

        retries = look_at_busy(state, busy, logger)
    asked, backfills = state.asked, None
    if busy and state.store.durable and any(map(_leaves_out, busy)):
        # Another node may have begun a backfill since this one has asked, and no time is left out for that.
        asked.know(state.store.backfills())
    if asked.backfills or asked.backfilled:
        backfills = asked.backfills.keys() | asked.backfilled
    if not Policy.some_wait and not backfills:
        return Met(retries, {}, ()) if retries else None
    from .rooms import meet_backfills, rooms_came  # rare

    rooms = rooms_came(state.store, jobs, backfills or (), now)
    waits = meet_backfills(state.store, jobs, backfills) if backfills else ()
    asked.backfilled.difference_update(job.id for job in jobs if job.id not in waits)
    return Met(retries, rooms, waits) if retries or rooms or waits else None


def _leaves_out(job: Job) -> bool:
    """Whether a due time of a job would be left out for its runs that are under way."""
    return job.running >= job.policy.limit and not job.policy.waits_for_room


def decide(job: Job, now: int, walks: Walks | None, met: Met | None = None) -> Decision | None:
    """Plan one job; an error with it stops this job alone. None: planning it goes on in a later pass."""
    if job.state == QUARANTINED:
        return quarantine(job, job.error or "it could not be restored")
    try:
        if met is None:
            return plan(job, now, walks)
        id, retries = job.id, met.retries.get(job.id, ())
        decision = plan(job, now, walks, len(retries), met.rooms.get(id), id in met.waits)
        return superseding(decision, retries)
    except BaseException as exc:  # a trigger may raise anything
        if is_interrupt(exc):
            raise
        if type(exc) is NotYet:
            return None
        return quarantine(job, f"planning failed: {shortened(error_text(exc))}")
