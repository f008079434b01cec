"""The floors: the same work by the bare primitive without which no scheduler of this kind can do, and nothing else.

Nothing of a scheduler is here: no job, no trigger, no record, no event. What a row has above its floor is what those cost.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from heapq import heappush, heapreplace
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Any

from . import common, sustained, wakeups
from .bursts import rate
from .common import Watch, async_work, everything, give_back, memory, work

WORKERS = 10  # the thread pools' default
Task = tuple[Callable[..., Any], tuple[Any, ...]]


def heap(package: str, jobs: int, limit: int = 0) -> dict[str, Any]:
    """Push a due time and an id onto a heap, and keep an object under the id."""
    due: list[tuple[int, str]] = []
    kept: dict[str, list[int]] = {}
    before, watch = memory(), Watch()
    for index in range(jobs):
        at, name = 36_000 + index % 3_600, str(index)
        kept[name] = [at]
        heappush(due, (at, name))
    seconds, cpu, after = watch.seconds(), watch.cpu(), memory()
    return {
        "figures": {"us": seconds / jobs * 1e6, "seconds": seconds, "bytes": (after - before) / jobs},
        "cpu": cpu,
        "count": len(kept),
        "expected": jobs,
    }


@contextmanager
def _workers() -> Iterator[SimpleQueue[Task | None]]:
    """Ten threads that call what is in a queue."""
    queue: SimpleQueue[Task | None] = SimpleQueue()

    def worker() -> None:
        while task := queue.get():
            task[0](*task[1])

    threads = [threading.Thread(target=worker) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    try:
        yield queue
    finally:
        for _ in threads:
            queue.put(None)
        for thread in threads:
            thread.join()


def _heap_of(jobs: int) -> list[tuple[float, int]]:
    due: list[tuple[float, int]] = []
    for index in range(jobs):
        heappush(due, (float(index), index))
    return due


def burst_threads(package: str, jobs: int) -> dict[str, Any]:
    """Take each due time from a heap, put the next one back, and hand the call to ten threads through a queue."""
    common.expect(jobs)
    due = _heap_of(jobs)
    with _workers() as queue:
        watch = Watch()
        for _ in range(jobs):
            at, index = due[0]
            heapreplace(due, (at + jobs, index))
            queue.put((work, (index,)))
        everything.wait(60)
        seconds, cpu = watch.seconds(), watch.cpu()
    return rate(seconds, cpu, jobs)


def burst_inline(package: str, jobs: int) -> dict[str, Any]:
    """The same, called at once."""
    common.expect(jobs)
    due = _heap_of(jobs)
    watch = Watch()
    for _ in range(jobs):
        at, index = due[0]
        heapreplace(due, (at + jobs, index))
        work(index)
    return rate(watch.seconds(), watch.cpu(), jobs)


def burst_asyncio(package: str, jobs: int) -> dict[str, Any]:
    """The same with a task for each call."""

    async def burst() -> dict[str, Any]:
        common.expect(jobs)
        due, tasks = _heap_of(jobs), set()
        watch = Watch()
        loop = asyncio.get_running_loop()
        for _ in range(jobs):
            at, index = due[0]
            heapreplace(due, (at + jobs, index))
            tasks.add(loop.create_task(async_work(index)))
        while not everything.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0)
        return rate(watch.seconds(), watch.cpu(), jobs)

    return asyncio.run(burst())


def burst_processes(package: str, jobs: int) -> dict[str, Any]:
    """A future of concurrent.futures for each call, in two processes."""
    common.expect(jobs)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(give_back, range(4)))
        watch = Watch()
        for index in range(jobs):
            pool.submit(give_back, index).add_done_callback(lambda future: work(future.result()))
        everything.wait(60)
        return rate(watch.seconds(), watch.cpu(), jobs)


def sustained_threads(package: str, jobs: int, seconds: int, warmup: int) -> dict[str, Any]:
    """A thread that takes what is due from a heap, and ten threads that call it."""
    with _workers() as queue:
        stop = threading.Event()

        def take(begin: float) -> None:
            due = _seconds_from(begin, jobs)
            while not stop.is_set():
                at, index = due[0]
                if (ahead := at - time.time()) > 0:
                    time.sleep(ahead)
                heapreplace(due, (at + 1, index))
                queue.put((sustained.second_work, (index,)))

        begin = time.time() + 0.5
        taker = threading.Thread(target=take, args=(begin,))
        taker.start()
        time.sleep(begin + warmup - time.time())
        window = sustained.Window(begin, jobs)
        time.sleep(seconds)
        found = window.close()
        stop.set()
        taker.join()
    return found


def sustained_asyncio(package: str, jobs: int, seconds: int, warmup: int) -> dict[str, Any]:
    """A loop that takes what is due from a heap and makes a task of it."""

    async def take(begin: float) -> None:
        loop, tasks, due = asyncio.get_running_loop(), set(), _seconds_from(begin, jobs)
        while True:
            now = time.time()
            while due[0][0] <= now:
                at, index = due[0]
                heapreplace(due, (at + 1, index))
                task = loop.create_task(sustained.async_second_work(index))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            await asyncio.sleep(due[0][0] - now)

    async def sustain() -> dict[str, Any]:
        begin = time.time() + 0.5
        taker = asyncio.create_task(take(begin))
        await asyncio.sleep(begin + warmup - time.time())
        window = sustained.Window(begin, jobs)
        await asyncio.sleep(seconds)
        found = window.close()
        taker.cancel()
        return found

    return asyncio.run(sustain())


def _seconds_from(begin: float, jobs: int) -> list[tuple[float, int]]:
    return [(begin + index / jobs, index) for index in range(jobs)]


def wake_threads(package: str, jobs: int) -> dict[str, Any]:
    """A thread that waits for the time on an event, and one that is handed the call."""
    due_times: SimpleQueue[float | None] = SimpleQueue()
    calls: SimpleQueue[float | None] = SimpleQueue()

    def waiter() -> None:
        never = threading.Event()
        while due := due_times.get():
            never.wait(due - time.time())
            calls.put(due)
        calls.put(None)

    def caller() -> None:
        while due := calls.get():
            wakeups.note(due)

    threads = [threading.Thread(target=target) for target in (waiter, caller)]
    for thread in threads:
        thread.start()
    for index in range(jobs + wakeups.FIRST):
        due_times.put(wakeups.ahead(index))
        wakeups.woken_up.wait(10)
        wakeups.woken_up.clear()
    due_times.put(None)
    for thread in threads:
        thread.join()
    return wakeups.result(jobs)


def wake_asyncio(package: str, jobs: int) -> dict[str, Any]:
    """The loop's own timer, which makes a task."""

    async def wake_up() -> None:
        loop, tasks = asyncio.get_running_loop(), set()

        def begin(due: float) -> None:
            tasks.add(loop.create_task(wakeups.async_note(due)))

        for index in range(jobs + wakeups.FIRST):
            due = wakeups.ahead(index)
            loop.call_later(due - time.time(), begin, due)
            await wakeups.woken(due)

    asyncio.run(wake_up())
    return wakeups.result(jobs)


