"""A job that is due while its last run goes on: what each value of ``overlap`` makes of that, in virtual time.

The job is due each minute and takes two minutes and a half. With ``"terminate_other"`` it would run in a ProcessPoolExecutor,
whose worker is ended.

Run:    python examples/overlaps.py
Output: skip: 12:01 succeeded, 12:02 skipped max_instances, 12:03 skipped max_instances, 12:04 claimed;
        buffer_one: 12:01 succeeded, 12:02 skipped coalesced, 12:03 claimed;
        buffer_all: 12:01 succeeded, 12:02 claimed, 12:03 claimed;
        cancel_other: 12:01 cancelled replaced, 12:02 cancelled replaced, 12:03 cancelled replaced, 12:04 claimed;
        allow_all: 12:01 succeeded, 12:02 succeeded, 12:03 claimed, 12:04 claimed
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from rota.testing import ManualScheduler, VirtualClock


async def synchronize() -> None:
    """Take longer than the time between two runs."""
    await asyncio.sleep(150)


def main() -> None:
    logging.getLogger("rota").setLevel(logging.CRITICAL)  # what is left out is logged, too
    scheduler = ManualScheduler(clock=VirtualClock(datetime(2030, 1, 7, 12, tzinfo=UTC)))
    scheduler.start()
    values = ("skip", "buffer_one", "buffer_all", "cancel_other", "allow_all")
    for overlap in values:
        scheduler.add_job(synchronize, "interval", minutes=1, id=overlap, overlap=overlap)
    scheduler.advance(minutes=4, seconds=40)
    for overlap in values:
        records = [
            f"{run.scheduled_run_time:%H:%M} {run.status} {run.reason or ''}".strip()
            for run in reversed(scheduler.get_runs(overlap))
        ]
        print(f"{overlap}: {', '.join(records)}")
    scheduler.shutdown(wait=False)


if __name__ == "__main__":
    main()
