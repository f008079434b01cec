"""Environments with libraries that were written for APScheduler, made by the Makefile when they are first asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.needs import missing

ROOT = Path(__file__).parents[2]
#: Why an environment could not be made: without a network the next one is not tried.
_why_not: list[str] = []


def environment(name: str) -> Path:
    """Return the Python of an environment, which is made if it is not there."""
    stamp = f".venvs/library-{name}/.ready"
    command = ["make", "--no-print-directory", f"BIN={Path(sys.executable).parent}", stamp]
    if not _why_not:
        try:
            made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)
            if made.returncode != 0:
                lines = made.stderr.splitlines()
                _why_not.append(next((line for line in lines if line.startswith("ERROR")), lines[-1]))
        except (OSError, subprocess.TimeoutExpired) as error:
            _why_not.append(str(error))
    if _why_not and not (ROOT / stamp).exists():
        missing(f"the environment {stamp}", f"make it where there is a network: make {stamp} ({_why_not[0]})")
    return ROOT / f".venvs/library-{name}" / "bin" / "python"
