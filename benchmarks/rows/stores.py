"""Durable job stores. Who has not installed a server does not measure it."""

from __future__ import annotations

from typing import Any

from .kinds import Case, Row

_TITLES = {"sqlite": "an SQLite file", "postgresql": "PostgreSQL", "mariadb": "MariaDB", "redis": "Redis"}
_DURABLE = {
    "sqlite": "Each commit is on the disk (WAL, synchronous=FULL).",
    "postgresql": "The server writes each commit to its disk.",
    "mariadb": "The server writes each commit to its disk.",
    "redis": "The server appends each write to its file, which reaches the disk within a second.",
}
_REPEATED = (
    "A crash repeats the runs that were claimed and whose end was not committed: the last two batches at most, which is a fifth "
    "of a second of the executor's work or 2 000 runs. It loses none. APScheduler records no end, and loses what it has taken."
)
#: seconds
_LEASE = 3
_WHOLE = "After a crash a job is there or not, never in part; nothing is repeated."


def _burst(server: str, ratio: float | None, jobs: int, **options: Any) -> Case:
    title, durable = _TITLES[server], _DURABLE[server]
    return Case(
        f"{server}-burst",
        "stores:burst",
        (
            Row(
                f"{jobs:,} due jobs in {title}".replace(",", " "),
                "rate",
                "runs/s",
                f"Jobs that survive a restart; Rota also records how each run ended, and the time includes that. {durable} "
                f"{_REPEATED}",
                more_is_better=True,
                ratio=ratio,
            ),
        ),
        {"server": server, "jobs": jobs},
        most_rounds=3,
        **options,
    )


def _housekeeping(server: str) -> Case:
    title = _TITLES[server]
    return Case(
        f"{server}-housekeeping",
        "housekeeping:beside",
        (
            Row(
                f"a million records to forget and 50 000 jobs to heal in {title}: latest start of 100 one-second jobs",
                "latest",
                "s",
                "How late jobs start while a program tidies up that was off for a month, or lacked its modules.",
                bound=0.5,
                timed=False,
            ),
            Row(
                "… 99th percentile",
                "p99",
                "s",
                "The same for nearly all of them.",
                compared=False,
                timed=False,
            ),
            Row(
                "… of the backlog beside them",
                "rate",
                "records and jobs/s",
                "Housekeeping takes what the work leaves; without due jobs it is several times as fast.",
                more_is_better=True,
                compared=False,
                timed=False,
            ),
        ),
        {"server": server, "records": 1_000_000, "broken": 50_000, "jobs": 100, "seconds": 10, "most": 60},
        packages=("rota",),
        most_rounds=1,
        timeout=400,
    )


def _waiting(server: str) -> Case:
    title = _TITLES[server]
    return Case(
        f"{server}-waiting",
        "governed:passes",
        (
            Row(
                f"pass with 10 due jobs beside 100 000 waiting runs in {title}, median",
                "beside",
                "ms",
                "What many runs that wait for their time cost everybody else's.",
                compared=False,
            ),
            Row("… without them", "alone", "ms", "", compared=False),
            Row("… with them, against without", "ratio", "×", "", bound=1.05, compared=False, timed=False),
        ),
        {"server": server, "waiting": 100_000, "jobs": 10, "passes": 400},
        packages=("rota",),
        most_rounds=1,
        timeout=300,
    )


def _searching(server: str) -> Case:
    title = _TITLES[server]
    beside = f"of 3 000 000 records of 100 000 jobs in {title}"
    figures = (
        ("first", f"first page of the failed ones {beside}", 50),
        ("thousandth", "… thousandth page", 50),
        ("first_of_all", "… first page of all records", 50),
        ("thousandth_of_all", "… thousandth page", 50),
        ("of_job", "… first page of one job's", 50),
        ("of_error", "… of those with one class of error", 50),
        ("of_hour", "… of one hour, long ago", 50),
        ("vain", "… a page that looks for a node in vain, among 20 000 records or for 50 ms", 75),
        ("text", "… the same for a text in errors", 75),
        ("count", "… counted up to 10 000", 50),
        ("heat", "… counted by hour and status", 50),
        (
            "heat_uncounted",
            "… the same before housekeeping has counted any, within the time of a page",
            75,
        ),
        ("heat_failed", "… the failed ones counted by hour", 50),
        ("tagged", "… first page of the jobs with a rare tag", 50),
        ("by_id", "… of the jobs by id", 50),
        ("thousandth_by_id", "… thousandth page", 50),
        ("due", "… of the jobs that are due next", 50),
        ("thousandth_due", "… thousandth page", 50),
        ("due_soon", "… of the jobs that are due before some time", 50),
        ("of_executor", "… of the jobs of one executor", 50),
        ("count_jobs", "… the jobs counted up to 10 000", 50),
        ("jobs_in_vain", "… of the jobs with a text that none has", 75),
        ("failing", "… of the jobs whose last run failed", 75),
        ("by_name", "… of the jobs by name", 50),
        ("longest_step", "… longest step of deleting the records of an hour", 100),
    )
    meaning = "What a console asks for, again and again, beside the work."
    rows = [
        Row(text, figure, "ms", meaning, bound=bound, compared=False, timed=False)
        for figure, text, bound in figures
    ]
    rows += [
        Row(
            "… deleting them",
            "deleted",
            "records/s",
            "How fast housekeeping forgets what is too old, if nothing else is to be done.",
            more_is_better=True,
            compared=False,
            timed=False,
        ),
        Row(
            "… all housekeeping after nothing of it was counted",
            "housekeeping",
            "s",
            "Counting all records by hour and the durations of all jobs, in steps beside the work.",
            compared=False,
            timed=False,
        ),
    ]
    return Case(
        f"{server}-search",
        "searching:searching",
        tuple(rows),
        {"server": server, "jobs": 100_000, "records": 3_000_000},
        packages=("rota",),
        most_rounds=1,
        timeout=900,
    )


