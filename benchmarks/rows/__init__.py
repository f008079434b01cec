"""What is measured: the cases (programs that run) and the rows (figures that the table shows of them).

A new measurement is a function in `cases/` and an entry in the module of its subject here.
"""

from dataclasses import replace

from . import cron, memory, runs, stores, time
from .kinds import BOTH, FLOOR, Case, Row

__all__ = ["BOTH", "CASES", "FLOOR", "Case", "Row", "cases", "twin"]

#: What is measured once more in UTC, with ids and starts that the program gives: elsewhere the peer spends much of its time with
#: the rules of a zone and with making ids. The smaller ratio counts.
IN_UTC = [
    "add-10000",
    "add-cron",
    "operations",
    "burst-threads",
    "burst-inline",
    "burst-asyncio",
    "sqlite-burst",
]


def _in_utc(case: Case) -> Case:
    rows = tuple(
        replace(row, title=f"{row.title}, UTC, ids and starts given", meaning="", bound=None)
        for row in case.rows
    )
    settings = {**case.settings, "zone": "UTC"}
    return replace(case, name=f"{case.name}-utc", rows=rows, settings=settings, floor=None, peers={})


_LASTING = memory.CASES + runs.CASES + time.CASES + cron.CASES + stores.CASES
CASES: tuple[Case, ...] = (
    *(each for case in _LASTING for each in ((case, _in_utc(case)) if case.name in IN_UTC else (case,))),
    *runs.LOAD,
)


def twin(case: Case) -> str | None:
    """Return the name of the case that measures the same in UTC, or in a zone with summer time; None if there is none."""
    base = case.name.removesuffix("-utc")
    if base not in IN_UTC:
        return None
    return base if base != case.name else f"{base}-utc"


def cases(form: str) -> tuple[Case, ...]:
    """Return the cases of a form: "full", or "short", which has some of them, smaller, without floors and peers."""
    return CASES if form == "full" else tuple(_short(case) for case in CASES if case.short is not None)


def _short(case: Case) -> Case:
    changed = ", ".join(f"{name}={value}" for name, value in (case.short or {}).items())
    rows = (replace(row, title=f"{row.title} [{changed}]") for row in case.rows) if changed else case.rows
    settings = {**case.settings, **(case.short or {})}
    return replace(case, rows=tuple(rows), settings=settings, floor=None, peers={}, most_rounds=100)
