"""What the documents of the MongoDB store look like: jobs with their unfinished runs, and records.

Pure conversions, and whatever stands in a document, they say what can be read of it. A job's document holds its unfinished runs
(``under_way``, and ``pending`` for those that have ended and are not filed), so that one conditional update changes both. Runs that
wait stand in ``under_way`` if they keep their place among those of their job, else in ``pending``; ``not_before`` is the earliest
of their times.
"""

from __future__ import annotations

from ...codec.damaged import DAMAGED, EARLIEST, is_time, stands_for, text_instead
from ...core.chains import parent_of
from ...core.states import CLAIMED, END_STATES, ENDED, QUARANTINED, WAITING, set_job_state
from ...errors import DeserializationError, JobValueError
from ...texts import storable
from .. import documents
from ..documents import KEPT, fields_of, healing_as, run_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...job.handle import Job

#: The state of a job that was removed while runs of it were under way.
REMOVED = "removed"
#: The states of documents that are no jobs any more; only their runs keep them.
OVER = (ENDED, REMOVED)
#: The states of documents in whose place a job of their id may come.
REPLACEABLE = (*OVER, KEPT)
#: Part of a condition: that there is a job, or one whose schedule is over that stays or of which runs wait.
THERE: dict[str, Any] = {
    "$or": [{"state": {"$nin": OVER}}, {"state": ENDED, "not_before": {"$exists": True}}]
}
#: The lists of runs in a job's document.
LISTS = ("under_way", "pending")
#: Part of a condition about a time: a comparison of an array is one of its elements, to MongoDB; one that holds times is damage.
NO_ARRAY = {"$not": {"$type": "array"}}
#: What stands in the field ``busy`` of a job of which all unfinished runs wait: others need not look at it.
ONLY_WAITS = "waits"
#: How many bytes a job's texts may take. A document has 16 MB at most, and holds the job's unfinished runs too.
JOB_SIZE = 12_000_000
#: From where on a stored job, of an older version, has no room for its runs (characters).
_NO_ROOM = 15_500_000

#: What most jobs have not, and their documents neither.
RARE = ("tags", "revision", "paused", "parent")
#: More than any revision comes to.
_MOST_REVISION = 2**53

_PARTS = ("_id", "name", "func", "trigger", "args", "kwargs", "options", "executor")


# ---------------------------------------------------------------------------------------------------------------- jobs


def state_in(document: Mapping[str, Any]) -> Any:
    """Return the state of the job of a document, whatever stands there."""
    state = document.get("state")
    return ENDED if state == KEPT else state


def job_of(
    document: Mapping[str, Any], format: JobFormat, scheduler: Any, alias: str | None, healing: bool = False
) -> Job:
    """Return the job of a document; one that is damaged or cannot be restored is quarantined, and says why.

    :param healing: take the job out of quarantine, if it can be restored
    """
    get = document.get
    state, error, under_way = state_in(document), get("error"), get("under_way") or ()
    if healing:
        state, error = healing_as(error, get("next_nominal") is not None)
    whole = isinstance(under_way, (list, tuple)) and all(isinstance(run, dict) for run in under_way)
    standing: dict[str, Any] = {
        "version": get("version"),
        "running": len(under_way) if whole else 0,
        "state": state,
        "nominal": get("next_nominal"),
        "due": get("next_due"),
        "error": error,
    }
    wrong = [name for name in _PARTS if type(get(name)) is not str]
    parts = [text_instead(get(name)) for name in _PARTS]
    job = documents.job_of(parts, format, scheduler, alias, **standing)
    if wrong or not whole:
        told = [f"{name} must be a text" for name in wrong]
        told += [] if whole else ["under_way must be a list of runs"]
        job.error = f"{DAMAGED}{'; '.join(told)}"
        set_job_state(job, QUARANTINED)
    elif (size := sum(map(len, parts))) > _NO_ROOM:
        job.error = _too_long(job, size)
        set_job_state(job, QUARANTINED)
    if "revision" in document or "paused" in document:
        revision, paused = get("revision"), get("paused")
        # What is damaged in them says nothing.
        if isinstance(revision, int) and type(revision) is not bool and 0 <= revision < _MOST_REVISION:
            job.revision = int(revision)
        job.paused = paused if type(paused) is str else None
    return job


def parts_of(job: Job, format: JobFormat) -> tuple[str, ...]:
    """Return what a job is, see :func:`rota.jobstores.documents.parts_of`.

    :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
    """
    parts = documents.parts_of(job, format)
    if sum(map(len, parts)) > JOB_SIZE // 4:  # no character takes more than four bytes
        size = sum(len(part.encode()) for part in parts)
        if size > JOB_SIZE:
            raise JobValueError(_too_long(job, size))
    return parts


