"""The contract suite of job stores for any store that has a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.schedulers.plugins import create_plugin
from rota.testing import ReplacedJobStoreContract, SharedJobStoreContract, SignedJobStoreContract
from rota.testing.contracts.overridden import OverriddenStoredContract
from rota.testing.contracts.replaced import Backup
from tests.adapters import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore


class BackupAtURL(Backup):
    """Dumps of what is at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.kind = url.partition(":")[0]

    def save(self) -> object:
        return dumps.dump(self.kind, self.url)

    def empty(self) -> None:
        dumps.empty(self.kind, self.url)

    def put_back(self, saved: object) -> None:
        dumps.load(self.kind, self.url, str(saved))


class StoreAtURL(
    SignedJobStoreContract, ReplacedJobStoreContract, OverriddenStoredContract, SharedJobStoreContract
):
    """Store objects of their own connections on an empty place; the subclass gives its URL."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the fixture url in the subclass")

    @pytest.fixture
    def backup(self, url: str) -> Backup:
        return BackupAtURL(url)

    @pytest.fixture
    def with_key(self, url: str) -> Iterator[Callable[[Any], BaseJobStore]]:
        stores: list[BaseJobStore] = []

        def make(key: Any) -> BaseJobStore:
            store: BaseJobStore = create_plugin("jobstore", url, {} if key is None else {"signing_key": key})
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()

    @pytest.fixture
    def make_store(self, with_key: Callable[[Any], BaseJobStore]) -> Callable[[], BaseJobStore]:
        return lambda: with_key(None)
