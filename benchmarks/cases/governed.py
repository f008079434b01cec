"""What it costs that runs are governed: jobs that may be tried again and have a limit, and passes beside runs that wait."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from rota.clock import HOUR
from rota.core.extras import Extra
from rota.core.run import Run
from rota.core.states import WAITING
from rota.testing import ManualScheduler

from .bursts import run_burst
from .common import background, executor, idle
from .stores import _store as opened

#: What the jobs of a burst have, of which none fails and none is late.
POLICIES = {"retry": True, "timeout": 3600}
#: How many jobs have the runs that wait, and how many of these are stored together.
OWNERS, PORTION = 100, 1_000
#: How many passes come before those that count.
WARMUP = 20
#: The calls of the jobs that are due in these; a store may keep fewer records.
calls: list[None] = []


def called() -> None:
    calls.append(None)


def threads(package: str, jobs: int) -> dict[str, Any]:
    return run_burst(background(package), jobs, **POLICIES)


def inline(package: str, jobs: int) -> dict[str, Any]:
    executors = {"default": executor(package, "debug", "DebugExecutor")}
    return run_burst(background(package, executors=executors), jobs, **POLICIES)


def passes(package: str, server: str, waiting: int, jobs: int, passes: int) -> dict[str, Any]:
    """Make passes with as many due jobs each, by turns on a store beside whose jobs many runs wait, and on one without any."""
    with opened(package, server) as make, opened(package, server) as make_other:
        beside, alone = _scheduler(make(), jobs), _scheduler(make_other(), jobs)
        _add_waiting(beside, waiting)
        took: dict[ManualScheduler, list[float]] = {beside: [], alone: []}
        for number in range(WARMUP + passes):
            for scheduler in (beside, alone) if number % 2 else (alone, beside):
                scheduler.clock.advance(1)
                begin = time.perf_counter()
                scheduler.run_pending()
                took[scheduler].append((time.perf_counter() - begin) * 1e3)
        for scheduler in took:
            scheduler.shutdown()
    with_them, without = (median(times[WARMUP:]) for times in took.values())
    return {
        "figures": {"beside": with_them, "alone": without, "ratio": with_them / without},
        "count": len(calls),
        "expected": 2 * jobs * (WARMUP + passes),
    }


def _scheduler(store: Any, jobs: int) -> ManualScheduler:
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()
    scheduler.add_jobs([{"func": called, "trigger": "interval", "seconds": 1} for _ in range(jobs)])
    return scheduler


def _add_waiting(scheduler: ManualScheduler, runs: int) -> None:
    """Have so many runs wait that may start long after the measurement."""
    owners = [f"owner{number}" for number in range(OWNERS)]
    scheduler.add_jobs([{"func": idle, "trigger": "interval", "hours": 10_000, "id": id} for id in owners])
    store, now = scheduler._lookup_jobstore("default"), scheduler.clock.now()
    for begin in range(0, runs, PORTION):
        portion = []
        for number in range(begin, min(begin + PORTION, runs)):
            run = Run(owners[number % OWNERS], now + number, now + 9 * HOUR)
            run.status, run.attempt = WAITING, 0
            run.extra = Extra("manual")
            run.extra.waiting_for, run.extra.not_before = "manual", now + 9 * HOUR + number
            portion.append(run)
        assert len(store.open_runs(portion, now)) == len(portion)
