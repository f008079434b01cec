"""The simulation on stores of real servers: the ledger adds up there too.

``ROTA_SERVER_SEEDS=2000`` simulates more seeds: a server needs seconds for what memory does in milliseconds.
"""

from __future__ import annotations

import os
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from rota.testing.simulation import Violation, simulate
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from rota.jobstores.base import BaseJobStore

    Make = Callable[[str], BaseJobStore]

pytestmark = pytest.mark.timeout(300)

PARTS = 4
_numbers = count()


def seeds_of(part: int, usual: int) -> Iterable[int]:
    """Return the seeds of one part."""
    return range(part, int(os.environ.get("ROTA_SERVER_SEEDS", usual)), PARTS)


def check(make: Make, seeds: Iterable[int]) -> None:
    """Simulate seeds on stores that ``make(prefix)`` makes."""
    observer: Any = None
    try:
        for number, seed in enumerate(seeds):
            if number % 50 == 0:  # what has been recorded so far makes each audit longer
                if observer is not None:
                    observer.shutdown()
                prefix = f"simulation_{os.getpid()}_{next(_numbers)}_"
                observer = make(prefix)
                observer.start(None, "observer")
            try:
                simulate(seed, partial(make, prefix), observer)
            except Violation as violation:
                pytest.fail(f"seed {seed}: {violation}", pytrace=False)
    finally:
        if observer is not None:
            observer.shutdown()


@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_redis_server_lose_nothing_and_double_nothing(redis_url: str, part: int) -> None:
    redis = need("redis", "redis")
    from rota.jobstores.redis import RedisJobStore

    class Deaf(RedisJobStore):
        """A store that nothing wakes: time is virtual, and the seed decides who does something."""

        def on_wake(self, wake: Callable[[], None]) -> None:
            pass

    with redis.Redis.from_url(redis_url) as client:
        options: dict[str, Any] = {"client": client, "keep_runs": None, "keep_days": None}
        check(lambda prefix: Deaf(jobs_key=f"{prefix}jobs", **options), seeds_of(part, 160))


@pytest.mark.parametrize("part", range(PARTS))
def test_several_nodes_on_one_mongodb_server_lose_nothing_and_double_nothing(
    mongodb_url: str, part: int
) -> None:
    pymongo = need("pymongo", "mongodb")
    from rota.jobstores.mongodb import MongoDBJobStore

    with pymongo.MongoClient(mongodb_url) as client:
        options: dict[str, Any] = {"client": client, "keep_runs": None, "keep_days": None}
        database = client.get_default_database().name
        check(
            lambda prefix: MongoDBJobStore(database, f"{prefix}jobs", **options),
            seeds_of(part, 24),
        )
