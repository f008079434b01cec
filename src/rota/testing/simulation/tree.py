"""A tree of keys in memory: the protocol of the etcd and ZooKeeper stores, without a server, for simulations.

Keeps data; it simulates nothing.
"""

from __future__ import annotations

from bisect import bisect_left

from ...jobstores.tree.port import KEEP, Entry, Tree

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ...jobstores.tree.port import Change


class MemoryTree(Tree):
    """Keys in a dictionary, with one counter of revisions for all, as in etcd."""

    max_changes = 110
    max_bytes = 100_000
    address = "memory"

    def __init__(self, data: dict[str, tuple[str, int]]) -> None:
        self._data = data

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def forked(self) -> None:
        pass

    def read(self, keys: Sequence[str]) -> list[Entry]:
        return [Entry(*self._data.get(key, (None, 0))) for key in keys]

    def entries(self, folder: str, prefix: str = "") -> dict[str, Entry]:
        names = [name for name in self.names(folder) if name.startswith(prefix)]
        return {name: Entry(*self._data[f"{folder}/{name}"]) for name in names}

    def names(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return sorted(key[len(start) :] for key in self._data if key.startswith(start))

    def folders(self, folder: str) -> list[str]:
        return sorted({name.partition("/")[0] for name in self.names(folder) if "/" in name})

    def first(
        self, folders: Sequence[str], below: str | None, limits: Sequence[int | None], since: str = ""
    ) -> list[list[str]]:
        found = []
        for folder, limit in zip(folders, limits, strict=True):
            names = self.names(folder)
            end = len(names) if below is None else bisect_left(names, below)
            found.append(names[bisect_left(names, since) : end][:limit])
        return found

    def last(self, folders: Sequence[str]) -> list[str | None]:
        return [max(self.names(folder), default=None) for folder in folders]

    def newest(
        self, folders: Sequence[str], limit: int, since: str, before: Sequence[str]
    ) -> list[list[str]]:
        found = (
            [name for name in self.names(folder) if since <= name < end]
            for folder, end in zip(folders, before, strict=True)
        )
        return [names[-1 : -limit - 1 : -1] for names in found]

    def some_below(self, folder: str, limit: int) -> tuple[dict[str, list[str]], bool]:
        found = self.below(folder)
        return found, sum(map(len, found.values())) <= limit

    def sizes(self, folders: Sequence[str]) -> list[int]:
        return [sum(map(len, self.below(folder).values())) for folder in folders]

    def some_values(self, folder: str, limit: int) -> dict[str, str | None]:
        return {name: self._data[f"{folder}/{name}"][0] for name in self.after(folder, "", limit)}

    def below(self, folder: str) -> dict[str, list[str]]:
        return {part: self.names(f"{folder}/{part}") for part in self.folders(folder)}

    def commit(self, changes: Sequence[Change], tell: bool = False) -> bool:
        assert len(changes) <= self.max_changes
        keys = [change.key for change in changes]
        assert len(set(keys)) == len(keys), "no server changes a key twice in one commit"
        if any(change.rev is not None and self.read([change.key])[0].rev != change.rev for change in changes):
            return False
        revision = max((rev for _, rev in self._data.values()), default=0) + 1
        for change in changes:
            if change.value is None:
                self._data.pop(change.key, None)
            elif change.value != KEEP:
                self._data[change.key] = (change.value, revision)
        return True

    def time(self) -> int | None:
        return None

    def listen(self, wake: Any, listening: Any) -> None:
        pass