def sleeping(package: str, jobs: int, seconds: int) -> dict[str, Any]:
    """A process that only sleeps: what is seen here is the measuring."""
    watch, before = Watch(), common.switches()
    time.sleep(seconds)
    cpu, switched = watch.cpu(), common.switches() - before - 1
    return {
        "figures": {"cpu_ms": cpu * 1e3 * 60 / seconds, "switches": switched * 60 / seconds},
        "cpu": None,
        "count": jobs,
        "expected": jobs,
    }


def commits(package: str, server: str, jobs: int) -> dict[str, Any]:
    """One committed transaction of SQLite for each row, with the settings that lose nothing at a power failure."""
    Path("build").mkdir(exist_ok=True)
    with TemporaryDirectory(dir="build") as folder:
        database = sqlite3.connect(f"{folder}/floor.sqlite")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("CREATE TABLE jobs (id TEXT PRIMARY KEY, due INTEGER, state TEXT)")
        database.execute("CREATE INDEX due ON jobs (due)")
        watch = Watch()
        for index in range(jobs):
            database.execute("INSERT INTO jobs VALUES (?, ?, ?)", (str(index), index, "x" * 300))
            database.commit()
        seconds, cpu = watch.seconds(), watch.cpu()
        kept = database.execute("SELECT count(*) FROM jobs").fetchone()[0]
        database.close()
    return {"figures": {"us": seconds / jobs * 1e6}, "cpu": cpu, "count": kept, "expected": jobs}
