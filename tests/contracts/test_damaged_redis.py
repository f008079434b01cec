"""Damaged values in every field and key of Redis, as far as it takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contracts.damaged import Damaged, RedisHand

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contracts.damaged import StoreHand


class TestRedis(Damaged):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return RedisHand
