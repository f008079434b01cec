"""The missing times of a job run: those of the days before it was added, and those that a pause has left out.

Run:    python examples/backfill.py
Output: 3 days are missing; counted: 3 days; 0 are missing now
Needs:  sql
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from rota import BackgroundScheduler, current_run


def count_visits() -> str:
    """Count the visits of one day: that of the run's scheduled time, not today."""
    return f"visits of {current_run().scheduled_run_time:%A}"


def main() -> None:
    logging.getLogger("rota").setLevel(logging.ERROR)
    scheduler = BackgroundScheduler(jobstores={"default": "sqlite:///example.db"}, timezone="UTC")
    scheduler.start()
    scheduler.add_job(count_visits, "cron", hour=0, id="visits")

    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    begin, end = today - timedelta(days=3), today - timedelta(days=1)
    print(f"{scheduler.backfill('visits', begin, end, dry_run=True)} days are missing")
    scheduler.backfill("visits", begin, end)
    until = time.monotonic() + 30
    while len(scheduler.get_runs("visits", status="succeeded")) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    for run in reversed(scheduler.get_runs("visits")):
        print(f"{run.scheduled_run_time:%Y-%m-%d}: {run.status}, {run.retval}, origin {run.origin}")
    print(f"counted: {len(scheduler.get_runs('visits', status='succeeded'))} days")
    print(f"{scheduler.backfill('visits', begin, end, dry_run=True)} are missing now")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
