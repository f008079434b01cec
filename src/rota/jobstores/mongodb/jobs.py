"""The documents of jobs: to jobs and back, and the changes of them that users make.

A job's document holds its unfinished runs, so that one conditional update changes both; see ``ledger``.
"""

from __future__ import annotations

from os import urandom

from pymongo import UpdateMany
from pymongo.errors import BulkWriteError, DuplicateKeyError

from ...clock import HELD
from ...core.plan import ACTIVE, ENDED, QUARANTINED
from ...damaged import DAMAGED, MOST_VERSION, text_instead, version_of
from ...errors import ConflictingIdError, JobLookupError, JobValueError
from ...texts import storable
from ..base import ALIASES, COUNTED
from ..documents import healing_as, job_of, parts_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from ...job import Job
    from ...jobcodec import JobFormat
    from .server import Server

#: The state of a job that was removed while runs of it were under way.
REMOVED = "removed"
#: The states of documents that are no jobs any more; only their runs keep them.
OVER = (ENDED, REMOVED)

#: How often a job is saved against damages and others' changes.
TRIES = 3
#: What is in the index before all times is not a number.
_EARLIEST = -(2**63)
#: How many bytes a job's texts may take. A document has 16 MB at most, and holds the job's unfinished runs too.
JOB_SIZE = 12_000_000
#: From where on a stored job, of an older version, has no room for its runs (characters).
_NO_ROOM = 15_500_000

_PARTS = ("_id", "name", "func", "trigger", "args", "kwargs", "options", "executor")


def release(ids: Sequence[str]) -> list[UpdateMany]:
    """Return the updates that let jobs become due that waited for runs which have ended."""
    held = {"_id": {"$in": ids}, "next_due": HELD, "under_way": []}
    return [UpdateMany(held, [{"$set": {"next_due": "$next_nominal"}}])]


