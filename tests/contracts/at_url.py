"""The contract suite of job stores for any store that has a URL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rota.schedulers.plugins import create_plugin
from rota.testing import SharedJobStoreContract

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore


class StoreAtURL(SharedJobStoreContract):
    """Store objects of their own connections on an empty place; the subclass gives its URL."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the fixture url in the subclass")

    @pytest.fixture
    def make_store(self, url: str) -> Iterator[Callable[[], BaseJobStore]]:
        stores: list[BaseJobStore] = []

        def make() -> BaseJobStore:
            store: BaseJobStore = create_plugin("jobstore", url, {})
            store.start(None, "default")
            stores.append(store)
            return store

        yield make
        for store in stores:
            store.shutdown()
