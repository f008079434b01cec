"""Damaged values in every field, key and document on Redis, MongoDB, etcd and ZooKeeper, as far as each takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from rota.schedulers.plugins import create_plugin
from rota.testing import DamageContract
from rota.testing.damage_contract import JOB, NODE, RECORD, RUN, Hand
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rota.jobstores.base import BaseJobStore


class StoreHand(Hand):
    """What the hands on all servers have in common."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._stores: list[BaseJobStore] = []

    def open(self) -> BaseJobStore:
        store: BaseJobStore = create_plugin("jobstore", self.url, {})
        self._stores.append(store)
        return store

    def close(self) -> None:
        for store in self._stores:
            store.shutdown()
        self._stores.clear()


class MongoDBHand(StoreHand):
    """Access to the collections."""

    fields = {
        JOB: (
            *("_id", "name", "func", "trigger", "args", "kwargs", "options", "executor"),
            *("next_nominal", "next_due", "state", "error", "version", "under_way", "pending", "busy"),
        ),
        RUN: (
            *(
                "nominal",
                "last",
                "count",
                "due",
                "attempt",
                "status",
                "owner",
                "executor",
                "claimed",
                "claim",
            ),
            "busy",
        ),
        RECORD: (
            *("_id", "job_id", "nominal", "last", "count", "due", "attempt", "status", "owner", "executor"),
            *("claimed", "started", "finished", "result", "error", "name"),
        ),
        NODE: ("lease_until", "started"),
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._client = need("pymongo", "mongodb").MongoClient(url)
        self._database = self._client.get_default_database()

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        from pymongo.errors import PyMongoError

        collection = self._database[{JOB: "jobs", RUN: "jobs", RECORD: "runs", NODE: "nodes"}[kind]]
        place = f"under_way.0.{field}" if kind == RUN and field != "busy" else field
        change = {"$unset": {place: 1}} if value is None else {"$set": {place: value}}
        found = {"job_id": key[0], "nominal": key[1]} if kind == RECORD else {"_id": key[0]}
        try:
            return bool(collection.update_one(found, change).matched_count)
        except (PyMongoError, OverflowError, ValueError):
            return False

    def close(self) -> None:
        super().close()
        self._client.close()


class Damaged(DamageContract):
    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("give the fixture url in the subclass")

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        raise NotImplementedError("give the fixture make_hand in the subclass")

    @pytest.fixture
    def hand(self, url: str, make_hand: Callable[[str], StoreHand]) -> Iterator[Hand]:
        hand = make_hand(url)
        yield hand
        hand.close()


class TestMongoDB(Damaged):
    """On the server that ROTA_TEST_MONGODB_URL names; else on SecantusDB, which speaks the same protocol."""

    @pytest.fixture
    def url(self, mongodb_url: str) -> str:
        return mongodb_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return MongoDBHand
