"""Rule R4 of the claim protocol: a nominal time is planned only if it has no record, however its job comes back.

Pure: records are handed in. It reads no ledger and may not store anything.
"""

from __future__ import annotations

from ..clock import HELD
from ..interrupts import is_interrupt
from ..texts import error_text, shortened
from .chains import SKIPPED_AHEAD
from .plan import latest, move_on, quarantined_instead, record_of
from .states import CANCELLED, MANUAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..job.handle import Job
    from ..triggers.base import BaseTrigger
    from .plan import Decision
    from .run import Run

    #: a record as this rule needs it: the first and the last nominal time that it stands for, and its status
    Recorded = tuple[int, int, str]

#: How many records of one job are read at most. If there are more, the claim meets them one by one.
MOST = 1000
#: How many records before an instant are searched for a range that reaches up to it: runs by hand may lie inside the range.
BEFORE = 20


def is_recorded(trigger: BaseTrigger, record: Recorded, nominal: int) -> bool:
    """Whether a record stands for a nominal time.

    A range of times that did not run stands for those between its first and its last that the trigger has.
    """
    first, last, _ = record
    return first <= nominal <= last and (
        nominal in (first, last) or trigger.after(nominal - 1, first) == nominal
    )


def is_made_ahead(record: Run) -> bool:
    """Whether a record was made before its time had come: somebody has left the time out ahead, or had it run again then.

    Any other record of a time to come was made before a clock was set back.
    """
    if record.status == CANCELLED and record.reason == SKIPPED_AHEAD:
        return True
    asked_at = None if getattr(record, "extra", None) is None else record.extra.asked_at
    return asked_at is not None and asked_at < record.nominal


def next_unrecorded(trigger: BaseTrigger, recorded: Iterable[Recorded], nominal: int) -> int | None:
    """Return the first time of a schedule, from a nominal time on, that has no record; None if there is none.

    :param recorded: records, oldest first
    """
    following: int | None = nominal
    for record in recorded:
        if following is not None and is_recorded(trigger, record, following):
            following = trigger.after(record[1], following)
    return following


def leave_out_recorded(decision: Decision, recorded: Sequence[Recorded]) -> None:
    """Take out of a decision the runs and records whose nominal time has a record already; the job moves on as decided.

    What is left of a range of times is recorded in pieces. A run by hand is taken out only if its very key is in use. A trigger
    that raises when it is asked puts its own job into quarantine: the claim of others goes on.

    :param recorded: records of the decision's job, oldest first: those from its first nominal time on, at least
    """
    if not recorded:
        return
    try:
        _leave_out(decision, recorded)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        quarantined_instead(decision, f"planning failed: {shortened(error_text(exc))}")


def _leave_out(decision: Decision, recorded: Sequence[Recorded]) -> None:
    trigger = decision.job.trigger
    keys = {first for first, _, _ in recorded}
    ranges = [record for record in recorded if record[0] != record[1]]

    def has_record(run: Run) -> bool:
        return run.nominal in keys or (
            run.origin != MANUAL and any(is_recorded(trigger, record, run.nominal) for record in ranges)
        )

    runs = [run for run in decision.runs if not has_record(run)]
    if len(runs) < len(decision.runs):
        if decision.next_due == HELD and decision.next_nominal and not decision.waits_for_room:
            # Its group has left over a time that is owed: alone, nobody would look for the record of that.
            move_on(decision, next_unrecorded(trigger, recorded, decision.next_nominal))
        decision.runs, decision.left_out = runs, True
        followers: list[Run | None] = [*runs[1:], None]
        for run, then in zip(runs, followers, strict=False):
            run.then = then
        if not runs and decision.next_due == HELD:  # there is no run whose end could let the job go on
            decision.next_due = decision.next_nominal
        if not runs and decision.superseded:  # nothing is claimed that could end a retry
            decision.superseded = ()
    decision.records = [
        piece for record in decision.records for piece in _without(decision.job, record, recorded)
    ]


def first_nominal(decision: Decision) -> int | None:
    """Return the earliest nominal time of which a decision writes a run or a record, None if it writes none."""
    return min((run.nominal for run in (*decision.runs, *decision.records)), default=None)


def ranges_of(decisions: Iterable[Decision]) -> list[tuple[str, int, int]]:
    """Return job, first and last time of the records that stand for several times and that decisions write; there are few.

    A record between these is met by no key that a claim writes, so a store looks for one.
    """
    return [
        (record.job_id, record.nominal, record.last)
        for decision in decisions
        for record in decision.records
        if record.last != record.nominal
    ]


def firsts_of(decisions: Iterable[Decision]) -> list[tuple[str, int]]:
    """Return job and first time of the decisions that are about several times.

    Their job may have been set back into the range of a record that began before. No key that a claim writes meets it, so a store
    looks at the last records before. A decision about one time needs no such look: who sets a job back to it looks for its record.
    """
    found = []
    for decision in decisions:
        runs, records = decision.runs, decision.records
        if records or len(runs) > 1:
            first = min(run.nominal for run in (*runs, *records))
            if len(runs) + len(records) > 1 or records[0].last != first:
                found.append((decision.job.id, first))
    return found


def standing_from(records: Iterable[Recorded], since: int) -> list[Recorded]:
    """Return the records that stand for times from an instant on, oldest first."""
    return sorted(record for record in records if record[1] >= since)


def _without(job: Job, record: Run, recorded: Iterable[Recorded]) -> Iterator[Run]:
    """Return what is left of a record without the times that have one: the record itself, parts of it, or nothing."""
    trigger, begin, end = job.trigger, record.nominal, record.last
    taken = sorted(part for other in recorded if (part := _common(trigger, other, begin, end)) is not None)
    if not taken:
        yield record
        return
    following: int | None = begin
    for first, last in taken:
        if following is not None and following < first:
            yield _part(job, record, following, first - 1)
        if following is not None and following <= last:
            following = trigger.after(last, begin)
    if following is not None and following <= end:
        yield _part(job, record, following, end)


def _common(trigger: BaseTrigger, record: Recorded, begin: int, end: int) -> tuple[int, int] | None:
    """Return from the first time of a range that a record stands for up to the record's last; None if there is none."""
    first, last, _ = record
    if last < begin or first > end:
        return None
    time = begin if first <= begin else trigger.after(first - 1, begin)
    if time == begin and not is_recorded(trigger, record, time):  # its user may have set it between two times
        time = trigger.after(begin, begin)
    if time is None or time > end or not is_recorded(trigger, record, time):
        return None
    return time, last


def _part(job: Job, record: Run, first: int, end: int) -> Run:
    last, count = latest(job.trigger, first, end)
    return record_of(job, first, last, count, record.status, record.reason or "", record.finished_at or 0)
