"""The pictures of docs/performance.md, drawn as SVG from the answers. Scales, bars, lines and labels; nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any
from xml.sax.saxutils import escape

from .lines import lines, middle, number
from .peers import PEERS
from .rows import CASES, FLOOR, twin

WIDTH, LEFT, RIGHT = 780, 330, 60
INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
COLOURS = {"rota": "#0b6e4f", "apscheduler": "#b44d12", FLOOR: "#9aa5b1"}
PEER = "#3e63a8"
NAMES = {"rota": "Rota", "apscheduler": "APScheduler 3", FLOOR: "the floor: bare primitives"}


@dataclass(frozen=True)
class Picture:
    """A drawn picture."""

    title: str
    svg: str


def pictures(report: dict[str, Any]) -> dict[str, Picture]:
    """Return the pictures for which the report has figures, by name."""
    drawn = {
        "ratios": _ratios(report),
        "bursts": _bursts(report),
        "sustained": _sustained(report),
        "adding": _adding(report),
    }
    return {name: picture for name, picture in drawn.items() if picture is not None}


# ------------------------------------------------------------------------------------------------------------ drawing


def _text(x: float, y: float, text: str, **attributes: str | float) -> str:
    extra = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{extra}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float = 1) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" stroke-width="{width}"/>'


def _bar(x1: float, x2: float, y: float, height: float, colour: str) -> str:
    return (
        f'<rect x="{min(x1, x2):.1f}" y="{y:.1f}" width="{max(abs(x2 - x1), 1):.1f}" height="{height}" '
        f'fill="{colour}"/>'
    )


def _picture(title: str, note: str, height: float, parts: Iterable[str]) -> Picture:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12" fill="{INK}">'
    )
    title_part = _text(20, 26, title, font_size=16, font_weight=600)
    drawn = [head, f'<rect width="{WIDTH}" height="{height:.0f}" fill="#ffffff"/>', title_part]
    drawn += [_text(20, 46, note, fill=FAINT), *parts, "</svg>"]
    return Picture(title, "\n".join(drawn) + "\n")


def _logarithmic(
    low: float, high: float, start: float, end: float
) -> tuple[Callable[[float], float], list[float]]:
    """Return a scale that holds all numbers from low to high, and its powers of ten."""
    first, last = floor(log10(low)), max(ceil(log10(high)), floor(log10(low)) + 1)

    def scale(value: float) -> float:
        return start + (log10(value) - first) / (last - first) * (end - start)

    return scale, [10.0**power for power in range(first, last + 1)]


def _legend(entries: Iterable[tuple[str, str]], y: float) -> list[str]:
    parts, x = [], 20.0
    for title, colour in entries:
        parts += [_bar(x, x + 12, y - 10, 12, colour), _text(x + 17, y, title)]
        x += 34 + 6.4 * len(title)
    return parts


def _plain(title: str) -> str:
    text = title.replace("`", "")
    return text if len(text) < 48 else text[:46] + "…"


# ----------------------------------------------------------------------------------------------------------- pictures


def _ratios(report: dict[str, Any]) -> Picture | None:
    """How many times better than APScheduler, and what was to be reached; of two zones, where that is less."""
    made = [
        line
        for line in lines(report)
        if line.ratio is not None and not line.case.name.startswith("sustained")
    ]
    by_key = {line.key: line for line in made}
    for line in list(made):
        other = by_key.get(f"{twin(line.case)}/{line.row.figure}")
        if other is not None and (other.ratio or 0, other.key) < (line.ratio or 0, line.key):
            made.remove(line)
    if not made:
        return None
    found = [line.ratio or 1 for line in made]
    top, step = 82, 22
    bottom = top + step * len(made)
    scale, ticks = _logarithmic(min([*found, 0.9]), max([*found, 10]), LEFT, WIDTH - RIGHT)
    parts = _legend((("better", COLOURS["rota"]), ("worse", COLOURS["apscheduler"]), ("target", INK)), 66)
    for tick in ticks:
        parts.append(_line(scale(tick), top, scale(tick), bottom, GRID))
        parts.append(_text(scale(tick), bottom + 16, f"{tick:g}×", text_anchor="middle", fill=FAINT))
    for index, line in enumerate(made):
        y, ratio = top + index * step, line.ratio or 1
        parts.append(
            _bar(scale(1), scale(ratio), y + 4, 14, COLOURS["rota" if ratio >= 1 else "apscheduler"])
        )
        parts.append(_text(LEFT - 8, y + 15, _plain(line.row.title), text_anchor="end"))
        parts.append(_text(scale(max(ratio, 1, line.row.ratio or 0)) + 6, y + 15, f"{number(ratio)}×"))
        if line.row.ratio:
            parts.append(_line(scale(line.row.ratio), y + 1, scale(line.row.ratio), y + 21, INK, 2))
    parts.append(_line(scale(1), top, scale(1), bottom, INK))
    return _picture("How many times better than APScheduler 3", "medians, logarithmic", bottom + 30, parts)


def _bursts(report: dict[str, Any]) -> Picture | None:
    """Runs per second of each contender, with the floor."""
    groups: list[tuple[str, list[tuple[str, str, float]]]] = []
    for case in CASES:
        row = case.rows[0]
        if row.figure != "rate":
            continue
        rates = [(name, middle(report, case.name, name, "rate")) for name in case.programs()]
        bars = [
            (PEERS[name].title if name in PEERS else NAMES[name], COLOURS.get(name, PEER), rate)
            for name, rate in rates
            if rate
        ]
        if bars:
            groups.append((row.title, bars))
    if not groups:
        return None
    found = [rate for _, bars in groups for *_, rate in bars]
    top, step = 82, 17
    bottom = top + sum(24 + step * len(bars) for _, bars in groups)
    scale, ticks = _logarithmic(min(found), max(found), LEFT, WIDTH - RIGHT)
    parts = _legend([(NAMES[name], colour) for name, colour in COLOURS.items()] + [("other peers", PEER)], 66)
    for tick in ticks:
        parts.append(_line(scale(tick), top, scale(tick), bottom, GRID))
        parts.append(
            _text(
                scale(tick), bottom + 16, f"{tick:,.0f}".replace(",", " "), text_anchor="middle", fill=FAINT
            )
        )
    y = float(top)
    for title, bars in groups:
        parts.append(_text(20, y + 16, _plain(title), font_weight=600))
        y += 22
        for name, colour, rate in bars:
            parts.append(_text(LEFT - 8, y + 11, name, text_anchor="end"))
            parts.append(_bar(LEFT, scale(rate), y + 1, 12, colour))
            parts.append(_text(scale(rate) + 6, y + 11, f"{rate:,.0f}".replace(",", " ")))
            y += step
        y += 2
    return _picture(
        "Runs per second when many jobs are due at once", "medians, logarithmic", bottom + 30, parts
    )


@dataclass(frozen=True)
class Curve:
    """What one contender reached at each number of jobs."""

    contender: str
    points: list[tuple[float, float]]


def _curves(report: dict[str, Any], prefix: str, figure: str) -> list[Curve]:
    cases = [
        case for case in CASES if case.name.startswith(prefix) and case.name.rpartition("-")[2].isdigit()
    ]
    found = []
    for contender in (FLOOR, "apscheduler", "rota"):
        points = [
            (float(case.settings["jobs"]), value)
            for case in cases
            if (value := middle(report, case.name, contender, figure)) is not None
        ]
        if points:
            found.append(Curve(contender, points))
    return found


def _drawn(curve: Curve, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    colour = COLOURS[curve.contender]
    path = " ".join(f"{x(jobs):.1f},{y(value):.1f}" for jobs, value in curve.points)
    dots = [
        f'<circle cx="{x(jobs):.1f}" cy="{y(value):.1f}" r="3.5" fill="{colour}"/>'
        for jobs, value in curve.points
    ]
    return [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>', *dots]


def _sustained(report: dict[str, Any]) -> Picture | None:
    """The share of the runs that happened, by the number of one-second jobs; threads beside asyncio."""
    parts = _legend([(NAMES[name], colour) for name, colour in COLOURS.items()], 66)
    top, bottom, some = 108, 300, False
    for left, kind in ((60, "threads"), (440, "asyncio")):
        curves = _curves(report, f"sustained-{kind}", "share")
        most = max([jobs for curve in curves for jobs, _ in curve.points], default=1)
        some = some or bool(curves)

        def x(jobs: float, left: float = left, most: float = most) -> float:
            return left + jobs / most * 300

        def y(share: float) -> float:
            return bottom - share * (bottom - top)

        parts.append(_text(left, top - 14, kind, font_weight=600))
        for share in (0, 0.25, 0.5, 0.75, 1):
            parts.append(_line(left, y(share), left + 300, y(share), GRID))
            parts.append(_text(left - 8, y(share) + 4, f"{share:.0%}", text_anchor="end", fill=FAINT))
        for jobs in sorted({jobs for curve in curves for jobs, _ in curve.points}):
            parts.append(_text(x(jobs), bottom + 18, f"{jobs / 1000:g}k", text_anchor="middle", fill=FAINT))
        for curve in curves:
            parts += _drawn(curve, x, y)
    note = "share of the due runs that happened, by the number of jobs that run each second; no run does any work"
    return _picture("Sustained load", note, bottom + 36, parts) if some else None


def _adding(report: dict[str, Any]) -> Picture | None:
    """What each add_job() costs, by the number of jobs."""
    curves = _curves(report, "add-", "us")
    if not curves:
        return None
    values = [value for curve in curves for _, value in curve.points]
    counts = [jobs for curve in curves for jobs, _ in curve.points]
    top, bottom, left = 82, 300, 80
    x, columns = _logarithmic(min(counts), max(counts), left, WIDTH - RIGHT)
    y, rows = _logarithmic(min(values), max(values), bottom, top)
    parts = _legend([(NAMES[name], colour) for name, colour in COLOURS.items()], 66)
    for tick in rows:
        parts.append(_line(left, y(tick), WIDTH - RIGHT, y(tick), GRID))
        parts.append(_text(left - 8, y(tick) + 4, f"{tick:g} µs", text_anchor="end", fill=FAINT))
    for tick in columns:
        parts.append(
            _text(
                x(tick), bottom + 18, f"{tick:,.0f} jobs".replace(",", " "), text_anchor="middle", fill=FAINT
            )
        )
    for curve in curves:
        parts += _drawn(curve, x, y)
    note = (
        "time for each job while so many are added; a contender without a point did not get there in its time"
    )
    return _picture("add_job() with the memory store", note, bottom + 36, parts)
