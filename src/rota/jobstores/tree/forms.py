"""What the values of the tree store look like: a job's document, the keys that follow from it, and the records of runs.

Pure conversions. The document's revision guards everything about the job: whatever adds a run, ends one or moves the job to
another time, writes the document too.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from ...clock import HELD
from ...codec.damaged import DAMAGED, MOST, MOST_VERSION, NO_VERSION, STATES, is_time
from ...codec.options import spare_in
from ...core.extras import SCHEDULE, extra_of, keeps_place, tell, text_of
from ...core.policy import Policy
from ...core.states import ACTIVE, ENDED, MANUAL, QUARANTINED, WAITING, set_job_state
from ...core.transitions import released
from ...core.waiting import KEY_HOLDS, cancelled
from ...errors import DeserializationError, JobValueError
from ...texts import shortened, storable
from .. import documents
from ..documents import fields_of, healing_as, job_of, run_of
from .keys import (
    JOBS,
    active_of,
    cancel_key,
    child_key,
    damaged_key,
    due_folder,
    due_name,
    ended_key,
    job_key,
    number,
    quarantined_key,
    start_key,
    waiting_key,
)
from .port import KEEP, Change

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ...codec.jobs import JobFormat
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ...job.handle import Job
    from .port import Entry

#: The job was removed while runs of it were under way; they keep its document until they have ended.
REMOVED = "removed"
#: The longest id and executor alias, in characters; and how many bytes a job may take.
ID_LENGTH = 500
JOB_SIZE = 500_000
#: How many bytes a record takes at most, and how long its texts are if they would take more (characters).
RECORD_SIZE = 400_000
SHORTENED = 10_000

#: no time is larger, nor what stands for none or for an unknown one
_LARGEST = 2**62
_recorded = re.compile(r'"recorded":(-?\d{1,19})\b').search
_PARTS = ("id", "name", "func", "trigger", "args", "kwargs", "options", "executor")
_NUMBERS = ("version", "running", "created", "updated")
#: how many fields the document of a plain job has, and which ones the others have besides, with what they may be
_PLAIN = len(_PARTS) + len(_NUMBERS) + 5
_RARE: dict[str, Callable[[Any], bool]] = {
    "revision": lambda value: type(value) is int and 0 <= value < MOST,
    "paused": lambda value: type(value) is str,
}
_WAITING = ("waiting", "placed")
#: what only some runs have
_EXTRA = frozenset(("origin", "not_before", "cancel", "extra"))
_NOTHING_RARE: Mapping[str, Any] = {}


# ---------------------------------------------------------------------------------------------------------------- jobs


def parts_of(job: Job, format: JobFormat) -> tuple[str, ...]:
    """Return what a job is, see :func:`rota.jobstores.documents.parts_of`.

    :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
    """
    parts = documents.parts_of(job, format)
    for what, text in (("id", job.id), ("executor", job.executor)):
        if len(text) > ID_LENGTH:
            raise JobValueError(
                f"{what} of job {job.id[:40]!r}… is {len(text)} characters long; this store keeps {ID_LENGTH}"
            )
    size = sum(len(json.dumps(part, ensure_ascii=False).encode()) for part in parts)
    if size > JOB_SIZE:
        raise JobValueError(
            f"Job {job.id[:40]!r} takes {size} bytes, and this store keeps {JOB_SIZE} of each; put large arguments "
            f"elsewhere and pass their place"
        )
    return parts


class Doc:
    """One job's document.

    :ivar parts: what the job is, see :func:`rota.jobstores.documents.parts_of`
    :ivar rare: what most jobs do not have, by name: ``revision``, ``paused``; never changed
    :ivar waiting: how many runs of the job wait
    :ivar placed: how many of these keep their place among its runs, and are counted there, too
    :ivar recorded: the latest nominal time that has a run or record; None: that is not known yet
    :ivar rev: the revision of its key
    :ivar unreadable: why this is no job of ours; None for a good one
    :ivar raw: what is there instead
    :ivar found: the key of a due time by which such a job was found
    """

    __slots__ = (
        "created",
        "due",
        "error",
        "found",
        "id",
        "nominal",
        "parts",
        "placed",
        "rare",
        "raw",
        "recorded",
        "rev",
        "running",
        "state",
        "unreadable",
        "updated",
        "version",
        "waiting",
    )

    def __init__(self, id: str, rev: int) -> None:
        self.id = id
        self.rev = rev
        self.parts: tuple[str, ...] = (id, id, "", "", "", "", "", "default")
        self.version = self.running = self.created = self.updated = 0
        self.state = QUARANTINED
        self.nominal: int | None = None
        self.due: int | None = None
        self.error: str | None = None
        self.rare = _NOTHING_RARE
        self.waiting = self.placed = 0
        self.recorded: int | None = None
        self.unreadable: str | None = None
        self.raw: str | None = None
        self.found: str | None = None

    @property
    def is_visible(self) -> bool:
        """Whether there is a job, and not only the end of one."""
        return self.state not in (ENDED, REMOVED)

    @property
    def is_kept(self) -> bool:
        """Whether there is a job, or one whose schedule is over: of which runs wait, or whose last one has not ended well."""
        return self.is_visible or (self.state == ENDED and (self.waiting > 0 or self.running == 0))

    @property
    def key(self) -> str:
        """The key of the document."""
        return job_key(self.id)

    @property
    def index(self) -> str | None:
        """The key under which the job is looked up, None if it waits for nothing."""
        if self.state == ACTIVE and self.due is not None and self.due != HELD:
            return f"{due_folder(self.parts[7])}/{due_name(self.due, self.id)}"
        return quarantined_key(self.id) if self.state == QUARANTINED else None

    def copy(self) -> Doc:
        """Return a copy to be changed."""
        other = Doc.__new__(Doc)
        for name in Doc.__slots__:
            setattr(other, name, getattr(self, name))
        return other

    def text(self) -> str:
        """Return the document as JSON."""
        data: dict[str, Any] = dict(zip(_PARTS, self.parts, strict=True))
        data |= {"next": self.nominal, "due": self.due, "state": self.state, "error": self.error}
        data |= {name: getattr(self, name) for name in _NUMBERS}
        data["recorded"] = self.recorded
        if self.rare or self.waiting:
            data |= {
                **self.rare,
                **({"waiting": self.waiting, "placed": self.placed} if self.waiting else {}),
            }
        return json.dumps(data, ensure_ascii=False, separators=(",", ":"))

    def release(self, ended: int, failed: bool = False) -> Doc | None:
        """Return the document after so many runs have ended, None if nothing keeps it any more (R6).

        :param failed: whether the last of them has not ended well, so that a job whose schedule is over stays
        """
        new = self.copy()
        new.running = max(self.running - ended, 0)
        is_over = new.running == 0 and new.waiting == 0 and not new.is_visible
        if is_over and not (failed and new.state == ENDED):
            return None
        if new.due == HELD:
            new.due = released(
                new.nominal, new.due, new.running, spare_in(new.parts[_PARTS.index("options")])
            )
        return new

    def job(self, format: JobFormat, scheduler: Any, alias: str | None, healing: bool = False) -> Job:
        """Return the job; one that cannot be restored is quarantined, with the reason in ``error``.

        :param healing: look at a job in quarantine as if it were not
        """
        state, error = (
            healing_as(self.error, self.nominal is not None) if healing else (self.state, self.error)
        )
        job = job_of(
            self.parts,
            format,
            scheduler,
            alias,
            version=self.version,
            running=self.running,
            state=state,
            nominal=self.nominal,
            due=self.due,
            error=error,
        )
        for name, value in self.rare.items():
            setattr(job, name, value)
        if self.unreadable is not None:
            job.error, job.version = self.unreadable, NO_VERSION
            set_job_state(job, QUARANTINED)
        return job


def doc_of(id: str, entry: Entry) -> Doc | None:
    """Return the document in an entry, None if there is none; what is no document of ours gives an unreadable one."""
    if entry.value is None:
        return None
    doc = Doc(id, entry.rev)
    try:
        data = json.loads(entry.value)
        parts = tuple(data[name] for name in _PARTS)
        numbers = [data[name] for name in _NUMBERS]
        times = [data["next"], data["due"], data["recorded"]]
        state, error = data["state"], data["error"]
        _check(id, parts, numbers, times, state, error)
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        doc.raw = entry.value
        doc.unreadable = storable(
            f"{DAMAGED}what is stored as this job is no job: {type(exc).__name__}: {shortened(str(exc), 300)}"
        )
        return doc
    doc.parts = parts
    doc.version, doc.running, doc.created, doc.updated = numbers
    doc.nominal, doc.due, doc.recorded = times
    doc.state, doc.error = state, error
    if len(data) != _PLAIN:
        doc.rare = {name: data[name] for name, fits in _RARE.items() if name in data and fits(data[name])}
        waiting, placed = (data.get(name) for name in _WAITING)
        if type(waiting) is type(placed) is int and 0 <= placed <= waiting < MOST:
            doc.waiting, doc.placed = waiting, placed
    return doc


def recorded_in(text: str) -> int | None:
    """Return the latest nominal time that has a run or record, as the document of a job says; None: it does not say so.

    The document is not read for it, which takes ten times as long: no text in one has a quotation mark without a backslash.
    """
    found = _recorded(text)
    at = None if found is None else int(found[1])
    return at if at is not None and abs(at) <= _LARGEST else None


def _check_numbers(numbers: list[Any], nominal: Any, due: Any, recorded: Any) -> None:
    fit = all(type(number) is int and -MOST < number < MOST for number in numbers)
    if not fit or not 0 <= numbers[0] < MOST_VERSION:
        raise TypeError("a number of it is none, or too large")
    for name, time in (("next", nominal), ("due", due)):
        if not (time is None or (type(time) is int and (is_time(time) or time == HELD))):
            raise TypeError(f"{name} is no time")
    if not (recorded is None or (type(recorded) is int and -MOST <= recorded < MOST)):
        raise TypeError("recorded is no time")


def _check(
    id: str, parts: tuple[Any, ...], numbers: list[Any], times: list[Any], state: Any, error: Any
) -> None:
    """See whether this is what a store writes.

    :raises TypeError, ValueError: if it is not
    """
    nominal, due, recorded = times
    if not all(type(part) is str for part in parts) or not (error is None or type(error) is str):
        raise TypeError("a part of it is no text")
    _check_numbers(numbers, nominal, due, recorded)
    if type(state) is not str or (state not in STATES and state != REMOVED):
        raise ValueError(f"state is {state!r:.60}")
    if state == ACTIVE and (nominal is None or due is None):
        raise ValueError("it is active, and nobody knows when it is due")
    if parts[0] != id:
        raise ValueError(f"it is of job {parts[0]!r:.60}")


def rare_of(job: Job) -> Mapping[str, Any]:
    """Return what a job has of what most jobs do not have."""
    if job.revision == 0 and job.paused is None:
        return _NOTHING_RARE
    values = {"revision": job.revision or None, "paused": job.paused}
    return {name: value for name, value in values.items() if value is not None}


def counted(doc: Doc | None, runs: Sequence[Run], format: JobFormat, now: int) -> Doc | None:
    """Return a document in which it is counted how these runs have ended, where the job is paused after failures in a row.

    :param doc: as it is after them; it may be changed. None: nothing keeps it
    """
    if doc is None or not Policy.some_pause or '"pause_on_failure"' not in doc.parts[6]:
        return doc
    from ...core.pauses import count_ends  # most jobs have no such limit

    job = doc.job(format, None, None)
    if count_ends(job, runs, now):
        doc.nominal, doc.due, doc.state = job.next_nominal, job.next_due, job.state
        doc.rare = rare_of(job)
        doc.version, doc.updated = doc.version + 1, now
    return doc


def changes_of(old: Doc | None, new: Doc | None, absent: int | None = None) -> list[Change]:
    """Return the changes of keys from one document of a job to another; None: there is none.

    :param absent: the revision of the missing document
    """
    if new is not None:
        changes = [Change(new.key, new.text(), absent if old is None else old.rev)]
    else:
        assert old is not None
        changes = [Change(old.key, None, old.rev)]
    before = None if old is None or old.unreadable is not None else old.index
    after = None if new is None else new.index
    if before != after:
        if before is not None:
            changes.append(Change(before, None))
        if after is not None:
            changes.append(Change(after, ""))
    if old is None or new is None or old.parts is not new.parts or new.state == REMOVED:
        mine, theirs = parent_in(new), parent_in(old)
        if theirs is not None and theirs != mine and old is not None:
            changes.append(Change(child_key(theirs, old.id), None))
        if mine is not None and theirs != mine and new is not None:
            changes.append(Change(child_key(mine, new.id), ""))
    return changes


def parent_in(doc: Doc | None) -> str | None:
    """Return the id of the job of which ended runs start the one of a document, None: there is none."""
    if doc is None or doc.unreadable is not None or doc.state == REMOVED or '"after"' not in doc.parts[3]:
        return None
    try:
        spec = json.loads(doc.parts[3])
        parent = spec["job_id"] if spec["type"] == "after" else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return parent if type(parent) is str and parent else None


def quarantine(doc: Doc, reason: str) -> list[Change]:
    """Return the changes that put a job into quarantine whose document is left as it is."""
    changes = [Change(doc.key, KEEP, doc.rev), Change(quarantined_key(doc.id), reason)]
    return changes if doc.found is None else [*changes, Change(doc.found, None)]


def replaced(doc: Doc, new: Doc) -> list[Change]:
    """Return the changes that put a job in the place of a damaged document, which is kept apart."""
    changes = changes_of(doc, new)
    if new.state != QUARANTINED:
        changes.append(Change(quarantined_key(doc.id), None))
    return [*changes, Change(damaged_key(JOBS, doc.id), shortened(doc.raw or "", 100_000))]


def waits(run: Run, not_before: int) -> list[Change]:
    """Return the changes that make a run wait."""
    return [
        Change(waiting_key(run.job_id, run.nominal), record_of(run)),
        Change(start_key(not_before, run.job_id, run.nominal), ""),
    ]


def cancellation(doc: Doc | None, runs: Mapping[Run, Entry], reason: str, now: int) -> list[Change]:
    """Return the changes that cancel waiting runs of a job, which are ended.

    :param doc: the job's document; None: there is none
    :param runs: with each run the entry of its key
    """
    changes: list[Change] = []
    if doc is not None:
        changes = changes_of(doc, without_waiting(doc, runs))
    for run, entry in runs.items():
        not_before = extra_of(run).not_before
        if not_before is not None:
            changes.append(Change(start_key(not_before, run.job_id, run.nominal), None))
        cancelled(run, reason, now)
        changes += [
            Change(waiting_key(run.job_id, run.nominal), None, entry.rev),
            Change(ended_key(run.job_id, run.nominal), record_of(run)),
        ]
    return changes


def without_waiting(doc: Doc, runs: Collection[Run]) -> Doc | None:
    """Return the document of a job after some of its waiting runs have ended, None if nothing keeps it any more."""
    new = doc.copy()
    placed = sum(keeps_place(extra_of(run)) for run in runs)
    new.waiting = max(doc.waiting - len(runs), 0)
    new.placed = min(max(doc.placed - placed, 0), new.waiting)
    return new.release(placed)


def run_of_waiting(job_id: str, name: str, entry: Entry) -> Run | None:
    """Return the waiting run of a key; None if there is none, or it is damaged.

    :param name: of the key in the folder of the job's waiting runs
    """
    run = run_in(entry)
    if run is None or (run.job_id, number(run.nominal), run.status) != (job_id, name, WAITING):
        return None
    return None if extra_of(run).not_before is None else run


def told_no_more(entry: Entry) -> list[Change]:
    """Return the changes by which a node is not told any more that a run of it is cancelled.

    :param entry: of the run, as it is under way
    """
    if '"cancel"' not in (entry.value or ""):
        return []
    run = run_in(entry)
    if run is None or run.owner is None or extra_of(run).cancel is None:
        return []
    return [Change(cancel_key(run.owner, run.job_id, run.nominal), None)]


def asked_in(entry: Entry, now: int) -> int | None:
    """Return the nominal time of the run that was asked for with a key; None if that is too long ago, or there is none."""
    try:
        nominal, at = json.loads(entry.value or "")
    except (ValueError, TypeError, RecursionError):
        return None
    return nominal if is_time(nominal) and is_time(at) and now - at < KEY_HOLDS else None


def counts_of(names: Iterable[str]) -> Counter[str]:
    """Return how many claimed runs each job has, by the names of their keys."""
    return Counter(key[0] for name in names if (key := active_of(name)) is not None)


# ---------------------------------------------------------------------------------------------------------------- runs


def record_of(run: Run) -> str:
    """Return a run's record, its texts shortened if it would be too long for a step that writes a long job too."""
    fields = {**fields_of(run), **_extra_of(run)}
    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if (
        len(text) > RECORD_SIZE // 4 and len(text.encode()) > RECORD_SIZE
    ):  # no character takes more than four bytes
        for name in ("reason", "error_type", "error", "traceback"):
            if name in fields:
                fields[name] = shortened(fields[name], SHORTENED)
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return text


