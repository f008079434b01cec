"""Looking back in the MongoDB store: reading the records of runs, and forgetting those that are beyond their bounds.

It changes no job and no run that is under way. It decides nothing that the bounds of retention do not say; damaged records that
have no time stay.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter

from pymongo import DESCENDING

from ...codec.damaged import EARLIEST, LATEST, text_instead
from ...core.recorded import BEFORE, MOST, standing_from
from ...core.states import WAITING
from .. import retention
from ..base import COUNTED
from ..documents import label_all
from ..retention import Pace
from .forms import LISTS, NO_ARRAY, ONLY_WAITS, collect, entries_of, numbered, standing_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.recorded import Recorded
    from ...core.run import Run
    from ..retention import Retention
    from .server import Server

#: How many jobs one question names.
BATCH = 500


class History:
    """The records of one store.

    :param server: where the documents are
    :param bounds: which records are kept
    """

    def __init__(self, server: Server, bounds: Retention) -> None:
        self._server = server
        self._bounds = bounds

    # -- reading -------------------------------------------------------------------------------------------------

    def select(self, job_id: str | None, status: str | Iterable[str] | None, limit: int) -> list[Run]:
        """Return records, newest first."""
        if limit <= 0:
            return []
        wanted = None if status is None else {status} if isinstance(status, str) else set(status)
        filed: dict[str, Any] = {} if job_id is None else {"job_id": job_id}
        if wanted is not None:
            filed["status"] = {"$in": list(wanted)}
        current: dict[str, Any] = {"busy": True} if job_id is None else {"_id": job_id}
        found: dict[tuple[str, int], Run] = {}
        with self._server.translated():
            # In this order, so that a run that is taken or filed in between is read twice, and not missed.
            if job_id is None and (wanted is None or WAITING in wanted):
                for entry in self.waiting(EARLIEST, LATEST + 1, None, limit):
                    collect(found, entry)
            for document in self._server.jobs.find(current, {"under_way": 1, "pending": 1}):
                for entry in (entry for name in LISTS for entry in entries_of(document, name)):
                    if wanted is None or text_instead(entry.get("status")) in wanted:
                        collect(found, {**entry, "job_id": document["_id"]})
            for document in self._server.runs.find(filed).sort("nominal", DESCENDING).limit(limit):
                collect(found, document)
            runs = sorted(found.values(), key=attrgetter("nominal"), reverse=True)[:limit]
            self.label(runs)
        return runs

    def waiting(
        self, first: int, end: int, after: tuple[int, str] | None, limit: int
    ) -> list[dict[str, Any]]:
        """Return records of runs that wait, of jobs of which no other runs are unfinished, newest first.

        The server looks through all that wait.

        :param first: the earliest nominal time
        :param end: the first nominal time that is not wanted
        :param after: the key after which they come: nominal time and job id
        """
        lists = [{"$cond": [{"$isArray": f"${name}"}, f"${name}", []]} for name in LISTS]
        times: dict[str, Any] = {"run.nominal": {"$gte": first, "$lt": end}, "_id": {"$gte": ""}}
        if after is not None:
            nominal, job_id = after
            same = {"run.nominal": nominal, "_id": {"$gt": job_id}}
            times["$or"] = [{"run.nominal": {"$lt": nominal}}, same]
        steps: list[dict[str, Any]] = [
            {"$match": {"busy": ONLY_WAITS}},
            {"$project": {"run": {"$concatArrays": lists}}},
            {"$unwind": "$run"},
            {"$match": times},
            {"$sort": {"run.nominal": DESCENDING, "_id": 1}},
            {"$limit": limit},
        ]
        found = list(self._server.jobs.aggregate(steps))
        return [{**document["run"], "job_id": document["_id"]} for document in found]

    def label(self, runs: Sequence[Run]) -> None:
        """Give records the name and the callable that they lack."""
        ids = sorted({run.job_id for run in runs if run.name is None})
        names: dict[str, tuple[str, str]] = {}
        for start in range(0, len(ids), BATCH):
            named = {"_id": {"$in": ids[start : start + BATCH]}}
            for document in self._server.jobs.find(named, {"name": 1, "func": 1}):
                name, func = document.get("name"), document.get("func")
                names[document["_id"]] = text_instead(name), text_instead(func)
        label_all(runs, names)

    def reaches(self, job_id: str, first: int) -> bool:
        """Whether a record of a job began before an instant and stands for times from then on (R4)."""
        fields = {"nominal": 1, "last": 1, "count": 1, "status": 1}
        with self._server.translated():
            before = self._server.runs.find({"job_id": job_id, "nominal": {"$lt": first}}, fields)
            last = list(before.sort("nominal", DESCENDING).limit(BEFORE))
        return bool(standing_from({standing_of(entry) for entry in numbered(last)}, first))

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        fields = {"nominal": 1, "last": 1, "count": 1, "status": 1}
        of_job = {"job_id": job_id}
        runs = self._server.runs
        with self._server.translated():
            # In this order, so that a run that is filed in between is read twice, and not missed.
            current = self._server.jobs.find_one({"_id": job_id}, {"under_way": 1, "pending": 1}) or {}
            before = runs.find({**of_job, "nominal": {"$lt": since}}, fields).sort("nominal", DESCENDING)
            later = runs.find({**of_job, "nominal": {"$gte": since}}, fields).sort("nominal", 1)
            found = [*before.limit(BEFORE), *later.limit(MOST)]
        found += [entry for name in LISTS for entry in entries_of(current, name)]
        return standing_from({standing_of(entry) for entry in numbered(found)}, since)

    # -- forgetting ----------------------------------------------------------------------------------------------

    def prune(self, now: int, clock: Clock, delete: Callable[[Sequence[Any]], None]) -> Iterator[int]:
        """Delete ended runs that are too old, or too many for their job, in steps; see the port.

        :param delete: deletes records by their keys, and counts those that are not counted yet
        """
        pace = Pace(retention.FORGOTTEN)
        of_job = partial(self._prune_job, clock=clock, pace=pace, delete=delete)
        older = partial(self._prune_old, clock=clock, pace=pace, delete=delete)
        yield from self._bounds.round(now, of_job, older, partial(self._prune_all, of_job=of_job))

    def _prune_old(
        self, instant: int, clock: Clock, pace: Pace, delete: Callable[[Sequence[Any]], None]
    ) -> Iterator[int]:
        """Delete the records that ended before an instant."""
        start: int | None = None
        runs = self._server.runs
        while True:
            began, size = clock.monotonic(), pace.size
            before = {"$lt": instant} if start is None else {"$lt": instant, "$gte": start}
            with self._server.translated():
                some = list(
                    runs.find({"nominal": before}, {"nominal": 1, "finished": 1})
                    .sort("nominal", 1)
                    .limit(size)
                )
                old = [found["_id"] for found in some if _ended_before(found.get("finished"), instant)]
                delete(old)
                pace.note(len(old), clock.monotonic() - began)
                if len(some) < size:
                    return
                left = runs.count_documents({"nominal": before}, limit=COUNTED) if old else 0
            last = some[-1]["nominal"]
            # If one nominal time has more records than a step looks at, those behind the ones that stay wait for a later round.
            start = last + 1 if not old and last == some[0]["nominal"] else last
            yield left

    def _prune_all(self, keep: int, of_job: Callable[[str, int], Iterator[int]]) -> Iterator[int]:
        """Delete the records of each job beyond its newest: of some jobs after others, by their ids."""
        runs = self._server.runs
        start: str | None = ""
        while start is not None:
            of_some: dict[str, Any] = {"$gte": start}
            with self._server.translated():
                end = self._first({"job_id": of_some}, retention.LOOKED_AT)
                crowded: list[str] = []
                if end == start:  # it has more records than are looked at
                    crowded = [start]
                    end = self._first({"job_id": {"$gt": start}}, 0)
                elif keep < retention.LOOKED_AT:
                    if end is not None:
                        of_some["$lt"] = end
                    counted = [
                        {"$match": {"job_id": of_some}},
                        {"$group": {"_id": "$job_id", "count": {"$sum": 1}}},
                        {"$match": {"count": {"$gt": keep}}},
                    ]
                    crowded = [group["_id"] for group in runs.aggregate(counted)]
            yield 0
            for job_id in crowded:
                yield from of_job(job_id, keep)
            start = end

    def _first(self, among: Mapping[str, Any], passed: int) -> str | None:
        """Return the job of the record that comes after so many others, by the ids of jobs."""
        in_order = self._server.runs.find(among, {"job_id": 1}).sort([("job_id", 1), ("nominal", DESCENDING)])
        found = next(iter(in_order.skip(passed).limit(1)), None)
        return None if found is None else found["job_id"]

    def _prune_job(
        self, job_id: str, keep: int, clock: Clock, pace: Pace, delete: Callable[[Sequence[Any]], None]
    ) -> Iterator[int]:
        """Delete the records of a job beyond its newest."""
        numbered = {"job_id": job_id, "nominal": {"$type": "number", **NO_ARRAY}}
        newest = self._server.runs.find(numbered, {"nominal": 1}).sort("nominal", DESCENDING)
        with self._server.translated():
            edge = next(iter(newest.skip(keep).limit(1)), None)
        if edge is None:
            return
        beyond = {"job_id": job_id, "nominal": {"$lte": edge["nominal"]}}
        left = 1
        while left:
            began, size = clock.monotonic(), pace.size
            with self._server.translated():
                some = self._server.runs.find(beyond, {"_id": 1}).sort("nominal", 1).limit(size + COUNTED)
                keys = [found["_id"] for found in some]
                delete(keys[:size])
            pace.note(len(keys[:size]), clock.monotonic() - began)
            left = max(len(keys) - size, 0)
            yield left


def _ended_before(finished: Any, instant: int) -> bool:
    return isinstance(finished, int) and finished < instant
