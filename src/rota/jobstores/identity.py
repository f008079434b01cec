"""Whether a store is still the one that was opened: its identity, and how often its leases were renewed.

A store has an identity from the moment at which its layout is made; a renewal compares it. Pure; knows no store.
"""

from __future__ import annotations

from os import urandom

from ..errors import StoreReplacedError

EMPTIED = "emptied"
RESTORED = "restored"
REPLACED = "replaced"
MOVED = "moved"

_SENTENCES = {
    EMPTIED: "{store} was emptied while it was open: its layout, or a part of it, is gone, with what was there. "
    "It is made anew where the store may do that; add the jobs again, or stop the schedulers and put a backup back",
    RESTORED: "{store} was put back from a backup while it was open: this node's lease there is missing, or older than it was "
    "written. What was added, changed or recorded after the backup is not there any more, and what ran after it may run again",
    REPLACED: "{store} was replaced by another one while it was open: it has not the identity that was found at the start",
    MOVED: "{store} is not at its place any more: its file, or the write-ahead log or its index beside it, was removed, renamed "
    "or replaced while it was open",
}


def new_identity() -> str:
    """Return a new identity, which no other store has."""
    return urandom(16).hex()


def replaced(change: str, store: str) -> StoreReplacedError:
    """Return the error that says what happened to a store.

    :param change: EMPTIED, RESTORED, REPLACED or MOVED
    :param store: the store in words, with which the message begins
    """
    return StoreReplacedError(_SENTENCES[change].format(store=store), change)


class Changed(Exception):
    """The store is not the one that was opened; its argument says what happened: EMPTIED, RESTORED or REPLACED."""


class Identity:
    """The identity of the store that a store object has opened, and the leases that the object has written there."""

    __slots__ = ("_written", "value")

    def __init__(self) -> None:
        self.value = ""
        #: for each node how often its lease was renewed, and the instant until which it lasts
        self._written: dict[str, tuple[int, int]] = {}

    @property
    def is_watched(self) -> bool:
        """Whether a node renews a lease here, and so checks the identity again and again."""
        return bool(self._written)

    def opened(self, value: str) -> None:
        """Take note of the store that was opened, and forget the leases that were written to another one."""
        self.value = value
        self._written = {}

    def written(self, node: str, renewals: int, until: int) -> None:
        """Take note of a renewal of a node's lease."""
        self._written[node] = renewals, until

    def left(self, node: str) -> None:
        """Take note that a node's lease has been ended."""
        self._written.pop(node, None)

    def renewals(self, node: str) -> int:
        """Return how often a node's lease was renewed, as of its last renewal by this object; 0 if there was none."""
        return self._written.get(node, (0, 0))[0]

    def until(self, node: str) -> int:
        """Return the instant until which a lease lasts that this object has renewed; 0 if there is none."""
        return self._written.get(node, (0, 0))[1]

    def change(self, node: str, now: int, found: str | None, renewals: int | None) -> str | None:
        """Return what happened to the store, None if it is the one that was opened.

        A lease that is missing after it was over proves nothing: entries of nodes that were away for long are deleted.

        :param node: the id of the node that renews its lease
        :param now: instant, by the clock that leases follow
        :param found: the identity in the store, None if it has none
        :param renewals: how often the node's lease in the store was renewed, None if there is no lease
        :return: EMPTIED, REPLACED, RESTORED or None
        """
        if found != self.value:
            return EMPTIED if found is None else REPLACED
        return RESTORED if self.is_restored(node, now, renewals) else None

    def is_restored(self, node: str, now: int, renewals: int | None, known: int | None = None) -> bool:
        """Whether a node's lease is missing though it cannot be over, or was renewed less often than this object knows.

        :param node: the id of the node
        :param now: instant, by the clock that leases follow
        :param renewals: how often the node's lease in the store was renewed, None if there is no lease
        :param known: how often it had been renewed before the store was asked; None: as this object knows it now
        """
        written, until = self._written.get(node, (0, 0))
        known = written if known is None else known
        return renewals < known if renewals is not None else known > 0 and now <= until
