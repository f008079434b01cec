"""The runs of the MongoDB store: how they end, who takes them over, looking back and forgetting. Claims are in ``claims``.

A claim is one conditional update of the job's document, by its version, which also holds the unfinished runs (``under_way``). A run
that has ended moves to ``pending`` by one conditional update as well, which is its fence; from there it is filed in the collection
of runs. Whatever a dead process has left in ``pending``, others file.
"""

from __future__ import annotations

from contextlib import suppress
from operator import attrgetter

from pymongo import DESCENDING, ReplaceOne, UpdateMany, UpdateOne

from ...codec.damaged import MOST as MOST_COUNTED
from ...codec.damaged import is_time, renewals_of, stands_for, text_instead
from ...core.recorded import BEFORE, MOST, standing_from
from ...core.states import CLAIMED
from ...errors import DeserializationError, HeldRowsError, StoreError
from ..documents import fields_of, label_all, run_of
from ..identity import RESTORED, Changed
from ..server_clock import AHEAD
from .damage import LISTS, damage_of_run, entries_of, numbered
from .jobs import OVER, release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...core.recorded import Recorded
    from ...core.run import Run
    from ..identity import Identity
    from .damage import Mender
    from .server import Server

#: How many keys one question names.
BATCH = 500
#: How many bytes of records a job's document gets at once, before they are filed.
ROOM = 1_000_000


