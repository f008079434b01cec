"""The layout of what stores keep has a version: an older one is migrated, an unknown one is left alone.

Older ones are dumps of what older versions of Rota wrote (``tests/data/layouts``).
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from importlib import import_module
from itertools import count
from sqlite3 import connect
from typing import TYPE_CHECKING, Any

import pytest

from rota.core.plan import plan
from rota.core.states import ACTIVE, CLAIMED, PAUSED, QUARANTINED, SKIPPED, SUCCEEDED, end
from rota.errors import SchemaError
from rota.schedulers.plugins import create_plugin
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import (
    LEASE,
    MARGIN,
    NODE,
    OTHER,
    START,
    at_once,
    finish,
    make_job,
)
from tests.adapters import dumps
from tests.adapters.places import KINDS
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rota.jobstores.base import BaseJobStore
    from tests.adapters.places import Place

numbers = count()
#: where the version and the steps are
MODULES = {
    "redis": "rota.jobstores.redis.layout",
    "mongodb": "rota.jobstores.mongodb.layout",
    "etcd": "rota.jobstores.tree.layout",
    "zookeeper": "rota.jobstores.tree.layout",
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
    server: Any = None if kind == "mongodb" else request.getfixturevalue(f"{kind}_server")
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
    layout = import_module(MODULES[kind])
    known = layout.SCHEMA_VERSION
    done = []
    new: dict[int, Any]
    with monkeypatch.context() as patch:
        patch.setattr(layout, "SCHEMA_VERSION", known + 2)
        if kind == "redis":  # the steps are scripts
            scripts = dict(layout.sources())
            patch.setattr(layout, "sources", lambda: scripts)
            new = {step: f"migrate_{step}" for step in (known, known + 1)}
            common = scripts["migrate_1"].rpartition("if call('HGET', META, 'schema')")[0]
            for step, name in new.items():
                scripts[name] = (
                    f"{common}if call('HGET', META, 'schema') ~= '{step}' then return 0 end\n"
                    "if call('HINCRBY', META, 'steps', 1) > 2 then return redis.error_reply('once too often') end\n"
                    f"return call('HSET', META, 'schema', '{step + 1}')"
                )
        else:
            new = {known: lambda server: done.append(1), known + 1: lambda server: done.append(2)}
        patch.setattr(layout, "MIGRATIONS", new)
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


# ------------------------------------------------------------------------------------------------------------- dumps


def check_and_use(store: BaseJobStore) -> None:
    """Check that all is there that was in the dump, and go on with it as a scheduler would."""
    jobs = {job.id: (job.state, job.running, job.name) for job in store.get_all_jobs()}
    assert jobs == {
        "hourly": (ACTIVE, 0, "the hourly job"),
        "given back": (ACTIVE, 1, "task"),
        "busy": (ACTIVE, 1, "task"),
        "paused": (PAUSED, 0, "task"),
        "broken": (QUARANTINED, 0, "task"),
    }
    runs = {run.job_id: (run.status, run.owner, run.attempt) for run in store.get_runs()}
    assert runs == {
        "hourly": (SUCCEEDED, NODE, 1),
        "once": (SUCCEEDED, NODE, 1),
        "given back": (CLAIMED, None, 1),
        "busy": (CLAIMED, NODE, 1),
    }
    later = START + LEASE + MARGIN
    store.renew(OTHER, later, LEASE)
    rescued = store.rescue(OTHER, later)
    assert {run.job_id: run.attempt for run in rescued} == {"given back": 1, "busy": 2}
    assert finish(store, rescued, later) == []
    store.remove_job("broken")
    store.add_job(make_job("new", later, every=None))
    (job,) = store.due(later, {"default": 10})
    decision = plan(job, later)
    (run,) = decision.runs
    run.count, run.reason, run.signature = 2**40, "manual", "signed"
    end(run, SKIPPED, "manual", later)
    decision.runs, decision.records = [], [run]
    assert store.claim([decision], OTHER, later) == [decision]
    (found,) = store.get_runs("new")
    assert (found.count, found.signature) == (2**40, "signed")


@pytest.mark.parametrize("version", [1, 2, 3])
def test_what_an_older_version_wrote_is_migrated_once_and_all_of_it_is_there(
    place: Place, version: int
) -> None:
    dumps.load(place.kind, place.url, dumps.written(place.kind, version))
    with pytest.raises(SchemaError, match=rf"version {version}, .*4 is needed"):
        place.open(**place.looking)
    store = place.open()
    migrated = place.contents()
    place.open()
    place.open(**place.looking)
    assert place.contents() == migrated
    check_and_use(store)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_of_many_that_start_at_once_on_an_older_layout_each_finds_it_migrated(
    place: Place, version: int
) -> None:
    dumps.load(place.kind, place.url, dumps.written(place.kind, version))
    stores: list[Any] = []
    at_once(4, lambda number: stores.append(place.open()))
    assert len(stores) == 4
    migrated = place.contents()
    place.open()
    assert place.contents() == migrated
    check_and_use(stores[0])


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_migration_whose_process_dies_after_any_step_is_completed_by_the_next_one(
    place: Place, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    dumps.load(place.kind, place.url, dumps.written(place.kind, version))
    for steps in range(200):
        try:
            with dying_after(place, steps, monkeypatch):
                place.open()
            break
        except Died:
            place.close()  # with its connections
    assert steps, "nobody died"
    check_and_use(place.open())


class Died(Exception):
    """The process ends here."""


@contextmanager
def dying_after(place: Place, steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the process die, as it were, when it has made one step more on the server than so many."""
    left = count(1)

    def counted(*args: Any, **kwargs: Any) -> None:
        if next(left) > steps:
            raise Died

    if place.kind in ("sqlite", "postgresql", "mariadb"):
        from sqlalchemy import Engine, event

        event.listen(Engine, "after_cursor_execute", counted)
        try:
            yield
        finally:
            event.remove(Engine, "after_cursor_execute", counted)
        return
    module, cls, name = {
        "redis": ("rota.jobstores.redis.server", "Server", "run"),
        "mongodb": ("pymongo.collection", "Collection", "update_one"),
        "etcd": ("rota.jobstores.etcd.server", "Server", "commit"),
        "zookeeper": ("rota.jobstores.zookeeper.server", "Server", "commit"),
    }[place.kind]
    steps_of = getattr(import_module(module), cls)
    carried_out = getattr(steps_of, name)

    def carry_out(*args: Any, **kwargs: Any) -> Any:
        answer = carried_out(*args, **kwargs)
        counted()
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(steps_of, name, carry_out)
        yield


