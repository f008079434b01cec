"""The simulation on a real Redis server: the ledger adds up there too. ``ROTA_SEEDS=2000`` simulates more seeds."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest

from rota.testing.simulation import Violation, simulate
from tests.needs import need

if TYPE_CHECKING:
    from tests.servers import Redis

need("redis", "redis")

SEEDS = int(os.environ.get("ROTA_SEEDS", "160"))
PARTS = 4
_numbers = count()


def arena(url):
    """Return what makes stores on keys of their own, and the observer among them."""
    from rota.jobstores.redis import RedisJobStore

    class Deaf(RedisJobStore):
        """A store that nothing wakes: time is virtual, and the seed decides who does something."""

        def on_wake(self, wake):
            pass

    prefix = f"simulation{os.getpid()}.{next(_numbers)}"
    observer = Deaf(url=url, jobs_key=f"{prefix}.jobs", keep_runs=None, keep_days=None)
    observer.start(None, "observer")

    def make():
        return Deaf(client=observer.redis, jobs_key=f"{prefix}.jobs", keep_runs=None, keep_days=None)

    return make, observer


@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_server_lose_nothing_and_double_nothing(redis_server: Redis, part: int) -> None:
    make, observer = arena(redis_server.url())
    try:
        for number, seed in enumerate(range(part, SEEDS, PARTS)):
            if number % 50 == 49:  # what has been recorded so far makes each audit longer
                observer.shutdown()
                make, observer = arena(redis_server.url())
            try:
                simulate(seed, make, observer)
            except Violation as violation:
                pytest.fail(f"seed {seed}: {violation}", pytrace=False)
    finally:
        observer.shutdown()