class Ledger:
    """Reads and writes the runs of one store.

    :param server: where they are
    :param mender: puts right what is damaged
    """

    def __init__(self, server: Server, mender: Mender) -> None:
        self._server = server
        self._mender = mender

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
        found += [entry for name in LISTS for entry in entries_of(current, name)]
        return standing_from({_standing(entry) for entry in numbered(found)}, since)

    # -- finish --------------------------------------------------------------------------------------------------

    def finish(self, runs: Sequence[Run]) -> list[Run]:
        """Write how runs ended; return those that are not the presenter's any more.

        :raises HeldRowsError: if somebody holds the documents of some; the others are written
        """
        refused: list[Run] = []
        held: list[Run] = []
        for some in _rounds(runs):
            try:
                refused += self._finish(some)
            except HeldRowsError as exc:
                held += exc.runs
        if held:
            raise HeldRowsError(
                f"The documents of {len(held)} runs, such as {held[0]!r}, are in somebody's open transaction",
                held,
                refused,
            )
        return refused

    def _finish(self, ended: Sequence[tuple[Run, dict[str, Any]]]) -> list[Run]:
        runs, ends = [run for run, _ in ended], [end for _, end in ended]
        updates = [_end_of(run, end) for run, end in ended]
        ids = sorted({run.job_id for run in runs})
        try:
            with self._server.translated():
                matched = self._server.jobs.bulk_write(updates, ordered=False).matched_count
        except HeldRowsError as exc:
            with self._server.translated():
                # Of these some may not be the presenter's any more: that is found out when they are tried again.
                left = self._refused(runs, ends, ids)
            self.file(ids)
            if not left:
                return []
            raise HeldRowsError(str(exc), left) from exc
        except StoreError:
            if not self._mender.mend_lists(ids):
                raise
            return self._finish(ended)
        with self._server.translated():
            refused = [] if matched == len(runs) else self._refused(runs, ends, ids)
        self.file(ids)
        return refused

    def _refused(
        self, runs: Sequence[Run], ends: Sequence[Mapping[str, Any]], ids: Sequence[str]
    ) -> list[Run]:
        """Return the runs whose very end is neither pending nor filed."""
        written: set[tuple[Any, ...]] = set()
        for document in self._server.jobs.find({"_id": {"$in": ids}}, {"pending": 1}):
            written.update(_identity(document["_id"], entry) for entry in entries_of(document, "pending"))
        keys = [key_of(run.job_id, run.nominal) for run in runs]
        for document in self._server.runs.find({"_id": {"$in": keys}}):
            written.add(_identity(document["_id"]["job_id"], document))
        return [run for run, end in zip(runs, ends, strict=True) if _identity(run.job_id, end) not in written]

    def file(self, ids: Sequence[str]) -> None:
        """File what has ended of some jobs, let jobs become due that waited for it, and forget what is over.

        Where somebody holds a document, that is left to whoever looks for what is not filed.
        """
        with suppress(HeldRowsError):
            self._file(ids)

    def _file(self, ids: Sequence[str]) -> None:
        jobs = self._server.jobs
        with self._server.translated():
            ready = list(
                jobs.find({"_id": {"$in": list(ids)}, "pending.0": {"$exists": True}}, {"pending": 1})
            )
            files, pulls = [], []
            for document in ready:
                id, entries = document["_id"], list(numbered(entries_of(document, "pending")))
                for entry in entries:
                    key = key_of(id, entry["nominal"])
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

    def renew(self, node: str, now: int, lease: int, identity: Identity) -> int | str | None:
        """Begin or prolong a lease, if the store is the one that was opened.

        The document of a lease names the store and counts its renewals, so that nearly always one step tells that all is well.

        :return: until when the lease lasted before, None if there was none; or what happened to the store
        """
        nodes, until = self._server.nodes, now + lease
        values = {"lease_until": until, "started": now, "store": identity.value}
        counted = {"$set": values, "$inc": {"renewals": 1}}
        same = {
            "_id": node,
            "store": identity.value,
            "renewals": {"$gte": identity.renewals(node), "$lt": MOST_COUNTED},
        }
        with self._server.translated():
            before = nodes.find_one_and_update(same, counted)
            if before is None:
                marks = self._server.meta.find_one({"_id": "schema"}) or {}
                there = nodes.find_one({"_id": node}) or {}
                renewals = renewals_of(there.get("renewals"))
                # A count that is none begins anew.
                is_damaged = renewals is None and there.get("renewals") is not None
                found = identity.renewals(node) if is_damaged else renewals
                change = identity.change(node, now, marks.get("identity"), found)
                if change is not None:
                    return change
                renewed = counted if renewals is not None else {"$set": {**values, "renewals": 1}}
                before = nodes.find_one_and_update({"_id": node}, renewed, upsert=True)
        identity.written(node, (renewals_of((before or {}).get("renewals")) or 0) + 1, until)
        if before is None:
            return None
        lasted = before.get("lease_until")
        return lasted if is_time(lasted) else now - 1

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
                for entry in entries_of(document, "under_way"):
                    if entry.get("owner") == node:
                        held.add(repr((document["_id"], entry.get("nominal"), entry.get("attempt"))))
        return [run for run in in_hand if repr((run.job_id, run.nominal, run.attempt)) not in held]

    def orphans(
        self,
        documents: Iterable[Mapping[str, Any]],
        now: int,
        node: str,
        known: Collection[tuple[str, int]],
        in_doubt: bool,
        ownerless: bool,
        clock: Callable[[], int],
    ) -> list[Run]:
        """Return the runs in these documents that no living node owns, oldest first.

        Those of ``node`` that are not among the known ones are returned too, if it is in doubt. A node whose lease is over finds
        nothing.

        :param ownerless: leave out those of nodes that seem to be dead
        :param clock: tells ``now`` as time goes on
        """
        alive = self._alive(now, clock)
        if node not in alive:
            return []
        found: dict[tuple[str, int], Run] = {}
        for document in documents:
            for entry in entries_of(document, "under_way"):
                if damage_of_run(document, entry):
                    continue
                owner = entry.get("owner")
                if owner == node:
                    orphaned = in_doubt and (document["_id"], entry.get("nominal")) not in known
                else:
                    orphaned = owner is None or not (ownerless or owner in alive)
                if orphaned:
                    _collect(found, {**entry, "job_id": document["_id"]})
        return sorted(found.values(), key=attrgetter("nominal"))

    def _alive(self, now: int, clock: Callable[[], int]) -> set[str]:
        """Return the nodes whose lease is not over; one that was renewed in the future, as it seems, counts from now."""
        with self._server.translated():
            living = list(self._server.nodes.find({"lease_until": {"$gte": now}}))
            living = [document for document in living if is_time(document["lease_until"])]
            now = clock()  # what was renewed while this was held up is not ahead
            for document in living:
                renewed, until = document.get("started"), document["lease_until"]
                if is_time(renewed) and renewed > now + AHEAD:
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
                left = {entry.get("nominal"): entry for entry in entries_of(seen, "under_way")}
                ended = []
                for run in runs:
                    if run.ended:
                        del left[run.nominal]
                        ended.append(entry_of(run))
                    else:
                        left[run.nominal] = entry_of(run)
                condition = {"_id": job_id, "version": seen.get("version"), "under_way": seen["under_way"]}
                change: dict[str, Any] = {"$set": {"under_way": list(left.values())}}
                if ended:
                    change["$push"] = {"pending": {"$each": ended}}
                    lost.append(job_id)
                with suppress(HeldRowsError), self._server.translated():
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

    def check_alive(self, node: str, now: int, identity: Identity) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        :raises Changed: if it had one, and the store was put back from a backup
        """
        known = identity.renewals(node)  # before the look: another thread may renew it at this moment
        with self._server.translated():
            found = self._server.nodes.find_one({"_id": node})
        # A count that is none begins anew.
        renewals = None if found is None else renewals_of(found.get("renewals"))
        if (found is None or renewals is not None) and identity.is_restored(node, now, renewals, known):
            raise Changed(RESTORED)
        if found is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        until = found.get("lease_until")
        return is_time(until) and bool(until >= now)

    # -- looking back -------------------------------------------------------------------------------------------

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
                for entry in (entry for name in LISTS for entry in entries_of(document, name)):
                    if wanted is None or text_instead(entry.get("status")) in wanted:
                        _collect(found, {**entry, "job_id": document["_id"]})
            for document in self._server.runs.find(filed).sort("nominal", DESCENDING).limit(limit):
                _collect(found, document)
            runs = sorted(found.values(), key=attrgetter("nominal"), reverse=True)[:limit]
            ids = sorted({run.job_id for run in runs if run.name is None})
            names: dict[str, tuple[str, str]] = {}
            for start in range(0, len(ids), BATCH):
                named = {"_id": {"$in": ids[start : start + BATCH]}}
                for document in self._server.jobs.find(named, {"name": 1, "func": 1}):
                    name, func = document.get("name"), document.get("func")
                    names[document["_id"]] = text_instead(name), text_instead(func)
        label_all(runs, names)
        return runs

    def leftovers(self) -> list[str]:
        """Return jobs whose ended runs are not filed, some of them."""
        unfiled = {"busy": True, "pending.0": {"$exists": True}}
        with self._server.translated():
            return [found["_id"] for found in self._server.jobs.find(unfiled, {"_id": 1}).limit(BATCH)]


def key_of(job_id: str, nominal: int) -> dict[str, Any]:
    """Return the id of the record of a nominal time."""
    return {"job_id": job_id, "nominal": nominal}


def entry_of(run: Run) -> dict[str, Any]:
    """Return a run as it is kept in its job's document."""
    fields = fields_of(run)
    del fields["job_id"]
    return fields


