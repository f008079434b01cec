"""The leases of the nodes in the MongoDB store: begun, renewed, looked at. A damaged lease is over.

It touches no run; what becomes of those of a dead node is decided elsewhere.
"""

from __future__ import annotations

from ...codec.damaged import LATEST, MOST, is_time, renewals_of
from ...errors import StoreError
from ..identity import RESTORED, Changed
from ..retention import NODES_KEPT
from ..server_clock import AHEAD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..identity import Identity
    from .server import Server


class Leases:
    """Reads and writes the leases in one store.

    :param server: where the documents are
    :param identity: what is known of the store that is open
    """

    def __init__(self, server: Server, identity: Identity) -> None:
        self._server = server
        self._identity = identity

    def renew(self, node: str, now: int, lease: int) -> tuple[int | None, str | None]:
        """Begin or prolong a lease, if the store is the one that was opened.

        The document of a lease names the store and counts its renewals, so that nearly always one step tells that all is well.

        :return: until when the lease lasted, None if there was none; and what happened to the store
        """
        nodes, until, identity = self._server.nodes, now + lease, self._identity
        values = {"lease_until": until, "started": now, "store": identity.value}
        counted = {"$set": values, "$inc": {"renewals": 1}}
        same = {
            "_id": node,
            "store": identity.value,
            "renewals": {"$gte": identity.renewals(node), "$lt": MOST},
        }
        with self._server.translated():
            before = nodes.find_one_and_update(same, counted)
            if before is None:
                marks = self._server.meta.find_one({"_id": "schema"}) or {}
                there = nodes.find_one({"_id": node}) or {}
                renewals = renewals_of(there.get("renewals"))
                # A damaged count begins anew.
                is_damaged = renewals is None and there.get("renewals") is not None
                found = identity.renewals(node) if is_damaged else renewals
                change = identity.change(node, now, marks.get("identity"), found)
                if change is not None:
                    return None, change
                renewed: dict[str, Any] = dict(counted)
                if renewals is None:
                    renewed = {"$set": {**values, "renewals": 1}, "$setOnInsert": {"began": now}}
                before = nodes.find_one_and_update({"_id": node}, renewed, upsert=True)
        identity.written(node, (renewals_of((before or {}).get("renewals")) or 0) + 1, until)
        if before is None:
            return None, None
        lasted = before.get("lease_until")
        return lasted if is_time(lasted) else now - 1, None

    def is_alive(self, node: str, now: int) -> bool:
        """Whether the lease of a node is not over.

        :raises StoreError: if it never had one
        :raises Changed: if it had one, and the store was put back from a backup
        """
        # Before the look: another thread may renew it at this moment.
        known = self._identity.renewals(node)
        with self._server.translated():
            found = self._server.nodes.find_one({"_id": node})
        # A damaged count begins anew.
        renewals = None if found is None else renewals_of(found.get("renewals"))
        if (found is None or renewals is not None) and self._identity.is_restored(node, now, renewals, known):
            raise Changed(RESTORED)
        if found is None:
            raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        until = found.get("lease_until")
        return is_time(until) and bool(until >= now)

    def end(self, node: str, is_busy: bool) -> None:
        """End the lease of a node that leaves, unless runs of it are under way."""
        if not is_busy:
            with self._server.translated():
                self._server.nodes.delete_one({"_id": node})
        self._identity.left(node)

    def living(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        with self._server.translated():
            alive = {"lease_until": {"$gte": now, "$lte": LATEST}}
            return len(list(self._server.nodes.find(alive, {"_id": 1})))

    def alive(self, now: int, clock: Callable[[], int]) -> set[str]:
        """Return the nodes whose lease is not over; a lease that seems to be renewed in the future counts from now.

        :param clock: tells ``now`` as time goes on
        """
        with self._server.translated():
            living = list(self._server.nodes.find({"lease_until": {"$gte": now}}))
            living = [document for document in living if is_time(document["lease_until"])]
            now = clock()  # a lease that was renewed while this node was held up is not ahead
            for document in living:
                renewed, until = document.get("started"), document["lease_until"]
                if is_time(renewed) and renewed > now + AHEAD:
                    change = {"$set": {"lease_until": until - renewed + now, "started": now}}
                    self._server.nodes.update_one({"_id": document["_id"], "lease_until": until}, change)
        return {document["_id"] for document in living}

    def prune(self, now: int) -> None:
        """Delete the documents of nodes that are long gone; a damaged lease is over."""
        nodes = self._server.nodes
        with self._server.translated():
            for none in ({"$not": {"$type": "number"}}, {"$gt": LATEST}):
                nodes.update_many({"lease_until": none}, {"$set": {"lease_until": now - 1}})
            nodes.delete_many({"lease_until": {"$lt": now - NODES_KEPT}})
