"""Searching in the MongoDB store: the next jobs and records after a key, as far as an index leads, and how many there are.

It changes nothing. What a query asks for beyond the indexes is looked for among a bounded number of jobs or records.
"""

from __future__ import annotations

from heapq import merge
from itertools import groupby, islice
from operator import itemgetter
from typing import NamedTuple

from pymongo import ASCENDING, DESCENDING

from ...clock import HELD, instant
from ...codec.damaged import EARLIEST, LATEST, is_time, text_instead
from ...core.queries import BY_DUE, BY_NAME, Count, Part, end_of_beginning, key_of_job, key_of_run
from ...core.states import ACTIVE, CLAIMED, END_STATES, QUARANTINED, WAITING
from .. import searching
from ..documents import stored_states
from .forms import LISTS, NO_ARRAY, collect, entries_of, key_of, numbered, state_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from typing import Any

    from ...core.queries import JobQuery, RunQuery
    from ...core.run import Run
    from ...job.handle import Job
    from .history import History
    from .jobs import Jobs
    from .server import Server

    #: a key, and what was found under it; None: nothing that is wanted
    Keyed = tuple[tuple[Any, ...], Any]

#: So few jobs are sorted here; if an index finds more, jobs are looked at in the order that is wanted.
FEW = 1000
#: For so many jobs or types of errors the index is asked one after another.
NAMED = 20

#: What is read of jobs and of records that are looked at only.
_OF_JOB = dict.fromkeys(("name", "func", "state", "executor", "tags", "next_nominal", "next_due"), 1)
_OF_RUN = {"traceback": 0, "result": 0}
_OF_UNFINISHED = dict.fromkeys(LISTS, 1)
#: Only texts are compared with a text, and ids are texts.
_TEXT = {"$gte": ""}


class Seen(NamedTuple):
    """A job as far as it is read before it is known whether it is wanted: for comparing it with a query."""

    id: str
    name: str
    func_ref: str
    state: str
    executor: str
    tags: list[str]
    next_nominal: int | None
    next_due: int | None


def seen(document: Mapping[str, Any]) -> Seen:
    """Return what is read of a job; what is damaged says nothing."""
    get = document.get
    tags, due, nominal = get("tags"), get("next_due"), get("next_nominal")
    is_timed = is_time(nominal) and (is_time(due) or due == HELD)
    name, func, executor = (text_instead(get(field)) for field in ("name", "func", "executor"))
    state = text_instead(state_in(document))
    return Seen(
        *(document["_id"], name, func, state, executor),
        [tag for tag in tags if type(tag) is str] if isinstance(tags, list) else [],
        nominal if is_time(nominal) else None,
        due if is_timed else None,
    )


