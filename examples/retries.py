"""Trying again: a job that fails at first, one that comes back later by itself, and one whose record is opened again by hand.

Run:    python examples/retries.py
Output: orders: succeeded in attempt 3; report: skipped, nothing was sold; once more: 3 orders
Needs:  sql
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime

from rota import BackgroundScheduler, Retry, Skip, Snooze, current_run
from rota.events import EVENT_JOB_RETRYING, JobRetryingEvent


def fetch_orders() -> str:
    """Fetch what is there, from a server that is away at first."""
    if current_run().attempt < 3:
        raise ConnectionError("no answer")
    return "3 orders"


def write_report() -> None:
    """Come back until the figures are there."""
    if current_run().attempt < 2:
        raise Snooze(0.1)
    raise Skip("nothing was sold")


def note(event: JobRetryingEvent) -> None:
    print(
        f"{event.job_id}: attempt {event.attempt} has failed ({event.exception}), next one at {event.retry_at}"
    )


def main() -> None:
    logging.getLogger("rota").setLevel(logging.CRITICAL)  # each failure is logged with its traceback
    scheduler = BackgroundScheduler(jobstores={"default": "sqlite:///example.db"})
    scheduler.start()
    scheduler.add_listener(note, EVENT_JOB_RETRYING)
    fast = Retry(on=ConnectionError, wait_initial=0.1)
    scheduler.add_job(
        fetch_orders, "interval", hours=1, next_run_time=datetime.now(UTC), id="orders", retry=fast
    )
    scheduler.add_job(write_report, id="report")

    until = time.monotonic() + 30
    while time.monotonic() < until:
        ended = {run.job_id: run for run in scheduler.get_runs() if run.ended}
        if len(ended) == 2:
            break
        time.sleep(0.05)
    orders, report = ended["orders"], ended["report"]
    print(f"orders: {orders.status} in attempt {orders.attempt}")
    print(f"report: {report.status}, {report.reason}")
    print(f"once more: {scheduler.rerun('orders', orders.scheduled_run_time).result(timeout=30)}")
    scheduler.shutdown()


if __name__ == "__main__":
    main()
