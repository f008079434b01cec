"""What programs set on jobs and ask of them by APScheduler's inner names.

It decides nothing; what is to be stored goes through the scheduler.
"""

from __future__ import annotations

from datetime import UTC

from ..core.policy import with_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    #: rota.job.Job, which imports this module
    Job = Any


def set_option(job: Job, name: str, value: Any) -> None:
    """Set a policy of a job by its attribute: at once on a job that waits for the start or lives in memory; else it is stored.

    :raises JobTypeError: if it cannot be the value of that policy
    """
    home: tuple[Any, str | None] = getattr(job, "_home", (None, None))
    scheduler, alias = home  # none yet on what object.__new__(Job) makes
    if alias is not None and job.version > 0:  # a job that a store is just restoring has no version yet
        store = getattr(scheduler, "_jobstores", {}).get(alias)
        if store is not None and store.durable:
            job.modify(**{name: value})
            return
    job.policy = with_options(job.policy, {name: value})
    waits_for = None if alias is not None or not hasattr(scheduler, "_pending_alias") else job._where()
    if waits_for is not None:  # else the defaults of the time of start() would take its place
        scheduler._add_pending_options(job, waits_for, {name: value})


def run_times(job: Job, now: datetime) -> list[datetime]:
    """Return the times of a job from the next one to ``now``, both included."""
    times = []
    following, limit = job.next_run_time, now.astimezone(UTC)
    while following is not None and following.astimezone(UTC) <= limit:
        times.append(following)
        following = job.trigger.get_next_fire_time(following, now)
    return times
