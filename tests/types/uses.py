"""Uses of the public interface as programs write them: type checkers have nothing to say about any line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from rota import (
    AsyncIOScheduler,
    BackgroundScheduler,
    BlockingScheduler,
    CronTrigger,
    DateTrigger,
    Inject,
    IntervalTrigger,
    current_run,
)
from rota.core.run import Run
from rota.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    JobExecutionEvent,
    JobPausedEvent,
    JobStartedEvent,
    SchedulerEvent,
)
from rota.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from rota.job import Job
from rota.jobstores.base import JobLookupError
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler, VirtualClock, VirtualLoop
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import AndTrigger, OrTrigger


def greet(name: str, times: int = 1) -> str:
    return name * times


async def fetch(url: str) -> bytes:
    await asyncio.sleep(0)
    return url.encode()


class Greeter:
    """Greets."""


class EveryFullMoon(BaseTrigger):
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        return (previous_fire_time or now) + timedelta(days=29.53)


def schedulers() -> None:
    BlockingScheduler()
    BackgroundScheduler(timezone="Europe/Berlin", daemon=True)
    BackgroundScheduler(
        timezone=ZoneInfo("Asia/Ho_Chi_Minh"), job_defaults={"coalesce": False, "max_instances": 3}
    )
    BackgroundScheduler(
        jobstores={
            "default": MemoryJobStore(),
            "durable": SQLAlchemyJobStore("sqlite:///jobs.sqlite", keep_runs=None),
        },
        executors={"default": ThreadPoolExecutor(20), "processes": ProcessPoolExecutor(max_workers=2)},
    )
    ManualScheduler(clock=VirtualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    VirtualLoop(VirtualClock()).run_ready()


def jobs(scheduler: BackgroundScheduler) -> None:
    job: Job = scheduler.add_job(greet, "interval", seconds=5, args=["Ada"], kwargs={"times": 2}, id="greet")
    scheduler.add_job("package.module:function", CronTrigger(hour=3, minute="*/5"), misfire_grace_time=None)
    scheduler.add_job(fetch, DateTrigger(datetime(2027, 1, 1, tzinfo=UTC)), args=("https://example.org",))
    scheduler.add_job(
        greet, EveryFullMoon(), expires=timedelta(minutes=1), on_lost="lost", replace_existing=True
    )
    next_time: datetime | None = job.next_run_time
    name: str = job.name
    changed: Job = scheduler.modify_job("greet", name="other", max_instances=2)
    job.reschedule("cron", day_of_week="mon-fri").pause().resume()
    found: Job | None = scheduler.get_job("greet")
    every: Sequence[Job] = scheduler.get_jobs()
    try:
        scheduler.remove_job("greet")
    except JobLookupError:
        pass
    print(next_time, name, changed, found, every)


def decorated(scheduler: BackgroundScheduler) -> str:
    @scheduler.scheduled_job("interval", minutes=1, id="decorated")
    def work(number: int) -> str:
        return str(number + current_run().attempt)

    return work(3)


def triggers() -> BaseTrigger:
    hourly = IntervalTrigger(hours=1, start_date="2026-01-01 08:00:00", timezone="UTC", jitter=10)
    either: OrTrigger = OrTrigger([hourly, CronTrigger.from_crontab("0 3 * * mon")])
    both: AndTrigger = AndTrigger([hourly, either])
    print(hourly | either, hourly & both, hourly.explain())
    following: datetime | None = both.get_next_fire_time(None, datetime.now(UTC))
    print(following)
    return hourly.between("08:00", "18:00").on("mon-fri").limit(10)


def listeners(scheduler: BackgroundScheduler) -> None:
    def told(event: JobExecutionEvent) -> None:
        print(event.job_id, event.retval, event.exception)

    def anything(event: SchedulerEvent) -> None:
        print(event.code)

    scheduler.add_listener(told, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
    scheduler.add_listener(anything)
    scheduler.add_listener(told, JobExecutionEvent)
    scheduler.add_listener(anything, JobStartedEvent)
    scheduler.add_listener(lambda event: print(event.started_at, event.run.id), JobStartedEvent)
    scheduler.add_listener(lambda event: print(event.note), JobPausedEvent)
    scheduler.remove_listener(anything)


def middleware(scheduler: BackgroundScheduler) -> None:
    @contextmanager
    def around(run: Run) -> Iterator[None]:
        print(run.job_id)
        yield

    @asynccontextmanager
    async def waiting(run: Run) -> AsyncIterator[None]:
        yield

    scheduler.add_middleware(around)
    scheduler.add_middleware(waiting)


def send(
    to: str, *, bot: Annotated[Greeter, Inject], other: Annotated[Greeter | None, Inject("x")] = None
) -> None:
    print(to, bot, other)


def alarm(run: Run) -> None:
    print(run.error)


def resources(scheduler: BackgroundScheduler) -> None:
    scheduler.resources["bot"] = Greeter()
    scheduler.resources.in_workers["bot"] = Greeter
    del scheduler.resources["bot"]
    scheduler.add_job(send, args=["x"], on_failure=alarm)
    scheduler.add_job(send, args=["x"], on_failure="app:alarm")


async def on_asyncio(scheduler: AsyncIOScheduler) -> None:
    job: Job = await scheduler.aio.add_job(
        greet, "interval", hours=1, args=["x"], id="one", replace_existing=True
    )
    found: Job | None = await scheduler.aio.get_job("one")
    jobs: list[Job] = await scheduler.aio.get_jobs(state="active", limit=10)
    runs: list[Run] = await scheduler.aio.get_runs("one", status=["failed"])
    run: Run = await scheduler.aio.run_job(job.id)
    await scheduler.aio.remove_job("one")
    print(found, jobs, runs, run)


async def lifespan() -> AsyncIterator[None]:
    scheduler = AsyncIOScheduler()
    scheduler.start()
    yield
    scheduler.shutdown(wait=False)
