"""The balance of runs that may fail, be called later, take too long or be asked to stop: do record and attempts say what happened?

Pure, as the balance is of which it is a part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rota.core.states import CANCELLED, FAILED, LOST, SKIPPED, SUCCEEDED, TIMED_OUT
from rota.core.tries import DEADLINE, EXHAUSTED, SUPERSEDED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rota.core.run import Run
    from tests.faults.balance import Execution, Plan

#: A run that has taken so much of the time that it may take, as it has written down, may have taken all of it.
NEARLY = 0.5


def compare(
    record: Run,
    attempts: Mapping[int, Execution],
    plan: Plan,
    ceased: Mapping[int, float] | None,
    asked: Mapping[tuple[str, int], int | None],
) -> None:
    """Check that a record says what happened, and that its attempts are what the rules allow.

    :param attempts: what was executed, by the number of the attempt
    :param ceased: the pids of the processes that were killed, or suspended past their lease; None: that is not known
    :param asked: which runs somebody has asked to stop, and in which attempt; None: that is not known
    """
    if record.status == SKIPPED:
        assert not attempts, f"{record!r} was executed"
        return
    key = (record.job_id, record.nominal)
    assert all(attempt <= record.attempt for attempt in attempts), f"{record!r} was executed once more later"
    _compare_end(record, attempts.get(record.attempt), plan, key in asked)
    until = asked.get(key)
    assert until is None or record.attempt <= until, (
        f"{record!r} was tried again though somebody had asked attempt {until} to stop"
    )
    for attempt, execution in attempts.items():
        if attempt < record.attempt:
            assert _may_be_followed(execution, plan, ceased), (
                f"{record!r} was tried again though attempt {attempt} came to its end: {execution}"
            )
    _compare_tries(record, attempts, plan, ceased)


def _compare_end(record: Run, last: Execution | None, plan: Plan, is_asked: bool) -> None:
    """Check the end of a run by what its last attempt has written down."""
    how = None if last is None else last.how
    is_exhausted = record.tries == plan.max_attempts
    if record.status == SUCCEEDED:
        assert how == "end" or (how == "late" and is_asked), f"{record!r} was never executed to its end"
    elif record.status == FAILED:
        assert record.reason in (EXHAUSTED, SUPERSEDED, DEADLINE), f"{record!r} ended for {record.reason}"
        assert record.reason != EXHAUSTED or (is_exhausted and how == "failed"), (
            f"{record!r} is not exhausted"
        )
    elif record.status == TIMED_OUT:
        assert last is not None, f"{record!r} was never executed"
        assert how != "end" or _is_long(last, plan), f"{record!r} was executed in time: {last}"
        assert is_exhausted or is_asked, f"{record!r} was given up too early"
    elif record.status == LOST:
        assert is_exhausted, f"{record!r} was given up too early"
    else:
        assert record.status == CANCELLED, f"{record!r} has not ended, or wrongly"
        assert is_asked, f"{record!r} was cancelled by nobody"


def _compare_tries(
    record: Run, attempts: Mapping[int, Execution], plan: Plan, ceased: Mapping[int, float] | None
) -> None:
    """Check that what has failed counts as a try, and what wanted to be called later does not."""
    assert record.tries <= plan.max_attempts, f"{record!r} was tried too often"
    extra = getattr(record, "extra", None)
    uncounted = 0 if extra is None else extra.uncounted
    failed = sum(execution.how == "failed" for execution in attempts.values())
    # The last attempt of a cancelled run is no try.
    assert failed <= record.tries + (record.status == CANCELLED), (
        f"{record!r} counts {record.tries} tries; {failed} have failed"
    )
    snoozed = {attempt: execution for attempt, execution in attempts.items() if execution.how == "snoozed"}
    if ceased is not None:
        sure = sum(
            execution.pid not in ceased
            for attempt, execution in snoozed.items()
            if attempt < record.attempt  # the last one may not have come back into the store
        )
        assert sure <= uncounted, (
            f"{record!r} does not count {uncounted} attempts; {sure} wanted another call"
        )
    others = record.attempt - len(attempts)  # given back by whoever took the run over from a dead node
    assert uncounted <= len(snoozed) + others, (
        f"{record!r} does not count {uncounted} attempts; {len(snoozed)} wanted another call, {others} never began"
    )


def _may_be_followed(execution: Execution, plan: Plan, ceased: Mapping[int, float] | None) -> bool:
    """Whether another attempt may follow one."""
    if execution.how in ("failed", "snoozed"):
        return True
    return ceased is None or execution.pid in ceased or _is_long(execution, plan)


def _is_long(execution: Execution, plan: Plan) -> bool:
    """Whether an attempt may have taken longer than it may."""
    if plan.timeout is None or execution.end is None:
        return False
    return execution.end - execution.begin >= NEARLY * plan.timeout
