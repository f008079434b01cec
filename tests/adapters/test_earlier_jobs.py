"""Jobs that APScheduler has left where a store is made: told once, when it is new, on every durable store; and never in the way."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import SchemaError
from rota.importers.sources import read_source
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.store_jobs import make_job

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.adapters.places import Place

PICKLE = b"\x80\x05}\x94."
WAY = "rota import apscheduler "


class Earlier:
    """What APScheduler has stored at a place, as it stores it."""

    def __init__(self, place: Any) -> None:
        self.place = place
        self.ids: list[str] = []

    def leave(self, *ids: str) -> None:
        self.ids += ids
        place = self.place
        if place.kind == "redis":
            for id in ids:
                place._client.hset("apscheduler.jobs", id, PICKLE)
        elif place.kind == "mongodb":
            for id in ids:
                place._client["apscheduler"]["jobs"].insert_one({"_id": id, "job_state": PICKLE})
        elif place.kind == "etcd":
            for id in ids:
                place._client.put(f"/apscheduler/{id}", PICKLE)
        elif place.kind == "zookeeper":
            for id in ids:
                place._client.create(f"/apscheduler/{id}", PICKLE, makepath=True)
        else:
            self._leave_rows(ids)

    def _leave_rows(self, ids: tuple[str, ...]) -> None:
        from sqlalchemy import Column, Float, LargeBinary, MetaData, Table, Unicode

        columns = (
            Column("id", Unicode(191), primary_key=True),
            Column("next_run_time", Float),
            Column("job_state", LargeBinary),
        )
        table = Table("apscheduler_jobs", MetaData(), *columns)
        with self.place._store.engine.begin() as connection:
            table.create(connection, checkfirst=True)
            for id in ids:
                connection.execute(table.insert().values(id=id, job_state=PICKLE))

    def remove(self) -> None:
        place = self.place
        if place.kind == "mongodb":
            place._client.drop_database("apscheduler")
        elif place.kind == "etcd":
            place._client.delete_prefix("/apscheduler/")
        elif place.kind == "zookeeper":
            place._client.delete("/apscheduler", recursive=True)


@pytest.fixture
def earlier(place: Place) -> Iterator[Earlier]:
    found = Earlier(place)
    yield found
    found.remove()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if "APScheduler" in record.getMessage()]


def test_jobs_that_apscheduler_has_left_are_told_once_with_the_way_to_take_them_over(
    place: Place, earlier: Earlier, caplog: pytest.LogCaptureFixture
) -> None:
    earlier.leave("one", "two", "three")
    with caplog.at_level(logging.WARNING):
        place.open()
        (message,) = told(caplog)
        assert "APScheduler 3 keeps 3 jobs in " in message
        assert WAY in message
        assert ":secret@" not in message
        place.open()
        place.open_apart().add_job(make_job("job"))
    assert len(told(caplog)) == 2, "each new store tells, and no other"


def test_the_command_that_is_told_finds_the_jobs(
    place: Place, earlier: Earlier, caplog: pytest.LogCaptureFixture
) -> None:
    earlier.leave("one", "two")
    with caplog.at_level(logging.WARNING):
        place.open()
    command = shlex.split(told(caplog)[0].partition(WAY)[2])
    source, (option, target) = command[0], command[1:3]
    assert option == "--to"
    if "***" in source:  # the user and the password are not told
        source = target = place.url
    assert {row.id for row in read_source(source)} == {"one", "two"}
    if place.kind in ("etcd", "zookeeper"):
        assert target == place.url
        return
    store = create_plugin("jobstore", target, {})
    place.stores.append(store)
    store.start(None, "default")


def test_a_new_store_where_apscheduler_has_no_jobs_tells_nothing(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        place.open()
    assert told(caplog) == []


def test_who_only_looks_at_jobs_or_brings_them_over_is_told_nothing(
    place: Place, earlier: Earlier, caplog: pytest.LogCaptureFixture
) -> None:
    earlier.leave("one")
    with caplog.at_level(logging.DEBUG):
        place.open(imports=False)
    assert told(caplog) == []


def test_a_start_goes_on_if_nobody_may_look(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = place.make()

    def refused() -> str:
        raise SystemExit("no")

    monkeypatch.setattr(store, "_earlier_jobs", refused)
    store.start(None, "default")
    store.add_job(make_job("job"))
    assert [job.id for job in store.get_all_jobs()] == ["job"]


#: How a program names APScheduler's own place, and what it is told to leave out.
NAMED: dict[str, tuple[dict[str, Any], str]] = {
    "redis": (
        {"jobs_key": "apscheduler.jobs", "run_times_key": "apscheduler.run_times"},
        "jobs_key and run_times_key",
    ),
    "mongodb": ({"database": "apscheduler"}, "database and collection"),
}


def test_apschedulers_own_place_is_refused_with_the_way_to_take_its_jobs_over(
    place: Place, earlier: Earlier
) -> None:
    earlier.leave("one")
    if place.kind in ("etcd", "zookeeper"):
        place.url = place.url.rpartition("/")[0] + "/apscheduler"
    options, named = NAMED.get(place.kind, ({"tablename": "apscheduler_jobs"}, "tablename"))
    if place.kind in ("etcd", "zookeeper"):
        options, named = {}, "path"
    store = place.make(**options)
    with pytest.raises(SchemaError) as caught:
        store.start(None, "default")
    assert f"There are jobs of APScheduler 3: leave {named} out, and take them over: " in str(caught.value)
    assert WAY in str(caught.value)