class Searching:
    """Finds the jobs and records of one store.

    :param server: where the documents are
    :param jobs: knows the executors
    :param history: gives records their names
    """

    def __init__(self, server: Server, jobs: Jobs, history: History) -> None:
        self._server = server
        self._jobs = jobs
        self._history = history

    # -- jobs ----------------------------------------------------------------------------------------------------

    def jobs_from(
        self,
        query: JobQuery,
        after: tuple[Any, ...] | None,
        count: int,
        job_of: Callable[[Mapping[str, Any]], Job],
    ) -> Part[Job]:
        """Return a part of the jobs; see the port."""
        with self._server.translated():
            following = self._next_jobs(query, after, count + 1)
            looked_at = following[:count]
            keys = {job.id: key for key, job in looked_at if job is not None and query.matches(job)}
            documents = self._jobs.some(keys) if keys else []
        found = [
            job
            for job in map(job_of, documents)
            # One that cannot be restored stays where it is; one that has changed its place in between may come again there.
            if query.matches(job)
            and (job.state == QUARANTINED or key_of_job(job, query.sort) == keys[job.id])
        ]
        found.sort(key=lambda job: keys[job.id])
        return Part(found, looked_at[-1][0] if len(following) > count else None, len(looked_at), keys)

    def _next_jobs(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> list[Keyed]:
        few = self._few(query)
        if few is not None:
            documents = self._server.jobs.find({"_id": {"$in": few}}, _OF_JOB)
            keyed = _keyed(documents, query.sort)
            return sorted((pair for pair in keyed if after is None or pair[0] > after), key=itemgetter(0))[
                :count
            ]
        if query.sort == BY_NAME:
            return self._by_name(after, count)
        if query.sort == BY_DUE:
            return self._by_due(query, after, count)
        tagged = {"tags": {"$all": sorted(query.tags)}} if query.tags else {}
        return self._by_id(tagged, None if after is None else after[0], count)

    def _few(self, query: JobQuery) -> list[str] | None:
        """Return the ids among which the jobs are that are wanted, if an index tells that they are few; None if not."""
        if query.ids is not None:
            return list(query.ids)
        found: list[str] = []
        conditions = self._indexed(query)
        if conditions is None:
            return None
        for condition in conditions:
            some = self._server.jobs.find({**condition, "_id": _TEXT}, {"_id": 1})
            found += [document["_id"] for document in some.limit(FEW + 1 - len(found))]
            if len(found) > FEW:
                return None
        return found

    def _indexed(self, query: JobQuery) -> list[dict[str, Any]] | None:
        """Return conditions that indexes answer, which the jobs that are wanted meet one of; None: there are none."""
        if query.tags:
            return [{"tags": {"$all": sorted(query.tags)}}]
        if query.func:
            end = end_of_beginning(query.func)
            return [{"func": {"$gte": query.func} if end is None else {"$gte": query.func, "$lt": end}}]
        due: dict[str, Any] = {}
        if query.due_after is not None:
            due["$gte"] = instant(query.due_after)
        if query.due_before is not None:
            due["$lt"] = instant(query.due_before)
        if due:
            executors = self._jobs.executors() if query.executors is None else query.executors
            return [
                {"state": ACTIVE, "executor": alias, **times}
                for alias in executors
                for times in ({"next_due": due}, {"next_due": HELD, "next_nominal": due})
            ]
        if query.executors is not None:
            among = {"$in": stored_states(query.wanted_states)}
            return [{"state": among, "executor": {"$in": list(query.executors)}}]
        if query.states is not None and ACTIVE not in query.states:
            return [{"state": {"$in": stored_states(query.states)}}]
        return None

    def _by_id(self, condition: Mapping[str, Any], after: str | None, count: int) -> list[Keyed]:
        ids = _TEXT if after is None else {"$gt": after}
        documents = self._server.jobs.find({**condition, "_id": ids}, _OF_JOB).sort("_id", ASCENDING)
        return _keyed(documents.limit(count), "id")

    def _by_name(self, after: tuple[Any, ...] | None, count: int) -> list[Keyed]:
        name, id = after or ("", "")
        found: list[Keyed] = []
        for condition in (
            {"name": name, "_id": {"$gt": id}},
            {"name": {"$gt": name}, "_id": _TEXT},
        ):
            if len(found) < count:
                documents = self._server.jobs.find(condition, _OF_JOB)
                documents = documents.sort([("name", ASCENDING), ("_id", ASCENDING)])
                found += _keyed(documents.limit(count - len(found)), BY_NAME)
        return found

    def _by_due(self, query: JobQuery, after: tuple[Any, ...] | None, count: int) -> list[Keyed]:
        found: list[Keyed] = []
        if after is None or after[0] == 0:
            executors = self._jobs.executors() if query.executors is None else query.executors
            parts = [self._timed(alias, after, count) for alias in executors]
            found = list(islice(merge(*parts, key=itemgetter(0)), count))
            after = None
        if len(found) < count and query.due_before is None and query.due_after is None:
            passed = self._by_id({}, None if after is None else after[2], count - len(found))
            for (id,), job in passed:
                found.append(((1, 0, id), None if key_of_job(job, BY_DUE)[0] == 0 else job))
        return found

    def _timed(self, executor: str, after: tuple[Any, ...] | None, count: int) -> list[Keyed]:
        """Return the next active jobs of an executor that have a time, by that."""
        of_these: dict[str, Any] = {"state": ACTIVE, "executor": executor}
        jobs = self._server.jobs

        def between(first: int, last: int, most: int) -> list[dict[str, Any]]:
            times = {"next_due": {"$gte": first, "$lte": last, **NO_ARRAY}, "_id": _TEXT}
            return list(jobs.find({**of_these, **times}, _OF_JOB).sort("next_due", ASCENDING).limit(most))

        def at(due: int, id: str, most: int) -> list[dict[str, Any]]:
            same = {**of_these, "next_due": {"$eq": due, **NO_ARRAY}, "_id": {"$gt": id}}
            return list(jobs.find(same, _OF_JOB).sort("_id", ASCENDING).limit(most))

        _, due, id = after or (0, EARLIEST - 1, "")
        documents = at(due, id, count) if after else []
        if len(documents) < count:
            later = between(due + 1, LATEST, count - len(documents))
            if later and len(documents) + len(later) == count:
                # Of those of the last time some may be missing, and they are in no order.
                last = later[-1]["next_due"]
                later = [document for document in later if document["next_due"] != last]
                later += at(last, "", count - len(documents) - len(later))
            documents += later
        found = []
        for document in documents:
            (pair,) = _keyed([document], BY_DUE)
            is_timed = pair[0][0] == 0  # of a damaged one the time may not be believed
            found.append(pair if is_timed else ((0, int(document["next_due"]), document["_id"]), None))
        # Few jobs wait for their own runs.
        held = _keyed(
            jobs.find({**of_these, "next_due": {"$eq": HELD, **NO_ARRAY}, "_id": _TEXT}, _OF_JOB), BY_DUE
        )
        found += [pair for pair in held if pair[0][0] == 0 and (after is None or pair[0] > after)]
        found.sort(key=itemgetter(0))
        return found[:count]

    def count_jobs(self, query: JobQuery) -> Count | None:
        """Return how many jobs match, if the server can tell; None if they have to be looked at."""
        asks = (query.text, query.func, query.due_before, query.due_after, query.last_runs_wanted or None)
        if any(asked is not None for asked in asks):
            return None
        condition: dict[str, Any] = {"state": {"$in": stored_states(query.wanted_states)}, "_id": _TEXT}
        if query.ids is not None:
            condition["_id"] = {"$in": list(query.ids)}
        if query.executors is not None:
            condition["executor"] = {"$in": list(query.executors)}
        if query.tags:
            condition["tags"] = {"$all": sorted(query.tags)}
        most = _most()
        with self._server.translated():
            number = self._server.jobs.count_documents(condition, limit=most + 1)
        return Count(min(number, most), number <= most)

    # -- records -------------------------------------------------------------------------------------------------

    def runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Run]:
        """Return a part of the records; see the port."""
        with self._server.translated():
            # In this order, so that a run that is filed in between is read twice, and not missed.
            keyed = self._unfinished(query, after, count + 1)
            indexed, is_exact = _indexed_runs(query)
            fields = None if is_exact else _OF_RUN
            for condition in indexed:
                keyed += self.filed(_times_of(query), condition, after, count + 1, fields)
            keyed.sort(key=itemgetter(0))
            # One key may have been found twice.
            following = [
                (key, [entry for _, entry in same])
                for key, same in islice(groupby(keyed, key=itemgetter(0)), count + 1)
            ]
            looked_at = following[:count]
            found = self._wanted(query, [entry for _, entries in looked_at for entry in entries])
            if found and not is_exact:
                ids = [key_of(run.job_id, run.nominal) for run in found]
                whole = list(self._server.runs.find({"_id": {"$in": ids}}))
                unfinished = self._unfinished(query, after, count + 1)
                found = self._wanted(query, [*(entry for _, entry in unfinished), *whole], found)
            self._history.label(found)
        return Part(found, looked_at[-1][0] if len(following) > count else None, len(looked_at))

    def _wanted(
        self, query: RunQuery, entries: Iterable[Mapping[str, Any]], among: Iterable[Run] | None = None
    ) -> list[Run]:
        """Return the records that match, in order."""
        runs: dict[tuple[str, int], Run] = {}
        for entry in entries:
            collect(runs, entry)
        if among is not None:
            keys = [(run.job_id, run.nominal) for run in among]
            runs = {key: runs[key] for key in keys if key in runs}
        return sorted((run for run in runs.values() if query.matches(run)), key=key_of_run)

    def _unfinished(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> list[Keyed]:
        """Return the runs in the documents of jobs that may match, after a key: of those that wait so many at most."""
        condition: dict[str, Any] = {"busy": True}
        some_wait = query.statuses is None or WAITING in query.statuses
        if query.job_ids is not None:
            condition = {"_id": {"$in": list(query.job_ids)}}
        if not some_wait and CLAIMED not in (query.statuses or ()):
            condition["pending.0"] = {"$exists": True}  # they have ended, and are not filed yet
        found: list[Keyed] = []
        if some_wait and query.job_ids is None:  # first, as they may be taken in between
            place = None if after is None else (-after[0], after[1])
            waiting = self._history.waiting(*_times_of(query), place, count)
            found += [(_key_of(fields), fields) for fields in waiting]
        for document in self._server.jobs.find(condition, _OF_UNFINISHED):
            if not isinstance(document["_id"], str):
                continue
            for entry in numbered(entry for name in LISTS for entry in entries_of(document, name)):
                fields = {**entry, "job_id": document["_id"]}
                found.append((_key_of(fields), fields))
        return [pair for pair in found if after is None or pair[0] > after]

    def filed(
        self,
        times: tuple[int, int],
        condition: Mapping[str, Any],
        after: tuple[Any, ...] | None,
        count: int,
        fields: Mapping[str, int] | None,
    ) -> list[Keyed]:
        """Return the next filed records, with their keys, newest first.

        :param times: the first nominal time, and the first one that is not wanted any more
        :param condition: what they must have, by an index
        :param after: the key after which they come
        :param fields: which fields are read
        """
        first, end = times
        found: list[dict[str, Any]] = []

        def before(end: int, most: int) -> list[dict[str, Any]]:
            among = {"job_id": _TEXT, **condition, "nominal": {"$gte": first, "$lt": end, **NO_ARRAY}}
            return list(self._server.runs.find(among, fields).sort("nominal", DESCENDING).limit(most))

        def at(nominal: int, job_id: str, most: int) -> list[dict[str, Any]]:
            same = {**condition, "nominal": {"$eq": nominal, **NO_ARRAY}, "job_id": {"$gt": job_id}}
            return list(self._server.runs.find(same, fields).sort("job_id", ASCENDING).limit(most))

        is_of_job = "job_id" in condition
        if after is not None and first <= -after[0] < end:
            end = -after[0]
            if not is_of_job:
                found = at(end, after[1], count)
            elif condition["job_id"] > after[1]:
                end += 1
        elif after is not None:
            end = min(end, -after[0])
        if len(found) < count:
            older = before(end, count - len(found))
            if older and len(found) + len(older) == count and not is_of_job:
                # Of those of the last time some may be missing, and they are in no order.
                last = older[-1]["nominal"]
                older = [document for document in older if document["nominal"] != last]
                older += at(last, "", count - len(found) - len(older))
            found += older
        return sorted(((_key_of(document), document) for document in found), key=itemgetter(0))

    def count_runs(self, query: RunQuery) -> Count | None:
        """Return how many records match, if the server can tell by an index; None if they have to be looked at."""
        indexed, is_exact = _indexed_runs(query)
        if not is_exact:
            return None
        most = _most()
        first, end = _times_of(query)
        with self._server.translated():
            unfinished = [
                (run.job_id, run.nominal)
                for run in self._wanted(
                    query, [entry for _, entry in self._unfinished(query, None, most + 1)]
                )
            ]
            ids = [key_of(*key) for key in unfinished]
            number = len(ids)
            if ids:  # a run may have been filed, and not have left its job's document yet
                number -= self._server.runs.count_documents({"_id": {"$in": ids}})
            for condition in indexed:
                if number <= most:
                    among = {**condition, "nominal": {"$gte": first, "$lt": end}}
                    number += self._server.runs.count_documents(among, limit=most + 1 - number)
        return Count(min(number, most), number <= most)

    def get_run(self, job_id: str, nominal: int) -> Run | None:
        """Return the record of a nominal time, without its parts."""
        with self._server.translated():
            document = self._server.jobs.find_one({"_id": job_id}, _OF_UNFINISHED) or {}
            entries = [entry for name in LISTS for entry in entries_of(document, name)]
            found: dict[tuple[str, int], Run] = {}
            for entry in entries:
                if entry.get("nominal") == nominal:
                    collect(found, {**entry, "job_id": job_id})
            filed = self._server.runs.find_one({"_id": key_of(job_id, nominal)})
            if filed is not None:
                collect(found, filed)
            run = found.get((job_id, nominal))
            if run is not None:
                self._history.label([run])
        return run

    def last_runs(
        self, ids: Collection[str], n: int, statuses: Collection[str] | None
    ) -> dict[str, list[Run]]:
        """Return the newest records of some jobs; see the port."""
        condition: dict[str, Any] = {} if statuses is None else {"status": {"$in": list(statuses)}}
        newest = [("nominal", DESCENDING)]
        of_job = {"$expr": {"$eq": ["$job_id", "$$id"]}, **condition}
        steps: list[dict[str, Any]] = [
            {"$match": {"_id": {"$in": list(ids)}}},
            {"$project": _OF_UNFINISHED},
            {
                "$lookup": {
                    "from": self._server.runs.name,
                    "let": {"id": "$_id"},
                    "pipeline": [{"$match": of_job}, {"$sort": dict(newest)}, {"$limit": n}],
                    "as": "filed",
                }
            },
        ]
        found: dict[tuple[str, int], Run] = {}
        left = set(ids)
        with self._server.translated():
            for document in self._server.jobs.aggregate(steps):
                id = document["_id"]
                left.discard(id)
                for entry in (entry for name in LISTS for entry in entries_of(document, name)):
                    collect(found, {**entry, "job_id": id})
                for entry in document["filed"]:
                    collect(found, entry)
            for id in left:  # jobs that are gone may have left records
                for entry in self._server.runs.find({"job_id": id, **condition}).sort(newest).limit(n):
                    collect(found, entry)
            runs = [run for run in found.values() if statuses is None or run.status in statuses]
            last: dict[str, list[Run]] = {}
            for run in sorted(runs, key=key_of_run):
                of_this = last.setdefault(run.job_id, [])
                if len(of_this) < n:
                    of_this.append(run)
            self._history.label([run for runs in last.values() for run in runs])
        return last


def _keyed(documents: Iterable[Mapping[str, Any]], sort: str) -> list[Keyed]:
    """Return jobs with their keys."""
    return [(key_of_job(each, sort), each) for each in map(seen, documents)]  # type: ignore[arg-type]


def _key_of(fields: Mapping[str, Any]) -> tuple[int, str]:
    """Return the key of a record, which may be damaged: its time is a number, and no more is known."""
    nominal = fields["nominal"]
    return -int(nominal if isinstance(nominal, (int, float)) else nominal.to_decimal()), fields["job_id"]


def _indexed_runs(query: RunQuery) -> tuple[list[dict[str, Any]], bool]:
    """Return conditions that an index answers, which all filed records that are wanted meet, and whether no more is asked."""
    asked = {
        name
        for name in ("job_ids", "statuses", "reasons", "origins", "nodes", "executors", "error_types", "text")
        if getattr(query, name) is not None
    }
    for name, field, most in (
        ("job_ids", "job_id", NAMED),
        ("error_types", "error_type", NAMED),
        ("statuses", "status", len(END_STATES)),
    ):
        values: Sequence[str] = sorted(getattr(query, name) or ())
        if name in asked:
            if name == "statuses":
                values = [value for value in values if value in END_STATES]
            if len(values) <= most:
                return [{field: value} for value in values], asked == {name}
    return [{}], not asked


def _times_of(query: RunQuery) -> tuple[int, int]:
    """Return the first nominal time that is wanted, and the first one that is not any more."""
    first = EARLIEST if query.first is None else max(query.first, EARLIEST)
    end = LATEST + 1 if query.end is None else min(query.end, LATEST + 1)
    return first, end


def _most() -> int:
    """Return up to which number is counted exactly."""
    most: int = searching.COUNTED  # type: ignore[attr-defined]  # the one bound of all counts
    return most
