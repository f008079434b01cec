"""Damaged values in every document of MongoDB, as far as it takes them. A file of its own, as it takes minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, moment
from rota.core.plan import plan
from rota.core.queries import SORTS, JobQuery, RunQuery
from rota.testing import VirtualClock
from rota.testing.contracts.damage import spoil_all
from rota.testing.contracts.store_jobs import LEASE, START, finish, make_job
from tests.contracts.damaged import Damaged, MongoDBHand

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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

    @pytest.mark.timeout(900)
    def test_searching_passes_over_what_is_damaged_and_finds_the_rest(self, hand: StoreHand) -> None:
        done = spoil_all(hand, VirtualClock(moment(START)))
        assert done
        store = hand.open()
        store.start(None, "default")
        healthy = [make_job(f"healthy{number}", tags=("red",)) for number in range(3)]
        store.add_jobs(healthy)
        store.renew("healthy", START, LEASE)
        won = store.claim([plan(job, START) for job in healthy], "healthy", START)
        assert finish(store, [run for decision in won for run in decision.runs]) == []
        for query in (
            *(JobQuery(sort=sort) for sort in SORTS),
            *(JobQuery(tags="red"), JobQuery(text="healthy"), JobQuery(states="active", executors="default")),
        ):
            found = [job.id for job in every(store.find_jobs, query)]
            assert sorted(id for id in found if id.startswith("healthy")) == [job.id for job in healthy]
            assert len(found) == len(set(found))
            assert store.count_jobs(query) >= 3
        for asked in (
            RunQuery(),
            RunQuery(statuses="succeeded"),
            RunQuery(job_ids=[job.id for job in healthy]),
        ):
            keys = [(run.job_id, run.nominal) for run in every(store.find_runs, asked)]
            assert {id for id, _ in keys if id.startswith("healthy")} == {job.id for job in healthy}
            assert len(keys) == len(set(keys))
            assert store.count_runs(asked) >= 3
        keys = [(run.job_id, run.nominal) for run in every(store.find_runs, RunQuery())]
        store.parts_of(keys[:1000])
        for job_id, nominal in keys[::29]:
            store.get_run(job_id, nominal)
            store.changes(job_id)
            store.durations(job_id)
        store.last_runs([job_id for job_id, _ in keys[:1000]], 3)
        assert store.nodes(START)
        assert sum(store.run_counts(START, START + DAY)[START].values()) >= 3
        for _ in range(2):
            store.prune(START + DAY)
        assert store.run_counts(START, START + DAY)[START]["succeeded"] >= 3
        assert {id: job.count for id in ("healthy0", "healthy2") if (job := store.durations(id))} == {
            "healthy0": 1,
            "healthy2": 1,
        }


def every(find: Any, query: Any) -> Iterator[Any]:
    """Yield all that a query finds, page by page."""
    cursor = None
    for _ in range(1000):
        page = find(query, 50, cursor)
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return
    raise AssertionError("the pages do not end")
