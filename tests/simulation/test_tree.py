"""The simulation on the protocol of the etcd and ZooKeeper stores, with a tree in memory: the ledger adds up there too.

Some seeds run on the real servers too. ``ROTA_SERVER_SEEDS=2000`` simulates more of them.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rota.jobcodec import JobFormat
from rota.jobstores.tree import TreeJobStore
from rota.jobstores.tree.port import KEEP, Entry, Tree
from rota.testing.simulation import Violation, simulate
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rota.jobstores.tree.port import Change

SEEDS = int(os.environ.get("ROTA_SERVER_SEEDS", "160"))
PARTS = 4


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
        self, folders: Sequence[str], below: str | None, limits: Sequence[int | None]
    ) -> list[list[str]]:
        found = []
        for folder, limit in zip(folders, limits, strict=True):
            names = self.names(folder)
            found.append(names[: len(names) if below is None else bisect_left(names, below)][:limit])
        return found

    def last(self, folders: Sequence[str]) -> list[str | None]:
        return [max(self.names(folder), default=None) for folder in folders]

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

    def time(self, clock: Any) -> int | None:
        return None

    def listen(self, wake: Any, hears: Any) -> None:
        pass


def arena() -> tuple[Callable[[], TreeJobStore], TreeJobStore]:
    """Return what makes stores on one tree, and the observer among them."""
    data: dict[str, tuple[str, int]] = {}

    def make() -> TreeJobStore:
        return TreeJobStore(MemoryTree(data), "/simulation", JobFormat(), None, None)

    observer = make()
    observer.start(None, "observer")
    return make, observer


@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_tree_lose_nothing_and_double_nothing(part: int) -> None:
    for seed in range(part, SEEDS, PARTS):
        make, observer = arena()
        try:
            simulate(seed, make, observer)
        except Violation as violation:
            pytest.fail(f"seed {seed}: {violation}", pytrace=False)


def etcd(server: Any, path: str, client: Any) -> TreeJobStore:
    """Return a store on a real server, with a client of its own if there is none yet."""
    need("etcd3gw", "etcd")
    from rota.jobstores.etcd import EtcdJobStore

    return EtcdJobStore(path, client, port=server.port, keep_runs=None, keep_days=None)


def zookeeper(server: Any, path: str, client: Any) -> TreeJobStore:
    """Return a store on a real server, with a client of its own if there is none yet."""
    need("kazoo", "zookeeper")
    from rota.jobstores.zookeeper import ZooKeeperJobStore

    return ZooKeeperJobStore(path, client, hosts=server.hosts, keep_runs=None, keep_days=None)


@pytest.mark.timeout(60 + SEEDS)
@pytest.mark.parametrize("open_store", [etcd, zookeeper])
def test_several_nodes_on_a_real_tree_lose_nothing_and_double_nothing(
    request: pytest.FixtureRequest, open_store: Callable[..., TreeJobStore]
) -> None:
    server = request.getfixturevalue(f"{open_store.__name__}_server")
    first = open_store(server, f"/simulation{os.getpid()}", None)
    first.start(None, "first")
    client = first.client  # type: ignore[attr-defined]  # both have one

    def make(seed: int) -> TreeJobStore:
        store = open_store(server, f"/simulation{os.getpid()}.{seed}", client)
        store.on_wake = lambda wake: None  # type: ignore[method-assign]  # the seed decides who does something
        return store

    try:
        for seed in range(SEEDS // 10):
            observer = make(seed)
            observer.start(None, "observer")
            try:
                simulate(seed, partial(make, seed), observer)
            except Violation as violation:
                pytest.fail(f"seed {seed}: {violation}", pytrace=False)
            finally:
                observer.shutdown()
    finally:
        first.shutdown()
