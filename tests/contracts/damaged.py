"""How tests reach past the stores on Redis, MongoDB, etcd and ZooKeeper, and damage what they keep."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rota.clock import HOUR
from rota.core.orders import backfill_id
from rota.jobstores.tree.keys import (
    COUNTED,
    DUE,
    META,
    active_key,
    child_key,
    due_name,
    durations_key,
    edits_key,
    ended_key,
    hour_key,
    job_key,
    node_key,
    parts_key,
    request_key,
    start_key,
    waiting_key,
)
from rota.schedulers.plugins import create_plugin
from rota.testing import DamageContract
from rota.testing.contracts.damage import Hand
from rota.testing.contracts.damage_found import CHILD, JOB, NODE, RECORD, RUN, WAITS
from rota.testing.contracts.damage_made import NOT_BEFORE
from rota.testing.contracts.store_jobs import START
from tests.adapters.places import EtcdPlace
from tests.needs import need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rota.jobstores.base import BaseJobStore
    from tests.adapters.places import TreePlace


def keeps_place(key: tuple[Any, ...]) -> bool:
    """Whether the run that waits under a key does so for another try."""
    return int(key[0].removeprefix("waiting")) % 2 == 0


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
    """Access to the collections.

    SecantusDB takes ten times as long for each step as a MongoDB: there each field gets every fifth damage, each field others.
    """

    fields = {
        JOB: (
            *("_id", "name", "func", "trigger", "args", "kwargs", "options", "executor"),
            *("next_nominal", "next_due", "state", "error", "version", "under_way", "pending", "busy"),
            *("tags", "revision", "paused", "durations", "edits", "not_before"),
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
            "texts",
            *("origin", "not_before", "cancel", "extra"),
        ),
        RECORD: (
            *("_id", "job_id", "nominal", "last", "count", "due", "attempt", "status", "owner", "executor"),
            *(
                "claimed",
                "started",
                "finished",
                "result",
                "error",
                "name",
                "signature",
                "error_type",
                "texts",
            ),
            *("hour counts", "hour", "origin", "not_before", "cancel", "extra"),
        ),
        WAITS: (
            *("nominal", "last", "count", "due", "attempt", "status", "owner", "executor", "claimed", "busy"),
            *("origin", "not_before", "cancel", "extra", "not_before of job"),
        ),
        CHILD: (
            *("_id", "job_id", "nominal", "last", "count", "due", "attempt", "status", "origin", "extra"),
            *("finished", "result", "name"),
        ),
        NODE: (
            *("lease_until", "started", "renewals", "store", "began", "about", "draining"),
            *("hours until", "hours at", "hours counts"),
        ),
    }

    of_backfill = ("node", "kind", "job_id", "at", "answer")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._client = need("pymongo", "mongodb").MongoClient(url)
        self._database = self._client.get_default_database()
        self._step = 1 if os.environ.get("ROTA_TEST_MONGODB_URL") else 5

    def damages_of(self, field: str) -> Sequence[str]:
        names = tuple(self.damages)
        first = sum(map(ord, field))
        return [names[(first + number) % len(names)] for number in range(0, len(names), self._step)]

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        from pymongo.errors import PyMongoError

        name, found, place = self._place(kind, key, field)
        collection = self._database[name]
        change = {"$unset": {place: 1}} if value is None else {"$set": {place: value}}
        try:
            if name in ("run_parts", "run_hours", "job_edits", "meta"):  # there may be none yet
                return bool(collection.update_one(found, change, upsert=True).acknowledged)
            return bool(collection.update_one(found, change).matched_count)
        except (PyMongoError, OverflowError, ValueError):
            return False

    def _place(self, kind: str, key: tuple[Any, ...], field: str) -> tuple[str, dict[str, Any], str]:
        """Return the collection, which document of it, and what in that."""
        if field == "texts":
            return "run_parts", {"_id": {"job_id": key[0], "nominal": key[1]}}, field
        if field == "edits":
            return "job_edits", {"_id": key[0]}, field
        if field in ("hour", "hour counts"):
            return "run_hours", {"_id": key[0] if field == "hour" else START - key[1] % 1000 * HOUR}, "counts"
        if field.startswith("hours "):
            return "meta", {"_id": "hours"}, field.removeprefix("hours ")
        if kind in (RECORD, CHILD):
            return "runs", {"job_id": key[0], "nominal": key[1]}, field
        place = {"not_before of job": "not_before"}.get(field, field)
        if kind in (RUN, WAITS) and field not in ("busy", "not_before of job"):
            runs = "pending" if kind == WAITS and not keeps_place(key) else "under_way"
            place = f"{runs}.0.{field}"
        return ("nodes" if kind == NODE else "jobs"), {"_id": key[0]}, place

    def forget_child(self, parent: str, child: str) -> bool:
        return self.write(JOB, (child,), "parent", None)

    def write_backfill(self, job_id: str, field: str, value: Any) -> bool:
        from pymongo.errors import PyMongoError

        change = {"$unset": {field: 1}} if value is None else {"$set": {field: value}}
        found = {"_id": backfill_id(job_id)}
        try:
            return bool(self._database["node_requests"].update_one(found, change).matched_count)
        except (PyMongoError, OverflowError, ValueError):
            return False

    def write_identity(self, value: Any) -> bool:
        from pymongo.errors import PyMongoError

        change = {"$unset": {"identity": 1}} if value is None else {"$set": {"identity": value}}
        try:
            return bool(self._database["meta"].update_one({"_id": "schema"}, change).matched_count)
        except (PyMongoError, OverflowError, ValueError):
            return False

    def close(self) -> None:
        super().close()
        self._client.close()


class RedisHand(StoreHand):
    """Access to the hashes and sorted sets: to whole values, and to the parts of those that are JSON."""

    #: what is stored of a job, and how it stands, in the order of their lists
    SPEC = ("id", "name", "func", "trigger", "args", "kwargs", "options", "executor", "revision", "paused")
    STATE = ("version", "running", "state", "next_nominal", "next_due", "of_executor", "error")
    OF_RUN = ("status", "attempt", "owner", "due", "executor", "claimed")
    #: hashes of what is kept beside jobs
    BESIDE = ("changes", "durations")

    fields = {
        JOB: ("whole spec", "whole state", "score", "id in order", "tag", *BESIDE, *SPEC, *STATE),
        RUN: ("whole", "names of parts", "part", *OF_RUN),
        RECORD: (
            *("whole", "score", "last", "count", "result", "error", "name", "signature", *OF_RUN),
            *("names of parts", "part", "hour", "stray key"),
        ),
        WAITS: (
            *("whole", "member", "job of member", "last", "count", "origin", "not_before", "extra", "cancel"),
            *OF_RUN,
        ),
        CHILD: ("whole", "score", "last", "count", "result", "name", "origin", "extra", *OF_RUN),
        NODE: ("score", "length", "renewals", "started", "about", "counted hours"),
    }

    of_backfill = ("requests", "replies", "node", "kind", "at", "job")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._client = need("redis", "redis").Redis.from_url(url)

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        if field in ("score", "id in order", "tag", "hour", "stray key", "member", "job of member"):
            return self._score(kind, key, field, value)
        if kind == NODE:
            return self._put("rota.meta", "hours" if field == "counted hours" else f"{field} {key[0]}", value)
        if field in self.BESIDE:
            return self._put(f"rota.{field}", key[0], value)
        if field in ("names of parts", "part"):
            name = f"{key[0]}\0{key[1]:019d}"
            self._put("rota.parts", name, "note\0")
            return self._put("rota.parts", name if field != "part" else f"{name}\0note", value)
        name = key[0] if kind == JOB else f"{key[0]}\0{key[1]:019d}"
        hash = {RUN: "rota.claimed", JOB: "rota.states"}.get(kind, "rota.runs")
        if kind == JOB and (field == "whole spec" or field in self.SPEC):
            hash = "rota.jobs"
        if field.startswith("whole"):
            return not (hash == "rota.states" and value is None) and self._put(hash, name, value)
        try:
            parts = json.loads(self._client.hget(hash, name))
            if kind == JOB:
                parts += ["1", "{}"] if field in ("revision", "paused") else []
                parts[(self.SPEC if hash == "rota.jobs" else self.STATE).index(field)] = value
            else:
                parts[field] = value
            return self._put(hash, name, json.dumps(parts, separators=(",", ":")))
        except (TypeError, ValueError):
            return False

    def _score(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        from redis.exceptions import RedisError

        padded = f"{key[-1]:019d}" if kind not in (JOB, NODE) else ""
        kept = "0" if kind == WAITS and keeps_place(key) else "1"
        place, member = {
            "id in order": ("rota.ids", key[0]),
            "tag": ("rota.tags", f"red\0{key[0]}"),
            "hour": ("rota.hours", f"{START} succeeded {key[-1]}"),
            JOB: ("rota.run_times:default", key[0]),
            NODE: ("rota.nodes", key[0]),
            RECORD: ("rota.runs:succeeded", f"{key[0]}\0{padded}"),
            CHILD: ("rota.runs:succeeded", f"{key[0]}\0{padded}"),
            "member": ("rota.waiting", f"{key[0]}\0{kept}\0{NOT_BEFORE:019d}\0{padded}"),
            "job of member": ("rota.waiting_jobs", f"{kept}{key[0]}"),
            "stray key": ("rota.runs:succeeded", f"{key[0]}\0{key[-1]}"),
        }[kind if field == "score" else field]
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
        except (RedisError, TypeError, ValueError):
            return False
        return True

    def forget_child(self, parent: str, child: str) -> bool:
        return bool(self._client.zrem("rota.tags", f"\1{parent}\0{child}"))

    def write_backfill(self, job_id: str, field: str, value: Any) -> bool:
        id = backfill_id(job_id)
        if field in ("requests", "replies"):
            return self._put(f"rota.{field}", id, value)
        parts = self._client.hget("rota.requests", id).decode().split("\0")
        parts[("node", "kind", "at", "job").index(field)] = str(value)
        return self._put("rota.requests", id, "\0".join(parts))

    def write_identity(self, value: Any) -> bool:
        return self._put("rota.meta", "identity", value)

    def close(self) -> None:
        super().close()
        self._client.close()


class TreeHand(StoreHand):
    """Access to the keys of a tree: to whole values, and to the parts of those that are JSON."""

    OF_RUN = (
        *("job_id", "nominal", "last", "count", "due", "attempt", "status", "owner", "executor", "claimed"),
        "whole",
    )
    EXTRA = ("origin", "not_before", "cancel", "extra")
    #: what is stored of a node, in its order
    LEASE = ("until", "length", "renewals", "started", "draining", "about")
    #: keys of their own, and what they are about
    KEYS: ClassVar[dict[str, Any]] = {
        "edits": edits_key,
        "durations": durations_key,
        "hour": lambda job_id: hour_key(START),
        "counted": lambda job_id: COUNTED,
        "parts": parts_key,
    }

    fields = {
        JOB: (
            *(
                "id",
                "name",
                "func",
                "trigger",
                "args",
                "kwargs",
                "options",
                "executor",
                "next",
                "due",
                "state",
            ),
            *("error", "version", "running", "created", "updated", "recorded", "whole", "due time"),
            *("revision", "paused", "waiting", "placed", "edits", "durations", "hour", "counted"),
        ),
        RUN: (*OF_RUN, *EXTRA),
        RECORD: (*OF_RUN, *EXTRA, "started", "finished", "result", "error", "name", "signature", "parts"),
        WAITS: (*OF_RUN, *EXTRA, "start"),
        CHILD: (*OF_RUN, *EXTRA, "finished", "result", "name"),
        NODE: ("whole", *LEASE),
    }

    of_backfill = ("whole", "node", "kind", "subject", "at", "answer")

    def __init__(self, url: str, place: type[TreePlace], kind: str) -> None:
        super().__init__(url)
        self._place = place(url, kind)
        #: what keys held before, as far as it was read at once; and what is to be written at once; None: nothing
        self._known: dict[str, str] = {}
        self._later: dict[str, str | bytes | None] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        self._known, self._later = self._place.known(), {}
        try:
            yield
            self._place.write(self._later)
        finally:
            self._known, self._later = {}, None

    def write(self, kind: str, key: tuple[Any, ...], field: str, value: Any) -> bool:
        if field == "due time":
            return value is None and self._put(f"{DUE}/default/{self._due_name(key[0])}", None)
        if field == "start":
            is_there = isinstance(self._place, EtcdPlace)  # ZooKeeper has it in folders by its time
            return is_there and value not in (b"", "") and self._put(start_key(NOT_BEFORE, *key), value)
        if field in self.KEYS:
            return value not in (None, "") and self._put(self.KEYS[field](*key), value)
        name = {
            JOB: lambda: job_key(key[0]),
            RUN: lambda: active_key(*key),
            WAITS: lambda: waiting_key(*key),
            RECORD: lambda: ended_key(*key),
            CHILD: lambda: ended_key(*key),
            NODE: lambda: node_key(key[0]),
        }[kind]()
        if field == "whole":
            # Nothing is no damage, and an empty value is nothing in ZooKeeper.
            return not (kind == JOB and value in (None, "")) and self._put(name, value)
        if kind == NODE:
            said = [*self._get(name).split(" ", len(self.LEASE) - 1), "?", "?"][: len(self.LEASE)]
            said[self.LEASE.index(field)] = str(value)
            return self._put(name, " ".join(said))
        parts = json.loads(self._get(name))
        if value is None:
            parts.pop(field, None)
        else:
            parts[field] = value
        try:
            return self._put(name, json.dumps(parts))
        except TypeError:
            return False

    def _due_name(self, job_id: str) -> str:
        name = due_name(START, job_id)
        return name if isinstance(self._place, EtcdPlace) else f"{name[:11]}/{name}"

    def _get(self, name: str) -> str:
        assert not self._later or name not in self._later, "each key is damaged once"
        return self._known.get(name) or self._place.get(name)

    def _put(self, name: str, value: Any) -> bool:
        if not (value is None or isinstance(value, (str, bytes))):
            return False
        if self._later is None:
            self._place.write({name: value})
        else:
            self._later[name] = value
        return True

    def forget_child(self, parent: str, child: str) -> bool:
        self._place.drop(child_key(parent, child))
        return True

    def write_backfill(self, job_id: str, field: str, value: Any) -> bool:
        name = request_key(backfill_id(job_id))
        if field == "whole":
            return value not in (None, "", b"") and self._put(name, value)
        try:
            return self._put(name, json.dumps({**json.loads(self._place.get(name)), field: value}))
        except TypeError:
            return False

    def write_identity(self, value: Any) -> bool:
        meta = json.loads(self._place.get(META))
        try:
            text = json.dumps({**meta, "identity": value})
        except TypeError:
            return False
        return self._put(META, text)

    def close(self) -> None:
        super().close()
        self._place.close()


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
