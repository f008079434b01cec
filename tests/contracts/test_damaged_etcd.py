"""Damaged values in every key of etcd, as far as it takes them. A file of its own, as it takes minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.adapters.places import EtcdPlace
from tests.contracts.damaged import Damaged, TreeHand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contracts.damaged import StoreHand


@pytest.mark.slow
class TestEtcd(Damaged):
    @pytest.fixture
    def url(self, etcd_url: str) -> str:
        return etcd_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return lambda url: TreeHand(url, EtcdPlace, "etcd")
