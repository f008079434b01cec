"""Child processes under the alias: what multiprocessing starts by "spawn" or "forkserver" gets the alias before anything else.

Touches nothing of those that are forked, which have it already, and of programs that are started by other means.
"""

from __future__ import annotations

from functools import wraps
from multiprocessing import spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: What a child executes before it looks at its main module; by then it does not have its parent's path yet.
_IN_CHILD = "import sys; sys.path[:] = {path!r}; import rota.as_apscheduler"


class _InChild:
    """Part of what a child is prepared with: unpickling it is the child's first step."""

    def __init__(self, path: list[str]) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (_IN_CHILD.format(path=self._path),)


class _PathOfServer(list[str]):
    """The path that a fork server gets on its command line, as an expression: it may load the main module before any child does."""

    def __repr__(self) -> str:
        path = list(self)
        return f"exec({_IN_CHILD.format(path=path)!r}) or {path!r}"

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


def install() -> None:
    """Have the children of this process get the alias."""
    prepare = spawn.get_preparation_data

    @wraps(prepare)
    def with_alias(name: str) -> dict[str, Any]:
        data: dict[str, Any] = prepare(name)
        if name == "ignore":  # the fork server's own
            data["sys_path"] = _PathOfServer(data["sys_path"])
        return {**data, "rota": _InChild(list(data["sys_path"]))}

    spawn.get_preparation_data = with_alias
