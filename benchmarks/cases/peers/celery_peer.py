"""Celery beat: the ticks of its own scheduler, with the sending of the message replaced by a call of the function."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from celery import Celery
from celery.beat import Scheduler
from celery.schedules import schedule

from .. import common
from ..bursts import rate_so_far
from ..common import Watch, everything, work

#: Seconds after which the rest of the entries is not waited for.
LIMIT = 5


class Counting(Scheduler):  # type: ignore[misc]  # celery says no types
    """Beat's scheduler without a broker."""

    def apply_async(self, entry: Any, producer: Any = None, advance: bool = True, **options: Any) -> None:
        work(*entry.args)


def tick(package: str, jobs: int) -> dict[str, Any]:
    common.expect(jobs)
    app = Celery("beat", broker="memory://", set_as_current=False)
    app.conf.beat_schedule = {
        str(index): {"task": "work", "schedule": schedule(timedelta(hours=1)), "args": (index,)}
        for index in range(jobs)
    }
    scheduler = Counting(app, lazy=True)
    scheduler.setup_schedule()
    scheduler.merge_inplace(app.conf.beat_schedule)
    for entry in scheduler.schedule.values():
        entry.last_run_at = app.now() - timedelta(hours=2)
    # What the first tick prepares.
    scheduler.populate_heap()
    scheduler.old_schedulers = dict(scheduler.schedule)
    watch = Watch()
    while not everything.is_set() and watch.seconds() < LIMIT:
        scheduler.tick()
    return rate_so_far(watch.seconds(), watch.cpu(), jobs)
