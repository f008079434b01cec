"""Whether objects grow: how many entries the containers have that they lead to; for tests that nothing is kept for ever.

It looks at objects; it calls none of their methods but ``len()``.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

#: What leads to the whole of the program, and holds nothing of an object.
_OTHERS = (
    type,
    ModuleType,
    CodeType,
    FrameType,
    BuiltinFunctionType,
    logging.Filterer,
    str,
    bytes,
    int,
    float,
)
_CONTAINERS = (dict, set, list, deque, bytearray)


def grown(act: Callable[[int], object], times: int, *roots: object) -> list[str]:
    """Return the containers that get an entry or more each time that something is done.

    What has a bound may be filled by the first third. A ``deque`` with a ``maxlen`` has one.

    :param act: does it; called with a number that never comes twice
    :param times: how often it is done, three times over
    :param roots: the objects to begin at
    :return: for each such container what it is, and how it is reached
    """
    for number in range(times):
        act(number)
    before = _sizes(roots)
    for number in range(times, 3 * times):
        act(number)
    return [
        f"{path}: {before[key][0]} entries, then {size}"
        for key, (size, path) in _sizes(roots).items()
        if key in before and size - before[key][0] >= 2 * times
    ]


def _sizes(roots: tuple[object, ...]) -> dict[int, tuple[int, str]]:
    """Return the size and the way to each container, by its identity."""
    gc.collect()
    seen: dict[int, tuple[int, str]] = {}
    known = {id(root) for root in roots}
    open_ones: deque[tuple[Any, str]] = deque((root, type(root).__name__) for root in roots)
    while open_ones:
        found, path = open_ones.popleft()
        if isinstance(found, _CONTAINERS) and getattr(found, "maxlen", None) is None:
            seen[id(found)] = len(found), path
        for other in _referents(found):
            if id(other) not in known and not isinstance(other, _OTHERS):
                known.add(id(other))
                open_ones.append((other, f"{path} > {type(other).__name__}"))
    return seen


def _referents(found: Any) -> Iterator[object]:
    if type(found).__module__ == "sqlite3":  # a connection forgets its cursors by the hundred
        return
    if isinstance(found, FunctionType):  # its module is none of it
        yield from (cell for cell in found.__closure__ or ())
        yield from (found.__defaults__ or ())
    else:
        yield from gc.get_referents(found)
