"""Jobs in durable stores: due at once, added one by one and together, loaded at start, and asked for meanwhile.

Servers are started for each measurement, on loopback. What is committed is on the disk, in SQLite, PostgreSQL and MariaDB; Redis
appends to its file, which reaches the disk within a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.servers import private
from tests.servers.kinds import MariaDB, PostgreSQL, Redis

from . import common
from .bursts import rate
from .common import Watch, background, everything, executed, idle, past, work


class Durable(PostgreSQL):
    """The server of the tests, which do without fsync; what is measured does not."""

    def command(self) -> list[str]:
        return [word.replace("fsync=off", "fsync=on") for word in super().command()]


class DurableMariaDB(MariaDB):
    """The server of the tests, which writes its log to the disk once a second; what is measured does so for each commit."""

    def command(self) -> list[str]:
        return [word.replace("trx-commit=2", "trx-commit=1") for word in super().command()]


class SyncedRedis(Redis):
    """The server of the tests, which leaves it to the system when its file reaches the disk; what is measured asks for it."""

    def command(self) -> list[str]:
        return [*super().command(), "--appendfsync", "everysec"]


def burst(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Execute jobs that are due at once, until all have run and their runs are recorded (by those who record)."""
    with _store(package, server) as store, _scheduler(package, store()) as scheduler:
        _fill(scheduler, jobs)
        watch = Watch()
        scheduler.resume()
        everything.wait(80)
        common.wait_until_recorded(scheduler)
        seconds, cpu = watch.seconds(), watch.cpu()
        recorded = common.recorded(scheduler, jobs)
    return rate(seconds, cpu, common.counted_once(jobs) if recorded else -1)


