"""The MongoDB store on a server: connection, collections, damage, what a dead process leaves, retention, processes.

On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, SECOND, SYSTEM_CLOCK
from rota.core.plan import plan, quarantine
from rota.core.run import CANCELLED, CLAIMED, SKIPPED, SUCCEEDED, end, succeed
from rota.errors import (
    ConfigurationError,
    ConflictingIdError,
    JobLookupError,
    JobValueError,
    SchemaError,
    StoreNotStartedError,
    StoreUnavailableError,
)
from rota.schedulers.background import BackgroundScheduler
from rota.testing.contract_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    Worker,
    claim,
    decide,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
)
from tests.needs import need
from tests.servers.process import free_port

pymongo = need("pymongo", "mongodb")

from rota.jobstores.mongodb import MongoDBJobStore  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., MongoDBJobStore]


@pytest.fixture
def open_store(mongodb_url: str) -> Iterator[Open]:
    """Return a function that opens a started store on an empty database."""
    stores: list[MongoDBJobStore] = []

    def make(**options: Any) -> MongoDBJobStore:
        store = MongoDBJobStore(**({} if "client" in options else {"url": mongodb_url}), **options)
        stores.append(store)
        store.start(None, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


# ------------------------------------------------------------------------------------------------------- construction


def test_the_constructor_takes_apschedulers_parameters_in_its_order() -> None:
    from inspect import Parameter, signature

    parameters = signature(MongoDBJobStore).parameters.values()
    positional = {p.name: p.default for p in parameters if p.kind is Parameter.POSITIONAL_OR_KEYWORD}
    assert list(positional) == ["database", "collection", "client", "pickle_protocol"]
    assert (positional["database"], positional["collection"]) == ("rota", "jobs")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "ftp://x"}, "URL"),
        ({"no_such_option": 1}, "no_such_option|nosuchoption|URL|option"),
        ({"database": ""}, "database"),
        ({"collection": ""}, "collection"),
        ({"serializer": "yaml"}, "serializer"),
        ({"keep_runs": 0}, "keep_runs"),
        ({"keep_days": 0}, "keep_days"),
    ],
)
@pytest.mark.filterwarnings("ignore:Unknown option")
def test_a_wrong_option_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        MongoDBJobStore(**options)


def test_a_database_that_is_given_goes_before_that_of_the_url(mongodb_url: str) -> None:
    here = mongodb_url.rsplit("/", 1)[1].partition("?")[0]
    stores = [MongoDBJobStore(url=mongodb_url), MongoDBJobStore("other", "x_jobs", url=mongodb_url)]
    assert [store.collection.full_name for store in stores] == [f"{here}.jobs", "other.x_jobs"]
    for store in stores:
        store.shutdown()


@pytest.mark.parametrize(
    ("url", "options", "journal"),
    [
        ("mongodb://h/d", {}, True),
        ("mongodb://h/d?journal=false", {}, False),
        ("mongodb://h/d", {"journal": False}, False),
        ("mongodb://h/d?w=0", {}, None),
    ],
)
def test_writes_wait_for_the_journal_unless_something_else_is_said(
    url: str, options: dict[str, Any], journal: bool | None
) -> None:
    store = MongoDBJobStore(url=url, **options)
    assert store.collection.write_concern.document.get("j") is journal
    store.shutdown()


def test_a_store_that_is_not_started_says_so() -> None:
    store = MongoDBJobStore(connect=False)
    with pytest.raises(StoreNotStartedError, match="start"):
        store.get_all_jobs()
    store.shutdown()


def test_a_store_can_be_stopped_and_started_again(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    store.shutdown()
    with pytest.raises(StoreNotStartedError):
        store.get_all_jobs()
    store.start(None, "default")
    assert [job.id for job in store.get_all_jobs()] == ["job"]


def test_a_client_that_was_passed_in_stays_open(mongodb_url: str, open_store: Open) -> None:
    with pymongo.MongoClient(mongodb_url, tz_aware=True) as client:
        database = client.get_default_database().name
        store = open_store(client=client, database=database)
        store.add_job(make_job())
        assert store.renew(NODE, SYSTEM_CLOCK.now(), LEASE)
        assert store.clock_offset is not None
        store.shutdown()
        assert client[database]["jobs"].count_documents({}) == 1


def test_stores_with_other_collections_do_not_see_each_other(open_store: Open) -> None:
    one, two = open_store(), open_store(collection="two_jobs")
    one.add_job(make_job("one"))
    two.add_job(make_job("two"))
    claim(one)
    assert due_ids(two) == ["two"]
    two.remove_all_jobs()
    assert [job.id for job in one.get_all_jobs()] == ["one"]
    assert two.get_runs() == []


# ------------------------------------------------------------------------------------------------------------- errors


def test_how_long_a_server_is_looked_for_may_be_said_in_the_url_too() -> None:
    address = f"mongodb://127.0.0.1:{free_port()}/x"
    for store, seconds in (
        (MongoDBJobStore(url=address), 10),
        (MongoDBJobStore(url=address, serverSelectionTimeoutMS=200), 0.2),
        (MongoDBJobStore(url=f"{address}?serverSelectionTimeoutMS=300"), 0.3),
    ):
        assert store.client.options.server_selection_timeout == seconds
        store.shutdown()


def test_a_server_that_cannot_be_reached_is_named_without_its_password() -> None:
    port = free_port()
    store = MongoDBJobStore(url=f"mongodb://me:top%20secret@127.0.0.1:{port}/x", serverSelectionTimeoutMS=200)
    with pytest.raises(StoreUnavailableError, match=f"127.0.0.1:{port}") as caught:
        store.start(None, "default")
    assert "secret" not in f"{caught.value}{store!r}"
    store.shutdown()


@pytest.mark.parametrize("version", [0, 999, "x", None])
def test_an_unknown_schema_version_is_refused_and_nothing_is_touched(open_store: Open, version: Any) -> None:
    store = open_store()
    store.add_job(make_job())
    meta = store.collection.database["meta"]
    meta.update_one({"_id": "schema"}, {"$set": {"version": version}})
    with pytest.raises(SchemaError, match=f"schema version {version!r}"):
        open_store()
    assert [job.id for job in store.get_all_jobs()] == ["job"]


@pytest.mark.parametrize("collection", ["jobs", "runs", "nodes"])
def test_collections_of_somebody_else_are_refused(
    mongodb_url: str, open_store: Open, collection: str
) -> None:
    with pymongo.MongoClient(mongodb_url) as client:
        client.get_default_database()[collection].insert_one({"_id": "x", "job_state": b""})
        with pytest.raises(SchemaError, match="another collection"):
            open_store()
        assert client.get_default_database()[collection].count_documents({}) == 1


def test_a_job_that_is_too_long_for_the_server_is_refused(open_store: Open) -> None:
    store = open_store()
    with pytest.raises(JobValueError, match="document"):
        store.add_job(make_job(args=("x" * 17_000_000,)))
    assert store.get_all_jobs() == []


# ------------------------------------------------------------------------------------------- data, damaged and otherwise


def test_a_store_with_pickle_keeps_any_object_and_one_without_does_not_read_it(open_store: Open) -> None:
    store = open_store(serializer="pickle", pickle_protocol=2)
    store.add_job(make_job(args=(Worker(),)))
    found = store.lookup_job("job")
    assert found is not None
    assert isinstance(found.args[0], Worker)
    (job,) = open_store().get_all_jobs()
    assert job.state == "quarantined"
    assert 'serializer="pickle"' in (job.error or "")


def test_jobs_and_runs_are_readable_without_rota(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(args=("a",), name="greeting"))
    finish(store, claim(store))
    document = store.collection.find_one()
    assert (document["_id"], document["name"], document["args"]) == ("job", "greeting", '["a"]')
    assert document["func"] == "rota.testing.contract_jobs:task"
    (run,) = store.collection.database["runs"].find()
    assert (run["job_id"], run["nominal"], run["status"]) == ("job", START, SUCCEEDED)


@pytest.mark.parametrize(
    "change",
    [
        {"$set": {"func": 7}},
        {"$unset": {"trigger": 1}},
        {"$set": {"args": "{not json"}},
        {"$set": {"options": '{"nope": 1}'}},
        {"$unset": {"under_way": 1, "pending": 1}},
    ],
)
def test_a_damaged_job_costs_itself_and_can_be_removed(open_store: Open, change: dict[str, Any]) -> None:
    store = open_store()
    store.add_job(make_job("damaged"))
    store.add_job(make_job("good"))
    store.collection.update_one({"_id": "damaged"}, change)
    found = {job.id: job for job in store.get_all_jobs()}
    assert found["good"].state == "active"
    harmless = "under_way" in change.get("$unset", ())
    assert (found["damaged"].state == "quarantined") is not harmless
    store.renew(NODE, START, LEASE)
    decisions = [
        quarantine(job, job.error or "") if job.state == "quarantined" else plan(job, START)
        for job in store.due(START, {"default": 10})
    ]
    assert len(store.claim(decisions, NODE, START)) == 2
    assert due_ids(store) == []
    store.remove_job("damaged")
    assert [job.id for job in store.get_all_jobs()] == ["good"]


def test_a_damaged_record_is_passed_over(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    finish(store, claim(store))
    store.collection.database["runs"].update_one({}, {"$unset": {"attempt": 1}})
    assert store.get_runs() == []


def test_reading_writes_nothing(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    store.add_job(make_job("broken"))
    store.collection.update_one({"_id": "broken"}, {"$set": {"func": "gone:f"}})
    database = store.collection.database

    def everything() -> list[Any]:
        return [list(database[name].find().sort("_id", 1)) for name in ("jobs", "runs", "nodes", "meta")]

    before = everything()
    store.get_all_jobs()
    store.lookup_job("broken")
    store.due(START, {"default": 10})
    store.next_due(["default"])
    store.overdue(START, [])
    store.get_runs()
    store.rescue(NODE, START)
    store.heal(START)
    assert everything() == before


def test_what_is_due_is_found_by_an_index(open_store: Open) -> None:
    store = open_store()
    due = {"state": "active", "next_due": {"$lte": START}, "executor": "default"}
    plan_of = store.collection.find(due).sort("next_due", 1).limit(5).explain()["queryPlanner"]["winningPlan"]
    assert "IXSCAN" in str(plan_of)
    assert "COLLSCAN" not in str(plan_of)


# -------------------------------------------------------------------------------------------- what is left in between


def test_what_a_process_left_unfiled_is_seen_and_filed_by_others(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    store.add_job(make_job("ended", every=None))
    store.add_job(make_job("goes on"))
    runs = claim(store)
    with monkeypatch.context() as patch:  # it dies before it files
        patch.setattr(type(store._runs), "file", lambda self, ids: None)
        assert finish(store, runs) == []
    assert store.collection.database["runs"].count_documents({}) == 0
    assert {run.status for run in other.get_runs()} == {SUCCEEDED}
    assert [run.job_id for run in other.get_runs("ended")] == ["ended"]
    assert finish(store, runs) == [], "the same end again"
    other.renew(OTHER, START, LEASE)
    assert other.rescue(OTHER, START) == []
    assert store.collection.database["runs"].count_documents({}) == 2
    assert len(other.get_runs()) == 2
    assert [document["_id"] for document in store.collection.find()] == ["goes on"]
    assert "busy" not in store.collection.find_one()


def test_a_time_that_was_left_unfiled_is_not_taken_again(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_job(make_job(max_instances=3))
    runs = claim(store)
    with monkeypatch.context() as patch:
        patch.setattr(type(store._runs), "file", lambda self, ids: None)
        finish(store, runs)
    found = store.lookup_job("job")
    assert found is not None
    found.set_next(START)
    assert store.save_job(found, found.version)
    (again,) = claim(store)
    finish(store, [again])
    assert sorted(run.nominal for run in store.get_runs()) == [START, START + 1]


def test_records_of_times_that_did_not_run_come_with_the_claim(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    (run,) = claim(store, START + 600 * SECOND)
    assert {record.status for record in store.get_runs()} == {CLAIMED, SKIPPED}
    end(run, CANCELLED, "stopped", START + 601 * SECOND)
    assert store.finish([run], START + 601 * SECOND) == []
    assert len(store.get_runs()) == 2
    assert running(store) == 0


# ----------------------------------------------------------------------------------------------------- many jobs at once


def test_many_jobs_are_added_all_or_none(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job("job1", name="first"))
    with pytest.raises(ConflictingIdError, match="job1"):
        store.add_jobs([make_job(f"job{number}") for number in range(3)])
    assert [job.id for job in store.get_all_jobs()] == ["job1"]

    def replace(job: Any, stored: Any) -> None:
        job.name = f"{job.name} after {stored.name}"

    store.add_jobs([make_job(f"job{number}", name="second") for number in range(3)], replace)
    assert {job.id: job.name for job in store.get_all_jobs()} == {
        "job0": "second",
        "job1": "second after first",
        "job2": "second",
    }
    fresh = [make_job(f"more{number}") for number in range(3)]
    store.add_jobs(fresh)
    found = store.lookup_job("more2")
    assert found is not None
    assert found.version == fresh[2].version


def test_the_ids_of_jobs_that_are_over_can_be_used_again_by_many(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(every=None))
    runs = claim(store)
    store.add_jobs([make_job(due=START + SECOND), make_job("other")])
    assert running(store) == 1
    assert finish(store, runs) == []
    assert running(store) == 0


# ------------------------------------------------------------------------------------------------------------ retention


def run_many(store: MongoDBJobStore, times: int, start: int = START) -> None:
    """Let all jobs run so many times, a second apart."""
    for number in range(times):
        assert finish(store, claim(store, start + number * SECOND), start + number * SECOND) == []


def test_only_the_newest_records_of_each_job_are_kept(open_store: Open) -> None:
    store = open_store(keep_runs=10)
    store.add_job(make_job("often", every=1))
    store.add_job(make_job("seldom", every=3600))
    run_many(store, 14)
    store.prune(START + 20 * SECOND)
    assert [run.nominal for run in store.get_runs("often")] == [START + n * SECOND for n in range(13, 3, -1)]
    assert len(store.get_runs("seldom")) == 1
    run_many(store, 5, START + 14 * SECOND)
    store.prune(START + 20 * SECOND)
    assert len(store.get_runs("often")) == 10


def test_old_records_are_deleted_in_batches(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rota.jobstores.mongodb.ledger.BATCH", 4)
    store = open_store(keep_days=2)
    store.add_job(make_job(every=1))
    run_many(store, 14)
    store.prune(START + 2 * DAY + 11 * SECOND)
    assert [run.nominal for run in store.get_runs()] == [START + n * SECOND for n in (13, 12, 11, 10)]


def test_dead_nodes_are_remembered_for_a_day(open_store: Open) -> None:
    store = open_store()
    store.renew(NODE, START, LEASE)
    store.prune(START + LEASE + DAY)
    assert not store.renew(NODE, START + LEASE + DAY, LEASE)
    store.prune(START + LEASE + DAY + 1)
    assert store.renew(NODE, START + LEASE + DAY + 1, LEASE)


# ---------------------------------------------------------------------------------------------- many hands, one database


def test_threads_share_a_store(open_store: Open) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(60)])
    claimed: list[str] = []
    failures: list[BaseException] = []

    def work(node: str) -> None:
        try:
            store.renew(node, START, LEASE)
            while jobs := store.due(START, {"default": 7}):
                won = store.claim([plan(job, START) for job in jobs], node, START)
                runs = [run for decision in won for run in decision.runs]
                claimed.extend(run.job_id for run in runs)
                assert finish(store, runs) == []
                store.get_runs(limit=3)
        except BaseException as exc:
            failures.append(exc)

    threads = [threading.Thread(target=work, args=(f"node-{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
    assert failures == []
    assert sorted(claimed) == sorted(f"job{number}" for number in range(60))
    assert {job.running for job in store.get_all_jobs()} == {0}


WORKER_PROGRAM = """
import sys
from rota.core.plan import plan
from rota.core.run import succeed
from rota.jobstores.mongodb import MongoDBJobStore
from rota.testing.contract_jobs import LEASE, START

