"""Jobs and runs as plain data, as all durable stores write and read them, and what they check before they write.

Pure conversions; knows no store and no third-party library.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from random import getrandbits

from ..clock import HELD
from ..codec.damaged import MOST, is_damaged, is_sound_run, is_time, mended_run, text_instead
from ..codec.results import text_of_result, value_of
from ..core.plan import due_time, plan
from ..core.run import Run
from ..core.states import ACTIVE, ENDED, MANUAL, PAUSED, QUARANTINED, set_job_state
from ..errors import DeserializationError, JobValueError, SchemaError
from ..interrupts import is_interrupt
from ..job.handle import Job
from ..references import is_misnamed
from ..texts import repr_of, shortened, storable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ..codec.jobs import JobFormat
    from ..core.extras import Extra
    from ..core.plan import Decision

#: Returns the version of a job that is added. It begins anywhere, so that a decision about a removed job of the same id cannot be
#: taken for one about this job.
new_version = partial(getrandbits, 40)
#: The state in which an ended job is stored that stays, as its last run has not ended well: the steps that delete jobs whose
#: schedule is over do not come across it.
KEPT = "over"
#: The fields of a record that only some runs have.
EXTRAS = frozenset(("origin", "not_before", "cancel", "extra"))
#: later than every due time, HELD included
_NEVER = float("inf")


# ---------------------------------------------------------------------------------------------------------------- jobs


def stored_states(states: Collection[str]) -> list[str]:
    """Return the states in which jobs with some states are stored."""
    return sorted({*states, KEPT} if ENDED in states else states)


def parts_of(job: Job, format: JobFormat) -> tuple[str, str, str, str, str, str, str, str]:
    """Return the parts of a job as texts: id, name, callable reference, trigger, args, kwargs, options and executor.

    :raises JobValueError, TransientJobError, SerializationError: if the job cannot be stored
    """
    for what, text in (("id", job.id), ("name", job.name), ("executor", job.executor)):
        if not text.isascii() or "\0" in text:
            check_text(what, text)
    reference, trigger, args, kwargs, options = format.texts(job)
    return job.id, job.name, reference, trigger, args, kwargs, options, job.executor


def job_of(
    parts: Sequence[str],
    format: JobFormat,
    scheduler: Any,
    alias: str | None,
    *,
    version: int,
    running: int,
    state: str,
    nominal: int | None,
    due: int | None,
    error: str | None,
) -> Job:
    """Return the job of its parts; one that cannot be restored is quarantined, with the reason in ``error``."""
    id, name, reference, trigger, args, kwargs, options, executor = parts
    return format.job_of(
        (scheduler, alias),
        id,
        name,
        reference,
        trigger,
        args,
        kwargs,
        options,
        executor,
        nominal,
        due,
        version,
        state,
        running,
        error,
    )


def healing_as(error: str | None, has_time: bool = True) -> tuple[str, str | None]:
    """Return the state and error with which a job in quarantine is read to see whether it can be restored now.

    :param error: the reason of its quarantine
    :param has_time: whether it has a next time; one that has lost it by damage stays in quarantine until it is given one
    """
    if is_misnamed(error) or (not has_time and is_damaged(error)):
        return QUARANTINED, error
    return ACTIVE, None


def heal(job: Job, now: int) -> bool:
    """Make a job from quarantine active (or paused) if its data could be restored and it can be planned.

    :param job: a job that was restored with the state of :func:`healing_as`; it is not to be used if the answer is False
    :param now: instant
    """
    if job.state == QUARANTINED:
        return False
    job.error = None
    nominal = job.next_nominal
    if nominal is None:
        set_job_state(job, PAUSED)
        return True
    set_job_state(job, ACTIVE)
    try:
        job.next_due = due_time(job, nominal)
        plan(job, max(now, job.next_due))
    except BaseException as exc:  # triggers may raise anything; that is what quarantine is for
        if is_interrupt(exc):
            raise
        return False
    return True


def steps_from(found: object, known: int, may_migrate: bool, where: str, remedy: str) -> range:
    """Return the versions of a store's layout that have to be migrated, each to the next one.

    :param found: the version that the store says it has
    :param known: the version that this code works with
    :param may_migrate: whether an older version may be migrated
    :param where: the store, for messages
    :param remedy: what can be given instead, such as "another path"
    :raises SchemaError: if this code does not know the version, or may not migrate it
    """
    if not isinstance(found, int) or not 1 <= found <= known:
        raise SchemaError(
            f"{where} has schema version {shortened(repr_of(found), 80)}; this version of Rota knows 1 to {known}. "
            f"{remedy_for(found, known, remedy)}"
        )
    if found < known and not may_migrate:
        raise SchemaError(
            f"{where} has schema version {found}, and {known} is needed; start a scheduler of this version once to migrate it"
        )
    return range(found, known)


def version_in(text: object) -> int | None:
    """Return the version of a layout that a text is, None if it is none."""
    is_number = isinstance(text, str) and len(text) < 10 and text.isascii() and text.isdecimal()
    return int(text) if is_number else None  # type: ignore[call-overload]


def remedy_for(found: object, known: int, other: str) -> str:
    """Return what to do about a layout of a version that this code does not know, as the end of a message.

    :param other: what can be given instead, such as "another path"
    """
    if isinstance(found, int) and found > known:
        return f"Upgrade Rota: a newer version of it works with this store; or give {other}"
    return f"Give {other}, or repair it by what a backup has there"


def ordered(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs in the order of listings: the earliest due first, those without a due time last, equal times by id."""
    # Sorted twice, as tuples as keys take three times as long.
    found = sorted(jobs, key=attrgetter("id"))
    found.sort(key=_due_of)
    return found


def _due_of(job: Job) -> float:
    due = job.next_due
    return _NEVER if due is None else due


