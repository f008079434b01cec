"""What the tests with real processes share: nodes that can be killed, their common log, and bounded waiting."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler, VirtualClock
from tests.faults.node import work

ROOT = Path(__file__).parents[2]


def wait_until(condition, what, seconds=30):
    """Wait until a condition holds; look often, and fail with what was waited for."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.005)
    return result


class Site:
    """A database file, a log file, and the processes on them.

    :param folder: where the files are
    """

    def __init__(self, folder):
        self.url = f"sqlite:///{folder}/jobs.sqlite"
        self.log = str(folder / "log")
        Path(self.log).touch()
        self.nodes = []

    # -- processes -----------------------------------------------------------------------------------------------

    def start(self, **options):
        """Start a node and wait until it is up."""
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.node", self.url, self.log, *words],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.nodes.append(process)
        wait_until(
            lambda: self.lines("up", pid=process.pid) or process.poll() is not None, "a node to come up"
        )
        return process

    def kill(self, process):
        """Kill a node as nothing can prevent."""
        process.send_signal(signal.SIGKILL)
        process.wait(10)

    def stop(self, process):
        """Ask a node to drain and end."""
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 0, errors

    def end(self):
        """End what is left."""
        for process in self.nodes:
            if process.poll() is None:
                process.kill()
            process.communicate()

    # -- what they wrote -----------------------------------------------------------------------------------------

    def lines(self, kind, pid=None):
        """Return the lines of a kind as tuples of words: (job id, nominal, attempt, pid)."""
        found = []
        for line in Path(self.log).read_text().splitlines():
            first, *words = line.split()
            if first == kind and (pid is None or words[-1] == str(pid)):
                found.append(tuple(words))
        return found

    def times_begun(self):
        """Return how often each (job id, nominal time) was begun."""
        return Counter((job_id, int(nominal)) for job_id, nominal, _, _ in self.lines("begin"))

    # -- the database --------------------------------------------------------------------------------------------

    @contextmanager
    def store(self):
        """Look into the database."""
        store = SQLAlchemyJobStore(self.url)
        store.start(None, "default")
        try:
            yield store
        finally:
            store.shutdown()

    def runs(self, status=None):
        """Return the ledger's records."""
        with self.store() as store:
            return store.get_runs(status=status, limit=1_000_000)

    def claimed(self):
        """Return the keys of the runs that have been claimed and have not ended."""
        return {(run.job_id, run.nominal) for run in self.runs("claimed")}

    @contextmanager
    def user(self):
        """Add jobs without running any."""
        scheduler = ManualScheduler(
            clock=VirtualClock(datetime.now(UTC)), jobstores={"default": SQLAlchemyJobStore(self.url)}
        )
        scheduler.start(paused=True)
        try:
            yield scheduler
        finally:
            scheduler.shutdown()

    def add_one_off_jobs(self, count, seconds, **options):
        """Add jobs that are due now and run once."""
        now = datetime.now(UTC)
        with self.user() as scheduler:
            for number in range(count):
                scheduler.add_job(
                    work, "date", run_date=now, args=[self.log, seconds], id=f"j{number}", **options
                )
