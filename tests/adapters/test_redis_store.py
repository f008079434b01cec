"""The Redis store on a real server: connection, keys, damage, retention, repeated requests, wake-ups, processes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, SECOND, SYSTEM_CLOCK, Clock
from rota.core.plan import plan, quarantine
from rota.core.states import ACTIVE, QUARANTINED, SKIPPED, SUCCEEDED
from rota.errors import (
    ConfigurationError,
    SchemaError,
    StoreUnavailableError,
)
from rota.events import EVENT_JOB_QUARANTINED
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    claim,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
)
from tests.needs import need
from tests.servers import Redis, private
from tests.servers.process import free_port

redis = need("redis", "redis")

from rota.jobstores.redis import RedisJobStore  # noqa: E402
from rota.jobstores.redis.forms import number_of, padded  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., RedisJobStore]

PATIENCE = 20


@pytest.fixture
def open_store(redis_url: str) -> Iterator[Open]:
    """Return a function that opens a started store on an empty database."""
    stores: list[RedisJobStore] = []

    def make(**options: Any) -> RedisJobStore:
        if "client" not in options:
            options = {"url": redis_url, **options}
        store = RedisJobStore(**options)
        stores.append(store)
        store.start(None, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


# ------------------------------------------------------------------------------------------------------- construction


def test_the_constructor_takes_apschedulers_parameters_in_its_order() -> None:
    from inspect import Parameter, signature

    parameters = signature(RedisJobStore).parameters.values()
    positional = {p.name: p.default for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD}
    assert list(positional) == ["db", "jobs_key", "run_times_key", "pickle_protocol"]
    assert (positional["jobs_key"], positional["run_times_key"]) == ("rota.jobs", "rota.run_times")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x"}, "URL"),
        ({"db": "one"}, "one"),
        ({"jobs_key": ""}, "jobs_key"),
        ({"run_times_key": ""}, "run_times_key"),
        ({"jobs_key": "x.jobs", "run_times_key": "x.runs"}, "twice"),
    ],
)
def test_a_wrong_option_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        RedisJobStore(**options)


def test_host_port_and_database_can_be_given_as_in_apscheduler(redis_server: Redis) -> None:
    store = RedisJobStore(3, "k.jobs", "k.times", host="127.0.0.1", port=redis_server.port)
    store.redis.flushdb()
    store.start(None, "default")
    store.add_job(make_job())
    assert store.redis.zscore("k.times:default", "job") == START
    assert str(redis_server.port) in repr(store)
    assert repr(store).endswith("/3, jobs_key='k.jobs')>")
    store.shutdown()


@pytest.mark.parametrize("decodes", [False, True])
def test_a_client_that_was_passed_in_stays_open(redis_url: str, open_store: Open, decodes: bool) -> None:
    with redis.Redis.from_url(redis_url, decode_responses=decodes) as client:
        store = open_store(client=client)
        store.add_job(make_job("việc"))
        finish(store, claim(store))
        assert [job.id for job in store.get_all_jobs()] == ["việc"]
        assert store.overdue(START + DAY, []) == {"default": 1}
        store.prune(START)
        store.shutdown()
        assert client.connection_pool._available_connections
        assert all(c.is_connected for c in client.connection_pool._available_connections)


def test_keys_that_a_cluster_would_spread_are_refused(redis_url: str) -> None:
    class Cluster(redis.Redis):  # type: ignore[name-defined]
        def keyslot(self, key: str) -> int:
            tag = key[key.index("{") + 1 : key.index("}")] if "{" in key else key
            return redis.crc.key_slot(tag.encode())

    with Cluster.from_url(redis_url) as client:
        with pytest.raises(ConfigurationError, match="hash tag"):
            RedisJobStore(client=client).start(None, "default")
        store = RedisJobStore(client=client, jobs_key="{app}.jobs", run_times_key="{app}.run_times")
        store.start(None, "default")
        store.shutdown()


# ------------------------------------------------------------------------------------------------------------- errors


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    port = free_port()
    store = RedisJobStore(url=f"redis://me:top%20secret@127.0.0.1:{port}/2")
    with pytest.raises(StoreUnavailableError, match=f"redis://127.0.0.1:{port}/2") as caught:
        store.start(None, "default")
    assert "secret" not in f"{caught.value}{store!r}"


@pytest.fixture
def own_server() -> Iterator[Any]:
    """A server of the test's own."""
    with private(Redis) as server:
        yield server


