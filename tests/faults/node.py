"""A scheduler in a process of its own, for tests that kill it: ``python -m tests.faults.node URL LOG [options]``.

Each run writes lines to the log by O_APPEND, so that they stay whole whatever happens to their process.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import time

from rota.events import EVENT_JOB_LOST, EVENT_JOB_REFUSED
from rota.executors.base import current_run
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.blocking import BlockingScheduler


def append(path: str, *words: object) -> None:
    """Add one line to a file, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(file)


def work(path: str, seconds: float) -> None:
    """Be a job: tell when it begins and when it ends."""
    run = current_run()
    append(path, "begin", run.job_id, run.nominal, run.attempt, os.getpid())
    time.sleep(seconds)
    append(path, "end", run.job_id, run.nominal, run.attempt, os.getpid())


class MortalStore(SQLAlchemyJobStore):
    """Kills its process when it has been asked to record so many outcomes, before it records the last of them."""

    left = 0

    def finish(self, runs, now):
        self.left -= len(runs)
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().finish(runs, now)


def main() -> None:
    """Run the scheduler until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("log")
    parser.add_argument("--lease", type=float, default=2)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--die-after", type=int, help="die instead of recording this many outcomes")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.ERROR)
    if options.die_after is None:
        store = SQLAlchemyJobStore(options.url)
    else:
        store = MortalStore(options.url)
        store.left = options.die_after
    scheduler = BlockingScheduler(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(options.workers)},
        lease=options.lease,
    )

    def tell(event):
        name = {EVENT_JOB_REFUSED: "refused", EVENT_JOB_LOST: "lost"}[event.code]
        append(options.log, name, event.job_id, event.run.nominal, event.run.attempt, os.getpid())

    scheduler.add_listener(tell, EVENT_JOB_REFUSED | EVENT_JOB_LOST)
    append(options.log, "up", os.getpid())
    scheduler.start()
    append(options.log, "down", os.getpid())


if __name__ == "__main__":
    main()