store = MongoDBJobStore(url=sys.argv[1])
store.start(None, "default")
node = sys.argv[2]
store.renew(node, START, LEASE)
print("ready", flush=True)
sys.stdin.readline()
count = 0
while jobs := store.due(START, {"default": 20}):
    won = store.claim([plan(job, START) for job in jobs], node, START)
    runs = [run for decision in won for run in decision.runs]
    for run in runs:
        succeed(run, None, START)
    assert store.finish(runs, START) == []
    count += len(runs)
print(count, flush=True)
store.shutdown()
"""


def test_two_processes_claim_every_due_job_exactly_once(mongodb_url: str, open_store: Open) -> None:
    store = open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(400)])
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER_PROGRAM, mongodb_url, f"process-{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        counts = [int(worker.communicate(timeout=50)[0]) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    assert sum(counts) == 400
    runs = store.get_runs(limit=5000)
    assert len({run.job_id for run in runs}) == len(runs) == 400
    assert {run.status for run in runs} == {SUCCEEDED}
    assert {job.running for job in store.get_all_jobs()} == {0}
    by_owner = [sum(run.owner == f"process-{number}" for run in runs) for number in range(2)]
    assert by_owner == counts


def test_two_nodes_that_rescue_at_once_share_and_never_double(open_store: Open) -> None:
    store, other = open_store(), open_store()
    store.add_jobs([make_job(f"job{number}") for number in range(20)])
    assert len(claim(store)) == 20
    later = START + LEASE + 1
    taken: dict[str, list[str]] = {}

    def rescue(node: str, through: MongoDBJobStore) -> None:
        through.renew(node, later, LEASE)
        taken[node] = [run.job_id for run in through.rescue(node, later)]

    threads = [threading.Thread(target=rescue, args=arguments) for arguments in (("a", store), ("b", other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(taken["a"] + taken["b"]) == sorted(f"job{number}" for number in range(20))
    assert {run.attempt for run in store.get_runs(status=CLAIMED)} == {2}


def test_a_job_that_was_removed_is_gone_for_all(open_store: Open) -> None:
    store, other = open_store(), open_store()
    store.add_job(make_job())
    decisions = decide(other)
    store.remove_job("job")
    with pytest.raises(JobLookupError):
        other.remove_job("job")
    other.renew(NODE, START, LEASE)
    assert other.claim(decisions, NODE, START) == []


def test_an_end_that_comes_after_a_rescue_is_refused_and_files_nothing(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    (stale,) = claim(store)
    later = START + LEASE + 1
    store.renew(OTHER, later, LEASE)
    (run,) = store.rescue(OTHER, later)
    succeed(stale, None, later)
    assert store.finish([stale], later) == [stale]
    assert statuses(store) == [CLAIMED]
    assert finish(store, [run], later) == []
    assert statuses(store) == [SUCCEEDED]


def test_a_scheduler_finds_its_store_by_url(mongodb_url: str) -> None:
    scheduler = BackgroundScheduler(jobstores={"default": mongodb_url})
    scheduler.start()
    try:
        ended = threading.Event()
        scheduler.add_listener(lambda event: ended.set(), 2**12)
        scheduler.add_job("rota.testing.contract_jobs:task", id="job")
        assert ended.wait(20)
        assert [run.status for run in scheduler.get_runs("job")] == [SUCCEEDED]
        assert scheduler.get_jobs() == []
    finally:
        scheduler.shutdown()
