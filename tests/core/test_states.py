"""States of jobs and runs: the tables, and the picture in the docs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from rota.core import states
from rota.core.run import Run
from rota.errors import IllegalTransitionError
from rota.testing.contracts.store_jobs import make_job

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _held() -> None:
    states.hold_to_the_tables()


def test_a_run_that_has_ended_stays_as_it_is() -> None:
    run = Run("job", 1, 1)
    states.succeed(run, 1, 2)
    with pytest.raises(IllegalTransitionError, match="may follow 'succeeded', got 'failed'"):
        states.end(run, states.FAILED, None, 3)
    assert run.status == states.SUCCEEDED


def test_a_withheld_run_has_to_be_taken_back_before_it_can_succeed() -> None:
    run = Run("job", 1, 1)
    states.withhold(run)
    with pytest.raises(IllegalTransitionError):
        states.succeed(run, None, 2)
    states.take_back(run)
    states.succeed(run, None, 2)


def test_a_state_may_be_set_again() -> None:
    run = Run("job", 1, 1)
    states.succeed(run, 1, 2)
    states.succeed(run, 2, 3)
    assert (run.retval, run.finished_at) == (2, 3)


@pytest.mark.parametrize("change", [states.withhold, states.take_back])
def test_a_run_that_has_ended_is_neither_withheld_nor_taken_back(change: Callable[[Run], None]) -> None:
    run = Run("job", 1, 1)
    states.succeed(run, 1, 2)
    with pytest.raises(IllegalTransitionError):
        change(run)
    assert run.status == states.SUCCEEDED


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (lambda run: states.time_out(run, "timeout", 3), states.SUCCEEDED, states.TIMED_OUT),
        (lambda run: states.snooze(run, 3), states.CLAIMED, states.SNOOZED),
        (states.wait, states.FAILED, states.WAITING),
        (states.start_waiting, states.WAITING, states.CLAIMED),
        (states.take_back, states.WITHHELD, states.CLAIMED),
        (states.withhold, states.CLAIMED, states.WITHHELD),
    ],
)
def test_each_change_of_a_run_leads_to_its_state(
    change: Callable[[Run], None], before: str, after: str
) -> None:
    run = Run("job", 1, 1)
    run.status, run.reason, run.retval = before, "why", 5
    change(run)
    assert run.status == after
    assert run.retval == (None if after == states.TIMED_OUT else 5)


def test_a_run_that_waits_has_no_reason_for_an_end() -> None:
    run = Run("job", 1, 1)
    run.reason = "why"
    states.wait(run)
    assert run.reason is None


@pytest.mark.parametrize(
    ("change", "before"),
    [
        (lambda run: states.snooze(run, 3), states.WAITING),
        (states.wait, states.WITHHELD),
        (states.start_waiting, states.SUCCEEDED),
    ],
)
def test_a_change_that_may_not_follow_is_refused(change: Callable[[Run], None], before: str) -> None:
    run = Run("job", 1, 1)
    run.status = before
    with pytest.raises(IllegalTransitionError):
        change(run)
    assert run.status == before
    states.hold_to_the_tables(False)
    change(run)
    assert run.status != before


def test_a_time_out_is_checked_as_what_follows_a_claim(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(states.RUN_TRANSITIONS, states.CLAIMED, {})
    run = Run("job", 1, 1)
    with pytest.raises(IllegalTransitionError):
        states.time_out(run, "timeout", 3)
    states.hold_to_the_tables(False)
    states.time_out(run, "timeout", 3)
    assert (run.status, run.reason, run.finished_at, run.retval) == (states.TIMED_OUT, "timeout", 3, None)


def test_the_picture_ends_where_nothing_follows() -> None:
    picture = states.as_mermaid({"new": {"over": "it was once: done"}, "over": {}})
    assert picture == "stateDiagram-v2\n    new --> over: it was once, done\n    over --> [*]"


def test_the_state_of_a_job_is_one_that_may_follow() -> None:
    job = make_job("job")
    assert job.state == states.ACTIVE
    states.set_job_state(job, states.PAUSED)
    assert job.state == states.PAUSED
    states.undo_job_state(job, states.ACTIVE)
    assert job.state == states.ACTIVE


def test_a_run_from_a_state_that_there_is_not_ends_in_none() -> None:
    run = Run("job", 1, 1)
    run.status = "asleep"
    with pytest.raises(
        IllegalTransitionError, match="the state of run 'job@1#1' must be one that may follow 'asleep'"
    ):
        states.end(run, states.FAILED, None, 3)


def test_a_job_comes_into_no_state_that_there_is_not() -> None:
    job = make_job("job")
    with pytest.raises(IllegalTransitionError):
        states.set_job_state(job, "asleep")


def test_outside_tests_nothing_is_checked() -> None:
    run = Run("job", 1, 1)
    states.succeed(run, 1, 2)
    states.hold_to_the_tables(False)
    states.end(run, states.FAILED, None, 3)
    assert run.status == states.FAILED


@pytest.mark.parametrize("table", [states.JOB_TRANSITIONS, states.RUN_TRANSITIONS])
def test_each_state_in_a_table_has_a_row_of_its_own_and_can_be_reached(
    table: dict[str, dict[str, str]],
) -> None:
    reached = {after for following in table.values() for after in following}
    assert reached <= set(table)
    assert set(table) - reached <= {states.NEW}


def test_each_end_of_a_run_follows_a_claim_and_only_waiting_follows_it() -> None:
    for state in states.END_STATES:
        # A node that leaves has stopped it: it is lost where it is not to be repeated.
        stopped = {states.LOST} if state in (states.CANCELLED, states.FAILED) else set()
        # It was to be tried again, and somebody has asked it to stop.
        asked = {states.CANCELLED} if state in (states.LOST, states.FAILED) else set()
        assert set(states.RUN_TRANSITIONS[state]) == {states.WAITING, *stopped, *asked}
        assert state in states.RUN_TRANSITIONS[states.CLAIMED]


def test_the_picture_in_the_docs_is_drawn_from_the_tables() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    for table in (states.JOB_TRANSITIONS, states.RUN_TRANSITIONS):
        assert f"```mermaid\n{states.as_mermaid(table)}\n```" in page
