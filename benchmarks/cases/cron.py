"""What a cron schedule costs: its next time, reading it, and counting what was missed. One program for all packages."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from importlib import import_module
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from .common import Watch

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Ho_Chi_Minh")
START = datetime(2026, 3, 1, 12, 0, 30)
#: How many times of each schedule are asked for, one after the other.
STEPS = 40

EXPRESSIONS = (
    "* * * * *", "*/2 * * * *", "*/5 * * * *", "*/7 * * * *", "*/15 * * * *", "5-55/10 * * * *", "0 * * * *", "30 * * * *",
    "0 */2 * * *", "15 */3 * * *", "0 */6 * * *", "*/10 9-17 * * *", "*/15 9-17 * * mon-fri", "0 9-17 * * mon-fri", "0 0 * * *",
    "30 2 * * *", "0 3 * * *", "45 23 * * *", "0 0,12 * * *", "10,40 8,20 * * *", "0 9 * * mon-fri", "0 9 * * mon", "30 17 * * fri",
    "0 0 * * sun", "0 22 * * sat,sun", "0 0 1 * *", "0 0 15 * *", "0 6 1,15 * *", "0 0 1-7 * *", "0 0 28 * *", "0 0 31 * *",
    "0 0 1 jan *", "0 0 1 jan,jul *", "0 0 1 */3 *", "*/5 * 1 * *", "0 4 8-14 * *", "59 23 31 12 *", "0 12 24 12 *", "0 0 1 4 *",
    "*/20 0-6 * nov,dec *",
)  # fmt: skip
#: Schedules that few dates match; day and weekday must both match, as in APScheduler's keyword fields.
SPARSE = (
    {"month": "2", "day": "29"},
    {"day": "13", "day_of_week": "fri", "hour": "0"},
    {"month": "1,3", "day": "31", "day_of_week": "sun", "hour": "12"},
    {"month": "2", "day": "29", "day_of_week": "mon", "hour": "0"},
)

Reader = Callable[[str, Any], Any]
Walker = Callable[[Any, datetime, int], datetime | None]


def _contender(package: str) -> tuple[Reader, Walker]:
    """Return how a package reads an expression for a zone, and how it walks on from a time."""
    if package == "cronsim":
        from cronsim import CronSim

        # It is bound to its start: reading is part of making one, and an iterator walks.
        return lambda expression, zone: CronSim(expression, START.replace(tzinfo=zone)), _walk_iterator
    if package == "croniter":
        from croniter import croniter

        return (
            lambda expression, zone: croniter(expression, START.replace(tzinfo=zone), ret_type=datetime),
            _walk_iterator,
        )
    return import_module(f"{package}.triggers.cron").CronTrigger.from_crontab, _walk_trigger


def _walk_trigger(trigger: Any, start: datetime, steps: int) -> datetime | None:
    at: datetime | None = trigger.get_next_fire_time(None, start)
    for _ in range(steps - 1):
        at = trigger.get_next_fire_time(at, at)
    return at


def _walk_iterator(times: Any, start: datetime, steps: int) -> datetime | None:
    at = None
    for _ in range(steps):
        at = next(times)
    return at


def _result(figures: dict[str, float], cpu: float, count: int, expected: int) -> dict[str, Any]:
    return {"figures": figures, "cpu": cpu, "count": count, "expected": expected}


def next_times(package: str, rounds: int) -> dict[str, Any]:
    """Walk each expression in each zone; of the rounds the median counts."""
    read, walk = _contender(package)
    found, reached, watch = [], 0, Watch()
    for expression in EXPRESSIONS:
        for key in ZONES:
            zone = ZoneInfo(key)
            times = []
            for _ in range(rounds):
                schedule = read(expression, zone)
                began = time.perf_counter()
                at = walk(schedule, START.replace(tzinfo=zone), STEPS)
                times.append((time.perf_counter() - began) / STEPS * 1e6)
            reached += at is not None
            found.append(median(times))
    return _result(
        {"us": median(found), "slowest": max(found)}, watch.cpu(), reached, len(EXPRESSIONS) * len(ZONES)
    )


def sparse(package: str, rounds: int) -> dict[str, Any]:
    """Walk schedules that match on few dates."""
    trigger_class = import_module(f"{package}.triggers.cron").CronTrigger
    zone = ZoneInfo(ZONES[0])
    triggers = [trigger_class(**fields, timezone=zone) for fields in SPARSE]
    reached, watch = 0, Watch()
    for _ in range(rounds):
        reached += sum(
            _walk_trigger(trigger, START.replace(tzinfo=zone), 8) is not None for trigger in triggers
        )
    seconds, cpu = watch.seconds(), watch.cpu()
    return _result({"us": seconds / rounds / len(SPARSE) / 8 * 1e6}, cpu, reached, rounds * len(SPARSE))


def reading(package: str, zones: int) -> dict[str, Any]:
    """Read expressions in a program that has read none before, except for one that loads what is loaded at the first."""
    read, _ = _contender(package)
    read("1 2 3 4 *", ZoneInfo("Africa/Cairo"))
    found = [ZoneInfo(key) for key in ZONES[:zones]]
    watch = Watch()
    made = [read(expression, zone) for zone in found for expression in EXPRESSIONS]
    seconds, cpu = watch.seconds(), watch.cpu()
    expected = len(EXPRESSIONS) * zones
    return _result({"us": seconds / expected * 1e6}, cpu, len(made), expected)


def missed_year(package: str) -> dict[str, Any]:
    """Find the last of a year of missed times, and count them: by asking for it where that is possible, else one by one."""
    zone = ZoneInfo(ZONES[0])
    trigger = import_module(f"{package}.triggers.cron").CronTrigger.from_crontab("*/5 * * * *", zone)
    first, now = (datetime(year, 1, 1, tzinfo=zone) for year in (2026, 2027))
    watch = Watch()
    if package == "rota":
        from rota.clock import instant

        seconds = []
        for _ in range(9):
            began = time.perf_counter()
            count = trigger.latest(instant(first), instant(now))[1]
            seconds.append(time.perf_counter() - began)
        return _result({"ms": median(seconds) * 1e3}, watch.cpu() / 9, count, 365 * 288 + 1)
    at, count = trigger.get_next_fire_time(None, first), 0
    while at <= now:
        at, count = trigger.get_next_fire_time(at, at), count + 1
    return _result({"ms": watch.seconds() * 1e3}, watch.cpu(), count, 365 * 288 + 1)
