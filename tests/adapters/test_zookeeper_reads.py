"""Many reads in one request to ZooKeeper: what the request looks like, how its answer is read, and servers that do not know it."""

from __future__ import annotations

import struct
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.needs import need

need("kazoo", "zookeeper")

from kazoo.exceptions import NoAuthError  # noqa: E402

from rota.core.queries import JobQuery, RunQuery  # noqa: E402
from rota.jobstores.zookeeper import ZooKeeperJobStore  # noqa: E402
from rota.jobstores.zookeeper.reads import LONGEST, MANY, Reads, names_in, requests_for, takes_them  # noqa: E402
from rota.testing.contracts.store_jobs import START, claim, finish, make_job  # noqa: E402

names = st.text(st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=130)


def listed(texts: list[str]) -> bytes:
    """Return a list of names as the server writes it."""
    encoded = [text.encode() for text in texts]
    return struct.pack("!i", len(texts)) + b"".join(struct.pack("!i", len(text)) + text for text in encoded)


def part(kind: int, content: bytes = b"", err: int = 0) -> bytes:
    """Return one answer of several."""
    return struct.pack("!iBi", kind, 0, err) + content


END = struct.pack("!iBi", -1, 1, -1)


@given(st.lists(names, max_size=20) | st.lists(st.text("01", min_size=19, max_size=19), max_size=20))
def test_names_are_read_as_they_were_written(texts: list[str]) -> None:
    answer = b"before" + listed(texts) + b"after"
    assert names_in(answer, 6) == (texts, len(answer) - 5)


def test_each_node_of_a_request_has_its_own_answer() -> None:
    stat = bytes(68)
    value = struct.pack("!i", 5) + b"value" + stat
    no_node, no_right = struct.pack("!i", -101), struct.pack("!i", -102)
    answer = part(4, value) + part(-1, no_node, -101) + part(4, struct.pack("!i", -1) + stat)
    found = Reads("get", ["/a", "/b", "/c"]).deserialize(answer + part(-1, no_right, -102) + END, 0)
    assert [one if one is None or isinstance(one, Exception) else one[0] for one in found[:3]] == [
        b"value",
        None,
        None,
    ]
    assert isinstance(found[3], NoAuthError)
    answer = part(8, listed(["x", "yy"])) + part(-1, no_node, -101) + part(8, listed([])) + END
    assert Reads("get_children", ["/a", "/b", "/c"]).deserialize(answer, 0) == [["x", "yy"], None, []]


def test_no_request_is_longer_than_a_server_takes() -> None:
    paths = [f"/{'x' * 3000}{number}" for number in range(300)]
    requests = list(requests_for("get_children", paths, "/root"))
    assert all(len(request.serialize()) < LONGEST for request in requests)
    assert [len(list(requests_for(call, paths[:1] * 300, ""))) for call in ("get", "get_children")] == [6, 6]
    assert sum(request.serialize().count(b"/root/xxx") for request in requests) == 300


@pytest.mark.parametrize(
    ("answer", "known"),
    [
        ("Zookeeper version: 3.8.0-5a02a05, built on 2022", True),
        ("Zookeeper version: 3.6.0-b4c89dc, built on", True),
        ("Zookeeper version: 3.5.9-83df9301, built on", False),
        ("Zookeeper version: 10.0.0, built on", True),
        ("srvr is not executed because it is not in the whitelist.", False),
        ("", False),
    ],
)
def test_a_server_says_whether_it_knows_such_requests(answer: str, known: bool) -> None:
    class Client:
        def command(self, command: bytes) -> str:
            assert command == b"srvr"
            return answer

    assert takes_them(Client()) is known


def test_a_server_that_says_nothing_of_itself_is_asked_one_by_one() -> None:
    class Client:
        def command(self, command: bytes) -> str:
            raise OSError("refused")

    assert takes_them(Client()) is False


def test_an_earlier_server_is_asked_for_each_node_and_finds_the_same(
    zookeeper_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ZooKeeperJobStore(url=zookeeper_url)
    store.start(None, "default")
    store.add_jobs([make_job(f"job{number:03}") for number in range(3 * MANY)])
    finish(store, claim(store))
    sent = requests_of(store, monkeypatch)
    found = asked(store)
    assert sent["Reads"] > 0
    assert not {"GetChildren", "GetData"} & sent.keys() or sent["GetChildren"] + sent["GetData"] < 20
    sent.clear()
    store._server._reads_many = False
    assert asked(store) == found
    assert sent["Reads"] == 0
    assert sent["GetData"] >= 3 * MANY
    store.shutdown()


def test_whether_a_server_knows_such_requests_is_asked_once_for_each_connection(
    zookeeper_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ZooKeeperJobStore(url=zookeeper_url)
    store.start(None, "default")
    for number in range(MANY):
        store.add_job(make_job(f"job{number:03}"))
    commands: list[bytes] = []
    command = store.client.command

    def heard(asked: bytes) -> Any:
        commands.append(asked)
        return command(asked)

    monkeypatch.setattr(store.client, "command", heard)
    store.find_jobs(JobQuery(), MANY - 1)
    assert commands == []
    for _ in range(3):
        store.find_jobs(JobQuery(), MANY)
    assert commands == [b"srvr"]
    store._server._state_changed("SUSPENDED")
    store._server._state_changed("CONNECTED")
    store.find_jobs(JobQuery(), MANY)
    assert commands == [b"srvr"] * 2
    store.shutdown()


def asked(store: Any) -> list[Any]:
    """Return what is found in a store by several questions."""
    return [
        [(run.job_id, run.nominal) for run in store.find_runs(RunQuery(), 1000).items],
        [job.id for job in store.find_jobs(JobQuery(), 1000).items],
        [job.id for job in store.find_jobs(JobQuery(sort="due"), 1000).items],
        sorted(store.last_runs([f"job{number:03}" for number in range(3 * MANY)])),
        store.due(START + 10**9, {"default": 1000}) != [],
    ]


def requests_of(store: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the numbers of requests of each kind that a store sends from now on."""
    sent: Counter[str] = Counter()
    call = store.client._call

    def counted(request: Any, answer: Any) -> Any:
        sent[type(request).__name__] += 1
        return call(request, answer)

    monkeypatch.setattr(store.client, "_call", counted)
    return sent
