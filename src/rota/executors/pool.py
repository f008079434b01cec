"""The thread pool: worker threads of our own on one queue, with no future and no lock per run.

Imports no asyncio and no multiprocessing until a job needs them; the process pool lives in its own file.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue

from ..core.admission import Pace, ahead
from ..core.run import CANCELLED, Run, end
from ..errors import ConfigurationError, UnknownOptionError
from .base import NativeExecutor, chain, perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from .base import Done
    from .loop_thread import LoopThread
    from .processpool import ProcessPoolExecutor

__all__ = ("ProcessPoolExecutor", "ThreadPoolExecutor")

_POOL_OPTIONS = ("thread_name_prefix", "initializer", "initargs")


def __getattr__(name: str) -> Any:
    if name == "ProcessPoolExecutor":  # multiprocessing is only loaded for those who use it
        from .processpool import ProcessPoolExecutor

        return ProcessPoolExecutor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class ThreadPoolExecutor(NativeExecutor):
    """Runs jobs in a pool of threads; coroutine functions run on a private event loop in one more thread.

    :param max_workers: the maximum number of threads (they are started when there is work for them)
    :param pool_kwargs: ``thread_name_prefix``, ``initializer`` and ``initargs``, as concurrent.futures has them
    :raises ConfigurationError: if ``max_workers`` is not positive
    :raises UnknownOptionError: if ``pool_kwargs`` holds anything else
    """

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        self.max_workers = int(max_workers)
        if self.max_workers <= 0:
            raise ConfigurationError(f"max_workers must be a positive integer, got {max_workers!r}")
        self._options = dict(pool_kwargs or {})
        for name in self._options:
            if name not in _POOL_OPTIONS:
                raise UnknownOptionError(
                    f"pool_kwargs has no option {name!r} for threads; it takes {', '.join(_POOL_OPTIONS)}"
                )
        self._reset()

    def _reset(self) -> None:
        self._queue: SimpleQueue[tuple[Run, Done] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._submitted = 0
        # A counter for each worker (the last one is the loop thread's) needs no lock.
        self._ended = [0] * (self.max_workers + 1)
        self._busy = [0] * (self.max_workers + 1)
        self._under_way: dict[int, Run] = {}
        self._pace = Pace()
        self._roomy_at = self.max_workers
        self._loop_thread: LoopThread | None = None

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the pool ready; threads start with the first runs."""
        super().start(scheduler, alias)
        self._reset()
        self._name = self._options.get("thread_name_prefix") or f"rota-{alias}"

    def capacity(self) -> int:
        """Return room for about a tenth of a second of work, at the pace of the runs so far; at least the free workers."""
        waiting = self._ahead()
        self._roomy_at = self.max_workers + waiting // 2
        return max(0, self.max_workers + waiting - self.in_flight)

    def roomy(self) -> bool:
        """Whether so much room has come free that another pass of the engine pays."""
        return self.in_flight <= self._roomy_at

    @property
    def in_flight(self) -> int:
        """How many runs were handed over and have not ended."""
        return self._submitted - sum(self._ended)

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Queue runs for the workers; more threads are started while there are fewer than runs under way."""
        with self._lock:
            for head in runs:
                self._submitted += 1 if head.then is None else len(chain(head))
            wanted = min(self.max_workers, self.in_flight)
            while len(self._threads) < wanted:
                self._start_thread(len(self._threads))
        put = self._queue.put
        for head in runs:
            put((head, done))

    def shutdown(self, wait: bool = True) -> None:
        """Let the workers end after what is queued; with ``wait``, wait for them."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._queue.put(None)
        if wait:
            for thread in threads:
                if thread is not threading.current_thread():
                    thread.join()
            if self._loop_thread is not None:
                self._loop_thread.stop(cancel=False)

    def cancel(self) -> None:
        """End queued runs as cancelled, cancel coroutines, and raise the cancel flag of the runs under way."""
        kept: list[tuple[Run, Done] | None] = []
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                kept.append(item)
            else:
                self._cancel_group(*item)
        for item in kept:
            self._queue.put(item)
        for run in list(self._under_way.values()):
            run.cancel()
        if self._loop_thread is not None:
            self._loop_thread.cancel_all()

    def _ahead(self) -> int:
        self._pace.update(sum(self._busy), sum(self._ended))
        return ahead(self.max_workers, self._pace.average)

    def _start_thread(self, index: int) -> None:
        thread = threading.Thread(
            target=self._work, args=(index, self._queue), name=f"{self._name}_{index}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _work(self, index: int, queue: SimpleQueue[tuple[Run, Done] | None]) -> None:
        initializer: Callable[..., Any] | None = self._options.get("initializer")
        if initializer is not None:
            try:
                initializer(*self._options.get("initargs", ()))
            except BaseException:
                self._logger.exception("The initializer of worker thread %d failed", index)
        context, clock, logger = self._context, self._clock, self._logger
        ended, busy, under_way = self._ended, self._busy, self._under_way
        while True:
            item = queue.get()
            if item is None:
                return
            run: Run | None
            run, done = item
            while run is not None:
                then = run.then
                under_way[index] = run
                coroutine = perform(run, context, clock, logger)
                if coroutine is not None:
                    self._await(run, coroutine, done, then)
                    break
                ended[index] += 1
                if run.started_at is not None and run.finished_at is not None:
                    busy[index] += run.finished_at - run.started_at
                done(run)
                run = then
            under_way.pop(index, None)
            del item, run, done  # a waiting worker keeps nothing alive

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done, then: Run | None) -> None:
        """Let the private loop finish a coroutine; the rest of its group comes after it."""
        with self._lock:
            if self._loop_thread is None:
                from .loop_thread import LoopThread

                self._loop_thread = LoopThread()

        def finish() -> None:
            self._ended[-1] += 1
            done(run)
            if then is not None:
                self._queue.put((then, done))

        self._loop_thread.submit(run, coroutine, finish, self._clock, self._logger, self._context)

    def _cancel_group(self, head: Run, done: Done) -> None:
        now = self._clock.now()
        for run in chain(head):
            end(run, CANCELLED, "cancelled before it started", now)
            with self._lock:
                self._ended[-1] += 1
            done(run)
