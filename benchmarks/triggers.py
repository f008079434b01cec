"""Cron triggers side by side with APScheduler 3 and cronsim: next fire times, parsing, memory, catching up.

    .venvs/bench/bin/python -m benchmarks.triggers [--rounds N] [--markdown]

Each expression is walked in each zone, the packages taking turns; a figure is the median of the rounds, a ratio is taken within one
expression and zone, and the table shows the median of the ratios.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from rota.clock import instant
from rota.triggers.cron import CronTrigger, crontab, shared

from .cases.common import background, idle, memory

ZONES = ("Europe/Berlin", "America/New_York", "Asia/Ho_Chi_Minh")
START = datetime(2026, 3, 1, 12, 0, 30)

EXPRESSIONS = (
    "* * * * *", "*/2 * * * *", "*/5 * * * *", "*/7 * * * *", "*/15 * * * *", "5-55/10 * * * *", "0 * * * *", "30 * * * *",
    "0 */2 * * *", "15 */3 * * *", "0 */6 * * *", "*/10 9-17 * * *", "*/15 9-17 * * mon-fri", "0 9-17 * * mon-fri", "0 0 * * *",
    "30 2 * * *", "0 3 * * *", "45 23 * * *", "0 0,12 * * *", "10,40 8,20 * * *", "0 9 * * mon-fri", "0 9 * * mon", "30 17 * * fri",
    "0 0 * * sun", "0 22 * * sat,sun", "0 0 1 * *", "0 0 15 * *", "0 6 1,15 * *", "0 0 1-7 * *", "0 0 28 * *", "0 0 31 * *",
    "0 0 1 jan *", "0 0 1 jan,jul *", "0 0 1 */3 *", "*/5 * 1 * *", "0 4 8-14 * *", "59 23 31 12 *", "0 12 24 12 *", "0 0 1 4 *",
    "*/20 0-6 * nov,dec *",
)  # fmt: skip
#: Expressions that few dates match. In APScheduler day and weekday must both match, which in crontab takes a star.
SPARSE = (
    ("0 0 29 2 *", {"month": "2", "day": "29"}),
    ("0 0 13 * fri", {"day": "13", "day_of_week": "fri", "hour": "0"}),
    ("0 12 31 1,3 sun", {"month": "1,3", "day": "31", "day_of_week": "sun", "hour": "12"}),
    ("0 0 29 2 mon", {"month": "2", "day": "29", "day_of_week": "mon", "hour": "0"}),
)


class Package:
    """A package as the benchmark uses it: how it reads an expression and how it walks on from a time."""

    def __init__(
        self, name: str, parse: Callable[[str, Any], Any], walk: Callable[[Any, datetime, int], Any]
    ) -> None:
        self.name = name
        self.parse = parse
        self.walk = walk


def walk_trigger(trigger: Any, start: datetime, count: int) -> datetime | None:
    at = trigger.get_next_fire_time(None, start)
    for _ in range(count - 1):
        at = trigger.get_next_fire_time(at, at)
    return at


def packages() -> list[Package]:
    from apscheduler.triggers.cron import CronTrigger as ApschedulerTrigger
    from cronsim import CronSim

    def walk_cronsim(expression: Any, start: datetime, count: int) -> datetime | None:
        times = CronSim(expression, start)
        at = None
        for _ in range(count):
            at = next(times)
        return at

    return [
        Package("rota", CronTrigger.from_crontab, walk_trigger),
        Package("apscheduler", ApschedulerTrigger.from_crontab, walk_trigger),
        Package(
            "cronsim", lambda expression, zone: CronSim(expression, START.replace(tzinfo=zone)), walk_cronsim
        ),
    ]


def forget() -> None:
    """Let Rota forget what it has read, as if the program had just started."""
    for module in (crontab, shared):
        for remembered in vars(module).values():
            if hasattr(remembered, "cache_clear"):
                remembered.cache_clear()


def timed(call: Callable[[], Any]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def compare(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(timed(calls[name]))
    return {name: median(seconds) for name, seconds in found.items()}


def next_times(rounds: int) -> dict[str, Any]:
    ratios: dict[str, list[float]] = {"apscheduler": [], "cronsim": []}
    microseconds: dict[str, list[float]] = {"rota": [], "apscheduler": [], "cronsim": []}
    all_packages = packages()
    for expression in EXPRESSIONS:
        for key in ZONES:
            zone = ZoneInfo(key)
            start = START.replace(tzinfo=zone)
            walked = {
                package.name: expression if package.name == "cronsim" else package.parse(expression, zone)
                for package in all_packages
            }
            found = compare(
                {
                    package.name: partial(package.walk, walked[package.name], start, 40)
                    for package in all_packages
                },
                rounds,
            )
            for name, seconds in found.items():
                microseconds[name].append(seconds / 40 * 1e6)
                if name != "rota":
                    ratios[name].append(seconds / found["rota"])
    return {
        "us": {name: median(values) for name, values in microseconds.items()},
        "ratio": {name: median(values) for name, values in ratios.items()},
        "least": {name: min(values) for name, values in ratios.items()},
    }


def sparse(rounds: int) -> list[tuple[str, float, float]]:
    """Return for each expression the microseconds of Rota and of APScheduler for the next fire time."""
    from apscheduler.triggers.cron import CronTrigger as ApschedulerTrigger

    result = []
    for expression, fields in SPARSE:
        zone = ZoneInfo(ZONES[0])
        start = START.replace(tzinfo=zone)
        triggers = {
            "rota": CronTrigger(**fields, timezone=zone),
            "apscheduler": ApschedulerTrigger(**fields, timezone=zone),
        }  # type: ignore[arg-type]
        found = compare(
            {name: partial(walk_trigger, trigger, start, 8) for name, trigger in triggers.items()},
            rounds,
        )
        result.append((expression, found["rota"] / 8 * 1e6, found["apscheduler"] / 8 * 1e6))
    return result


def parsing(rounds: int, zones: tuple[str, ...]) -> dict[str, float]:
    """Return the microseconds for each expression and zone, in a program that has read none before."""
    found = [ZoneInfo(key) for key in zones]
    calls = {
        package.name: partial(_parse_all, package, found, package.name == "rota") for package in packages()
    }
    return {
        name: seconds / len(EXPRESSIONS) / len(zones) * 1e6
        for name, seconds in compare(calls, rounds).items()
    }


def _parse_all(package: Package, zones: list[Any], fresh: bool) -> None:
    if fresh:
        forget()
    for zone in zones:
        for expression in EXPRESSIONS:
            package.parse(expression, zone)


def catching_up(rounds: int) -> float:
    """Return the milliseconds to find the last of a year of missed `*/5` times and to count them."""
    trigger = CronTrigger.from_crontab("*/5 * * * *", ZONES[0])
    zone = ZoneInfo(ZONES[0])
    first, now = (instant(datetime(year, 1, 1, tzinfo=zone)) for year in (2026, 2027))
    assert trigger.latest(first, now)[1] == 365 * 288 + 1
    return compare({"rota": lambda: trigger.latest(first, now)}, rounds)["rota"] * 1e3


def bytes_of_jobs(package: str, jobs: int = 10_000) -> float:
    """Return the bytes that each of so many cron jobs occupies in the memory store of a running scheduler."""
    scheduler = background(package)
    scheduler.start(paused=True)
    scheduler.add_job(idle, "cron", hour=5)
    gc.collect()
    before = memory()
    for index in range(jobs):
        scheduler.add_job(
            idle, "cron", month=1 + index % 12, day=1 + index % 28, hour=index % 24, minute=index % 60
        )
    gc.collect()
    occupied = (memory() - before) / jobs
    scheduler.shutdown()
    return occupied


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.triggers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--memory", metavar="PACKAGE", help="only the memory of 10,000 cron jobs of a package"
    )
    options = parser.parse_args()
    if options.memory:
        print(f"{bytes_of_jobs(options.memory):.0f}")
        return
    import subprocess

    occupied = {
        package: float(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.triggers", "--memory", package],
                capture_output=True, text=True, check=True,
            ).stdout
        )
        for package in ("rota", "apscheduler")
    }  # fmt: skip
    walked, rare = next_times(options.rounds), sparse(options.rounds)
    us, ratio = walked["us"], walked["ratio"]
    print(
        f"APScheduler {version('APScheduler')}, cronsim {version('cronsim')}, Python {sys.version.split()[0]}; ",
        end="",
    )
    print(
        f"{len(EXPRESSIONS)} expressions × {len(ZONES)} zones × 40 fire times, medians of {options.rounds} rounds\n"
    )
    print("| | Rota | APScheduler | cronsim | times faster |")
    print("|---|---|---|---|---|")
    print(
        f"| next fire time | {us['rota']:.1f} µs | {us['apscheduler']:.0f} µs | {us['cronsim']:.0f} µs | "
        f"{ratio['apscheduler']:.1f} / {ratio['cronsim']:.1f} (least {walked['least']['apscheduler']:.1f} / "
        f"{walked['least']['cronsim']:.1f}) |"
    )
    for expression, ours, theirs in rare:
        print(
            f"| the next `{expression}`, both matching | {ours:.1f} µs | {theirs:.0f} µs | – | {theirs / ours:.0f} |"
        )
    for title, zones in (
        ("read 40 expressions for 3 zones", ZONES),
        ("… for one zone: each is new", ZONES[:1]),
    ):
        read = parsing(options.rounds, zones)
        print(
            f"| {title} | {read['rota']:.1f} µs each | {read['apscheduler']:.1f} µs | {read['cronsim']:.1f} µs | "
            f"{read['apscheduler'] / read['rota']:.1f} / {read['cronsim'] / read['rota']:.1f} |"
        )
    print(
        f"| a cron job in memory | {occupied['rota']:.0f} bytes | {occupied['apscheduler']:.0f} bytes | – | "
        f"{occupied['apscheduler'] / occupied['rota']:.1f} |"
    )
    print(f"| a year of `*/5` missed: last and count | {catching_up(options.rounds):.2f} ms | – | – | |")


if __name__ == "__main__":
    main()
