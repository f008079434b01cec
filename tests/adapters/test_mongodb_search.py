"""What the MongoDB store sends for plain jobs, which indexes its searches use, and what it keeps of hours and edits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import DAY, HOUR, MINUTE, SECOND
from rota.core.changes import Change
from rota.core.extras import RETRY, extra_of
from rota.core.plan import plan
from rota.core.queries import JobQuery, RunQuery
from rota.core.run import fail
from rota.core.states import CANCELLED, CLAIMED, LOST, SUCCEEDED, WAITING, succeed
from rota.testing.contracts.orders import EARLY, KEY, asked_for
from rota.testing.contracts.store_jobs import LEASE, NODE, START, claim, finish, make_job
from rota.testing.contracts.waiting import take
from tests.needs import need

pymongo = need("pymongo", "mongodb")

from pymongo.monitoring import CommandListener  # noqa: E402

from rota.jobstores.mongodb import MongoDBJobStore  # noqa: E402
from rota.triggers.base import BaseTrigger  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

#: what a plain job sends, as it did before there were searches
PLAIN = {
    "add_job": [
        (
            'insert jobs [{"_id":0,"args":0,"error":0,"executor":0,"func":0,"kwargs":0,"name":0,"next_due":0,"nex'
            't_nominal":0,"options":0,"pending":[],"state":0,"trigger":0,"under_way":[],"version":0}]'
        ),
    ],
    "due": [
        'find jobs {"filter":{"executor":0,"next_due":{"$lte":0},"state":0},"limit":0,"sort":{"next_due":0}}',
    ],
    "claim": [
        'find nodes {"filter":{"_id":0},"limit":0,"singleBatch":0}',
        'find runs {"filter":{"_id":{"$in":[{"job_id":0,"nominal":0}]}},"projection":{"_id":0}}',
        (
            'update jobs [{"multi":0,"q":{"_id":0,"under_way.0":{"$exists":0},"version":0},"u":{"$push":{"under_w'
            'ay":{"$each":[{"attempt":0,"claim":0,"claimed":0,"count":0,"due":0,"executor":0,"last":0,"nominal":0'
            ',"owner":0,"status":0}]}},"$set":{"busy":0,"claim":0,"error":0,"next_due":0,"next_nominal":0,"state"'
            ':0,"version":0}},"upsert":0}]'
        ),
    ],
    "finish": [
        (
            'update jobs [{"multi":0,"q":{"_id":0,"under_way":{"$elemMatch":{"attempt":0,"nominal":0,"owner":0}}}'
            ',"u":{"$pull":{"under_way":{"nominal":0}},"$push":{"pending":{"attempt":0,"claimed":0,"count":0,"due'
            '":0,"executor":0,"finished":0,"last":0,"nominal":0,"owner":0,"started":0,"status":0}}},"upsert":0}]'
        ),
        'find jobs {"filter":{"_id":{"$in":[0]},"pending.0":{"$exists":0}},"projection":{"pending":0}}',
        (
            'insert runs [{"_id":{"job_id":0,"nominal":0},"attempt":0,"claimed":0,"count":0,"due":0,"executor":0,"'
            'finished":0,"job_id":0,"last":0,"nominal":0,"owner":0,"started":0,"status":0}]'
        ),
        (
            'update jobs [{"multi":0,"q":{"_id":0},"u":{"$pull":{"pending":{"nominal":{"$in":[0]}}}},"upsert":0},'
            '{"multi":0,"q":{"_id":{"$in":[0]},"next_due":0,"under_way":[]},"u":[{"$set":{"next_due":0}}]},{"mult'
            'i":0,"q":{"_id":{"$in":[0]},"pending":[],"under_way":[]},"u":{"$unset":{"busy":0}}}]'
        ),
        'delete jobs [{"limit":0,"q":{"_id":{"$in":[0]},"pending":[],"state":{"$in":[0,0]},"under_way":[]}}]',
    ],
    "remove_job": [
        'delete jobs [{"limit":0,"q":{"_id":0,"busy":{"$exists":0},"state":{"$nin":[0,0]}}}]',
    ],
}


class Sent(CommandListener):
    """Keeps what is sent, without the values."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    def started(self, event: Any) -> None:
        name, command = event.command_name, event.command
        if name in ("hello", "endSessions"):
            return
        what = {
            key: value
            for key, value in command.items()
            if key not in (name, "$db", "lsid", "txnNumber", "ordered", "$readPreference")
        }
        parts = next((what[key] for key in ("documents", "updates", "deletes") if key in what), what)
        text = json.dumps(_without_values(parts), sort_keys=True, separators=(",", ":"))
        self.sent.append(f"{name} {command[name]} {text}")

    def succeeded(self, event: Any) -> None:
        """Do nothing."""

    failed = succeeded

    def taken(self) -> list[str]:
        """Return what was sent since the last call."""
        sent, self.sent = self.sent, []
        return sent


