"""A scheduler beside the program's own work: start() returns at once, jobs run in a pool of threads.

Run:    python examples/scheduler_background.py
Output: measured; the main program does its own work; next run at
"""

from __future__ import annotations

import shutil
import time

from rota.schedulers.background import BackgroundScheduler


def measure(disk: str) -> float:
    usage = shutil.disk_usage(disk)
    free = usage.free / usage.total
    print(f"measured {disk}: {free:.0%} free")
    return free


def main() -> None:
    scheduler = BackgroundScheduler(timezone="Europe/Berlin")
    scheduler.start()
    scheduler.add_job(measure, "interval", seconds=0.5, args=["/"], id="disk")
    nightly = scheduler.add_job(measure, "cron", hour=3, minute=30, args=["/"], id="nightly")
    print("next run at", nightly.next_run_time)

    for _ in range(3):
        print("the main program does its own work")
        time.sleep(0.5)

    scheduler.shutdown()  # waits for the runs under way


if __name__ == "__main__":
    main()
