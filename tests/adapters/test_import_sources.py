"""Where the importer reads: SQL tables, Redis, MongoDB, etcd, ZooKeeper; and stores that APScheduler makes at this moment."""

from __future__ import annotations

import json
import pickle
import sqlite3
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from rota.clock import instant, moment
from rota.core.states import PAUSED
from rota.errors import SchemaError, StoreError, StoreUnavailableError
from rota.importers.apscheduler import ADD, DIFFERS, REFUSED, REPLACE, SAME, plan_import
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.plugins import create_plugin
from tests.compat.environments import environment
from tests.needs import need
from tests.present import present

need("sqlalchemy", "sql")

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402

DATA = Path(__file__).parents[1] / "data" / "apscheduler3"
STATES = json.loads((DATA / "states-3.11.3.json").read_text())["states"]
MAKER = DATA / "make.py"


@pytest.fixture
def database(tmp_path):
    """A database that APScheduler 3.11.3 has made."""
    path = tmp_path / "old.sqlite"
    with sqlite3.connect(path) as db:
        db.executescript((DATA / "sqlite-3.11.3.sql").read_text())
    db.close()
    return path


@pytest.fixture
def store(tmp_path):
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'new.sqlite'}", imports=False)
    store.start(None, "default")
    yield store
    store.shutdown()


def changed(database, *statement):
    with sqlite3.connect(database) as db:
        db.execute(*statement)
    db.close()


def contents(path):
    with sqlite3.connect(path) as db:
        found = list(db.iterdump())
    db.close()
    return found


def make(kind, target, python=None):
    """Have APScheduler make its jobs, in a process of its own, and with a Python that has what it needs."""
    if python is None:
        need("apscheduler", "dev")
    command = [str(python or sys.executable), str(MAKER), kind, str(target)]
    subprocess.run(command, check=True, timeout=60, capture_output=True)


# -- SQL and what is done with the plan -----------------------------------------------------------------------------


def test_a_table_of_apscheduler_is_read_in_place_and_left_as_it_is(database, store):
    before = contents(database)
    plan = plan_import(f"sqlite:///{database}", store).carry_out(store)
    assert {job.id: job.action for job in plan} == {id: REFUSED if id == "foreign" else ADD for id in STATES}
    assert contents(database) == before
    jobs = {job.id: job for job in store.get_all_jobs()}
    assert set(jobs) == set(STATES) - {"foreign"}
    assert jobs["interval"].func_ref == "shop:bill"
    assert jobs["interval"].next_run_time.isoformat() == "2031-05-05T19:00:00+07:00"
    assert (jobs["bounded"].misfire_grace_time, jobs["bounded"].coalesce) == (3600, False)
    assert jobs["paused"].state == PAUSED
    assert "shop" not in sys.modules


def test_a_second_import_changes_nothing(database, store):
    url = f"sqlite:///{database}"
    plan_import(url, store).carry_out(store)
    before = {job.id: (job.version, job.next_due) for job in store.get_all_jobs()}
    again = plan_import(url, store, replace=True).carry_out(store)
    assert {job.action for job in again} == {SAME, REFUSED}
    assert {job.id: (job.version, job.next_due) for job in store.get_all_jobs()} == before


def test_a_job_that_differs_is_kept_unless_it_is_to_be_replaced(database, store):
    url = f"sqlite:///{database}"
    plan_import(url, store).carry_out(store)
    job = store.lookup_job("interval")
    job.name = "changed"
    job.set_next(job.next_nominal + 300_000_000)  # it has run meanwhile
    store.update_job(job)
    later = job.next_due
    kept = {job.id: job for job in plan_import(url, store).carry_out(store)}["interval"]
    assert (kept.action, kept.differences) == (DIFFERS, ["name"])
    assert store.lookup_job("interval").name == "changed"
    replaced = {job.id: job for job in plan_import(url, store, replace=True).carry_out(store)}["interval"]
    assert replaced.action == REPLACE
    found = store.lookup_job("interval")
    assert (found.name, found.next_due) == ("bill", later), "the trigger is the same, so the schedule goes on"


def test_a_job_that_comes_or_goes_between_plan_and_writing_is_left_as_it_is(database, store):
    url = f"sqlite:///{database}"
    plan, other = plan_import(url, store), plan_import(url, store)
    other.carry_out(store)
    plan.carry_out(store)
    assert {job.action for job in plan} == {DIFFERS, REFUSED}
    changes = plan_import(url, store, replace=True, keep_grace=True)
    assert changes.counts()[REPLACE] > 1
    store.remove_all_jobs()
    changes.carry_out(store)
    assert changes.counts()[REPLACE] == 0
    assert store.get_all_jobs() == []


