"""How often a store asks its server for what every run needs: guarding against damage costs no further round trip."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from rota.core.plan import plan
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.store_jobs import LEASE, NODE, START, finish, make_job
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Iterator

#: what is asked in each step by each store: by commands, or by methods of the tree
EXPECTED: dict[str, dict[str, dict[str, int]]] = {
    "redis": {step: {"evalsha": 1} for step in ("add", "due", "claim", "finish", "next due")},
    "mongodb": {
        "add": {"insert": 1},
        "due": {"find": 1},
        "claim": {"find": 2, "update": 1},
        "finish": {"find": 1, "update": 2, "insert": 1, "delete": 1},
        "next due": {"find": 1},
    },
}
EXPECTED["etcd"] = EXPECTED["zookeeper"] = {
    "add": {"read": 1, "commit": 1},
    "due": {"first": 1, "read": 1},
    "claim": {"read": 1, "last": 1, "commit": 1},
    "finish": {"read": 2, "commit": 1},
    "next due": {"first": 1},
}


@pytest.fixture(params=["redis", "mongodb", "etcd", "zookeeper"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def asked() -> Counter[str]:
    """What was asked since the last look."""
    return Counter()


@pytest.fixture
def store(
    kind: str, request: pytest.FixtureRequest, asked: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A started store whose questions are counted."""
    url = request.getfixturevalue(f"{kind}_url")
    options: dict[str, Any] = {}
    if kind == "mongodb":
        need("pymongo", "mongodb")
        from pymongo import MongoClient
        from pymongo.monitoring import CommandListener

        class Counting(CommandListener):
            def started(self, event: Any) -> None:
                asked[event.command_name] += 1

            def succeeded(self, event: Any) -> None:
                pass

            def failed(self, event: Any) -> None:
                pass

        client: Any = MongoClient(url, event_listeners=[Counting()])
        request.addfinalizer(client.close)
        from rota.jobstores.mongodb import MongoDBJobStore

        store: Any = MongoDBJobStore(client.get_default_database().name, client=client)
    else:
        store = create_plugin("jobstore", url, options)
    store.start(None, "default")
    if kind == "redis":
        _count(store.redis, asked, monkeypatch, "execute_command")
    elif kind != "mongodb":
        names = ("read", "entries", "names", "folders", "first", "last", "below", "commit")
        _count(store._server, asked, monkeypatch, *names)
    yield store
    store.shutdown()


def _count(target: Any, asked: Counter[str], monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def counted(name: str, call: Any, *args: Any, **options: Any) -> Any:
        asked[str(args[0]).lower() if name == "execute_command" else name] += 1
        return call(*args, **options)

    for name in names:
        monkeypatch.setattr(target, name, partial(counted, name, getattr(target, name)))


def test_what_a_plain_job_needs_is_asked_in_as_few_round_trips_as_ever(
    kind: str, store: Any, asked: Counter[str]
) -> None:
    store.renew(NODE, START, LEASE)
    store.add_job(make_job("first"))  # the first of all sends its scripts, and makes folders
    finish(store, [run for won in _claim(store) for run in won.runs])
    store.next_due(["default"])
    found: dict[str, dict[str, int]] = {}

    def note(step: str) -> None:
        found[step] = dict(asked)
        asked.clear()

    asked.clear()
    store.add_job(make_job())
    note("add")
    jobs = store.due(START, {"default": 10})
    note("due")
    won = store.claim([plan(job, START) for job in jobs], NODE, START)
    note("claim")
    assert finish(store, [run for decision in won for run in decision.runs]) == []
    note("finish")
    store.next_due(["default"])
    note("next due")
    assert found == EXPECTED[kind]


def _claim(store: Any) -> list[Any]:
    return list(store.claim([plan(job, START) for job in store.due(START, {"default": 10})], NODE, START))
