"""Testing with virtual time: a month of a schedule runs in a blink, and always in the same way.

Run:    python examples/virtual_time.py       (or: pytest examples/virtual_time.py)
Output: 20 reports, each at 09:00; succeeded, skipped, succeeded, skipped, succeeded
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime

from rota.testing import ManualScheduler, VirtualClock


def test_reports_are_sent_at_nine_on_working_days() -> None:
    # Summer time ends in these thirty days.
    clock = VirtualClock(datetime(2029, 10, 6, tzinfo=UTC))
    scheduler = ManualScheduler(timezone="Europe/Berlin", clock=clock)
    scheduler.start()
    sent: list[datetime] = []

    def send_report() -> None:
        sent.append(clock.datetime(scheduler.timezone))

    scheduler.add_job(send_report, "cron", day_of_week="mon-fri", hour=9)
    scheduler.advance(days=30)
    scheduler.shutdown()
    assert {f"{time:%H:%M}" for time in sent} == {"09:00"}
    assert len(sent) == 20
    print(len(sent), "reports, each at 09:00")


def test_a_slow_backup_never_overlaps_itself() -> None:
    logging.getLogger("rota").setLevel(logging.ERROR)  # a run that is left out is a warning
    scheduler = ManualScheduler()
    scheduler.start()

    async def backup() -> None:
        await asyncio.sleep(90 * 60)  # ninety virtual minutes

    scheduler.add_job(backup, "interval", hours=1, id="backup")
    scheduler.advance(hours=5)
    scheduler.shutdown()  # time moves on until the last one has ended
    ends = [run.status for run in reversed(scheduler.get_runs("backup"))]
    assert ends == ["succeeded", "skipped", "succeeded", "skipped", "succeeded"]
    print(", ".join(ends))


if __name__ == "__main__":
    test_reports_are_sent_at_nine_on_working_days()
    test_a_slow_backup_never_overlaps_itself()
