"""Runs that could not start without their node's permission, and are handed out again in their groups."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

from rota.core.run import GONE, Permission, Run
from rota.engine.submission import hand_over, start_withheld
from rota.executors.steps import chain
from rota.testing import VirtualClock


class Recorder:
    """An executor that keeps what it is given."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []

    def submit(self, heads: Any, done: Any) -> None:
        self.groups += [[run.nominal for run in chain(head)] for head in heads]


def scene() -> tuple[Any, Any, Recorder]:
    executor = Recorder()
    outlet = SimpleNamespace(
        executors={"default": executor}, clock=VirtualClock(), room_came_free=print, wanted=lambda: 0
    )
    completions = SimpleNamespace(withheld=deque(), in_hand={}, done=print, expect_run=lambda run: None)
    store = SimpleNamespace(now=outlet.clock.now)
    return outlet, SimpleNamespace(completions=completions, store=store), executor


def group_of(count: int) -> list[Run]:
    runs = [Run("job", nominal, nominal) for nominal in range(count)]
    for run, following in pairwise(runs):
        run.then = following
    return runs


def test_a_withheld_group_of_which_a_member_was_cancelled_before_starts_by_its_first_one_alone() -> None:
    outlet, state, executor = scene()
    lease: Any = SimpleNamespace(permission=Permission(outlet.clock.monotonic() + 1000))
    runs = group_of(4)
    for run in runs:
        run.permission = lease.permission
    runs[2].permission = GONE  # it has its end
    state.completions.withheld.extend(run for run in runs if run is not runs[2])
    start_withheld(outlet, state, lease)
    assert executor.groups == [[0, 1, 3]]


def test_what_is_handed_over_of_a_group_is_executed_without_the_members_that_are_not() -> None:
    outlet, state, executor = scene()
    runs = group_of(5)
    hand_over(outlet, state, [runs[0], runs[3], runs[4]])
    assert executor.groups == [[0, 3, 4]]
