"""Jobs, nodes and times for tests of job stores.

Knows the port only, no store.
"""

from __future__ import annotations

from functools import partial
from threading import Barrier, Thread

from ...clock import SECOND, SYSTEM_CLOCK, moment
from ...core.plan import plan
from ...core.policy import with_options
from ...core.states import succeed
from ...errors import HeldRowsError
from ...job.handle import Job
from ...triggers.date import DateTrigger
from ...triggers.interval import IntervalTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from ...core.plan import Decision
    from ...core.run import Run
    from ...jobstores.base import BaseJobStore

#: 2026-01-01T00:00:00Z as an instant; the tests' time starts here.
START = 1_767_225_600 * SECOND
LEASE = 15 * SECOND
#: How far from the end of a lease a test keeps: on a busy machine the clock of a server is measured with an error.
MARGIN = 4 * SECOND
NODE = "node-1"
OTHER = "node-2"
#: Characters that become long in UTF-8 or JSON, or mean something to a database.
WORST = ("é", "\U0001f600", "\x01", "\u2028", '"', "\\", "'", "%", ":x ")


def task(*args: Any, **kwargs: Any) -> None:
    """Be the callable of the tests' jobs."""


def other_task() -> None:
    """Be another callable of the tests' jobs."""


def _wrapped(function: Any) -> Any:
    from functools import wraps  # import time

    @wraps(function)
    def wrapper(*args: Any) -> None:
        function(*args)

    return wrapper


#: goes by the name of ``task`` and is not it
another = _wrapped(task)


class Worker:
    """An object whose method is a job's callable."""

    def work(self) -> None:
        """Do nothing."""


def make_job(
    id: str = "job", due: int | None = START, every: int | None = 60, func: Any = task, **attributes: Any
) -> Job:
    """Return a job that is in no store yet.

    :param due: its next nominal time (instant), None for a paused job
    :param every: seconds between its times, None for a job that runs once
    """
    trigger = (
        IntervalTrigger(seconds=every, start_date=moment(START), timezone="UTC")
        if every
        else DateTrigger(moment(START))
    )
    values: dict[str, Any] = {"args": (), "kwargs": {}, "executor": "default", "trigger": trigger}
    options: dict[str, Any] = {
        name: attributes.pop(name)
        for name in (
            *("max_instances", "coalesce", "on_lost", "max_attempts", "retry", "overlap"),
            "pause_on_failure",
        )
        if name in attributes
    }
    job = Job(None, id=id, func=func, **{**values, **attributes})
    job.policy = with_options(job.policy, options)
    job.set_next(due)
    return job


def due_ids(store: BaseJobStore, now: int = START, room: int = 1000) -> list[str]:
    """Return the ids of the due jobs of the default executor."""
    return [job.id for job in store.due(now, {"default": room})]


def decide(store: BaseJobStore, now: int = START) -> list[Decision]:
    """Return the planner's decisions for what is due."""
    return [plan(job, now) for job in store.due(now, {"default": 1000})]


def claim(store: BaseJobStore, now: int = START, node: str = NODE) -> list[Run]:
    """Claim what is due for a node that has a lease; return the runs."""
    until_done(partial(store.renew, node, now, LEASE))
    return [run for won in until_done(lambda: store.claim(decide(store, now), node, now)) for run in won.runs]


def finish(store: BaseJobStore, runs: Sequence[Run], now: int = START) -> list[Run]:
    """End runs with success; return the refused ones."""
    for run in runs:
        run.started_at = now
        succeed(run, None, now + SECOND)
    refused: list[Run] = []

    def write() -> list[Run]:
        nonlocal runs
        try:
            return [*refused, *store.finish(runs, now + SECOND)]
        except HeldRowsError as exc:  # the others are written
            runs = exc.runs or runs
            refused.extend(exc.refused)
            raise

    result: list[Run] = until_done(write)
    return result


def until_done(step: Callable[[], Any]) -> Any:
    """Return what a step of a scheduler returns; while somebody else holds what it changes, do it again, as a scheduler does."""
    end = SYSTEM_CLOCK.monotonic() + 60 * SECOND
    while True:
        try:
            return step()
        except HeldRowsError:
            if SYSTEM_CLOCK.monotonic() > end:
                raise


def running(store: BaseJobStore, job_id: str = "job") -> int:
    """Return how many runs of a stored job are under way."""
    job = store.lookup_job(job_id)
    assert job is not None
    return job.running


def statuses(store: BaseJobStore, job_id: str = "job") -> list[str]:
    """Return the states of a job's records, oldest first."""
    return [run.status for run in reversed(store.get_runs(job_id))]


class BrokenTrigger(IntervalTrigger):
    """A trigger that raises."""

    def __init__(self) -> None:
        super().__init__(seconds=1)

    def after(self, instant: int, previous: int | None = None) -> int | None:
        """Raise."""
        raise RuntimeError("broken")


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Do something in several threads at once; raise what goes wrong in one of them."""
    barrier = Barrier(count)
    failures: list[BaseException] = []

    def do(number: int) -> None:
        try:
            barrier.wait(60)
            work(number)
        except BaseException as exc:
            failures.append(exc)

    threads = [Thread(target=do, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for failure in failures:
        raise failure
    assert not any(thread.is_alive() for thread in threads)
