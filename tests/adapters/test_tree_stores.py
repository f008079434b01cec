"""The stores on trees of keys (etcd and ZooKeeper): what the contract does not say of them."""

from __future__ import annotations

import json
import threading
from itertools import count, pairwise
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import SECOND
from rota.core.states import CLAIMED, QUARANTINED, SKIPPED, SUCCEEDED
from rota.errors import (
    ConfigurationError,
    ConflictingIdError,
    DeserializationError,
    JobLookupError,
    JobValueError,
    SchemaError,
    StoreNotStartedError,
)
from rota.jobstores.tree.keys import due_name, due_of, instant_of, number, quoted, unquoted
from rota.jobstores.tree.port import Change
from rota.schedulers.plugins import create_plugin
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
