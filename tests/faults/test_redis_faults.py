"""The faults of processes, servers and connections, with Redis: the ledger adds up."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from tests.faults.contract import ServerFaultContract
from tests.faults.crew import Crew
from tests.needs import need
from tests.servers import Redis

if TYPE_CHECKING:
    from pathlib import Path

redis = need("redis", "redis")


class TestRedisFaults(ServerFaultContract):
    kind = Redis

    @pytest.fixture
    def server(self, redis_server: Redis) -> Redis:
        return redis_server

    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url

    def test_a_server_that_forgets_its_scripts_costs_no_run(self, url: str, tmp_path: Path) -> None:
        with Crew(url, tmp_path) as crew, redis.Redis.from_url(url) as admin:
            crew.hire(2)
            crew.add_mixture(50, 1)
            until = time.monotonic() + 1
            while time.monotonic() < until:
                admin.script_flush()
                time.sleep(0.01)
            assert crew.settle().repeated == 0