def _rounds(runs: Sequence[Run]) -> Iterator[list[tuple[Run, dict[str, Any]]]]:
    """Return ended runs with their records, those of one job in as many parts as its document has no room for together."""
    left = [(run, entry_of(run)) for run in runs]
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


def _standing(entry: Mapping[str, Any]) -> Recorded:
    return stands_for(entry["nominal"], entry.get("last"), entry.get("status"))


def _identity(job_id: str, entry: Mapping[str, Any]) -> tuple[Any, ...]:
    get = entry.get
    # As texts: damaged ones may not fit into a set.
    return job_id, repr([get(name) for name in ("nominal", "owner", "attempt", "status", "finished")])


def _fence_of(run: Run) -> dict[str, Any]:
    return {"$elemMatch": {"nominal": run.nominal, "attempt": run.attempt, "owner": run.owner}}


def _end_of(run: Run, end: Mapping[str, Any]) -> UpdateOne:
    change = {"$pull": {"under_way": {"nominal": run.nominal}}, "$push": {"pending": end}}
    return UpdateOne({"_id": run.job_id, "under_way": _fence_of(run)}, change)


def _collect(found: dict[tuple[str, int], Run], fields: Mapping[str, Any]) -> None:
    """Take a record; what is damaged is passed over, and an end is worth more than a claim."""
    try:
        run = run_of(fields)
    except DeserializationError:
        return
    key = (run.job_id, run.nominal)
    if key not in found or found[key].status == CLAIMED:
        found[key] = run
