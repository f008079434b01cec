"""The leases of the nodes of a tree: begun, renewed, looked at. A damaged lease is over; a damaged count begins anew.

It touches no run; what becomes of those of a dead node is decided elsewhere.
"""

from __future__ import annotations

from ...errors import StoreConflictError, StoreError
from ..retention import NODES_KEPT
from ..server_clock import AHEAD
from .keys import META, NODES, description_of, lease_of, lease_text, node_key, unquoted
from .layout import identity_of
from .port import Change, tries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from ..identity import Identity
    from .port import Entry, Tree


class Leases:
    """Reads and writes the leases in one tree.

    :param identity: what is known of the store that is open
    """

    def __init__(self, tree: Tree, identity: Identity) -> None:
        self._tree = tree
        self._identity = identity

    def renew(self, node: str, now: int, lease: int) -> tuple[int | None, str | None]:
        """Begin or prolong a lease, if the store is the one that was opened.

        :return: until when the lease lasted, None if there was none; and what happened to the store
        """
        for _ in tries():
            meta, entry = self._tree.read([META, node_key(node)])
            until, _, renewals = lease_of(entry.value)
            is_there = entry.value is not None
            found = self._identity.renewals(node) if is_there and renewals is None else renewals
            change = self._identity.change(node, now, identity_of(meta.value), found)
            if change is not None:
                return until, change
            count = (renewals or 0) + 1
            started, draining, about = description_of(entry.value)
            text = lease_text(now + lease, lease, count, now if started is None else started, draining, about)
            if self._tree.commit([Change(node_key(node), text, entry.rev)]):
                self._identity.written(node, count, now + lease)
                return now - 1 if is_there and until is None else until, None
        raise StoreConflictError(f"The lease of node {node} is changed by others all the time")

    def is_alive(self, node: str, now: int) -> bool:
        """Whether the lease of a node is not over, as far as this object knows.

        :raises StoreError: if it never had one
        """
        until: int | None = self._identity.until(node)
        if not until:
            (entry,) = self._tree.read([node_key(node)])
            until = lease_of(entry.value)[0]
            if entry.value is None:
                raise StoreError(f"Node {node} has no lease; a node calls renew() before it claims anything")
        return until is not None and until >= now

    def end(self, node: str, is_busy: bool) -> None:
        """End the lease of a node that leaves, unless runs of it are under way."""
        if not is_busy:
            self._tree.delete([node_key(node)])
        self._identity.left(node)

    def living(self, now: int) -> int:
        """Return how many nodes hold a lease that is not over."""
        return sum(lasts(until, length, now) for until, length, _, _ in self.all().values())

    def alive(self, now: int, clock: Callable[[], int]) -> Collection[str]:
        """Return the nodes whose lease is not over; a lease that seems to be renewed in the future counts from now.

        :param clock: tells ``now`` as time goes on: a lease that was renewed while this node was held up is not ahead
        """
        alive = set()
        leases = self.all()
        later = clock()
        for node, (until, length, renewals, entry) in leases.items():
            if lasts(until, length, now):
                alive.add(node)
            if until is not None and length and until - length > later + AHEAD:
                # Whoever comes second may fail: the lease is right then, or was renewed.
                text = lease_text(later + length, length, renewals, *description_of(entry.value))
                self._tree.commit([Change(node_key(node), text, entry.rev)])
        return alive

    def prune(self, now: int) -> None:
        """Delete the keys of nodes that are long gone. One that is damaged may be that of a living node, and stays for a while."""
        long_gone = []
        for node, (until, _, renewals, entry) in self.all().items():
            if until is None:
                text = lease_text(now - 1, 0, renewals, *description_of(entry.value))
                self._tree.commit([Change(node_key(node), text, entry.rev)])
            elif until < now - NODES_KEPT:
                long_gone.append(node_key(node))
        self._tree.delete(long_gone)

    def all(self) -> dict[str, tuple[int | None, int, int | None, Entry]]:
        """Return when the lease of each node is over, how long it is, how often it was renewed, and what its key holds."""
        entries = self._tree.entries(NODES)
        return {unquoted(name): (*lease_of(entry.value), entry) for name, entry in entries.items()}


def lasts(until: int | None, length: int, now: int) -> bool:
    """Whether a lease is not over; one of unknown length that ends in the far future is none."""
    return until is not None and until >= now and (length > 0 or until < now + NODES_KEPT)
