"""The balance itself: it finds what it is meant to find."""

from __future__ import annotations

from typing import Any

import pytest

from rota.core.extras import Extra
from rota.core.run import Run
from rota.core.states import CANCELLED, CLAIMED, FAILED, LOST, SKIPPED, SUCCEEDED, TIMED_OUT, WAITING
from tests.faults.balance import Plan, PutBack, balance

PLANS = {"job": Plan([10, 20, 30, 40], max_instances=1)}


def record(
    nominal: int, status: str = SUCCEEDED, last: int | None = None, count: int = 1, attempt: int = 1
) -> Run:
    run = Run("job", nominal, nominal)
    run.status, run.last, run.count, run.attempt = status, last or nominal, count, attempt
    return run


def begin(nominal: int, attempt: int = 1, pid: int = 1, at: float = 0) -> str:
    return f"begin job {nominal} {attempt} {pid} {at or nominal}"


def end(nominal: int, attempt: int = 1, pid: int = 1, at: float = 0) -> str:
    return f"end job {nominal} {attempt} {pid} {at or nominal + 5}"


def whole(nominal: int, attempt: int = 1, pid: int = 1) -> list[str]:
    return [begin(nominal, attempt, pid), end(nominal, attempt, pid)]


RUNS = [record(10), record(20, SKIPPED, 30, 2), record(40)]
TRACE = [*whole(10), *whole(40)]


def test_a_ledger_that_says_what_happened_adds_up() -> None:
    found = balance(PLANS, RUNS, TRACE, {})
    assert found[:7] == (4, 3, 2, 2, 0, 2, 0)
    assert found.at_once == {"job": 1}
    assert "2 left out" in str(found)


def test_what_a_dead_process_had_begun_is_repeated_and_counted() -> None:
    runs = [*RUNS[:2], record(40, attempt=2)]
    again = [begin(40, 2, at=50), end(40, 2, at=51)]
    found = balance(PLANS, runs, [*whole(10), begin(40, 1, 7), *again], {7: 41.0})
    assert found.repeated == 1


