"""How long is waited after trouble: with a store that fails, and with due jobs that could not be claimed.

It remembers and counts; the passes ask it.
"""

from __future__ import annotations

from ..clock import SECOND
from ..errors import StoreError, StoreReplacedError
from ..events import (
    EVENT_JOBSTORE_REPLACED,
    EVENT_SCHEDULER_DEGRADED,
    EVENT_SCHEDULER_RECOVERED,
    SchedulerHealthEvent,
)
from ..texts import error_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ..core.plan import Decision
    from ..job.handle import Job
    from .outlet import Outlet

#: The first pause before a due job is tried again that could not be claimed, and the longest (microseconds); they double.
FIRST_PAUSE = SECOND // 100
LONGEST_PAUSE = SECOND


class BackOff:
    """What is remembered of the errors of one store, and how long it is left alone."""

    __slots__ = ("_alias", "_outlet", "error", "failures", "replaced", "retry_at")

    def __init__(self, outlet: Outlet, alias: str) -> None:
        self._outlet = outlet
        self._alias = alias
        self.failures = 0
        self.error: str | None = None
        #: monotonic microseconds; None: at once
        self.retry_at: int | None = None
        #: True after it was noticed that the store is not the one that was opened, until it is opened anew
        self.replaced = False

    def left(self) -> float:
        """Return the seconds for which the store is still left alone."""
        return 0 if self.retry_at is None else max(self.retry_at - self._outlet.clock.monotonic(), 0) / SECOND

    @property
    def is_on(self) -> bool:
        """Whether nothing is written to the store for a while after an error."""
        return self.replaced or self.left() > 0

    def failed(self, exc: BaseException, doing: str) -> None:
        """Note an error of the store: back off (exponentially, with jitter), and say so once."""
        from random import random  # import time

        outlet = self._outlet
        self.failures += 1
        if issubclass(type(exc), StoreReplacedError):
            self._was_replaced(exc)
            return
        pause = min(outlet.retry_interval, 0.1 * 2 ** min(self.failures, 16)) * (0.75 + random() / 2)
        self.retry_at = outlet.clock.monotonic() + int(pause * SECOND)
        self.error = error_text(exc)
        outlet.logger.warning(
            "Error %s in job store %r: %s (trying again in %.1f s)",
            doing,
            self._alias,
            self.error,
            pause,
            exc_info=exc if self.failures == 1 and not issubclass(type(exc), StoreError) else None,
        )
        if self.failures == 1:
            outlet.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_DEGRADED, self._alias, self.error))
        outlet.wake()

    def _was_replaced(self, exc: BaseException) -> None:
        """Say once that the store is not the one that was opened; the next pass opens what is there now."""
        outlet, again = self._outlet, self.replaced
        self.replaced = True
        self.retry_at = outlet.clock.monotonic() + (SECOND if again else 0)
        self.error = error_text(exc)
        if not again:
            outlet.logger.error("Job store %r: %s", self._alias, self.error)
            outlet.dispatch(SchedulerHealthEvent(EVENT_JOBSTORE_REPLACED, self._alias, self.error))
        if self.failures == 1:
            outlet.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_DEGRADED, self._alias, self.error))
        outlet.wake()

    def recovered(self) -> None:
        """Say that the store works again."""
        self._outlet.logger.info("Job store %r works again after %d errors", self._alias, self.failures)
        self.failures, self.retry_at, self.error = 0, None, None
        self._outlet.dispatch(SchedulerHealthEvent(EVENT_SCHEDULER_RECOVERED, self._alias))


class Unclaimed:
    """The jobs of one store that were due, and could not be claimed."""

    __slots__ = ("_jobs", "hanging", "late")

    def __init__(self) -> None:
        #: by job id: the pause after which it is tried again, and when that is over (monotonic microseconds)
        self._jobs: dict[str, tuple[int, int]] = {}
        #: id and version of jobs whose trigger hangs in a call that was left behind; they are not tried until it returns.
        #: Replaced, never changed: other threads read it
        self.hanging: frozenset[tuple[str, int]] = frozenset()
        #: what came of such a call when it returned, by the same; the next pass carries it out. Threads put in, passes take out
        self.late: dict[tuple[str, int], Decision] = {}

    def __bool__(self) -> bool:
        return bool(self._jobs or self.hanging or self.late)

    def __contains__(self, job_id: object) -> bool:
        return job_id in self._jobs

    def come_back_to(self, job_id: str, elapsed: int) -> None:
        """Take note that a due job is not planned to the end yet."""
        self._jobs[job_id] = (FIRST_PAUSE, elapsed + 2 * FIRST_PAUSE)

    def set_aside(self, job_id: str, pause: int, elapsed: int) -> None:
        """Take note of a due job that is not to be claimed here; it is looked at again after a pause (microseconds)."""
        self._jobs[job_id] = (pause, elapsed + pause)

    def widened(self, room: Mapping[str, int]) -> dict[str, int]:
        """Return how many due jobs to ask for, so that the unclaimed ones take nobody's place."""
        more = len(self._jobs) + len(self.hanging)
        return {alias: free + more for alias, free in room.items()}

    def ready(self, jobs: Sequence[Job], room: Mapping[str, int], elapsed: int) -> list[Job]:
        """Return those of the due jobs that are to be tried now, at most so many for each executor.

        Those that are not due any more are forgotten.
        """
        self._jobs = {job.id: self._jobs[job.id] for job in jobs if job.id in self._jobs}
        if self.late:
            due = {(job.id, job.version) for job in jobs}
            for key in [key for key in self.late if key not in due]:
                self.late.pop(key, None)
        left, hanging = dict(room), self.hanging
        found = []
        for job in jobs:
            pause = self._jobs.get(job.id)
            if (job.id, job.version) in hanging or (pause is not None and pause[1] > elapsed):
                continue
            if left.get(job.executor, 0) > 0:
                left[job.executor] -= 1
                found.append(job)
        return found

    def note(self, decisions: Sequence[Decision], won: Sequence[Decision], elapsed: int) -> None:
        """Take note of what became of the decisions of a pass."""
        carried_out = {id(decision) for decision in won}
        for decision in decisions:
            job_id = decision.job.id
            before = self._jobs.pop(job_id, None)
            if id(decision) not in carried_out:
                pause = FIRST_PAUSE if before is None else min(2 * before[0], LONGEST_PAUSE)
                self._jobs[job_id] = (pause, elapsed + pause)

    def wait(self, upcoming: Sequence[Job], now: int, elapsed: int) -> int:
        """Return the microseconds until a job is to be tried, an unclaimed one or another, at most :data:`LONGEST_PAUSE`.

        :param upcoming: the jobs that are due until then
        """
        times = [until - elapsed for _, until in self._jobs.values()]
        times += [
            (job.next_due or now) - now
            for job in upcoming
            if job.id not in self._jobs and (job.id, job.version) not in self.hanging
        ]
        return max(min(times, default=LONGEST_PAUSE), 0)
