"""Misuses of the public interface: type checkers complain about each line that says so, and about no other."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from rota import BackgroundScheduler, CronTrigger, IntervalTrigger
from rota.events import JobExecutionEvent, JobStartedEvent
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.triggers.combining import OrTrigger


def work() -> None:
    """Do nothing."""


def takes_ends(event: JobExecutionEvent) -> None:
    """Do nothing."""


scheduler = BackgroundScheduler()
scheduler.add_job(42, "interval", seconds=5)  # wrong
scheduler.add_job(work, 5)  # wrong
scheduler.add_job(work, "interval", seconds=5, args=7)  # wrong
scheduler.add_job(work, "interval", seconds=5, id=7)  # wrong
scheduler.add_job(work, "interval", seconds=5, max_instances="three")  # wrong
scheduler.add_job(work, "interval", seconds=5, misfire_grace_time="long")  # wrong
scheduler.add_job()  # wrong
scheduler.add_jobs(work)  # wrong
scheduler.get_job(None)  # wrong
scheduler.remove_job()  # wrong
scheduler.strat()  # wrong
scheduler.shutdown(wait="yes")  # wrong
scheduler.add_listener("listener")  # wrong
scheduler.add_listener(lambda event: event.retval, JobStartedEvent)  # wrong
scheduler.add_listener(takes_ends, JobStartedEvent)  # wrong
scheduler.add_listener(takes_ends, "EVENT_ALL")  # wrong
scheduler.add_middleware(work)  # wrong
scheduler.add_job(work, on_failure=work)  # wrong
scheduler.resources[5] = work  # wrong
scheduler.resources.in_workers["bot"] = 5  # wrong
scheduler.aio.add_job(work, "interval", seconds=5, max_instances="three")  # wrong
scheduler.aio.remove_job()  # wrong
scheduler.aio.shutdown()  # wrong
name: int = scheduler.get_jobs()[0].name  # wrong
scheduler.get_job("one").remove()  # wrong
when: datetime = scheduler.get_jobs()[0].next_run_time  # wrong
IntervalTrigger(seconds="5")  # wrong
IntervalTrigger(fortnights=1)  # wrong
CronTrigger(hours=3)  # wrong
OrTrigger(IntervalTrigger(seconds=5))  # wrong
ThreadPoolExecutor("ten")  # wrong
MemoryJobStore("url")  # wrong
SQLAlchemyJobStore("sqlite://", keep_runs="all")  # wrong
anything: Any = scheduler.add_job(work, "interval", seconds=5)
