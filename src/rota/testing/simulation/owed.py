"""Which times jobs have in a simulation, and which of them paused ones owe: these have a record when they are owed no more.

It is told by the audit, and looks at no store.
"""

from __future__ import annotations

from ...core.chains import SKIPPED_AHEAD
from ...core.pauses import RESCHEDULED
from ...core.states import ACTIVE, ENDED, PAUSED, SKIPPED
from .balance import Segment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.plan import Decision
    from ...core.run import Run
    from .seen import Snapshot


class Owed:
    """What paused jobs owe: their times from the one on that they had when they were paused.

    :param segments: the parts of the lives of jobs, in which each time has to have a record in the end; more are added
    :param count: adds to a number of the report
    """

    def __init__(self, segments: dict[str, list[Segment]], count: Callable[..., None]) -> None:
        self._segments = segments
        self._count = count
        self._of_job: dict[str, Segment] = {}

    def of(self, job_id: str) -> Segment | None:
        """Return what a job owes that is paused, None if that is nothing."""
        return self._of_job.get(job_id)

    def changed(
        self, job_id: str, before: Snapshot | None, after: Snapshot | None, since: int | None
    ) -> None:
        """Take note that a job was added, changed or removed.

        :param since: when the change began, by the clock that counts
        """
        if before is not None and after is not None:
            same = (after.next_nominal, after.state) == (before.next_nominal, before.state)
            if same and after.trigger == before.trigger:
                return
        segments = self._segments.setdefault(job_id, [])
        owed = self._of_job.pop(job_id, None)
        if before is not None and after is not None:
            self._change(job_id, owed, before, after, since)
        if before is not None and before.next_nominal is not None and segments:
            segments[-1].end = before.next_nominal
        if after is not None and after.next_nominal is not None:
            segments.append(Segment(after.next_nominal, after.trigger))

    def _change(
        self, job_id: str, owed: Segment | None, before: Snapshot, after: Snapshot, since: int | None
    ) -> None:
        """Demand a record of the times that a job does not owe any more.

        They are those of the trigger that it had, before it was changed and before those of its new schedule.
        """
        is_same = after.trigger == before.trigger
        if owed is None:
            # One that is given a trigger without a time to come is paused, too, and owes nothing.
            if (
                is_same
                and before.state == ACTIVE
                and after.state == PAUSED
                and before.next_nominal is not None
            ):
                self._of_job[job_id] = Segment(before.next_nominal, before.trigger)
        elif after.state == PAUSED and is_same:
            self._of_job[job_id] = owed
        elif since is not None:
            following = after.trigger.first(since)
            if after.state == PAUSED and following is not None:
                self._of_job[job_id] = Segment(following, after.trigger)
            owed.end = since if after.next_nominal is None else min(since, after.next_nominal)
            if owed.first < owed.end:
                self._segments[job_id].append(owed)
                self._count("edited with times left out")

    def recorded(self, decision: Decision, record: Run) -> None:
        """Take note of a record beside the schedule of a job; of times that it left out: ahead, paused, or waiting for room.

        They may not come again: another schedule may have followed.
        """
        job, is_ahead = decision.job, record.reason == SKIPPED_AHEAD
        if record.status != SKIPPED and not is_ahead:
            self._count("recorded late")
            return
        segments = self._segments.setdefault(job.id, [])
        if is_ahead and decision.state == ENDED and segments:
            segments[-1].exhausted = True
        left_out = Segment(record.nominal, job.trigger)
        left_out.end = record.last + 1
        segments.insert(0, left_out)  # the last is the one that the job goes on with
        why = "as it was rescheduled" if record.reason == RESCHEDULED else "while it was paused"
        self._count(f"left out {'ahead' if is_ahead else why}", record.count)
