"""The claim protocol of the MongoDB store.

A claim is one conditional update of the job's document, by its version, which also holds the unfinished runs (``under_way``). A run
that has ended moves to ``pending`` by one conditional update as well, which is its fence; from there it is filed in the collection
of runs. Whatever a dead process has left in ``pending``, others file.
"""

from __future__ import annotations

from functools import partial
from operator import attrgetter
from os import urandom

from pymongo import DESCENDING, ReplaceOne, UpdateMany, UpdateOne

from ...core.plan import ENDED
from ...core.recorded import BEFORE, MOST, first_nominal, leave_out_recorded, standing_from
from ...core.run import CLAIMED
from ...errors import DeserializationError, StoreError
from ...texts import storable
from ..documents import fields_of, label_all, label_records, run_of
from ..offset import AHEAD
from .jobs import OVER, release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ...core.recorded import Recorded
    from ...core.run import Run
    from .server import Server

#: How many records are deleted in one step, and how many keys one question names.
BATCH = 500
#: How many bytes of records a job's document gets at once, before they are filed.
ROOM = 1_000_000


class Ledger:
    """Reads and writes the runs of one store."""

    def __init__(self, server: Server) -> None:
        self._server = server
        #: how many records each job got since it was last pruned; None before the first look at all of them
        self._written: dict[str, int] | None = None
        #: of the jobs that were due last: version, and the nominal times of the runs in the document
        self._seen: dict[str, tuple[int, tuple[int, ...]]] = {}

    # -- claim ---------------------------------------------------------------------------------------------------

    def note(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Take note of the documents of due jobs, so that a claim need not look at them again."""
        self._seen = {
            document["_id"]: (document.get("version", 0), _nominals(document)) for document in documents
        }

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        """Carry out the decisions whose job is as it was when they were made; return those."""
        token = urandom(8).hex()
        for decision in decisions:
            label_records(decision)
            for run in (*decision.runs, *decision.records):
                run.owner, run.claimed_at = node, now
        self._leave_out_recorded(decisions)
        updates = [_claim_of(decision, token) for decision in decisions]
        with self._server.translated():
            matched = self._server.jobs.bulk_write(updates, ordered=False).matched_count
            won = list(decisions) if matched == len(decisions) else self._won(decisions, node, token)
        written = self._written
        for decision in won:
            job = decision.job
            job.next_nominal, job.next_due = decision.next_nominal, decision.next_due
            job.state, job.error = decision.state, decision.error
            job.version = decision.version + 1
            job.running += len(decision.runs)
            if written is not None:
                written[job.id] = written.get(job.id, 0) + len(decision.runs) + len(decision.records)
        filed = [decision.job.id for decision in won if decision.records or decision.state == ENDED]
        if filed:
            self.file(filed)
        return won

    def _won(self, decisions: Sequence[Decision], node: str, token: str) -> list[Decision]:
        """Return the decisions that were carried out by the request of that token.

        Runs and records tell it, which nobody else's claim writes; the document tells it of decisions that write neither.
        """
        ids = [decision.job.id for decision in decisions]
        fields = {"claim": 1, "under_way": 1, "pending": 1}
        wrote, moved = set(), set()
        for document in self._server.jobs.find({"_id": {"$in": ids}}, fields):
            entries = (*document.get("under_way", ()), *document.get("pending", ()))
            if any(entry.get("claim") == token and entry.get("owner") == node for entry in entries):
                wrote.add(document["_id"])
            if document.get("claim") == token:
                moved.add(document["_id"])
        unseen = [decision for decision in decisions if not decision.runs and decision.job.id not in wrote]
        keys = [_key(decision.job.id, decision.records[0].nominal) for decision in unseen if decision.records]
        if keys:  # others may have filed what was pending
            filed = self._server.runs.find({"_id": {"$in": keys}, "claim": token}, {"job_id": 1})
            wrote.update(document["job_id"] for document in filed)
        return [
            decision
            for decision in decisions
            if decision.job.id in (wrote if decision.runs or decision.records else moved)
        ]

    def _leave_out_recorded(self, decisions: Sequence[Decision]) -> None:
        """Take out of decisions what has a record already: the job was removed and added again, or set back by its user.

        First the runs under way are looked at, then the filed ones, for they move in that direction; later ones raise the job's
        version.
        """
        seen = self._seen
        taken: dict[str, set[int]] = {}
        unseen = []
        for decision in decisions:
            version, nominals = seen.get(decision.job.id, (None, ()))
            if version != decision.version:
                unseen.append(decision.job.id)
            elif nominals:
                taken[decision.job.id] = set(nominals)
        with self._server.translated():
            if unseen:
                for document in self._server.jobs.find({"_id": {"$in": unseen}, "busy": True}):
                    taken[document["_id"]] = set(_nominals(document))
            keys = [
                _key(record.job_id, record.nominal)
                for decision in decisions
                for record in (*decision.runs, *decision.records)
            ]
            for start in range(0, len(keys), BATCH):
                some = {"_id": {"$in": keys[start : start + BATCH]}}
                for found in self._server.runs.find(some, {"job_id": 1, "nominal": 1}):
                    taken.setdefault(found["job_id"], set()).add(found["nominal"])
        for decision in decisions:
            used = taken.get(decision.job.id)
            since = first_nominal(decision)
            if used and since is not None and max(used) >= since:
                leave_out_recorded(decision, self.recorded(decision.job.id, since))

    def recorded(self, job_id: str, since: int) -> list[Recorded]:
        """Return the records of a job that stand for times from an instant on, oldest first."""
        fields = {"nominal": 1, "last": 1, "status": 1}
        of_job = {"job_id": job_id}
        runs = self._server.runs
        with self._server.translated():
            # In this order: what is filed in between is seen twice, and not never.
            current = self._server.jobs.find_one({"_id": job_id}, {"under_way": 1, "pending": 1}) or {}
            before = runs.find({**of_job, "nominal": {"$lt": since}}, fields).sort("nominal", DESCENDING)
            later = runs.find({**of_job, "nominal": {"$gte": since}}, fields).sort("nominal", 1)
            found = [*before.limit(BEFORE), *later.limit(MOST)]
        found += [*current.get("under_way", ()), *current.get("pending", ())]
        return standing_from({_standing(entry) for entry in found if "nominal" in entry}, since)

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run]) -> list[Run]:
        """Write how runs ended; return those that are not the presenter's any more."""
        return [run for some in _rounds(runs) for run in self._finish(some)]

    def _finish(self, ended: Sequence[tuple[Run, dict[str, Any]]]) -> list[Run]:
        runs, ends = [run for run, _ in ended], [end for _, end in ended]
        updates = [_end_of(run, end) for run, end in ended]
        with self._server.translated():
            matched = self._server.jobs.bulk_write(updates, ordered=False).matched_count
            ids = sorted({run.job_id for run in runs})
            refused = [] if matched == len(runs) else self._refused(runs, ends, ids)
        self.file(ids)
        return refused

    def _refused(
        self, runs: Sequence[Run], ends: Sequence[Mapping[str, Any]], ids: Sequence[str]
    ) -> list[Run]:
        """Return the runs whose very end is neither pending nor filed."""
        written: set[tuple[Any, ...]] = set()
        for document in self._server.jobs.find({"_id": {"$in": ids}}, {"pending": 1}):
            written.update(_identity(document["_id"], entry) for entry in document.get("pending", ()))
        keys = [_key(run.job_id, run.nominal) for run in runs]
        for document in self._server.runs.find({"_id": {"$in": keys}}):
            written.add(_identity(document["job_id"], document))
        return [run for run, end in zip(runs, ends, strict=True) if _identity(run.job_id, end) not in written]

    def file(self, ids: Sequence[str]) -> None:
        """File what has ended of some jobs, let jobs become due that waited for it, and forget what is over."""
        jobs = self._server.jobs
        with self._server.translated():
            ready = list(
                jobs.find({"_id": {"$in": list(ids)}, "pending.0": {"$exists": True}}, {"pending": 1})
            )
            files, pulls = [], []
            for document in ready:
                id, entries = document["_id"], document["pending"]
                for entry in entries:
                    key = _key(id, entry["nominal"])
                    files.append(ReplaceOne({"_id": key}, {"_id": key, "job_id": id, **entry}, upsert=True))
                nominals = [entry["nominal"] for entry in entries]
                pulls.append(UpdateOne({"_id": id}, {"$pull": {"pending": {"nominal": {"$in": nominals}}}}))
            if files:
                self._server.runs.bulk_write(files, ordered=False)
            idle = {"_id": {"$in": list(ids)}, "under_way": [], "pending": []}
            jobs.bulk_write([*pulls, *release(list(ids)), UpdateMany(idle, {"$unset": {"busy": 1}})])
            jobs.delete_many({**idle, "state": {"$in": OVER}})

    # -- leases --------------------------------------------------------------------------------------------------

    def busy(self) -> list[dict[str, Any]]:
        """Return the documents of jobs with runs that have not ended, or are not filed."""
        with self._server.translated():
            return list(self._server.jobs.find({"busy": True}))

    def file_leftovers(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """File what others may have left in between."""
        ids = [document["_id"] for document in documents if document.get("pending")]
        if ids:
            self.file(ids)

    def keep(self, node: str, in_hand: Collection[Run], now: int) -> list[Run]:
        """Make sure of a node's runs after its lease had run out; return those that are not its any more.

        The documents of the others are changed, so that nobody takes a run who has looked at the lease before.
        """
        kept = {"$set": {"under_way.$.kept": now}}
        updates = [UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, kept) for run in in_hand]
        held = set()
        with self._server.translated():
            if updates:
                self._server.jobs.bulk_write(updates, ordered=False)
            for document in self._server.jobs.find({"busy": True, "under_way.owner": node}, {"under_way": 1}):
                for entry in document["under_way"]:
                    if entry.get("owner") == node:
                        held.add((document["_id"], entry.get("nominal"), entry.get("attempt")))
        return [run for run in in_hand if (run.job_id, run.nominal, run.attempt) not in held]

    def orphans(
        self,
        documents: Iterable[Mapping[str, Any]],
        now: int,
        node: str,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
    ) -> list[Run]:
        """Return the runs in these documents that no living node owns, oldest first.

        Those of ``node`` that are not among the known ones are returned too, if it is in doubt. A node whose lease is over finds
        nothing.

        :param ownerless: leave out those of nodes that seem to be dead
        """
        alive = self._alive(now)
        if node not in alive:
            return []
        found: dict[tuple[str, int], Run] = {}
        for document in documents:
            for entry in document.get("under_way", ()):
                owner = entry.get("owner")
                if owner == node:
                    orphaned = in_doubt and (document["_id"], entry.get("nominal")) not in known
                else:
                    orphaned = owner is None or not (ownerless or owner in alive)
                if orphaned:
                    _collect(found, {**entry, "job_id": document["_id"]})
        return sorted(found.values(), key=attrgetter("nominal"))

    def _alive(self, now: int) -> set[str]:
        """Return the nodes whose lease is not over; one that was renewed in the future, as it seems, counts from now."""
        with self._server.translated():
            living = list(self._server.nodes.find({"lease_until": {"$gte": now}}))
            for document in living:
                renewed = document.get("started", 0)
                if renewed > now + AHEAD:
                    until = document["lease_until"]
                    change = {"$set": {"lease_until": until - renewed + now, "started": now}}
                    self._server.nodes.update_one({"_id": document["_id"], "lease_until": until}, change)
        return {document["_id"] for document in living}

    def take(self, changed: Sequence[Run], documents: Mapping[str, Mapping[str, Any]]) -> list[Run]:
        """Make changes of orphaned runs true; return those, without the runs of jobs that others changed meanwhile."""
        of_job: dict[str, list[Run]] = {}
        for run in changed:
            of_job.setdefault(run.job_id, []).append(run)
        taken: list[Run] = []
        lost: list[str] = []
        with self._server.translated():
            for job_id, runs in of_job.items():
                seen = documents[job_id]
                left = {entry["nominal"]: entry for entry in seen["under_way"]}
                ended = []
                for run in runs:
                    if run.ended:
                        del left[run.nominal]
                        ended.append(_entry_of(run))
                    else:
                        left[run.nominal] = _entry_of(run)
                condition = {"_id": job_id, "version": seen["version"], "under_way": seen["under_way"]}
                change: dict[str, Any] = {"$set": {"under_way": list(left.values())}}
                if ended:
                    change["$push"] = {"pending": {"$each": ended}}
                    lost.append(job_id)
                if self._server.jobs.update_one(condition, change).matched_count:
                    taken += runs
        if lost:
            self.file(lost)
        return taken

    def leave(self, node: str, runs: Sequence[Run]) -> None:
        """Leave runs to whoever comes first, and end a lease unless other runs of the node are under way."""
        with self._server.translated():
            if runs:
                given = {"$set": {"under_way.$.owner": None}}
                updates = [UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, given) for run in runs]
                self._server.jobs.bulk_write(updates, ordered=False)
            if not self._server.jobs.find_one({"busy": True, "under_way.owner": node}, {"_id": 1}):
                self._server.nodes.delete_one({"_id": node})

    def check_alive(self, node: str, now: int) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        """
        with self._server.translated():
            found = self._server.nodes.find_one({"_id": node})
        if found is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        return bool(found["lease_until"] >= now)

    # -- looking back, and forgetting ----------------------------------------------------------------------------

    def select(self, job_id: str | None, status: str | Iterable[str] | None, limit: int) -> list[Run]:
        """Return records, newest first."""
        if limit <= 0:
            return []
        wanted = None if status is None else {status} if isinstance(status, str) else set(status)
        filed: dict[str, Any] = {} if job_id is None else {"job_id": job_id}
        if wanted is not None:
            filed["status"] = {"$in": list(wanted)}
        current = {"busy": True} if job_id is None else {"_id": job_id}
        found: dict[tuple[str, int], Run] = {}
        with self._server.translated():
            # In this order: what is filed in between is seen twice, and not never.
            for document in self._server.jobs.find(current, {"under_way": 1, "pending": 1}):
                for entry in (*document.get("under_way", ()), *document.get("pending", ())):
                    if wanted is None or entry.get("status") in wanted:
                        _collect(found, {**entry, "job_id": document["_id"]})
            for document in self._server.runs.find(filed).sort("nominal", DESCENDING).limit(limit):
                _collect(found, document)
            runs = sorted(found.values(), key=attrgetter("nominal"), reverse=True)[:limit]
            ids = sorted({run.job_id for run in runs if run.name is None})
            names: dict[str, tuple[str, str]] = {}
            for start in range(0, len(ids), BATCH):
                named = {"_id": {"$in": ids[start : start + BATCH]}}
                for document in self._server.jobs.find(named, {"name": 1, "func": 1}):
                    names[document["_id"]] = document.get("name"), document.get("func")
        label_all(runs, names)
        return runs

    def prune_old(self, instant: int) -> None:
        """Delete the runs that ended before an instant, in batches."""
        old = {"nominal": {"$lt": instant}, "finished": {"$lt": instant}}
        self._prune(lambda: self._server.runs.find(old, {"_id": 1}).sort("nominal", 1).limit(BATCH))

    def prune_many(self, keep: int) -> None:
        """Delete the runs beyond the newest ``keep`` of each job, in batches."""
        for job_id in self._crowded(keep):
            with self._server.translated():
                newest = self._server.runs.find({"job_id": job_id}, {"nominal": 1}).sort(
                    "nominal", DESCENDING
                )
                edge = next(iter(newest.skip(keep).limit(1)), None)
            if edge is not None:
                self._prune(partial(self._of_job, job_id, edge["nominal"]))

    def _of_job(self, job_id: str, last: int) -> Any:
        return self._server.runs.find({"job_id": job_id, "nominal": {"$lte": last}}, {"_id": 1}).limit(BATCH)

    def _prune(self, find: Any) -> None:
        while True:
            with self._server.translated():
                keys = [document["_id"] for document in find()]
                if keys:
                    self._server.runs.delete_many({"_id": {"$in": keys}})
            if len(keys) < BATCH:
                return

    def _crowded(self, keep: int) -> list[str]:
        """Return the jobs that may have too many records: at first all are looked at, then those that got some."""
        written = self._written
        if written is None:
            self._written = {}
            counted = [
                {"$group": {"_id": "$job_id", "count": {"$sum": 1}}},
                {"$match": {"count": {"$gt": keep}}},
            ]
            with self._server.translated():
                return [group["_id"] for group in self._server.runs.aggregate(counted)]
        # Looking costs more than some records above the bound.
        crowded = [job_id for job_id, count in list(written.items()) if count > keep // 10]
        for job_id in crowded:
            written.pop(job_id, None)
        return crowded


def _key(job_id: str, nominal: int) -> dict[str, Any]:
    return {"job_id": job_id, "nominal": nominal}


def _entry_of(run: Run) -> dict[str, Any]:
    """Return a run as it is kept in its job's document."""
    fields = fields_of(run)
    del fields["job_id"]
    return fields


