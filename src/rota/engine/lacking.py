"""Due jobs and waiting runs that this node leaves to others, as it lacks a resource, and what is said if no other takes them.

It claims nothing and stores nothing.
"""

from __future__ import annotations

from ..callables import lacking
from ..clock import MINUTE, SECOND
from ..core.states import PAUSED, QUARANTINED, WAITING
from .announcements import local
from .backoff import LONGEST_PAUSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..job.handle import Job
    from ..jobstores.base import BaseJobStore
    from .backoff import Unclaimed
    from .outlet import Outlet

#: How often waiting runs that nobody starts are looked through, at most (microseconds), and how many of them.
LOOK = 10 * SECOND
LOOKED_AT = 100


class Lacking:
    """The jobs of one store that this node cannot run for want of a resource: those that are due, or have runs that wait.

    :param outlet: the scheduler, as its engine sees it
    :param store: the store
    :param unclaimed: the due jobs that were not claimed
    :param next_waiting: returns when the earliest waiting run may start (instant), as far as is known
    """

    __slots__ = ("_look_at", "_next_waiting", "_outlet", "_since", "_store", "_unclaimed", "_waiting")

    def __init__(
        self,
        outlet: Outlet,
        store: BaseJobStore,
        unclaimed: Unclaimed,
        next_waiting: Callable[[], int | None],
    ) -> None:
        self._outlet = outlet
        self._store = store
        self._unclaimed = unclaimed
        self._next_waiting = next_waiting
        #: by job id: its nominal time, since when it has been left (monotonic microseconds), why, and whether that was told.
        #: Replaced, never changed: other threads read it
        self._since: dict[str, tuple[int | None, int, str, bool]] = {}
        #: by job id: why a run of it waits, which has been told; and when to look again (monotonic microseconds)
        self._waiting: dict[str, str] = {}
        self._look_at = 0

    def without(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those of the due jobs that this node can run; the others are looked at again after a pause."""
        elapsed = self._outlet.clock.monotonic()
        since = {id: left for id, left in self._since.items() if id in self._unclaimed}
        found = []
        for job in jobs:
            names = lacking(job)
            if not names:
                found.append(job)
                since.pop(job.id, None)
                continue
            self._unclaimed.set_aside(job.id, LONGEST_PAUSE, elapsed)
            nominal, began, why, is_told = since.get(job.id, (None, elapsed, "", False))
            if nominal != job.next_nominal:
                began, why, is_told = elapsed, _why(job, names), False
            elif elapsed - began >= MINUTE and not is_told:
                is_told = True
                self._tell(job.id, why)
            since[job.id] = (job.next_nominal, began, why, is_told)
        self._since = since
        return found

    def look_at_waiting(self) -> None:
        """Look which runs have been waiting for somebody who can start them, a while after the last look."""
        from ..core.extras import extra_of  # rare
        from ..core.queries import RunQuery

        elapsed = self._outlet.clock.monotonic()
        if elapsed < self._look_at:
            return
        self._look_at = elapsed + LOOK
        store, found = self._store, dict[str, str]()
        now = store.now()
        for run in store.find_runs(RunQuery(statuses=WAITING), LOOKED_AT).items:
            since = extra_of(run).not_before
            if run.job_id in found or since is None or now - since < MINUTE:
                continue
            job = store.lookup_job(run.job_id)
            # One that is under way has what it needs somewhere; its other runs wait for that.
            if job is None or job.running or job.state in (PAUSED, QUARANTINED):
                continue
            names = lacking(job)
            if names:
                why = f"a run of it waits since {local(job, since)}, and {_lacks(names)}"
                found[job.id] = self._waiting.get(job.id) or why
        for job_id in found.keys() - self._waiting.keys():
            self._tell(job_id, found[job_id])
        self._waiting = found

    def _tell(self, job_id: str, why: str) -> None:
        self._outlet.logger.warning('Job "%s" does not run: %s', job_id, why)

    def report(self) -> dict[str, str]:
        """Return why jobs do not run that have been due, or have a run that could start, for a minute, by their ids."""
        elapsed = self._outlet.clock.monotonic()
        earliest = self._next_waiting()  # another node may have started it
        stays = earliest is not None and self._store.now() - earliest >= MINUTE
        return (self._waiting if stays else {}) | {
            id: why
            for id, (_, began, why, _) in self._since.items()
            if elapsed - began >= MINUTE and id in self._unclaimed
        }


def _why(job: Job, names: Sequence[str]) -> str:
    due = "" if job.next_due is None else f"it is due since {local(job, job.next_due)}, and "
    return f"{due}{_lacks(names)}"


def _lacks(names: Sequence[str]) -> str:
    what = ", ".join(map(repr, names))
    return f"no living node has the resource {what} that it needs; set scheduler.resources on one of them"
