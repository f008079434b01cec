"""Rule R6 of the claim protocol, as far as it is Python: when a job is due that waits for its runs."""

from __future__ import annotations

import pytest

from rota.clock import HELD
from rota.core.transitions import released


@pytest.mark.parametrize("running", [-1, 0])
def test_r6_a_job_that_waits_for_its_runs_is_due_when_none_is_left(running: int) -> None:
    assert released(100, HELD, running) == 100


def test_r6_a_job_that_waits_for_its_runs_is_not_due_while_one_is_left() -> None:
    assert released(100, HELD, 1) == HELD


@pytest.mark.parametrize("running", [0, 1])
@pytest.mark.parametrize("due", [None, 107, HELD - 1])
def test_r6_a_job_that_waits_for_nothing_stays_as_it_is(due: int | None, running: int) -> None:
    assert released(100, due, running) == due
