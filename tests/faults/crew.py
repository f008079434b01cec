"""What the fault tests share: scheduler processes on one store, jobs whose executions leave a trace, and the audit of the ledger.

Knows a store by its URL only.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rota.core.run import SUCCEEDED
from tests.faults.worker import make_scheduler

if TYPE_CHECKING:
    from collections.abc import Callable

    from rota.core.run import Run
    from rota.schedulers.background import BackgroundScheduler

ROOT = Path(__file__).parents[2]
PATIENCE = 40


class Crew:
    """Some worker processes on one store.

    :param url: the store
    :param trace: the file in which executions leave their lines
    """

    def __init__(self, url: str, trace: Path) -> None:
        self.url = url
        self.trace = trace
        self.workers: list[subprocess.Popen[str]] = []
        self._random = random.Random(4)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *exc: object) -> None:
        for worker in self.workers:
            worker.send_signal(signal.SIGCONT)
            if worker.stdin is not None:
                worker.stdin.close()
        for worker in self.workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()

    def hire(self, count: int = 1, shift: float = 0) -> list[subprocess.Popen[str]]:
        """Start workers, and wait until they are ready."""
        new = [self._start(shift) for _ in range(count)]
        for worker in new:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n", "a worker did not start"
        return new

    def _start(self, shift: float) -> subprocess.Popen[str]:
        worker = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.worker", self.url, str(self.trace), str(shift)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=ROOT,
        )
        self.workers.append(worker)
        return worker

    def kill_one(self) -> None:
        """Kill a random worker by SIGKILL, and start another one in its place without waiting for it."""
        victim = self._random.choice([worker for worker in self.workers if worker.poll() is None])
        victim.kill()
        self._start(0)


def add_jobs(scheduler: BackgroundScheduler, trace: Path, count: int, seconds: float) -> list[str]:
    """Add jobs that run once, spread over the next seconds."""
    start = datetime.now(UTC)
    ids = [f"job{number}" for number in range(count)]
    scheduler.add_jobs(
        {
            "func": "tests.faults.worker:work",
            "trigger": "date",
            "run_date": start + timedelta(seconds=seconds * number / count),
            "id": id,
            "args": (str(trace),),
        }
        for number, id in enumerate(ids)
    )
    return ids


def client(url: str) -> BackgroundScheduler:
    """Return a started scheduler that only looks."""
    from rota.schedulers.background import BackgroundScheduler

    scheduler = BackgroundScheduler(jobstores={"default": url}, runs_jobs=False)
    scheduler.start()
    return scheduler


def await_ends(look: Callable[[], list[Run]], count: int) -> list[Run]:
    """Wait until so many runs have succeeded, and return all runs."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            runs = look()
        except Exception as exc:  # the server may be away at the moment
            runs, status = [], repr(exc)
        else:
            states = Counter(run.status for run in runs)
            status = str(dict(states))
            if states[SUCCEEDED] >= count:
                return runs
        assert time.monotonic() < deadline, f"{count} runs were to succeed; now: {status}"
        time.sleep(0.1)


def audit(runs: list[Run], ids: list[str], trace: Path) -> int:
    """Check that the ledger adds up: each nominal time has one record, which says what happened; return the repeated runs."""
    assert sorted(run.job_id for run in runs) == sorted(ids), "a nominal time has no record, or two"
    assert {run.status for run in runs} == {SUCCEEDED}
    executions = Counter(trace.read_text().splitlines())
    twice = {line: count for line, count in executions.items() if count > 1}
    assert not twice, f"an attempt was executed by two nodes: {twice}"
    executed = Counter(line.split()[0] for line in executions)
    last = {run.job_id: run.attempt for run in runs}
    for id in ids:
        assert 1 <= executed[id] <= last[id], f"{id}: {executed[id]} executions, attempt {last[id]}"
    return sum(attempt > 1 for attempt in last.values())


__all__ = ("Crew", "add_jobs", "audit", "await_ends", "client", "make_scheduler")