def asking(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Look up a job again and again while due jobs are claimed, executed and recorded."""
    with _store(package, server) as store, _scheduler(package, store()) as scheduler:
        scheduler.add_job(idle, "interval", hours=10, id="asked for")
        scheduler.get_job("asked for")
        _fill(scheduler, jobs)
        waits = []
        watch = Watch()
        scheduler.resume()
        while not everything.is_set() and watch.seconds() < 80:
            begin = time.perf_counter()
            scheduler.get_job("asked for")
            waits.append((time.perf_counter() - begin) * 1e3)
            time.sleep(0.002)
        common.wait_until_recorded(scheduler)
        recorded = common.recorded(scheduler, jobs)
    waits.sort()
    return {
        "figures": {"longest": waits[-1], "median": waits[len(waits) // 2]},
        "count": common.counted_once(jobs) if recorded else -1,
        "expected": jobs,
    }


def adding(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Add jobs one by one; each is in the store when add_job() returns."""
    with _store(package, server) as store, _scheduler(package, store()) as scheduler:
        scheduler.add_job(idle, "interval", hours=10)
        watch = Watch()
        for index in range(jobs - 1):
            scheduler.add_job(idle, "interval", seconds=36_000 + index)
        return _added(watch, scheduler, jobs - 1, jobs)


def adding_many(package: str, server: str, jobs: int, single: int = 300) -> dict[str, Any]:
    """Add jobs together; a package that has no add_jobs() adds so many as ``single``, one by one."""
    with _store(package, server) as store, _scheduler(package, store()) as scheduler:
        scheduler.add_job(idle, "interval", hours=10)
        if not hasattr(scheduler, "add_jobs"):
            jobs = min(jobs, single)
        specs = [{"func": idle, "trigger": "interval", "seconds": 36_000 + index} for index in range(jobs)]
        watch = Watch()
        if hasattr(scheduler, "add_jobs"):
            scheduler.add_jobs(specs)
        else:
            for spec in specs:
                scheduler.add_job(**spec)
        return _added(watch, scheduler, jobs, jobs + 1)


def starting(package: str, server: str, jobs: int, single: int = 300) -> dict[str, Any]:
    """Add jobs before start() and start; a package that stores them one by one is given so many as ``single``."""
    with _store(package, server) as store:
        scheduler = background(package, jobstores={"default": store()})
        if not hasattr(scheduler, "add_jobs"):
            jobs = min(jobs, single)
        watch = Watch()
        for index in range(jobs):
            scheduler.add_job(idle, "interval", seconds=36_000 + index)
        scheduler.start(paused=True)
        try:
            return _added(watch, scheduler, jobs, jobs)
        finally:
            scheduler.shutdown()


def loading(package: str, server: str, jobs: int) -> dict[str, Any]:
    """Start a scheduler on a store with many jobs, which another process has added, and read all of them."""
    with _store(package, server) as store:
        other = get_context("fork").Process(target=_filled, args=(package, server, store, jobs))
        other.start()
        other.join()
        watch = Watch()
        with _scheduler(package, store()) as scheduler:
            started, used = watch.seconds(), watch.cpu()
            found = len(scheduler.get_jobs())
            seconds, cpu = watch.seconds(), watch.cpu()
    return {
        "figures": {"seconds": seconds, "list": seconds - started},
        "cpu": {"seconds": cpu, "list": cpu - used},
        "count": found,
        "expected": jobs,
    }


def rescuing(package: str, server: str, lease: int) -> dict[str, Any]:
    """Kill a process whose scheduler executes a job, and wait until another scheduler executes it again."""
    common.expect(1)
    with _store(package, server) as store:
        here, there = get_context("fork").Pipe()
        victim = get_context("fork").Process(target=_hold, args=(package, store, lease, there))
        victim.start()
        here.recv()
        with _scheduler(package, store(), lease=lease) as scheduler:
            scheduler.resume()
            victim.kill()
            watch = Watch()
            everything.wait(80)
            seconds = watch.seconds()
    return {"figures": {"seconds": seconds}, "count": len(executed), "expected": 1}


def hold() -> None:
    """The job that is under way when its process is killed; it is counted where it is executed again."""
    if import_module("rota").current_run().attempt > 1:
        work(0)
    else:
        everything.set()
        time.sleep(80)


def _hold(package: str, store: Callable[[], Any], lease: int, ready: Any) -> None:
    with _scheduler(package, store(), lease=lease) as scheduler:
        scheduler.add_job(hold)
        scheduler.resume()
        everything.wait(80)
        ready.send(True)
        time.sleep(80)


def _filled(package: str, server: str, store: Callable[[], Any], jobs: int) -> None:
    # How the jobs get there is not measured, so nothing waits for the disk.
    os.environ["PGOPTIONS"] = "-c synchronous_commit=off"
    if server == "sqlite":
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        event.listen(Engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
    with _scheduler(package, store()) as scheduler:
        _fill(scheduler, jobs, due=False)


# ------------------------------------------------------------------------------------------------------------- stores


@contextmanager
def _store(package: str, server: str) -> Iterator[Callable[..., Any]]:
    """Give a function that opens the same new store each time, with options."""
    module = import_module(f"{package}.jobstores.{'redis' if server == 'redis' else 'sqlalchemy'}")
    if server == "sqlite":
        # Not the system's folder for temporary files, which may be in memory: what is durable has to reach a disk.
        Path("build").mkdir(exist_ok=True)
        with TemporaryDirectory(dir="build") as folder:
            yield lambda **options: module.SQLAlchemyJobStore(
                url=f"sqlite:///{folder}/jobs.sqlite", **options
            )
    elif server == "postgresql":
        with postgresql() as url:
            url = url.replace("postgresql:", "postgresql+psycopg:")
            yield lambda **options: module.SQLAlchemyJobStore(url=url, **options)
    elif server == "mariadb":
        with private(DurableMariaDB) as started:
            url = started.url().replace("mariadb:", "mariadb+pymysql:")
            yield lambda **options: module.SQLAlchemyJobStore(url=url, **options)
    else:
        with private(SyncedRedis) as started:
            yield lambda **options: module.RedisJobStore(host="127.0.0.1", port=started.port, **options)


@contextmanager
def postgresql() -> Iterator[str]:
    """Start a server and yield its URL."""
    with private(Durable) as server:
        yield server.url()


@contextmanager
def _scheduler(package: str, store: Any, **options: Any) -> Iterator[Any]:
    scheduler = background(package, jobstores={"default": store}, **options)
    scheduler.start(paused=True)
    try:
        yield scheduler
    finally:
        scheduler.shutdown()


def _fill(scheduler: Any, jobs: int, due: bool = True) -> None:
    """Put jobs into a store as fast as the package can; each has its own argument and start."""
    common.expect(jobs)
    moment = past()
    specs: list[dict[str, Any]] = [
        {"func": work, "trigger": "interval", "args": [index], "hours": 1, "misfire_grace_time": None}
        for index in range(jobs)
    ]
    if due:
        for spec in specs:
            spec["next_run_time"] = moment
    if hasattr(scheduler, "add_jobs"):
        scheduler.add_jobs(specs)
        return
    for spec in specs:
        scheduler.add_job(**spec)


def _added(watch: Watch, scheduler: Any, added: int, expected: int) -> dict[str, Any]:
    seconds, cpu = watch.seconds(), watch.cpu()
    count = len(scheduler.get_jobs())
    return {
        "figures": {"us": seconds / added * 1e6},
        "cpu": cpu / added,
        "count": count,
        "expected": expected,
    }
