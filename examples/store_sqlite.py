"""The SQL store on a SQLite file: jobs, their times and the record of every run survive the process.

This program starts its scheduler twice, as if it had been stopped for a second in between. Each time it is there until it has seen
what it is about.

Needs:  pip install 'rota[sql]'
Run:    python examples/store_sqlite.py [FILE]
Output: first life; second life; ran; times left out: coalesced
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.background import BackgroundScheduler


def sample(source: str) -> str:
    """Jobs in a durable store are kept by reference, so the function stands at the top of a module."""
    return f"a value from {source}"


def live(file: Path, until: str) -> None:
    """Be there until a run has this status or reason, and show all that there is."""
    store = SQLAlchemyJobStore(url=f"sqlite:///{file}")
    scheduler = BackgroundScheduler(jobstores={"default": store})
    # With a fixed id, and replaced where it exists: an unchanged job goes on where it was.
    scheduler.add_job(sample, "interval", seconds=0.3, args=["sensor 7"], id="sample", replace_existing=True)
    scheduler.start()
    while not any(until in (run.status, run.reason) for run in scheduler.get_runs("sample")):
        time.sleep(0.05)
    for run in reversed(scheduler.get_runs("sample")):
        at = run.scheduled_run_time.strftime("%H:%M:%S.%f")[:-5]
        if run.status == "succeeded":
            print(f"  {at} ran, result: {run.retval!r}")
        elif run.ended:
            print(f"  {at} {run.count} times left out: {run.reason}")
    scheduler.shutdown()


def main(file: Path) -> None:
    print("first life")
    live(file, "succeeded")
    time.sleep(1)  # nobody is there; three times pass
    print("second life")
    live(file, "coalesced")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder) / "jobs.sqlite")
