"""Runs to rows of the runs table, and rows to runs: which columns a statement sets, and their values in that order.

Pure; knows no connection.
"""

from __future__ import annotations

from ...codec.damaged import DAMAGED, is_sound_run, mended_run, text_instead
from ...codec.results import text_of_result, value_of
from ...core.run import Run
from ...core.states import CLAIMED
from ...interrupts import is_interrupt
from ...texts import storable
from ..documents import label_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy import Row

#: the columns of a run that was just claimed; the others are written with its end
CLAIMS = ("job_id", "nominal", "last", "times", "due", "attempt", "status", "owner", "executor", "claimed")
ENDS = (
    "status", "reason", "started", "finished", "result", "error_type", "error", "traceback", "name", "func"
)  # fmt: skip
#: the columns of a plain end, without reason or error; half the values make it a third cheaper, and nearly all ends are plain
PLAIN_ENDS = ("status", "started", "finished", "result")
#: the same for the last run of a job that is deleted with it
LAST_ENDS = (*PLAIN_ENDS, "name", "func")
#: the largest number that a column of integers keeps
MOST = 2**63 - 1
#: the values that a run is found by as long as it belongs to its owner (R5)
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
        text_of_result(run) if run.ended else None,
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
    """Return the record of a row; of a damaged row, what is sound, with the damage as its reason. It does not raise."""
    columns = (row.job_id, row.nominal, row.last, row.times, row.due, row.attempt, row.status)
    others = (row.owner, row.executor, row.claimed, row.started, row.finished)
    if not is_sound_run(*columns, *others):
        return _run_of_damaged(row)
    run = Run(row.job_id, row.nominal, row.due, None, row.executor)
    run.last, run.count, run.attempt = row.last, row.times, row.attempt
    run.status, run.owner = row.status, row.owner
    run.claimed_at, run.started_at, run.finished_at = row.claimed, row.started, row.finished
    _set_texts(run, row, row.reason)
    return run


def damage_of(row: Row[Any]) -> str | None:
    """Return what is damaged in a run's row, in words; None if nothing is."""
    return mended_run(_fields_of(row))[1] or None


def _fields_of(row: Row[Any]) -> dict[str, Any]:
    return {**row._mapping, "count": row.times}


def _run_of_damaged(row: Row[Any]) -> Run:
    sound, wrong = mended_run(_fields_of(row))
    run = Run(sound["job_id"], sound["nominal"], sound["due"], None, sound["executor"])
    run.last, run.count, run.attempt = sound["last"], sound["count"], sound["attempt"]
    run.status, run.owner = sound["status"], sound["owner"]
    run.claimed_at, run.started_at, run.finished_at = sound["claimed"], sound["started"], sound["finished"]
    # A damaged record that was given an end has the damage as its reason already.
    said = row.reason if isinstance(row.reason, str) and row.reason.startswith(DAMAGED) else None
    _set_texts(run, row, said or f"{DAMAGED}{wrong}")
    return run


def _set_texts(run: Run, row: Row[Any], reason: Any) -> None:
    """Set the result and the texts of a record."""
    texts: tuple[Any, ...] = (
        reason,
        row.error_type,
        row.error,
        row.traceback,
        row.name,
        row.func,
        row.signature,
    )
    if row.result is not None:
        try:
            run.retval = value_of(row.result)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            run.retval = text_instead(row.result)
    if any(text is not None and type(text) is not str for text in texts):
        texts = tuple(None if text is None else text_instead(text) for text in texts)
    run.reason, run.error_type, run.error, run.traceback, run.name, run.func, run.signature = texts
