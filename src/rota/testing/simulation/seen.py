"""What the audit of a simulation has seen of jobs, and what it sees in a decision about them.

Pure: it compares what it is given.
"""

from __future__ import annotations

from ...clock import HELD
from ...core.chains import SKIPPED_AHEAD
from ...core.pauses import RESCHEDULED
from ...core.states import ACTIVE, CANCELLED, ENDED, FAILED, PAUSED, SUCCEEDED, TIMED_OUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...core.plan import Decision
    from ...triggers.base import BaseTrigger


class Snapshot:
    """What the store says about a job at one moment."""

    __slots__ = (
        "max_instances",
        "next_due",
        "next_nominal",
        "running",
        "spare",
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
        self.max_instances: int = job.policy.limit
        self.spare: int = job.policy.spare

    @property
    def waits_in_vain(self) -> bool:
        """Whether the job waits for its runs though so many have ended that it could go on (R6)."""
        return self.state == ACTIVE and self.next_due == HELD and self.running <= self.spare


def waits_wrongly(job: Snapshot, under_way: int, now: int) -> str | None:
    """Return what is wrong with an active job: that it counts its runs wrongly, or waits for something else; None: nothing.

    :param under_way: how many of its runs are
    """
    if job.running != under_way:
        return f"counts {job.running} runs under way; there are {under_way}"
    if job.next_due == HELD:
        return None if under_way > job.spare else f"waits for runs that have ended, beside {under_way}"
    return None if job.next_due is not None and job.next_due > now else f"is overdue: {job.next_due}"


def is_beside_the_schedule(decision: Decision, seen: Snapshot | None) -> bool:
    """Whether a claim leaves its job's next time as it is, and at most records what was under way, or left out.

    :param seen: the job as it was before
    """
    if seen is not None and is_left_out_ahead(decision):
        return True
    return (
        not decision.runs
        and not is_end_of_pause(decision, seen)
        and all(
            record.status in (SUCCEEDED, FAILED, CANCELLED, TIMED_OUT)
            or (seen is not None and seen.state == PAUSED and record.reason == "paused")
            or record.reason == RESCHEDULED
            for record in decision.records
        )
        and seen is not None
        and seen.next_nominal == decision.next_nominal
    )


def is_left_out_ahead(decision: Decision) -> bool:
    """Whether a claim records times to come that somebody has cancelled; its job's next time may be among them."""
    records = decision.records
    return bool(records) and all(record.reason == SKIPPED_AHEAD for record in records) and not decision.runs


def is_end_of_pause(decision: Decision, seen: Snapshot | None) -> bool:
    """Whether a claim lets a paused job go on.

    :param seen: the job as it was before
    """
    return seen is not None and seen.state == PAUSED and decision.state in (ACTIVE, ENDED)
