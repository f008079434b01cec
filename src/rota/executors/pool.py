"""The thread pool: worker threads of our own on one queue, with no future and no lock per run.

Imports no asyncio and no multiprocessing until a job needs them; the process pool lives in its own file.
"""

from __future__ import annotations

from ..compat.absent import inner_name
from ..errors import UnknownOptionError
from .steps import cancel_group, close_quietly
from .worker_pool import WorkerPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor
    from typing import Any

    from ..core.run import Run
    from .loop_thread import LoopThread
    from .processpool import ProcessPoolExecutor
    from .steps import Done
    from .worker_pool import Items

__all__ = ("ProcessPoolExecutor", "ThreadPoolExecutor")

_POOL_OPTIONS = ("thread_name_prefix", "initializer", "initargs")


def __getattr__(name: str) -> Any:
    if name == "ProcessPoolExecutor":  # multiprocessing is only loaded for those who use it
        from .processpool import ProcessPoolExecutor  # import time

        return ProcessPoolExecutor
    if name == "BasePoolExecutor":  # for programs that derive from it
        from .base_pool import BasePoolExecutor  # rare

        BasePoolExecutor.register(WorkerPool)  # type: ignore[type-abstract]
        return BasePoolExecutor
    if name == "run_job":
        from .base import run_job  # rare

        return run_job
    return inner_name(__name__, name)


class ThreadPoolExecutor(WorkerPool):
    """Runs jobs in a pool of threads; coroutine functions run on a private event loop in one more thread.

    :param max_workers: the maximum number of threads (they are started when there is work for them)
    :param pool_kwargs: ``thread_name_prefix``, ``initializer`` and ``initargs``, as concurrent.futures has them
    :raises ConfigurationError: if ``max_workers`` is not positive
    :raises UnknownOptionError: if ``pool_kwargs`` holds anything else
    """

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        self._options = dict(pool_kwargs or {})
        for name in self._options:
            if name not in _POOL_OPTIONS:
                raise UnknownOptionError(
                    f"pool_kwargs has no option {name!r} for threads; it takes {', '.join(_POOL_OPTIONS)}"
                )
        super().__init__(max_workers)

    def _reset(self) -> None:
        super()._reset()
        self._loop_thread: LoopThread | None = None

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the pool ready; threads start with the first runs."""
        super().start(scheduler, alias)
        self._name = self._options.get("thread_name_prefix") or self._name

    def _make_pool(self) -> Executor:
        from concurrent.futures import ThreadPoolExecutor as Pool  # only for programs that ask for it

        return Pool(self.max_workers, **self._options)

    def _join(self, wait: bool) -> None:
        if self._loop_thread is not None:
            self._loop_thread.stop(wait, cancel=False)

    def cancel(self) -> None:
        """End queued runs as cancelled, cancel coroutines, and raise the cancel flag of the runs under way."""
        super().cancel()
        if self._loop_thread is not None:
            self._loop_thread.cancel_all()

    def cancel_run(self, run: Run) -> None:
        """Cancel a run's coroutine; a plain function in a thread is asked by its flag alone."""
        if self._loop_thread is not None:
            self._loop_thread.cancel_run(run)

    def _work(self, index: int, queue: Items) -> None:
        initializer: Callable[..., Any] | None = self._options.get("initializer")
        if initializer is not None:
            try:
                initializer(*self._options.get("initargs", ()))
            except BaseException:
                self._log.exception("The initializer of a worker thread failed")
        context, clock, logger, report = self._context, self._clock, self._log, self._report
        ended, busy, under_way = self._room.ended, self._room.busy, self._under_way
        while True:
            item = queue.get()
            if item is None:
                return
            run: Run | None
            run, done, cancellations = item
            under_way[index] = (run, done)
            if cancellations != self._cancellations:  # between the queue and here, cancel() saw it in neither
                cancel_group(run)
            while run is not None:
                then = run.then
                under_way[index] = (run, done)
                coroutine = self._perform(run, context, clock, logger)
                if coroutine is not None:
                    self._count_unmeasured(index)
                    self._await(run, coroutine, done, then)
                    self.room_came_free()
                    break
                ended[index] += 1
                if run.started_at is not None and run.finished_at is not None:
                    busy[index] += run.finished_at - run.started_at
                report(run, done)
                run = then
            under_way.pop(index, None)
            del item, run, done, then, coroutine  # a waiting worker keeps nothing alive

    def _make_loop_thread(self) -> LoopThread:
        from .loop_thread import LoopThread  # import time

        with self._lock:
            self._loop_thread = self._loop_thread or LoopThread()
            return self._loop_thread

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done, then: Run | None) -> None:
        """Let the private loop finish a coroutine; the rest of its group comes after it."""

        def finish() -> None:
            self._report(run, done)
            if then is not None:
                self._queue_rest(then, done)

        try:
            loop_thread = self._loop_thread or self._make_loop_thread()
            loop_thread.submit(run, coroutine, finish, self._clock, self._log, self._context)
            if self._stopped:  # no shutdown will end this loop, so it ends after its coroutine
                loop_thread.stop(wait=False, cancel=False)
        except BaseException as exc:  # no thread for the loop
            close_quietly(coroutine)
            self._refuse(run, exc)
            finish()
