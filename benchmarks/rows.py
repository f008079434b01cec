"""What is measured: the cases (programs that run) and the rows (figures that the table shows of them).

A new measurement is a function in `cases/` and an entry here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

BOTH = ("rota", "apscheduler")


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure that a case reports, and what it should be."""

    title: str
    #: name of the figure in the case's answer
    figure: str
    unit: str
    #: what the figure is for somebody who uses the scheduler
    meaning: str
    more_is_better: bool = False
    #: how many times better than APScheduler it should be
    ratio: float | None = None
    #: what it should be at the most (at the least, if more is better), in the row's unit
    bound: float | None = None


@dataclass(frozen=True)
class Case:
    """A program that measures, `cases/<module>:<function>`, with its arguments."""

    name: str
    program: str
    rows: tuple[Row, ...]
    settings: dict[str, int | str] = field(default_factory=dict)
    packages: tuple[str, ...] = BOTH
    #: long cases are not run as often as asked for
    most_rounds: int = 100
    #: seconds after which a run of the program is given up
    timeout: int = 150


CASES = (
    Case(
        "import",
        "imports:background",
        (
            Row(
                "import of `BackgroundScheduler`, time",
                "ms",
                "ms",
                "What the scheduler adds to the start of your program, and to every worker that imports it.",
                ratio=4,
            ),
            Row(
                "import of `BackgroundScheduler`, memory",
                "mb",
                "MB",
                "What an imported but unused scheduler occupies in each process.",
                ratio=2,
            ),
        ),
    ),
    Case(
        "import-start",
        "imports:background",
        (
            Row(
                "import, make and start it",
                "ms",
                "ms",
                "The whole way to a running scheduler, with all that is only loaded when it is needed.",
            ),
        ),
        {"start": "yes"},
    ),
    Case(
        "add-interval",
        "adding:interval",
        (
            Row(
                "`add_job()`, 10 000 interval jobs",
                "us",
                "µs each",
                "How long your thread is busy for each job that it adds to a running scheduler (memory store).",
                ratio=3,
            ),
        ),
        {"jobs": 10_000},
    ),
    Case(
        "add-cron",
        "adding:cron",
        (
            Row(
                "`add_job()`, 10 000 cron jobs",
                "us",
                "µs each",
                "The same with cron schedules, whose first time has to be searched for.",
                ratio=3,
            ),
        ),
        {"jobs": 10_000},
    ),
    Case(
        "add-100k",
        "adding:interval",
        (
            Row(
                "memory of 100 000 interval jobs",
                "bytes",
                "bytes each",
                "What a job occupies in the memory store.",
                ratio=None,
            ),
        ),
        {"jobs": 100_000},
        most_rounds=2,
    ),
    Case(
        "add-1m",
        "adding:interval",
        (
            Row(
                "adding 1 000 000 interval jobs",
                "seconds",
                "s",
                "Whether a table of a million jobs can be loaded into the memory store at all.",
                bound=25,
            ),
        ),
        {"jobs": 1_000_000, "limit": 60},
        most_rounds=1,
    ),
    Case(
        "burst-threads",
        "bursts:threads",
        (
            Row(
                "10 000 due jobs, thread pool",
                "rate",
                "runs/s",
                "How fast the runs of one moment (midnight, the full hour) are through in `BackgroundScheduler`.",
                more_is_better=True,
                ratio=4,
            ),
        ),
        {"jobs": 10_000},
    ),
    Case(
        "burst-inline",
        "bursts:inline",
        (
            Row(
                "10 000 due jobs, debug executor",
                "rate",
                "runs/s",
                "The scheduler's own work for each run, without any hand-over between threads.",
                more_is_better=True,
                ratio=3,
            ),
        ),
        {"jobs": 10_000},
    ),
    Case(
        "burst-asyncio",
        "bursts:loop",
        (
            Row(
                "10 000 due jobs, asyncio",
                "rate",
                "runs/s",
                "The same in `AsyncIOScheduler` with coroutine functions; the loop stays usable meanwhile.",
                more_is_better=True,
                ratio=2,
            ),
        ),
        {"jobs": 10_000},
    ),
    Case(
        "sustained",
        "sustained:loop",
        (
            Row(
                "30 000 one-second jobs, asyncio: runs that happened",
                "share",
                "of those due",
                "Whether a loop full of frequent jobs keeps up; each package with its own defaults.",
                more_is_better=True,
                bound=0.95,
            ),
            Row(
                "… time from run to run of a job, 99th percentile",
                "p99",
                "s",
                "How regularly a one-second job runs (1.0 is ideal); only jobs that ran again are counted here.",
                bound=1.5,
            ),
            Row(
                "… processor time that the process got",
                "core",
                "of a core",
                "Where this is far below 100% and runs are missing, the machine was busy with something else.",
            ),
        ),
        {"jobs": 30_000, "seconds": 8},
        most_rounds=3,
    ),
    Case(
        "sustained-grace",
        "sustained:loop",
        (
            Row(
                "… with `misfire_grace_time=None` in both",
                "share",
                "of those due",
                "The same when APScheduler, too, is told to drop nothing for being late.",
                more_is_better=True,
                bound=0.95,
            ),
        ),
        {"jobs": 30_000, "seconds": 8, "grace": "none"},
        most_rounds=2,
    ),
    Case(
        "sqlite-burst",
        "sqlite:burst",
        (
            Row(
                "2 000 due jobs in an SQLite file",
                "rate",
                "runs/s",
                "Jobs that survive a restart; Rota also records how each run ended, and the time includes that.",
                more_is_better=True,
                ratio=20,
            ),
        ),
        {"jobs": 2_000},
        most_rounds=3,
    ),
    Case(
        "sqlite-add",
        "sqlite:adding",
        (
            Row(
                "`add_job()` into an SQLite file",
                "us",
                "µs each",
                "One committed transaction for each job, so mostly the speed of the disk.",
            ),
        ),
        {"jobs": 300},
        most_rounds=3,
    ),
)