def check_text(what: str, text: str) -> None:
    """Refuse a text that databases cannot keep.

    :raises JobValueError: if it has surrogates or NUL characters
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise JobValueError(f"{what} {text!a} of the job cannot be stored: {exc.reason}") from None
    if "\0" in text:
        raise JobValueError(f"{what} {text!a} of the job cannot be stored: databases take no NUL characters")


# ---------------------------------------------------------------------------------------------------------------- runs


def label_of(run: Run) -> tuple[str | None, str | None]:
    """Return the name and the callable's reference that are written with a run's record: those of a job that is gone.

    For other runs they are read from the job: writing them with each end would slow bursts down.
    """
    job = run.job
    return (run.name, run.func) if job is None or job.state != ENDED else (job.name, job.func_ref)


def check_times(decision: Decision) -> None:
    """Refuse a decision that moves a job to a time that cannot be read again, though a database might store it.

    :raises OverflowError: if the next time is not within the years 1 to 9999
    """
    due = decision.next_due
    if due is not None and due != HELD and not (is_time(due) and is_time(decision.next_nominal)):
        raise OverflowError(
            f"the next time of job {decision.job.id!r} must be within the years 1 to 9999, got {shortened(repr_of(due), 80)}"
        )


def label_all(runs: Iterable[Run], names: Mapping[str, tuple[str, str]]) -> None:
    """Give records that were read the name and the callable that they lack: those of their job, or of another of its records.

    :param names: name and callable reference of jobs, by id
    """
    unlabelled = [run for run in runs if run.name is None]
    if unlabelled:
        known = {run.job_id: (run.name, run.func) for run in runs if run.name is not None} | dict(names)
        for run in unlabelled:
            run.name, run.func = known.get(run.job_id, (None, None))


def fields_of(run: Run) -> dict[str, Any]:
    """Return the record of a run as a flat document without fields that are None; the result is a text (typed JSON)."""
    name, func = label_of(run) if run.ended else (None, None)
    fields = {
        "job_id": run.job_id,
        "nominal": run.nominal,
        "last": run.last,
        "count": min(run.count, MOST - 1),
        "due": run.due,
        "attempt": run.attempt,
        "status": run.status,
        "reason": storable(run.reason),
        "owner": run.owner,
        "executor": run.executor,
        "claimed": run.claimed_at,
        "started": run.started_at,
        "finished": run.finished_at,
        "result": text_of_result(run),
        "error_type": storable(run.error_type),
        "error": storable(run.error),
        "traceback": storable(run.traceback),
        "name": name,
        "func": func,
        "signature": run.signature,
    }
    extra = getattr(run, "extra", None)
    if extra is not None:
        fields |= _fields_of_extra(extra)
    return {name: value for name, value in fields.items() if value is not None}


def _fields_of_extra(extra: Extra) -> dict[str, Any]:
    """Return the fields of what only some runs have; their arguments are texts already."""
    from ..core.extras import SCHEDULE, text_of  # rare

    return {
        "origin": None if extra.origin == SCHEDULE else extra.origin,
        "not_before": extra.not_before,
        "cancel": storable(extra.cancel),
        "extra": whole(text_of(extra)),
    }


def whole(text: str | None) -> str | None:
    """Return a text of any length as every database can keep it; see :func:`rota.texts.storable`."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _set_extra(run: Run, fields: Mapping[str, Any]) -> None:
    """Give a run what only some runs have."""
    from ..core.extras import tell  # rare

    get = fields.get
    not_before: Any = get("not_before")
    time = int(not_before) if is_time(not_before) else None
    tell(run, get("origin"), time, get("cancel"), get("extra"), run.reason)


def run_of(fields: Mapping[str, Any]) -> Run:
    """Return the run of a flat document.

    :raises DeserializationError: if the document is no record of a run
    """
    get = fields.get
    nominal, due, executor = get("nominal"), get("due"), get("executor")
    last, count = get("last", nominal), get("count", 1)
    job_id, attempt, status, owner = get("job_id"), get("attempt"), get("status"), get("owner")
    claimed, started, finished = get("claimed"), get("started"), get("finished")
    times = (claimed, started, finished)
    if not is_sound_run(job_id, nominal, last, count, due, attempt, status, owner, executor, *times):
        raise DeserializationError(f"{fields!r:.80} is no record of a run: {damage_of_run(fields)}")
    run = Run(job_id, nominal, due, None, executor)  # type: ignore[arg-type]
    # A record of one time stands for its own, whatever the other says.
    run.last = nominal if count == 1 else last  # type: ignore[assignment]
    run.count, run.attempt, run.status, run.owner = count, attempt, status, owner  # type: ignore[assignment]
    run.claimed_at, run.started_at, run.finished_at = times
    result = get("result")
    if result is not None:
        run.retval = _result_of(result)
    run.reason, run.error_type, run.error, run.traceback, run.name, run.func, run.signature = (
        value if value is None or type(value) is str else text_instead(value)
        for value in map(get, ("reason", "error_type", "error", "traceback", "name", "func", "signature"))
    )
    if run.reason == MANUAL or not EXTRAS.isdisjoint(fields):
        _set_extra(run, fields)
    return run


def mended_fields(fields: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return the fields of a damaged run and what is damaged, see :func:`rota.codec.damaged.mended_run`; optional ones may lack."""
    return mended_run({"last": fields.get("nominal"), "count": 1, **fields})


def damage_of_run(fields: Mapping[str, Any]) -> str:
    """Return what is damaged in the document of a run, in words; an empty text if nothing is."""
    return mended_fields(fields)[1]


def _result_of(text: Any) -> Any:
    try:
        return value_of(text)
    except BaseException as exc:  # it may be anything
        if is_interrupt(exc):
            raise
        return text_instead(text)
