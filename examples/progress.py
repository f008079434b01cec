"""Progress, notes and logs: what a job says while it runs, seen from outside, and what is left of it in the ledger.

The job says how far it has got as often as it likes; the newest of it is in the store about once a second.

Run:    python examples/progress.py
Output: under way: page 3 of 7, 43%; ended: done, 100%; INFO example: wrote page 7
Needs:  sql
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from rota import BackgroundScheduler, current_run

if TYPE_CHECKING:
    from rota.core.run import Run

PAGES = 7
log = logging.getLogger("example")
log.setLevel(logging.INFO)
seen = threading.Event()


def write_report() -> None:
    """Write page after page."""
    for page in range(1, PAGES + 1):
        current_run().heartbeat(progress=page / PAGES, note=f"page {page} of {PAGES}")
        log.info("wrote page %d", page)
        if page == 3:
            seen.wait(30)  # until somebody has looked
    current_run().heartbeat(note="done")


def shown(run: Run) -> str:
    return f"{run.note}, {run.progress:.0%}"


def main() -> None:
    scheduler = BackgroundScheduler(jobstores={"default": "sqlite:///example.db"})
    scheduler.start()
    scheduler.add_job(write_report, id="report", keep_log=2000)

    until = time.monotonic() + 20
    while time.monotonic() < until:  # any process that shares the store could look
        under_way = [run for run in scheduler.get_running() if run.note == "page 3 of 7"]
        if under_way:
            print("under way:", shown(under_way[0]))
            break
        time.sleep(0.05)
    seen.set()
    scheduler.shutdown()  # waits for the job

    scheduler.start(paused=True)
    run = scheduler.get_run("report", scheduler.get_runs("report")[0].scheduled_run_time)
    if run is not None:
        print("ended:", shown(run))
        print(run.log)
    scheduler.shutdown()


if __name__ == "__main__":
    main()
