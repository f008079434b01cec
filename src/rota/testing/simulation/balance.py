"""Whether a ledger adds up in a simulation: each nominal time that a job had is in exactly one record.

It compares what it is given; it looks at no store.
"""

from __future__ import annotations

from ...core.states import CANCELLED, FAILED, PAUSED, SUCCEEDED
from .attempts import name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ...core.run import Run
    from ...triggers.base import BaseTrigger


class Snapshot:
    """What the store says about a job at one moment."""

    __slots__ = (
        "max_instances",
        "next_due",
        "next_nominal",
        "running",
        "state",
        "trigger",
        "version",
    )

    def __init__(self, job: Any) -> None:
        self.version: int = job.version
        self.state: str = job.state
        self.next_nominal: int | None = job.next_nominal
        self.next_due: int | None = job.next_due
        self.running: int = job.running
        self.trigger: BaseTrigger = job.trigger
        self.max_instances: int = job.policy.max_instances


class Segment:
    """A part of a job's life in which its trigger alone gave the times: from ``first`` up to ``end``, which is not included."""

    __slots__ = ("end", "exhausted", "first", "trigger")

    def __init__(self, first: int, trigger: BaseTrigger) -> None:
        self.first = first
        self.trigger = trigger
        self.end: int | None = None
        self.exhausted = False


class Balance:
    """Walks over the nominal times of jobs.

    :param order: in which order nominal times got their records
    :param require: raises unless what it is given holds
    :param count: adds to a number of the report
    """

    def __init__(
        self,
        order: Mapping[tuple[str, int], int],
        require: Callable[[object, str], None],
        count: Callable[[str], None],
    ) -> None:
        self._order = order
        self._require = require
        self._count = count

    def walk(self, job_id: str, segment: Segment, covered: dict[int, Run], records: Sequence[Run]) -> None:
        """Check that each nominal time of a segment is in exactly one record, and take those off the list.

        A job that came back has times that an earlier segment had, in one record.
        """
        nominal: int | None = segment.first
        while nominal is not None and (segment.exhausted or segment.end is None or nominal < segment.end):
            record = covered.pop(nominal, None)
            if record is None and any(other.nominal <= nominal <= other.last for other in records):
                self._count("had a record already")
                nominal = segment.trigger.after(nominal, nominal)
                continue
            self._require(record is not None, f"{name((job_id, nominal))} is in no record")
            assert record is not None
            last, number = nominal, 1
            while last < record.last:
                following = segment.trigger.after(last, last)
                self._require(
                    following is not None and following <= record.last, f"{record!r} ends between two times"
                )
                assert following is not None
                # A later one comes from a clock that was set back before its job was added again, which no claim can see.
                order = self._order[job_id, record.nominal]
                self._require(
                    self._order.get((job_id, following), order) >= order,
                    f"{name((job_id, following))} has a record of its own and is in {record!r}",
                )
                last, number = following, number + 1
            self._require(
                number == record.count, f"{record!r} stands for {number} times, but counts {record.count}"
            )
            nominal = segment.trigger.after(last, last)


def is_beside_the_schedule(decision: Decision, seen: Snapshot | None) -> bool:
    """Whether a claim leaves its job's next time as it is, and at most records what was under way, or left out.

    :param seen: the job as it was before
    """
    return (
        not decision.runs
        and all(
            record.status in (SUCCEEDED, FAILED, CANCELLED)
            or (seen is not None and seen.state == PAUSED and record.reason == "paused")
            for record in decision.records
        )
        and seen is not None
        and seen.next_nominal == decision.next_nominal
    )
