"""States of jobs and runs: the tables, who sets a state, and the picture in the docs."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest

from rota.core import states
from rota.core.run import Run
from rota.errors import IllegalTransitionError
from rota.testing.contracts.store_jobs import make_job

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "rota"

#: Where something else is assigned that is called state or status, or an object is made from what is stored.
OTHERS = {
    "codec/jobs.py": "makes a job of what is stored, all attributes at once",
    "compat/stores.py": "the state of a job as a program's method returned it",
    "core/plan.py": "the state that a decision wants, which the store makes true",
    "core/run.py": "makes a run",
    "core/states.py": "here",
    "engine/pass_watch.py": "what the engine remembers of a store",
    "importers/pickles.py": "the state of a pickled object",
    "importers/rows.py": "the state of a pickled object",
    "job/handle.py": "makes a job",
    "engine/recording.py": "the state that a decision wants",
    "jobstores/documents.py": "makes a run of what is stored",
    "jobstores/sqlalchemy/forms.py": "makes a run of what is stored",
    "jobstores/tree/forms.py": "a field of a document",
    "jobstores/tree/jobs.py": "a field of a document",
    "jobstores/tree/runs.py": "a field of a document",
    "schedulers/base.py": "the state of the scheduler",
    "triggers/fields.py": "the key of a field in pickled states",
    "schedulers/lifecycle.py": "the state of the scheduler",
    "schedulers/processes.py": "the state of the scheduler",
}


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


def test_each_end_of_a_run_is_final_and_follows_a_claim() -> None:
    for state in states.END_STATES:
        assert states.RUN_TRANSITIONS[state] == {}
        assert state in states.RUN_TRANSITIONS[states.CLAIMED]


def test_nobody_else_sets_a_state() -> None:
    found = set()
    for path in SOURCE.rglob("*.py"):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith("testing/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            targets = node.targets if isinstance(node, ast.Assign) else []
            for target in targets:
                parts = target.elts if isinstance(target, ast.Tuple) else [target]
                if any(
                    isinstance(part, ast.Attribute) and part.attr in ("state", "status") for part in parts
                ):
                    found.add(name)
    assert found == set(OTHERS)


def test_the_picture_in_the_docs_is_drawn_from_the_tables() -> None:
    page = (ROOT / "docs" / "states.md").read_text(encoding="utf-8")
    for table in (states.JOB_TRANSITIONS, states.RUN_TRANSITIONS):
        assert f"```mermaid\n{states.as_mermaid(table)}\n```" in page
