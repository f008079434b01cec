"""What nodes are asked in the MongoDB store: to drain, to cancel runs, to carry on backfills, to answer.

It changes no run.
"""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from ...clock import LAST_SHOWN
from ...codec.damaged import is_time, text_instead
from ...core.details import cut
from ...core.orders import (
    ANY_NODE,
    BACKFILL,
    LONGEST_ANSWER,
    REQUESTS_KEPT,
    Orders,
    Request,
    backfill_id,
    kept_backfills,
)
from ...core.waiting import KEY_HOLDS
from ...util import new_node_id
from ..documents import whole
from .forms import entries_of
from .layout import SCHEMA_VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .server import Server


class NodeOrders:
    """Reads and writes what the nodes of one store are asked.

    :param server: where the documents are
    """

    def __init__(self, server: Server) -> None:
        self._server = server

    def of(self, node: str, now: int, next_waiting: int | None) -> Orders:
        """Return what others ask of a node; see the port.

        :param next_waiting: the earliest time at which a waiting run may start (instant)
        """
        asked = {"$elemMatch": {"owner": node, "cancel": {"$type": "string"}}}
        mine = {"node": node, "at": {"$gt": now - REQUESTS_KEPT}, "answer": {"$exists": False}}
        unanswered = {"$or": [mine, {"node": ANY_NODE}]}
        cancels, requests = [], []
        kept = []
        with self._server.translated():
            lease = self._server.nodes.find_one({"_id": node}, {"draining": 1}) or {}
            marks = self._server.meta.find_one({"_id": "schema"}, {"version": 1}) or {}
            for document in self._server.jobs.find({"busy": True, "under_way": asked}, {"under_way": 1}):
                for entry in entries_of(document, "under_way"):
                    cancel = entry.get("cancel")
                    if entry.get("owner") == node and type(cancel) is str and is_time(entry.get("nominal")):
                        cancels.append((document["_id"], int(entry["nominal"]), cancel))
            for document in self._server.requests.find(unanswered):
                id, nominal = document.get("job_id"), document.get("nominal")
                if document.get("node") == ANY_NODE:
                    kept.append(_kept(document))
                    continue
                about = (id, int(nominal)) if type(id) is str and is_time(nominal) else None
                requests.append(Request(document["_id"], text_instead(document.get("kind")), about))
        version = marks.get("version")
        outdated = isinstance(version, int) and version > SCHEMA_VERSION
        draining = is_time(lease.get("draining"))
        return Orders(draining, cancels, requests, next_waiting, outdated, *kept_backfills(kept))

    def backfills(self, now: int) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        with self._server.translated():
            found = self._server.requests.find({"node": ANY_NODE})
            return kept_backfills(map(_kept, found))[0]

    def keep_backfill(self, job_id: str, text: str | None, before: str | None, now: int) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at."""
        requests, id = self._server.requests, backfill_id(job_id)
        about = {"node": ANY_NODE, "kind": BACKFILL, "job_id": job_id, "at": LAST_SHOWN}
        with self._server.translated():
            if before is None:
                if text is None:
                    return requests.find_one({"_id": id}) is None
                try:
                    requests.insert_one({"_id": id, **about, "answer": text})
                except DuplicateKeyError:  # what is damaged stands in the way of no other
                    sound = {"node": ANY_NODE, "job_id": job_id, "answer": {"$type": "string"}}
                    damaged = {"_id": id, "$nor": [sound]}
                    return bool(requests.replace_one(damaged, {**about, "answer": text}).matched_count)
                return True
            same = {"_id": id, "answer": before}
            if text is None:
                return bool(requests.delete_one(same).deleted_count)
            return bool(requests.update_one(same, {"$set": {"answer": text}}).matched_count)

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return False if there is no such node."""
        change = {"$set": {"draining": now}} if draining else {"$unset": {"draining": ""}}
        with self._server.translated():
            return bool(self._server.nodes.update_one({"_id": node}, change).matched_count)

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None) -> str:
        """Keep a request; see the port."""
        about = {} if subject is None else {"job_id": subject[0], "nominal": subject[1]}
        id: str = new_node_id()
        with self._server.translated():
            self._server.requests.insert_one({"_id": id, "node": node, "kind": kind, "at": now, **about})
        return id

    def answer(self, id: str, text: str, now: int) -> None:
        """Keep an answer; see the port."""
        asked = {"_id": id, "at": {"$gt": now - REQUESTS_KEPT}}
        with self._server.translated():
            answer = whole(cut(text, LONGEST_ANSWER))
            self._server.requests.update_one(asked, {"$set": {"answer": answer}})

    def answer_to(self, id: str, now: int) -> str | None:
        """Return an answer; see the port."""
        with self._server.translated():
            found = self._server.requests.find_one({"_id": id, "at": {"$gt": now - REQUESTS_KEPT}}) or {}
        answer = found.get("answer")
        return answer if type(answer) is str else None

    def forget(self, now: int) -> None:
        """Delete keys and requests that are of no use any more."""
        with self._server.translated():
            self._server.keys.delete_many({"at": {"$not": {"$gt": now - KEY_HOLDS}}})
            self._server.requests.delete_many({"at": {"$not": {"$gt": now - REQUESTS_KEPT}}})


def _kept(document: Mapping[str, Any]) -> tuple[Any, Any, str | None]:
    """Return id, job id and text of what is left of a backfill, None if that is no text."""
    text = document.get("answer")
    return document["_id"], document.get("job_id"), text if type(text) is str else None
