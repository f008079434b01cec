"""One run: its life, its times and zones, what expires, and the data that it is shown as."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from rota.clock import SECOND, moment
from rota.core.extras import Extra
from rota.core.plan import once_more
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.run import GONE, Permission, Run, fail, is_expired, is_plain, label, time_of
from rota.core.states import (
    CANCELLED,
    CLAIMED,
    FAILED,
    SUCCEEDED,
    WITHHELD,
    end,
    succeed,
    take_back,
    withhold,
)
from rota.errors import RunNotInHandError
from tests.core.test_plan import START, every, make_job

TOKYO = timezone(timedelta(hours=9))


def run_of(due=START, nominal=START, trigger=None, **options):
    """Return a run of a job with some options."""
    job: Any = SimpleNamespace(
        name="nightly", func_ref="module:work", trigger=trigger, policy=with_options(DEFAULT_POLICY, options)
    )
    return Run("j", nominal, due, job)


def at(second):
    return START + round(second * SECOND)


# ------------------------------------------------------------------------------------------------------------ expires


def test_a_run_expires_when_it_has_waited_longer_than_it_may():
    run = run_of(expires=5)
    assert [is_expired(run, at(second)) for second in (-100, 0, 4, 5)] == [False] * 4
    assert is_expired(run, at(5) + 1)
    assert is_expired(run, at(10**6))


def test_what_a_run_has_waited_counts_from_its_due_time():
    run = run_of(due=at(3), expires=5)
    assert not is_expired(run, at(8))
    assert is_expired(run, at(8) + 1)


def test_a_run_without_expires_never_expires():
    assert not is_expired(run_of(), at(10**9))
    assert not is_expired(Run("j", START, START), at(10**9))


def test_the_deadline_is_the_last_moment_at_which_a_run_may_start():
    assert run_of(due=at(3), expires=5).deadline == moment(at(8))
    assert run_of().deadline is None
    assert Run("j", START, START).deadline is None


# ------------------------------------------------------------------------------------------------------ times and zones


def test_a_new_run_is_the_first_try_of_one_nominal_time():
    run: Any = Run("j", START, at(3))
    assert (run.nominal, run.last, run.due, run.count, run.attempt) == (START, START, at(3), 1, 1)
    assert (run.status, run.executor, run.id) == (CLAIMED, "default", f"j@{START}#1")
    assert run.job is run.reason is run.owner is run.claimed_at is run.started_at is run.finished_at is None
    assert run.retval is run.kept is run.exception is run.error_type is run.error is run.traceback is None
    assert run.name is run.func is run.signature is run.permission is run.then is None
    assert not run.cancelled
    assert repr(run) == f"<Run j@{START}#1 claimed>"
    assert Run("j", START, START, None, "gpu").executor == "gpu"


def test_the_scheduled_time_is_shown_in_the_zone_of_the_run_or_else_of_its_trigger_or_else_in_utc():
    def shown(run):
        assert run.scheduled_run_time == moment(START)
        return run.scheduled_run_time.utcoffset()

    run = run_of(trigger=SimpleNamespace(timezone=TOKYO))
    assert shown(run) == timedelta(hours=9)
    run.timezone = timezone(timedelta(hours=-5))
    assert shown(run) == timedelta(hours=-5)
    assert shown(run_of(trigger=SimpleNamespace(timezone=None))) == timedelta(0)
    assert shown(run_of()) == timedelta(0)
    assert shown(Run("j", START, START)) == timedelta(0)


def test_a_zone_that_fails_costs_no_more_than_itself():
    class Broken(tzinfo):
        def utcoffset(self, moment):
            raise RuntimeError("no such zone")

        fromutc = utcoffset

    assert run_of(trigger=SimpleNamespace(timezone=Broken())).scheduled_run_time == moment(START)  # type: ignore[abstract]


def test_a_run_takes_from_its_start_to_its_end():
    run = run_of()
    assert run.duration is None
    run.started_at = at(1)
    assert run.duration is None
    succeed(run, None, at(3.5))
    assert run.duration == 2.5
    run.started_at = None
    assert run.duration is None


def test_the_clock_of_a_run_is_that_of_its_permission_if_that_has_one():
    class Shows(SimpleNamespace):
        def now(self):
            return self.time

    run = run_of()
    assert time_of(run, Shows(time=5)) == 5
    run.permission = Permission(10)
    assert (run.permission.until, time_of(run, Shows(time=5))) == (10, 5)
    run.permission = Permission(10, Shows(time=7))
    assert time_of(run, Shows(time=5)) == 7


def test_the_permission_of_a_run_that_is_gone_has_always_ended():
    assert GONE.until == -(2**63)
    assert GONE.clock is None


# ---------------------------------------------------------------------------------------------------------- its life


def test_a_run_succeeds_with_its_value():
    run = run_of()
    assert not run.ended
    succeed(run, 42, at(1))
    assert (run.status, run.retval, run.finished_at, run.ended) == (SUCCEEDED, 42, at(1), True)


def test_a_run_fails_with_its_exception_and_keeps_its_origin():
    run = once_more(make_job(every(10), START), START).runs[0]
    error = ValueError("no such file")
    fail(run, error, "Traceback: …", at(2))
    assert (run.status, run.reason, run.origin, run.finished_at) == (FAILED, None, "manual", at(2))
    assert (run.exception, run.error_type, run.error) == (error, "ValueError", "no such file")
    assert run.traceback == "Traceback: …"


def test_a_run_ends_for_a_reason():
    run = run_of()
    end(run, CANCELLED, "it was stopped", at(1))
    assert (run.status, run.reason, run.finished_at) == (CANCELLED, "it was stopped", at(1))


def test_a_withheld_run_has_not_begun_and_can_be_taken_back():
    run = run_of()
    run.started_at = at(1)
    withhold(run)
    assert (run.status, run.started_at) == (WITHHELD, None)
    take_back(run)
    assert run.status == CLAIMED


def test_a_run_can_be_asked_to_stop_while_somebody_has_it_in_hand():
    run = run_of()
    run.cancel()
    assert run.cancelled
    record = Run("j", START, START)
    with pytest.raises(RunNotInHandError):
        record.cancel()
    assert not record.cancelled
    succeed(record, None, START)
    record.cancel()
    assert record.cancelled


def test_a_run_keeps_the_name_of_its_job_when_that_goes():
    run = run_of()
    label(run)
    assert (run.name, run.func) == ("nightly", "module:work")
    record = Run("j", START, START)
    label(record)
    assert (record.name, record.func) == (None, None)


# ------------------------------------------------------------------------------------------------------------ as data


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("x" * 1000, True),
        ("x" * 1001, False),
        (2**64 - 1, True),
        (2**64, False),
        (-(2**64), False),
        (None, True),
        (True, True),
        (1.5, True),
        ([], False),
        (b"", False),
    ],
)
def test_short_values_of_plain_kinds_are_kept_as_they_are(value, plain):
    assert is_plain(value) is plain


def test_a_run_as_data_tells_what_its_record_does():
    run = run_of(due=at(1))
    run.last, run.count, run.attempt, run.owner = at(20), 3, 2, "node"
    run.claimed_at, run.started_at, run.executor = at(2), at(3), "gpu"
    run.extra = Extra("manual")
    label(run)
    fail(run, ValueError("bad"), "Traceback", at(5))
    assert run.to_dict() == {
        "job_id": "j",
        "name": "nightly",
        "func": "module:work",
        "scheduled": "2029-01-01T00:00:00+00:00",
        "last_scheduled": "2029-01-01T00:00:20+00:00",
        "count": 3,
        "due": "2029-01-01T00:00:01+00:00",
        "attempt": 2,
        "status": "failed",
        "origin": "manual",
        "parent": None,
        "reason": None,
        "node": "node",
        "executor": "gpu",
        "claimed": "2029-01-01T00:00:02+00:00",
        "started": "2029-01-01T00:00:03+00:00",
        "finished": "2029-01-01T00:00:05+00:00",
        "duration": 2.0,
        "result": None,
        "error_type": "ValueError",
        "error": "bad",
        "traceback": "Traceback",
    }


def test_what_has_not_happened_yet_is_none_in_the_data():
    data = Run("j", START, START).to_dict()
    assert [data[key] for key in ("claimed", "started", "finished", "duration", "result")] == [None] * 5


def result(value):
    run = Run("j", START, START)
    succeed(run, value, START)
    data = run.to_dict()["result"]
    json.dumps(data, allow_nan=False)
    return data


class Mystery:
    def __str__(self):
        return "its text"

    def __repr__(self):
        return "<mystery>"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (True, True),
        ("text", "text"),
        (5, 5),
        (1.5, 1.5),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        ((1, [2]), [1, [2]]),
        ({1}, [1]),
        (frozenset({1}), [1]),
        ({"a": (1,), 2: None, Mystery: 1}, {"a": [1], "2": None, str(Mystery): 1}),
        (date(2029, 1, 2), "2029-01-02"),
        (time(3, 4), "03:04:00"),
        (datetime(2029, 1, 2, tzinfo=UTC), "2029-01-02T00:00:00+00:00"),
        (Decimal("1.50"), "1.50"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Mystery(), "<mystery>"),
        (b"x", "b'x'"),
    ],
    ids=str,
)
def test_a_result_is_shown_as_data_for_every_json_library(value, shown):
    assert result(value) == shown


def test_long_integers_are_texts_in_the_data():
    assert result(2**14_000 - 1) == 2**14_000 - 1
    assert result(-(2**14_000) + 1) == -(2**14_000) + 1
    assert isinstance(result(2**14_000), str)


def nested(depth, kind):
    value = "inside"
    for _ in range(depth):
        value = kind(value)
    return value


@pytest.mark.parametrize("kind", [lambda value: [value], lambda value: {"in": value}], ids=["list", "dict"])
def test_what_is_nested_deeper_than_a_hundred_is_a_text(kind):
    def innermost(data):
        while isinstance(data, (list, dict)):
            data = data[0] if isinstance(data, list) else data["in"]
        return data

    assert innermost(result(nested(100, kind))) == "inside"
    assert innermost(result(nested(101, kind))) == repr(kind("inside"))


def test_a_time_whose_zone_fails_is_shown_by_its_repr():
    class Broken(tzinfo):
        def utcoffset(self, moment):
            raise RuntimeError("no such zone")

        def __repr__(self):
            return "Broken()"

    assert "Broken()" in result(datetime(2029, 1, 2, tzinfo=Broken()))  # type: ignore[abstract]


def test_the_value_that_was_kept_is_shown_and_not_the_live_one():
    run = Run("j", START, START)
    succeed(run, [1], START)
    run.kept = ("[2]", [2])
    assert run.to_dict()["result"] == [2]