def _without_values(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_values(each) for key, each in value.items()}
    return [_without_values(each) for each in value] if isinstance(value, (list, tuple)) else 0


@pytest.fixture
def listener() -> Sent:
    return Sent()


@pytest.fixture
def store(mongodb_url: str, listener: Sent) -> Iterator[MongoDBJobStore]:
    with pymongo.MongoClient(mongodb_url, event_listeners=[listener]) as client:
        store = MongoDBJobStore(client=client, database=client.get_default_database().name)
        store.start(None, "default")
        yield store
        store.shutdown()


def test_a_plain_job_sends_what_it_always_sent(
    store: MongoDBJobStore, listener: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseTrigger, "some_chain", False)  # other tests of this process have chains
    found = {}

    def step(name: str) -> None:
        found[name] = listener.taken()

    store.renew(NODE, START, LEASE)
    listener.taken()
    store.add_job(make_job(args=(1,)))
    step("add_job")
    (job,) = store.due(START, {"default": 10})
    step("due")
    ((run,),) = [decision.runs for decision in store.claim([plan(job, START)], NODE, START)]
    step("claim")
    run.started_at = START
    succeed(run, None, START)
    assert store.finish([run], START) == []
    step("finish")
    store.remove_job("job")
    step("remove_job")
    assert found == PLAIN


def test_a_job_that_fails_sends_one_update_more_which_lets_it_stay_if_it_is_over(
    store: MongoDBJobStore, listener: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseTrigger, "some_chain", False)
    store.add_job(make_job(every=None))
    (run,) = claim(store)
    run.started_at = START
    fail(run, ValueError("no"), "frames", START)
    listener.taken()
    assert store.finish([run], START) == []
    sent = listener.taken()
    assert [text.split(" ", 2)[:2] for text in sent] == [text.split(" ", 2)[:2] for text in PLAIN["finish"]]
    keeping = (
        '{"multi":0,"q":{"_id":0,"pending":{"$not":{"$elemMatch":{"nominal":{"$nin":[0]}}}},"state":0,"under_way":[]},'
        '"u":{"$set":{"state":0}},"upsert":0},'
    )
    assert sent[-2].replace(keeping, "") == PLAIN["finish"][-2]
    assert [document["state"] for document in store.collection.find()] == ["over"]


def test_a_job_with_tags_and_a_revision_has_them_in_its_document_and_loses_them_again(
    store: MongoDBJobStore,
) -> None:
    store.add_job(make_job(tags=("red",)))
    found = store.collection.find_one()
    assert (found["tags"], "revision" in found, "paused" in found) == (["red"], False, False)
    job = store.lookup_job("job")
    assert job is not None
    job.tags, job.revision, job.paused = (), 3, "{}"
    assert store.save_job(job, job.version)
    found = store.collection.find_one()
    assert ("tags" in found, found["revision"], found["paused"]) == (False, 3, "{}")


def test_what_is_damaged_beside_a_job_or_a_lease_says_nothing(store: MongoDBJobStore) -> None:
    store.add_job(make_job())
    store.collection.update_one({}, {"$set": {"revision": "x", "paused": 7, "durations": [1], "tags": "red"}})
    job = store.lookup_job("job")
    assert job is not None
    assert (job.state, job.revision, job.paused) == ("active", 0, None)
    assert store.durations("job") is None
    assert [found.id for found in store.find_jobs(JobQuery()).items] == ["job"]


def test_a_job_that_comes_after_one_that_is_over_has_nothing_of_it(store: MongoDBJobStore) -> None:
    store.add_job(make_job(every=None, tags=("red",)))
    claim(store)
    store.collection.update_one({}, {"$set": {"durations": "[]", "revision": 7}})
    store.add_job(make_job())
    found = store.collection.find_one()
    assert {"tags", "durations", "revision"} & set(found) == set()


@pytest.mark.parametrize(
    ("collection", "condition", "sort"),
    [
        ("runs", {"status": SUCCEEDED, "nominal": {"$gte": 0, "$lt": START}}, "nominal"),
        ("runs", {"job_id": "a", "nominal": {"$gte": 0, "$lt": START}}, "nominal"),
        ("runs", {"nominal": {"$gte": 0, "$lt": START}}, "nominal"),
        ("jobs", {"name": {"$gt": "a"}}, "name"),
        ("jobs", {"func": {"$gte": "package.module:", "$lt": "package.module;"}}, "func"),
        ("jobs", {"state": "active", "executor": "default", "next_due": {"$gte": 0}}, "next_due"),
    ],
)
def test_pages_are_read_by_an_index(
    store: MongoDBJobStore, collection: str, condition: dict[str, Any], sort: str
) -> None:
    found = store.collection.database[collection].find(condition).sort(sort, 1).limit(5).explain()
    assert "IXSCAN" in str(found["queryPlanner"]["winningPlan"])


