"""The MongoDB store on a server: connection, collections, damage, what a dead process leaves, retention, processes.

On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HOUR, SECOND, SYSTEM_CLOCK
from rota.core.extras import RETRY, extra_of
from rota.core.plan import plan, quarantine
from rota.core.retry import Retry
from rota.core.run import fail
from rota.core.states import (
    CANCELLED,
    CLAIMED,
    FAILED,
    LOST,
    QUARANTINED,
    SKIPPED,
    SUCCEEDED,
    WAITING,
    end,
    succeed,
)
from rota.errors import (
    ConfigurationError,
    HeldRowsError,
    JobValueError,
    SchemaError,
    StoreUnavailableError,
)
from rota.testing.contracts.chains import add_chain, child, started
from rota.testing.contracts.orders import asked_for
from rota.testing.contracts.store_jobs import (
    LEASE,
    NODE,
    OTHER,
    START,
    at_once,
    claim,
    due_ids,
    finish,
    make_job,
    running,
    statuses,
)
from tests.needs import need
from tests.servers.process import free_port

pymongo = need("pymongo", "mongodb")

from pymongo import monitoring  # noqa: E402

from rota.jobstores.mongodb import MongoDBJobStore  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[..., MongoDBJobStore]


@pytest.fixture
def open_store(mongodb_url: str) -> Iterator[Open]:
    """Return a function that opens a started store on an empty database."""
    stores: list[MongoDBJobStore] = []

    def make(**options: Any) -> MongoDBJobStore:
        if "client" not in options:
            options["url"] = mongodb_url
        store = MongoDBJobStore(**options)
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
        ({"database": ""}, "database"),
        ({"collection": ""}, "collection"),
    ],
)
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


def test_a_client_that_was_passed_in_stays_open(mongodb_url: str, open_store: Open) -> None:
    with pymongo.MongoClient(mongodb_url, tz_aware=True) as client:
        database = client.get_default_database().name
        store = open_store(client=client, database=database)
        store.add_job(make_job())
        assert store.renew(NODE, SYSTEM_CLOCK.now(), LEASE) is None
        assert store.clock_offset is not None
        store.shutdown()
        assert client[database]["jobs"].count_documents({}) == 1


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


@pytest.mark.parametrize("collection", ["jobs", "runs", "nodes"])
def test_collections_of_somebody_else_are_refused(
    mongodb_url: str, open_store: Open, collection: str
) -> None:
    with pymongo.MongoClient(mongodb_url) as client:
        client.get_default_database()[collection].insert_one({"_id": "x", "job_state": b""})
        with pytest.raises(SchemaError, match="another collection"):
            open_store()
        assert client.get_default_database()[collection].count_documents({}) == 1


# ------------------------------------------------------------------------------------------- data, damaged and otherwise


def test_jobs_and_runs_are_readable_without_rota(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(args=("a",), name="greeting"))
    finish(store, claim(store))
    document = store.collection.find_one()
    assert (document["_id"], document["name"], document["args"]) == ("job", "greeting", '["a"]')
    assert document["func"] == "rota.testing.contracts.store_jobs:task"
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


def test_a_job_whose_document_would_have_no_room_for_runs_is_refused(open_store: Open) -> None:
    store = open_store()
    for refuse in (store.check_job, store.add_job, lambda job: store.add_jobs([job])):
        with pytest.raises(
            JobValueError, match=r"takes 12\d{6} bytes, and this store keeps 12000000 of each"
        ):
            refuse(make_job(args=("✓" * 4_000_000,)))
    store.add_job(make_job(args=("✓" * 3_900_000,)))
    (run,) = claim(store)
    fail(run, ValueError("✓" * 50_000), "✓" * 50_000, START)
    assert store.finish([run], START) == []
    assert statuses(store) == [FAILED]


def test_a_stored_job_that_has_no_room_for_runs_is_quarantined_and_costs_nobody_else(
    open_store: Open,
) -> None:
    store = open_store()
    for id in ("full", "neighbour"):
        store.add_job(make_job(id))
    store.collection.update_one({"_id": "full"}, {"$set": {"args": f'["{"x" * 15_900_000}"]'}})
    (full,) = [job for job in store.due(START, {"default": 10}) if job.id == "full"]
    assert "keeps 12000000 of each" in (full.error or "")
    store.renew(NODE, START, LEASE)
    decisions = [
        quarantine(job, job.error or "") if job.state == QUARANTINED else plan(job, START)
        for job in store.due(START, {"default": 10})
    ]
    won = store.claim(decisions, NODE, START)
    assert [run.job_id for decision in won for run in decision.runs] == ["neighbour"]
    assert due_ids(store) == []
    assert store.heal(START) == []


def test_a_document_of_another_program_among_the_jobs_is_parked_and_kept(open_store: Open) -> None:
    from bson import ObjectId

    store = open_store()
    store.add_job(make_job("good"))
    foreign = {**store.collection.find_one(), "_id": ObjectId(), "next_due": START - 1}
    store.collection.insert_one(foreign)
    store.collection.insert_one({"_id": "bare", "when": 7})
    assert due_ids(store) == ["good"]
    assert store.next_due(["default"]) == START
    assert {job.id for job in store.get_all_jobs() if job.state == QUARANTINED} >= {"bare"}
    (hidden,), ended = store.mend(START)
    assert (hidden.id, hidden.state, ended) == ("bare", QUARANTINED, [])
    parked = store.collection.find_one({"_id": foreign["_id"]})
    assert (parked["state"], parked["args"]) == (QUARANTINED, foreign["args"])
    assert "its id must be a text" in parked["error"]
    store.heal(START)
    store.remove_job("bare")


def test_what_was_damaged_of_a_job_is_kept_beside_it(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    store.collection.update_one({}, {"$set": {"version": "v1", "next_nominal": [1], "under_way": "none"}})
    store.renew(NODE, START, LEASE)
    (job,) = store.due(START, {"default": 1})
    assert len(store.claim([quarantine(job, job.error or "")], NODE, START)) == 1
    found = store.collection.find_one()
    assert found["damaged"] == {"version": "v1", "next_nominal": [1], "under_way": "none"}
    assert (found["state"], found["under_way"]) == (QUARANTINED, [])
    assert store.heal(START) == [], "nobody knows its next time"


def test_a_damaged_run_is_recorded_as_lost_with_what_was_there(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    claim(store)
    store.collection.update_one({}, {"$set": {"under_way.0.attempt": "first"}})
    store.renew(OTHER, START, LEASE)
    (run,) = store.rescue(OTHER, START)
    assert (run.status, run.nominal) == ("lost", START)
    assert "attempt must be a number from 0 up, got 'first'" in (run.reason or "")
    assert [(record.status, record.reason) for record in store.get_runs()] == [("lost", run.reason)]
    assert store.collection.database["runs"].find_one()["damaged"]["attempt"] == "first"
    assert running(store) == 0


def test_a_damaged_record_is_passed_over(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    finish(store, claim(store))
    store.collection.database["runs"].update_one({}, {"$unset": {"attempt": 1}})
    assert store.get_runs() == []


@pytest.mark.parametrize(
    "value", [float("nan"), -(2**63), -1, 1.5, 2**62, 2**63 - 1, True, "damaged", [1, [2]], {"a": 1}, None]
)
def test_a_damaged_time_of_a_jobs_waiting_runs_stops_nobody_and_is_put_right(
    open_store: Open, value: Any
) -> None:
    store = open_store()
    store.add_jobs([make_job("waits"), make_job("other")])
    time = START + 10 * SECOND
    assert store.open_runs([asked_for("waits", time), asked_for("other", time + 1)], START)
    store.collection.update_one({"_id": "waits"}, {"$set": {"not_before": value}})
    store.next_waiting()
    store.renew(NODE, START, LEASE)
    assert store.take_waiting(NODE, START, None) == []
    following = store.next_waiting()  # it is not asked again at once
    assert following is not None
    assert following >= time
    list(store.mend_in_steps(START))
    assert store.next_waiting() == time


@pytest.mark.parametrize("value", ["damaged", CLAIMED, None, 7, [1], {"a": 1}])
def test_a_waiting_run_whose_state_is_damaged_is_lost_and_says_why(open_store: Open, value: Any) -> None:
    store = open_store()
    store.add_job(make_job("waits"))
    runs = [asked_for("waits", START + 10 * SECOND, nominal=START + number) for number in (1, 2)]
    assert len(store.open_runs(runs, START)) == 2
    store.collection.update_one({"_id": "waits"}, {"$set": {"pending.0.status": value}})
    assert store.cancel_run("waits", START + 2, "not wanted", START)  # which files what has ended
    ((_, (run,)),) = store.mend_in_steps(START)
    assert (run.nominal, run.status) == (START + 1, LOST)
    assert "its stored data is damaged: " in (run.reason or "")
    store.renew(OTHER, START, LEASE)
    assert list(store.rescue(OTHER, START)) == []
    assert [(run.nominal, run.status) for run in store.get_runs("waits")] == [
        (START + 2, CANCELLED),
        (START + 1, LOST),
    ]
    assert "not_before" not in (store.collection.find_one({"_id": "waits"}) or {})


def test_runs_are_asked_for_beside_a_damaged_one_which_ends_under_a_time_of_its_own(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job("waits", START + 3600 * SECOND))
    assert store.open_runs([asked_for("waits", START, nominal=START + 1)], START)
    store.collection.update_one({"_id": "waits"}, {"$set": {"pending.0.nominal": [1, [2]]}})
    assert store.open_runs([asked_for("waits", START, nominal=START + 5)], START)
    store.renew(NODE, START, LEASE)
    (lost,) = store.take_waiting(NODE, START + 5, None)
    assert (lost.nominal, lost.status) == (START + 6, LOST)
    (run,) = store.take_waiting(NODE, START + 5, None)
    assert (run.nominal, run.status) == (START + 5, CLAIMED)


def test_a_retry_that_does_not_say_what_it_waits_for_starts_in_its_own_place(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job("waits", every=3600, retry=Retry(wait_initial=60, until=None)))
    (run,) = claim(store)
    extra_of(run).waiting_for, extra_of(run).not_before = RETRY, START + SECOND
    run.started_at = START
    assert store.give_back([run], START) == []
    store.collection.update_one({"_id": "waits"}, {"$set": {"under_way.0.extra": "{broken"}})
    (taken,) = store.take_waiting(NODE, START + SECOND, None)
    assert (taken.nominal, taken.status) == (START, CLAIMED)
    assert running(store, "waits") == 1


@pytest.mark.parametrize("value", [float("nan"), [1, [2]], "damaged", None])
def test_a_record_whose_time_is_damaged_keeps_no_others_from_being_counted(
    open_store: Open, value: Any
) -> None:
    store = open_store(keep_runs=1)
    store.add_job(make_job())
    for number in range(3):
        now = START + number * 60 * SECOND
        assert finish(store, claim(store, now), now) == []
    damaged = {"_id": {"job_id": "job", "nominal": START}}
    assert store._server.runs.update_one(damaged, {"$set": {"nominal": value}}).matched_count
    store.prune(START + DAY)
    assert store.run_counts(START, START + HOUR)[START][SUCCEEDED] >= 2


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
        patch.setattr(type(store._filing), "file", lambda self, ids, ask=True: None)
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


class WritesOfRecords(monitoring.CommandListener):
    """Keeps how many records each command wrote that wrote some."""

    def __init__(self) -> None:
        self.found: list[tuple[str, int]] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        for name in ("documents", "updates"):
            if event.command.get(event.command_name) == "runs" and name in event.command:
                self.found.append((event.command_name, len(event.command[name])))

    def succeeded(self, event: object) -> None: ...

    def failed(self, event: object) -> None: ...


def test_records_are_inserted_together_and_only_those_of_before_are_replaced(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = WritesOfRecords()
    store = open_store(event_listeners=[writes])
    ids = ["a", "b", "c"]
    for id in ids:
        store.add_job(make_job(id))
    assert finish(store, claim(store)) == []
    assert writes.found == [("insert", 3)]
    later = START + 600 * SECOND
    store.renew(NODE, later, LEASE)
    runs = claim(store, later)
    with monkeypatch.context() as patch:
        patch.setattr(type(store._filing), "file", lambda self, ids, ask=True: None)
        assert finish(store, runs, later) == []
    # One record is there from before its run was opened again; another one was written by somebody who died then.
    (run,) = (run for run in runs if run.job_id == "b")
    there = {"job_id": "b", "nominal": run.nominal}
    store._server.runs.insert_one({"_id": there, **there, "status": FAILED})
    (written,) = store.collection.find_one({"_id": "c"})["pending"]
    there = {"job_id": "c", "nominal": written["nominal"]}
    store._server.runs.insert_one({"_id": there, "job_id": "c", **written})
    writes.found.clear()
    store._filing.file(ids)
    assert writes.found == [("insert", len(runs)), ("update", 1)]
    found = list(store._server.runs.find({"nominal": run.nominal}).sort("job_id", 1))
    assert [(record["job_id"], record["status"]) for record in found] == [(id, SUCCEEDED) for id in ids]
    assert not list(store.collection.find({"pending": {"$ne": []}}))


def test_a_time_that_was_left_unfiled_is_not_taken_again(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store()
    store.add_job(make_job(max_instances=3))
    runs = claim(store)
    with monkeypatch.context() as patch:
        patch.setattr(type(store._filing), "file", lambda self, ids, ask=True: None)
        finish(store, runs)
    found = store.lookup_job("job")
    assert found is not None
    found.set_next(START)
    assert store.save_job(found, found.version)
    assert claim(store) == []
    assert [(run.nominal, run.status) for run in store.get_runs()] == [(START, SUCCEEDED)]


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


def test_the_ids_of_jobs_that_are_over_can_be_used_again_by_many(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job(every=None))
    runs = claim(store)
    store.add_jobs([make_job(due=START + SECOND), make_job("other")])
    assert running(store) == 1
    assert finish(store, runs) == []
    assert running(store) == 0


# ---------------------------------------------------------------------------------------------- many hands, one database


def test_an_end_that_comes_after_a_rescue_is_refused_and_files_nothing(open_store: Open) -> None:
    store = open_store()
    store.add_job(make_job())
    (stale,) = claim(store)
    later = START + LEASE + SECOND
    store.renew(OTHER, later, LEASE)
    (run,) = store.rescue(OTHER, later)
    succeed(stale, None, later)
    assert store.finish([stale], later) == [stale]
    assert statuses(store) == [CLAIMED]
    assert finish(store, [run], later) == []
    assert statuses(store) == [SUCCEEDED]


class InTransaction:
    """The collection of jobs while an application's transaction has changed the document of one: who writes it is refused."""

    def __init__(self, jobs: Any, held: str, code: int) -> None:
        self._jobs = jobs
        self._held = held
        self._code = code

    def __getattr__(self, name: str) -> Any:
        return getattr(self._jobs, name)

    def bulk_write(self, updates: list[Any], ordered: bool = True) -> Any:
        free = [update for update in updates if self._held not in str(update._filter)]
        if len(free) == len(updates):
            return self._jobs.bulk_write(updates, ordered=ordered)
        if free and not ordered:
            self._jobs.bulk_write(free, ordered=False)
        raise pymongo.errors.BulkWriteError(
            {"writeErrors": [{"index": 0, "code": self._code, "errmsg": "conflict"}]}
        )


