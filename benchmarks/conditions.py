"""Under which conditions is measured: the machine, the versions, the command."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .peers import PEERS, ROOT


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
        "peers": {peer.title: peer.version() for peer in PEERS.values()},
        "rounds": rounds,
        "date": _today(),
        "load": [round(number, 1) for number in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "command": "make bench" + _arguments(),
    }


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
    arguments = re.sub(r"--page|--record|--json[ =]\S+", "", " ".join(sys.argv[1:])).strip()
    return f' ARGS="{arguments}"' if arguments else ""
