"""What the pictures show: jobs, their policies, and what is done to them, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rota import After, Retry, Snooze, current_run

from .drawing import Lane, Scene
from .stage import Stage

Job = Callable[[], Coroutine[Any, Any, None]]


def lasting(seconds: float, fails: int = 0, stops: float = 0) -> Job:
    """Return a job that takes so long, and fails in its first attempts.

    :param stops: how long it goes on when it is asked to stop
    """

    async def job() -> None:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(stops)
            raise
        if current_run().attempt <= fails:
            raise ConnectionError("no answer")

    return job


def waits(first: float, **options: Any) -> Retry:
    """Return a retry whose waits are exact."""
    return Retry(wait_initial=first, wait_jitter=0, **options)


# ------------------------------------------------------------------------------------------------------ trying again


def retries(stage: Stage) -> None:
    """Fail, in four ways, and come back without having failed."""
    every = {"minutes": 2}
    stage.add("again", lasting(8, fails=2), "interval", retry=waits(10), **every)
    stage.add("exhausted", lasting(8, fails=9), "interval", retry=waits(10), max_attempts=2, **every)
    stage.add("superseded", lasting(8, fails=1), "interval", retry=waits(130), **every)
    stage.add("kept", lasting(8, fails=1), "interval", retry=waits(130, until=None), **every)

    async def snoozing() -> None:
        await asyncio.sleep(4)
        if current_run().attempt < 3:
            raise Snooze(20)
        await asyncio.sleep(4)

    stage.add("snoozed", snoozing, "interval", **every)
    stage.until(310)


def reruns(stage: Stage) -> None:
    """Open a record again that has failed, and take one time out of a record of two."""
    hour = 3600.0
    stage.add("failed", lasting(900, fails=1), "interval", days=1, start_date=stage.at(hour))
    stage.add("owed", lasting(900), "interval", hours=1)
    stage.until(1.5 * hour)
    stage.note("owed", "pause()")
    stage.scheduler.pause()
    stage.until(4.3 * hour)
    stage.note("owed", "resume()")
    stage.scheduler.resume()
    stage.span("owed", 1.5 * hour, "paused")
    stage.until(4.6 * hour)
    stage.note("failed", 'rerun("failed", 01:00)')
    stage.scheduler.rerun("failed", stage.at(hour))
    stage.until(5.5 * hour)
    stage.note("owed", 'rerun("owed", 02:00)')
    stage.scheduler.rerun("owed", stage.at(2 * hour))
    stage.until(5.9 * hour)


def failing(stage: Stage) -> None:
    """Fail three times in a row, twice with a success between."""
    ends = iter([False, False, True, False, False, False])

    async def job() -> None:
        await asyncio.sleep(600)
        if not next(ends):
            raise ConnectionError("no answer")

    stage.add("report", job, "interval", hours=1, pause_on_failure=3)
    stage.until(8.8 * 3600)
    stage.note("report", "resume_job()")
    stage.scheduler.resume_job("report")
    paused, words = stage.changed("report", "paused")
    stage.notes["report"].insert(0, (paused, words.partition(",")[0]))
    stage.span("report", paused, "paused")
    stage.until(8.9 * 3600)


# -------------------------------------------------------------------------------------------------------- late times


def late(stage: Stage) -> None:
    """Owe times after an outage, and wait for a place for too long."""
    stage.add("merged", lasting(17), "interval", minutes=1)
    stage.add("each", lasting(17), "interval", minutes=1, coalesce=False)
    stage.add("graced", lasting(17), "interval", minutes=1, coalesce=False, misfire_grace_time=90)
    stage.add("strict", lasting(17), "interval", minutes=1, misfire_grace_time=5)
    stage.until(90)
    jobs = ("merged", "each", "graced", "strict")
    for id in jobs:
        stage.note(id, "nobody is there")
    stage.scheduler.pause()
    stage.until(246)
    stage.scheduler.resume()
    for id in jobs:
        stage.note(id, "again")
        stage.span(id, 90, "outage")
    stage.until(345)


# ----------------------------------------------------------------------------------------------------------- overlap


def overlaps(stage: Stage) -> None:
    """Run for two minutes and a half, each minute."""
    for overlap in ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all"):
        stage.add(overlap, lasting(150, stops=20), "interval", minutes=1, overlap=overlap)
    options = {"overlap": "terminate_other", "executor": "workers"}
    stage.add("terminate_other", lasting(150, stops=20), "interval", minutes=1, **options)
    stage.until(317)


# ---------------------------------------------------------------------------------------------------------- time-outs


def timeouts(stage: Stage) -> None:
    """Take too long, in several ways."""

    async def silent() -> None:
        for _ in range(3):
            await asyncio.sleep(15)
            stage.heartbeat()
        await asyncio.sleep(10_000)

    every = {"minutes": 2, "timeout": 60}
    stage.add("quick", lasting(40), "interval", **every)
    stage.add("stopped", lasting(10_000), "interval", **every)
    stage.add("goes on", lasting(10_000, stops=75), "interval", **every)
    tries = iter([10_000, 20])

    async def hangs_once() -> None:
        await asyncio.sleep(next(tries, 20))

    stage.add("retried", hangs_once, "interval", retry=waits(10), **every)
    stage.add("silent", silent, "interval", minutes=2, heartbeat_timeout=30)
    stage.until(290)


# ---------------------------------------------------------------------------------------------- pausing, and backfill


def pauses(stage: Stage) -> None:
    """Pause a job, hold it, and have it run by hand meanwhile."""
    minute = 60.0
    stage.add("paused", lasting(12), "interval", minutes=1)
    stage.add("held", lasting(12), "interval", minutes=1, tags={"feeds"})
    stage.add("waits", lasting(12, fails=1), "interval", minutes=3, retry=waits(30))
    stage.until(2.1 * minute)
    stage.note("paused", "pause_job()")
    stage.scheduler.pause_job("paused")
    stage.until(2.6 * minute)
    stage.note("held", 'hold(tag="feeds")')
    stage.scheduler.hold(tag="feeds")
    stage.until(3.4 * minute)
    stage.note("waits", "pause_job()")
    stage.scheduler.pause_job("waits")
    stage.until(3.5 * minute)
    stage.note("paused", "run_job()")
    stage.scheduler.run_job("paused")
    stage.until(4.4 * minute)
    stage.note("paused", "resume_job()")
    stage.scheduler.resume_job("paused")
    stage.span("paused", 2.1 * minute, "paused")
    stage.note("held", "release()")
    stage.scheduler.release(tag="feeds")
    stage.span("held", 2.6 * minute, "on hold")
    stage.until(4.8 * minute)
    stage.note("waits", "resume_job()")
    stage.scheduler.resume_job("waits")
    stage.span("waits", 3.4 * minute, "paused")
    stage.until(5.8 * minute)


def backfills(stage: Stage) -> None:
    """Leave two times out, and have them run later."""
    minute = 60.0
    stage.add("report", lasting(25), "interval", minutes=1)
    stage.until(1.5 * minute)
    stage.note("report", "pause_job()")
    stage.scheduler.pause_job("report")
    stage.until(3.5 * minute)
    stage.note("report", "resume_job()")
    stage.scheduler.resume_job("report")
    stage.span("report", 1.5 * minute, "paused")
    stage.until(4.9 * minute)
    stage.note("report", 'backfill("report", 1:00, 4:00)')
    stage.scheduler.backfill("report", stage.at(minute), stage.at(4 * minute))
    stage.until(7.2 * minute)


# ------------------------------------------------------------------------------------------------------------- chains


def chains(stage: Stage) -> None:
    """Import: well at first, and then not."""
    ends = iter([True, False])

    async def load() -> None:
        await asyncio.sleep(40)
        if not next(ends, True):
            raise OSError("no such file")

    stage.add("import", load, "interval", minutes=4)
    stage.add("report", lasting(30), After("import", delay=30))
    stage.add("alarm", lasting(10), After("import", on="failed"))
    stage.add("archive", lasting(15), After("report", on="any"))
    stage.until(620)


# ------------------------------------------------------------------------------------------------------------- deaths


async def last_for(seconds: float) -> None:
    """Take so long; importable, as a store in a database wants it."""
    await asyncio.sleep(seconds)


def deaths(stage: Stage) -> None:
    """Die while runs are under way: one node, and then the next."""
    jobs: dict[str, dict[str, Any]] = {
        "again": {"args": [55]},
        "lost": {"args": [55], "on_lost": "lost"},
        "retried": {"args": [55], "retry": waits(20)},
        "twice": {"args": [130], "max_attempts": 2},
    }
    for id, options in jobs.items():
        stage.add(id, last_for, "interval", hours=1, start_date=stage.at(60), **options)
    stage.until(12)
    stage.join()
    stage.until(90)
    for id in ("again", "lost", "retried", "twice"):
        stage.note(id, "node 1 dies")
    stage.die()
    stage.until(153)
    stage.join()
    stage.until(195)
    stage.note("twice", "node 2 dies")
    stage.die()
    stage.until(240)


SCENES = [
    Scene(
        "retries", "A run that fails is tried again: one run, several attempts",
        "Timelines of five jobs, due at 2:00 and 4:00. One fails twice, waits 10 and then 20 seconds, and "
        "succeeds in its third attempt, in one record. With max_attempts=2 the second failure ends it: attempts "
        "exhausted. With until=next a retry that still waits at 4:00 ends then, superseded, and the run of 4:00 "
        "begins. With until=None the retry keeps its place, so that 4:00 is skipped for max_instances, and "
        "succeeds after that. A job that raises Snooze twice is called a third time and succeeds.", retries,
        [
            Lane("again", "Retry(wait_initial=10)", ["fails twice"]),
            Lane("exhausted", "max_attempts=2", ["fails each time"]),
            Lane("superseded", 'until="next"', ["the default: a later time", "ends the retry that waits"]),
            Lane("kept", "until=None", ["the retry keeps its place,", "a later time finds none"]),
            Lane("snoozed", "raise Snooze(20)", ["no failure, twice"]),
        ],
        110, 310, 30,
    ),
    Scene(
        "rerun", "rerun(): the same record is opened again",
        "Timelines of two jobs. A run of 1:00 has failed; rerun() at 4:36 opens its record, and the second "
        "attempt succeeds. While the scheduler is paused the times 2:00, 3:00 and 4:00 become due; after that "
        "4:00 runs, and 2:00 and 3:00 are one record, skipped, coalesced. rerun() of 2:00 takes that time out of "
        "the record and runs it; 3:00 stays skipped.", reruns,
        [
            Lane("failed", 'rerun("failed", 01:00)', ["a run that has failed"]),
            Lane("owed", 'rerun("owed", 02:00)', ["one time of a record", "of several"]),
        ],
        3000, 5.9 * 3600, 3600, right=130,
    ),
    Scene(
        "pause-on-failure", "pause_on_failure=3: paused after three failures in a row",
        "Timeline of a job that runs each hour: it fails twice, succeeds, and fails three times. After the third "
        "failure in a row, at 6:10, it is paused; 7:00 and 8:00 are one record, skipped, paused, when it is "
        "resumed.", failing,
        [Lane("report", "pause_on_failure=3")],
        3000, 8.9 * 3600, 3600, right=170,
    ),
    Scene(
        "late", "Nobody is there from 1:30 to 4:06: which of the owed times run",
        "Timelines of four jobs, due each minute, with an outage from 1:30 to 4:06 in which 2:00, 3:00 and 4:00 "
        "become due. By default 4:00 runs after it, and 2:00 and 3:00 are one record, skipped, coalesced. With "
        "coalesce=False all three run, one after another. With misfire_grace_time=90 besides, 2:00 is missed, too "
        "late, and 3:00 and 4:00 run. With misfire_grace_time=5 all three are one record, missed, too late.", late,
        [
            Lane("merged", "the default", ["the newest runs for all"]),
            Lane("each", "coalesce=False", ["each runs, the oldest first"]),
            Lane("graced", "misfire_grace_time=90", ["coalesce=False: what is late", "by more does not run"]),
            Lane("strict", "misfire_grace_time=5"),
        ],
        50, 345, 60, right=110, waits="owed",
    ),
    Scene(
        "overlaps", "A run of two minutes and a half, due each minute",
        "Timelines of six jobs, each due every minute from 1:00, with runs of two and a half minutes. skip: 2:00 "
        "and 3:00 are skipped for max_instances, 4:00 runs. buffer_one: 3:00 waits for a place and starts when "
        "the run of 1:00 ends, 2:00 is skipped, coalesced. buffer_all: 2:00 starts then, and 3:00 after it. "
        "cancel_other: each due time asks the run before it to stop, which takes 20 seconds, and starts then; the "
        "other ends as cancelled, replaced. terminate_other: the same, at once. allow_all: all run beside each "
        "other.", overlaps,
        [
            Lane("skip", 'overlap="skip"', ["the default"]),
            Lane("buffer_one", 'overlap="buffer_one"', ["the newest waits"]),
            Lane("buffer_all", 'overlap="buffer_all"', ["all wait, the oldest first"]),
            Lane("cancel_other", 'overlap="cancel_other"', ["the older is asked to stop;", "this one takes 20 seconds"]),
            Lane("terminate_other", 'overlap="terminate_other"', ["its worker process", "is ended"]),
            Lane("allow_all", 'overlap="allow_all"', ["no limit"]),
        ],
        50, 317, 60,
    ),
    Scene(
        "timeouts", "timeout=60: when the time of an attempt is over",
        "Timelines of five jobs, due at 2:00 and 4:00, four of them with timeout=60. A run of 40 seconds "
        "succeeds. One that hangs is stopped after a minute: timed_out, timeout. One that ignores being asked "
        "goes on in its place for 75 seconds more, so that 4:00 is skipped for max_instances, and ends as "
        "timed_out then. One with a retry waits 10 seconds after its time and succeeds in the second attempt. A "
        "job with heartbeat_timeout=30 that says nothing after its third heartbeat is stopped 30 seconds later: "
        "timed_out, no heartbeat.", timeouts,
        [
            Lane("quick", "40 seconds", ["in time"]),
            Lane("stopped", "hangs", ["a coroutine, a greenlet,", "a worker process: stopped"]),
            Lane("goes on", "hangs, and goes on", ["what ignores that it is asked,", "as a thread may: it keeps its place"]),
            Lane("retried", "retry=Retry(wait_initial=10)", ["hangs once"]),
            Lane("silent", "heartbeat_timeout=30", ["says nothing any more"]),
        ],
        110, 290, 30,
    ),
    Scene(
        "pauses", "What is due while a job is paused or on hold",
        "Timelines of three jobs. One is paused at 2:06 while a run is under way, which goes on; 3:00 and 4:00 do "
        "not run, run_job() at 3:30 does; resume_job() at 4:24 leaves one record for both times, skipped, paused. "
        "A job on hold from 2:36 to 4:24 has the same, skipped, on hold. A retry that is due at 3:42, while its "
        "job is paused, starts when the job is resumed at 4:48.", pauses,
        [
            Lane("paused", 'pause_job("paused")', ["run_job() works meanwhile"]),
            Lane("held", 'tags={"feeds"}', ["a set of jobs on hold"]),
            Lane("waits", "Retry(wait_initial=30)", ["the retry waits until", "the job goes on"]),
        ],
        50, 348, 60,
    ),
    Scene(
        "backfill", "backfill(): what was left out runs beside the schedule",
        "Timeline of a job that is due each minute and runs for 25 seconds. It was paused, so 2:00 and 3:00 are one "
        "record, skipped, paused. backfill() at 4:54 opens both: 2:00 runs at once; 5:00, which becomes due "
        "meanwhile, waits for a place and goes before 3:00, which waits for the backfill's turn; 6:00 waits for "
        "it in turn.", backfills,
        [Lane("report", "interval, minutes=1", ["a run takes 25 seconds"])],
        50, 432, 60, right=130,
    ),
    Scene(
        "chains", "After: a run that ends starts another job",
        "Timelines of four jobs. The import of 4:00 succeeds: 30 seconds later report runs, and when that has "
        "ended, archive. The import of 8:00 fails: alarm runs at once, and report does not.", chains,
        [
            Lane("import", '"interval", minutes=4', ['"import": fails the second time']),
            Lane("report", 'After("import", delay=30)', ['"report"']),
            Lane("archive", 'After("report", on="any")', ['"archive"']),
            Lane("alarm", 'After("import", on="failed")', ['"alarm"']),
        ],
        230, 620, 60,
    ),
    Scene(
        "deaths", "The process dies: a lease of 15 seconds, and then another node",
        "Timelines of four jobs, due at 1:00 on node 1, which dies at 1:30. When its lease of 15 seconds is over, "
        "node 2 takes the runs over. With on_lost=rerun the run is executed again and succeeds. With a retry it "
        "waits 20 seconds before that. With on_lost=lost it ends as lost. A run with max_attempts=2 is executed "
        "again, node 2 dies at 3:15, and it ends as lost.", deaths,
        [
            Lane("again", 'on_lost="rerun"', ["the default"]),
            Lane("retried", "retry=Retry(wait_initial=20)", ["a death is a failed try"]),
            Lane("lost", 'on_lost="lost"', ["at most once"]),
            Lane("twice", "max_attempts=2", ["kills its nodes"]),
        ],
        50, 240, 30, right=150, nodes=True, lease=15,
    ),
]  # fmt: skip
