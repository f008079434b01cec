"""Searching the ledger: which jobs fail and since when, what the next time of a job is left out for, and why a job does not run.

Any process that shares the store can ask; this one runs the jobs as well, in virtual time.

Run:    python examples/searching.py
Output: rates fails since 09:10, 6 times: ConnectionError; weather 10:10: cancelled, skipped ahead; 2 jobs on hold
Needs:  sql
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from rota.clock import moment
from rota.testing import ManualScheduler, VirtualClock

START = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)


def fetch(source: str) -> int:
    if source == "rates":
        raise ConnectionError("rates does not answer")
    return 3


def main() -> None:
    clock = VirtualClock(START)
    scheduler = ManualScheduler(clock=clock, jobstores={"default": "sqlite:///example.db"}, timezone="UTC")
    logging.getLogger("rota.executors").setLevel(logging.CRITICAL)  # it logs each traceback
    scheduler.start()
    for source in ("news", "rates", "weather"):
        tags = {"feeds"} if source != "weather" else set()
        scheduler.add_job(fetch, "interval", minutes=10, args=[source], id=source, tags=tags)
    scheduler.advance(minutes=61)

    failed = scheduler.find_runs(statuses="failed", since=START, limit=1000).items  # newest first
    for job in scheduler.find_jobs(last_status="failed").items:
        runs = [run for run in failed if run.job_id == job.id]
        print(
            f"{job.id} fails since {runs[-1].scheduled_run_time:%H:%M}, {len(runs)} times: {runs[0].error_type}"
        )

    weather = scheduler.get_job("weather")
    if weather is not None and weather.next_nominal is not None:
        record = scheduler.cancel_run("weather", moment(weather.next_nominal), reason="no need today")
        print(f"weather {record.scheduled_run_time:%H:%M}: {record.status}, {record.reason}")

    print(scheduler.hold(tag="feeds", note="migration"), "jobs on hold")
    print(scheduler.explain("news"))
    scheduler.release(tag="feeds")

    hours = scheduler.run_counts(START, START + timedelta(hours=2))  # for a heat map
    print({f"{moment(hour):%H:%M}": dict(sorted(counts.items())) for hour, counts in sorted(hours.items())})
    scheduler.shutdown()


if __name__ == "__main__":
    main()
