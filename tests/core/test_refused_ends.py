"""Ends that a store refuses together are written one by one: who is asked how often, and what is written instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rota.core.plan import Decision
from rota.core.run import Run, fail
from rota.core.states import succeed
from rota.engine.damage import MOST_REFUSED, claim_singly, finish_singly, set_aside
from rota.errors import StoreUnavailableError
from rota.jobstores.memory import MemoryJobStore
from rota.logs import GuardedLogger
from rota.testing.contracts.store_jobs import NODE, START, make_job

if TYPE_CHECKING:
    from collections.abc import Sequence

LOGGER = GuardedLogger("rota.test")
REFUSED = ValueError("together they are refused")


class Refusing(MemoryJobStore):
    """A store that raises for the ends of some jobs: each time, or as long as they are not bare."""

    def __init__(self, errors: dict[str, BaseException], bare: bool = False) -> None:
        super().__init__()
        self.errors = errors
        self.bare = bare
        self.asked: list[str] = []

    def finish(self, runs: Sequence[Run], now: int) -> list[Run]:
        self.asked += [run.job_id for run in runs]
        for run in runs:
            if run.job_id in self.errors and not (self.bare and run.reason is not None):
                raise self.errors[run.job_id]
        return []

    def claim(self, decisions: Sequence[Decision], node: str, now: int) -> list[Decision]:
        raise self.errors[decisions[0].job.id]


def ended(*names: str) -> list[Run]:
    runs = [Run(name, START, START, None, "default") for name in names]
    for run in runs:
        succeed(run, name_of(run), START)
    return runs


def name_of(run: Run) -> str:
    return f"value of {run.job_id}"


def test_a_store_that_refuses_so_many_runs_by_themselves_is_at_fault_and_is_asked_no_further() -> None:
    guilty = [f"guilty {number}" for number in range(MOST_REFUSED)]
    store = Refusing({name: ValueError(name) for name in guilty})
    runs = ended("first", *guilty, "last")
    written, refused, error = finish_singly(store, runs, REFUSED, LOGGER)
    assert [run.job_id for run in written] == ["first"]
    assert (refused, str(error)) == ([], guilty[-1])
    assert "last" not in store.asked


def test_runs_that_are_refused_here_and_there_hold_up_no_other() -> None:
    store = Refusing({"guilty": ValueError("no")})
    written, _, error = finish_singly(store, ended("a", "guilty", "b"), REFUSED, LOGGER)
    assert [run.job_id for run in written] == ["a", "b"]
    assert str(error) == "no"
    assert store.asked == ["a", "guilty", "guilty", "b"]  # once more, without what its job brought


def test_a_store_that_goes_away_in_between_is_asked_no_further_and_loses_nothing_of_a_run() -> None:
    store = Refusing({"b": StoreUnavailableError("away")})
    runs = ended("a", "b", "c")
    written, _, error = finish_singly(store, runs, REFUSED, LOGGER)
    assert [run.job_id for run in written] == ["a"]
    assert isinstance(error, StoreUnavailableError)
    assert store.asked == ["a", "b"]
    assert (runs[1].retval, runs[1].reason) == (name_of(runs[1]), None)


def test_a_store_that_is_away_is_asked_for_no_run_at_all() -> None:
    store = Refusing({})
    away = StoreUnavailableError("away")
    assert finish_singly(store, ended("a", "b"), away, LOGGER) == ({}, [], away)
    assert store.asked == []


def test_an_error_that_cannot_be_written_leaves_a_failed_run_with_a_text_that_can() -> None:
    store = Refusing({"job": ValueError("bad text")}, bare=True)
    run = Run("job", START, START, None, "default")
    fail(run, RuntimeError("\ud800"), "a traceback", START)
    written, _, error = finish_singly(store, [run], REFUSED, LOGGER)
    assert (list(written), error) == ([run], None)
    assert (run.error_type, run.error) == ("Exception", "its text cannot be written")
    assert (run.traceback, run.reason) == (None, "not all of it could be recorded: ValueError: bad text")


def test_what_is_refused_by_itself_is_set_aside_unless_the_store_takes_none_and_refuses_many() -> None:
    store = Refusing({name: ValueError(name) for name in "bcde"})
    runs = ended("a", *"bcde", "last")
    written, _, error = finish_singly(store, runs, REFUSED, LOGGER)
    aside, left, error = set_aside(runs, written, error)
    assert [run.job_id for run in aside] == ["b", "c", "d"]
    assert ([run.job_id for run in left], error) == (["e", "last"], None)
    # Of those that were refused before nothing new is learnt, and the log says no more of them.
    store.asked.clear()
    written, _, error = finish_singly(store, [*aside, runs[-1]], REFUSED, LOGGER)
    assert [run.job_id for run in written] == ["last"]
    assert store.asked == ["b", "c", "d", "last"]
    fresh = ended(*"bcde")
    written, _, error = finish_singly(store, fresh, REFUSED, LOGGER)
    assert set_aside(fresh, written, error) == ([], fresh, error)
    away = StoreUnavailableError("away")
    assert set_aside(fresh, {}, away) == ([], fresh, away)


def test_ctrl_c_in_a_store_is_kept_by_nobody() -> None:
    store = Refusing({"job": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        finish_singly(store, ended("job"), REFUSED, LOGGER)
    decisions = [Decision(make_job()), Decision(make_job())]
    with pytest.raises(KeyboardInterrupt):
        claim_singly(store, decisions, NODE, START, REFUSED)
