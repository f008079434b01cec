"""From answers to lines: medians, spread, ratios, targets. Knows nothing of how they are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from .peers import PEERS
from .rows import BOTH, FLOOR, Case, Row, cases


@dataclass(frozen=True)
class Line:
    """One finished row."""

    case: Case
    row: Row
    #: what was measured, as text, by contender
    shown: dict[str, str]
    #: how many times better Rota is than APScheduler, as text
    ratio_text: str
    ratio: float | None
    #: the same comparison by processor time, which a busy machine disturbs less
    processor: float | None
    target: str
    #: True, False, or None where there is nothing to reach or nothing was measured
    reached: bool | None
    #: how many times better Rota is than each peer that was measured
    peers: dict[str, float]

    @property
    def key(self) -> str:
        """Return the row's name in the history."""
        return f"{self.case.name}/{self.row.figure}"


def lines(report: dict[str, Any]) -> list[Line]:
    """Return the lines of whatever the report has measured."""
    return [
        _line(case, row, report["results"][case.name])
        for case in cases(report["form"])
        if report["results"].get(case.name)
        for row in case.rows
    ]


def middle(report: dict[str, Any], case: str, contender: str, figure: str) -> float | None:
    """Return the median of one figure; None if it was not measured, or the row is void."""
    found = values(report["results"].get(case, {}).get(contender, []), figure)
    return median(found) if found else None


def values(answers: list[dict[str, Any]], figure: str) -> list[float]:
    """Return a figure of all answers; nothing if one is void: it is not known then what the others are worth."""
    if any("void" in answer for answer in answers):
        return []
    found = [answer["figures"].get(figure) for answer in answers]
    return [number for number in found if number is not None]


def _line(case: Case, row: Row, answers: dict[str, list[dict[str, Any]]]) -> Line:
    found = {name: values(answers.get(name, []), row.figure) for name in case.programs()}
    ours, theirs = found.get("rota", []), found.get("apscheduler", [])
    ratio, low, high = _ratio(row, ours, theirs) if row.compared else (None, 0.0, 0.0)
    note = _note(answers.get("apscheduler", []))
    text = "" if ratio is None else f"{number(ratio)}×"
    if ours and not theirs and note and "limit" in case.settings and row.figure == "seconds":
        # What did not finish took longer than its limit: a lower bound of the ratio.
        text = f"> {number(float(case.settings['limit']) / median(ours))}×"
    elif low != high:
        text += f" ({number(low)}–{number(high)})"
    floor = found.get(FLOOR, [])
    peers = {name: _ratio(row, ours, found[name])[0] for name in case.peers if row.compared}
    return Line(
        case,
        row,
        {name: _shown(row, found[name], answers.get(name, [])) for name in found},
        text,
        ratio,
        _by_processor(row, answers) if row.timed and row.compared else None,
        _target(row),
        _reached(row, ours, ratio, floor),
        {name: times for name, times in peers.items() if times is not None},
    )


def _by_processor(row: Row, answers: dict[str, list[dict[str, Any]]]) -> float | None:
    ours, theirs = (
        [
            used
            for answer in answers.get(name, [])
            if "void" not in answer and (used := _processor_time(answer, row.figure))
        ]
        for name in BOTH
    )
    return median(theirs) / median(ours) if ours and theirs else None


def _processor_time(answer: dict[str, Any], figure: str) -> float | None:
    used = answer.get("cpu")
    return used.get(figure) if isinstance(used, dict) else used


def _ratio(row: Row, ours: list[float], theirs: list[float]) -> tuple[float | None, float, float]:
    """Return how many times better Rota is by the medians, and by the worst and the best pair of one round."""
    if not ours or not theirs or not all(ours) or not all(theirs):
        return None, 0, 0

    def better(mine: float, other: float) -> float:
        return mine / other if row.more_is_better else other / mine

    pairs = [better(mine, other) for mine, other in zip(ours, theirs, strict=False)]
    return better(median(ours), median(theirs)), min(pairs), max(pairs)


def _reached(row: Row, ours: list[float], ratio: float | None, floor: list[float]) -> bool | None:
    if row.ratio is not None:
        return None if ratio is None else ratio >= row.ratio
    if row.floors is not None:
        return median(ours) <= row.floors * median(floor) if ours and floor else None
    if row.bound is not None and ours:
        return median(ours) >= row.bound if row.more_is_better else median(ours) <= row.bound
    # A figure that could not be taken because runs were missing does not reach its bound.
    return None if row.bound is None else False


def _target(row: Row) -> str:
    if row.ratio is not None:
        return f"≥ {number(row.ratio)}×"
    if row.floors is not None:
        return f"≤ {number(row.floors)}× the floor"
    if row.bound is not None:
        return f"{'≥' if row.more_is_better else '≤'} {with_unit(row.bound, row.unit)}"
    return ""


def _note(answers: list[dict[str, Any]]) -> str | None:
    return next((answer["note"] for answer in answers if answer.get("note")), None)


def _shown(row: Row, found: list[float], answers: list[dict[str, Any]]) -> str:
    if not found:
        reason = next((answer["void"] for answer in answers if "void" in answer), None)
        if reason is not None:
            return f"void: {reason[:80]}"
        return f"not finished: {_note(answers)}" if _note(answers) else "–"
    text = with_unit(median(found), row.unit)
    return (
        text if len(found) == 1 else f"{text} ({number(min(found), row.unit)}–{number(max(found), row.unit)})"
    )


def void_answers(report: dict[str, Any]) -> Iterator[str]:
    """Yield, in one line each, what could not be measured and why."""
    for case, contenders in report["results"].items():
        if not contenders:
            yield f"{case}: no time was left for it"
        for name, answers in contenders.items():
            reasons = {answer["void"] for answer in answers if "void" in answer}
            title = PEERS[name].title if name in PEERS else name
            yield from (f"{case}, {title}: {reason}" for reason in sorted(reasons))


def with_unit(value: float, unit: str) -> str:
    """Return a number and its unit."""
    return f"{number(value, unit)} {unit}"


def number(value: float, unit: str = "") -> str:
    """Return a number with as many digits as it deserves."""
    if unit.startswith("of "):
        return f"{value:.1%}" if 0 < value < 1 else f"{value:.0%}"
    if value >= 1000:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
