"""Many reads in one request, which ZooKeeper takes from version 3.6 on, and for which kazoo has no call.

Says what such a request looks like and reads its answer; a request for each node costs the client more than the server.
"""

from __future__ import annotations

import re
from struct import Struct

from kazoo.exceptions import EXCEPTIONS, NoNodeError
from kazoo.protocol.serialization import GetChildren, GetData, MultiHeader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

#: Fewer nodes are asked for one by one.
MANY = 20
#: How many nodes one request reads, by the call: values may be long, and so may be the answer; and how long a request may be.
AT_ONCE = {"get": 50, "get_children": 200}
LONGEST = 500_000
#: The first version that knows such requests. An earlier one closes the session that it gets one from.
_FIRST = (3, 6)
_KINDS = {"get": GetData, "get_children": GetChildren}
_number = Struct("!i")
_version = re.compile(r"Zookeeper version: (\d+)\.(\d+)").match


class Reads:
    """A request that reads several nodes, in the form that kazoo sends.

    :param call: "get" or "get_children"
    :param paths: the nodes, as the server knows them
    """

    type = 22

    def __init__(self, call: str, paths: Sequence[str]) -> None:
        self._kind = _KINDS[call]
        self._paths = paths

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._kind.__name__}, {len(self._paths)})"

    def serialize(self) -> bytes:
        """Return the request."""
        header = MultiHeader(self._kind.type, False, -1).serialize()
        parts = (header + self._kind(path, None).serialize() for path in self._paths)
        return b"".join([*parts, MultiHeader(-1, True, -1).serialize()])

    def deserialize(self, answer: bytes, offset: int) -> list[Any]:
        """Return what the server has found of each node: None where there is none, or the error."""
        found: list[Any] = []
        while True:
            header, offset = MultiHeader.deserialize(answer, offset)
            if header.done:
                return found
            if header.type == -1:
                (code,) = _number.unpack_from(answer, offset)
                offset += _number.size
                found.append(None if code == NoNodeError.code else EXCEPTIONS[code]())
            elif header.type == GetData.type:
                found.append(GetData.deserialize(answer, offset))
                (length,) = _number.unpack_from(answer, offset)
                offset += _number.size + max(length, 0) + _STAT
            else:
                names, offset = names_in(answer, offset)
                found.append(names)


#: How long the description of a node is.
_STAT = 68


def names_in(answer: bytes, offset: int) -> tuple[list[str], int]:
    """Return a list of names and where it ends. Names of records are equally long, and are read together."""
    (count,) = _number.unpack_from(answer, offset)
    offset += _number.size
    if count <= 0:
        return [], offset
    first = answer[offset : offset + _number.size]
    end = offset + count * (_number.size + _number.unpack(first)[0])
    # No name has a NUL, so the length of a name is found nowhere but before it.
    parts = answer[offset:end].split(first)
    if len(parts) == count + 1 and not parts[0]:
        return [part.decode() for part in parts[1:]], end
    names = []
    for _ in range(count):
        (length,) = _number.unpack_from(answer, offset)
        offset += _number.size
        names.append(answer[offset : offset + length].decode())
        offset += length
    return names, offset


def requests_for(call: str, paths: Sequence[str], chroot: str) -> Iterator[Reads]:
    """Return the requests that read some nodes, in their order."""
    some: list[str] = []
    size = 0
    for path in (f"{chroot}{path}" for path in paths):
        if some and (len(some) == AT_ONCE[call] or size + 3 * len(path) > LONGEST):
            yield Reads(call, some)
            some, size = [], 0
        some.append(path)
        size += 3 * len(path)
    if some:
        yield Reads(call, some)


def takes_them(client: Any) -> bool:
    """Whether the server that a client is connected to knows such requests; it is asked, beside the session."""
    try:
        found = _version(client.command(b"srvr"))
    except Exception:  # it says nothing of itself, or the client cannot ask
        return False
    return found is not None and tuple(map(int, found.groups())) >= _FIRST