@pytest.mark.parametrize("code", [112, 50], ids=["a conflict", "waited in vain"])
def test_a_document_in_an_open_transaction_costs_its_own_job_a_moment_and_no_other_one(
    open_store: Open, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    store = open_store()
    for id in ("a", "held", "z"):
        store.add_job(make_job(id))
    with monkeypatch.context() as patch:
        patch.setattr(store._server, "jobs", InTransaction(store._server.jobs, "held", code))
        runs = claim(store)
        assert sorted(run.job_id for run in runs) == ["a", "z"]
        assert claim(store) == []
    runs += claim(store)
    assert sorted(run.job_id for run in runs) == ["a", "held", "z"]
    assert {job.state for job in store.get_all_jobs()} == {"active"}
    for run in runs:
        succeed(run, None, START)
    with monkeypatch.context() as patch:
        patch.setattr(store._server, "jobs", InTransaction(store._server.jobs, "held", code))
        with pytest.raises(HeldRowsError) as raised:
            store.finish(runs, START)
        assert [run.job_id for run in raised.value.runs] == ["held"]
        assert sorted(run.job_id for run in store.get_runs(status=SUCCEEDED)) == ["a", "z"]
    assert store.finish(raised.value.runs, START) == []
    assert statuses(store, "held") == [SUCCEEDED]
    assert [running(store, id) for id in ("a", "held", "z")] == [0, 0, 0]


# --------------------------------------------------------------------------------------------------------------- chains


def test_what_a_dead_node_has_not_filed_starts_the_next_job_once(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, other = open_store(), open_store()
    add_chain(store, child())
    (run,) = claim(store)
    with monkeypatch.context() as patch:
        patch.setattr(
            store._filing, "_file", lambda ids, ask: []
        )  # it dies right after it has written the end
        assert finish(store, [run]) == []
    assert (statuses(store), started(store)) == ([SUCCEEDED], [])
    later = START + 2 * SECOND
    other.renew(OTHER, later, LEASE)
    assert other.rescue(OTHER, later) == []
    assert started(store) == [(WAITING, f"job@{START}#1")]
    assert statuses(store) == [SUCCEEDED]
    # The node was only slow, and goes on where it was; and it does not know that its end was written.
    store._filing.file(["job"])
    assert finish(store, [run]) == []
    assert started(store) == [(WAITING, f"job@{START}#1")]


def test_nodes_that_file_the_same_end_at_once_start_the_next_job_once(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = open_store(), open_store()
    for number in range(10):
        parent = make_job(f"job{number}")
        parent.chained = True
        stores[0].add_job(parent)
        stores[0].add_job(child(f"after{number}", after=parent.id))
    runs = claim(stores[0])
    with monkeypatch.context() as patch:
        patch.setattr(stores[0]._filing, "_file", lambda ids, ask: [])
        finish(stores[0], runs)
    ids = sorted(run.job_id for run in runs)
    assert len(ids) == 10
    at_once(2, lambda number: stores[number]._filing.file(ids))
    stores[0]._filing.file(ids)  # what each has left to the other
    waiting = stores[0].get_runs(status=WAITING)
    assert sorted(str(run.parent) for run in waiting) == sorted(run.id for run in runs)
    assert len(stores[0].get_runs(status=SUCCEEDED)) == 10
