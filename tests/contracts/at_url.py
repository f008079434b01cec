"""The contract suite of job stores for any store that has a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.schedulers.plugins import create_plugin
from rota.testing import SharedJobStoreContract, SignedJobStoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore


class StoreAtURL(SignedJobStoreContract, SharedJobStoreContract):
    """Store objects of their own connections on an empty place; the subclass gives its URL."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the fixture url in the subclass")

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
