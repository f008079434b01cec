"""Due jobs that this node leaves to others, as it lacks a resource that they need; and what is said if no other takes them.

It claims nothing and stores nothing.
"""

from __future__ import annotations

from ..callables import lacking
from ..clock import MINUTE
from .announcements import local
from .backoff import LONGEST_PAUSE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..job.handle import Job
    from .backoff import Unclaimed
    from .outlet import Outlet


class Lacking:
    """The due jobs of one store that this node cannot run for want of a resource.

    :param outlet: the scheduler, as its engine sees it
    :param unclaimed: the due jobs that were not claimed
    """

    __slots__ = ("_outlet", "_since", "_unclaimed")

    def __init__(self, outlet: Outlet, unclaimed: Unclaimed) -> None:
        self._outlet = outlet
        self._unclaimed = unclaimed
        #: by job id: its nominal time, since when it has been left (monotonic microseconds), why, and whether that was told.
        #: Replaced, never changed: other threads read it
        self._since: dict[str, tuple[int | None, int, str, bool]] = {}

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
                self._outlet.logger.warning('Job "%s" does not run: %s', job.id, why)
            since[job.id] = (job.next_nominal, began, why, is_told)
        self._since = since
        return found

    def report(self) -> dict[str, str]:
        """Return why jobs do not run that have been due for a minute, by their ids."""
        elapsed = self._outlet.clock.monotonic()
        return {
            id: why
            for id, (_, began, why, _) in self._since.items()
            if elapsed - began >= MINUTE and id in self._unclaimed
        }


def _why(job: Job, names: Sequence[str]) -> str:
    what = ", ".join(map(repr, names))
    due = "" if job.next_due is None else f"it is due since {local(job, job.next_due)}, and "
    return (
        f"{due}no living node has the resource {what} that it needs; set scheduler.resources on one of them"
    )
