"""What others ask of a node of a tree: to drain, to cancel runs, to answer questions.

It carries nothing out, and changes no job and no run.
"""

from __future__ import annotations

import json

from ...clock import LAST_SHOWN
from ...codec.damaged import is_time
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
from ...errors import StoreConflictError
from ...util import new_node_id
from .keys import (
    META,
    REQUESTS,
    active_of,
    cancels_folder,
    description_of,
    lease_of,
    lease_text,
    node_key,
    request_key,
    unquoted,
)
from .layout import is_newer
from .port import Change, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from .port import Entry, Tree


class NodeOrders:
    """Reads and writes what nodes are asked in one tree.

    :param tree: the server
    """

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def of(self, node: str, now: int, next_waiting: int | None) -> Orders:
        """Return what is asked of a node; see the port.

        :param next_waiting: the earliest time at which a waiting run may start (instant)
        """
        meta, lease = self._tree.read([META, node_key(node)])
        cancels = []
        for name, entry in self._tree.entries(cancels_folder(node)).items():
            key, reason = active_of(name), _json_in(entry)
            if key is not None:
                cancels.append((*key, reason if isinstance(reason, str) else "cancelled"))
        known = self._requests()
        requests = [
            Request(id, asked["kind"], asked["subject"])
            for id, asked, _ in known
            if asked["node"] == node and asked["answer"] is None and now - asked["at"] < REQUESTS_KEPT
        ]
        draining = description_of(lease.value)[1] is not None
        return Orders(draining, cancels, requests, next_waiting, is_newer(meta.value), *_backfills(known))

    def backfills(self, now: int) -> dict[str, str]:
        """Return what is left of backfills, by the ids of their jobs."""
        return _backfills(self._requests())[0]

    def keep_backfill(self, job_id: str, text: str | None, before: str | None, now: int) -> bool:
        """Keep what is left of the backfill of a job, if that is still as it was looked at."""
        key = request_key(backfill_id(job_id))
        (entry,) = self._tree.read([key])
        known = _request_in(entry)
        # What is damaged stands in the way of no other.
        is_sound = known is not None and known["node"] == ANY_NODE and (known["subject"] or [""])[0] == job_id
        if (known["answer"] if known is not None and is_sound else None) != before:
            return False
        asked = {"node": ANY_NODE, "kind": BACKFILL, "subject": [job_id, 0], "at": LAST_SHOWN, "answer": text}
        value = None if text is None else json.dumps(asked, ensure_ascii=False)
        return self._tree.commit([Change(key, value, entry.rev)], tell=True)

    def drain(self, node: str, draining: bool, now: int) -> bool:
        """Have a node claim nothing more, or claim again; return whether there is one."""
        key = node_key(node)
        for _ in tries():
            (entry,) = self._tree.read([key])
            until, length, renewals = lease_of(entry.value)
            if until is None:
                return False
            started, _, about = description_of(entry.value)
            text = lease_text(until, length, renewals, started, now if draining else None, about)
            if self._tree.commit([Change(key, text, entry.rev)], tell=True):
                return True
        raise StoreConflictError(f"The lease of node {node} is changed by others all the time")

    def request(self, node: str, kind: str, now: int, subject: tuple[str, int] | None) -> str:
        """Ask a node for something; return the id of the request."""
        self.forget(now)
        id: str = new_node_id()
        asked = {"node": node, "kind": kind, "subject": subject, "at": now}
        self._tree.commit([Change(request_key(id), json.dumps(asked, ensure_ascii=False))], tell=True)
        return id

    def answer(self, id: str, text: str, now: int) -> None:
        """Answer a request that is not too old; see the port."""
        (entry,) = self._tree.read([request_key(id)])
        asked = _request_in(entry)
        if asked is not None and now - asked["at"] < REQUESTS_KEPT:
            asked["answer"] = cut(text, LONGEST_ANSWER)
            # If somebody has deleted it meanwhile, nobody asks any more.
            self._tree.commit([Change(request_key(id), json.dumps(asked, ensure_ascii=False), entry.rev)])

    def answer_to(self, id: str, now: int) -> str | None:
        """Return the answer to a request; see the port."""
        (entry,) = self._tree.read([request_key(id)])
        asked = _request_in(entry)
        if asked is None or now - asked["at"] >= REQUESTS_KEPT:
            return None
        answer: str | None = asked["answer"]
        return answer

    def forget(self, now: int) -> None:
        """Delete requests that are too old, or damaged."""
        kept = {id for id, asked, _ in self._requests() if now - asked["at"] < REQUESTS_KEPT}
        self._tree.delete(
            f"{REQUESTS}/{name}" for name in self._tree.names(REQUESTS) if unquoted(name) not in kept
        )

    def _requests(self) -> list[tuple[str, dict[str, Any], Entry]]:
        """Return the requests that are there and not damaged."""
        found = (
            (unquoted(name), _request_in(entry), entry)
            for name, entry in self._tree.entries(REQUESTS).items()
        )
        return [(id, asked, entry) for id, asked, entry in found if asked is not None]


def _backfills(requests: Iterable[tuple[str, dict[str, Any], Entry]]) -> tuple[dict[str, str], list[str]]:
    """Return what is left of backfills among requests, by the ids of their jobs, and the ids of what belongs to none."""
    return kept_backfills(
        (id, None if asked["subject"] is None else asked["subject"][0], asked["answer"])
        for id, asked, _ in requests
        if asked["node"] == ANY_NODE
    )


def _request_in(entry: Entry) -> dict[str, Any] | None:
    """Return the request in an entry, None if there is none or it is damaged."""
    found = _json_in(entry)
    if not isinstance(found, dict):
        return None
    node, kind, subject, at, answer = map(found.get, ("node", "kind", "subject", "at", "answer"))
    if not (isinstance(node, str) and isinstance(kind, str) and is_time(at)):
        return None
    if subject is not None:
        if not (isinstance(subject, list) and list(map(type, subject)) == [str, int]):
            return None
        subject = tuple(subject)
    return {
        "node": node,
        "kind": kind,
        "subject": subject,
        "at": at,
        "answer": answer if isinstance(answer, str) else None,
    }


def _json_in(entry: Entry) -> Any:
    try:
        return json.loads(entry.value or "null")
    except (ValueError, RecursionError):
        return None
