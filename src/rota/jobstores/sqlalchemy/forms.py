"""Jobs and runs to rows, and rows to jobs and runs: which columns a statement sets, and their values in that order.

Knows no connection. All of it is pure, but that the version of a new row is a random one.
"""

from __future__ import annotations

from operator import itemgetter
from random import getrandbits

from ...clock import HELD
from ...codec.damaged import DAMAGED, is_sound_run, mended_run, text_instead
from ...codec.results import text_of_result, value_of
from ...core.chains import parent_of
from ...core.run import Run
from ...core.states import CLAIMED, ENDED, MANUAL, QUARANTINED
from ...errors import JobValueError
from ...interrupts import is_interrupt
from ...texts import storable
from ..documents import KEPT, check_text, healing_as, label_of
from .columns import ID_LENGTH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from sqlalchemy import Row as SqlRow

    from ...codec.jobs import JobFormat
    from ...job.handle import Job

    Row = SqlRow[*tuple[Any, ...]]
    #: the values of a job's row that is to be added; the id comes first
    NewRow = tuple[Any, ...]
    Home = tuple[Any, str | None]

#: the columns of a job apart from its id, its times and its state
PARTS = ("name", "func", "trigger_spec", "args", "kwargs", "options", "executor")
#: the columns of a job's row that is added, in the order of its values
NEW = ("id", *PARTS, "next_nominal", "next_due", "version", "state", "error", "created", "updated")
#: the columns of what only some jobs have, and which statements for other jobs do not name
MARKS = ("revision", "paused")
#: the same with the job whose ends of runs start it, which is only written: the trigger says it as well
WRITTEN_MARKS = (*MARKS, "parent")
#: returns the version of a new row
version_of_new = itemgetter(NEW.index("version"))
#: the columns of a run that was just claimed; the others are written with its end
CLAIMS = ("job_id", "nominal", "last", "times", "due", "attempt", "status", "owner", "executor", "claimed")
ENDS = (
    "status", "reason", "started", "finished", "result", "error_type", "error", "traceback", "name", "func"
)  # fmt: skip
#: the columns of a record that is written as a whole, in the order of the values of row_of()
RECORD = (
    "job_id", "nominal", "last", "times", "due", "attempt", "status", "reason", "owner", "executor", "claimed", "started",
    "finished", "result", "error_type", "error", "traceback", "name", "func", "signature"
)  # fmt: skip
#: the columns of what only some runs have, in the order of the values of extra_of_run()
EXTRA = ("origin", "not_before", "cancel", "extra")
#: the columns of a plain end, without reason or error; half the values make it a third cheaper, and nearly all ends are plain
PLAIN_ENDS = ("status", "started", "finished", "result")
#: the same for the last run of a job that is deleted with it
LAST_ENDS = (*PLAIN_ENDS, "name", "func")
#: the place of the state among the columns of a job that is read
_STATE = 11
_NOTHING = (None, None, None, None)
#: the largest number that a column of integers keeps
MOST = 2**63 - 1
#: the values that a run is found by as long as it belongs to its owner (R5)
FENCE = ("b_job", "b_nominal", "b_attempt", "b_owner")