def run_of_text(value: str | None) -> Run | None:
    """Return the run of a record.

    :return: None if there is none: it was pruned, or has ended in between
    :raises DeserializationError: if the text is no record
    """
    if value is None:
        return None
    try:
        data = json.loads(value)
    except (ValueError, RecursionError) as exc:
        raise DeserializationError(f"{value!r:.80} is no record of a run: {exc}") from exc
    if not isinstance(data, dict):
        raise DeserializationError(f"{value!r:.80} is no record of a run")
    run = run_of(data)
    if not _EXTRA.isdisjoint(data) or run.reason == MANUAL:
        get = data.get
        tell(run, get("origin"), get("not_before"), get("cancel"), get("extra"), run.reason)
    return run


def _extra_of(run: Run) -> dict[str, Any]:
    """Return the fields of what only some runs have."""
    extra = getattr(run, "extra", None)
    if extra is None:
        return {}
    fields = {
        "origin": None if extra.origin == SCHEDULE else extra.origin,
        "not_before": extra.not_before,
        "cancel": storable(extra.cancel),
        "extra": text_of(extra),
    }
    return {name: value for name, value in fields.items() if value is not None}


def run_in(entry: Entry) -> Run | None:
    """Return the run in an entry, None if there is none, or something else."""
    try:
        return run_of_text(entry.value)
    except DeserializationError:
        return None


def standing_of(nominal: int, value: str | None) -> Recorded:
    """Return what a record stands for; one that is damaged for its own time."""
    try:
        run = run_of_text(value)
    except DeserializationError:
        run = None
    return (nominal, nominal, "unreadable") if run is None else (nominal, run.last, run.status)


def joined(records: Sequence[Run]) -> list[Run]:
    """Return records with those of one status and reason put together into one range."""
    found: dict[tuple[str, str | None], Run] = {}
    for record in records:
        first = found.setdefault((record.status, record.reason), record)
        if first is not record:
            first.last = max(first.last, record.last)
            first.count += record.count
    return list(found.values())
