"""The stores on trees of keys (etcd and ZooKeeper): what the contract does not say of them."""

from __future__ import annotations

import json
import threading
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HELD, HOUR, SECOND
from rota.core.changes import Change as Edit
from rota.core.hours import KEPT
from rota.core.queries import JobQuery, RunQuery
from rota.core.states import CANCELLED, CLAIMED, LOST, QUARANTINED, SKIPPED, SUCCEEDED
from rota.errors import (
    ConfigurationError,
    ConflictingIdError,
    DeserializationError,
    JobLookupError,
    JobValueError,
    QueryError,
    SchemaError,
    StoreNotStartedError,
)
from rota.jobstores import searching
from rota.jobstores.tree import search
from rota.jobstores.tree.keys import (
    START_TIMES,
    due_name,
    due_of,
    instant_of,
    number,
    quoted,
    start_key,
    unquoted,
)
from rota.jobstores.tree.layout import SCHEMA_VERSION
from rota.jobstores.tree.port import Change
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.orders import EARLY, KEY, asked_for
from rota.testing.contracts.store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
)
from rota.testing.contracts.waiting import take
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.tree import TreeJobStore

_numbers = count(1)


class Etcd:
    """How an etcd store is made, for tests that are about any store on a tree."""

    name = "etcd"

    def __init__(self, server: Any) -> None:
        need("etcd3gw", "etcd")
        self.server = server

    def make(self, path: str, **options: Any) -> TreeJobStore:
        from rota.jobstores.etcd import EtcdJobStore

        return EtcdJobStore(path, **{"host": "127.0.0.1", "port": self.server.port, **options})

    def url(self, path: str) -> str:
        return f"etcd://127.0.0.1:{self.server.port}{path}"

    def client(self) -> Any:
        from etcd3gw import Etcd3Client

        return Etcd3Client("127.0.0.1", self.server.port)

    def works(self, client: Any) -> bool:
        return bool(client.put("/elsewhere", "1"))

    def end(self, client: Any) -> None:
        client.session.close()

    def put(self, client: Any, key: str, value: str) -> None:
        client.put(key, value)

    def unreachable(self, port: int) -> dict[str, Any]:
        return {"port": port}


class ZooKeeper:
    """How a ZooKeeper store is made."""

    name = "zookeeper"

    def __init__(self, server: Any) -> None:
        need("kazoo", "zookeeper")
        self.server = server

    def make(self, path: str, **options: Any) -> TreeJobStore:
        from rota.jobstores.zookeeper import ZooKeeperJobStore

        return ZooKeeperJobStore(path, **{"hosts": self.server.hosts, **options})

    def url(self, path: str) -> str:
        return f"zk://{self.server.hosts}{path}"

    def client(self) -> Any:
        from kazoo.client import KazooClient

        client = KazooClient(self.server.hosts)
        client.start()
        return client

    def works(self, client: Any) -> bool:
        return client.exists("/") is not None

    def end(self, client: Any) -> None:
        client.stop()
        client.close()

    def put(self, client: Any, key: str, value: str) -> None:
        if client.exists(key):
            client.set(key, value.encode())
        else:
            client.create(key, value.encode(), makepath=True)

    def unreachable(self, port: int) -> dict[str, Any]:
        return {"hosts": f"127.0.0.1:{port}", "timeout": 0.5}


@pytest.fixture(params=["etcd", "zookeeper"])
def kind(request: pytest.FixtureRequest) -> Any:
    """Each kind of server."""
    kinds = {"etcd": Etcd, "zookeeper": ZooKeeper}
    return kinds[request.param](request.getfixturevalue(f"{request.param}_server"))


@pytest.fixture
def path() -> str:
    """A path of this test."""
    return f"/adapter{next(_numbers)}"