def test_imported_jobs_run_in_a_scheduler_that_has_their_code(database, tmp_path, store, monkeypatch):
    plan_import(f"sqlite:///{database}", store).carry_out(store)
    (tmp_path / "shop.py").write_text("def bill(*args, **kwargs): return [args, kwargs]\n")
    monkeypatch.syspath_prepend(tmp_path)
    scheduler = BackgroundScheduler(
        jobstores={"default": f"sqlite:///{tmp_path / 'new.sqlite'}"}, timezone="UTC"
    )
    scheduler.start(paused=True)
    try:
        jobs = {job.id: job for job in scheduler.get_jobs()}
        assert all(job.error is None for job in jobs.values())
        assert jobs["interval"].func(*jobs["interval"].args) == [("a", 1, 2.5, None, True), {}]
    finally:
        scheduler.shutdown()
        sys.modules.pop("shop", None)


def test_the_table_of_another_name_is_read(database):
    changed(database, "ALTER TABLE apscheduler_jobs RENAME TO my_jobs")
    with pytest.raises(SchemaError, match=r"no table 'apscheduler_jobs'; there are: my_jobs"):
        plan_import(f"sqlite:///{database}")
    assert len(plan_import(f"sqlite:///{database}", name="my_jobs")) == len(STATES)
    assert len(plan_import(f"sqlite:///{database}", name="main.my_jobs")) == len(STATES)


def test_a_job_that_was_paused_in_the_table_is_paused(database):
    changed(database, "UPDATE apscheduler_jobs SET next_run_time = NULL WHERE id = 'interval'")
    job = next(job for job in plan_import(f"sqlite:///{database}") if job.id == "interval")
    assert job.next_run_time is None
    assert any("the one beside it counts" in change for change in job.changes)


def test_a_damaged_row_costs_itself(database):
    changed(database, "UPDATE apscheduler_jobs SET job_state = x'80040102' WHERE id = 'cron'")
    changed(database, "UPDATE apscheduler_jobs SET job_state = 'text' WHERE id = 'weeks'")
    plan = {job.id: job for job in plan_import(f"sqlite:///{database}")}
    assert {id for id, job in plan.items() if job.action == REFUSED} == {"cron", "weeks", "foreign"}
    assert "not an intact pickle" in present(plan["cron"].problem)


def test_what_is_no_table_of_apscheduler_is_refused(database, tmp_path, store):
    with pytest.raises(SchemaError, match=r"not one of APScheduler 3: it has no job_state, next_run_time"):
        plan_import(f"sqlite:///{tmp_path / 'new.sqlite'}", name="rota_jobs")
    with pytest.raises(StoreError, match="There is no file"):
        plan_import(f"sqlite:///{tmp_path / 'nothing.sqlite'}")
    assert not (tmp_path / "nothing.sqlite").exists()
    with pytest.raises(StoreError, match="database URL"):
        plan_import("nodatabase://user:secret@host/x")
    (tmp_path / "junk").write_bytes(b"junk" * 1000)
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        plan_import(f"sqlite:///{tmp_path / 'junk'}")


def test_no_password_of_a_source_is_shown():
    need("psycopg", "postgresql")
    need("redis", "redis")
    for url in (
        "postgresql://user:secret@127.0.0.1:1/db",
        "redis://user:secret@127.0.0.1:1/0",
        "redis://user:secret@127.0.0.1:notaport/0",
        "nodatabase://user:secret@host/x",
        "no-url-user:secret@host",
    ):
        with pytest.raises(Exception) as caught:
            plan_import(url)
        error: BaseException | None = caught.value
        while error is not None:
            if "no-url" not in url:
                assert "secret" not in str(error), url
            error = None if error.__suppress_context__ else error.__context__


