"""Runs the measured programs: fresh processes, the contenders alternating, every answer checked for its count."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from .conditions import conditions
from .peers import PEERS, ROOT
from .rows import BOTH, Case

#: The answers of one case by contender, in the order of the rounds.
Answers = dict[str, list[dict[str, Any]]]
#: Peers are there to compare the order of magnitude with.
PEER_ROUNDS = 2
#: What the miniature makes of each setting: the programs run as they are, with next to nothing to do.
MINIATURE = {"jobs": 12, "sample": 4}


def measure(
    form: str,
    cases: Iterable[Case],
    rounds: int,
    minutes: float,
    tell: Callable[[str], None],
    keep: Callable[[dict[str, Any]], None] = lambda report: None,
) -> dict[str, Any]:
    """Run every case up to ``rounds`` times for each contender and return all answers, with the conditions.

    A B A B: the contenders take turns, and who begins changes from round to round, so that what slows the machine down for a
    while slows all down. Each round goes through all cases, the long ones last, so that a time limit costs repetitions first,
    and those of the long cases before the others.

    :param form: the name of the form, for the report
    :param minutes: nothing is begun after this, and no repetition of a case that would probably end later
    :param tell: is told each answer in one line
    :param keep: is given the report after each case, so that an interrupted measurement is not lost
    """
    chosen = sorted(cases, key=lambda case: case.most_rounds == 1)
    compileall.compile_dir(ROOT / "src", quiet=2)
    compileall.compile_dir(ROOT / "benchmarks", quiet=2)
    for package in BOTH:  # reads from the disk what the others will read from memory
        first = next((case for case in chosen if package in case.packages), None)
        if first is not None:
            run(first, package, miniature=True)
    results: dict[str, Answers] = {case.name: {} for case in chosen}
    report = {"form": form, "results": results, "conditions": conditions(rounds)}
    took: dict[str, float] = {}
    began = time.monotonic()
    for number in range(rounds):
        for case in sorted(chosen, key=lambda case: took.get(case.name, 0)):
            begun = time.monotonic()
            if number >= case.most_rounds or begun - began + took.get(case.name, 0) > minutes * 60:
                continue
            names = [name for name in case.programs() if name not in PEERS or number < PEER_ROUNDS]
            for name in names if number % 2 == 0 else reversed(names):
                answer = run(case, name)
                results[case.name].setdefault(name, []).append(answer)
                tell(f"{time.monotonic() - began:4.0f} s  {case.name:24} {name:14} {_brief(answer)}")
            took[case.name] = time.monotonic() - begun
            report["conditions"] = conditions(rounds)
            keep(report)
    return report


def run(case: Case, contender: str, miniature: bool = False) -> dict[str, Any]:
    """Run a case once in a fresh process; what goes wrong becomes an answer without figures."""
    python = PEERS[contender].python() if contender in PEERS else sys.executable
    if python is None:
        return {"void": "not installed"}
    settings = dict(case.settings)
    if miniature:
        settings |= {
            name: min(number, MINIATURE.get(name, 1))
            for name, number in settings.items()
            if isinstance(number, int)
        }
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    command = [python, "-P", "benchmarks/child.py", case.programs()[contender], contender]
    command += [f"{name}={value}" for name, value in settings.items()]
    try:
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=case.timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"void": f"no answer within {case.timeout} s"}
    try:
        answer: dict[str, Any] = json.loads(process.stdout.strip().splitlines()[-1])
        count, expected = answer["count"], answer["expected"]
    except (ValueError, IndexError, KeyError, TypeError):
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}, no answer"]
        return {"void": lines[-1], "stderr": process.stderr[-4000:]}
    if count != expected:
        answer["void"] = f"counted {count} instead of {expected}"
    return answer


def _brief(answer: dict[str, Any]) -> str:
    if "void" in answer:
        return f"VOID: {answer['void']}"
    figures = ", ".join(
        f"{name} {number:,.2f}" for name, number in answer["figures"].items() if number is not None
    )
    return figures + (f" ({answer['note']})" if answer.get("note") else "")
