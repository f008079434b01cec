"""Many seeds, one after another, on the stores that come with Rota.

Finds where a seed takes place; what happens there is the world's business.
"""

from __future__ import annotations

from .arenas import ARENAS, sql
from .audit import Violation
from .world import STEPS, simulate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: After so many seeds the database is made anew, so that it stays small.
SEEDS_PER_ARENA = 50


def simulate_seeds(
    store: str, seeds: Iterable[int], steps: int = STEPS
) -> tuple[list[Violation], dict[str, int]]:
    """Simulate seeds; go on after one that fails.

    :param store: "memory", "sqlite" or "tree" (both in memory), or the URL of an empty database
    :param seeds: the seeds; each gives the same events every time
    :param steps: how many things happen in each
    :return: the violations, and how often what happened in all seeds
    """
    make_arena = ARENAS.get(store) or (lambda: sql(store))
    failures: list[Violation] = []
    counts: dict[str, int] = {}
    arena, left = None, 0
    for seed in seeds:
        if arena is None or left == 0 or store in ("memory", "tree"):
            arena, left = make_arena(), SEEDS_PER_ARENA
        left -= 1
        try:
            for what, number in simulate(seed, *arena, steps=steps).items():
                counts[what] = counts.get(what, 0) + number
        except Violation as violation:
            failures.append(violation)
            arena = None  # what it left behind must not disturb the next seed
    return failures, counts
