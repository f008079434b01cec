"""Walks over the times of triggers that can only be asked for one after another: they may take several passes.

Pure but for what it remembers of walks that are not over. How long a walk takes changes nothing of what it comes to.
"""

from __future__ import annotations

from .. import work
from ..errors import TooMuchWorkError
from ..triggers.base import WALK_LIMIT, BaseTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from typing import Any

    from ..job.handle import Job


#: How many steps a part of a walk takes (some milliseconds).
PART = work.STEPS // 200


class NotYet(Exception):
    """A walk is to go on in a later pass; its job stays due, and nothing is decided about it."""


class _Walk:
    """How far the walks for one plan of a job have come."""

    __slots__ = ("found", "now", "version")

    def __init__(self, version: int, now: int) -> None:
        self.version = version
        self.now = now
        #: for each range that was asked for: the last time in it so far, how many there are, and whether these are all
        self.found: dict[tuple[int, int], tuple[int, int, bool]] = {}


class Walks:
    """The walks of the jobs of one store. A plan that goes on in a later pass is made by the time at which it began.

    :param goes_on: returns whether the walk under way may take another step in this pass; each takes one at least
    """

    __slots__ = ("_begun", "_goes_on", "now")

    def __init__(self, goes_on: Callable[[], bool]) -> None:
        self._goes_on = goes_on
        self._begun: dict[str, _Walk] = {}
        #: the instant by which plans are made that begin now
        self.now = 0

    def __bool__(self) -> bool:
        return bool(self._begun)

    def time_of(self, job: Job) -> int:
        """Return the instant by which a job is planned: that of its walk, unless the job was changed or the clock set back."""
        walk = self._begun.get(job.id)
        if walk is not None and walk.version == job.version and walk.now <= self.now:
            return walk.now
        self._begun.pop(job.id, None)
        return self.now

    def latest(self, job: Job, first: int, end: int) -> tuple[int, int]:
        """Return the last nominal time of a job from one to another, and how many there are; of very many, some.

        :raises NotYet: if the walk is not over
        """
        walk = self._begun.get(job.id)
        if walk is None:
            walk = self._begun[job.id] = _Walk(job.version, self.now)
        trigger, key = job.trigger, (first, end)
        last, count, is_over = walk.found.get(key, (first, 1, False))
        while not is_over:
            try:
                following = trigger.after(last, last)
            except TooMuchWorkError:
                if count == 1:
                    raise
                following = None
            if following is None or following > end or count >= WALK_LIMIT:
                is_over = True
            elif goes_in_parts(trigger):
                last, more = work.within(PART, trigger.latest, following, end)
                count += more
            else:
                last, count = following, count + 1
            walk.found[key] = last, count, is_over
            if not is_over and not self._goes_on():
                raise NotYet
        return last, count

    def is_over(self, job_id: str) -> None:
        """Take note that a job was planned."""
        self._begun.pop(job_id, None)

    def keep(self, ids: Container[str]) -> None:
        """Forget the walks of all jobs but these."""
        self._begun = {job_id: walk for job_id, walk in self._begun.items() if job_id in ids}


def goes_in_parts(trigger: Any) -> bool:
    """Whether a trigger walks over its times, as far as the steps of a call go: then it can be asked for one part after another."""
    return getattr(trigger, "goes_in_parts", False)  # some are only registered as triggers


def walks_by_step(trigger: Any) -> bool:
    """Whether a trigger has no other way to find the last of its times in a range than to ask for each."""
    return getattr(type(trigger), "latest", None) is BaseTrigger.latest and not trigger.counts_work