class Jobs:
    """Reads and writes the jobs of one store.

    :param server: where they are
    :param format: how the parts of a job are written
    :param mend: puts right what is damaged in a document, and returns its new version
    """

    def __init__(
        self,
        server: Server,
        format: JobFormat,
        mend: Callable[[Mapping[str, Any], str], int | None],
    ) -> None:
        self._server = server
        self._format = format
        self.mend = mend

    # -- documents -----------------------------------------------------------------------------------------------

    def job_of(
        self, document: Mapping[str, Any], scheduler: Any, alias: str | None, healing: bool = False
    ) -> Job:
        """Return the job of a document; one that is damaged or cannot be restored is quarantined, and says why.

        :param healing: take the job out of quarantine, if it can be restored
        """
        get = document.get
        state, error, under_way = get("state"), get("error"), get("under_way") or ()
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
        job = job_of(parts, self._format, scheduler, alias, **standing)
        if wrong or not whole:
            told = [f"{name} must be a text" for name in wrong]
            told += [] if whole else ["under_way must be a list of runs"]
            job.state, job.error = QUARANTINED, f"{DAMAGED}{'; '.join(told)}"
        elif (size := sum(map(len, parts))) > _NO_ROOM:
            job.state, job.error = QUARANTINED, _too_long(job, size)
        return job

    def parts_of(self, job: Job) -> tuple[str, ...]:
        """Return what a job is, see :func:`rota.jobstores.documents.parts_of`.

        :raises JobValueError, TransientJobError, SerializationError: if the job does not fit
        """
        parts = parts_of(job, self._format)
        if sum(map(len, parts)) > JOB_SIZE // 4:  # no character takes more than four bytes
            size = sum(len(part.encode()) for part in parts)
            if size > JOB_SIZE:
                raise JobValueError(_too_long(job, size))
        return parts

    def values_of(self, job: Job) -> dict[str, Any]:
        """Return the fields of a job, all but its version and its runs.

        :raises JobValueError, TransientJobError, SerializationError: as :meth:`parts_of`
        """
        values: dict[str, Any] = dict(zip(_PARTS[1:], self.parts_of(job)[1:], strict=True))
        values["next_nominal"], values["next_due"] = job.next_nominal, job.next_due
        values["state"], values["error"] = job.state, storable(job.error)
        return values

    def new_values(self, job: Job) -> dict[str, Any]:
        """Return the fields of a job that is to be added."""
        values = self.values_of(job)
        if values["next_due"] == HELD:
            values["next_due"] = values["next_nominal"]
        # Starts anywhere, so that a decision about a removed job of the same id cannot be taken for one about this job.
        values["version"] = int.from_bytes(urandom(5), "big")
        return values

    # -- reading -------------------------------------------------------------------------------------------------

    def find(self, condition: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the documents of jobs that are not over."""
        with self._server.translated():
            return list(self._server.jobs.find({"state": {"$nin": OVER}, **condition}))

    def select(self, states: Iterable[str] | None, limit: int | None, offset: int) -> list[dict[str, Any]]:
        """Return a page of the jobs that are not over, the earliest due first, those without a due time last."""
        if limit == 0:
            return []
        among: Any = {"$nin": OVER} if states is None else {"$in": list(states)}
        timed, timeless = ({"state": among, "next_due": due} for due in ({"$ne": None}, None))
        jobs = self._server.jobs
        with self._server.translated():
            found = list(jobs.find(timed).sort([("next_due", 1), ("_id", 1)]).skip(offset).limit(limit or 0))
            if limit is None or len(found) < limit:
                passed = 0 if found or not offset else max(offset - jobs.count_documents(timed), 0)
                left = 0 if limit is None else limit - len(found)
                found += jobs.find(timeless).sort("_id", 1).skip(passed).limit(left)
        return found

    def some(self, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return documents by id, also of jobs whose schedule is over."""
        with self._server.translated():
            return list(self._server.jobs.find({"_id": {"$in": list(ids)}, "state": {"$ne": REMOVED}}))

    def under_way(self, ids: Iterable[str]) -> dict[str, int]:
        """Return how many runs of jobs are under way."""
        with self._server.translated():
            found = list(self._server.jobs.find({"_id": {"$in": list(ids)}}, {"under_way": 1}))
        lists = {document["_id"]: document.get("under_way") for document in found}
        return {
            id: sum(isinstance(run, dict) for run in runs) if isinstance(runs, list) else 0
            for id, runs in lists.items()
        }

    def due(self, now: int, executor: str | None, limit: int) -> list[dict[str, Any]]:
        """Return the documents of due jobs, the earliest first.

        :param executor: alias, None for all
        :param limit: at most so many, 0 for all
        """
        condition: dict[str, Any] = {"state": ACTIVE, "next_due": {"$lte": now}}
        if executor is not None:
            condition["executor"] = executor
        with self._server.translated():
            return list(self._server.jobs.find(condition).sort("next_due", 1).limit(limit))

    def next_due(self, executor: str | None) -> int | None:
        """Return the earliest due time, of the jobs of an executor or of all."""
        condition: dict[str, Any] = {"state": ACTIVE, "next_due": {"$gte": _EARLIEST, "$lt": HELD}}
        if executor is not None:
            condition["executor"] = executor
        with self._server.translated():
            for document in self._server.jobs.find(condition, {"next_due": 1}).sort("next_due", 1).limit(1):
                return int(document["next_due"])
        return None

    def overdue(self, now: int, known: Iterable[str]) -> dict[str, int]:
        """Return how many due jobs wait for each executor that is not known; of very many as many as are counted."""
        found: dict[str, int] = {}
        passed = set(known)
        executor = ""
        jobs = self._server.jobs
        with self._server.translated():
            for _ in range(ALIASES):
                # From one alias to the next by the index: all jobs of one may be very many.
                others = {"state": ACTIVE, "executor": {"$gt": executor}}
                following = next(iter(jobs.find(others, {"executor": 1}).sort("executor", 1).limit(1)), None)
                if following is None or not isinstance(following["executor"], str):
                    break
                executor = following["executor"]
                if executor not in passed:
                    due = {"state": ACTIVE, "executor": executor, "next_due": {"$lte": now}}
                    count = jobs.count_documents(due, limit=COUNTED)
                    if count:
                        found[executor] = count
        return found

    def quarantined(self, limit: int) -> list[str]:
        """Return ids of jobs in quarantine, at most so many."""
        with self._server.translated():
            return [
                found["_id"]
                for found in self._server.jobs.find(
                    {"state": QUARANTINED, "_id": {"$type": "string"}}, {"_id": 1}
                ).limit(limit)
            ]

    def quarantined_after(self, start: str | None, passed: int) -> tuple[list[str], str | None]:
        """Return the ids of those in quarantine among so many jobs after one, by ids, and the last job; None if these were all."""
        after = {
            "_id": {"$gte": ""} if start is None else {"$gt": start}
        }  # only texts are compared with a text
        with self._server.translated():
            some = list(self._server.jobs.find(after, {"state": 1}).sort("_id", 1).limit(passed))
        found = [document["_id"] for document in some if document.get("state") == QUARANTINED]
        return found, some[-1]["_id"] if len(some) == passed else None

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Insert a job.

        :raises ConflictingIdError: if there is one of that id
        """
        values = self.new_values(job)
        with self._server.translated():
            while not self._insert(job.id, values):
                # The runs of a job that is over may be under way.
                over = {"_id": job.id, "state": {"$in": OVER}}
                if self._server.jobs.update_one(over, {"$set": values}).matched_count:
                    break
                if self._server.jobs.find_one({"_id": job.id}, {"_id": 1}) is not None:
                    raise ConflictingIdError(job.id)
        job.version = values["version"]

    def _insert(self, job_id: str, values: Mapping[str, Any]) -> bool:
        try:
            self._server.jobs.insert_one({"_id": job_id, **values, "under_way": [], "pending": []})
        except DuplicateKeyError:
            return False
        return True

    def add_many(self, jobs: Sequence[Job]) -> None:
        """Insert jobs, all of them or none.

        :raises ConflictingIdError: if there are some of these ids, also of jobs that are over
        """
        fresh = {job.id: self.new_values(job) for job in jobs}
        documents = [{"_id": id, **values, "under_way": [], "pending": []} for id, values in fresh.items()]
        with self._server.translated():
            taken = [
                found["_id"] for found in self._server.jobs.find({"_id": {"$in": list(fresh)}}, {"_id": 1})
            ]
            if taken:
                raise ConflictingIdError(*taken)
            try:
                self._server.jobs.insert_many(documents, ordered=False)
            except BulkWriteError as exc:
                # Others added some of them at the same moment: take the rest back, unless somebody has changed it.
                for id, values in fresh.items():
                    mine = {"_id": id, "version": values["version"], "under_way": []}
                    self._server.jobs.delete_one(mine)
                refused = [
                    error["keyValue"]["_id"] for error in exc.details["writeErrors"] if "keyValue" in error
                ]
                raise ConflictingIdError(*(refused or list(fresh))) from exc
        for job in jobs:
            job.version = fresh[job.id]["version"]

    def save(self, job: Job, version: int | None) -> bool:
        """Replace a job of the given version (of any version if None).

        :return: whether the version was right
        :raises JobLookupError: if there is no job of that id
        """
        values = self.values_of(job)
        for _ in range(TRIES):
            with self._server.translated():
                after = self._save(job.id, values, version)
                if after is not None:
                    if job.next_due == HELD:
                        self._server.jobs.bulk_write(release([job.id]))
                    job.version = after
                    return True
                found = self.find({"_id": job.id})
            if not found:
                raise JobLookupError(job.id)
            stored = version_of(found[0].get("version"))
            if version not in (None, stored):
                return False
            # What is damaged is put right and kept; the job is saved over that.
            mended = self.mend(found[0], "it is replaced")
            version = mended if mended is not None and version is not None else version
        return False

    def _save(self, job_id: str, values: Mapping[str, Any], version: int | None) -> int | None:
        """Replace a job whose document is whole; return its new version, None if nothing was done."""
        numbers = {
            "$type": "number",
            **({"$gte": 0, "$lt": MOST_VERSION} if version is None else {"$eq": version}),
        }
        condition = {
            "_id": job_id,
            "state": {"$nin": OVER},
            "version": numbers,
            "under_way": {"$type": "array"},
            "pending": {"$type": "array"},
        }
        change = {"$set": values, "$inc": {"version": 1}}
        after = self._server.jobs.find_one_and_update(
            condition, change, projection={"version": 1}, return_document=True
        )
        return None if after is None else after["version"]

    def remove(self, job_id: str) -> None:
        """Delete a job; what holds its unfinished runs stays until they have ended.

        :raises JobLookupError: if there is none
        """
        living = {"_id": job_id, "state": {"$nin": OVER}}
        with self._server.translated():
            if self._server.jobs.delete_one({**living, "busy": {"$exists": False}}).deleted_count:
                return
            if not self._server.jobs.update_one(living, _REMOVAL).matched_count:
                raise JobLookupError(job_id)
        self.bury([job_id])

    def remove_all(self) -> None:
        """Delete all jobs."""
        with self._server.translated():
            self._server.jobs.delete_many({"busy": {"$exists": False}})
            self._server.jobs.update_many({}, _REMOVAL)

    def bury(self, ids: Sequence[str]) -> None:
        """Delete the documents of jobs that are over and have no unfinished runs any more."""
        over = {"_id": {"$in": list(ids)}, "state": {"$in": OVER}, "under_way": [], "pending": []}
        with self._server.translated():
            self._server.jobs.delete_many(over)

    def heal(self, job: Job) -> bool:
        """Let a job out of quarantine, if it is still as it was read."""
        condition = {"_id": job.id, "version": job.version, "state": QUARANTINED}
        change = {
            "$set": {"state": job.state, "error": None, "next_due": job.next_due},
            "$inc": {"version": 1},
        }
        with self._server.translated():
            if not self._server.jobs.update_one(condition, change).matched_count:
                return False
        job.version += 1
        return True


def _too_long(job: Job, size: int) -> str:
    return (
        f"Job {job.id[:40]!r} takes {size} bytes, and this store keeps {JOB_SIZE} of each, to have room for its runs; put large "
        f"arguments elsewhere and pass their place"
    )


_REMOVAL = {"$set": {"state": REMOVED, "next_due": None}, "$inc": {"version": 1}}
