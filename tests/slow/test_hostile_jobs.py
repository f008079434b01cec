"""Hundreds of hostile jobs in each executor, in a process of their own; thousands on demand by fuzz/fuzz_jobs.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import need

ROOT = Path(__file__).parents[2]
JOBS = {
    "threadpool": 400,
    "debug": 400,
    "processpool": 60,
    "asyncio": 400,
    "tornado": 400,
    "gevent": 400,
    "twisted": 400,
}


@pytest.mark.slow
@pytest.mark.parametrize("executor", JOBS)
def test_hostile_jobs_cost_nobody_but_themselves(executor):
    if executor in ("tornado", "gevent", "twisted"):
        need(executor, executor)
    command = [sys.executable, str(ROOT / "fuzz" / "fuzz_jobs.py"), "--executor", executor]
    command += ["--jobs", str(JOBS[executor])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=55, check=False)
    assert ended.returncode == 0, (ended.stdout + ended.stderr)[-3000:]
