"""Jobs whose pause is over: they go on by themselves, and what they left out is recorded.

It looks and decides; the pass carries the decisions out.
"""

from __future__ import annotations

from ..core.pauses import goes_on_with, left_out, pause_of
from ..core.plan import Decision, due_time
from ..core.queries import JobQuery
from ..core.states import ACTIVE, ENDED, PAUSED
from ..interrupts import is_interrupt

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore

_PAUSED = JobQuery(states={PAUSED})


def over(store: BaseJobStore) -> Iterator[tuple[list[Job], int | None]]:
    """Return the jobs whose pause is over, and when the next one will be (instant), in steps of one page of the paused ones.

    Nothing is returned if these are few, and no pause has an end.
    """
    cursor = None
    while True:
        page = store.find_jobs(_PAUSED, 200, cursor)
        now = store.now()
        ends = [
            (until, job)
            for job in page.items
            if job.paused is not None and (until := pause_of(job).until) is not None
        ]
        cursor = page.cursor
        if ends or cursor is not None:
            ahead = [until for until, _ in ends if until > now]
            yield [job for until, job in ends if until <= now], min(ahead, default=None)
        if cursor is None:
            return


def resumed(jobs: Sequence[Job], now: int) -> Iterator[Decision]:
    """Return the decisions to let paused jobs go on; one whose trigger raises, or that is on hold, stays as it is."""
    for job in jobs:
        pause = pause_of(job)
        if job.state != PAUSED or pause.hold is not None:
            continue
        decision = Decision(job)
        try:
            record, following = left_out(job, pause, "paused", now), goes_on_with(pause, now)
            if following is None and not pause.over:
                following = job.trigger.first(now)
            if following is not None:
                decision.next_nominal, decision.next_due = following, due_time(job, following)
        except BaseException as exc:  # a trigger may raise anything
            if is_interrupt(exc):
                raise
            continue
        decision.state = ACTIVE if following is not None else ENDED
        if record is not None:
            decision.records.append(record)
        yield decision