def test_an_older_rota_leaves_a_newer_layout_alone_and_says_what_to_do(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.open()
    store.add_job(make_job())
    before = place.contents()
    module = MODULES.get(place.kind, "rota.jobstores.sqlalchemy.layout")
    with monkeypatch.context() as patch:
        patch.setattr(import_module(module), "SCHEMA_VERSION", 3)
        with pytest.raises(
            SchemaError, match=r"version '?4'?; .*knows 1 to 3\. Upgrade Rota: a newer version"
        ):
            place.open()
    assert place.contents() == before
    assert [job.id for job in store.get_all_jobs()] == ["job"]


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mariadb"])
def test_migrated_tables_have_the_columns_and_indexes_of_new_ones(
    kind: str, version: int, request: pytest.FixtureRequest
) -> None:
    from sqlalchemy import inspect

    need("sqlalchemy", "sql")
    folder = request.getfixturevalue("tmp_path")
    url = f"sqlite:///{folder / 'x'}" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    place = KINDS[kind](url, kind)
    dumps.load(kind, url, dumps.written(kind, version))
    found = inspect(place.open().engine)
    place.open_apart()
    for table in ("jobs", "runs", "nodes", "meta", "parts", "edits", "tags", "hours", "keys", "requests"):
        new, old = (
            {(column["name"], repr(column["type"]), column["nullable"]) for column in found.get_columns(name)}
            for name in (f"two_{table}", f"rota_{table}")
        )
        if kind == "sqlite":  # its columns of integers have always taken 64 bits, whatever they are called
            old = {(name, text.replace("INTEGER", "BIGINT"), nullable) for name, text, nullable in old}
        assert old == new
        new_indexes, old_indexes = (
            {
                (
                    str(index["name"]).replace(prefix, ""),
                    repr(index.get("expressions", index["column_names"])),
                )
                for index in found.get_indexes(f"{prefix}_{table}")
            }
            for prefix in ("two", "rota")
        )
        assert old_indexes == new_indexes
    place.close()


def test_a_version_of_thousands_of_digits_stops_no_node_and_is_told_when_a_store_is_opened(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    scheduler = ManualScheduler(jobstores={"default": url})
    scheduler.start()
    job = scheduler.add_job(int, "interval", seconds=10)
    with closing(connect(tmp_path / "jobs.sqlite")) as connection, connection:
        connection.execute("UPDATE rota_meta SET value = ? WHERE key = 'schema'", ["9" * 5000])
    scheduler.advance(minutes=1)
    assert len(scheduler.get_runs(job.id, status="succeeded")) == 6
    scheduler.shutdown()
    with pytest.raises(SchemaError, match="says schema version '9999"):
        ManualScheduler(jobstores={"default": url}).start()
