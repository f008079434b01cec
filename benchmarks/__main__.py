"""`python -m benchmarks`: measure, print the tables, keep the answers, bring docs/performance.md up to date."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from . import history
from .page import update_page
from .peers import ROOT
from .rows import cases
from .runner import measure
from .table import markdown, plain

#: Rounds and minutes of each form, unless the command says otherwise.
FORMS = {"full": (5, 13.0), "short": (3, 1.0)}


def main() -> None:
    options = _options()
    report = json.loads(options.read.read_text(encoding="utf-8")) if options.read else _measured(options)
    print(markdown(report) if options.markdown else plain(report))
    for worse in history.regressions(report):
        print(f"WARNING: {worse}")
    if options.record:
        history.append(report)
    if options.page:
        update_page(ROOT / "docs" / "performance.md", report)


def _measured(options: argparse.Namespace) -> dict[str, Any]:
    if find_spec("apscheduler") is None:
        raise SystemExit(
            "APScheduler is not installed in this environment: use `make bench`, which makes one that has it"
        )
    form = "short" if options.short else "full"
    known = cases(form)
    chosen = [case for case in known if not options.only or any(word in case.name for word in options.only)]
    if not chosen:
        raise SystemExit(f"no case matches; there are: {', '.join(case.name for case in known)}")
    rounds, minutes = FORMS[form]

    def keep(report: dict[str, Any]) -> None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")

    return measure(
        form,
        chosen,
        options.rounds or rounds,
        options.minutes or minutes,
        lambda text: print(text, file=sys.stderr, flush=True),
        keep,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="only the cases whose name contains one of these"
    )
    parser.add_argument(
        "--short", action="store_true", help="some cases, smaller, without floors and peers; about a minute"
    )
    parser.add_argument("--rounds", type=int, help="how often each case runs for each contender at the most")
    parser.add_argument("--minutes", type=float, help="begin no further round that would end later than this")
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=ROOT / "build" / "benchmarks.json",
        help="where the answers go",
    )
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing; show what --json wrote")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown")
    parser.add_argument("--record", action="store_true", help="append the ratios to benchmarks/history.jsonl")
    parser.add_argument("--page", action="store_true", help="bring docs/performance.md up to date")
    return parser.parse_args()


if __name__ == "__main__":
    main()