def test_a_wrong_password_is_an_error_that_says_so(own_server: Redis) -> None:
    with redis.Redis.from_url(own_server.url()) as admin:
        admin.config_set("requirepass", "right")
    store = RedisJobStore(url=own_server.url(), password="wrong secret")
    with pytest.raises(StoreUnavailableError, match="password") as caught:
        store.start(None, "default")
    assert "secret" not in str(caught.value)
    store = RedisJobStore(url=own_server.url().replace("://", "://:right@"))
    store.start(None, "default")
    assert "right" not in repr(store)
    store.shutdown()


def test_a_server_that_is_full_is_unavailable_until_there_is_room(own_server: Redis) -> None:
    store = RedisJobStore(url=own_server.url())
    store.start(None, "default")
    store.add_job(make_job())
    store.redis.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailableError, match="maxmemory"):
        store.add_job(make_job("other"))
    assert due_ids(store) == ["job"]
    store.redis.config_set("maxmemory", 0)
    store.add_job(make_job("other"))
    assert due_ids(store) == ["job", "other"]
    store.shutdown()


@pytest.mark.parametrize("key", ["rota.jobs", "rota.meta", "rota.runs"])
def test_keys_of_somebody_else_are_refused(redis_url: str, open_store: Open, key: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.set(key, "mine")
        with pytest.raises(SchemaError, match="jobs_key"):
            open_store()
        assert client.get(key) == b"mine"


def test_a_server_that_lost_its_data_can_be_used_again(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    store.redis.flushdb()
    assert store.get_all_jobs() == []
    store.add_job(make_job())
    assert due_ids(open_store()) == ["job"]


# ------------------------------------------------------------------------------------------- data, damaged and otherwise


def test_jobs_and_runs_are_readable_without_rota(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(args=("a",), name="greeting"))
    finish(store, claim(store))
    spec = json.loads(store.redis.hget("rota.jobs", "job"))
    assert spec[:3] == ["job", "greeting", "rota.testing.contracts.store_jobs:task"]
    assert json.loads(store.redis.hget("rota.states", "job"))[2:5] == ["active", *[START + 60 * SECOND] * 2]
    (document,) = store.redis.hgetall("rota.runs").values()
    assert json.loads(document)["status"] == SUCCEEDED


@pytest.mark.parametrize("key", ["rota.jobs", "rota.states"])
@pytest.mark.parametrize("text", ["{not json", "[]", "[1,2]", '"x"', "null"])
def test_a_damaged_job_costs_itself_and_can_be_removed(open_store: Open, key: str, text: str) -> None:
    store = open_store()
    store.add_job(make_job("damaged"))
    store.add_job(make_job("good"))
    store.redis.hset(key, "damaged", text)
    found = {job.id: job for job in store.get_all_jobs()}
    assert (found["damaged"].state, found["good"].state) == ("quarantined", "active")
    assert "damaged" in (found["damaged"].error or "")
    store.renew(NODE, START, LEASE)
    jobs = store.due(START, {"default": 10})
    decisions = [
        quarantine(job, job.error or "") if job.state == "quarantined" else plan(job, START) for job in jobs
    ]
    assert len(store.claim(decisions, NODE, START)) == 2
    assert due_ids(store) == [], "it would be looked at again and again"
    store.heal(START)
    assert due_ids(store) == []
    store.remove_job("damaged")
    assert [job.id for job in store.get_all_jobs()] == ["good"]


def test_a_damaged_record_is_passed_over(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    finish(store, claim(store))
    (key,) = store.redis.hkeys("rota.runs")
    store.redis.hset("rota.runs", key, "{")
    assert store.get_runs() == []
    later = START + 60 * SECOND
    finish(store, claim(store, later, OTHER), later)
    assert statuses(store) == [SUCCEEDED]


@pytest.mark.parametrize(
    "key",
    [
        *("rota.run_times:default", "rota.executors", "rota.quarantined", "rota.runs_by_job", "rota.nodes"),
        *("rota.answers", "rota.runs:succeeded", "rota.runs:skipped"),
    ],
)
def test_a_key_that_was_overwritten_by_another_kind_is_put_aside_and_made_anew(
    open_store: Open, key: str
) -> None:
    store = open_store()
    for id in ("one", "two"):
        store.add_job(make_job(id))
    finish(store, claim(store))
    runs = claim(store, START + 60 * SECOND)
    store.redis.set(key, "somebody's")
    assert finish(store, runs, START + 60 * SECOND) == []
    store.renew(NODE, START + 120 * SECOND, LEASE)
    later = claim(store, START + 600 * SECOND)
    assert sorted(run.job_id for run in later) == ["one", "two"]
    assert finish(store, later, START + 600 * SECOND) == []
    assert statuses(store, "one") == [SUCCEEDED, SUCCEEDED, SKIPPED, SUCCEEDED]
    assert {job.running for job in store.get_all_jobs()} == {0}
    store.heal(START)
    store.prune(START)
    assert store.overdue(START, ["default"]) == {}
    if store.redis.exists(f"{key}:damaged"):
        assert store.redis.get(f"{key}:damaged") == b"somebody's"
    else:  # nothing has come across it
        assert store.redis.get(key) == b"somebody's"
    assert store.redis.type("rota.jobs") == b"hash"


def test_the_states_of_jobs_that_were_overwritten_are_lost_and_the_jobs_wait_in_quarantine(
    open_store: Open,
) -> None:
    store = open_store()
    store.add_job(make_job(args=("kept",)))
    store.redis.set("rota.states", "somebody's")
    assert store.get_all_jobs() == []
    told, runs = store.mend(START)
    assert ([job.id for job in told], runs) == (["job"], [])
    (job,) = store.get_all_jobs()
    assert (job.id, job.state, tuple(job.args)) == ("job", QUARANTINED, ("kept",))
    assert "nobody knows when it is due" in (job.error or "")
    assert store.heal(START) == []
    job.set_next(START)
    job.state, job.error = ACTIVE, None
    assert store.save_job(job, job.version)
    assert due_ids(store) == ["job"]
    assert store.redis.get("rota.states:damaged") == b"somebody's"


def test_jobs_that_have_lost_their_states_are_told_as_quarantined_and_go_on_when_they_are_rescheduled(
    open_store: Open,
) -> None:
    store = open_store()
    scheduler = ManualScheduler(jobstores={"default": store}, timezone="UTC")
    scheduler.start()
    scheduler.add_job(abs, "interval", minutes=1, args=[-1], id="job")
    scheduler.advance(minutes=2)
    told: list[str] = []
    scheduler.add_listener(lambda event: told.append(event.job_id), EVENT_JOB_QUARANTINED)
    store.redis.delete("rota.states")
    scheduler.advance(minutes=5)
    assert told == ["job"]
    scheduler.reschedule_job("job", trigger="interval", minutes=1)
    before = len(scheduler.get_runs("job"))
    scheduler.advance(minutes=5)
    assert len(scheduler.get_runs("job")) == before + 5
    scheduler.shutdown()


def test_a_count_that_contradicts_the_ledger_is_put_right_when_jobs_are_looked_over(open_store: Open) -> None:
    store = open_store()
    for id in ("held", "over", "busy"):
        store.add_job(make_job(id))
    runs = claim(store)
    finish(store, [run for run in runs if run.job_id != "busy"])
    spoil = {
        "held": f'[5,1,"active",{START},"held","default",null]',
        "over": '[5,1,"ended",null,null,"default",null]',
        "busy": f'[5,9,"active",{START + 60 * SECOND},{START + 60 * SECOND},"default",null]',
    }
    store.redis.hset("rota.states", mapping=spoil)
    assert store.mend(START) == ([], [])
    assert {job.id: job.running for job in store.get_all_jobs()} == {"held": 0, "busy": 1}
    assert due_ids(store) == ["held"]


def test_a_due_time_that_others_have_written_for_another_executor_is_taken_away(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(executor="other"))
    store.add_job(make_job("paused", due=None))
    store.redis.zadd("rota.run_times:default", {"job": START, "paused": START, "nobody": START})
    store.redis.sadd("rota.executors", "default")
    assert due_ids(store) == []
    assert store.next_due(["default"]) is None
    assert [job.id for job in store.due(START, {"other": 5})] == ["job"]


def test_padded_numbers_sort_as_numbers() -> None:
    numbers = [-(2**62), -START, -10, -9, -1, 0, 1, 9, 10, START, 2**62]
    assert sorted(map(padded, numbers)) == [padded(number) for number in numbers]
    assert [number_of(padded(number)) for number in numbers] == numbers


def test_times_before_1970_are_kept_in_order(open_store: Open) -> None:
    store = open_store()
    for id, due in (("a", -5 * SECOND), ("b", -START), ("c", SECOND)):
        store.add_job(make_job(id, due, every=None))
    assert due_ids(store, 0) == ["b", "a"]
    finish(store, claim(store, 2 * SECOND), 2 * SECOND)
    assert [run.nominal for run in store.get_runs()] == [SECOND, -5 * SECOND, -START]


# ----------------------------------------------------------------------------------------------------- many jobs at once


def test_a_transaction_of_the_caller_is_refused(open_store: Open) -> None:
    with pytest.raises(ConfigurationError, match="connection"):
        open_store().add_jobs([make_job()], connection=object())


# ------------------------------------------------------------------------------------------------------------ retention


def run_many(store: RedisJobStore, times: int, start: int = START) -> None:
    """Let all jobs run so many times, a second apart."""
    for number in range(times):
        assert finish(store, claim(store, start + number * SECOND), start + number * SECOND) == []


def test_only_the_newest_records_of_each_job_are_kept(open_store: Open) -> None:
    store = open_store(keep_runs=10)
    store.add_job(make_job("often", every=1))
    store.add_job(make_job("oft", every=3600))
    run_many(store, 14)
    store.prune(START + 20 * SECOND)
    assert [run.nominal for run in store.get_runs("often")] == [START + n * SECOND for n in range(13, 3, -1)]
    assert len(store.get_runs("oft")) == 1
    run_many(store, 5, START + 14 * SECOND)
    store.prune(START + 20 * SECOND)
    assert len(store.get_runs("often")) == 10
    assert store.redis.zcard("rota.runs_by_job") == store.redis.hlen("rota.runs") == 11
    assert store.redis.zcard("rota.runs:succeeded") == 11


# ----------------------------------------------------------------------------------------------------- repeated requests


class Repeating(redis.Redis):  # type: ignore[name-defined]
    """A client that asks everything twice, as one does that got no answer to the first."""

    def evalsha(self, *args: Any) -> Any:
        super().evalsha(*args)
        return super().evalsha(*args)

    def eval(self, *args: Any) -> Any:
        super().eval(*args)
        return super().eval(*args)


def test_a_client_that_repeats_its_requests_does_no_harm(redis_url: str, open_store: Open) -> None:
    with Repeating.from_url(redis_url) as client:
        store = open_store(client=client)
        store.add_job(make_job("one", every=5, max_instances=3))
        store.add_job(make_job("two", every=5))
        found = store.lookup_job("two")
        assert found is not None
        found.name = "renamed"
        assert store.save_job(found, found.version)
        runs = claim(store)
        assert sorted(run.job_id for run in runs) == ["one", "two"]
        assert (running(store, "one"), running(store, "two")) == (1, 1)
        assert finish(store, runs[:1]) == []
        assert sorted((running(store, "one"), running(store, "two"))) == [0, 1]
        later = START + LEASE + SECOND
        assert store.renew(OTHER, later, LEASE) is None
        (rescued,) = store.rescue(OTHER, later)
        assert rescued.attempt == 2
        assert finish(store, [rescued], later) == []
        assert (running(store, "one"), running(store, "two")) == (0, 0)
        assert {run.status for run in store.get_runs()} == {SUCCEEDED}


# ---------------------------------------------------------------------------------------------- many hands, one database


def test_leases_are_kept_by_the_servers_clock(open_store: Open) -> None:
    class Wrong(Clock):
        def now(self) -> int:
            return super().now() + 100 * SECOND

    class Scheduler:
        clock = Wrong()

    store, other = open_store(), open_store()
    store.start(Scheduler(), "default")
    assert store.renew(NODE, store.now(), LEASE) is None
    assert store.clock_offset is not None
    assert -101 * SECOND < store.clock_offset < -99 * SECOND
    now = SYSTEM_CLOCK.now()
    assert other.renew(OTHER, now, LEASE) is None
    other.add_job(make_job(due=now))
    claim(other, now, OTHER)
    assert store.rescue(NODE, store.now()) == []


def test_what_is_due_and_what_has_ended_goes_to_the_server_in_parts(open_store: Open) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}") for number in range(600)])
    parts = []
    while runs := claim(store):
        parts.append(runs)
    assert [len(runs) for runs in parts] == [250, 250, 100]
    everything = [run for runs in parts for run in runs]
    everything[10].attempt = everything[590].attempt = 7
    assert finish(store, everything) == [everything[10], everything[590]]
    assert len(store.get_runs(status=SUCCEEDED, limit=1000)) == 598
