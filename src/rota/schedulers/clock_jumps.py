"""Clocks that were set, and machines that slept: noticing it, and what becomes of jobs that count elapsed time.

It is told what the clocks show; it reads none.
"""

from __future__ import annotations

from ..clock import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..jobstores.base import BaseJobStore

#: How far wall and monotonic clock may drift apart between two passes before it counts as a jump (microseconds).
JUMP = 2 * SECOND


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


def bring_forward(store: BaseJobStore, now: int) -> None:
    """After the clock was set back: elapsed-time jobs go on in their rhythm instead of reliving the time."""
    for job in store.get_all_jobs():
        nominal, interval = job.next_nominal, getattr(job.trigger, "microseconds", 0)
        if nominal is None or not job.trigger.elapsed or nominal - now <= interval:
            continue
        if job.trigger.start_given and job.trigger.first(now) == nominal:
            continue  # it waits for the start that it was given
        brought = nominal - (nominal - now - 1) // interval * interval
        changed = job.copy()
        changed.set_next(_free_phase(store, job.id, brought, interval))
        store.save_job(changed, job.version)


def _free_phase(store: BaseJobStore, job_id: str, nominal: int, interval: int) -> int:
    """Return a nominal time, or if that has a record the first instant after it whose interval meets none."""
    records = store.recorded({job_id: nominal}).get(job_id, ())
    if not any(first <= nominal for first, _, _ in records):
        return nominal
    taken = {(first - nominal) % interval for first, _, _ in records}
    return nominal + next((phase for phase in range(len(taken) + 1) if phase not in taken), 0)
