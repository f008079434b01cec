"""The ratios of earlier measurements, one JSON line each, and what has become worse since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from statistics import median
from typing import Any

from .lines import lines, number
from .peers import ROOT

FILE = ROOT / "benchmarks" / "history.jsonl"
#: A ratio that is worse than the median of so many earlier ones by more than this share is worth a warning.
EARLIER, REGRESSION = 5, 0.25


def entry(report: dict[str, Any]) -> dict[str, Any]:
    """Return what the history keeps of a measurement: how many times better Rota was, by the clock and by processor time."""
    conditions = report["conditions"]
    made = lines(report)
    return {
        "form": report["form"],
        **{
            name: conditions[name] for name in ("date", "rota", "apscheduler", "python", "processor", "cores")
        },
        "ratios": {line.key: round(line.ratio, 3) for line in made if line.ratio is not None},
        "processor_ratios": {
            line.key: round(line.processor, 3) for line in made if line.processor is not None
        },
    }


def append(report: dict[str, Any]) -> None:
    """Add a measurement to the history."""
    with FILE.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry(report), ensure_ascii=False) + "\n")


def regressions(report: dict[str, Any]) -> Iterator[str]:
    """Yield a sentence for each ratio that is clearly worse than in the last measurements of the same form."""
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else ""
    earlier = [found for found in map(json.loads, text.splitlines()) if found["form"] == report["form"]]
    now = entry(report)
    for kind, by in (("ratios", "by the clock"), ("processor_ratios", "by processor time")):
        for key, ratio in now[kind].items():
            known = [found[kind][key] for found in earlier[-EARLIER:] if key in found[kind]]
            if known and ratio < (1 - REGRESSION) * median(known):
                yield (
                    f"{key}: {number(ratio)} times as good as APScheduler {by}, it was {number(median(known))} "
                    f"(median of {len(known)} in {FILE.relative_to(ROOT)})"
                )
