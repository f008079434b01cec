"""Runs the measured programs: fresh processes, the packages alternating, every answer checked for its count."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .rows import Case

ROOT = Path(__file__).resolve().parents[1]

#: The answers of one case by package, in the order of the rounds.
Answers = dict[str, list[dict[str, Any]]]


def measure(cases: Iterable[Case], rounds: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Run every case ``rounds`` times for each package and return all answers, with the conditions.

    A B A B: the packages take turns, and who begins changes from round to round, so that what slows the machine down for a
    while slows both down.
    """
    results: dict[str, Answers] = {}
    for case in cases:
        answers: Answers = {package: [] for package in case.packages}
        for package in case.packages:
            _run(case, package, warm_up=True)
        for number in range(min(rounds, case.most_rounds)):
            order = case.packages if number % 2 == 0 else tuple(reversed(case.packages))
            for package in order:
                answer = _run(case, package)
                answers[package].append(answer)
                tell(f"{case.name:16} {package:12} {_brief(answer)}")
        results[case.name] = answers
    return {"conditions": conditions(rounds), "results": results}


def conditions(rounds: int) -> dict[str, Any]:
    """Return under which conditions is measured."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "rota": f"{_version('rota')} ({_commit()})",
        "apscheduler": _version("APScheduler"),
        "sqlalchemy": _version("SQLAlchemy"),
        "rounds": rounds,
        "date": _today(),
        "load": [round(number, 1) for number in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "command": "make bench" + _arguments(),
    }


def _run(case: Case, package: str, warm_up: bool = False) -> dict[str, Any]:
    """Run a case once in a fresh process; what goes wrong becomes an answer without figures."""
    settings = dict(case.settings)
    if warm_up:  # compiles the package's modules; nothing of it is kept
        settings.update(
            {name: min(number, 2) for name, number in settings.items() if isinstance(number, int)}
        )
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "src")))
    command = [sys.executable, "-P", "benchmarks/child.py", case.program, package]
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
    if process.returncode:
        lines = process.stderr.strip().splitlines() or [f"exit status {process.returncode}"]
        return {"void": lines[-1], "stderr": process.stderr[-4000:]}
    answer: dict[str, Any] = json.loads(process.stdout.strip().splitlines()[-1])
    if answer["count"] != answer["expected"]:
        answer["void"] = f"counted {answer['count']} instead of {answer['expected']}"
    return answer


def _brief(answer: dict[str, Any]) -> str:
    if "void" in answer:
        return f"VOID: {answer['void']}"
    figures = ", ".join(
        f"{name} {number:,.2f}" for name, number in answer["figures"].items() if number is not None
    )
    return figures + (f" ({answer['note']})" if answer.get("note") else "")


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude", "*"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "no commit"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


def _today() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).date().isoformat()


def _arguments() -> str:
    # Where the answers go is not a condition.
    arguments = " ".join(sys.argv[1:]).replace("--page", "")
    arguments = re.sub(r"--json[ =]\S+", "", arguments).strip()
    return f' ARGS="{arguments}"' if arguments else ""