@pytest.fixture
def open_store(kind: Any, path: str) -> Iterator[Callable[..., Any]]:
    """Return a function that opens a started store on the path."""
    stores: list[TreeJobStore] = []

    def make(**options: Any) -> TreeJobStore:
        store: TreeJobStore = kind.make(path, **options)
        stores.append(store)
        store.start(None, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


@pytest.fixture
def client(kind: Any) -> Iterator[Any]:
    """A client of the application."""
    client = kind.client()
    yield client
    kind.end(client)


# ---------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize("text", ["job", "a/b", "..", ".", "a.b-c~d@e", "việc\n", "%41", " ", "a_b", "0"])
def test_any_text_can_be_part_of_a_key_and_comes_back(text: str) -> None:
    part = quoted(text)
    assert set(part) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_%")
    assert unquoted(part) == text
    assert due_of(due_name(-5, text)) == (-5, text)


def test_instants_in_keys_are_in_their_order() -> None:
    instants = [-(10**17), -1, 0, 1, START, 3 * 10**17]
    names = [number(instant) for instant in instants]
    assert sorted(names) == names
    assert [instant_of(name) for name in names] == instants


# -------------------------------------------------------------------------------------------------------- options


def test_a_path_must_be_given(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="path"):
        kind.make("")


def test_a_store_is_made_by_its_name_and_by_its_url(kind: Any, open_store: Any, path: str) -> None:
    open_store().add_job(make_job())
    for name, options in ((kind.url(path), {}), (kind.name, {"url": kind.url(path)})):
        store = create_plugin("jobstore", name, options)
        store.start(None, "default")
        try:
            assert [job.id for job in store.get_all_jobs()] == ["job"]
        finally:
            store.shutdown()
    with pytest.raises(ConfigurationError):
        create_plugin("jobstore", kind.name, {"url": "http://elsewhere"})


def test_a_client_that_was_passed_in_stays_open(kind: Any, client: Any, open_store: Any) -> None:
    store = open_store(client=client)
    store.on_wake(lambda: None)
    store.add_job(make_job())
    store.shutdown()
    assert kind.works(client)
    store.start(None, "default")
    assert due_ids(store) == ["job"]


def test_a_forked_store_leaves_the_connection_to_its_parent(kind: Any, open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    parents = store.client
    store.forked()
    with pytest.raises(StoreNotStartedError, match=str(kind.server.port)):
        store.get_all_jobs()
    store.start(None, "default")
    assert due_ids(store) == ["job"]
    assert store.client is not parents
    assert kind.works(parents)
    kind.end(parents)


# ---------------------------------------------------------------------------------------------------- foreign data


@pytest.mark.parametrize(
    ("text", "said"), [("nothing", "not Rota's"), ('{"format": "rota", "schema": 99}', "99")]
)
def test_a_layout_that_is_not_known_is_refused(
    kind: Any, path: str, client: Any, open_store: Any, text: str, said: str
) -> None:
    kind.put(client, f"{path}/meta", text)
    with pytest.raises(SchemaError, match=said):
        open_store()


@pytest.mark.parametrize("text", ["junk", "{}", "[1]", '{"id": "other"}'])
def test_a_job_that_somebody_else_wrote_is_shown_and_neither_run_nor_overwritten(
    kind: Any, path: str, client: Any, open_store: Any, text: str
) -> None:
    store = open_store()
    store.add_job(make_job("good"))
    kind.put(client, f"{path}/jobs/foreign", text)
    jobs = {job.id: job for job in store.get_all_jobs()}
    assert (jobs["foreign"].state, jobs["good"].state) == (QUARANTINED, "active")
    assert "no job" in (jobs["foreign"].error or "")
    assert due_ids(store) == ["good"]
    assert store.heal(START) == []
    with pytest.raises(ConflictingIdError):
        store.add_job(make_job("foreign"))
    with pytest.raises(DeserializationError, match="remove it"):
        store.update_job(make_job("foreign"))
    store.remove_job("foreign")
    assert [job.id for job in store.get_all_jobs()] == ["good"]


def test_a_due_time_without_a_job_is_taken_away(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job("good"))
    store.add_job(make_job("gone"))
    store._server.commit([Change("jobs/gone", None)])
    assert store.next_due(["default"]) == START
    assert due_ids(store) == ["good"]
    store.remove_job("good")
    assert store.next_due(["default"]) is None


def test_records_that_somebody_else_wrote_are_left_alone(
    kind: Any, path: str, client: Any, open_store: Any
) -> None:
    store = open_store()
    store.add_job(make_job())
    finish(store, claim(store))
    kind.put(client, f"{path}/active/foreign", "junk")
    kind.put(client, f"{path}/ended/job/{number(START + 1)}", "junk")
    assert [run.status for run in store.get_runs()] == [SUCCEEDED]
    store.renew(OTHER, START, LEASE)
    assert store.rescue(OTHER, START) == []
    store.prune(START)


# ----------------------------------------------------------------------------------------------------- what is asked


_JOB = (
    "jobs/job={id name func trigger args kwargs options executor next due state error version running created updated recorded}"
    " if unchanged"
)
_RUN = "job_id nominal last count due attempt status owner executor claimed"


def test_a_plain_job_asks_and_writes_what_it_always_did(open_store: Any) -> None:
    store = open_store()
    store.renew(NODE, START, LEASE)
    heard = heard_by(store._server)
    store.add_job(make_job())
    first, second = due_name(START, "job"), due_name(START + 60 * SECOND, "job")
    assert heard == ["read jobs/job", f"commit {_JOB}; due/default/{first}=''"]
    heard.clear()
    decisions = decide(store)
    assert heard == ["first due/default", "read jobs/job"]
    heard.clear()
    (won,) = store.claim(decisions, NODE, START)
    active, ended = f"active/job@{number(START)}", f"ended/job/{number(START)}"
    moved = f"{_JOB}; due/default/{first}=none; due/default/{second}=''"
    assert heard == ["read ", "last ended/job", f"commit {moved}; {active}={{{_RUN}}}"]
    heard.clear()
    assert finish(store, won.runs) == []
    end = f"{_JOB}; {active}=none if unchanged; {ended}={{{_RUN} started finished}}"
    assert heard == [f"read {active}", "read jobs/job", f"commit {end}"]
    heard.clear()
    store.remove_job("job")
    assert heard == ["read jobs/job", f"commit jobs/job=none if unchanged; due/default/{second}=none"]


def heard_by(server: Any) -> list[str]:
    """Return a list to which everything is added that a server is asked from now on."""
    heard: list[str] = []
    nested: list[str] = []

    def hear(name: str) -> None:
        method = getattr(server, name)

        def heard_method(subject: Any, *args: Any, **options: Any) -> Any:
            if not nested:
                changes = map(shown, subject) if name == "commit" else [subject]
                many = not isinstance(subject, str) and name != "commit"
                heard.append(f"{name} {'; '.join(subject if many else changes)}")
            nested.append(name)
            try:
                return method(subject, *args, **options)
            finally:
                nested.pop()

        setattr(server, name, heard_method)

    for name in (
        *("read", "entries", "names", "folders", "first", "last", "below", "after", "pages", "some_values"),
        *("newest", "some_below", "existing", "commit"),
    ):
        hear(name)
    return heard


def shown(change: Change) -> str:
    """Return a change in words: of a document the names of its fields."""
    value = change.value
    if value is None:
        text = "none"
    else:
        text = f"{{{' '.join(json.loads(value))}}}" if value.startswith("{") else repr(value)
    return f"{change.key}={text}{'' if change.rev is None else ' if unchanged'}"


# -------------------------------------------------------------------------------------------------------- many at once


def test_many_jobs_are_added_claimed_and_finished_in_batches(open_store: Any) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}") for number in range(300)])
    assert len(store.get_all_jobs()) == 300
    runs = claim(store)
    assert len({run.job_id for run in runs}) == 300
    assert finish(store, runs) == []
    assert len(store.get_runs(status=SUCCEEDED, limit=1000)) == 300
    assert due_ids(store) == []


def test_of_many_jobs_none_is_added_if_one_exists(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job("job150"))
    with pytest.raises(ConflictingIdError) as caught:
        store.add_jobs([make_job(f"job{number}") for number in range(300)])
    assert caught.value.job_ids == ("job150",)
    assert len(store.get_all_jobs()) == 1


def test_a_group_of_a_hundred_runs_is_claimed_finished_and_rescued(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(every=1, coalesce=False))
    now = START + 150 * SECOND
    assert len(claim(store, now)) == 100
    later = now + LEASE + SECOND
    store.renew(OTHER, later, LEASE)
    taken = store.rescue(OTHER, later)
    assert len(taken) == 100
    assert all(run.then is following for run, following in pairwise(taken))
    assert finish(store, taken, later) == []
    assert running(store) == 0
    assert due_ids(store, later) == ["job"]


def test_more_records_than_a_transaction_takes_are_put_into_one(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    store.renew(NODE, START, LEASE)
    (decision,) = decide(store)
    from rota.core.run import Run
    from rota.core.states import end

    for second in range(1, 200):
        record = Run("job", START + second, START + second, decision.job)
        end(record, SKIPPED, "too late", START)
        decision.records.append(record)
    assert len(store.claim([decision], NODE, START)) == 1
    records = store.get_runs("job", status=SKIPPED, limit=1000)
    assert sum(record.count for record in records) == 199


def test_nodes_that_claim_at_the_same_time_share_the_jobs(open_store: Any) -> None:
    stores = [open_store() for _ in range(3)]
    stores[0].add_jobs([make_job(f"job{number}") for number in range(200)])
    won: list[int] = []
    together = threading.Barrier(3)

    def work(number: int) -> None:
        store = stores[number]
        node = f"node-{number}"
        store.renew(node, START, LEASE)
        decisions = decide(store)
        together.wait()
        runs = [run for decision in store.claim(decisions, node, START) for run in decision.runs]
        won.append(len(runs))
        assert finish(store, runs) == []

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(won) == 200
    assert [run.status for run in stores[0].get_runs(limit=1000)] == [SUCCEEDED] * 200


def test_outcomes_of_one_job_from_several_threads_are_all_counted(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(every=1, coalesce=False, max_instances=3))
    runs = claim(store, START + 39 * SECOND)
    assert len(runs) == 40
    refused: list[Any] = []

    def work(part: list[Any]) -> None:
        for run in part:
            refused.extend(finish(store, [run]))

    threads = [threading.Thread(target=work, args=(runs[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert refused == []
    assert running(store) == 0
    assert len(store.get_runs("job", SUCCEEDED)) == 40


# ------------------------------------------------------------------------------------------------------------ bounds


def test_a_job_that_is_too_large_is_refused(open_store: Any) -> None:
    store = open_store()
    with pytest.raises(JobValueError, match="bytes"):
        store.add_job(make_job(args=("x" * 600_000,)))
    with pytest.raises(JobValueError, match="characters"):
        store.check_job(make_job("x" * 501))
    store.add_job(make_job("y" * 500, args=("💡" * 100_000,)))
    assert finish(store, claim(store)) == []


def test_records_of_all_jobs_are_mixed_by_time(open_store: Any) -> None:
    store = open_store()
    for later in range(12):
        store.add_job(make_job(f"job{later}", START + later, every=None))
    finish(store, claim(store, START + 20))
    assert [run.job_id for run in store.get_runs(limit=3)] == ["job11", "job10", "job9"]
    assert len(store.get_runs(limit=50)) == 12


def test_a_limit_takes_the_newest_of_claimed_and_ended_runs(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job("ended", START + 5, every=None))
    finish(store, claim(store, START + 5))
    store.add_job(make_job("claimed", START, every=None))
    claim(store, START + 6)
    assert [(run.job_id, run.status) for run in store.get_runs(limit=1)] == [("ended", SUCCEEDED)]
    assert [run.status for run in store.get_runs()] == [SUCCEEDED, CLAIMED]


def test_a_job_is_a_readable_document(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(name="greeting", args=(1, "two")))
    (entry,) = store._server.read(["jobs/job"])
    data = json.loads(entry.value)
    assert data["id"] == "job"
    assert data["func"] == "rota.testing.contracts.store_jobs:task"
    assert json.loads(data["args"]) == [1, "two"]


def test_an_unknown_job_is_not_removed_twice(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    claim(store)
    store.remove_job("job")
    with pytest.raises(JobLookupError):
        store.remove_job("job")
    store.remove_all_jobs()
    assert store.get_all_jobs() == []


# ---------------------------------------------------------------------------------------------------------- searching


def test_records_of_more_jobs_than_are_read_at_once_are_found_in_their_order(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}", every=60 + number % 3) for number in range(8)])
    for minute in range(4):
        now = START + minute * 63 * SECOND
        finish(store, claim(store, now), now)
    everything = pages(store, 1000)
    assert len(everything) == 32
    monkeypatch.setattr(search, "NAMES", 5)
    monkeypatch.setattr(search, "FEW", 1)
    for limit in (1, 3, 7):
        assert pages(store, limit) == everything
    count = store.count_runs(RunQuery())
    assert (int(count), count.exact) == (32, False)
    assert store.count_runs(RunQuery(statuses={CLAIMED})).exact
    ids = {"job1", "job2", "job5"}
    assert store.count_runs(RunQuery(job_ids=ids)).exact
    assert pages(store, 2, job_ids=ids) == [key for key in everything if key[1] in ids]


def pages(store: Any, limit: int, **asked: Any) -> list[tuple[int, str]]:
    """Return the keys of all records, read page by page."""
    found: list[tuple[int, str]] = []
    cursor = None
    while True:
        page = store.find_runs(RunQuery(**asked), limit, cursor)
        found += [(run.nominal, run.job_id) for run in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


def test_more_jobs_than_are_sorted_are_not_listed_by_name(
    open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(3)])
    assert len(store.find_jobs(JobQuery(sort="name")).items) == 3
    monkeypatch.setattr(searching, "SORTED", 2)
    with pytest.raises(QueryError, match="more than 2 jobs"):
        store.find_jobs(JobQuery(sort="name"))
    assert len(store.find_jobs(JobQuery(sort="name", ids=["job1", "job2"])).items) == 2


def test_ids_are_in_the_order_of_their_characters(open_store: Any) -> None:
    store = open_store()
    ids = ["a", "a b", "a-b", "a0", "a:b", "aZ", "a_", "az", "a~", "aé", "b", "é", "a/b", "a%b", "日本", "💡"]
    store.add_jobs([make_job(id) for id in ids])
    found: list[str] = []
    cursor = None
    while True:
        page = store.find_jobs(JobQuery(), 3, cursor)
        found += [job.id for job in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert found == sorted(ids)


def test_a_job_that_waits_for_its_runs_is_in_the_order_of_what_it_waits_for(open_store: Any) -> None:
    store = open_store()
    store.add_jobs([make_job("waits"), make_job("late", START + 90 * SECOND), make_job("paused", None)])
    runs = claim(store)
    store.add_job(make_job("early"))
    job = store.lookup_job("waits")
    job.next_due = HELD
    assert store.save_job(job, job.version)
    order = [job.id for job in store.find_jobs(JobQuery(sort="due")).items]
    assert order == ["early", "waits", "late", "paused"]
    finish(store, runs)


def test_jobs_by_due_time_are_in_their_order_on_pages_of_any_size(open_store: Any) -> None:
    store = open_store()
    for index in range(30):  # some at one time, of two executors, with ids in another order than their names
        job = make_job(f"job{index}{'' if index % 3 else ':'}", START + (index // 7) * 60 * SECOND)
        job.executor = "default" if index % 2 else "other"
        store.add_job(job)
    store.add_jobs([make_job("paused", None), make_job("sleeps", None)])
    runs = claim(store)  # all of the first minute
    busy = store.lookup_job(runs[0].job_id)
    busy.next_due, busy.next_nominal = HELD, START + 150 * SECOND
    assert store.save_job(busy, busy.version)
    everything = due_pages(store, 1000)
    assert len(everything) == 32
    assert everything[-2:] == ["paused", "sleeps"]
    jobs = {job.id: job for job in store.get_all_jobs()}
    times = {id: job.next_nominal if job.next_due == HELD else job.next_due for id, job in jobs.items()}
    assert everything[:-2] == sorted(jobs.keys() - {"paused", "sleeps"}, key=lambda id: (times[id], id))
    for limit in (1, 3, 7, 20):
        assert due_pages(store, limit) == everything
    finish(store, runs)


def due_pages(store: Any, limit: int) -> list[str]:
    """Return the ids of all jobs by their due times, read page by page."""
    found: list[str] = []
    cursor = None
    while True:
        page = store.find_jobs(JobQuery(sort="due"), limit, cursor)
        found += [job.id for job in page.items]
        cursor = page.cursor
        if cursor is None:
            return found


def test_a_page_of_all_records_reads_one_name_of_each_job_and_few_more(
    kind: Any, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}", START + number, every=60) for number in range(300)])
    for minute in range(2):
        now = START + (minute * 60 + 1) * SECOND
        finish(store, claim(store, now), now)
    monkeypatch.setattr(search, "NAMES", 100)
    read = names_read(store._server, monkeypatch)
    sent = requests_sent(kind, store, monkeypatch)
    page = store.find_runs(RunQuery(), 10)
    assert [run.job_id for run in page.items] == [f"job{number:03}" for number in range(299, 289, -1)]
    # etcd: jobs say themselves up to when they have records. ZooKeeper: of the first jobs each, of the others those that are newer
    # than the newest of these; then those that may be on the page
    of_each = {"etcd": 0, "zookeeper": 256 + 44}[kind.name]
    assert 10 <= sum(read["newest"]) <= of_each + 11 * 11
    assert "some_below" not in read
    assert len(read.get("after", ())) == {"etcd": 0, "zookeeper": 1}[kind.name]
    assert sent() <= {"etcd": 7, "zookeeper": 50}[kind.name]  # few nodes are read one by one
    page = store.find_runs(RunQuery(), 10, page.cursor)
    assert [run.job_id for run in page.items] == [f"job{number:03}" for number in range(289, 279, -1)]


def test_a_later_page_of_all_records_takes_a_request_for_each_hundred_jobs_and_few_more(
    kind: Any, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}", START + number, every=60) for number in range(300)])
    for minute in range(4):
        now = START + (minute * 60 + 1) * SECOND
        finish(store, claim(store, now), now)
    monkeypatch.setattr(search, "NAMES", 100)
    sent = requests_sent(kind, store, monkeypatch)
    cursor, took = None, []
    for _ in range(24):
        before = sent()
        page = store.find_runs(RunQuery(), 50, cursor)
        cursor = page.cursor
        took.append(sent() - before)
        assert len(page.items) == 50
    assert cursor is None
    # Every job has a record after each of these pages: what they say of themselves tells nothing.
    assert max(took[6:]) <= {"etcd": 3 + 6, "zookeeper": 50}[kind.name], took
    before, cursor, looked_at = sent(), None, []
    for _ in range(2):  # most of what is looked at does not fit
        page = store.find_runs(RunQuery(text="job299"), 50, cursor)
        cursor = page.cursor
        looked_at.append(page.looked_at)
    assert min(looked_at) >= 200
    assert sent() - before <= 2 * {"etcd": 3 + 9, "zookeeper": 60}[kind.name]


def test_a_page_of_all_records_reads_few_documents_of_jobs_where_these_are_long(
    kind: Any, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind.name != "etcd":  # others have no values beside names
        return
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}", START + number, args=("x" * 3000,)) for number in range(60)])
    finish(store, claim(store, START + SECOND), START + SECOND)
    monkeypatch.setattr(search, "NAMES", 20)
    found = store._server.some_values("jobs", 1000)
    assert list(found) == [f"job{number:03}" for number in range(60)]
    assert [name for name, value in found.items() if value is not None] == list(found)[:25]
    assert store._server.some_values("jobs", 7).keys() == {f"job{number:03}" for number in range(7)}
    page = store.find_runs(RunQuery(), 10)
    assert [run.job_id for run in page.items] == [f"job{number:03}" for number in range(59, 49, -1)]
    assert all(run.name == "task" for run in page.items)


def test_the_environment_is_asked_for_proxies_once(monkeypatch: pytest.MonkeyPatch) -> None:
    need("etcd3gw", "etcd")
    from rota.jobstores.etcd.server import Server  # optional

    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "here.example")
    monkeypatch.setenv("no_proxy", "here.example")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/certificates")
    for host, proxies in (("there.example", {"http": "http://proxy.example:3128"}), ("here.example", {})):
        session = Server("/rota", None, False, {"host": host}).client.session
        assert {name: url for name, url in session.proxies.items() if name == "http"} == proxies
        assert (session.verify, session.trust_env) == ("/certificates", False)


def test_a_page_of_the_jobs_that_are_due_next_reads_no_names_of_others(
    kind: Any, open_store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number:03}", START + number * SECOND) for number in range(300)])
    read = names_read(store._server, monkeypatch)
    sent = requests_sent(kind, store, monkeypatch)
    page = store.find_jobs(JobQuery(sort="due"), 10)
    assert [job.id for job in page.items] == [f"job{number:03}" for number in range(10)]
    page = store.find_jobs(JobQuery(sort="due"), 10, page.cursor)
    assert [job.id for job in page.items] == [f"job{number:03}" for number in range(10, 20)]
    assert sum(read["names"]) <= 2  # of runs under way none, and on ZooKeeper the folder of an executor
    assert max(read["first"]) <= 100 + 12  # ZooKeeper has the names of a hundred seconds together
    assert sent() <= {"etcd": 12, "zookeeper": 45}[kind.name]


def names_read(server: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[int]]:
    """Return how many names each method of a tree that returns names has returned from now on, call by call."""
    read: dict[str, list[int]] = {}

    def counted(name: str) -> None:
        method = getattr(server, name)

        def count(*args: Any) -> Any:
            found = method(*args)
            parts = found[0].values() if name == "some_below" else found
            many = name in ("newest", "first", "some_below")
            read.setdefault(name, []).append(sum(map(len, parts)) if many else len(found))
            return found

        monkeypatch.setattr(server, name, count)

    for name in ("names", "newest", "first", "some_below", "after"):
        counted(name)
    return read


def requests_sent(kind: Any, store: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Return what tells how many requests a store has sent from now on."""
    sent = []
    target, name = (store.client.session, "post") if kind.name == "etcd" else (store.client, "_call")
    method = getattr(target, name)

    def send(*args: Any, **options: Any) -> Any:
        sent.append(args)
        return method(*args, **options)

    monkeypatch.setattr(target, name, send)
    return lambda: len(sent)


# ----------------------------------------------------------------------------------------------------------- counting


def test_records_that_are_deleted_before_their_hour_is_over_stay_counted(open_store: Any) -> None:
    store = open_store(keep_runs=5)
    store.add_job(make_job(every=1))
    for second in range(40):
        now = START + second * SECOND
        finish(store, claim(store, now), now)
        if second % 10 == 9:
            store.prune(now)
    assert len(store.get_runs("job")) < 40
    assert store.run_counts(START, START + HOUR) == {START: {SUCCEEDED: 40}}
    counted = store.durations("job")
    assert counted is not None
    assert 35 <= counted.count <= 40
    for hours in (3, 3, 4):
        store.prune(START + hours * HOUR)
        assert store.run_counts(START, START + 5 * HOUR) == {START: {SUCCEEDED: 40}}
    counted = store.durations("job")
    assert counted is not None
    assert counted.count == 40


def test_hours_that_were_counted_long_ago_are_forgotten(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    finish(store, claim(store))
    store.prune(START + DAY)
    assert store._server.names("hours") == [number(START)]
    store.prune(START + KEPT + 2 * HOUR)
    assert store._server.names("hours") == []


def test_where_it_is_not_known_what_is_counted_nothing_is_counted_twice(open_store: Any) -> None:
    for text in ("damaged", str(START + 5_000 * DAY), "-1"):
        store = open_store()
        store.add_job(make_job())
        finish(store, claim(store))
        store.prune(START + DAY)
        store._server.commit([Change("counted", text)])
        store.prune(START + 2 * DAY)
        assert store.run_counts(START, START + DAY) == {START: {SUCCEEDED: 1}}
        store.remove_job("job")
        store._server.delete([f"ended/job/{number(START)}", "counted", f"hours/{number(START)}"])


def test_what_is_kept_of_jobs_that_are_gone_is_forgotten(open_store: Any) -> None:
    store = open_store()
    store.add_jobs([make_job("gone"), make_job("stays")])
    finish(store, claim(store))
    for id in ("gone", "stays"):
        store.note_change(id, Edit(1, START, "somebody", "its name"))
    store.prune(START + DAY)
    store.remove_job("gone")
    store.prune(START + 2 * DAY)
    assert store._server.names("edits") == store._server.names("durations") == ["stays"]


# ------------------------------------------------------------------------------------------------------------ waiting


def test_a_waiting_run_whose_key_is_damaged_gets_an_end(
    kind: Any, path: str, client: Any, open_store: Any
) -> None:
    store = open_store()
    store.add_job(make_job(due=START + DAY))
    for number_, text in enumerate(("junk", "{}", '{"status":"waiting"}')):
        nominal = KEY + number_
        store.open_runs([asked_for(nominal=nominal)], EARLY)
        kind.put(client, f"{path}/waiting/job/{number(nominal)}", text)
        (run,) = take(store)
        assert (run.status, run.nominal) == (LOST, nominal)
        assert store.next_waiting() is None
    assert [run.status for run in store.get_runs("job")] == [LOST] * 3
    assert running(store) == 0
    store.remove_job("job")
    assert store.lookup_job("job") is None


def test_a_waiting_run_that_nobody_would_find_is_found_again(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(due=START + DAY))
    store.open_runs([asked_for()], EARLY)
    store._server.delete([start_key(EARLY, "job", KEY)])
    assert take(store) == []
    assert list(store.mend_in_steps(EARLY))
    (run,) = take(store)
    assert run.nominal == KEY
    assert finish(store, [run], EARLY) == []


@pytest.mark.parametrize("waiting", [None, 0, "many", 7])
def test_a_job_that_does_not_know_of_its_waiting_run_is_told(open_store: Any, waiting: Any) -> None:
    store = open_store()
    store.add_job(make_job(due=START + DAY))
    store.open_runs([asked_for(waiting_for="retry")], EARLY)
    (entry,) = store._server.read(["jobs/job"])
    document = {**json.loads(entry.value), "waiting": waiting, "placed": waiting, "running": 0}
    store._server.commit([Change("jobs/job", json.dumps(document))])
    for _ in range(2):
        assert list(store.mend_in_steps(EARLY))
    (entry,) = store._server.read(["jobs/job"])
    document = json.loads(entry.value)
    assert (document["waiting"], document["placed"], document["running"]) == (1, 1, 1)
    store.remove_job("job")
    assert [run.status for run in store.get_runs("job")] == [CANCELLED]


def test_the_start_of_no_run_is_taken_away(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(due=START + DAY))
    store.open_runs([asked_for(not_before=EARLY + SECOND)], EARLY)
    stray = [
        start_key(EARLY, "job", KEY),
        start_key(EARLY, "none", KEY),
        f"{START_TIMES}/{number(EARLY)}junk",
    ]
    store._server.commit([Change(key, "") for key in stray])
    assert take(store) == []
    assert store.next_waiting() == EARLY + SECOND
    assert [run.nominal for run in take(store, EARLY + SECOND)] == [KEY]


def test_more_waiting_runs_than_one_step_cancels_go_with_their_job(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job(due=START + DAY))
    runs = [asked_for(nominal=KEY + number) for number in range(600)]
    assert len(store.open_runs(runs, EARLY)) == 600
    store.remove_job("job")
    assert store.next_waiting() is None
    assert [run.status for run in store.get_runs("job", limit=1000)] == [CANCELLED] * 600


def test_a_run_that_was_to_be_cancelled_ends_with_its_node_and_leaves_no_order(open_store: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    claim(store)
    store.cancel_run("job", START, "stop: ü", START)
    later = START + 2 * LEASE
    store.renew(OTHER, later, LEASE)
    (run,) = store.rescue(OTHER, later)
    assert (run.status, run.reason) == (CANCELLED, "stop: ü")
    assert list(store.orders(OTHER, later).cancels) == []
    assert list(store.orders(NODE, later).cancels) == []


def test_damaged_requests_and_cancels_cost_nobody_but_themselves(
    kind: Any, path: str, client: Any, open_store: Any
) -> None:
    store = open_store()
    store.renew(NODE, START, LEASE)
    id = store.request(NODE, "stack", START)
    for text in ("junk", "{}", '{"node":"node-1","kind":"stack","subject":[1],"at":5}', "[]"):
        kind.put(client, f"{path}/requests/damaged", text)
        kind.put(client, f"{path}/cancels/node%2D1/junk", text)
        kind.put(client, f"{path}/cancels/node%2D1/job@{number(START)}", text)
        orders = store.orders(NODE, START)
        assert [request.id for request in orders.requests] == [id]
        assert [cancel[:2] for cancel in orders.cancels] == [("job", START)]
    other = store.request(NODE, "stack", START)
    assert {request.id for request in store.orders(NODE, START).requests} == {id, other}


def test_a_node_is_told_of_a_newer_layout(kind: Any, path: str, client: Any, open_store: Any) -> None:
    store = open_store()
    store.renew(NODE, START, LEASE)
    assert store.orders(NODE, START).outdated is False
    kind.put(client, f"{path}/meta", json.dumps({"format": "rota", "schema": SCHEMA_VERSION + 1}))
    assert store.orders(NODE, START).outdated is True
