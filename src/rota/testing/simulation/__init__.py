"""A simulation: several schedulers on one store, with crashes, suspends and lost answers, all from one seed.

Run it by ``python -m rota.testing.simulation --seeds 2000``, or call :func:`simulate` in the tests of a store of your own.
"""

from __future__ import annotations

from .audit import Violation
from .runner import simulate, simulate_seeds

__all__ = ("Violation", "simulate", "simulate_seeds")
