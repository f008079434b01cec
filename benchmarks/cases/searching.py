"""Searching a store with many jobs and records: pages, counts and the heat map, by an index and in vain."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from rota.clock import DAY, HOUR, SYSTEM_CLOCK, moment
from rota.core.queries import JobQuery, RunQuery
from rota.job import Job
from rota.triggers.interval import IntervalTrigger

from .common import Watch, idle
from .stores import _store as opened

#: How often each question is asked; the median counts.
TIMES = 5
#: How many jobs are added together.
PORTION = 5_000
COLUMNS = (
    "job_id, nominal, last, times, due, attempt, status, owner, executor, claimed, started, finished, result, error_type, "
    "error"
)


def searching(package: str, server: str, jobs: int, records: int) -> dict[str, Any]:
    """Ask a store for pages of its jobs and records.

    :param records: how many there are, as many of each job; each fiftieth failed
    """
    with opened(package, server) as make:
        store = make()
        store.start(None, "default")
        _add(store, jobs)
        rounds = max(records // jobs, 1)
        since = SYSTEM_CLOCK.now() - rounds * HOUR
        _remember(store.engine, jobs, rounds, since - since % HOUR)
        watch = Watch()
        for step in store.prune_in_steps(SYSTEM_CLOCK.now() + DAY):
            assert step >= 0
        housekeeping = watch.seconds()
        failed, mine = RunQuery(statuses="failed"), RunQuery(job_ids="job000003")
        questions: dict[str, Callable[[], Any]] = {
            "first": lambda: store.find_runs(failed),
            "hundredth": _hundredth(store, failed),
            "of_job": lambda: store.find_runs(mine),
            "vain": lambda: store.find_runs(RunQuery(nodes="nobody")),
            "text": lambda: store.find_runs(RunQuery(text="nothing that anybody said")),
            "count": lambda: store.count_runs(RunQuery(since=moment(since))),
            "heat": lambda: store.run_counts(since, since + rounds * HOUR),
            "tagged": lambda: store.find_jobs(JobQuery(tags={"rare"})),
            "due": lambda: store.find_jobs(JobQuery(sort="due")),
            "jobs_in_vain": lambda: store.find_jobs(JobQuery(text="nothing of that name")),
            "failing": lambda: store.find_jobs(JobQuery(last_status={"failed"})),
            "by_name": lambda: store.find_jobs(JobQuery(sort="name")),
        }
        figures = {name: _milliseconds(ask) for name, ask in questions.items()}
        found = len(store.find_runs(RunQuery(job_ids="job000001"), 1000).items)
        store.shutdown()
    return {
        "figures": {**figures, "housekeeping": housekeeping},
        "count": found,
        "expected": min(rounds, 1000),
    }


def _hundredth(store: Any, query: RunQuery) -> Callable[[], Any]:
    cursor = None
    for _ in range(99):
        page = store.find_runs(query, cursor=cursor)
        if page.cursor is None:
            break
        cursor = page.cursor
    return lambda: store.find_runs(query, cursor=cursor)


def _milliseconds(ask: Callable[[], Any]) -> float:
    took = []
    for _ in range(TIMES):
        begin = time.perf_counter()
        ask()
        took.append((time.perf_counter() - begin) * 1e3)
    return median(took)


def _add(store: Any, jobs: int) -> None:
    trigger = IntervalTrigger(hours=1, start_date=moment(SYSTEM_CLOCK.now() + DAY), timezone="UTC")
    for start in range(0, jobs, PORTION):
        some = []
        for number in range(start, min(start + PORTION, jobs)):
            job = Job(
                None,
                id=f"job{number:06}",
                name=f"name {number * 7919 % jobs}",
                func=idle,
                args=(),
                trigger=trigger,
            )
            job.tags = ("rare",) if number % 1000 == 7 else ("common",) if number % 2 else ()
            job.set_next(SYSTEM_CLOCK.now() + DAY + number)
            some.append(job)
        store.add_jobs(some)


def _remember(engine: Any, jobs: int, rounds: int, since: int) -> None:
    """Write a record of each job for each hour."""
    number = "CAST(substr(id, 4) AS INTEGER)"
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA cache_size = -400000")
            connection.exec_driver_sql("PRAGMA synchronous = OFF")
        for hour in range(rounds):
            at = f"({since + hour * HOUR} + {number} * {HOUR // max(jobs, 1)})"
            failed = f"({number} + {hour}) - 50 * (({number} + {hour}) / 50) = 0"
            connection.exec_driver_sql(
                f"INSERT INTO rota_runs ({COLUMNS}) SELECT id, {at}, {at}, 1, {at}, 1, "
                f"CASE WHEN {failed} THEN 'failed' ELSE 'succeeded' END, 'node', 'default', {at}, {at}, {at} + 250000, NULL, "
                f"CASE WHEN {failed} THEN 'ValueError' END, CASE WHEN {failed} THEN 'wrong number' END FROM rota_jobs"
            )
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA cache_size = -2000")
        else:
            connection.exec_driver_sql("ANALYZE")
