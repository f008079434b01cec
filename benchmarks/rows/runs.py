"""Executing jobs of the memory store: bursts, sustained load, overload."""

from .kinds import BOTH, Case, Row

#: A function cannot have the name of a module that it uses.
PROGRAM = {"asyncio": "asyncio_loop"}


def _burst(kind: str, title: str, meaning: str, ratio: float | None, **options: object) -> Case:
    return Case(
        f"burst-{kind}",
        f"bursts:{PROGRAM.get(kind, kind)}",
        (
            Row(
                f"10 000 due jobs, {title}",
                "rate",
                "runs/s",
                meaning,
                more_is_better=True,
                ratio=ratio,
            ),
        ),
        {"jobs": 10_000},
        floor=f"floors:burst_{kind}",
        **options,  # type: ignore[arg-type]
    )


#: One-second jobs: how many, on threads and on asyncio.
SUSTAINED = (1_000, 10_000, 20_000, 30_000, 40_000, 60_000)
#: Up to where every run should happen, on a machine that has the processors for it.
_REACH = {"threads": 40_000, "asyncio": 60_000}


def _sustained(kind: str, jobs: int) -> Case:
    title = f"{jobs // 1_000} 000 one-second jobs, {kind}"
    aim = jobs == _REACH[kind]
    return Case(
        f"sustained-{kind}-{jobs}",
        f"sustained:{PROGRAM.get(kind, kind)}",
        (
            Row(
                f"{title}: runs that happened",
                "share",
                "of those due",
                "Whether a program full of frequent jobs keeps up; each package with its own defaults.",
                more_is_better=True,
                bound=0.999 if aim else None,
                compared=False,
            ),
            Row("… runs that did not happen", "missed", "runs", "", compared=False),
            Row(
                "… lateness, median",
                "p50",
                "ms",
                "How long after its time a run begins.",
                compared=False,
            ),
            Row(
                "… lateness, 99th percentile",
                "p99",
                "ms",
                "The same for the latest hundredth.",
                bound=20 if aim else None,
                compared=False,
            ),
            Row("… lateness, greatest", "max", "ms", "", compared=False),
            Row("… longest silence of a job", "silence", "s", "1 s is ideal.", compared=False),
            Row(
                "… processor time for 1 000 runs",
                "cpu_ms",
                "ms",
                "What a run costs besides the job's own work.",
            ),
            Row(
                "… processor time that the process used",
                "core",
                "of a core",
                "Python code runs on one core at a time: near 100% the process cannot do more.",
                compared=False,
            ),
        ),
        {"jobs": jobs, "seconds": 4 if aim else 3, "warmup": 2},
        # APScheduler has collapsed before, and adding so many jobs takes it too long to do it for every row.
        packages=BOTH if jobs <= 30_000 or (kind, jobs) == ("threads", 40_000) else ("rota",),
        floor=f"floors:sustained_{kind}" if aim or jobs == SUSTAINED[-1] else None,
        most_rounds=2 if aim else 1,
        timeout=60,
    )


_GOVERNED = tuple(
    Case(
        f"burst-{kind}-governed",
        f"governed:{kind}",
        (
            Row(
                f"10 000 due jobs, {title}, each with `retry=` and `timeout=`",
                "rate",
                "runs/s",
                "The same jobs, which may be tried again and may take an hour; none fails, and none is late.",
                more_is_better=True,
            ),
        ),
        {"jobs": 10_000},
        packages=("rota",),
    )
    for kind, title in (("threads", "thread pool"), ("inline", "debug executor"))
)

CASES = (
    _burst(
        "threads",
        "thread pool",
        "How fast the runs of one moment (midnight, the full hour) are through in `BackgroundScheduler`.",
        6,
        peers={"huey": "peers.huey_peer:burst", "apscheduler4": "peers.apscheduler4_peer:burst_threads"},
        short={},
    ),
    _burst(
        "inline",
        "debug executor",
        "The scheduler's own work for each run, without any hand-over between threads.",
        4,
        peers={"schedule": "peers.schedule_peer:burst", "celery": "peers.celery_peer:tick"},
        short={},
    ),
    _burst(
        "asyncio",
        "asyncio",
        "The same in `AsyncIOScheduler` with coroutine functions; the loop stays usable meanwhile.",
        2.5,
        peers={"apscheduler4": "peers.apscheduler4_peer:burst_asyncio"},
        short={},
    ),
    _burst(
        "processes",
        "pool of two processes",
        "The same with work that needs processors; mostly the way there and back between processes.",
        None,
        most_rounds=3,
    ),
    *_GOVERNED,
)

#: What takes long; it comes last, so that a time limit costs none of the others.
LOAD = (
    Case(
        "overload",
        "overload:threads",
        (
            Row(
                "twice as many runs due as 10 threads can do: share of the capacity delivered",
                "share",
                "of the capacity",
                "Whether too much work is done as far as possible, or makes the scheduler do less than it could. "
                "The capacity is what ten bare threads do with the same work in the same process.",
                more_is_better=True,
                bound=0.95,
                timed=False,
            ),
            Row(
                "… one-off jobs due meanwhile: those that ran",
                "once",
                "of those due",
                "Whether a job that runs only once survives a time of too much work.",
                more_is_better=True,
                bound=1.0,
                timed=False,
            ),
            Row(
                "… their lateness, 99th percentile",
                "late",
                "s",
                "How long such a job waits for its turn among those that are owed longer.",
                compared=False,
            ),
        ),
        {"seconds": 30},
        most_rounds=1,
    ),
    *(_sustained(kind, jobs) for kind in ("threads", "asyncio") for jobs in SUSTAINED),
)