@pytest.mark.parametrize(
    ("runs", "trace", "ceased", "message"),
    [
        (RUNS[:2], TRACE, {}, "1 times of job are in no record"),
        ([*RUNS, record(30)], [*TRACE, *whole(30)], {}, "is in .* and "),
        ([*RUNS[:1], record(20, SKIPPED, 30, 3), record(40)], TRACE, {}, "stands for 2 times, but counts 3"),
        ([*RUNS, record(50)], TRACE, {}, "a time that job never had"),
        ([*RUNS[:2], record(40, CLAIMED)], TRACE, {}, "has not ended"),
        ([*RUNS[:2], record(40, SKIPPED)], TRACE, {}, "was executed"),
        (RUNS, TRACE[:2], {}, "was never executed"),
        (RUNS, TRACE[:3], {}, "was never executed to its end"),
        (RUNS, [*TRACE, begin(40)], {}, "was executed twice"),
        (RUNS, [*TRACE, begin(40, 2)], {}, "was executed once more later"),
        ([*RUNS[:2], record(40, attempt=2)], [*TRACE, *whole(40, 2)], {}, "repeated though process 1 lived"),
        ([*RUNS[:2], record(40, LOST)], TRACE, {}, "was given up too early"),
        ([*RUNS[:2], record(40, attempt=4)], [*whole(10), *whole(40, 4)], {}, "was tried too often"),
        (RUNS, [begin(10), end(10, at=43), *whole(40)], {}, "2 times at once"),
        (
            [*RUNS[:2], record(40, attempt=2)],
            [begin(10), end(10, at=43), begin(40, 1, 7, 41), begin(40, 2, 1, 50), end(40, 2, 1, 51)],
            {7: 42.0},
            "2 times at once",
        ),
        (RUNS, [*TRACE, "begin other 10 1 1 1"], {}, "jobs ran that nobody added"),
    ],
)
def test_a_ledger_that_does_not_say_what_happened_does_not(
    runs: list[Run], trace: list[str], ceased: dict[int, float], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(PLANS, runs, trace, ceased)


def test_where_the_store_was_away_any_process_may_have_lost_its_lease() -> None:
    runs: list[Any] = [*RUNS[:2], record(40, attempt=2)]
    assert balance(PLANS, runs, [*TRACE, *whole(40, 2)]).repeated == 1


AGAIN = [begin(40, pid=2, at=60), end(40, pid=2, at=61)]


def test_what_ended_before_a_backup_was_put_back_may_be_executed_again() -> None:
    assert balance(PLANS, RUNS, [*TRACE, *AGAIN], None, [PutBack(50.0, 50.0)]).executions == 3
    forgotten = [*whole(10), *whole(20), *whole(40)]
    assert balance(PLANS, RUNS, forgotten, None, [PutBack(30.0, 30.0)]).skipped == 2


@pytest.mark.parametrize(
    ("trace", "put_back", "message"),
    [
        ([*TRACE, *AGAIN], [PutBack(70.0, 70.0)], "was executed twice"),
        (
            [*whole(10), begin(40), *AGAIN, end(40, at=62)],
            [PutBack(50.0, 50.0)],
            "was executed twice at once",
        ),
        ([*whole(10), *whole(20), *whole(40)], [PutBack(22.0, 22.0)], "was executed"),
    ],
)
def test_a_backup_that_was_put_back_excuses_nothing_else(
    trace: list[str], put_back: list[PutBack], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(PLANS, RUNS, trace, None, put_back)


def test_what_a_killed_process_had_in_hand_may_be_executed_anew_after_a_backup_was_put_back() -> None:
    trace = [*whole(10), begin(40, pid=7), *AGAIN]
    assert balance(PLANS, RUNS, trace, None, [PutBack(50.0, 50.0)], stopped={7}).executions == 3
    with pytest.raises(AssertionError, match="was executed twice at once"):
        balance(PLANS, RUNS, trace, None, [PutBack(50.0, 50.0)])


#: put back at 35, known to all at 38
BACKUP = [PutBack(35, 38)]


@pytest.mark.parametrize(
    ("left", "killed"),
    [
        ([begin(30, pid=7)], {7: 31}),
        ([begin(30, pid=7), begin(30, 2, pid=8, at=33)], {7: 31, 8: 34}),
        ([begin(30, pid=7, at=36), end(30, pid=7, at=37)], {7: 39}),
    ],
    ids=["killed before", "twice", "killed before it could tell"],
)
def test_what_died_with_its_process_is_forgotten_with_the_store_in_which_it_was_claimed(
    left: list[str], killed: dict[int, float]
) -> None:
    assert balance(PLANS, RUNS, [*TRACE, *left], None, BACKUP, killed=killed).skipped == 2


@pytest.mark.parametrize(
    ("left", "killed", "put_back"),
    [
        ([begin(30, pid=7)], {7: 31}, []),
        ([begin(30, pid=7)], {}, BACKUP),
        ([begin(30, pid=7, at=39)], {7: 40}, BACKUP),
        ([begin(30, pid=7, at=36), end(30, pid=7, at=37)], {7: 44}, BACKUP),
    ],
    ids=["no backup", "not killed", "claimed in what is there now", "lived long enough to tell"],
)
def test_what_somebody_could_tell_of_is_not_forgotten(
    left: list[str], killed: dict[int, float], put_back: list[PutBack]
) -> None:
    with pytest.raises(AssertionError, match="at times of which no record says so"):
        balance(PLANS, RUNS, [*TRACE, *left], None, put_back, killed=killed)


def test_what_was_claimed_before_all_knew_of_the_backup_may_be_executed_again() -> None:
    trace = [*TRACE, begin(40, pid=2, at=53), end(40, pid=2, at=54)]
    for known in (40.5, 52):
        assert balance(PLANS, RUNS, trace, None, [PutBack(39, known)]).executions == 3
    with pytest.raises(AssertionError, match="was executed twice"):
        balance(PLANS, RUNS, trace, None, [PutBack(38, 39)])


def test_what_died_with_its_process_may_be_executed_anew() -> None:
    anew = [*whole(10), begin(40, pid=7), begin(40, 2, pid=8, at=44), *AGAIN]
    assert balance(PLANS, RUNS, anew, None, [PutBack(50, 50)], killed={7: 42, 8: 45}).succeeded == 2


# ------------------------------------------------------------------------------------------- runs that may fail and wait

MAY_FAIL = {"job": Plan([10], 1, 2, True, timeout=4)}


def tried(
    status: str = SUCCEEDED, attempt: int = 1, uncounted: int = 0, reason: str | None = None
) -> list[Run]:
    run = record(10, status, attempt=attempt)
    run.reason, run.owner, run.extra = reason, "node", Extra()
    run.extra.uncounted = uncounted
    return [run]


def attempts(*hows: str, takes: float = 1) -> list[str]:
    lines = []
    for number, how in enumerate(hows, 1):
        lines.append(begin(10, number, pid=number, at=10 * number))
        if how:
            lines.append(f"{how} job 10 {number} {number} {10 * number + takes}")
    return lines


@pytest.mark.parametrize(
    ("runs", "trace", "ceased", "asked"),
    [
        (tried(SUCCEEDED, 2), attempts("failed", "end"), {}, {}),
        (tried(SUCCEEDED, 2), attempts("", "end"), {1: 11.0}, {}),
        (tried(SUCCEEDED, 3, 2), attempts("snoozed", "snoozed", "end"), {}, {}),
        (tried(SUCCEEDED, 2), attempts("late", "end", takes=5), {}, {}),
        (tried(FAILED, 2, 0, "attempts exhausted"), attempts("failed", "failed"), {}, {}),
        (tried(FAILED, 1, 0, "superseded"), attempts("failed"), {}, {}),
        (tried(TIMED_OUT, 2), attempts("failed", "late", takes=5), {}, {}),
        (tried(LOST, 2), attempts("", ""), {1: 11.0, 2: 21.0}, {}),
        (tried(CANCELLED), attempts("failed"), {}, {("job", 10): 1}),
        (tried(CANCELLED, 1, 1), attempts("snoozed"), {}, {("job", 10): 1}),
        (tried(SUCCEEDED), attempts("late"), {}, {("job", 10): 1}),
        (tried(CANCELLED), attempts(""), {1: 11.0}, {("job", 10): None}),
    ],
)
def test_a_ledger_of_runs_that_may_fail_adds_up(
    runs: list[Run], trace: list[str], ceased: dict[int, float], asked: dict[tuple[str, int], int | None]
) -> None:
    found = balance(MAY_FAIL, runs, trace, ceased, asked=asked)
    assert found.times == found.records == 1
    assert found.again == len([line for line in trace if line.startswith("begin")]) - 1


@pytest.mark.parametrize(
    ("runs", "trace", "asked", "message"),
    [
        (tried(SUCCEEDED), attempts("failed"), {}, "was never executed to its end"),
        (tried(SUCCEEDED, 2), attempts("end", "end"), {}, "came to its end"),
        (tried(SUCCEEDED, 2), attempts("late", "end"), {}, "came to its end"),
        (tried(SUCCEEDED, 3), attempts("failed", "failed", "end"), {("job", 10): 2}, "had asked attempt 2"),
        (tried(SUCCEEDED, 4), attempts("failed", "failed", "failed", "end"), {}, "was tried too often"),
        (tried(SUCCEEDED, 2, 1), attempts("failed", "end"), {}, "counts 0 tries; 1 have failed"),
        (tried(SUCCEEDED, 2), attempts("snoozed", "end"), {}, "1 wanted another call"),
        (tried(FAILED, 1, 0, "attempts exhausted"), attempts("failed"), {}, "is not exhausted"),
        (tried(FAILED, 2, 0, "not retryable"), attempts("failed", "failed"), {}, "ended for not retryable"),
        (tried(TIMED_OUT, 2), attempts("failed", "end"), {}, "was executed in time"),
        (tried(TIMED_OUT, 1), attempts("late"), {}, "was given up too early"),
        (tried(LOST, 1), attempts(""), {}, "was given up too early"),
        (tried(CANCELLED), attempts("failed"), {}, "was cancelled by nobody"),
        (tried(SKIPPED), attempts("failed"), {}, "was executed"),
        (tried(WAITING), attempts("failed"), {}, "has not ended"),
    ],
)
def test_a_ledger_of_runs_that_may_fail_and_does_not_say_what_happened_does_not(
    runs: list[Run], trace: list[str], asked: dict[tuple[str, int], int | None], message: str
) -> None:
    with pytest.raises(AssertionError, match=message):
        balance(MAY_FAIL, runs, trace, {}, asked=asked)


# ------------------------------------------------------------------------------------------------- jobs after others

IN_A_CHAIN = {**PLANS, "child": Plan([], after=("job", "any"))}


def child(nominal: int, parent: int | None, status: str = SKIPPED) -> Run:
    """Return a record that the end of the run of a time has left; None: no end has."""
    run = Run("child", nominal, nominal)
    run.status, run.attempt, run.extra = status, 0, Extra("after")
    run.extra.parent = None if parent is None else f"job@{parent}#1"
    return run


def test_a_ledger_of_jobs_after_others_adds_up() -> None:
    found = balance(IN_A_CHAIN, [*RUNS, child(11, 10), child(41, 40, SUCCEEDED)], CHAINED_TRACE, {})
    assert (found.times, found.chained, found.succeeded) == (6, 2, 3)
    assert "2 of the times are those of jobs after others" in str(found)


CHAINED_TRACE = [*TRACE, "begin child 41 0 1 41", "end child 41 0 1 42"]


@pytest.mark.parametrize(
    ("on", "left", "message"),
    [
        ("any", [child(11, 10)], "1 ends have left no run of child, such as that of job@40#1"),
        ("any", [child(11, 10), child(12, 10), child(41, 40)], "1 ends have left several runs of child"),
        ("any", [child(11, 10), child(21, 20), child(41, 40)], "runs that no end has left"),
        ("any", [child(11, 10), child(21, None), child(41, 40)], "runs that no end has left"),
        ("failed", [child(11, 10)], "runs that no end has left"),
        ("succeeded", [], "2 ends have left no run of child"),
    ],
)
def test_a_ledger_in_which_an_end_has_left_no_run_or_two_does_not(
    on: str, left: list[Run], message: str
) -> None:
    plans = {**PLANS, "child": Plan([], after=("job", on))}
    with pytest.raises(AssertionError, match=message):
        balance(plans, [*RUNS, *left], TRACE, {})
