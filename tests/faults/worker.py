"""A scheduler process of the fault tests: ``python -m tests.faults.worker URL TRACE [SHIFT]``; ends when its input closes.

SHIFT is by how many seconds its clock is wrong. Each execution of a job leaves a line in the file TRACE before it ends.
"""

from __future__ import annotations

import os
import sys
import time

from rota import current_run
from rota.clock import SECOND, Clock
from rota.schedulers.background import BackgroundScheduler

LEASE = 2.0


class ShiftedClock(Clock):
    """The system's clock, set wrong."""

    __slots__ = ("shift",)

    def __init__(self, seconds: float) -> None:
        self.shift = int(seconds * SECOND)

    def now(self) -> int:
        return super().now() + self.shift


def work(trace: str, seconds: float = 0.2) -> None:
    """Take a while, and leave a line that says which attempt of which run this was."""
    run = current_run()
    with open(trace, "a") as file:
        file.write(f"{run.job_id} {run.nominal} {run.attempt}\n")
    time.sleep(seconds)


def make_scheduler(url: str, shift: float = 0) -> BackgroundScheduler:
    """Make a scheduler that notices quickly when others die and when its store works again."""
    return BackgroundScheduler(
        jobstores={"default": url}, lease=LEASE, jobstore_retry_interval=0.5, clock=ShiftedClock(shift)
    )


def main(url: str, trace: str, shift: str = "0") -> None:
    scheduler = make_scheduler(url, float(shift))
    scheduler.start()
    print("ready", flush=True)
    sys.stdin.read()
    scheduler.shutdown(timeout=5)


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(0)
