"""Searching in Redis finds what looking at everything finds, in the same order, whatever is equal; and what the hot paths send."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HOUR, SECOND, moment
from rota.core.plan import plan
from rota.core.queries import JobQuery, RunQuery, key_of_job, key_of_run
from rota.core.run import Run
from rota.core.states import CLAIMED, END_STATES, FAILED, SUCCEEDED
from rota.errors import QueryError
from rota.jobstores import searching
from rota.testing.contracts.store_jobs import LEASE, NODE, START, claim, finish, make_job
from tests.needs import need
from tests.present import present

need("redis", "redis")

from redis import Redis  # noqa: E402

from rota.jobstores.redis import RedisJobStore  # noqa: E402
from rota.jobstores.redis.forms import padded, record_of, run_of_text  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def store(redis_url: str) -> Iterator[RedisJobStore]:
    store = RedisJobStore(url=redis_url)
    store.start(None, "default")
    yield store
    store.shutdown()


def write(client: Any, run: Run) -> None:
    """Write a record past the store, as it does."""
    key, text = f"{run.job_id}\0{padded(run.nominal)}", record_of(run)
    if run.status == CLAIMED:
        client.hset("rota.claimed", key, text)
        return
    client.hset("rota.runs", key, text)
    client.zadd("rota.runs_by_job", {key: 0})
    client.zadd(f"rota.runs:{run.status}", {key: run.nominal})


def every(find: Callable[..., Any], query: Any, limit: int) -> list[Any]:
    """Return all that a query finds, page by page."""
    found: list[Any] = []
    cursor = None
    while True:
        page = find(query, limit, cursor)
        found += page.items
        cursor = page.cursor
        if cursor is None:
            return found


# ------------------------------------------------------------------------------------------------------------ records


@pytest.mark.parametrize("seed", range(3))
def test_records_of_few_times_and_many_jobs_are_found_in_order(
    store: RedisJobStore, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    ids = ["a", "a\x01", "aa", "b", "B", "é", "z\u0301", "\U0001f600", *(f"job{n}" for n in range(30))]
    times = [START + n * dice.choice((1, HOUR)) for n in range(dice.choice((2, 15)))]
    records: dict[tuple[str, int], Run] = {}
    for _ in range(200):
        run = Run(dice.choice(ids), dice.choice(times), START)
        run.status = dice.choice((CLAIMED, *END_STATES))
        run.owner = dice.choice(("one", "two"))
        if run.status == FAILED:
            run.error_type, run.error = "ValueError", "a ü text"
        records.setdefault((run.job_id, run.nominal), run)
    with Redis.from_url(_url(store)) as client:
        for run in records.values():
            write(client, run)
    monkeypatch.setattr(searching, "STEP", 7)
    monkeypatch.setattr(searching, "DURATION", 600 * SECOND)
    everything = sorted(records.values(), key=key_of_run)
    some = frozenset(dice.sample(ids, 5))
    for query in (
        RunQuery(),
        RunQuery(statuses={SUCCEEDED}),
        RunQuery(statuses={CLAIMED, FAILED, SUCCEEDED}),
        RunQuery(job_ids=some),
        RunQuery(job_ids=ids),
        RunQuery(job_ids=some, statuses={CLAIMED, SUCCEEDED}),
        RunQuery(since=moment(times[1]), until=moment(times[-1])),
        RunQuery(job_ids=some, since=moment(times[1]), until=moment(times[-1])),
        RunQuery(nodes="one", text="A Ü"),
        RunQuery(job_ids=some, nodes="two"),
    ):
        wanted = [(run.job_id, run.nominal) for run in everything if query.matches(run)]
        for limit in (3, 50, 1000):
            found = every(store.find_runs, query, limit)
            assert [(run.job_id, run.nominal) for run in found] == wanted, (query, limit)
        assert store.count_runs(query) == len(wanted), query


def test_the_newest_records_of_jobs_are_found_behind_many_others(store: RedisJobStore) -> None:
    with Redis.from_url(_url(store)) as client:
        for job_id in ("a", "b"):
            for number in range(700):
                run = Run(job_id, START + number, START)
                run.status = SUCCEEDED if number % 300 == 0 else "skipped"
                write(client, run)
    last = store.last_runs(["a", "b", "c"], 3, [SUCCEEDED])
    assert {id: [run.nominal - START for run in runs] for id, runs in last.items()} == {
        "a": [600, 300, 0],
        "b": [600, 300, 0],
    }
    assert [run.nominal - START for run in store.last_runs(["b"], 2)["b"]] == [699, 698]


def test_a_record_that_has_no_fitting_word_is_not_sent(
    store: RedisJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add_job(make_job())
    finish(store, claim(store))
    seen: list[Any] = []
    run_script = store._server.run
    monkeypatch.setattr(
        store._server, "run", lambda *args: (seen.append(answer := run_script(*args)), answer)[1]
    )
    for query in (
        RunQuery(text="x"),
        RunQuery(error_types="E"),
        RunQuery(nodes="no"),
        RunQuery(executors="no"),
    ):
        assert store.find_runs(query).items == []
        assert seen.pop() == [1, b"", b""]


# --------------------------------------------------------------------------------------------------------------- jobs


@pytest.mark.parametrize("seed", range(3))
def test_jobs_of_equal_names_and_times_are_found_in_order(
    store: RedisJobStore, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(seed)
    ids = ["a", "a\x01", "aa", "b", "B", "é", "\U0001f600", *(f"job{n}" for n in range(30))]
    dues = [None, START, START, START + 5, START + 10 * DAY]
    jobs = [
        make_job(
            id,
            dice.choice(dues),
            name=dice.choice(['an "odd", "name"', "back\\", "ü", "zz"]),
            executor=dice.choice(("default", "second")),
            tags=dice.choice(((), ("red",), ("blue", "red"))),
        )
        for id in ids
    ]
    store.add_jobs(jobs)
    store.renew(NODE, START, LEASE)
    now = START + SECOND
    store.claim([plan(job, now) for job in store.due(now, {"default": 9})], NODE, now)  # some under way
    later = now + 60 * SECOND
    store.claim([plan(job, later) for job in store.due(later, {"default": 99, "second": 3})], NODE, now)
    everything = [job for id in ids if (job := store.lookup_job(id)) is not None]
    monkeypatch.setattr(searching, "STEP", 7)
    monkeypatch.setattr(searching, "DURATION", 600 * SECOND)
    for sort in ("id", "name", "due"):
        for query in (
            JobQuery(sort=sort),
            JobQuery(sort=sort, states="active"),
            JobQuery(sort=sort, states="paused"),
            JobQuery(sort=sort, tags="blue"),
            JobQuery(sort=sort, ids=ids[::3]),
            JobQuery(sort=sort, executors="second"),
            JobQuery(sort=sort, due_after=moment(START + 1)),
            JobQuery(sort=sort, due_before=moment(START + DAY), text="JOB"),
            JobQuery(sort=sort, due_after=moment(START), due_before=moment(START + DAY)),
        ):
            wanted = sorted(filter(query.matches, everything), key=lambda job: key_of_job(job, query.sort))
            for limit in (4, 500):
                found = every(store.find_jobs, query, limit)
                assert [job.id for job in found] == [job.id for job in wanted], (query, limit)
            assert store.count_jobs(query) == len(wanted), query


@pytest.mark.parametrize("limit", [1, 7, 100])
def test_each_job_is_found_once_whatever_somebody_has_done_to_the_scores_of_ids_and_tags(
    store: RedisJobStore, redis_url: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "DURATION", 600 * SECOND)
    # So many that the server keeps them as a list with levels, in which what is not in order is anywhere.
    jobs = [make_job(f"job{number:03}", START + number, tags=("red",)) for number in range(200)]
    store.add_jobs(jobs)
    client = Redis.from_url(redis_url)
    for query in (JobQuery(), JobQuery(tags="red"), JobQuery(sort="name"), JobQuery(sort="due")):
        for number in range(0, 200, 3):
            score = (-1, float("inf"), 1.5, float("-inf"))[number % 4]
            client.zadd("rota.ids", {f"job{number:03}": score})
            client.zadd("rota.tags", {f"red\0job{number:03}": score})
        assert [job.id for job in every(store.find_jobs, query, limit)] == [job.id for job in jobs], query
        assert store.count_jobs(query) == 200


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_each_job_is_found_once_by_its_due_time_whatever_other_places_somebody_gives_it(
    store: RedisJobStore, redis_url: str, limit: int
) -> None:
    jobs = [make_job(f"job{number}", START + number) for number in range(6)]
    store.add_jobs(jobs)
    client = Redis.from_url(redis_url)
    client.sadd("rota.executors", "another")
    client.zadd("rota.run_times:another", {"job1": START + 1, "job2": START + 4, "job3": START - 1})
    client.zadd("rota.run_times:another", {"gone": START + 0.5, "also gone": START + 0.5, "job0": -1.5})
    found = [job.id for job in every(store.find_jobs, JobQuery(sort="due"), limit)]
    assert found == [job.id for job in jobs]


def test_more_jobs_than_can_be_sorted_by_name_are_refused(
    store: RedisJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rota.jobstores.redis import search

    monkeypatch.setattr(search, "SORTED", 3)
    store.add_jobs([make_job(f"job{number}", tags=("few",) if number < 2 else ()) for number in range(4)])
    with pytest.raises(
        QueryError, match='sort must be "id" or "due" where Redis has more than 3 jobs, got "name"'
    ):
        store.find_jobs(JobQuery(sort="name"))
    assert len(store.find_jobs(JobQuery(sort="name", tags="few")).items) == 2
    assert len(store.find_jobs(JobQuery(sort="due")).items) == 4


def test_housekeeping_deletes_what_is_kept_of_jobs_that_are_gone(
    store: RedisJobStore, redis_url: str
) -> None:
    from rota.core.changes import Change

    store.add_jobs([make_job("gone", tags=("red",)), make_job("stays", tags=("red", "blue"))])
    finish(store, claim(store))
    for job_id in ("gone", "stays"):
        store.note_change(job_id, Change(0, START, "somebody", "ü"))
    store.prune(START + HOUR)
    job = store.lookup_job("stays")
    assert job is not None
    changed = job.copy()
    changed.tags = ("blue",)
    store.save_job(changed, job.version)
    store.remove_job("gone")
    with Redis.from_url(redis_url, decode_responses=True) as client:
        assert client.hlen("rota.durations") == client.hlen("rota.changes") == client.zcard("rota.ids") == 2
        assert client.zcard("rota.tags") == 3
        store.prune(START + 3 * HOUR)
        assert client.hkeys("rota.durations") == client.hkeys("rota.changes") == ["stays"]
        assert client.zrange("rota.ids", 0, -1) == ["stays"]
        assert client.zrange("rota.tags", 0, -1) == ["blue\0stays"]


def test_counts_of_hours_outlive_their_records_for_400_days(store: RedisJobStore, redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        for number in range(300):
            run = Run("job", START + number * HOUR // 2, START)
            run.status, run.finished_at = ("succeeded", "failed")[number % 2], START
            write(client, run)
        wanted = {START + hour * HOUR: {"succeeded": 1, "failed": 1} for hour in range(150)}
        assert store.run_counts(START, START + DAY * 100) == wanted
        store.prune(START + 40 * DAY)
        assert store.get_runs() == []
        assert store.run_counts(START, START + DAY * 100) == wanted
        client.hset("rota.meta", "hours", "damaged")
        for _ in range(2):
            store.prune(START + 40 * DAY)
            assert store.run_counts(START, START + DAY * 100) == wanted
        store.prune(START + 401 * DAY)
        assert store.run_counts(START, START + DAY * 100) == {
            hour: counts for hour, counts in wanted.items() if hour >= START + DAY
        }


# ----------------------------------------------------------------------------------------------------- the hot paths

#: What a plain job has sent since before searching: versions, tokens and origins are left out.
PLAIN = {
    "add": [
        "HMGET rota.states job",
        "HSETNX rota.meta schema N",
        "HSET rota.jobs job [JOB]",
        'HSET rota.states job [N,0,"active",1767225600000000,1767225600000000,"default",null]',
        "SADD rota.executors default",
        "ZRANGE rota.run_times:default 0 0 WITHSCORES",
        "PUBLISH rota.wake:DB ORIGIN",
        "ZADD rota.run_times:default 1767225600000000 job",
    ],
    "claim": [
        "HGET rota.answers node-1",
        "ZSCORE rota.nodes node-1",
        "HGET rota.meta renewals node-1",
        "HMGET rota.states job",
        r"HMGET rota.runs job\x000001767225600000000",
        r"HMGET rota.claimed job\x000001767225600000000",
        "ZADD rota.run_times:default 1767225660000000 job",
        (
            r'HSET rota.claimed job\x000001767225600000000 {"status":"claimed","attempt":1,"owner":"node-1",'
            '"due":1767225600000000,"executor":"default","claimed":1767225600000000}'
        ),
        'HSET rota.states job [N,1,"active",1767225660000000,1767225660000000,"default",null]',
        "HSET rota.answers node-1 TOKEN1",
    ],
    "finish": [
        r"HMGET rota.claimed job\x000001767225600000000",
        (
            r'HSET rota.runs job\x000001767225600000000 {"status":"succeeded","attempt":1,"owner":"node-1",'
            '"due":1767225600000000,"executor":"default","claimed":1767225600000000,"started":1767225600000000,'
            '"finished":1767225601000000}'
        ),
        r"ZADD rota.runs:succeeded 0001767225600000000 job\x000001767225600000000",
        r"ZADD rota.runs_by_job 0 job\x000001767225600000000",
        r"HDEL rota.claimed job\x000001767225600000000",
        "HMGET rota.states job",
        'HSET rota.states job [N,0,"active",1767225660000000,1767225660000000,"default",null]',
    ],
    "remove": [
        "HGET rota.states job",
        "SMEMBERS rota.executors",
        "ZREM rota.run_times:default job",
        "SREM rota.quarantined job",
        "HDEL rota.jobs job",
        "HDEL rota.states job",
    ],
}
#: What has come since, within the same request: a job is added to the order of the ids, and one that is removed is asked for runs
#: that wait. Claims and ends send nothing more.
PLAIN["add"].insert(2, "ZADD rota.ids 0 job")
PLAIN["remove"].insert(1, r"ZLEXCOUNT rota.waiting [job\x00 (job\x01")


def test_a_plain_job_sends_what_it_always_sent(store: RedisJobStore, redis_url: str) -> None:
    store.renew(NODE, START, LEASE)
    store.add_job(make_job("first"))  # the first of all sends the scripts
    finish(store, claim(store))
    store.remove_job("first")
    sent: dict[str, list[str]] = {}
    runs: list[Run] = []

    def claim_it() -> None:
        job = present(store.lookup_job("job"))
        with Redis.from_url(redis_url) as client, client.monitor() as monitor:
            won = store.claim([plan(job, START)], NODE, START)
            sent["claim"] = commands_until_ping(client, monitor)
        runs.extend(run for decision in won for run in decision.runs)

    def watched(name: str, act: Callable[[], object]) -> None:
        with Redis.from_url(redis_url) as client, client.monitor() as monitor:
            act()
            sent[name] = commands_until_ping(client, monitor)

    watched("add", lambda: store.add_job(make_job()))
    claim_it()
    watched("finish", lambda: finish(store, runs))
    watched("remove", lambda: store.remove_job("job"))
    assert sent == PLAIN


def commands_until_ping(client: Any, monitor: Any) -> list[str]:
    """Return the commands of scripts that were carried out, without what is different each time."""
    client.ping()
    found = []
    for command in monitor.listen():
        if command["command"] == "PING":
            return found
        if command["client_type"] == "lua":
            text = command["command"]
            text = re.sub(r"^(HSET rota.jobs job) \[.*", r"\1 [JOB]", text)
            text = re.sub(r"(\[)\d+,|(schema )\d+", r"\1\2N,", text).replace("schema N,", "schema N")
            text = re.sub(r"(PUBLISH rota.wake:).*", r"\1DB ORIGIN", text)
            found.append(re.sub(r"(rota.answers \S+) [0-9a-f]{16}", r"\1 TOKEN", text))
    raise AssertionError("no ping was heard")


def test_only_a_job_that_was_edited_has_a_longer_text(store: RedisJobStore, redis_url: str) -> None:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        job = make_job()
        store.add_job(job)
        assert len(json.loads(client.hget("rota.jobs", "job"))) == 8
        job.revision = 3
        store.save_job(job, job.version)
        assert json.loads(client.hget("rota.jobs", "job"))[8:] == ["3", ""]


def test_the_record_that_tests_write_is_the_stores_own() -> None:
    run = Run("job", START, START)
    run.status = SUCCEEDED
    assert run_of_text("job", padded(START), record_of(run)).status == SUCCEEDED


def _url(store: RedisJobStore) -> str:
    options = store.redis.connection_pool.connection_kwargs
    return f"redis://{options['host']}:{options['port']}/{options['db']}"