@pytest.mark.parametrize("url", ["postgresql_url", "mariadb_url"])
def test_servers_are_read_as_files_are(url, request):
    need("psycopg", "postgresql")
    need("pymysql", "mysql")
    from sqlalchemy import Column, Float, LargeBinary, MetaData, Table, Unicode, create_engine

    address = request.getfixturevalue(url)
    driver = address.replace("postgresql://", "postgresql+psycopg://").replace(
        "mariadb://", "mysql+pymysql://"
    )
    engine, metadata = create_engine(driver), MetaData()
    # The columns are APScheduler's.
    jobs = Table(
        "apscheduler_jobs",
        metadata,
        Column("id", Unicode(191), primary_key=True),
        Column("next_run_time", Float(25), index=True),
        Column("job_state", LargeBinary, nullable=False),
    )
    metadata.create_all(engine)
    with engine.begin() as conn:
        for id, data in STATES.items():
            conn.execute(jobs.insert().values(id=id, next_run_time=None, job_state=bytes.fromhex(data["5"])))
    engine.dispose()
    plan = {job.id: job for job in plan_import(address)}
    assert set(plan) == set(STATES)
    assert {job.action for job in plan.values()} == {ADD, REFUSED}
    assert plan["interval"].next_run_time is None


# -- Redis and MongoDB ---------------------------------------------------------------------------------------------


def test_a_hash_in_redis_is_read_in_place(redis_server):
    redis = need("redis", "redis")
    client = redis.Redis(port=redis_server.port, db=9)
    client.flushdb()
    try:
        for id, data in STATES.items():
            client.hset("apscheduler.jobs", id, bytes.fromhex(data["5"]))
        client.zadd("apscheduler.run_times", {"interval": 1935748800.0, "cron": 1935748860.0})
        client.set("other.jobs", "no hash")
        url = redis_server.url(9)
        plan = {job.id: job for job in plan_import(url)}
        assert set(plan) == set(STATES)
        assert present(plan["interval"].next_run_time).timestamp() == 1935748800.0
        assert present(plan["cron"].next_run_time).timestamp() == 1935748860.0
        assert plan["weeks"].next_run_time is None, "not among the run times, so APScheduler has it paused"
        assert len(plan_import(url, name="nothing.jobs")) == 0
        with pytest.raises(SchemaError, match="not a hash"):
            plan_import(url, name="other.jobs")
    finally:
        client.flushdb()
        client.close()


def test_a_collection_in_mongodb_is_read_in_place(mongodb_url):
    pymongo = need("pymongo", "mongodb")
    with pymongo.MongoClient(mongodb_url) as client:
        collection = client.get_default_database()["jobs"]
        for id, data in STATES.items():
            state = bytes.fromhex(data["5"])
            collection.insert_one({"_id": id, "next_run_time": 1935748800.0, "job_state": state})
        collection.insert_one({"_id": 5})
    plan = {job.id: job for job in plan_import(mongodb_url)}
    assert set(plan) == {*STATES, "5"}
    assert plan["5"].action == REFUSED
    assert present(plan["interval"].next_run_time).timestamp() == 1935748800.0
    assert len(plan_import(mongodb_url, name="nothing")) == 0


# -- etcd and ZooKeeper --------------------------------------------------------------------------------------------


class Nodes:
    """Keys of etcd or nodes of ZooKeeper, written as APScheduler's stores write them."""

    def __init__(self, url):
        self.url, self.is_etcd = url, url.startswith("etcd")
        self.host, _, self.path = url.partition("://")[2].partition("/")
        if self.is_etcd:
            host, port = self.host.split(":")
            self.client = need("etcd3gw", "etcd").Etcd3Client(host, int(port))
        else:
            self.client = need("kazoo.client", "zookeeper").KazooClient(self.host)
            self.client.start()

    def close(self):
        if self.is_etcd:
            self.client.session.close()
        else:
            self.client.stop()
            self.client.close()

    def write(self, name, data):
        if self.is_etcd:
            self.client.put(f"/{self.path}/{name}".encode(), data)
        else:
            self.client.create(f"/{self.path}/{name}", data, makepath=True)

    def remove(self, name):
        self.client.delete(f"/{self.path}/{name}")

    def contents(self):
        if self.is_etcd:
            return sorted((pair["key"], data) for data, pair in self.client.get_prefix(f"/{self.path}"))
        names = sorted(self.client.get_children(f"/{self.path}"))
        return [(name, self.client.get(f"/{self.path}/{name}")) for name in names]


def node_of(id, next_run):
    """Return what APScheduler writes for a job: a pickle of its next run and its state; the kept state is put in as it is."""
    state = bytes.fromhex(STATES[id]["5"])[11:-1]  # without header, frame and end
    when = pickle.dumps(next_run, 1)[:-1]
    return b"\x80\x05}(\x8c\rnext_run_time" + when + b"\x8c\tjob_state" + state + b"u."


