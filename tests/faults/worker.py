"""A scheduler process for tests that kill it: ``python -m tests.faults.worker URL TRACE [options]``.

SIGTERM ends it, and so does the end of its input. What its jobs do goes to the file TRACE, a line at a time by O_APPEND, so that
lines stay whole whatever happens to their process.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from rota.clock import SECOND, Clock
from rota.errors import StoreUnavailableError
from rota.events import (
    EVENT_JOB_LOST,
    EVENT_JOB_REFUSED,
    EVENT_JOBSTORE_REPLACED,
    EVENT_SCHEDULER_RECOVERED,
    EVENT_SCHEDULER_STARTED,
)
from rota.executors.base import current_run
from rota.executors.pool import ThreadPoolExecutor
from rota.jobstores.base import BaseJobStore
from rota.jobstores.durable import DurableJobStore
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.schedulers.blocking import BlockingScheduler
from rota.schedulers.plugins import create_plugin
from tests.present import present

if TYPE_CHECKING:
    from collections.abc import Callable

    from rota.core.run import Run
    from rota.events import JobExecutionEvent, SchedulerHealthEvent

#: short, so that tests need not wait long; long enough for a process on a busy machine to renew it in time
LEASE = 3.0
#: how long a worker tries to start while its store cannot be used (seconds)
PATIENCE = 60.0
#: how long a loop is blocked: longer than a lease, shorter than four, after which its node is not renewed any more
BLOCKED = LEASE + 2


class ShiftedClock(Clock):
    """The system's clock, set wrong, and set again by whoever writes into a file.

    :param seconds: by how much it is wrong
    :param path: a file that says by how many seconds more; None: there is none
    """

    __slots__ = ("path", "shift")

    def __init__(self, seconds: float, path: str | None = None) -> None:
        self.shift = int(seconds * SECOND)
        self.path = path

    def now(self) -> int:
        return super().now() + self.shift + shift_in(self.path)


def shift_in(path: str | None) -> int:
    """Return by how many microseconds a clock is wrong, as a file says."""
    if path is None:
        return 0
    with open(path) as file:
        return int(float(file.read() or 0) * SECOND)


def shift_servers(path: str) -> None:
    """Let the clocks of servers tell this process a time that is wrong, as a file says."""
    measure = DurableJobStore._measure

    def wrongly(self: DurableJobStore, ask: Callable[[], int | None]) -> int:
        def told() -> int | None:
            there = ask()
            return None if there is None else there + shift_in(path)

        return measure(self, told)

    DurableJobStore._measure = wrongly


def append(path: str, *words: object) -> None:
    """Add one line to a file, in one write."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, (" ".join(map(str, words)) + "\n").encode())
    finally:
        os.close(file)


def work(path: str, seconds: float) -> None:
    """Be a job: tell when it begins and when it ends, by the clock that all processes of a machine share."""
    run = current_run()
    append(path, "begin", run.job_id, run.nominal, run.attempt, os.getpid(), time.monotonic())
    time.sleep(seconds)
    append(path, "end", run.job_id, run.nominal, run.attempt, os.getpid(), time.monotonic())


def make_mortal(store: BaseJobStore, outcomes: int) -> None:
    """Have a store kill its process instead of recording the last of so many outcomes."""
    left, original = outcomes, store.finish

    def finish(runs: list[Run], now: int) -> list[Run]:
        nonlocal left
        left -= len(runs)
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return list(original(runs, now))

    store.finish = finish  # type: ignore[assignment]


def die_at(store: BaseJobStore, path: str, behind: bool) -> None:
    """Have a store kill its process instead of doing something with runs or jobs, if there are some, or right after that.

    :param path: the name of a method of the store, or of one of its parts
    """
    *parts, method = path.split(".")
    part: Any = store
    for name in parts:
        part = getattr(part, name)
    original = getattr(part, method)

    def call(some: list[Any], *more: Any, **options: Any) -> object:
        if some and not behind:
            os.kill(os.getpid(), signal.SIGKILL)
        found = original(some, *more, **options)
        if some:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(part, method, call)


