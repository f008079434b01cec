"""Importing, adding, keeping, changing and starting: the memory store."""

from .kinds import Case, Row

_OPERATIONS = (
    ("get", "`get_job()`", "To look at one job by its id."),
    ("modify", "`modify_job()`", "To change an option of a job that waits."),
    ("reschedule", "`reschedule_job()`", "To give it another schedule."),
    ("pause", "`pause_job()`", "To take it out of the schedule."),
    ("resume", "`resume_job()`", "To put it back."),
    ("remove", "`remove_job()`", "To delete it."),
)
_TO_REACH = {"modify": 4.0, "pause": 4.0, "remove": 4.0}


def _adding(
    jobs: int, title: str, *rows: Row, ratio: float | None = None, limit: int = 45, **options: object
) -> Case:
    added = Row(
        f"`add_job()`, {title} interval jobs",
        "us",
        "µs each",
        "How long your thread is busy for each job that it adds to a running scheduler (memory store).",
        ratio=ratio,
    )
    return Case(
        f"add-{jobs}",
        "adding:interval",
        (added, *rows),
        {"jobs": jobs, "limit": limit},
        floor="floors:heap",
        **options,  # type: ignore[arg-type]
    )


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
                ratio=5,
            ),
            Row(
                "import of `BackgroundScheduler`, memory",
                "mb",
                "MB",
                "What an imported but unused scheduler occupies in each process.",
                bound=6,
                timed=False,
            ),
        ),
        peers={"schedule": "imports:schedule", "apscheduler4": "imports:apscheduler4"},
        short={},
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
        short={},
    ),
    _adding(1_000, "1 000"),
    _adding(
        10_000,
        "10 000",
        ratio=3,
        peers={
            "schedule": "peers.schedule_peer:adding",
            "apscheduler4": "peers.apscheduler4_peer:adding",
            "huey": "peers.huey_peer:adding",
        },
        short={},
    ),
    _adding(
        100_000,
        "100 000",
        Row(
            "memory of an interval job, 100 000 kept",
            "bytes",
            "bytes each",
            "What a job occupies in the memory store.",
            bound=400,
            timed=False,
        ),
        ratio=5,
        most_rounds=2,
    ),
    _adding(
        1_000_000,
        "1 000 000",
        Row(
            "… all 1 000 000 of them",
            "seconds",
            "s",
            "Whether a table of a million jobs can be loaded into the memory store at all.",
            bound=15,
        ),
        limit=25,
        most_rounds=1,
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
            Row(
                "memory of a cron job, 10 000 kept",
                "bytes",
                "bytes each",
                "The same of cron jobs; each of these has a schedule of its own.",
                bound=500,
                timed=False,
            ),
        ),
        {"jobs": 10_000},
        peers={"apscheduler4": "peers.apscheduler4_peer:adding_cron"},
        short={},
        most_rounds=3,
    ),
    Case(
        "operations",
        "operations:everything",
        tuple(
            Row(f"{call}, 100 000 jobs", figure, "µs each", meaning, ratio=_TO_REACH.get(figure))
            for figure, call, meaning in _OPERATIONS
        ),
        {"jobs": 100_000, "sample": 2_000},
        short={"jobs": 5_000, "sample": 500},
        most_rounds=2,
    ),
    *(
        Case(
            f"start-{jobs}",
            "starting:pending",
            (
                Row(
                    f"`start()` with {title} jobs, until one that is due runs",
                    "ms",
                    "ms",
                    "How soon a restarted program works again that adds its jobs to the memory store before it starts.",
                ),
            ),
            {"jobs": jobs},
            most_rounds=2 if jobs == 10_000 else 1,
        )
        for jobs, title in ((10_000, "10 000"), (100_000, "100 000"))
    ),
)
