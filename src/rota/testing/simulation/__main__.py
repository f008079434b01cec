"""The command ``python -m rota.testing.simulation``: simulates seeds until all are done, or until one fails.

Reads arguments and writes lines; it simulates nothing itself.
"""

from __future__ import annotations

import argparse
import sys

from ...clock import SECOND, SYSTEM_CLOCK
from .arenas import ARENAS
from .runner import simulate_seeds


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code: 0 if all invariants held."""
    parser = argparse.ArgumentParser(
        prog="python -m rota.testing.simulation",
        description="Simulate schedulers that share a store: crashes, suspends, lost answers, users. A seed decides everything.",
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
    options = parser.parse_args(arguments)
    began = SYSTEM_CLOCK.monotonic()
    failures, counts = simulate_seeds(
        options.store, range(options.start, options.start + options.seeds), options.steps
    )
    took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
    for failure in failures:
        sys.stdout.write(f"{failure}\n\n")
    what = ", ".join(f"{number} {name}" for name, number in sorted(counts.items(), key=lambda item: -item[1]))
    result = f"{options.seeds} seeds on {options.store}: {len(failures)} failed"
    sys.stdout.write(f"{result}; {took:.1f} s, {options.seeds / took:.0f} seeds/s\n{what}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
