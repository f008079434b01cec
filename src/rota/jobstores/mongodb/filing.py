"""Filing in the MongoDB store: a run that has ended moves from its job's document to the collection of records.

It claims and ends no run. Whatever a dead process has left unfiled, others file.
"""

from __future__ import annotations

from contextlib import suppress

from pymongo import ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError

from ...clock import HELD
from ...codec.options import spare_in
from ...core.policy import Policy
from ...core.states import ENDED, FAILURES, WAITING
from ...errors import HeldRowsError, StoreConflictError
from ...triggers.base import BaseTrigger
from ..documents import KEPT
from .forms import LISTS, ONLY_WAITS, OVER, entries_of, has_ended, key_of, numbered
from .jobs import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from typing import Any

    from .chains import Chains
    from .server import Server

#: How many jobs one question names.
BATCH = 500


class Filing:
    """Files the records of one store.

    :param server: where the documents are
    :param chains: returns what writes what ends leave at other jobs
    :param may_start_others: tells whether a job is known to start others
    """

    def __init__(
        self, server: Server, chains: Callable[[], Chains], may_start_others: Callable[[str], bool]
    ) -> None:
        self._server = server
        self._chains = chains
        self._may_start_others = may_start_others

    def file(self, ids: Sequence[str], ask: bool = True) -> None:
        """File what has ended of some jobs, let jobs become due that waited for it, and forget what is over.

        What these ends leave at other jobs is written first. Where somebody holds a document, that is left to whoever looks for
        what is not filed.

        :param ask: whether to ask which jobs the ends start; False: only of jobs that are known to start others, and whoever calls
            says which may wait for one place of several (:meth:`let_go_on`)
        """
        with suppress(HeldRowsError, StoreConflictError):
            left = self._file(ids, ask)
            if left:  # records of what does not run
                self._file(left, False)
                self.settle(left)
        if ask:
            self.let_go_on(ids)

    def _file(self, ids: Sequence[str], ask: bool) -> list[str]:
        """File what has ended; return the ids of the jobs at which that has left something."""
        jobs = self._server.jobs
        read = {"pending": 1}
        if BaseTrigger.some_chain and not ask:
            read["options"] = 1
        with self._server.translated():
            ready = list(jobs.find({"_id": {"$in": list(ids)}, "pending.0": {"$exists": True}}, read))
            left = self._left_by(ready, ask) if ask or BaseTrigger.some_chain else []
            files: list[dict[str, Any]] = []
            changes: list[UpdateOne] = []
            for document in ready:
                id = document["_id"]
                # What is damaged is ended by whoever looks for damage.
                ended = filter(has_ended, entries_of(document, "pending"))
                entries = list(numbered(ended))
                for entry in entries:
                    files.append({**entry, "_id": key_of(id, entry["nominal"]), "job_id": id})
                nominals = [entry["nominal"] for entry in entries]
                if not nominals:
                    continue
                last = max(entries, key=_finished)
                if last.get("status") in FAILURES:
                    changes.append(_keeping(id, nominals))
                changes.append(UpdateOne({"_id": id}, {"$pull": {"pending": {"nominal": {"$in": nominals}}}}))
            if files:
                self._put(files)
            # R6: a job that waited for its runs becomes due, and one whose schedule is over goes with its last run.
            idle = {"_id": {"$in": list(ids)}, "under_way": [], "pending": []}
            jobs.bulk_write([*changes, *release(list(ids)), UpdateMany(idle, {"$unset": {"busy": 1}})])
            jobs.delete_many({**idle, "state": {"$in": list(OVER)}})
        return left

    def _put(self, records: Sequence[dict[str, Any]]) -> None:
        """Write records; those that are there already are replaced."""
        runs = self._server.runs
        try:
            # Nearly none is there. The server writes new ones together, and would look for each that may be there by itself.
            runs.insert_many(records, ordered=False)
        except BulkWriteError as exc:
            # Others file them too, or did so before they died. What was refused for another reason is refused again.
            refused = [records[error["index"]] for error in exc.details["writeErrors"]]
            if not refused or exc.details["writeConcernErrors"]:
                raise
            self._replace(refused)

    def _replace(self, records: Sequence[dict[str, Any]]) -> None:
        """Write records some of which are there, as they are to be or from before their runs were opened again."""
        there: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(records), BATCH):
            some = records[start : start + BATCH]
            times, ids = ({record[name] for record in some} for name in ("nominal", "job_id"))
            among = {"job_id": {"$in": list(ids)}, "nominal": {"$in": list(times)}}
            there |= {repr(record["_id"]): record for record in self._server.runs.find(among)}
        changes = [
            ReplaceOne({"_id": record["_id"]}, record, upsert=True)
            for record in records
            if there.get(repr(record["_id"])) != record
        ]
        if changes:
            self._server.runs.bulk_write(changes, ordered=False)

    def let_go_on(self, ids: Collection[str]) -> None:
        """Make jobs due that wait for a place and not for the end of all of their runs (R6)."""
        if not ids or not Policy.some_wait:
            return
        with suppress(HeldRowsError), self._server.translated():
            self._let_go_on(ids)

    def _let_go_on(self, ids: Collection[str]) -> None:
        held = {"next_due": HELD, "under_way.0": {"$exists": True}}
        found = self._server.jobs.find({"_id": {"$in": list(ids)}, **held}, {"options": 1})
        free = [
            UpdateOne(
                {"_id": document["_id"], **held, f"under_way.{spare}": {"$exists": False}},
                [{"$set": {"next_due": "$next_nominal"}}],
            )
            for document in found
            if (spare := spare_in(document.get("options")))
        ]
        if free:
            self._server.jobs.bulk_write(free, ordered=False)

    def _left_by(self, ready: Sequence[Mapping[str, Any]], ask: bool) -> list[str]:
        """Write what the ends in some documents leave at other jobs; return the ids of these jobs."""
        ends = {}
        for document in ready:
            id = document["_id"]
            entries = list(filter(has_ended, entries_of(document, "pending")))
            known = ask or self._may_start_others(id) or '"chained"' in str(document.get("options"))
            if known and entries and type(id) is str:
                ends[id] = entries
        return sorted(set(self._chains().follow(ends))) if ends else []

    def settle(self, ids: Sequence[str]) -> None:
        """Take note of jobs of which all unfinished runs wait, so that nobody looks for runs under way among them."""
        none_else = {"$not": {"$elemMatch": {"status": {"$ne": WAITING}}}}
        settled = {"busy": True, "not_before": {"$exists": True}, **dict.fromkeys(LISTS, none_else)}
        with suppress(HeldRowsError), self._server.translated():
            self._server.jobs.update_many(
                {"_id": {"$in": list(ids)}, **settled}, {"$set": {"busy": ONLY_WAITS}}
            )

    def leftovers(self) -> list[str]:
        """Return jobs whose ended runs are not filed, some of them."""
        unfiled = {"busy": True, "pending": {"$elemMatch": {"status": {"$ne": WAITING}}}}
        with self._server.translated():
            return [found["_id"] for found in self._server.jobs.find(unfiled, {"_id": 1}).limit(BATCH)]


def _keeping(job_id: str, nominals: Sequence[int]) -> UpdateOne:
    """Return the update by which a job stays whose schedule is over, if no run of it is left but some that have ended (R6)."""
    others = {"$elemMatch": {"nominal": {"$nin": nominals}}}
    last = {"_id": job_id, "state": ENDED, "under_way": [], "pending": {"$not": others}}
    return UpdateOne(last, {"$set": {"state": KEPT}})


def _finished(entry: Mapping[str, Any]) -> int:
    found = entry.get("finished")
    return found if type(found) is int else 0