@pytest.fixture(params=["etcd_url", "zookeeper_url"])
def nodes(request):
    found = Nodes(request.getfixturevalue(request.param))
    yield found
    found.close()


def test_what_is_below_a_path_is_read_in_place_and_left_as_it_is(nodes):
    for id in STATES:
        nodes.write(id, node_of(id, None if id == "weeks" else 1935748800.0))
    before = nodes.contents()
    plan = {job.id: job for job in plan_import(nodes.url)}
    assert nodes.contents() == before
    assert {id: job.action for id, job in plan.items()} == {
        id: REFUSED if id == "foreign" else ADD for id in STATES
    }
    assert present(plan["interval"].next_run_time).timestamp() == 1935748800.0
    assert plan["weeks"].next_run_time is None, "what is kept beside the job counts"
    host = f"{nodes.url.partition('://')[0]}://{nodes.host}"
    assert {job.id for job in plan_import(host, name=f"/{nodes.path}")} == set(STATES)
    assert {job.id for job in plan_import(f"{host}/other", name=f"/{nodes.path}/")} == set(STATES)


def test_the_usual_path_is_read_if_the_url_has_none(nodes):
    path, nodes.path = nodes.path, "apscheduler"
    nodes.write(path, node_of("interval", None))
    try:
        url = nodes.url.removesuffix(f"/{path}")
        assert [job.id for job in plan_import(url)] == [path]
        assert [job.id for job in plan_import(f"{url}/")] == [path]
    finally:
        nodes.remove(path)


def test_many_nodes_are_read_page_by_page(nodes, monkeypatch):
    monkeypatch.setattr(
        f"rota.importers.source_{'etcd' if nodes.is_etcd else 'zookeeper'}._PAGE",
        3,
    )
    ids = [f"job {number}" for number in range(7)]
    for id in ids:
        nodes.write(id, node_of("interval", None))
    assert [job.id for job in plan_import(nodes.url)] == ids


def test_a_damaged_node_costs_itself(nodes):
    nodes.write("interval", node_of("interval", None))
    nodes.write("cron", node_of("interval", None))
    nodes.write("meta", node_of("interval", None))
    nodes.write("empty", b"")
    nodes.write("junk", b"junk")
    nodes.write("list", pickle.dumps([1]))
    nodes.write("other", pickle.dumps({"version": 1}))
    nodes.write("Nguyễn", node_of("interval", "soon"))
    plan = {job.id: job for job in plan_import(nodes.url)}
    assert {id for id, job in plan.items() if job.action == ADD} == {"interval"}
    assert "not an intact pickle" in present(plan["empty"].problem)
    assert "not an intact pickle" in present(plan["junk"].problem)
    assert "not the state of a job" in present(plan["list"].problem)
    assert "the row is that of 'cron'" in present(plan["cron"].problem)
    assert "the row is that of 'meta'" in present(plan["meta"].problem)
    assert set(plan) == {"interval", "cron", "meta", "empty", "junk", "list", "other", "Nguyễn"}


def test_the_path_of_a_store_of_rota_is_refused(nodes):
    store = create_plugin("jobstore", nodes.url, {})
    store.start(None, "default")
    store.shutdown()
    with pytest.raises(SchemaError, match=r"not one of APScheduler 3, but of a store of Rota"):
        plan_import(nodes.url)


def test_a_path_with_nothing_below_it_has_no_jobs(nodes):
    if nodes.is_etcd:  # where keys have no folders
        assert len(plan_import(nodes.url)) == 0
        return
    with pytest.raises(SchemaError, match=f"has no node /{nodes.path}; give the path"):
        plan_import(nodes.url)
    nodes.client.ensure_path(nodes.path)
    assert len(plan_import(nodes.url)) == 0


@pytest.mark.parametrize("scheme", ["etcd", "etcds", "zookeeper", "zk"])
def test_a_url_that_cannot_be_used_is_refused_with_the_way_that_is_left(scheme):
    need("etcd3gw", "etcd")
    need("kazoo", "zookeeper")
    for url in (f"{scheme}://user:secret@host/apscheduler", f"{scheme}://host/apscheduler?token=secret"):
        with pytest.raises(StoreError, match=r"scheduler\.export_jobs") as caught:
            plan_import(url)
        assert "secret" not in str(caught.value)
    with pytest.raises(StoreError, match="Cannot use the URL"):
        plan_import(f"{scheme}://host:port/apscheduler")


