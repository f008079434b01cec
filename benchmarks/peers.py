"""The other peers: from where each comes, in which environment it runs, and what it does not do in these rows."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Peer:
    """Another package that does the same job as a row, or a part of it."""

    title: str
    distribution: str
    #: what is measured of it, and what it does not do there
    note: str
    #: the environment, where it cannot be in the same one
    environment: str = ""

    def python(self) -> str | None:
        """Return the interpreter that has the package; None if there is none."""
        return sys.executable if self.version() and not self.environment else self._elsewhere()

    def version(self) -> str:
        """Return the version that is measured, or nothing if the package is not installed."""
        if self.environment:
            found = sorted(
                (ROOT / self.environment).glob(f"lib/*/site-packages/{self.distribution}-*.dist-info")
            )
            return found[0].name.removesuffix(".dist-info").rpartition("-")[2] if found else ""
        try:
            return version(self.distribution)
        except PackageNotFoundError:
            return ""

    def _elsewhere(self) -> str | None:
        program = ROOT / self.environment / "bin" / "python"
        return str(program) if self.environment and self.version() and program.exists() else None


PEERS = {
    "schedule": Peer(
        "schedule",
        "schedule",
        "`run_pending()` in the caller's thread, with the bare function call: no threads, no stores, no misfire handling, no "
        "record of runs. It looks at all jobs in each pass, and its times drift by what the jobs take.",
    ),
    "apscheduler4": Peer(
        "APScheduler 4 alpha",
        "apscheduler",
        "An unfinished release, with its memory data store and local event broker. It stores each run as a job that is "
        "queued, acquired and released. It is given 2 000 schedules where the others have 10 000, and eight seconds to run them.",
        environment=".venvs/bench-apscheduler4",
    ),
    "huey": Peer(
        "huey",
        "huey",
        "A task queue: `MemoryHuey` and `SqliteHuey` with ten worker threads and results switched off. The burst is a list of "
        "one-off tasks that have been queued, so nothing finds a next time, and nothing is kept of a run. What a worker has taken "
        "from the SQLite file is lost if the process dies.",
    ),
    "celery": Peer(
        "Celery beat",
        "celery",
        "Beat's own scheduler in the memory of one process, 10 000 entries that are due at once: only its ticks, for five "
        "seconds. Sending the message is replaced by a direct call of the function, so neither broker nor worker is counted. Each "
        "tick compares the whole schedule with what it was, which is what takes the time.",
    ),
    "procrastinate": Peer(
        "procrastinate",
        "procrastinate",
        "A task queue on PostgreSQL: one worker with ten concurrent coroutines takes the jobs that were deferred before. The jobs "
        "are one-off; each has a status row, as Rota's runs have a record.",
    ),
    "cronsim": Peer("cronsim", "cronsim", "Only the next times of a crontab expression, in one zone."),
    "croniter": Peer("croniter", "croniter", "Only the next times of a crontab expression, in one zone."),
}
