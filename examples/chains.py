"""Jobs after other jobs: a report after each import that has succeeded, an alarm after each that has failed.

Run:    python examples/chains.py
Output: import: 3 rows; report after import: succeeded; import: failed; alarm after import: succeeded
Needs:  sql
"""

from __future__ import annotations

import logging
import time
from itertools import count

from rota import After, BackgroundScheduler

ROUNDS = count(1)


def load() -> str:
    """Succeed at first, and fail then."""
    if next(ROUNDS) > 1:
        raise OSError("no such file")
    return "3 rows"


def report() -> str:
    """Write a report of what was imported."""
    return "written"


def alarm() -> str:
    """Tell somebody."""
    return "told"


def wait_for(scheduler: BackgroundScheduler, job_id: str) -> str:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for run in scheduler.get_runs(job_id):
            if run.ended:
                return f"{job_id} after {(run.parent or '').partition('@')[0]}: {run.status}"
        time.sleep(0.05)
    raise TimeoutError(job_id)


def main() -> None:
    logging.getLogger("rota").setLevel(logging.CRITICAL)  # the failure is logged with its traceback
    scheduler = BackgroundScheduler(jobstores={"default": "sqlite:///example.db"})
    scheduler.start()
    scheduler.add_job(load, "cron", hour=3, id="import")
    scheduler.add_job(report, After("import"), id="report")
    scheduler.add_job(alarm, After("import", on="failed", delay=0.1), id="alarm")

    print(f"import: {scheduler.run_job('import').result(timeout=30)}")
    print(wait_for(scheduler, "report"))
    run = scheduler.run_job("import")
    run.wait(timeout=30)
    print(f"import: {run.status}")
    print(wait_for(scheduler, "alarm"))
    scheduler.shutdown()


if __name__ == "__main__":
    main()
