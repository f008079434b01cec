"""What a store's records tell: whose runs they are, what jobs returned, how they failed; and that no value prevents a record.

Knows the port only, no store. See :mod:`rota.testing.contracts.stores` for how to use it.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from http import HTTPStatus
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from ...clock import HOUR, MINUTE
from ...core.policy import with_options
from ...core.run import fail
from ...core.states import CLAIMED, FAILED, MISSED, SKIPPED, SUCCEEDED, end, succeed
from .store_jobs import LEASE, NODE, OTHER, START, claim, decide, finish, make_job, task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ...jobstores.base import BaseJobStore

_TASK = f"{task.__module__}:{task.__qualname__}"


class RecordContract:
    """What holds for every store; :class:`~rota.testing.JobStoreContract` derives from it."""

    def test_the_record_of_a_job_that_is_gone_has_its_name_and_callable(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report"))
        runs = claim(store)
        (run,) = store.get_runs("once")
        assert (run.status, run.name, run.func) == (CLAIMED, "nightly report", _TASK)
        assert finish(store, runs) == []
        assert store.lookup_job("once") is None
        (run,) = store.get_runs("once")
        assert (run.status, run.name, run.func) == (SUCCEEDED, "nightly report", _TASK)

    def test_so_has_that_of_a_run_which_failed(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report"))
        (run,) = claim(store)
        fail(run, ValueError("no good"), "Traceback …", START + 1)
        assert store.finish([run], START + 1) == []
        (run,) = store.get_runs("once")
        assert (run.status, run.name, run.func) == (FAILED, "nightly report", _TASK)

    def test_so_has_that_of_a_run_which_was_missed(self, store: BaseJobStore) -> None:
        job = make_job("once", every=None, name="nightly report")
        job.policy = with_options(job.policy, {"misfire_grace_time": 1})
        store.add_job(job)
        assert claim(store, START + LEASE) == []
        (run,) = store.get_runs("once")
        assert (run.status, run.name, run.func) == (MISSED, "nightly report", _TASK)

    def test_the_records_of_a_job_that_is_there_have_its_name_and_callable(self, store: BaseJobStore) -> None:
        store.add_job(make_job(name="backup"))
        finish(store, claim(store))
        claim(store, START + MINUTE, OTHER)
        assert [(run.name, run.func) for run in store.get_runs()] == [("backup", _TASK)] * 2

    def test_a_record_is_data_for_every_json_library(self, store: BaseJobStore) -> None:
        store.add_job(make_job("once", every=None, name="nightly report"))
        (run,) = claim(store)
        succeed(run, {"day": date(2026, 1, 1), "sum": Decimal("1.5"), "rate": float("nan"), 1: (2,)}, START)
        assert store.finish([run], START) == []
        (run,) = store.get_runs("once")
        data = json.loads(json.dumps(run.to_dict(), allow_nan=False))
        assert (data["job_id"], data["name"], data["func"]) == ("once", "nightly report", _TASK)
        assert data["result"] == {"day": "2026-01-01", "sum": "1.5", "rate": "nan", "1": [2]}


class _Text(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __len__(self) -> int:
        raise RuntimeError("no length")


class _Table(dict[str, int]):
    def __iter__(self) -> Any:
        raise RuntimeError("no keys")

    def items(self) -> Any:
        raise RuntimeError("no items")


class _Liar:
    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        raise RuntimeError("no class")

    def __repr__(self) -> str:
        raise SystemExit("no repr")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no comparison")

    __hash__ = None  # type: ignore[assignment]


class _Number(float):
    def __float__(self) -> float:
        raise RuntimeError("no number")

    def __sub__(self, other: float) -> float:
        raise RuntimeError("no difference")


class _Word(StrEnum):
    GOOD = "good"


def _circle() -> list[Any]:
    circle: list[Any] = []
    circle.append(circle)
    return circle


#: What jobs may return, and what the record has of it; "…" at the end: it begins so.
HOSTILE_RESULTS = {
    "int enum": (HTTPStatus.OK, 200),
    "str enum": (_Word.GOOD, "good"),
    "derived float": (_Number(1.5), 1.5),
    "derived text": (_Text("text"), "text"),
    "derived dict": (_Table(a=1), "{'a': 1}"),
    "long int": (10**5000, "<int of 16610 bits>"),
    "int beyond 64 bits": (2**80, 2**80),
    "inf": (float("-inf"), float("-inf")),
    "surrogate": ("\ud800\0 ✓", "\ud800\0 ✓"),
    "circle": (_circle(), "[[[[…"),
    "long list": (list(range(1_000_000)), "[0, 1, 2, …"),
    "long text": ("x" * 1_000_000, "xxx…"),
    "nested enum": ({"status": HTTPStatus.OK}, {"status": 200}),
    "object": ({"a": [_Liar()]}, "{'a': [<_Liar whose __repr__() raises SystemExit>]}"),
    "class": (_Liar, "<class …"),
}


class StoredRecordContract(RecordContract):
    """What holds for stores that keep records as data."""

    @pytest.mark.parametrize("kind", HOSTILE_RESULTS)
    def test_no_return_value_keeps_a_run_from_being_recorded(self, store: BaseJobStore, kind: str) -> None:
        value, expected = HOSTILE_RESULTS[kind]
        for id in ("hostile", "neighbour"):
            store.add_job(make_job(id))
        runs = claim(store)
        for run in runs:
            succeed(run, value if run.job_id == "hostile" else "fine", START + 1)
        assert store.finish(runs, START + 1) == []
        assert store.get_runs("neighbour")[0].retval == "fine"
        (record,) = store.get_runs("hostile")
        assert record.status == SUCCEEDED
        found = record.retval
        if type(expected) is str and expected.endswith("…"):
            assert found.startswith(expected[:-1])
            assert found.endswith("…" if "long" in kind else ("…" + "]" * 100 if kind == "circle" else ">"))
            assert len(found) < 10_000
        else:
            assert (type(found), found) == (type(expected), expected)
        json.dumps(record.to_dict(), allow_nan=False)

    def test_what_a_job_returned_comes_back_equal(self, store: BaseJobStore) -> None:
        values = [
            {"a": 1, "b": [1.5, None, True], "c": {"~d": "e"}},
            ["list", ("tuple", 1), {1, 2}, frozenset({3})],
            datetime(2026, 1, 1, 12, 30, tzinfo=UTC),
            datetime(2026, 1, 1, tzinfo=ZoneInfo("Asia/Ho_Chi_Minh")),
            [date(2026, 1, 1), time(12, 30), timedelta(days=1, microseconds=1)],
            [Decimal("1.50"), UUID(int=7), b"\0\xff"],
            {1: "a", (2, 3): "b", None: "c"},
            [],
            "",
            0,
            False,
            "x" * 5000,
        ]
        jobs = {f"job{number}": value for number, value in enumerate(values)}
        for id in jobs:
            store.add_job(make_job(id))
        runs = claim(store)
        for run in runs:
            succeed(run, jobs[run.job_id], START + 1)
        assert store.finish(runs, START + 1) == []
        found = {run.job_id: run.retval for run in store.get_runs()}
        assert found == jobs
        assert {id: type(value) for id, value in found.items()} == {
            id: type(value) for id, value in jobs.items()
        }

    def test_a_record_of_billions_of_times_is_kept(self, store: BaseJobStore) -> None:
        store.add_job(make_job())
        store.renew(NODE, START, LEASE)
        (decision,) = decide(store, START + MINUTE)
        decision.records[0].count = 2**40
        assert store.claim([decision], NODE, START + 1) == [decision]
        (record,) = store.get_runs("job", status=SKIPPED)
        assert record.count >= 2**31 - 1

    def test_many_long_errors_of_one_job_are_recorded(self, store: BaseJobStore) -> None:
        store.add_job(make_job(coalesce=False))
        runs = claim(store, START + 59 * MINUTE)
        for run in runs:
            fail(run, ValueError("✓" * 50_000), "✓" * 50_000, START + HOUR)
        assert store.finish(runs, START + HOUR) == []
        records = store.get_runs("job", limit=100)
        assert [(run.status, len(run.error or "")) for run in records] == [(FAILED, 50_000)] * 60

    def test_no_text_of_an_error_or_reason_keeps_a_run_from_being_recorded(self, store: BaseJobStore) -> None:
        for id in ("error", "reason", "no text", "neighbour"):
            store.add_job(make_job(id))
        runs = {run.job_id: run for run in claim(store)}
        fail(runs["error"], ValueError(), "", START + 1)
        runs["error"].error_type = "E" * 100_000 + "\ud800"
        runs["error"].error = _Text("text\0")
        end(runs["reason"], FAILED, "\udfff\0" * 100_000, START + 1)
        fail(runs["no text"], ValueError("x"), "", START + 1)
        runs["no text"].traceback = _Liar()  # type: ignore[assignment]
        succeed(runs["neighbour"], None, START + 1)
        assert store.finish(list(runs.values()), START + 1) == []
        records = {run.job_id: run for run in store.get_runs()}
        assert {id: run.status for id, run in records.items()} == {
            "error": FAILED,
            "reason": FAILED,
            "no text": FAILED,
            "neighbour": SUCCEEDED,
        }
        assert (records["error"].error_type or "").startswith("EEE")
        assert "_Liar" in (records["no text"].traceback or "")
        for record in records.values():
            assert len(json.dumps(record.to_dict())) < 1_500_000
