"""Damaged values in every document of MongoDB, as far as it takes them. A file of its own, as it takes minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.damaged import Damaged, MongoDBHand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contracts.damaged import StoreHand


@pytest.mark.slow
class TestMongoDB(Damaged):
    """On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol."""

    @pytest.fixture
    def url(self, mongodb_url: str) -> str:
        return mongodb_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return MongoDBHand
