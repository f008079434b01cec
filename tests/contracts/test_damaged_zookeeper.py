"""Damaged values in every node of ZooKeeper, as far as it takes them. A file of its own, as it takes minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.places import ZooKeeperPlace
from tests.contracts.damaged import Damaged, TreeHand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contracts.damaged import StoreHand


@pytest.mark.slow
class TestZooKeeper(Damaged):
    @pytest.fixture
    def url(self, zookeeper_url: str) -> str:
        return zookeeper_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return lambda url: TreeHand(url, ZooKeeperPlace, "zookeeper")
