"""`python -m benchmarks`: measure, print the table, keep the answers, bring docs/performance.md up to date."""

from __future__ import annotations

import argparse
import json
import sys
from importlib.util import find_spec
from pathlib import Path

from .rows import CASES
from .runner import ROOT, measure
from .table import markdown, plain, update_page


def main() -> None:
    options = _options()
    if options.read:
        report = json.loads(options.read.read_text(encoding="utf-8"))
    else:
        if find_spec("apscheduler") is None:
            raise SystemExit(
                "APScheduler is not installed in this environment: use `make bench`, which makes one that has it"
            )
        chosen = [
            case for case in CASES if not options.only or any(word in case.name for word in options.only)
        ]
        if not chosen:
            raise SystemExit(f"no case matches; there are: {', '.join(case.name for case in CASES)}")
        report = measure(chosen, options.rounds, lambda text: print(text, file=sys.stderr, flush=True))
        if options.json:
            options.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(markdown(report) if options.markdown else plain(report))
    if options.page:
        update_page(ROOT / "docs" / "performance.md", report)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", metavar="WORD", help="only the cases whose name contains one of these"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each case runs for each package (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all answers to a file")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing; show what --json wrote")
    parser.add_argument("--markdown", action="store_true", help="print the table in Markdown")
    parser.add_argument("--page", action="store_true", help="bring docs/performance.md up to date")
    return parser.parse_args()


if __name__ == "__main__":
    main()