def _cases(
    server: str, burst: float, add: float, jobs: int, floor: str | None = None, **options: Any
) -> tuple[Case, ...]:
    title, durable = _TITLES[server], _DURABLE[server]
    return (
        _burst(server, burst, jobs, **options),
        Case(
            f"{server}-add",
            "stores:adding",
            (
                Row(
                    f"`add_job()` into {title}",
                    "us",
                    "µs each",
                    f"One committed transaction for each job. {durable} {_WHOLE}",
                    ratio=add,
                ),
            ),
            {"server": server, "jobs": 300},
            floor=floor,
            most_rounds=3,
        ),
        Case(
            f"{server}-add-many",
            "stores:adding_many",
            (
                Row(
                    f"`add_jobs()` into {title}",
                    "us",
                    "µs each",
                    f"10 000 jobs in one transaction; APScheduler has no such call and is given 300, one by one. {_WHOLE}",
                    ratio=50,
                ),
            ),
            {"server": server, "jobs": 10_000},
            most_rounds=2,
        ),
        Case(
            f"{server}-start",
            "stores:starting",
            (
                Row(
                    f"start with 10 000 jobs for {title}",
                    "us",
                    "µs each",
                    f"Jobs that are added before start(), as most programs do; APScheduler is given 300. {_WHOLE}",
                    ratio=3,
                ),
            ),
            {"server": server, "jobs": 10_000},
            most_rounds=2,
        ),
        Case(
            f"{server}-load",
            "stores:loading",
            (
                Row(
                    f"start on 10 000 jobs in {title}, and list them",
                    "seconds",
                    "s",
                    "From start() to the list of all jobs, in a process that has not seen them before. Nothing is written.",
                ),
                Row(
                    f"`get_jobs()` for the first time, of 10 000 jobs in {title}",
                    "list",
                    "s",
                    "The second half of that, without the start: each job with its callable, trigger and arguments, ready to run.",
                    ratio=3,
                ),
            ),
            {"server": server, "jobs": 10_000},
            most_rounds=2,
        ),
        Case(
            f"{server}-ask",
            "stores:asking",
            (
                Row(
                    f"longest `get_job()` while 1 000 jobs are due in {title}",
                    "longest",
                    "ms",
                    "How long a web request may wait for the scheduler at midnight.",
                    bound=20,
                    timed=False,
                ),
            ),
            {"server": server, "jobs": 1_000},
            most_rounds=2,
        ),
        Case(
            f"{server}-rescue",
            "stores:rescuing",
            (
                Row(
                    f"after `kill -9`, until another process runs the job again, in {title}, lease of {_LEASE} s",
                    "seconds",
                    "s",
                    "How long the work of a process that died lies there: its lease has to end, and somebody has to look. With "
                    "the default lease it is five times as long; APScheduler does not know of such work.",
                    bound=_LEASE + 5,
                    timed=False,
                ),
            ),
            {"server": server, "lease": _LEASE},
            packages=("rota",),
            most_rounds=1,
        ),
    )


CASES = (
    *_cases(
        "sqlite",
        burst=30,
        add=5,
        jobs=2_000,
        floor="floors:commits",
        peers={"huey": "peers.huey_peer:sqlite"},
        short={"jobs": 150},
    ),
    *_cases(
        "postgresql", burst=15, add=2, jobs=2_000, peers={"procrastinate": "peers.procrastinate_peer:burst"}
    ),
    _burst("mariadb", None, 1_000),
    *_cases("redis", burst=5, add=1.5, jobs=2_000),
    Case(
        "sqlite-load-100000",
        "stores:loading",
        (
            Row(
                "start on 100 000 jobs in an SQLite file, and list them",
                "seconds",
                "s",
                "The same with ten times as many. APScheduler is not asked: adding them one by one takes it too long.",
            ),
        ),
        {"server": "sqlite", "jobs": 100_000},
        packages=("rota",),
        most_rounds=1,
    ),
    *(_waiting(server) for server in ("sqlite", "postgresql", "redis")),
    _housekeeping("sqlite"),
    _housekeeping("postgresql"),
    _searching("sqlite"),
    _searching("postgresql"),
)
