"""Pages of what a store has: their steps fit into the time and the number that a page has."""

from __future__ import annotations

from typing import Any

import pytest

from rota.core.queries import DURATION, LOOKED_AT, Part, RunQuery, end_of_beginning
from rota.jobstores import searching
from rota.jobstores.memory import MemoryJobStore


class Slow(MemoryJobStore):
    """Has endlessly many records, none of which is wanted; looking takes some time for each step and each record.

    :param step: microseconds
    :param each: microseconds
    """

    def __init__(self, step: int, each: int) -> None:
        super().__init__()
        self.costs = step, each
        self.took = 0
        self.steps: list[int] = []

    @property
    def clock(self) -> Any:
        return self

    def monotonic(self) -> int:
        return self.took

    def _runs_from(self, query: RunQuery, after: tuple[Any, ...] | None, count: int) -> Part[Any]:
        step, each = self.costs
        self.took += step + each * count
        self.steps.append(count)
        first = 0 if after is None else -after[0]
        return Part([], (-(first + count), "job"), count)


@pytest.mark.parametrize(("step", "each"), [(100, 10), (1_000, 50), (3_000, 300), (0, 0), (15_000, 10)])
def test_the_steps_of_a_page_are_as_large_as_its_time_allows(step: int, each: int) -> None:
    store = Slow(step, each)
    page = store.find_runs(RunQuery(text="x"))
    assert page.cursor is not None
    assert page.looked_at == sum(store.steps) <= LOOKED_AT
    assert max(store.steps) <= searching.STEP
    assert page.looked_at == LOOKED_AT or store.took >= DURATION // 2
    # What a page may take longer is less than half of its time, also where a step takes as long for few as for many.
    assert store.took <= 1.5 * DURATION


def test_a_page_whose_first_step_has_taken_its_time_ends_there() -> None:
    store = Slow(40_000, 0)
    assert store.find_runs(RunQuery(text="x"), 60).looked_at == 60
    assert store.steps == [60]


@pytest.mark.parametrize(
    ("beginning", "end"),
    [
        ("a", "b"),
        ("module:", "module;"),
        ("é\ud7ff", "é\ue000"),
        ("a\U0010ffff\U0010ffff", "b"),
        ("\U0010ffff", None),
        ("", None),
    ],
)
def test_what_begins_alike_is_one_range_of_texts(beginning: str, end: str | None) -> None:
    assert end_of_beginning(beginning) == end
    if end is not None:
        assert beginning <= f"{beginning}\U0010ffff" < end
