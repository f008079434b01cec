"""The command ``python -m rota.testing.simulation``: simulates seeds until all are done, or tries everything in a small world.

Reads arguments and writes lines; it simulates nothing itself.
"""

from __future__ import annotations

import argparse
import sys

from ...clock import SECOND, SYSTEM_CLOCK
from .arenas import ARENAS, MODELS
from .exhaustive import BEGINNINGS, DEPTH, DEPTH_OF_RETRIES, OF_RETRIES, search
from .rules import ALL, MUTANTS
from .runner import simulate_seeds
from .small_calls import RETRIES, Budget


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if all invariants held."""
    parser = argparse.ArgumentParser(
        prog="python -m rota.testing.simulation",
        description="Simulate schedulers that share a store: crashes, suspends, lost answers, clocks, users. A seed decides all.",
    )
    parser.add_argument(
        "--seeds", type=int, default=200, metavar="N", help="how many seeds to simulate (200)"
    )
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first seed (0)")
    parser.add_argument(
        "--steps", type=int, default=120, metavar="N", help="how many things happen in each (120)"
    )
    parser.add_argument(
        "--store",
        default="sqlite",
        metavar="STORE",
        help=f"one of {', '.join(ARENAS)} (all in memory; the default is sqlite), or the URL of an empty database",
    )
    parser.add_argument(
        "--exhaustive",
        type=int,
        nargs="?",
        const=0,
        metavar="DEPTH",
        help="instead of seeds: try everything that can happen in a small world, so many things one after another "
        f"({DEPTH}, with --retries {DEPTH_OF_RETRIES})",
    )
    parser.add_argument(
        "--retries",
        action="store_true",
        help="with --exhaustive: a run fails and is tried again, and one is cancelled, instead of jobs that come and go",
    )
    parser.add_argument(
        "--without",
        choices=list(MUTANTS),
        help=f"take a rule of the claim protocol out, to see that it is missed (--exhaustive, or --store {' or '.join(MODELS)})",
    )
    options = parser.parse_args(arguments)
    if options.exhaustive is not None:
        return _search(options.exhaustive, options.without, options.retries)
    if options.without is not None and options.store not in MODELS:
        parser.error(f"--without needs --exhaustive, or --store {' or '.join(MODELS)}")
    began = SYSTEM_CLOCK.monotonic()
    seeds = range(options.start, options.start + options.seeds)
    rules = None if options.without is None else MUTANTS[options.without]
    failures, counts = simulate_seeds(options.store, seeds, options.steps, rules)
    took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
    for failure in failures:
        sys.stdout.write(f"{failure}\n\n")
    what = ", ".join(f"{number} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
    result = f"{options.seeds} seeds on {options.store}: {len(failures)} failed"
    sys.stdout.write(f"{result}; {took:.1f} s, {options.seeds / took:.0f} seeds/s\n{what}\n")
    return 1 if failures else 0


def _search(depth: int, without: str | None, retries: bool) -> int:
    depth = depth or (DEPTH_OF_RETRIES if retries else DEPTH)
    budget, beginnings = (RETRIES, OF_RETRIES) if retries else (Budget(), BEGINNINGS)
    began = SYSTEM_CLOCK.monotonic()

    def tell(reached: int, states: int) -> None:
        took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
        sys.stdout.write(f"depth {reached}: {states} states, {took:.1f} s\n")
        sys.stdout.flush()

    rules = ALL if without is None else MUTANTS[without]
    result = search(depth, rules, budget, tell, beginnings)
    if result.violation is not None:
        sys.stdout.write(f"{result.violation}\n")
        return 1
    sys.stdout.write(f"Everything holds, up to {depth} things one after another ({result.steps} tried)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
