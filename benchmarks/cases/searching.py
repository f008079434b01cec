"""Searching a store with many jobs and records: pages, counts and the heat map, by an index and in vain; and deleting beside it.

Where an answer is wrong, the count is: a page that is not full, or looked at more than a page may.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from rota.clock import DAY, HOUR, SYSTEM_CLOCK, moment
from rota.core.queries import LOOKED_AT, JobQuery, RunQuery
from rota.job import Job
from rota.triggers.interval import IntervalTrigger

from .common import Watch, idle
from .stores import _store as opened

#: How often each question is asked; the median counts.
TIMES = 5
#: How many records a page of the failed ones has, of which there are more than a thousand pages then.
FEW = 50
#: Of how many hours the records are deleted at the end.
DELETED = 1
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
        now = SYSTEM_CLOCK.now()
        since = now - now % HOUR - rounds * HOUR
        _remember(store.engine, jobs, rounds, since)
        figures = {"heat_uncounted": _milliseconds(lambda: store.run_counts(since, now))}
        watch = Watch()
        for step in store.prune_in_steps(SYSTEM_CLOCK.now() + DAY):
            assert step >= 0
        housekeeping = watch.seconds()
        failed, mine = RunQuery(statuses="failed"), RunQuery(job_ids="job000003")
        questions: dict[str, Callable[[], Any]] = {
            "first": lambda: store.find_runs(failed, FEW),
            "thousandth": _thousandth(partial(store.find_runs, failed, FEW)),
            "first_of_all": lambda: store.find_runs(RunQuery()),
            "thousandth_of_all": _thousandth(partial(store.find_runs, RunQuery(), 100)),
            "of_job": lambda: store.find_runs(mine),
            "of_error": lambda: store.find_runs(RunQuery(error_types="ValueError")),
            "of_hour": lambda: store.find_runs(RunQuery(since=moment(since), until=moment(since + HOUR))),
            "vain": lambda: store.find_runs(RunQuery(nodes="nobody")),
            "text": lambda: store.find_runs(RunQuery(text="nothing that anybody said")),
            "count": lambda: store.count_runs(RunQuery(since=moment(since))),
            "heat": lambda: store.run_counts(since, since + rounds * HOUR),
            "heat_failed": lambda: store.run_counts(since, since + rounds * HOUR, failed),
            "tagged": lambda: store.find_jobs(JobQuery(tags={"rare"})),
            "by_id": lambda: store.find_jobs(JobQuery()),
            "thousandth_by_id": _thousandth(partial(store.find_jobs, JobQuery(), 100)),
            "due": lambda: store.find_jobs(JobQuery(sort="due")),
            "thousandth_due": _thousandth(partial(store.find_jobs, JobQuery(sort="due"), 100)),
            "due_soon": lambda: store.find_jobs(JobQuery(due_before=moment(now + DAY + 1000))),
            "of_executor": lambda: store.find_jobs(JobQuery(executors="default")),
            "count_jobs": lambda: store.count_jobs(JobQuery()),
            "jobs_in_vain": lambda: store.find_jobs(JobQuery(text="nothing of that name")),
            "failing": lambda: store.find_jobs(JobQuery(last_status={"failed"})),
            "by_name": lambda: store.find_jobs(JobQuery(sort="name")),
        }
        looked_at = {}
        for name, ask in questions.items():
            figures[name] = _milliseconds(ask)
            looked_at[name] = getattr(ask(), "looked_at", 0)
        found = len(store.find_runs(RunQuery(job_ids="job000001"), 1000).items)
        store.shutdown()
        rate, longest = _deleted(make(keep_runs=None, keep_days=max(rounds - DELETED, 0.5) / 24), now)
    in_vain = ("vain", "text", "jobs_in_vain", "failing")
    return {
        "figures": {**figures, "housekeeping": housekeeping, "deleted": rate, "longest_step": longest},
        "count": found if max(looked_at.values()) <= LOOKED_AT else -1,
        "expected": min(rounds, 1000),
        "note": ", ".join(f"{name} looked at {looked_at[name]}" for name in in_vain),
    }


def _thousandth(find: Callable[..., Any]) -> Callable[[], Any]:
    """Return what returns the thousandth page, or the last one if there are fewer."""
    cursor = None
    for _ in range(999):
        page = find(cursor=cursor)
        if page.cursor is None:
            break
        cursor = page.cursor
    return lambda: find(cursor=cursor)


def _deleted(store: Any, now: int) -> tuple[float, float]:
    """Delete the records of some hours; return how many in a second, and how long the longest step took (milliseconds)."""
    store.start(None, "default")
    before = time.perf_counter()
    begin = end = longest = 0.0
    for left in store.prune_in_steps(now):
        after = time.perf_counter()
        if left:
            begin, end, longest = begin or before, after, max(longest, after - before)
        before = after
    with store.engine.connect() as connection:
        rest = connection.exec_driver_sql("SELECT count(*) FROM rota_runs").scalar()
        hours = connection.exec_driver_sql("SELECT sum(runs) FROM rota_hours").scalar()
    store.shutdown()
    gone = int(hours) - int(rest)  # what is deleted stays counted
    return gone / (end - begin) if end > begin else 0.0, longest * 1e3


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
    number = "CAST(substr(id, 4) AS BIGINT)"
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
