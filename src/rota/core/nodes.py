"""A node: a process that claims jobs of a store, as other processes see it.

Pure. It reads no store and no machine.
"""

from __future__ import annotations

from json import dumps, loads

from ..clock import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

#: What a node says of itself, and of which kind it is.
_KINDS: dict[str, type | tuple[type, ...]] = {
    "host": str,
    "pid": int,
    "version": str,
    "executors": dict,
    "clock_offset": (int, type(None)),
}


class Node:
    """A process that claims jobs of a store, or did so within the last day.

    :ivar str id: its id, which the records of its runs name
    :ivar int started: when it began its lease (instant)
    :ivar int lease_until: when its lease is over (instant)
    :ivar bool alive: whether it holds its lease
    :ivar int under_way: how many runs it has claimed and not ended
    :ivar str | None host: the name of its machine; None: it has not said
    :ivar int | None pid: the id of its process
    :ivar str | None version: its version of Rota
    :ivar dict executors: for each executor alias how many more runs it takes, None: any number
    :ivar int | None clock_offset: by how many microseconds the store's clock is ahead of its own
    :ivar bool draining: whether it claims nothing more, and goes on with what it has
    """

    __slots__ = (
        "alive",
        "clock_offset",
        "draining",
        "executors",
        "host",
        "id",
        "lease_until",
        "pid",
        "started",
        "under_way",
        "version",
    )

    def __init__(self, id: str, started: int, lease_until: int, now: int, under_way: int = 0) -> None:
        self.id = id
        self.started = started
        self.lease_until = lease_until
        self.alive = lease_until > now
        self.under_way = under_way
        self.host: str | None = None
        self.pid: int | None = None
        self.version: str | None = None
        self.executors: dict[str, int | None] = {}
        self.clock_offset: int | None = None
        self.draining = False

    def tell(self, text: str | None) -> None:
        """Take over what the node says of itself; what is damaged says nothing.

        :param text: as :func:`text_of` returns it
        """
        try:
            values = loads(text or "{}")
            for name, kind in _KINDS.items():
                if name in values and isinstance(values[name], kind):
                    setattr(self, name, values[name])
            since = values.get("since")
            if (
                type(since) is int and 0 < since <= self.lease_until
            ):  # some stores know only when a lease was renewed
                self.started = since
        except (ValueError, TypeError, AttributeError, RecursionError):
            pass

    def to_dict(self) -> dict[str, Any]:
        """Return the node as JSON-able data (times are ISO 8601, UTC; the offset in seconds)."""
        return {
            "id": self.id,
            "host": self.host,
            "pid": self.pid,
            "version": self.version,
            "alive": self.alive,
            "draining": self.draining,
            "started": moment(self.started).isoformat(),
            "lease_until": moment(self.lease_until).isoformat(),
            "executors": self.executors,
            "under_way": self.under_way,
            "clock_offset": None if self.clock_offset is None else self.clock_offset / 1_000_000,
        }

    def __repr__(self) -> str:
        return f"<Node {self.id} {'alive' if self.alive else 'gone'}>"


def about(
    host: str,
    pid: int,
    version: str,
    executors: Mapping[str, int | None],
    clock_offset: int | None,
    since: int | None = None,
) -> dict[str, Any]:
    """Return what a node says of itself.

    :param since: when it has said so first (instant)
    """
    return {
        **({} if since is None else {"since": since}),
        "host": host,
        "pid": pid,
        "version": version,
        "executors": dict(executors),
        "clock_offset": clock_offset,
    }


def text_of(about: Mapping[str, Any]) -> str:
    """Return what a node says of itself as a stored text."""
    return dumps(dict(about), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
