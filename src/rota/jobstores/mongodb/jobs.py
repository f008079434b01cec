"""The jobs of the MongoDB store: added, saved, removed, looked up when they are due, and let out of quarantine.

Each change is one conditional update of a job's document. It knows no record.
"""

from __future__ import annotations

from pymongo import UpdateMany
from pymongo.errors import BulkWriteError, DuplicateKeyError

from ...clock import HELD
from ...codec.damaged import MOST_VERSION, version_of
from ...core.states import ACTIVE, ENDED, QUARANTINED
from ...core.transitions import released
from ...errors import ConflictingIdError, JobLookupError
from .. import retention
from ..base import ALIASES, COUNTED
from ..documents import KEPT, heal, new_version, stored_states
from ..retention import Pace, parts
from .forms import NO_ARRAY, OVER, REMOVED, REPLACEABLE, THERE, change_to, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...codec.jobs import JobFormat
    from ...job.handle import Job
    from .server import Server

#: How often saving a job is tried if it is damaged, or others change it.
TRIES = 3
#: How many ended jobs are looked at together.
SOME = 500
#: Less than every time; values in the index that are no numbers come before it.
_EARLIEST = -(2**63)


def release(ids: Sequence[str]) -> list[UpdateMany]:
    """Return the updates that let jobs become due that waited for runs which have ended (R6)."""
    held = {"_id": {"$in": ids}, "next_due": HELD, "under_way": []}
    return [UpdateMany(held, [{"$set": {"next_due": "$next_nominal"}}])]


