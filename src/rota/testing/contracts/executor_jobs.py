"""Jobs for tests of executors, and the callback that takes their ended runs.

The callables are functions of a module, so that worker processes find them; the tests are in ``executors``.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from pathlib import Path
from time import sleep

from ...clock import SECOND, SYSTEM_CLOCK
from ...core.policy import DEFAULT_POLICY, with_options
from ...executors.base import current_run
from ...job.handle import Job
from ...triggers.interval import IntervalTrigger

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...core.run import Run

#: Seconds after which a test fails that waits for something.
PATIENCE = 20.0

setting: ContextVar[str] = ContextVar("rota.testing.setting", default="unset")


def add(left: int, right: int = 0) -> int:
    """Return a sum."""
    return left + right


def fail_with(exception: type[BaseException], text: str) -> None:
    """Raise an exception."""
    raise exception(text)


def stamp(seconds: float = 0.01) -> tuple[int, int]:
    """Return when this began and ended, in microseconds on the monotonic clock."""
    begin = SYSTEM_CLOCK.monotonic()
    sleep(seconds)
    return begin, SYSTEM_CLOCK.monotonic()


def who_am_i() -> tuple[str, int, str]:
    """Return what the job is told about its own run."""
    run = current_run()
    return run.id, run.nominal, run.executor


def look_and_set() -> str:
    """Return a context variable, and change it."""
    before = setting.get()
    setting.set("changed by a job")
    return before


def wait_for_file(path: str) -> str:
    """Wait until a file exists or the run is cancelled (looking now and then); return which of the two."""
    until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
    while not Path(path).exists():
        if current_run().cancelled:
            return "cancelled"
        if SYSTEM_CLOCK.monotonic() > until:
            raise TimeoutError(path)
        sleep(0.005)
    return "found"


async def add_async(left: int, right: int = 0) -> int:
    """Return a sum, from a coroutine."""
    return left + right


async def fail_async(exception: type[BaseException], text: str) -> None:
    """Raise an exception in a coroutine."""
    raise exception(text)


async def who_am_i_async() -> tuple[str, int, str]:
    """Return what a coroutine is told about its own run."""
    return who_am_i()


async def look_and_set_async() -> str:
    """Return a context variable, and change it, in a coroutine."""
    return look_and_set()


async def wait_async() -> None:
    """Wait for longer than any test."""
    from asyncio import sleep  # import time

    await sleep(10 * PATIENCE)


async def nap_async() -> str:
    """Wait for a moment."""
    from asyncio import sleep  # import time

    await sleep(0.05)
    return "awake"


class Ended:
    """The callback that takes ended runs, and a way to wait for them."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._changed = threading.Condition()

    def __call__(self, run: Run) -> None:
        """Take an ended run."""
        with self._changed:
            self.runs.append(run)
            self._changed.notify_all()

    def count(self) -> int:
        """Return how many runs have ended."""
        return len(self.runs)

    def wait(self, count: int, seconds: float) -> bool:
        """Wait until so many runs have ended."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.runs) >= count, seconds)


def make_job(id: str, func: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Job:
    """Return a job that is in no store."""
    job: Job = Job.__new__(Job)
    job.id = job.name = id
    job.func, job.args, job.kwargs = func, args, {}
    job.func_ref = None
    job.trigger = IntervalTrigger(seconds=60, timezone="UTC")
    job.policy = with_options(DEFAULT_POLICY, options)
    return job
