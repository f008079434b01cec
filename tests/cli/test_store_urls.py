"""The commands on the stores of all kinds, named by their URLs."""

from __future__ import annotations

import json
import uuid

import pytest

from rota.schedulers.background import BackgroundScheduler
from tests.cli.processes import rota
from tests.needs import need

need("typer", "cli")
need("rich", "cli")


@pytest.fixture(params=["sqlite", "postgresql", "mariadb", "redis", "mongodb", "etcd", "zookeeper", "zk"])
def url(request, tmp_path):
    kind = request.param
    if kind == "sqlite":
        need("sqlalchemy", "sql")
        return f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    library, extra = {
        "postgresql": ("psycopg", "postgresql"),
        "mariadb": ("pymysql", "mysql"),
        "redis": ("redis", "redis"),
        "mongodb": ("pymongo", "mongodb"),
        "etcd": ("etcd3gw", "etcd"),
        "zookeeper": ("kazoo", "zookeeper"),
        "zk": ("kazoo", "zookeeper"),
    }[kind]
    need(library, extra)
    if kind == "etcd":
        return f"etcd://127.0.0.1:{request.getfixturevalue('etcd_server').port}/{uuid.uuid4().hex}"
    if kind in ("zookeeper", "zk"):
        return f"{kind}://{request.getfixturevalue('zookeeper_server').hosts}/{uuid.uuid4().hex}"
    return request.getfixturevalue(f"{kind}_url")


def run(capsys, url, *arguments):
    code, out, err = rota(capsys, "-s", url, *arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_looking_where_nothing_is_makes_nothing(capsys, url):
    for _ in range(2):
        code, out, err = rota(capsys, "-s", url, "jobs")
        assert (code, out) == (1, "")
        assert "no job store of Rota at" in err or "there is no file" in err


def test_every_command_takes_the_url_of_every_store(capsys, url):
    scheduler = BackgroundScheduler(jobstores={"default": url}, timezone="UTC")
    scheduler.start(paused=True)
    scheduler.remove_all_jobs()
    scheduler.add_job("builtins:len", "interval", args=[[1, 2]], hours=1, id="count")
    scheduler.shutdown()
    (job,) = run(capsys, url, "jobs")
    assert (job["id"], job["func"], job["state"]) == ("count", "builtins:len", "active")
    assert run(capsys, url, "trigger", "count")["run"]["origin"] == "manual"
    assert run(capsys, url, "pause", "count")["job"]["state"] == "paused"
    (asked,) = run(capsys, url, "runs", "--job", "count", "-n", "1")
    assert asked["status"] == "waiting"
    assert run(capsys, url, "jobs", "--state", "active") == []
    assert run(capsys, url, "resume", "count")["job"]["state"] == "active"
    assert run(capsys, url, "remove", "count")["job"] is None
    assert run(capsys, url, "jobs") == []


def test_what_a_table_is_called_elsewhere_is_named_by_the_same_option(capsys, url):
    scheme = url.partition("://")[0]
    if scheme in ("etcd", "zookeeper", "zk"):
        code, _, err = rota(capsys, "-s", url, "jobs", "--table", "tasks")
        assert code == 2
        assert "are told by the path in its URL" in err
        return
    name = {"redis": "jobs_key", "mongodb": "collection"}.get(scheme, "tablename")
    scheduler = BackgroundScheduler(jobstores={"default": {"url": url, name: "tasks"}}, timezone="UTC")
    scheduler.start(paused=True)
    scheduler.remove_all_jobs()
    scheduler.add_job("builtins:len", "interval", args=[[1, 2]], hours=1, id="count")
    scheduler.shutdown()
    (job,) = run(capsys, url, "jobs", "--table", "tasks")
    assert job["id"] == "count"
    assert rota(capsys, "-s", url, "jobs")[0] == 1
