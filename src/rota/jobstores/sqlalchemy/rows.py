"""Runs to rows of the runs table, and rows to runs: which columns a statement sets, and their values in that order.

Pure; knows no connection.
"""

from __future__ import annotations

from ...core.run import CLAIMED, Run
from ...results import text_of_result, value_of
from ...texts import storable
from ..documents import label_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Row

#: the columns of a run that was claimed and has nothing to say yet; the others come with its end
CLAIMS = ("job_id", "nominal", "last", "times", "due", "attempt", "status", "owner", "executor", "claimed")
ENDS = (
    "status", "reason", "started", "finished", "result", "error_type", "error", "traceback", "name", "func"
)  # fmt: skip
#: what ends a run of which there is no more to say; half the values make it a third cheaper, and nearly all runs are so
PLAIN_ENDS = ("status", "started", "finished", "result")
#: the same for the last run of a job that goes with it
LAST_ENDS = (*PLAIN_ENDS, "name", "func")
#: what a column of integers takes
MOST = 2**63 - 1
#: the values that a run is found by, as long as it is its owner's
FENCE = ("b_job", "b_nominal", "b_attempt", "b_owner")


def claim_of(run: Run) -> tuple[Any, ...]:
    """Return the values of a claimed run, in the order of CLAIMS."""
    return (
        run.job_id,
        run.nominal,
        run.last,
        run.count,
        run.due,
        run.attempt,
        CLAIMED,
        run.owner,
        run.executor,
        run.claimed_at,
    )


def row_of(run: Run) -> tuple[Any, ...]:
    """Return the columns of a run's row, in their order in the table."""
    return (
        run.job_id,
        run.nominal,
        run.last,
        min(run.count, MOST),
        run.due,
        run.attempt,
        run.status,
        storable(run.reason),
        run.owner,
        run.executor,
        run.claimed_at,
        run.started_at,
        run.finished_at,
        None,  # the result comes with the end
        storable(run.error_type),
        storable(run.error),
        storable(run.traceback),
        *(label_of(run) if run.ended else (None, None)),
        run.signature,
    )


def fence_of(run: Run) -> tuple[Any, ...]:
    """Return the values of FENCE."""
    return (run.job_id, run.nominal, run.attempt, run.owner)


def plain_end_of(run: Run) -> tuple[Any, ...]:
    """Return the values of PLAIN_ENDS and FENCE."""
    return (
        run.status,
        run.started_at,
        run.finished_at,
        text_of_result(run),
        run.job_id,
        run.nominal,
        run.attempt,
        run.owner,
    )


def last_end_of(run: Run) -> tuple[Any, ...]:
    """Return the values of LAST_ENDS and FENCE."""
    return (
        run.status,
        run.started_at,
        run.finished_at,
        text_of_result(run),
        *label_of(run),
        run.job_id,
        run.nominal,
        run.attempt,
        run.owner,
    )


def end_of(run: Run) -> tuple[Any, ...]:
    """Return the values of ENDS and FENCE."""
    return (
        run.status,
        storable(run.reason),
        run.started_at,
        run.finished_at,
        text_of_result(run),
        storable(run.error_type),
        storable(run.error),
        storable(run.traceback),
        *label_of(run),
        run.job_id,
        run.nominal,
        run.attempt,
        run.owner,
    )


def run_of(row: Row[Any]) -> Run:
    """Return the record of a row."""
    run = Run(row.job_id, row.nominal, row.due, None, row.executor)
    run.last, run.count, run.attempt = row.last, row.times, row.attempt
    run.status, run.reason, run.owner = row.status, row.reason, row.owner
    run.claimed_at, run.started_at, run.finished_at = row.claimed, row.started, row.finished
    run.retval = None if row.result is None else value_of(row.result)
    run.error_type, run.error, run.traceback = row.error_type, row.error, row.traceback
    run.name, run.func, run.signature = row.name, row.func, row.signature
    return run
