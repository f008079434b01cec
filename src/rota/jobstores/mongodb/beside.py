"""What the MongoDB store keeps beside jobs and records: parts of runs, edits, what nodes say, counts by hour, durations.

It claims and ends no run, and changes nothing of a job but its durations. Counting is done by housekeeping, in steps.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import groupby
from operator import itemgetter

from pymongo import ASCENDING, DESCENDING, DeleteOne, UpdateOne
from pymongo.errors import DuplicateKeyError

from ...clock import DAY, HOUR, moment
from ...codec.damaged import EARLIEST, LATEST, is_time, text_instead
from ...core.changes import KEPT, change_of, newest_first, text_of
from ...core.durations import durations_of, fold
from ...core.durations import text_of as text_of_durations
from ...core.hours import KEPT as HOURS_KEPT
from ...core.hours import HourCounts, countable_until, hour_of
from ...core.nodes import Node
from ...core.nodes import text_of as text_of_node
from ...core.queries import DURATION
from ...core.states import CLAIMED, END_STATES, WAITING
from ..documents import whole
from ..retention import LOOKED_AT, NODES_KEPT, Pace
from .forms import LISTS, NO_ARRAY, OVER, entries_of, key_of, numbered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...clock import Clock
    from ...core.changes import Change
    from ...core.details import RunParts
    from ...core.durations import Durations
    from .search import Searching
    from .server import Server

#: How many keys one question names.
BATCH = 500
#: Of how many jobs durations are counted in the first step, and how many records one step looks at.
JOBS = 50
#: How many records of an hour the first step counts.
RECORDS = 500
#: The document that says up to where hours are counted.
_HOURS = "hours"


class Beside:
    """What is kept in one store beside jobs and records.

    :param server: where the documents are
    :param searching: reads records in order
    """

    def __init__(self, server: Server, searching: Searching) -> None:
        self._server = server
        self._searching = searching
        #: when durations were counted, and edits of removed jobs looked for
        self._looked_at: int | None = None

    # -- parts of runs -------------------------------------------------------------------------------------------

    def write_parts(self, parts: Sequence[RunParts], owner: str | None) -> None:
        """Keep texts beside records; those of runs without a record, or of another node, are not kept."""
        with self._server.translated():
            there = self._recorded({(job_id, nominal) for job_id, nominal, _ in parts}, owner)
            updates: list[Any] = []
            for job_id, nominal, texts in parts:
                if (job_id, nominal) not in there:
                    continue
                key = {"_id": key_of(job_id, nominal)}
                kept = {f"texts.{name}": whole(text) for name, text in texts.items() if text is not None}
                gone = {f"texts.{name}": "" for name, text in texts.items() if text is None}
                if kept:
                    updates.append(UpdateOne(key, {"$set": kept}, upsert=True))
                if gone:
                    updates += [UpdateOne(key, {"$unset": gone}), DeleteOne({**key, "texts": {}})]
            if updates:
                self._server.parts.bulk_write(updates)

    def _recorded(self, keys: Collection[tuple[str, int]], owner: str | None) -> set[tuple[str, int]]:
        """Return the keys that have a record, one of a node if one is named."""
        ids = sorted({job_id for job_id, _ in keys})
        found: set[tuple[str, int]] = set()
        for start in range(0, len(ids), BATCH):
            some = {"_id": {"$in": ids[start : start + BATCH]}, "busy": {"$exists": True}}
            fields = {f"{name}.{field}": 1 for name in LISTS for field in ("nominal", "owner")}
            for document in self._server.jobs.find(some, fields):
                entries = (entry for name in LISTS for entry in entries_of(document, name))
                found.update(
                    (document["_id"], int(entry["nominal"]))
                    for entry in numbered(entries)
                    if owner is None or entry.get("owner") == owner
                )
        left = [key_of(*key) for key in keys if key not in found]
        for start in range(0, len(left), BATCH):
            records: dict[str, Any] = {"_id": {"$in": left[start : start + BATCH]}}
            if owner is not None:
                records["owner"] = owner
            for document in self._server.runs.find(records, {"_id": 1}):
                found.add((document["_id"]["job_id"], int(document["_id"]["nominal"])))
        return found

    def parts_of(self, keys: Collection[tuple[str, int]]) -> dict[tuple[str, int], dict[str, str]]:
        """Return what is kept beside records; what is damaged is left out."""
        found: dict[tuple[str, int], dict[str, str]] = {}
        ids = [key_of(*key) for key in keys]
        with self._server.translated():
            for start in range(0, len(ids), BATCH):
                for document in self._server.parts.find({"_id": {"$in": ids[start : start + BATCH]}}):
                    stored = document.get("texts")
                    texts = {
                        name: text
                        for name, text in (stored.items() if isinstance(stored, dict) else ())
                        if type(text) is str
                    }
                    if texts:
                        found[document["_id"]["job_id"], int(document["_id"]["nominal"])] = texts
        return found

    # -- edits ---------------------------------------------------------------------------------------------------

    def note_change(self, job_id: str, change: Change) -> None:
        """Keep an edit; those of a removed job of the same id, which have higher revisions, go."""
        key = {"_id": job_id}
        edit = {"revision": change.revision, "text": whole(text_of(change))}
        with self._server.translated():
            self._server.edits.bulk_write(
                [
                    UpdateOne(key, {"$pull": {"edits": {"revision": {"$gte": change.revision}}}}),
                    UpdateOne(key, {"$push": {"edits": {"$each": [edit], "$slice": -KEPT}}}, upsert=True),
                ]
            )

    def changes(self, job_id: str, revision: int) -> list[Change]:
        """Return the edits of a job that has a revision, newest first."""
        with self._server.translated():
            document = self._server.edits.find_one({"_id": job_id}) or {}
        texts = (entry.get("text") for entry in entries_of(document, "edits"))
        edits = (change_of(text) for text in texts if type(text) is str)
        return newest_first([edit for edit in edits if edit is not None and edit.revision <= revision])

    # -- nodes ---------------------------------------------------------------------------------------------------

    def describe(self, node: str, about: Mapping[str, Any]) -> None:
        """Keep what a node that has a lease says of itself."""
        with self._server.translated():
            told = {"$set": {"about": whole(text_of_node(about))}}
            self._server.nodes.update_one({"_id": node}, told)

    def nodes(self, now: int) -> list[Node]:
        """Return the nodes that hold a lease, or held one within the last day."""
        by_owner = [
            {"$match": {"busy": True}},
            {"$unwind": "$under_way"},
            {"$match": {"under_way.status": CLAIMED}},
            {"$group": {"_id": "$under_way.owner", "count": {"$sum": 1}}},
        ]
        with self._server.translated():
            documents = list(self._server.nodes.find({"_id": {"$gte": ""}}).sort("_id", ASCENDING))
            under_way = {
                group["_id"]: group["count"]
                for group in self._server.jobs.aggregate(by_owner)
                if isinstance(group["_id"], str)
            }
        found = []
        for document in documents:
            until = document.get("lease_until")
            until = int(until) if is_time(until) else now - 1  # a damaged lease is over
            times = (document.get("began"), document.get("started"), until)
            started = next(int(time) for time in times if is_time(time))
            if until >= now - NODES_KEPT:
                node = Node(document["_id"], started, until, now, under_way.get(document["_id"], 0))
                about = document.get("about")
                node.tell(about if type(about) is str else None)
                node.draining = is_time(document.get("draining"))
                found.append(node)
        return found

    # -- counts by hour ------------------------------------------------------------------------------------------

    def run_counts(self, since: int, until: int, clock: Clock) -> HourCounts:
        """Return how many records there are by hour and status: those of counted hours, and the others as they are now."""
        first, end = hour_of(since), hour_of(until)
        counts: dict[int, dict[str, int]] = {}
        with self._server.translated():
            counted = self._counted()
            edge = first if counted is None else max(min(counted["until"], end), first)
            for row in self._server.hours.find({"_id": {"$gte": first, "$lt": end}}):
                if row["_id"] % HOUR == 0:
                    numbers = counts.setdefault(int(row["_id"]), {})
                    for status, number in _numbers(row.get("forgotten")).items():
                        _count(numbers, status, number)
                    for status, number in _numbers(row.get("counts")).items() if row["_id"] < edge else ():
                        _count(numbers, status, number)
            for hour, status in self._unfinished(first, end):
                _count(counts.setdefault(hour, {}), status, 1)
            began = clock.monotonic()
            late = False
            while edge < end and not late:
                start = max(edge, end - DAY)
                for group in self._server.runs.aggregate(_by_hour(start, end)):
                    hour, status = group["_id"]["hour"], group["_id"].get("status")
                    _count(counts.setdefault(int(hour) * HOUR, {}), status, group["count"])
                end = start
                late = clock.monotonic() - began >= DURATION
        found = HourCounts({hour: numbers for hour, numbers in counts.items() if numbers})
        if edge < end:
            found.searched_back_to = moment(end)
        return found

    def _unfinished(self, first: int, end: int) -> Iterator[tuple[int, Any]]:
        """Yield hour and status of the runs in the documents of jobs that are not filed."""
        keys: dict[tuple[str, int], Any] = {}
        for document in self._server.jobs.find({"busy": {"$exists": True}}, dict.fromkeys(LISTS, 1)):
            for entry in numbered(entry for name in LISTS for entry in entries_of(document, name)):
                if first <= entry["nominal"] < end:
                    keys[document["_id"], int(entry["nominal"])] = entry.get("status")
        ids = [key_of(*key) for key in keys]
        for start in range(0, len(ids), BATCH):
            some = {"_id": {"$in": ids[start : start + BATCH]}}
            for document in self._server.runs.find(some, {"_id": 1}):
                keys.pop((document["_id"]["job_id"], int(document["_id"]["nominal"])), None)
        for (_, nominal), status in keys.items():
            yield hour_of(nominal), status

    def _counted(self) -> dict[str, Any] | None:
        """Return what says up to where hours are counted; None: nothing does."""
        found: dict[str, Any] | None = self._server.meta.find_one({"_id": _HOURS})
        sound = found is not None and is_time(found.get("until")) and found["until"] % HOUR == 0
        return found if sound else None

    def count_hours(self, now: int, clock: Clock) -> Iterator[int]:
        """Count the records of hours that are over, in steps; see the port about :meth:`prune_in_steps`."""
        of_job = {"$min": [{"$min": f"${name}.nominal"} for name in LISTS]}
        of_all = [
            {"$match": {"busy": {"$exists": True}}},
            {"$project": {"first": of_job}},
            {"$group": {"_id": None, "first": {"$min": "$first"}}},
        ]
        with self._server.translated():
            groups = list(self._server.jobs.aggregate(of_all))
        earliest: Any = groups[0].get("first") if groups else None
        limit = countable_until(now, int(earliest) if is_time(earliest) else None)
        pace = Pace(RECORDS)
        while True:
            began = clock.monotonic()
            with self._server.translated():
                number = self._count_some(limit, pace.size)
            if number is None:
                break
            pace.note(number, clock.monotonic() - began)
            yield 0
        with self._server.translated():
            self._server.hours.delete_many({"_id": {"$lt": now - HOURS_KEPT}})

    def _count_some(self, limit: int, size: int) -> int | None:
        """Count the next records of the hour that is being counted; return how many, None if it may not be counted yet."""
        state = self._counted()
        if state is None:
            state = self._begin_counting()
        if state is None or state["until"] >= limit:
            return None
        hour, at = state["until"], state.get("at")
        after, counts = _key_in(at), _numbers(state.get("counts"))
        if after is None:
            counts = {}
        fields = {"_id": 0, "nominal": 1, "job_id": 1, "status": 1}
        some = self._searching.filed((hour, hour + HOUR), {}, after, size, fields)
        for _, record in some:
            _count(counts, record.get("status"), 1)
        if len(some) == size:
            change: dict[str, Any] = {"at": list(some[-1][0]), "counts": counts}
        else:
            if counts:
                self._server.hours.update_one({"_id": hour}, {"$set": {"counts": counts}}, upsert=True)
            following = self._first_from(hour + HOUR)
            reached = limit if following is None else min(hour_of(following), limit)
            change = {"until": reached, "at": None, "counts": {}}
        # Another node may have done the same: what it has counted is not counted twice.
        same = {"_id": _HOURS, "until": hour, "at": at}
        self._server.meta.update_one(same, {"$set": change})
        return len(some)

    def delete(self, keys: Sequence[Any]) -> None:
        """Delete records and what is kept beside them; those that are not counted yet are counted by that.

        :param keys: their ids
        """
        if not keys:
            return
        self._server.parts.delete_many(
            {"_id": {"$in": keys}}
        )  # first: without their records nobody would find them
        state = self._counted()
        old: list[Any] = []
        new: list[Any] = []
        for key in keys:
            (new if _is_uncounted(key, state) else old).append(key)
        if old:
            self._server.runs.delete_many({"_id": {"$in": old}})
        groups: dict[tuple[int, str], list[Any]] = {}
        for record in self._server.runs.find({"_id": {"$in": new}}, {"status": 1}) if new else ():
            hour = hour_of(int(record["_id"]["nominal"]))
            groups.setdefault((hour, text_instead(record.get("status"))), []).append(record["_id"])
        for (hour, status), some in groups.items():
            # Another node may be at the same ones: each record is deleted, and counted, by one.
            number = self._server.runs.delete_many({"_id": {"$in": some}}).deleted_count
            if number and status in END_STATES:
                change = {"$inc": {f"forgotten.{status}": number}}
                self._server.hours.update_one({"_id": hour}, change, upsert=True)

    def _begin_counting(self) -> dict[str, Any] | None:
        """Begin with the oldest record, or after the last hour that is counted; return from where, None if there is no record."""
        newest = self._server.hours.find({"_id": {"$gte": EARLIEST, "$lte": LATEST}}).sort("_id", DESCENDING)
        sound = (int(row["_id"]) for row in newest.limit(BATCH) if _numbers(row.get("counts")))
        last = next(sound, None)
        oldest = self._first_from(EARLIEST) if last is None else last + HOUR
        if oldest is None:
            return None
        begin: dict[str, Any] = {"until": hour_of(oldest), "at": None, "counts": {}}
        meta = self._server.meta
        damaged = meta.find_one({"_id": _HOURS})
        if damaged is not None:
            meta.replace_one({"_id": _HOURS, "until": damaged.get("until")}, begin)
        else:
            with suppress(DuplicateKeyError):  # another node was faster
                meta.insert_one({"_id": _HOURS, **begin})
        return self._counted()

    def _first_from(self, instant: int) -> int | None:
        """Return the earliest nominal time of a record from an instant on."""
        later = {"nominal": {"$gte": instant, "$lte": LATEST, **NO_ARRAY}}
        found = next(
            iter(self._server.runs.find(later, {"nominal": 1}).sort("nominal", ASCENDING).limit(1)), None
        )
        return None if found is None else int(found["nominal"])

    # -- durations -----------------------------------------------------------------------------------------------

    def durations(self, job_id: str) -> Durations | None:
        """Return how long the runs of a job took; None if none was counted."""
        with self._server.translated():
            living = {"_id": job_id, "state": {"$nin": OVER}}
            found = self._server.jobs.find_one(living, {"durations": 1}) or {}
        counted = durations_of(found.get("durations"))
        return counted if counted.count else None

    def look_over(self, now: int, clock: Clock) -> Iterator[int]:
        """Count how long runs took, and delete the edits of jobs that are gone: once an hour, in steps."""
        if self._looked_at is not None and 0 <= now - self._looked_at < HOUR:
            return
        pace = Pace(JOBS)
        jobs: dict[str, Any] | None = {"$gte": ""}
        while jobs is not None:
            began = clock.monotonic()
            with self._server.translated():
                number, jobs = self._count_durations(jobs, now, pace.size)
            pace.note(number, clock.monotonic() - began)
            yield 0
        edits: dict[str, Any] | None = {"$gte": ""}
        while edits is not None:
            with self._server.translated():
                edits = self._forget_edits(edits)
            yield 0
        self._looked_at = now

    def _count_durations(
        self, among: Mapping[str, Any], now: int, size: int
    ) -> tuple[int, dict[str, Any] | None]:
        """Count the runs of some jobs, in the opposite order of their ids, as the index has the oldest records of a job first then.

        :param among: of which jobs, by their ids
        :return: of how many jobs, and which ones are left; None: none
        """
        fields = dict.fromkeys(("durations", *LISTS), 1)
        found = self._server.jobs.find({"_id": among}, fields).sort("_id", DESCENDING)
        documents = {document["_id"]: document for document in found.limit(size)}
        if not documents:
            return 0, None
        counted = {id: durations_of(document.get("durations")) for id, document in documents.items()}
        later = {
            id: {"$gt": EARLIEST if each.until is None else each.until, "$lte": LATEST, **NO_ARRAY}
            for id, each in counted.items()
        }
        since = [{"job_id": id, "nominal": times} for id, times in later.items()]
        of_record = dict.fromkeys(("job_id", "nominal", "status", "started", "finished"), 1)
        records = list(
            self._server.runs.find({"$or": since}, {**of_record, "_id": 0})
            .sort([("job_id", DESCENDING), ("nominal", ASCENDING)])
            .limit(LOOKED_AT)
        )
        updates = []
        for id, own in groupby(records, key=itemgetter("job_id")):
            document, durations = documents[id], counted[id]
            under_way = {
                entry["nominal"]: entry
                for name in LISTS
                for entry in numbered(entries_of(document, name))
                if durations.until is None or entry["nominal"] > durations.until
            }
            ended = {record["nominal"]: record for record in numbered(own)}
            if fold(durations, _in_order({**under_way, **ended}), now):
                # Another node may have counted them meanwhile.
                same = {"_id": id, "durations": document.get("durations")}
                updates.append(UpdateOne(same, {"$set": {"durations": text_of_durations(durations)}}))
        written = self._server.jobs.bulk_write(updates, ordered=False).matched_count if updates else 0
        last = next(reversed(documents))
        if len(records) == LOOKED_AT:  # there may be more of the last job that was reached
            reached = records[-1]["job_id"]
            until = counted[reached].until
            goes_on = 0 < written == len(updates) and until is not None and until >= records[-1]["nominal"]
            return len(updates), {"$gte": "", "$lte" if goes_on else "$lt": reached}
        return len(documents), {"$gte": "", "$lt": last} if len(documents) == size else None

    def _forget_edits(self, among: Mapping[str, Any]) -> dict[str, Any] | None:
        """Delete the edits of some jobs that are gone; return which ones are left to be looked at, None if none."""
        edits = self._server.edits
        ids = [found["_id"] for found in edits.find({"_id": among}, {"_id": 1}).sort("_id", 1).limit(BATCH)]
        if ids:
            there = {found["_id"] for found in self._server.jobs.find({"_id": {"$in": ids}}, {"_id": 1})}
            gone = [id for id in ids if id not in there]
            if gone:
                edits.delete_many({"_id": {"$in": gone}})
        return {"$gt": ids[-1]} if len(ids) == BATCH else None


def _in_order(entries: Mapping[int, Mapping[str, Any]]) -> Iterable[tuple[int, str, Any, Any]]:
    """Return records as durations are counted of them, oldest first."""
    for nominal in sorted(entries):
        get = entries[nominal].get
        status = get("status")
        yield (
            int(nominal),
            status if isinstance(status, str) else "",
            _time_or_none(get("started")),
            _time_or_none(get("finished")),
        )


def _time_or_none(value: Any) -> int | None:
    return int(value) if is_time(value) else None


def _key_in(at: Any) -> tuple[int, str] | None:
    """Return the key up to which an hour is counted, None if that is not begun, or damaged."""
    if isinstance(at, list) and len(at) == 2 and isinstance(at[0], int) and isinstance(at[1], str):
        return int(at[0]), at[1]
    return None


def _is_uncounted(key: Any, state: Mapping[str, Any] | None) -> bool:
    """Whether the record of an id is in no count of its hour yet.

    :param state: what says up to where hours are counted, the newest record of an hour first; None: nothing is counted
    """
    nominal, job_id = (key.get("nominal"), key.get("job_id")) if isinstance(key, dict) else (None, None)
    if nominal is None or not is_time(nominal) or not isinstance(job_id, str):
        return False
    if state is None or nominal >= state["until"] + HOUR:
        return True
    reached = _key_in(state.get("at"))
    return bool(nominal >= state["until"]) and (reached is None or (-int(nominal), job_id) > reached)


def _by_hour(first: int, end: int) -> list[dict[str, Any]]:
    """Return the aggregation that counts records of some hours by hour and status."""
    hour = {"$floor": {"$divide": ["$nominal", HOUR]}}
    return [
        {"$match": {"nominal": {"$gte": first, "$lt": end}}},
        {"$group": {"_id": {"hour": hour, "status": "$status"}, "count": {"$sum": 1}}},
    ]


def _count(counts: dict[str, int], status: Any, number: int) -> None:
    """Count records of a status, if it is one."""
    if isinstance(status, str) and status in (CLAIMED, WAITING, *END_STATES):
        counts[status] = counts.get(status, 0) + number


def _numbers(counts: Any) -> dict[str, int]:
    """Return stored counts, without what is damaged."""
    found = counts.items() if isinstance(counts, dict) else ()
    return {
        status: int(number)
        for status, number in found
        if status in END_STATES and isinstance(number, int) and 0 < number < 2**62
    }
