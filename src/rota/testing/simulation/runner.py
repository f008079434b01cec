"""Many seeds, one after another, on the stores that come with Rota.

Finds where a seed takes place; what happens there is the world's business.
"""

from __future__ import annotations

import logging
import random
from functools import partial

from .arenas import ARENAS, MODELS, sql
from .audit import Violation
from .world import STEPS, World

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ...jobstores.base import BaseJobStore
    from .rules import Rules

#: After so many seeds the database is made anew, so that it stays small.
SEEDS_PER_ARENA = 50


def simulate(
    seed: int, make_store: Callable[[], BaseJobStore], observer: BaseJobStore, steps: int = STEPS
) -> dict[str, int]:
    """Simulate one seed.

    :param seed: decides everything that happens; the same seed gives the same events
    :param make_store: returns a new store object on the same data each time; a store that cannot be shared is always the same
        object
    :param observer: one more such object, started, through which the audit looks (for a store that cannot be shared: the same)
    :param steps: how many things happen
    :return: how often what happened
    :raises Violation: (an AssertionError) if an invariant does not hold; its message has the seed and what happened last
    """
    logger = logging.getLogger("rota.testing.simulation")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    before = random.getstate()
    random.seed(seed)  # the engine's back-off has jitter
    world = World(seed, make_store, observer, steps)
    try:
        world.run()
    except Violation as exc:
        last = "\n".join(world.trace[-60:])
        raise Violation(f"seed {seed}: {exc}\n{last}") from None
    finally:
        for node in world.nodes:
            node.crash()
        random.setstate(before)
        logger.setLevel(level)
    return world.audit.counts


def simulate_seeds(
    store: str, seeds: Iterable[int], steps: int = STEPS, rules: Rules | None = None
) -> tuple[list[Violation], dict[str, int]]:
    """Simulate seeds; go on after one that fails.

    :param store: one of :data:`~rota.testing.simulation.arenas.ARENAS` (all in memory), or the URL of an empty database
    :param seeds: the seeds; each gives the same events every time
    :param steps: how many things happen in each
    :param rules: the rules of the protocol that are kept, on a store that is a model ("snapshots", "server-clock"); None: all
    :return: the violations, and how often what happened in all seeds
    """
    make_arena = ARENAS.get(store) or (lambda: sql(store))
    if rules is not None:
        make_arena = partial(MODELS[store], rules)
    failures: list[Violation] = []
    counts: dict[str, int] = {}
    arena, left = None, 0
    for seed in seeds:
        if arena is None or left == 0 or (store in ARENAS and store != "sqlite"):
            arena, left = make_arena(), SEEDS_PER_ARENA
        left -= 1
        try:
            for what, number in simulate(seed, *arena, steps=steps).items():
                counts[what] = counts.get(what, 0) + number
        except Violation as violation:
            failures.append(violation)
            arena = None  # what it left behind must not disturb the next seed
    return failures, counts