class Jobs:
    """Reads and writes the jobs of one store.

    :param server: where the documents are
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
        self._mend = mend

    # -- reading -------------------------------------------------------------------------------------------------

    def one(self, job_id: str) -> dict[str, Any] | None:
        """Return the document of a job, None if there is no job of that id."""
        found = self.find({"_id": job_id})
        if not found:  # one whose schedule is over may be there, too
            with self._server.translated():
                found = list(self._server.jobs.find({"_id": job_id, **THERE}))
        return found[0] if found else None

    def find(self, condition: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Return the documents of jobs that are not over."""
        with self._server.translated():
            return list(self._server.jobs.find({"state": {"$nin": OVER}, **condition}))

    def select(self, states: Collection[str] | None, limit: int | None, offset: int) -> list[dict[str, Any]]:
        """Return a page of the jobs that are not over, the earliest due first, those without a due time last."""
        if limit == 0:
            return []
        among: Any = {"$nin": REPLACEABLE} if states is None else {"$in": stored_states(states)}
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
        condition: dict[str, Any] = {
            "state": ACTIVE,
            "next_due": {"$gte": _EARLIEST, "$lt": HELD, **NO_ARRAY},
        }
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
        with self._server.translated():
            for executor in self.executors():
                if executor not in passed:
                    due = {"state": ACTIVE, "executor": executor, "next_due": {"$lte": now}}
                    count = self._server.jobs.count_documents(due, limit=COUNTED)
                    if count:
                        found[executor] = count
        return found

    def executors(self) -> Iterator[str]:
        """Yield the aliases of the executors that active jobs name."""
        executor, jobs = "", self._server.jobs
        for _ in range(ALIASES):
            # From one alias to the next by the index: all jobs of one may be very many.
            others = {"state": ACTIVE, "executor": {"$gt": executor}}
            following = next(iter(jobs.find(others, {"executor": 1}).sort("executor", 1).limit(1)), None)
            if following is None or not isinstance(following["executor"], str):
                return
            executor = following["executor"]
            yield executor

    def _quarantined(self, limit: int) -> list[str]:
        """Return ids of jobs in quarantine, at most so many."""
        with self._server.translated():
            return [
                found["_id"]
                for found in self._server.jobs.find(
                    {"state": QUARANTINED, "_id": {"$type": "string"}}, {"_id": 1}
                ).limit(limit)
            ]

    def _quarantined_after(self, start: str | None, passed: int) -> tuple[list[str], str | None]:
        """Return the ids of those in quarantine among so many jobs after one, by ids, and the last job; None if these were all."""
        after = {
            "_id": {"$gte": ""} if start is None else {"$gt": start}
        }  # only texts are compared with a text
        with self._server.translated():
            some = list(self._server.jobs.find(after, {"state": 1}).sort("_id", 1).limit(passed))
        found = [document["_id"] for document in some if document.get("state") == QUARANTINED]
        return found, some[-1]["_id"] if len(some) == passed else None

    # -- writing -------------------------------------------------------------------------------------------------

    def _new_values(self, job: Job) -> dict[str, Any]:
        """Return the fields of a job that is to be added."""
        values = values_of(job, self._format)
        values["next_due"] = released(job.next_nominal, job.next_due, 0)
        values["version"] = new_version()
        return values

    def add(self, job: Job) -> None:
        """Insert a job.

        :raises ConflictingIdError: if there is one of that id
        """
        values = self._new_values(job)
        with self._server.translated():
            while not self._insert(job.id, values):
                # The runs of a job that is over may be under way.
                over = {"_id": job.id, "state": {"$in": REPLACEABLE}}
                anew = change_to(values, *_HISTORY)
                if self._server.jobs.update_one(over, anew).matched_count:
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
        fresh = {job.id: self._new_values(job) for job in jobs}
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
        values = values_of(job, self._format)
        for _ in range(TRIES):
            with self._server.translated():
                after = self._save(job.id, values, version)
                if after is not None:
                    if job.next_due == HELD:
                        self._server.jobs.bulk_write(release([job.id]))
                    job.version = after
                    return True
                found = self.one(job.id)
            if found is None:
                raise JobLookupError(job.id)
            stored = version_of(found.get("version"))
            if version not in (None, stored):
                return False
            # What is damaged is put right and kept; the job is saved over that.
            mended = self._mend(found, "it is replaced")
            version = mended if mended is not None and version is not None else version
        return False

    def _save(self, job_id: str, values: Mapping[str, Any], version: int | None) -> int | None:
        """Replace a job whose document is whole; return its new version, None if nothing was done."""
        numbers = {
            "$type": ["int", "long"],
            **({"$gte": 0, "$lt": MOST_VERSION} if version is None else {"$eq": version}),
        }
        there = THERE
        if values["state"] == ENDED and self._server.jobs.find_one(
            {"_id": job_id, "state": KEPT}, {"_id": 1}
        ):
            there, values = {"state": KEPT}, {**values, "state": KEPT}
        condition = {
            "_id": job_id,
            **there,
            "version": numbers,
            "under_way": {"$type": "array"},
            "pending": {"$type": "array"},
        }
        change = {**change_to(values), "$inc": {"version": 1}}
        after = self._server.jobs.find_one_and_update(
            condition, change, projection={"version": 1}, return_document=True
        )
        return None if after is None else after["version"]

    def remove(self, job_id: str) -> bool:
        """Delete a job; what holds its unfinished runs stays until they have ended.

        :return: False if there is none without runs that wait
        """
        living = {"_id": job_id, "state": {"$nin": OVER}}
        none_waits = {"not_before": {"$exists": False}}
        with self._server.translated():
            free = {"busy": {"$exists": False}}
            if self._server.jobs.delete_one({**living, **free}).deleted_count:
                return True
            if not self._server.jobs.update_one({**living, **none_waits}, REMOVAL).matched_count:
                return False
        self.forget([job_id])
        return True

    def remove_all(self) -> list[str]:
        """Delete all jobs; return the ids of those with runs that wait, which are left."""
        with self._server.translated():
            self._server.jobs.delete_many({"busy": {"$exists": False}})
            self._server.jobs.update_many({"not_before": {"$exists": False}}, REMOVAL)
            waits = {"not_before": {"$exists": True}, "state": {"$ne": REMOVED}}
            return [found["_id"] for found in self._server.jobs.find(waits, {"_id": 1})]

    def forget_ended(self) -> Iterator[int]:
        """Delete the ended jobs of which no record is left, some of them at a time."""
        kept = {"state": KEPT, "under_way": [], "pending": []}
        last = ""
        while True:
            with self._server.translated():
                after = self._server.jobs.find({**kept, "_id": {"$gt": last}}, {"_id": 1}).sort("_id", 1)
                ids = [found["_id"] for found in after.limit(SOME)]
                if not ids:
                    return
                last = ids[-1]
                known = set(self._server.runs.distinct("job_id", {"job_id": {"$in": ids}}))
                gone = [id for id in ids if id not in known]
                if gone:
                    self._server.jobs.delete_many({**kept, "_id": {"$in": gone}})
            yield 0

    def forget(self, ids: Sequence[str]) -> None:
        """Delete the documents of jobs that are over and have no unfinished runs any more."""
        over = {"_id": {"$in": list(ids)}, "under_way": [], "pending": [], "state": {"$in": OVER}}
        with self._server.translated():
            self._server.jobs.delete_many(over)

    def heal(
        self, now: int, job_of: Callable[[Mapping[str, Any], bool], Job], clock: Clock
    ) -> Iterator[tuple[list[Job], int]]:
        """Let jobs out of quarantine that can be restored and planned now, in steps; see the port."""
        pace = Pace(retention.RESTORED)
        for ids, left in parts(self._quarantined, self._quarantined_after, pace):
            began = clock.monotonic()
            documents = self.find({"_id": {"$in": ids}, "state": QUARANTINED}) if ids else ()
            jobs = [job_of(document, True) for document in documents]
            healed = [job for job in jobs if heal(job, now) and self._is_healed(job)]
            pace.note(len(ids), clock.monotonic() - began)
            yield healed, left

    def _is_healed(self, job: Job) -> bool:
        """Let a job out of quarantine, if it is still as it was read; return whether that was done."""
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


#: What a job that takes the place of one that is over does not have of it.
_HISTORY = ("durations", "failures", "horizon")
#: The change that makes a job one that was removed, and has unfinished runs.
REMOVAL: dict[str, Any] = {"$set": {"state": REMOVED, "next_due": None}, "$inc": {"version": 1}}
