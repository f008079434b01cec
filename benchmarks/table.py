"""The lines as tables: plain text for the terminal, Markdown for the page."""

from __future__ import annotations

from typing import Any

from .lines import Line, lines, middle, number, values, void_answers, with_unit
from .peers import PEERS
from .rows import CASES, FLOOR

HEAD = ("", "Rota", "APScheduler", "better by", "(processor time)", "floor", "target", "")
_MARKS = {True: "reached", False: "**missed**", None: ""}
#: The columns of the table of sustained load; each is the figure and unit of a case.
_SUSTAINED = (
    ("share", "of those due"),
    ("missed", "runs"),
    ("p50", "ms"),
    ("p99", "ms"),
    ("max", "ms"),
    ("silence", "s"),
    ("cpu_ms", "ms"),
    ("core", "of a core"),
)


def markdown(report: dict[str, Any]) -> str:
    """Return all tables in Markdown."""
    parts = [_table(HEAD, [_cells(line) for line in shown(report)])]
    if sustained := _sustained(report):
        head = (
            "one-second jobs", "", "runs that happened", "missed", "late: median", "p99", "greatest", "longest silence",
            "processor time for 1 000 runs", "core used",
        )  # fmt: skip
        parts.append("Sustained load:\n\n" + _table(head, sustained))
    if others := _others(report):
        of_peers = ("", "peer", "Rota", "the peer", "Rota is better by")
        parts.append("Other peers:\n\n" + _table(of_peers, others))
    if voids := list(void_answers(report)):
        parts.append("Not measured:\n\n" + "".join(f"- {text}\n" for text in voids))
    return "\n".join(parts)


def plain(report: dict[str, Any]) -> str:
    """Return the same as aligned text."""
    parts = [_aligned([HEAD, *(_cells(line) for line in shown(report))])]
    parts += [_aligned(found) for found in (_sustained(report), _others(report)) if found]
    parts += [f"not measured: {text}" for text in void_answers(report)]
    return "\n\n".join(parts)


def shown(report: dict[str, Any]) -> list[Line]:
    """Return the lines of the main table: of sustained load only what has a target; all of it has a table of its own."""
    return [
        line
        for line in lines(report)
        if not line.case.name.startswith("sustained")
        or line.target
        or (_aim(line) and line.row.figure == "cpu_ms")
    ]


def _aim(line: Line) -> bool:
    return any(row.bound is not None for row in line.case.rows)


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.row.title,
        line.shown.get("rota", ""),
        line.shown.get("apscheduler", ""),
        line.ratio_text,
        "" if line.processor is None else f"{number(line.processor)}×",
        line.shown.get(FLOOR, ""),
        line.target,
        _MARKS[line.reached],
    )


def _sustained(report: dict[str, Any]) -> list[tuple[str, ...]]:
    found = []
    for case in CASES:
        if not case.name.startswith("sustained") or not report["results"].get(case.name):
            continue
        _, kind, jobs = case.name.split("-")
        for name, title in (("rota", "Rota"), ("apscheduler", "APScheduler"), (FLOOR, "floor")):
            answers = report["results"][case.name].get(name, [])
            if not answers:
                continue
            cells = [f"{int(jobs) // 1_000} 000, {kind}", title]
            for figure, unit in _SUSTAINED:
                value = middle(report, case.name, name, figure)
                text = with_unit if unit in ("ms", "s") else number
                cells.append("–" if value is None else text(value, unit))
            if not values(answers, "share"):
                cells[2] = "void"
            found.append(tuple(cells))
    return found


def _others(report: dict[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            line.row.title,
            PEERS[name].title,
            line.shown["rota"],
            line.shown[name],
            f"{number(times)}×",
        )
        for line in lines(report)
        for name, times in line.peers.items()
    ]


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    align = "|---" + "|---:" * (len(head) - 1) + "|\n"
    return (
        "".join(f"| {' | '.join(row)} |\n" for row in [head])
        + align
        + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    )


def _aligned(table: list[tuple[str, ...]]) -> str:
    plain = [tuple(cell.replace("`", "").replace("*", "") for cell in row) for row in table]
    widths = [max(len(row[i]) for row in plain) for i in range(len(plain[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in plain
    )