def whole(text: str) -> str:
    """Return a text as every database can keep it, however long it is."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


# ---------------------------------------------------------------------------------------------------------------- jobs


def jobs_of(rows: Iterable[Sequence[Any]], format: JobFormat, home: Home) -> list[Job]:
    """Return the jobs of rows; one that cannot be restored is quarantined, with the reason in ``error``.

    :param home: the scheduler that the job's methods go through, and the alias of the store
    """
    job_of = format.job_of
    return [job_of(home, *row) for row in rows]


def marked_jobs_of(rows: Iterable[Sequence[Any]], format: JobFormat, home: Home) -> list[Job]:
    """Return the jobs of rows that have the columns MARKS, too; see :func:`jobs_of`."""
    job_of = format.job_of
    jobs = []
    for *columns, revision, paused in rows:
        if columns[_STATE] == KEPT:
            columns[_STATE] = ENDED
        job = job_of(home, *columns)
        if revision is not None or paused is not None:
            _mark(job, revision, paused)
        jobs.append(job)
    return jobs


def _mark(job: Job, revision: Any, paused: Any) -> None:
    """Set what only some jobs have; what is damaged is as if it were not there."""
    if type(revision) is int and 0 < revision < MOST:
        job.revision = revision
    if type(paused) is str:
        job.paused = paused


def stored_state(state: str, is_kept: bool) -> str:
    """Return the state of a job as it is written over one that was kept, or was not."""
    return KEPT if is_kept and state == ENDED else state


def is_marked(job: Job) -> bool:
    """Whether a job has something that others do not have, and that is written by statements of its own."""
    return bool(job.tags or job.revision or job.paused is not None or parent_of(job) is not None)


def marks_of(job: Job) -> dict[str, Any]:
    """Return the values of the columns WRITTEN_MARKS."""
    return {"revision": job.revision or None, "paused": storable(job.paused), "parent": parent_of(job)}


def healed(row: Row, format: JobFormat, home: Home) -> Job | None:
    """Return the job of a row in quarantine as an active one, or None if it still cannot be restored."""
    state, error = healing_as(row[13], row[8] is not None)
    (job,) = jobs_of([(*row[:11], state, row[12], error)], format, home)
    return None if job.state == QUARANTINED else job


def values_of(job: Job, format: JobFormat, now: int) -> dict[str, Any]:
    """Return the values of a job's row, all but its version and its counter.

    :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
    """
    parts = dict(zip(PARTS, _parts_of(job, format), strict=True))
    return parts | {
        "next_nominal": job.next_nominal,
        "next_due": job.next_due,
        "state": job.state,
        "error": storable(job.error),
        "updated": now,
    }


def new_row(job: Job, format: JobFormat, now: int) -> NewRow:
    """Return the row of a job that is to be added.

    :raises JobValueError, TransientJobError, SerializationError: as :func:`values_of`
    """
    return (
        job.id,
        *_parts_of(job, format),
        job.next_nominal,
        job.next_nominal if job.next_due == HELD else job.next_due,
        # A random version, so that a decision about a removed job of the same id does not fit this job (R1).
        getrandbits(40),
        job.state,
        storable(job.error),
        now,
        now,
    )


def _parts_of(job: Job, format: JobFormat) -> tuple[str, ...]:
    """Return the checked values of a job's columns PARTS, in that order."""
    id, name, executor = job.id, job.name, job.executor
    if len(id) > ID_LENGTH or len(executor) > ID_LENGTH:
        what, text = ("id", id) if len(id) > ID_LENGTH else ("executor", executor)
        raise JobValueError(
            f"{what} of job {id[:40]!r}… is {len(text)} characters long; this store keeps {ID_LENGTH}"
        )
    together = f"{id}{name}{executor}"
    if not together.isascii() or "\0" in together:
        for what, text in (("id", id), ("name", name), ("executor", executor)):
            check_text(what, text)
    return name, *format.texts(job), executor


# ---------------------------------------------------------------------------------------------------------------- runs


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
    """Return the values of a record, in the order of RECORD."""
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


def has_extra(run: Run) -> bool:
    """Whether a run has something that others do not have, and that is written by statements of its own."""
    return getattr(run, "extra", None) is not None


def extra_of_run(run: Run, format: JobFormat) -> tuple[Any, ...]:
    """Return the values of what only some runs have, in the order of EXTRA.

    :raises SerializationError: if an argument of the run cannot be written
    """
    text = format.extra_text(run)
    if text is None and not has_extra(run):
        return _NOTHING
    origin = None if run.origin == "schedule" else run.origin
    return origin, run.extra.not_before, storable(run.extra.cancel), text


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


def run_of(row: Row) -> Run:
    """Return the record of a row; of a damaged row, what is sound, with the damage as its reason. It does not raise."""
    columns = (row.job_id, row.nominal, row.last, row.times, row.due, row.attempt, row.status)
    others = (row.owner, row.executor, row.claimed, row.started, row.finished)
    if not is_sound_run(*columns, *others):
        return _run_of_damaged(row)
    run = Run(row.job_id, row.nominal, row.due, None, row.executor)
    # A record of one time stands for its own, whatever the other says.
    run.last = row.nominal if row.times == 1 else row.last
    run.count, run.attempt = row.times, row.attempt
    run.status, run.owner = row.status, row.owner
    run.claimed_at, run.started_at, run.finished_at = row.claimed, row.started, row.finished
    _set_texts(run, row, row.reason)
    return run


def damage_of(row: Row) -> str | None:
    """Return what is damaged in a run's row, in words; None if nothing is."""
    return mended_run(_fields_of(row))[1] or None


def _fields_of(row: Row) -> dict[str, Any]:
    return {**row._mapping, "count": row.times}


def _run_of_damaged(row: Row) -> Run:
    sound, wrong = mended_run(_fields_of(row))
    run = Run(sound["job_id"], sound["nominal"], sound["due"], None, sound["executor"])
    run.last, run.count, run.attempt = sound["last"], sound["count"], sound["attempt"]
    run.status, run.owner = sound["status"], sound["owner"]
    run.claimed_at, run.started_at, run.finished_at = sound["claimed"], sound["started"], sound["finished"]
    # A damaged record that was given an end has the damage as its reason already.
    said = row.reason if isinstance(row.reason, str) and row.reason.startswith(DAMAGED) else None
    _set_texts(run, row, said or f"{DAMAGED}{wrong}")
    return run


def _set_texts(run: Run, row: Row, reason: Any) -> None:
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
    extra = (row.origin, row.not_before, row.cancel, row.extra)
    if extra != _NOTHING or run.reason == MANUAL:
        from ...core.extras import tell  # rare

        tell(run, *extra, run.reason)