def test_a_server_that_cannot_be_reached_is_named(monkeypatch):
    need("etcd3gw", "etcd")
    need("kazoo", "zookeeper")
    monkeypatch.setattr("rota.importers.source_zookeeper._TIMEOUT", 0.2)
    for url in ("etcd://127.0.0.1:1/apscheduler", "zookeeper://127.0.0.1:1/apscheduler"):
        with pytest.raises(StoreUnavailableError, match=f"{url} cannot be read"):
            plan_import(url)


# -- what APScheduler makes now --------------------------------------------------------------------------------------


def test_stores_that_apscheduler_makes_now_are_what_the_kept_data_is(tmp_path, database):
    make("sqlite", tmp_path / "live.sqlite")
    live = {job.id: job for job in plan_import(f"sqlite:///{tmp_path / 'live.sqlite'}")}
    kept = {job.id: job for job in plan_import(f"sqlite:///{database}")}
    assert {id: job.to_dict() for id, job in live.items()} == {id: job.to_dict() for id, job in kept.items()}
    make("export", tmp_path / "live.json")
    exported = {job.id: job.to_dict() for job in plan_import(str(tmp_path / "live.json"))}
    assert exported == {id: job.to_dict() for id, job in kept.items()}


def test_a_redis_store_that_apscheduler_makes_now_is_read(redis_server, database):
    redis = need("redis", "redis")
    client = redis.Redis(port=redis_server.port)
    client.delete("apscheduler.jobs", "apscheduler.run_times")
    try:
        make("redis", redis_server.port)
        live = {job.id: job.to_dict() for job in plan_import(redis_server.url())}
    finally:
        client.delete("apscheduler.jobs", "apscheduler.run_times")
        client.close()
    assert live == {job.id: job.to_dict() for job in plan_import(f"sqlite:///{database}")}


def test_a_mongodb_store_that_apscheduler_makes_now_is_read(mongodb_url, database):
    make("mongodb", mongodb_url)
    live = {job.id: job.to_dict() for job in plan_import(mongodb_url)}
    assert live == {job.id: job.to_dict() for job in plan_import(f"sqlite:///{database}")}


def test_a_zookeeper_store_that_apscheduler_makes_now_is_read(zookeeper_url, database):
    make("zookeeper", zookeeper_url)
    live = {job.id: job.to_dict() for job in plan_import(zookeeper_url)}
    assert live == {job.id: job.to_dict() for job in plan_import(f"sqlite:///{database}")}


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_an_etcd_store_that_apscheduler_makes_now_is_read(etcd_url, database):
    # Its client needs an old protobuf, and so an environment of its own.
    make("etcd", etcd_url, environment("etcd_store"))
    live = {job.id: job.to_dict() for job in plan_import(etcd_url)}
    assert live == {job.id: job.to_dict() for job in plan_import(f"sqlite:///{database}")}


def test_imported_triggers_fire_when_those_of_apscheduler_do(tmp_path):
    need("apscheduler", "dev")
    program = (
        "import sys, json; sys.path.insert(0, sys.argv[1]); import make; from datetime import datetime, timezone\n"
        "now, found = datetime(2031, 4, 5, 12, tzinfo=timezone.utc), {}\n"
        "for job in make.started().get_jobs():\n"
        "    previous, times = None, []\n"
        "    for _ in range(0 if job.id == 'either' else 40):\n"
        "        previous = job.trigger.get_next_fire_time(previous, previous or now)\n"
        "        if previous is None: break\n"
        "        times.append(previous.timestamp())\n"
        "    found[job.id] = times\n"
        "print(json.dumps(found))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program, str(DATA)], check=True, timeout=60, capture_output=True, text=True
    )
    theirs = json.loads(said.stdout)
    make("sqlite", tmp_path / "live.sqlite")
    now = instant(datetime.fromisoformat("2031-04-05T12:00:00+00:00"))
    for job in plan_import(f"sqlite:///{tmp_path / 'live.sqlite'}"):
        if job.trigger is None or job.id in ("either", "foreign"):  # jitter is random
            continue
        # Their calendar intervals begin at the start date, whatever the time is.
        at, ours = job.trigger.first(0 if job.id == "monthly" else now), []
        while at is not None and len(ours) < 40:
            ours.append(moment(at).timestamp())
            at = job.trigger.after(at, at)
        assert ours == pytest.approx(theirs[job.id], abs=0.001), job.id
    assert len(theirs) == len(STATES)
