"""What a store asks after it has written: the answer is the same whatever others have claimed in between.

Servers whose answer to a write says less than a store has to know, or is asked for again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import SECOND
from rota.core.plan import quarantine
from rota.core.states import CLAIMED, ENDED, SKIPPED
from rota.testing.contracts.store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    claim,
    decide,
    finish,
    make_job,
    running,
)
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.core.plan import Decision
    from rota.core.run import Run
    from rota.jobstores.mongodb import MongoDBJobStore
    from rota.jobstores.redis import RedisJobStore


class Between:
    """Does something once, between a write of jobs and the look at them that follows."""

    def __init__(self) -> None:
        self.do: Callable[[], Any] | None = None
        self.written = False

    def wrote(self) -> None:
        self.written = self.do is not None

    def looks(self) -> None:
        if self.written and self.do is not None:
            do, self.do, self.written = self.do, None, False
            do()


# ------------------------------------------------------------------------------------------------------------- MongoDB


@pytest.fixture
def between() -> Between:
    return Between()


@pytest.fixture
def mongodb(mongodb_url: str, between: Between) -> Iterator[tuple[MongoDBJobStore, MongoDBJobStore]]:
    """Return two stores on an empty database; the first one is interrupted before it looks at what it has written."""
    need("pymongo", "mongodb")
    from pymongo import MongoClient
    from pymongo.monitoring import CommandListener

    from rota.jobstores.mongodb import MongoDBJobStore

    class Interrupted(CommandListener):
        def started(self, event: Any) -> None:
            if event.command_name == "update":
                between.wrote()
            elif event.command_name == "find":
                between.looks()

        def succeeded(self, event: Any) -> None:
            pass

        def failed(self, event: Any) -> None:
            pass

    with MongoClient(mongodb_url, event_listeners=[Interrupted()]) as client:
        database = client.get_default_database().name
        stores = MongoDBJobStore(database, client=client), MongoDBJobStore(url=mongodb_url)
        for store in stores:
            store.start(None, "default")
        yield stores
        stores[1].shutdown()


def _claimed(store: Any, decisions: list[Decision], node: str, now: int) -> list[Run]:
    return [run for won in store.claim(decisions, node, now) for run in won.runs]


def _spoilt(mongodb: tuple[MongoDBJobStore, MongoDBJobStore], now: int = START) -> list[Decision]:
    """Return the first store's decisions, of which the one about the job "changed" does not count any more."""
    store, other = mongodb
    store.renew(NODE, now, LEASE)
    other.renew(OTHER, now, LEASE)
    decisions = decide(store, now)
    changed = other.lookup_job("changed")
    assert changed is not None
    changed.set_next(now)
    assert other.save_job(changed, changed.version)
    return decisions


def test_a_claim_in_mongodb_knows_its_runs_although_the_next_one_came_before_it_looked(
    mongodb: tuple[MongoDBJobStore, MongoDBJobStore], between: Between
) -> None:
    store, other = mongodb
    store.add_jobs([make_job("changed"), make_job(every=1, max_instances=2)])
    decisions = _spoilt(mongodb)
    next_ones: list[Run] = []
    between.do = lambda: next_ones.extend(claim(other, START + SECOND, OTHER))
    assert [run.job_id for run in _claimed(store, decisions, NODE, START)] == ["job"]
    assert sorted((run.job_id, run.nominal) for run in next_ones) == [
        ("changed", START),
        ("job", START + SECOND),
    ]
    owners = {(run.job_id, run.nominal): run.owner for run in store.get_runs(status=CLAIMED)}
    assert owners == {("job", START): NODE, ("job", START + SECOND): OTHER, ("changed", START): OTHER}


def test_a_claim_in_mongodb_knows_its_records_although_others_filed_them_before_it_looked(
    mongodb: tuple[MongoDBJobStore, MongoDBJobStore], between: Between
) -> None:
    store, other = mongodb
    store.add_jobs([make_job("changed", every=1), make_job(every=1)])
    runs = claim(store)
    later = START + SECOND
    decisions = _spoilt(mongodb, later)

    def end_and_claim() -> None:
        other._filing.file(["job"])
        finish(other, [run for run in runs if run.job_id == "job"])
        next_ones.extend(claim(other, later + SECOND, OTHER))

    next_ones: list[Run] = []
    between.do = end_and_claim
    assert len(decisions) == 2
    won = store.claim(decisions, NODE, later)
    assert [(decision.job.id, decision.records[0].status) for decision in won] == [("job", SKIPPED)]
    assert ("job", later + SECOND) in [(run.job_id, run.nominal) for run in next_ones]


