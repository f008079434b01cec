"""Damaged values in every field, key and document on Redis, MongoDB, etcd and ZooKeeper, as far as each takes them."""

from __future__ import annotations

import json
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


class RedisHand(StoreHand):
    """Access to the hashes and sorted sets: to whole values, and to the parts of those that are JSON."""

    #: what is stored of a job, and how it stands, in the order of their lists
    SPEC = ("id", "name", "func", "trigger", "args", "kwargs", "options", "executor")
    STATE = ("version", "running", "state", "next_nominal", "next_due", "of_executor", "error")
    OF_RUN = ("status", "attempt", "owner", "due", "executor", "claimed")

    fields = {
        JOB: ("whole spec", "whole state", "score", *SPEC, *STATE),
        RUN: ("whole", *OF_RUN),
        RECORD: ("whole", "score", "last", "count", "result", "error", "name", *OF_RUN),
        NODE: ("score", "length"),
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._client = need("redis", "redis").Redis.from_url(url)

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        if field == "score":
            return self._score(kind, key, value)
        if field == "length":
            return self._put("rota.meta", f"length {key[0]}", value)
        name = key[0] if kind == JOB else f"{key[0]}\0{key[1]:019d}"
        hash = {RUN: "rota.claimed", RECORD: "rota.runs"}.get(kind, "rota.states")
        if kind == JOB and (field == "whole spec" or field in self.SPEC):
            hash = "rota.jobs"
        if field.startswith("whole"):
            return self._put(hash, name, value)
        try:
            parts = json.loads(self._client.hget(hash, name))
            if kind == JOB:
                parts[(self.SPEC if hash == "rota.jobs" else self.STATE).index(field)] = value
            else:
                parts[field] = value
            return self._put(hash, name, json.dumps(parts, separators=(",", ":")))
        except (TypeError, ValueError):
            return False

    def _score(self, kind: str, key: tuple[Any, ...], value: Any) -> bool:
        from redis.exceptions import RedisError

        place, member = {
            JOB: ("rota.run_times:default", key[0]),
            NODE: ("rota.nodes", key[0]),
            RECORD: ("rota.runs:succeeded", f"{key[0]}\0{key[-1]}"),
        }[kind]
        try:
            if value is None:
                return bool(self._client.zrem(place, member))
            self._client.zadd(place, {member: value})
        except (RedisError, TypeError, ValueError):
            return False
        return True

    def _put(self, hash: str, name: str, value: Any) -> bool:
        from redis.exceptions import RedisError

        if value is None:
            return bool(self._client.hdel(hash, name))
        try:
            self._client.hset(hash, name, value)
        except RedisError:
            return False
        return True

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


class TestRedis(Damaged):
    @pytest.fixture
    def url(self, redis_url: str) -> str:
        return redis_url

    @pytest.fixture
    def make_hand(self) -> Callable[[str], StoreHand]:
        return RedisHand
