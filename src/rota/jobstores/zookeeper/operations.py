"""What a commit of the ZooKeeper store is: the operations on nodes that its changes stand for, and what their results say.

It asks no server.
"""

from __future__ import annotations

from kazoo.exceptions import (
    BadVersionError,
    NodeExistsError,
    NoNodeError,
    RolledBackError,
    RuntimeInconsistency,
)

from ..tree.keys import JOBS
from ..tree.port import KEEP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from ..tree.port import Change

#: What an operation gets when another one of its commit has failed.
_BYSTANDERS = (RolledBackError, RuntimeInconsistency)


class Operation:
    """One operation of a commit.

    :ivar free: whether it does not matter if the node is there
    """

    __slots__ = ("free", "kind", "path", "value", "version")

    def __init__(
        self, kind: str, path: str, value: bytes = b"", version: int = -1, free: bool = False
    ) -> None:
        self.kind = kind
        self.path = path
        self.value = value
        self.version = version
        self.free = free

    def add(self, request: Any) -> None:
        """Put it into a request."""
        if self.kind == "create":
            request.create(self.path, self.value)
        elif self.kind == "set":
            request.set_data(self.path, self.value, self.version)
        elif self.kind == "delete":
            request.delete(self.path, self.version)
        else:
            request.check(self.path, self.version)


def operations_of(change: Change, path: str) -> Iterator[Operation]:
    """Return the operations that a change of a key stands for.

    :param path: the node of the key
    """
    rev, free = change.rev, change.rev is None
    is_job = change.key.startswith(f"{JOBS}/")
    version = -1 if rev is None else rev
    if change.value == KEEP:
        if rev == -1:  # there is none, and shall be none
            yield Operation("create", path)
            yield Operation("delete", path)
        else:
            yield Operation("check", path, version=version)
    elif change.value is None:
        # What is kept of a job is nothing, in a node whose versions go on.
        yield Operation("set" if is_job else "delete", path, b"", version, free)
    elif rev == -1 or (rev is None and not is_job):
        yield Operation("create", path, change.value.encode(), free=free)
    else:
        yield Operation("set", path, change.value.encode(), version, free)


def failure_of(
    operations: Sequence[Operation], results: Sequence[Any]
) -> tuple[Operation | None, Exception | None]:
    """Return which operation of a commit has failed, and why; None if they were all carried out.

    :raises KazooException: what failed for another reason than the state of its node
    """
    for operation, result in zip(operations, results, strict=True):
        if isinstance(result, (NoNodeError, NodeExistsError, BadVersionError)):
            return operation, result
        if isinstance(result, Exception) and not isinstance(result, _BYSTANDERS):
            raise result
    for result in results:
        if isinstance(result, Exception):
            raise result
    return None, None