def _rounds(runs: Sequence[Run]) -> Iterator[list[tuple[Run, dict[str, Any]]]]:
    """Return ended runs with their records, those of one job in as many parts as its document has no room for together."""
    left = [(run, _entry_of(run)) for run in runs]
    if not left:
        return
    if len({run.job_id for run in runs}) == len(runs):  # as nearly always
        yield left
        return
    while left:
        fitting: list[tuple[Run, dict[str, Any]]] = []
        later: list[tuple[Run, dict[str, Any]]] = []
        sizes: dict[str, int] = {}
        for run, end in left:
            before = sizes.get(run.job_id, 0)
            size = sizes[run.job_id] = before + _size(end)
            (later if before and size > ROOM else fitting).append((run, end))
        yield fitting
        left = later


def _size(entry: Mapping[str, Any]) -> int:
    """Return about how many bytes a record takes."""
    return 500 + sum(
        len(value) if value.isascii() else 4 * len(value) for value in entry.values() if type(value) is str
    )


def _nominals(document: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the nominal times of the runs in a job's document."""
    if not document.get("busy"):
        return ()
    entries = (*document.get("under_way", ()), *document.get("pending", ()))
    return tuple(entry["nominal"] for entry in entries if "nominal" in entry)


def _standing(entry: Mapping[str, Any]) -> Recorded:
    nominal: int = entry["nominal"]
    return nominal, entry.get("last", nominal), entry.get("status", "")


def _identity(job_id: str, entry: Mapping[str, Any]) -> tuple[Any, ...]:
    get = entry.get
    return job_id, get("nominal"), get("owner"), get("attempt"), get("status"), get("finished")


def _fence_of(run: Run) -> dict[str, Any]:
    return {"$elemMatch": {"nominal": run.nominal, "attempt": run.attempt, "owner": run.owner}}


def _end_of(run: Run, end: Mapping[str, Any]) -> UpdateOne:
    change = {"$pull": {"under_way": {"nominal": run.nominal}}, "$push": {"pending": end}}
    return UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, change)


