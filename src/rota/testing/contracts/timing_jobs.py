"""Jobs whose time is over before they end; for tests of executors.

The callables are functions of a module, so that worker processes find them; the tests are in ``timing``.
"""

from __future__ import annotations

from pathlib import Path
from time import sleep

from ...clock import SECOND, SYSTEM_CLOCK
from ...executors.base import current_run
from .executor_jobs import PATIENCE


async def until_asked_async() -> str:
    """Go on until the run is asked to stop, whatever is cancelled, and hold up the loop meanwhile."""
    until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
    while not current_run().cancelled:
        assert SYSTEM_CLOCK.monotonic() < until, "nobody asked"
        sleep(0.002)  # noqa: ASYNC251  # it is to hold up the loop
    return "asked"


def begin_and_wait(path: str) -> None:
    """Make a file, and wait for long."""
    Path(path).touch()
    sleep(PATIENCE)


def about_time() -> tuple[bool, bool, float | None]:
    """Return what a job knows of its time: whether that is over, whether it is asked to stop, and how long it has (seconds)."""
    run = current_run()
    assert run.started_at is not None
    at = run.timeout_at
    left = None if at is None else at.timestamp() - run.started_at / SECOND
    return run.past_timeout, run.cancelled, left