def obey(shut_down: Callable[[], object], block: Callable[[float], object]) -> None:
    """Do what comes from the process that started this one: ``f`` forks, ``b`` blocks the loop, the end of the input ends."""
    while command := os.read(
        0, 1
    ):  # sys.stdin has a lock that a thread may not hold when the interpreter ends
        if command == b"f" and os.fork() == 0:
            time.sleep(3)  # a child that goes on as if nothing had happened
            os._exit(0)
        if command == b"b":
            block(BLOCKED)
    shut_down()


def start(scheduler: Any) -> None:
    """Start a scheduler as what looks after programs does: again and again, while a backup is put in the place of its store."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return scheduler.start()
        except StoreUnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


async def on_a_loop(scheduler: AsyncIOScheduler) -> None:
    """Run a scheduler on an asyncio loop."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)

    def block(seconds: float) -> None:
        loop.call_soon_threadsafe(time.sleep, seconds)

    obedient = threading.Thread(
        target=obey, args=(lambda: loop.call_soon_threadsafe(stop.set), block), daemon=True
    )
    obedient.start()
    start(scheduler)
    await stop.wait()
    await scheduler.shutdown(timeout=5)


def main() -> None:
    """Run the scheduler."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("trace")
    parser.add_argument("--shift", type=float, default=0, help="by how many seconds its clock is wrong")
    parser.add_argument("--clock", metavar="FILE", help="says by how many seconds more, at any time")
    parser.add_argument("--server-clock", metavar="FILE", help="says so of the server's clock")
    parser.add_argument("--lease", type=float, default=LEASE)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--host", choices=("blocking", "asyncio"), default="blocking")
    parser.add_argument("--die-after", type=int, help="die instead of recording this many outcomes")
    parser.add_argument("--die-at", metavar="METHOD", help="die instead of giving runs back, for example")
    parser.add_argument("--die-behind", metavar="METHOD", help="die right after recording ends, for example")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    if options.server_clock is not None:
        shift_servers(options.server_clock)
    store = create_plugin("jobstore", options.url, {})
    if options.die_after is not None:
        make_mortal(store, options.die_after)
    for path in (options.die_at, options.die_behind):
        if path is not None:
            die_at(store, path, path == options.die_behind)
    on_loop = options.host == "asyncio"
    scheduler = (AsyncIOScheduler if on_loop else BlockingScheduler)(
        jobstores={"default": store},
        executors={"default": ThreadPoolExecutor(options.workers)},
        lease=options.lease,
        jobstore_retry_interval=0.5,
        clock=ShiftedClock(options.shift, options.clock),
    )

    def tell(event: JobExecutionEvent) -> None:
        name = {EVENT_JOB_REFUSED: "refused", EVENT_JOB_LOST: "lost"}[event.code]
        run = present(event.run)
        append(options.trace, name, event.job_id, run.nominal, run.attempt, os.getpid())

    def tell_of_the_store(event: SchedulerHealthEvent) -> None:
        ok = scheduler.health()["stores"]["default"]["ok"]
        name = "replaced" if event.code == EVENT_JOBSTORE_REPLACED else "recovered"
        append(options.trace, name, event.alias, 0, int(ok), os.getpid())

    scheduler.add_listener(tell, EVENT_JOB_REFUSED | EVENT_JOB_LOST)
    scheduler.add_listener(tell_of_the_store, EVENT_JOBSTORE_REPLACED | EVENT_SCHEDULER_RECOVERED)
    scheduler.add_listener(lambda event: print("ready", flush=True), EVENT_SCHEDULER_STARTED)
    if isinstance(scheduler, AsyncIOScheduler):
        asyncio.run(on_a_loop(scheduler))
        return
    shut_down = partial(scheduler.shutdown, timeout=5)
    threading.Thread(target=obey, args=(shut_down, time.sleep), daemon=True).start()
    start(scheduler)


if __name__ == "__main__":
    main()