def test_hours_are_counted_once_in_steps_and_stay_when_their_records_are_forgotten(
    store: MongoDBJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rota.jobstores.mongodb import beside

    monkeypatch.setattr(beside, "RECORDS", 2)
    store.add_job(make_job(every=20 * 60))
    for number in range(9):
        now = START + number * 20 * MINUTE
        finish(store, claim(store, now), now)
    before = store.run_counts(START, START + DAY)
    assert before == {START + hour * HOUR: {SUCCEEDED: 3} for hour in range(3)}
    steps = list(store.prune_in_steps(START + 2 * HOUR + MINUTE))
    hours = store.collection.database["run_hours"]
    assert [row["_id"] for row in hours.find()] == [START]
    assert len(steps) > 3
    later = START + 10 * HOUR
    store.prune(later)
    assert [row["_id"] for row in hours.find().sort("_id", 1)] == [START + hour * HOUR for hour in range(3)]
    store.collection.database["runs"].delete_many({})
    assert store.run_counts(START, START + DAY) == before
    store.prune(START + 401 * DAY)
    assert list(hours.find()) == []


def test_a_count_by_hour_that_is_damaged_costs_its_own_hour_at_most(store: MongoDBJobStore) -> None:
    store.add_job(make_job(every=3600))
    for hour in range(2):
        finish(store, claim(store, START + hour * HOUR), START + hour * HOUR)
    store.prune(START + 5 * HOUR)
    database = store.collection.database
    for damage in ("x", None, -1, 7.5, [1], {"at": 1}):
        database["run_hours"].update_one({"_id": START}, {"$set": {"counts": damage}})
        database["meta"].update_one({"_id": "hours"}, {"$set": {"until": damage, "at": damage}})
        counts = store.run_counts(START, START + DAY)
        assert counts[START + HOUR] == {SUCCEEDED: 1}, damage
        store.prune(START + 5 * HOUR)
        assert store.run_counts(START, START + DAY)[START + HOUR] == {SUCCEEDED: 1}, damage


def test_edits_of_jobs_that_are_gone_are_forgotten(store: MongoDBJobStore) -> None:
    for id in ("gone", "here"):
        store.add_job(make_job(id))
        store.note_change(id, Change(1, START, "me", "name"))
    store.remove_job("gone")
    store.prune(START + DAY)
    assert [found["_id"] for found in store.collection.database["job_edits"].find()] == ["here"]


def test_jobs_of_one_due_time_are_found_page_by_page(store: MongoDBJobStore) -> None:
    ids = [f"job{number:02}" for number in range(12)]
    store.add_jobs([make_job(id) for id in reversed(ids)])
    for node, number in (("one", 0), ("two", 1)):  # these wait for their runs
        (job,) = [job for job in store.due(START, {"default": 99}) if job.id == ids[number]]
        store.renew(node, START, LEASE)
        assert store.claim([plan(job, START)], node, START)
    for limit in (1, 5):
        found, cursor = [], None
        while True:
            page = store.find_jobs(JobQuery(sort="due"), limit, cursor)
            found += [job.id for job in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == [*ids[2:], *ids[:2]]


def test_records_of_one_time_are_found_page_by_page(store: MongoDBJobStore) -> None:
    ids = [f"job{number:02}" for number in range(7)]
    store.add_jobs([make_job(id) for id in ids])
    finish(store, claim(store))
    for query in (RunQuery(), RunQuery(statuses=SUCCEEDED), RunQuery(nodes=NODE)):
        found, cursor = [], None
        while True:
            page = store.find_runs(query, 2, cursor)
            found += [run.job_id for run in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == ids


def test_a_search_in_vain_reads_records_by_their_keys(store: MongoDBJobStore, listener: Sent) -> None:
    store.add_job(make_job())
    for minute in range(3):
        now = START + minute * 60 * SECOND
        finish(store, claim(store, now), now)
    listener.taken()
    assert store.find_runs(RunQuery(text="nothing"), 2).items == []
    assert not any("skip" in sent for sent in listener.taken())


# ---------------------------------------------------------------------------------------------------- runs that wait


def test_jobs_of_which_all_runs_wait_are_not_looked_through_for_runs_under_way(
    store: MongoDBJobStore, listener: Sent
) -> None:
    for id in ("asked for", "retry"):
        store.add_job(make_job(id))
    store.open_runs([asked_for("asked for")], EARLY)
    (run,) = [run for run in claim(store) if run.job_id == "retry"]
    extra = extra_of(run)
    extra.waiting_for, extra.not_before = RETRY, START + 90 * SECOND
    assert store.give_back([run], START) == []
    store.rescue(NODE, START)
    found = {document["_id"]: document["busy"] for document in store.collection.find()}
    assert found == {"asked for": True, "retry": "waits"}, "one has a claimed run, too"


def test_runs_that_wait_are_found_among_the_others_page_by_page(store: MongoDBJobStore) -> None:
    for number in range(3):
        store.add_job(make_job(f"job{number}", START + 10 * SECOND))
    store.open_runs(
        [asked_for(f"job{number}", nominal=KEY + time) for number in range(3) for time in (0, 5)], EARLY
    )
    finish(store, claim(store, START + 10 * SECOND), START + 10 * SECOND)
    store.collection.update_one({"_id": "job1"}, {"$set": {"under_way": "damaged"}})
    times = (START + 10 * SECOND, KEY + 5, KEY)
    wanted = [(f"job{number}", time) for time in times for number in range(3)]
    for query, keys in ((RunQuery(), wanted), (RunQuery(statuses=WAITING), wanted[3:])):
        found, cursor = [], None
        while True:
            page = store.find_runs(query, 2, cursor)
            found += [(run.job_id, run.nominal) for run in page.items]
            cursor = page.cursor
            if cursor is None:
                break
        assert found == keys
        assert store.count_runs(query) == len(keys)


def test_a_waiting_run_that_is_damaged_ends_and_others_start(store: MongoDBJobStore) -> None:
    for id in ("damaged", "sound"):
        store.add_job(make_job(id, None))
        store.open_runs([asked_for(id)], EARLY)
    store.collection.update_one({"_id": "damaged"}, {"$set": {"pending.0.due": "never"}})
    taken = {run.job_id: run.status for run in take(store)}
    assert taken == {"damaged": LOST, "sound": CLAIMED}
    (record,) = store.get_runs("damaged")
    assert (record.status, "due must be a time" in (record.reason or "")) == (LOST, True)


@pytest.mark.parametrize("field", ["not_before", "next_due"])
def test_times_of_a_job_that_are_an_array_are_nobodys_next_time(store: MongoDBJobStore, field: str) -> None:
    """To MongoDB an array is whatever its elements are."""
    store.add_jobs([make_job("damaged"), make_job("sound", due=START + MINUTE)])
    store.collection.update_one({"_id": "damaged"}, {"$set": {field: [1, START]}})
    assert store.next_waiting() is None
    assert store.next_due(["default"]) == (START if field == "not_before" else START + MINUTE)


@pytest.mark.parametrize("damage", [None, "soon", 2**62, 1.5, [EARLY + DAY]])
def test_a_waiting_run_whose_time_is_lost_is_found_by_housekeeping(
    store: MongoDBJobStore, damage: Any
) -> None:
    store.add_job(make_job(due=None))
    store.open_runs([asked_for()], EARLY)
    change = {"$unset": {"not_before": 1}} if damage is None else {"$set": {"not_before": damage}}
    store.collection.update_one({}, change)
    store.mend(EARLY)
    assert store.next_waiting() == EARLY
    assert len(take(store)) == 1


def test_the_waiting_runs_of_many_jobs_are_cancelled_when_all_jobs_are_removed(
    store: MongoDBJobStore,
) -> None:
    for id in ("a", "b", "plain"):
        store.add_job(make_job(id))
    store.open_runs([asked_for("a"), asked_for("b")], EARLY)
    store.remove_all_jobs()
    assert [(run.status, run.name) for run in store.get_runs()] == [(CANCELLED, "task")] * 2
    assert list(store.collection.find()) == []


def test_a_key_that_opened_nothing_is_free_again(store: MongoDBJobStore) -> None:
    store.add_job(make_job())
    store.open_runs([asked_for()], EARLY)
    assert store.open_runs([asked_for(key="once")], EARLY) == []
    (run,) = store.open_runs([asked_for(nominal=KEY + 1, key="once")], EARLY)
    assert run.nominal == KEY + 1


def test_keys_and_requests_are_forgotten(store: MongoDBJobStore) -> None:
    store.add_job(make_job())
    store.open_runs([asked_for(key="once")], EARLY)
    store.request(NODE, "stack", EARLY)
    store.prune(EARLY + 2 * DAY)
    database = store.collection.database
    assert [database[name].count_documents({}) for name in ("run_keys", "node_requests")] == [0, 0]


def test_a_node_is_told_of_a_newer_layout(store: MongoDBJobStore) -> None:
    assert not store.orders(NODE, START).outdated
    store.collection.database["meta"].update_one({"_id": "schema"}, {"$inc": {"version": 1}})
    assert store.orders(NODE, START).outdated
