"""Filing in the MongoDB store: a run that has ended moves from its job's document to the collection of records.

It claims and ends no run. Whatever a dead process has left unfiled, others file.
"""

from __future__ import annotations

from contextlib import suppress

from pymongo import ReplaceOne, UpdateMany, UpdateOne

from ...core.states import ENDED, FAILURES, WAITING
from ...errors import HeldRowsError
from .forms import GONE, KEPT, LISTS, ONLY_WAITS, entries_of, is_waiting, key_of, numbered
from .jobs import release

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .server import Server

#: How many jobs one question names.
BATCH = 500


class Filing:
    """Files the records of one store.

    :param server: where the documents are
    """

    def __init__(self, server: Server) -> None:
        self._server = server

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
                jobs.find(
                    {"_id": {"$in": list(ids)}, "pending.0": {"$exists": True}},
                    {"pending": 1, "state": 1, KEPT: 1},
                )
            )
            files, pulls = [], []
            for document in ready:
                id = document["_id"]
                ended = (entry for entry in entries_of(document, "pending") if not is_waiting(entry))
                entries = list(numbered(ended))
                for entry in entries:
                    key = key_of(id, entry["nominal"])
                    files.append(ReplaceOne({"_id": key}, {"_id": key, "job_id": id, **entry}, upsert=True))
                nominals = [entry["nominal"] for entry in entries]
                if not nominals:
                    continue
                pull = {"$pull": {"pending": {"nominal": {"$in": nominals}}}, **_keeping(document, entries)}
                pulls.append(UpdateOne({"_id": id}, pull))
            if files:
                self._server.runs.bulk_write(files, ordered=False)
            # R6: a job that waited for its runs becomes due, and one whose schedule is over goes with its last run.
            idle = {"_id": {"$in": list(ids)}, "under_way": [], "pending": []}
            jobs.bulk_write([*pulls, *release(list(ids)), UpdateMany(idle, {"$unset": {"busy": 1}})])
            jobs.delete_many({**idle, **GONE})

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


def _keeping(document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what the filing of records changes in the document of a job: whether it stays when its schedule is over (R6)."""
    last = max(entries, key=_finished)
    failed = last.get("status") in FAILURES
    if failed == (KEPT in document) or (failed and document.get("state") != ENDED):
        return {}
    return {"$set": {KEPT: True}} if failed else {"$unset": {KEPT: ""}}


def _finished(entry: Mapping[str, Any]) -> int:
    found = entry.get("finished")
    return found if type(found) is int else 0