def test_a_claim_in_mongodb_that_only_moves_a_job_is_known_too(
    mongodb: tuple[MongoDBJobStore, MongoDBJobStore], between: Between
) -> None:
    store, _ = mongodb
    store.add_jobs([make_job("changed"), make_job()])
    decisions = [quarantine(decision.job, "broken") for decision in _spoilt(mongodb)]
    assert [decision.job.id for decision in store.claim(decisions, NODE, START)] == ["job"]


def test_a_claim_in_mongodb_that_came_too_late_owns_nothing(
    mongodb: tuple[MongoDBJobStore, MongoDBJobStore],
) -> None:
    store, _ = mongodb
    store.add_jobs([make_job("changed"), make_job(every=None)])
    decisions = _spoilt(mongodb)
    assert [run.job_id for run in _claimed(store, decisions, NODE, START)] == ["job"]
    assert decisions[0].state == ENDED or decisions[1].state == ENDED
    assert store.claim(decisions, NODE, START) == [], "the very same decisions again"
    assert running(store, "changed") == 0


# --------------------------------------------------------------------------------------------------------------- Redis


@pytest.fixture
def redis(redis_url: str, between: Between) -> Iterator[tuple[RedisJobStore, RedisJobStore]]:
    """Return two stores on an empty database; the client of the first sends its requests twice, as if no answer had come."""
    client_class: Any = need("redis", "redis").Redis
    from rota.jobstores.redis import RedisJobStore

    class Repeating(client_class):
        def evalsha(self, *args: Any) -> Any:
            return self.twice(super().evalsha, args)

        def eval(self, *args: Any) -> Any:
            return self.twice(super().eval, args)

        def twice(self, send: Callable[..., Any], args: Any) -> Any:
            send(*args)
            between.wrote()
            between.looks()
            return send(*args)

    with Repeating.from_url(redis_url) as client:
        stores = RedisJobStore(client=client), RedisJobStore(url=redis_url)
        for store in stores:
            store.start(None, "default")
        yield stores
        for store in stores:
            store.shutdown()


def test_a_claim_in_redis_knows_its_runs_although_the_next_one_came_before_it_was_repeated(
    redis: tuple[RedisJobStore, RedisJobStore], between: Between
) -> None:
    store, other = redis
    store.add_job(make_job(every=1, max_instances=2))
    store.renew(NODE, START, LEASE)
    other.renew(OTHER, START, LEASE)
    decisions = decide(store)
    between.do = lambda: claim(other, START + SECOND, OTHER)
    assert [run.nominal for run in _claimed(store, decisions, NODE, START)] == [START]
    owners = {run.nominal: run.owner for run in store.get_runs()}
    assert owners == {START: NODE, START + SECOND: OTHER}


def test_a_job_that_was_added_in_redis_is_no_conflict_although_it_was_claimed_before_that_was_repeated(
    redis: tuple[RedisJobStore, RedisJobStore], between: Between
) -> None:
    store, other = redis
    between.do = lambda: claim(other, START, OTHER)
    store.add_job(make_job())
    assert running(store) == 1
    found = store.lookup_job("job")
    assert found is not None
    assert found.next_nominal == START + 60 * SECOND


# ----------------------------------------------------------------------------------------------------------------- SQL


@pytest.mark.parametrize("url", ["postgresql_url", "mariadb_url"])
def test_a_renewal_that_was_held_up_while_the_clock_was_set_back_tells_what_others_have_taken_meanwhile(
    url: str, request: pytest.FixtureRequest
) -> None:
    """Others take a lease of the future for one that counts from now: it is over before the renewal goes on."""
    need("sqlalchemy", "sql")
    from sqlalchemy import event

    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    stores = [SQLAlchemyJobStore(request.getfixturevalue(url)) for _ in range(2)]
    store, other = stores
    taken: list[Run] = []
    before = START - 100 * LEASE

    def hold_up(conn: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if taken or not statement.startswith("UPDATE rota_nodes"):
            return
        other.renew(OTHER, before, LEASE)
        assert other.rescue(OTHER, before) == []
        over = before + LEASE + SECOND
        other.renew(OTHER, over, LEASE)
        taken.extend(other.rescue(OTHER, over))

    try:
        for each in stores:
            each.start(None, "default")
        store.add_job(make_job())
        (run,) = claim(store, START)
        event.listen(store.engine, "before_cursor_execute", hold_up)
        assert store.renew(NODE, START + SECOND, LEASE, [run]) == [run]
        assert [(each.owner, each.attempt) for each in taken] == [(OTHER, 2)]
        assert store.renew(NODE, START + 2 * SECOND, LEASE, [run]) is None
    finally:
        for each in stores:
            each.shutdown()
