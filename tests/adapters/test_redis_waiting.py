"""Runs that wait in Redis: which are read, what becomes of damaged ones, and what housekeeping leaves alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HOUR, SECOND
from rota.core.extras import BACKFILL, RETRY
from rota.core.queries import JobQuery
from rota.core.states import CANCELLED, CLAIMED, FAILED, LOST, SUCCEEDED, WAITING
from rota.testing.contracts.orders import EARLY, KEY, asked_for
from rota.testing.contracts.store_jobs import LEASE, NODE, OTHER, START, claim, finish, make_job, running
from rota.testing.contracts.waiting import take
from tests.needs import need

need("redis", "redis")

from redis import Redis  # noqa: E402

from rota.jobstores.redis import RedisJobStore  # noqa: E402
from rota.jobstores.redis.forms import padded  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisJobStore]:
    store = RedisJobStore(url=redis_url)
    store.start(None, "default")
    yield store
    store.shutdown()


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        yield client


def test_a_run_that_finds_no_place_does_not_hold_up_a_retry_that_keeps_its_own(store: RedisJobStore) -> None:
    store.add_job(make_job())
    (run,) = claim(store)
    run.extra = asked_for(waiting_for=RETRY, not_before=START + 20 * SECOND).extra
    run.extra.origin = "schedule"
    assert store.give_back([run], START) == []
    store.open_runs([asked_for(nominal=KEY + n, not_before=START + n) for n in range(50)], START)
    (taken,) = take(store, START + 30 * SECOND)
    assert (taken.nominal, taken.waiting_for, taken.extra.waiting_for) == (START, None, RETRY)
    assert running(store) == 1


def test_what_was_asked_for_of_a_paused_job_is_found_behind_what_was_not(store: RedisJobStore) -> None:
    store.add_job(make_job(due=None))
    store.open_runs(
        [asked_for(nominal=KEY + n, not_before=EARLY + n, waiting_for=BACKFILL) for n in range(50)], EARLY
    )
    store.open_runs([asked_for(nominal=KEY + 99, not_before=EARLY + 99)], EARLY)
    assert [run.nominal for run in take(store, EARLY + SECOND)] == [KEY + 99]


def test_waiting_runs_of_very_many_jobs_are_all_taken(store: RedisJobStore) -> None:
    ids = [f"job{number}" for number in range(450)]
    store.add_jobs([make_job(id) for id in ids])
    store.open_runs([asked_for(id) for id in ids], EARLY)
    assert sorted(run.job_id for run in take(store)) == sorted(ids)
    assert store.next_waiting() is None


def test_a_damaged_waiting_run_is_lost_and_gives_up_its_place(store: RedisJobStore, client: Any) -> None:
    store.add_jobs([make_job("a"), make_job("b")])
    runs = claim(store)
    for run in runs:
        run.extra = asked_for(waiting_for=RETRY, not_before=START + SECOND).extra
    assert store.give_back(runs, START) == []
    assert running(store, "a") == 1
    client.hset("rota.runs", f"a\0{padded(START)}", "[damaged")
    taken = {run.job_id: run for run in take(store, START + SECOND)}
    assert {id: run.status for id, run in taken.items()} == {"a": LOST, "b": CLAIMED}
    assert (running(store, "a"), running(store, "b")) == (0, 1)
    assert [run.status for run in store.get_runs("a")] == [LOST]
    assert client.hvals("rota.damaged") == ["[damaged"]
    assert (client.exists("rota.waiting"), client.exists("rota.runs:waiting")) == (0, 0)


def test_a_run_that_waits_no_more_is_dropped_from_the_index(store: RedisJobStore, client: Any) -> None:
    store.add_jobs([make_job("a"), make_job("b")])
    store.open_runs([asked_for("a"), asked_for("b")], EARLY)
    client.hdel("rota.runs", f"a\0{padded(KEY)}")
    assert [run.job_id for run in take(store)] == ["b"]
    assert store.next_waiting() is None


def test_records_of_waiting_runs_are_left_when_a_job_has_too_many(store: RedisJobStore) -> None:
    store.add_job(make_job(every=1))
    store.open_runs([asked_for(nominal=KEY + n, not_before=START + 300 * DAY + n) for n in range(30)], EARLY)
    for second in range(130):
        finish(store, claim(store, START + second * SECOND), START + second * SECOND)
    later = START + HOUR
    store.prune(later)
    statuses = [run.status for run in store.get_runs("job", limit=1000)]
    assert (statuses.count(WAITING), statuses.count(SUCCEEDED)) == (30, 100)


def test_a_cancelled_run_of_a_removed_job_keeps_its_name(store: RedisJobStore) -> None:
    store.add_job(make_job(name='a "name" ü'))
    store.open_runs([asked_for()], EARLY)
    store.remove_job("job")
    (run,) = store.get_runs("job")
    assert (run.status, run.reason, run.name) == (CANCELLED, "job removed", 'a "name" ü')
    assert run.func == "rota.testing.contracts.store_jobs:task"
    assert (run.finished_at or 0) > 0
    assert run.not_before is None


def test_counts_of_jobs_know_the_places_that_are_kept(store: RedisJobStore) -> None:
    store.add_job(make_job())
    (run,) = claim(store)
    run.extra = asked_for(waiting_for=RETRY, not_before=START + DAY).extra
    store.give_back([run], START)
    job = store.lookup_job("job")
    assert job is not None
    job.running = 7
    store.recount([job])
    assert job.running == 1
    store.renew(OTHER, START, LEASE)
    store.rescue(OTHER, START)
    list(store.mend_in_steps(START))
    assert running(store) == 1


def test_arguments_that_cannot_be_restored_end_a_run(store: RedisJobStore, client: Any) -> None:
    store.add_job(make_job())
    store.open_runs([asked_for(args=(2,))], EARLY)
    key = f"job\0{padded(KEY)}"
    client.hset("rota.runs", key, client.hget("rota.runs", key).replace("[2]", "[2"))
    (run,) = take(store)
    assert (run.status, running(store)) == (FAILED, 0)
    assert "could not be restored" in (run.reason or "")
    assert [record.status for record in store.get_runs()] == [FAILED]


def test_keys_that_hold_no_more_are_forgotten(store: RedisJobStore, client: Any) -> None:
    store.add_job(make_job())
    store.open_runs([asked_for(key="once")], EARLY)
    store.prune(EARLY + HOUR)
    assert client.hlen("rota.asked") == 1
    store.prune(EARLY + 2 * DAY)
    assert client.hlen("rota.asked") == 0


def test_an_order_to_cancel_is_forgotten_with_the_run(store: RedisJobStore, client: Any) -> None:
    store.add_job(make_job())
    runs = claim(store)
    store.cancel_run("job", START, "stop: ü", START)
    found = store.get_run("job", START)
    assert found is not None
    assert found.extra.cancel == "stop: ü"
    assert client.hlen("rota.cancels") == 1
    finish(store, runs)
    assert list(store.orders(NODE, START).cancels) == []
    assert client.hlen("rota.cancels") == 0


def test_a_node_is_told_that_the_layout_is_newer(store: RedisJobStore, client: Any) -> None:
    store.renew(NODE, START, LEASE)
    assert not store.orders(NODE, START).outdated
    client.hset("rota.meta", "schema", "5")
    assert store.orders(NODE, START).outdated


def test_an_ended_job_that_waits_is_found_and_can_be_removed(store: RedisJobStore) -> None:
    store.add_job(make_job(every=None))
    store.open_runs([asked_for(not_before=START + HOUR)], EARLY)
    finish(store, claim(store))
    list(store.mend_in_steps(START))
    assert [job.id for job in store.find_jobs(JobQuery(states="ended")).items] == ["job"]
    store.remove_job("job")
    assert store.lookup_job("job") is None
    assert [run.status for run in store.get_runs()] == [SUCCEEDED, CANCELLED]