def values_of(job: Job, format: JobFormat) -> dict[str, Any]:
    """Return the fields of a job, all but its version and its runs.

    :raises JobValueError, TransientJobError, SerializationError: as :func:`parts_of`
    """
    values: dict[str, Any] = dict(zip(_PARTS[1:], parts_of(job, format)[1:], strict=True))
    values["next_nominal"], values["next_due"] = job.next_nominal, job.next_due
    values["state"], values["error"] = job.state, storable(job.error)
    if job.revision:
        values["revision"] = job.revision
    if job.paused is not None:
        values["paused"] = documents.whole(job.paused)
    parent = parent_of(job)
    if parent is not None:
        values["parent"] = documents.whole(parent)
    if values["options"] != "{}" and job.tags:  # they are among the options, too
        values["tags"] = list(job.tags)
    return values


def change_to(values: Mapping[str, Any], *others: str) -> dict[str, Any]:
    """Return the update that gives a document the fields of a job, and takes those from it that the job has not.

    :param others: further fields that are taken from it
    """
    return {
        "$set": values,
        "$unset": dict.fromkeys((*(name for name in RARE if name not in values), *others), ""),
    }


def _too_long(job: Job, size: int) -> str:
    return (
        f"Job {job.id[:40]!r} takes {size} bytes, and this store keeps {JOB_SIZE} of each, to have room for its runs; put large "
        f"arguments elsewhere and pass their place"
    )


# ---------------------------------------------------------------------------------------------------------------- runs


def key_of(job_id: str, nominal: int) -> dict[str, Any]:
    """Return the id of the record of a nominal time."""
    return {"job_id": job_id, "nominal": nominal}


def entry_of(run: Run) -> dict[str, Any]:
    """Return a run as it is kept in its job's document."""
    fields = fields_of(run)
    del fields["job_id"]
    return fields


def entries_of(document: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the runs in a list of a job's document; what is none is left out."""
    found = document.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def is_whole(document: Mapping[str, Any], name: str) -> bool:
    """Whether a list of a job's document is one, of documents; it may be missing."""
    found = document.get(name)
    return found is None or (isinstance(found, list) and all(isinstance(entry, dict) for entry in found))


def numbered(entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Return the records that have a nominal time."""
    return (entry for entry in entries if is_time(entry.get("nominal")))


def damage_of_run(document: Mapping[str, Any], entry: Mapping[str, Any], name: str = "under_way") -> bool:
    """Whether a run in a list of a job's document is not what a store writes there."""
    fields = {**entry, "job_id": document["_id"]}
    may_be_there = is_waiting(entry) or (
        has_ended(entry) if name == "pending" else entry.get("status") == CLAIMED
    )
    return not may_be_there or bool(documents.damage_of_run(fields))


def has_ended(entry: Mapping[str, Any]) -> bool:
    """Whether a run in a job's document has ended; of a damaged one nobody can tell."""
    status = entry.get("status")
    return type(status) is str and status in END_STATES


def size_of(entry: Mapping[str, Any]) -> int:
    """Return about how many bytes a record takes."""
    return 500 + sum(
        len(value) if value.isascii() else 4 * len(value) for value in entry.values() if type(value) is str
    )


def standing_of(entry: Mapping[str, Any]) -> Recorded:
    """Return what a record stands for."""
    return stands_for(entry["nominal"], entry.get("last"), entry.get("count"), entry.get("status"))


def identity_of(job_id: str, entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells the end of a run from every other one."""
    get = entry.get
    # As texts: damaged ones may not fit into a set.
    return job_id, repr([get(name) for name in ("nominal", "owner", "attempt", "status", "finished")])


def collect(found: dict[tuple[str, int], Run], fields: Mapping[str, Any]) -> None:
    """Take a record; what is damaged is passed over, and an end is worth more than a claim."""
    try:
        run = run_of(fields)
    except DeserializationError:
        return
    key = (run.job_id, run.nominal)
    before = found.get(key)
    # A run that waits may have been carried out before.
    if (
        before is None
        or (before.status == CLAIMED and before.attempt <= run.attempt)
        or (before.status == WAITING and before.attempt < run.attempt)
    ):
        found[key] = run


# ------------------------------------------------------------------------------------------------------ runs that wait


def is_waiting(entry: Mapping[str, Any]) -> bool:
    """Whether a run in a job's document waits."""
    return entry.get("status") == WAITING


def time_of(entry: Mapping[str, Any]) -> int:
    """Return when a waiting run may start; of one that is damaged an instant before all others."""
    time: Any = entry.get("not_before")
    return int(time) if is_time(time) else EARLIEST


def earliest(entries: Iterable[Mapping[str, Any]]) -> int | None:
    """Return the earliest time of the waiting ones among runs, None if none waits."""
    return min((time_of(entry) for entry in entries if is_waiting(entry)), default=None)
