"""A backlog of housekeeping beside the work: how late jobs start while old records are forgotten and jobs leave quarantine."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

from rota.core.states import QUARANTINED
from rota.executors.steps import current_run
from rota.job import Job
from rota.triggers.interval import IntervalTrigger

from .common import Watch, background, idle
from .stores import _store as opened

#: How many jobs have the old records; how old these are, and how far apart.
OWNERS = 200
AGE = timedelta(days=400)
#: A row of the table of runs, of a job and a nominal time.
COLUMNS = (
    "job_id, nominal, last, times, due, attempt, status, owner, executor, claimed, started, finished, result"
)
#: When a run began that was due then (microseconds since the epoch).
_begun: list[tuple[str, int, float]] = []


def note(name: str) -> None:
    now = time.time()
    run = current_run()
    _begun.append((name, run.nominal, now))


def beside(
    package: str, server: str, records: int, broken: int, jobs: int, seconds: int, most: int
) -> dict[str, Any]:
    """Run one-second jobs until the backlog is gone, at least for so many seconds and at the most for ``most``.

    :param records: how many records are beyond the bounds of retention
    :param broken: how many jobs are in quarantine that can leave it
    """
    with opened(package, server) as make:
        store = make()
        store.start(None, "default")
        _remember(store.engine, records)
        _break(store, broken)
        store.shutdown()
        scheduler = background(package, jobstores={"default": make()})
        begin = datetime.now(UTC) + timedelta(seconds=1)
        for index in range(jobs):
            start = begin + timedelta(seconds=index / jobs)
            scheduler.add_job(note, "interval", args=[str(index)], seconds=1, start_date=start)
        scheduler.start()
        watch = Watch()
        busy = 0.0  # when there was a backlog last
        while watch.seconds() < 2 + min(max(seconds, busy + 3), most):  # nothing is due in the first second
            time.sleep(0.1)
            told = scheduler.health()["stores"]["default"]
            if told["to_heal"] or told["to_forget"]:
                busy = watch.seconds()
        cpu, took = watch.cpu(), watch.seconds()
        scheduler.shutdown()
        gone = records + broken - _left(make())
    return _figures(list(_begun), gone / (busy if gone == records + broken and busy else took), cpu)


def _remember(engine: Any, records: int) -> None:
    """Write records of long ago, twice as many each time."""
    first = int((datetime.now(UTC) - AGE).timestamp()) * 10**6
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        write = connection.exec_driver_sql
        if engine.dialect.name == "sqlite":
            write("PRAGMA cache_size = -400000")
        row = "'owner' || {0}, {1}, {1}, 1, {1}, 1, 'succeeded', 'node', 'default', {1}, {1}, {1} + 5, NULL"
        for number in range(min(OWNERS, records)):
            at = first + number
            write(f"INSERT INTO rota_runs ({COLUMNS}) VALUES ({row.format(number, at)})")
        there, shift = min(OWNERS, records), 10**6
        while there < records:
            more = min(records - there, there)
            limit = "" if more == there else f" ORDER BY job_id, nominal LIMIT {more}"
            write(
                f"INSERT INTO rota_runs ({COLUMNS}) SELECT job_id, nominal + {shift}, last + {shift}, times, due + {shift}, "
                f"attempt, status, owner, executor, claimed + {shift}, started + {shift}, finished + {shift}, result "
                f"FROM rota_runs{limit}"
            )
            there, shift = there + more, 2 * shift
        if engine.dialect.name == "sqlite":
            write("PRAGMA cache_size = -2000")
            write("PRAGMA wal_checkpoint(TRUNCATE)")
        else:  # as a table is whose rows are a month old; else the server does it meanwhile
            write("VACUUM (ANALYZE) rota_runs")
            write("CHECKPOINT")


def _break(store: Any, broken: int) -> None:
    """Put jobs into quarantine that can be restored."""
    trigger = IntervalTrigger(hours=10)
    due = int((datetime.now(UTC) + timedelta(hours=10)).timestamp()) * 10**6
    jobs = []
    for number in range(broken):
        job = Job(
            None, id=f"broken{number}", func=idle, trigger=trigger, args=(), kwargs={}, executor="default"
        )
        job.set_next(due)
        job.state, job.error = QUARANTINED, "its module was not there"
        jobs.append(job)
    for first in range(0, broken, 10_000):
        store.add_jobs(jobs[first : first + 10_000])


def _left(store: Any) -> int:
    """Return what of the backlog is still there."""
    store.start(None, "default")
    with store.engine.connect() as connection:
        ask = connection.exec_driver_sql
        left = ask("SELECT count(*) FROM rota_runs WHERE owner = 'node'").scalar()
        left += ask("SELECT count(*) FROM rota_jobs WHERE state = 'quarantined'").scalar()
    store.shutdown()
    return int(left)


def _figures(begun: list[tuple[str, int, float]], rate: float, cpu: float) -> dict[str, Any]:
    late = sorted(now - nominal / 1e6 for _, nominal, now in begun)
    times = {name: sorted(nominal for other, nominal, _ in begun if other == name) for name, _, _ in begun}
    # Each job ran at each of its times from the first to the last.
    expected = sum((of_job[-1] - of_job[0]) // 10**6 + 1 for of_job in times.values())
    return {
        "figures": {
            "latest": late[-1],
            "p99": late[len(late) * 99 // 100],
            "rate": rate,
        },
        "cpu": cpu,
        "count": len({(name, nominal) for name, nominal, _ in begun}),
        "expected": expected,
    }
