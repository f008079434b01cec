"""What is measured: the cases (programs that run) and the rows (figures that the table shows of them).

A new measurement is a function in `cases/` and an entry in the module of its subject here.
"""

from dataclasses import replace

from . import cron, memory, runs, stores, time
from .kinds import BOTH, FLOOR, Case, Row

__all__ = ["BOTH", "CASES", "FLOOR", "Case", "Row", "cases"]

CASES: tuple[Case, ...] = memory.CASES + runs.CASES + time.CASES + cron.CASES + stores.CASES + runs.LOAD


def cases(form: str) -> tuple[Case, ...]:
    """Return the cases of a form: "full", or "short", which has some of them, smaller, without floors and peers."""
    return CASES if form == "full" else tuple(_short(case) for case in CASES if case.short is not None)


def _short(case: Case) -> Case:
    changed = ", ".join(f"{name}={value}" for name, value in (case.short or {}).items())
    rows = (replace(row, title=f"{row.title} [{changed}]") for row in case.rows) if changed else case.rows
    settings = {**case.settings, **(case.short or {})}
    return replace(case, rows=tuple(rows), settings=settings, floor=None, peers={}, most_rounds=100)