def _claim_of(decision: Decision, token: str) -> UpdateOne:
    condition: dict[str, Any] = {"_id": decision.job.id, "version": decision.version}
    changes: dict[str, Any] = {
        "next_nominal": decision.next_nominal,
        "next_due": decision.next_due,
        "version": decision.version + 1,
        "state": decision.state,
        "error": storable(decision.error),
        "claim": token,
    }
    pushes: dict[str, Any] = {}
    if decision.runs:
        condition[f"under_way.{decision.job.policy.max_instances - 1}"] = {"$exists": False}
        pushes["under_way"] = {"$each": [{**_entry_of(run), "claim": token} for run in decision.runs]}
    if decision.records:
        pushes["pending"] = {"$each": [{**_entry_of(record), "claim": token} for record in decision.records]}
    update: dict[str, Any] = {"$set": changes}
    if pushes:
        changes["busy"] = True
        update["$push"] = pushes
    return UpdateOne(condition, update)


def _collect(found: dict[tuple[str, int], Run], fields: Mapping[str, Any]) -> None:
    """Take a record; what is damaged is passed over, and an end is worth more than a claim."""
    try:
        run = run_of(fields)
    except DeserializationError:
        return
    key = (run.job_id, run.nominal)
    if key not in found or found[key].status == CLAIMED:
        found[key] = run
