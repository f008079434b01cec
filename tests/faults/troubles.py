"""Troubles beside the killing: old records to forget, jobs in quarantine, damaged data, stores that are emptied or put back.

Knows every store by its URL and what the other tests have for it; it kills no process of the scheduler.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rota.clock import DAY, SECOND, moment
from rota.core.plan import plan
from rota.core.states import CLAIMED, QUARANTINED, SUCCEEDED, succeed
from rota.schedulers.plugins import create_plugin
from rota.testing.contracts.damage_found import JOB, RECORD, RUN
from rota.testing.contracts.store_jobs import START, make_job, task
from rota.triggers.date import DateTrigger
from tests.adapters.places import EtcdPlace, ZooKeeperPlace
from tests.contracts.damaged import MongoDBHand, RedisHand, TreeHand
from tests.contracts.test_damaged_tables import SQLHand
from tests.faults.balance import Plan
from tests.faults.crew import ATTEMPTS
from tests.faults.replacing import File, Keys
from tests.faults.worker import work

if TYPE_CHECKING:
    from rota.job import Job
    from rota.jobstores.base import BaseJobStore
    from rota.testing.contracts.damage import Hand
    from tests.faults.crew import Crew
    from tests.servers.process import Server

SQL = ("sqlite", "postgresql", "pgbouncer", "mariadb")
#: how many old records there are to forget, and how many jobs in quarantine, on databases and elsewhere
RECORDS, RECORDS_ELSEWHERE = 30_000, 1_000
BROKEN, BROKEN_ELSEWHERE = 1_000, 100
#: the job of the old records, or what their ids begin with
OLD = "old"
#: how many jobs have the old records where they are written through the store
OWNERS = 20
#: how many jobs are damaged, and how long it is from one damage to the next (seconds)
VICTIMS, PAUSE = 50, 0.05
COLUMNS = "job_id, nominal, last, times, due, attempt, status, executor, claimed, started, finished"


def _opened(url: str) -> BaseJobStore:
    store: BaseJobStore = create_plugin("jobstore", url, {})
    store.start(None, "default")
    return store


# ------------------------------------------------------------------------------------------------------- housekeeping


def add_records(store: str, url: str, scale: float = 1) -> int:
    """Write records of long ago; return how many.

    :param scale: which part of the usual number
    """
    opened = _opened(url)
    try:
        if store in SQL:
            return _write_records(opened, int(RECORDS * scale))
        return _claim_records(opened, int(RECORDS_ELSEWHERE * scale))
    finally:
        opened.shutdown()


def _write_records(store: Any, count: int) -> int:
    """Write records by a few statements, each of which doubles them."""
    from sqlalchemy import text

    at = int(time.time() * SECOND) - 400 * DAY
    row = "'old', :at, :at, 1, :at, 1, 'succeeded', 'default', :at, :at, :at"
    moved = (
        "job_id, nominal + :more, last + :more, times, due + :more, attempt, status, executor, "
        "claimed + :more, started + :more, finished + :more"
    )
    there = 1
    with store.engine.begin() as connection:
        connection.execute(text(f"INSERT INTO rota_runs ({COLUMNS}) VALUES ({row})"), {"at": at})
        while there < count:
            doubled = f"INSERT INTO rota_runs ({COLUMNS}) SELECT {moved} FROM rota_runs WHERE job_id = 'old'"
            connection.execute(text(doubled), {"more": there})
            there *= 2
    return there


def _claim_records(store: BaseJobStore, count: int) -> int:
    """Let a node that is gone long since have executed jobs that were removed afterwards."""
    ids = [f"{OLD}{number}" for number in range(OWNERS)]
    store.add_jobs([make_job(id, every=60) for id in ids])
    for number in range(count // OWNERS):
        now = START + number * 60 * SECOND
        store.renew("gone", now, 60 * SECOND)
        jobs: list[Job] = [job for job in map(store.lookup_job, ids) if job is not None]
        runs = [
            run
            for decision in store.claim([plan(job, now) for job in jobs], "gone", now)
            for run in decision.runs
        ]
        for run in runs:
            run.started_at = now
            succeed(run, None, now)
        assert store.finish(runs, now) == []
    for id in ids:
        store.remove_job(id)
    return count // OWNERS * OWNERS


def are_forgotten(crew: Crew, store: str) -> bool:
    """Whether nothing is left of the old records."""
    ids = [OLD] if store in SQL else [f"{OLD}{number}" for number in range(OWNERS)]
    return not any(crew.looker.get_runs(id, limit=1) for id in ids)


def add_broken(crew: Crew, store: str, seconds: float, scale: float = 1) -> int:
    """Add jobs that are in quarantine though nothing is wrong with them, and run once when they have left it; return how many."""
    count = int((BROKEN if store in SQL else BROKEN_ELSEWHERE) * scale)
    start = int(time.time() * SECOND)
    due = {f"broken{number}": start + int(seconds * SECOND * number / count) for number in range(count)}
    jobs = []
    for id, time_of in due.items():
        trigger = DateTrigger(moment(time_of), timezone="UTC")
        job = make_job(
            id, time_of, func=work, trigger=trigger, args=(str(crew.trace), 0.02), max_attempts=ATTEMPTS
        )
        job.state, job.error = QUARANTINED, "its module was not there"
        jobs.append(job)
    opened = _opened(crew.url)
    opened.add_jobs(jobs)
    opened.shutdown()
    crew.plans |= {id: Plan([time_of], 1, ATTEMPTS) for id, time_of in due.items()}
    return count


# ------------------------------------------------------------------------------------------------------------ damages


class Damager(threading.Thread):
    """Overwrites, time and again, something of what is stored of some jobs, their runs under way and their records.

    :param seed: decides what, and by what
    :ivar done: how many values were overwritten
    """

    def __init__(self, crew: Crew, store: str, seed: int) -> None:
        super().__init__(name="damager", daemon=True)
        self.done = 0
        self._hand = _hand(store, crew.url)
        self._random = random.Random(seed)
        self._is_over = threading.Event()
        self._ids = [f"victim{number}" for number in range(VICTIMS)]
        crew.is_damaged = True
        crew.looker.add_jobs(
            {"func": task, "trigger": "interval", "seconds": 1, "id": id} for id in self._ids
        )

    def run(self) -> None:
        """Do it until it is stopped."""
        store = self._hand.open()
        store.start(None, "default")
        while not self._is_over.wait(PAUSE):
            try:
                self.done += self._damage(store)
            except Exception:
                # It was gone before it could be damaged, or is damaged so that this cannot find it; or the server is away.
                continue

    def stop(self) -> None:
        """Stop it, and wait until it has stopped."""
        self._is_over.set()
        self.join(20)
        self._hand.close()

    def _damage(self, store: BaseJobStore) -> bool:
        kind = self._random.choice((JOB, RUN, RECORD))
        id = self._random.choice(self._ids)
        key: tuple[Any, ...] = (id,)
        if kind != JOB:
            runs = store.get_runs(None if kind == RUN else id, status=CLAIMED if kind == RUN else SUCCEEDED)
            run = self._random.choice([run for run in runs if run.job_id in self._ids])
            key = (run.job_id, run.nominal)
        field = self._random.choice(sorted(self._hand.fields[kind]))
        value = self._random.choice([self._hand.damages[name] for name in sorted(self._hand.damages)])
        return self._hand.write(kind, key, field, value)


def _hand(store: str, url: str) -> Hand:
    if store in SQL:
        return SQLHand(url)
    if store in ("etcd", "zookeeper"):
        return TreeHand(url, EtcdPlace if store == "etcd" else ZooKeeperPlace, store)
    return (RedisHand if store == "redis" else MongoDBHand)(url)


# ------------------------------------------------------------------------------------------------- stores in its place


class Folder:
    """The place of a store that is a server: whatever the server has on disk. It is stopped for that.

    :param folder: where the backup is kept
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self._backup = folder / "backup"

    def save(self) -> None:
        """Make a backup."""
        self._server.stop()
        shutil.rmtree(self._backup, ignore_errors=True)
        _copy(self._server.folder, self._backup)
        self._server.start()

    def empty(self) -> None:
        """Remove all that is there."""
        self._server.stop()
        self._clear()
        self._server.prepare()
        self._server.start()

    def put_back(self) -> None:
        """Put the backup in the place of what is there."""
        self._server.stop()
        self._clear()
        _copy(self._backup, self._server.folder)
        self._server.start()

    def _clear(self) -> None:
        for entry in self._server.folder.iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def _copy(source: Path, target: Path) -> None:
    # With owners: some servers do not run as root.
    subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)


def place_of(url: str, server: Server | None, folder: Path) -> File | Keys | Folder:
    """Return the hand on the place of a store.

    :param server: where it is, if it is no file
    :param folder: where the backup is kept
    """
    if server is None:
        return File(url, folder)
    return Keys(url) if url.startswith("redis:") else Folder(server, folder)
