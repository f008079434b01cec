"""The layout of what stores keep on servers has a version: an older one is migrated, an unknown one is left alone."""

from __future__ import annotations

from importlib import import_module
from itertools import count

import pytest

from rota.errors import SchemaError
from rota.schedulers.plugins import create_plugin
from rota.testing.contract_jobs import make_job
from tests.needs import need

numbers = count()
#: where the version and the steps are
MODULES = {
    "redis": ("rota.jobstores.redis", "rota.jobstores.redis.job_scripts"),
    "mongodb": ("rota.jobstores.mongodb.server",) * 2,
    "etcd": ("rota.jobstores.tree.schema",) * 2,
    "zookeeper": ("rota.jobstores.tree.schema",) * 2,
}


@pytest.fixture(params=list(MODULES))
def kind(request):
    need(
        *{
            "mongodb": ("pymongo", "mongodb"),
            "etcd": ("etcd3gw", "etcd"),
            "zookeeper": ("kazoo", "zookeeper"),
        }.get(request.param, ("redis", "redis"))
    )
    return request.param


@pytest.fixture
def opened(kind, request):
    """Return a function that opens a store on the same data, again and again, and returns its jobs."""
    server = None if kind == "mongodb" else request.getfixturevalue(f"{kind}_server")
    options = {
        "redis": lambda: {"url": server.url(), "jobs_key": f"layout{next(numbers)}.jobs"},
        "mongodb": lambda: {"url": request.getfixturevalue("mongodb_url")},
        "etcd": lambda: {"path": f"/layout{next(numbers)}", "host": "127.0.0.1", "port": server.port},
        "zookeeper": lambda: {"path": f"/layout{next(numbers)}", "hosts": server.hosts},
    }[kind]()

    def open_store(*new, **more):
        store = create_plugin("jobstore", kind, {**options, **more})
        try:
            store.start(None, "default")
            for job in new:
                store.add_job(job)
            return [job.id for job in store.get_all_jobs()]
        finally:
            store.shutdown()

    return open_store


def test_an_older_layout_is_migrated_step_by_step_and_only_once(kind, opened, monkeypatch):
    opened(make_job())
    versions, steps = map(import_module, MODULES[kind])
    known = versions.SCHEMA_VERSION
    done = []
    with monkeypatch.context() as patch:
        patch.setattr(versions, "SCHEMA_VERSION", known + 2)
        if kind == "redis":  # the steps are scripts
            body = (
                "if call('HINCRBY', META, 'steps', 1) > 2 then return redis.error_reply('once too often') end"
            )
            new = {step: steps.migration(step, body) for step in (known, known + 1)}
        else:
            new = {known: lambda server: done.append(1), known + 1: lambda server: done.append(2)}
        patch.setattr(steps, "MIGRATIONS", new)
        with pytest.raises(SchemaError, match=f"version {known}, and {known + 2} is needed"):
            opened(create=False)
        assert opened() == ["job"]
        assert opened() == ["job"]
        assert opened(create=False) == ["job"]
        assert done == ([] if kind == "redis" else [1, 2])
    with pytest.raises(
        SchemaError, match=rf"version {known + 2}; this version of Rota knows 1 to {known}\. Upgrade"
    ):
        opened()


def test_what_is_only_looked_at_is_not_made(opened):
    for _ in range(2):
        with pytest.raises(SchemaError, match="create is False"):
            opened(create=False)
    assert opened() == []
    assert opened(create=False) == []
