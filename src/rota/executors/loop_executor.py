"""What the executors on an asyncio loop share: coroutine functions become tasks, plain functions go to threads.

It does not find the loop (its subclasses do), and it never blocks it.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from asyncio import _get_running_loop as running_loop
from collections import deque
from functools import partial

from ..core.run import CANCELLED, Run, end
from .base import UNBOUNDED, NativeExecutor, chain, is_coroutine_function, perform, perform_coroutine
from .pool import ThreadPoolExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from .base import Done

#: How many tasks are made before the loop gets control back.
_SLICE = 100
#: Seconds after which a shutdown that waits looks whether the loop still runs.
_HEARTBEAT = 1.0


class LoopExecutor(NativeExecutor):
    """Runs coroutine functions as tasks on the scheduler's asyncio loop and plain functions in threads.

    :param max_workers: the maximum number of threads for plain functions
    """

    _loop: asyncio.AbstractEventLoop

    def __init__(self, max_workers: int = 10) -> None:
        self._threads = _Threads(self, max_workers)
        self._incoming: deque[tuple[Run, Done]] = deque()
        self._tasks: dict[asyncio.Task[None], tuple[Run, Done, Run | None]] = {}
        self._woken = False
        self._idle = threading.Event()

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready to work on the scheduler's loop."""
        super().start(scheduler, alias)
        self._loop = self._loop_of(scheduler)
        self._make_task = _task_maker(self._loop)
        self._woken = False
        self._threads.start(scheduler, alias)

    def _loop_of(self, scheduler: Any) -> asyncio.AbstractEventLoop:
        raise NotImplementedError

    def capacity(self) -> int:
        """Return room for any number of coroutines, but for no more of them at once than the loop starts between two passes.

        Were more taken, they would come due again before they have started, and the loop would only ever skip them.
        """
        unstarted = len(self._incoming)
        return max(0, max(_SLICE, UNBOUNDED - unstarted) - self._threads.in_flight)

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out: coroutine functions on the loop, plain functions in threads."""
        plain = []
        for head in runs:
            assert head.job is not None
            if is_coroutine_function(head.job.func):
                self._incoming.append((head, done))
            else:
                plain.append(head)
        if self._incoming and not self._woken:
            self._woken = True
            self._on_loop(self._take)
        if plain:
            self._threads.submit(plain, done)

    def shutdown(self, wait: bool = True) -> None:
        """Stop the executor; on the loop's own thread, or without ``wait``, what is under way goes on by itself."""
        wait = wait and running_loop() is not self._loop
        self._threads.shutdown(wait)
        if wait:
            self._idle.clear()
            if self._on_loop(self._tell_idle):
                while self._loop.is_running() and not self._idle.wait(_HEARTBEAT):
                    pass

    def cancel(self) -> None:
        """Cancel the tasks, and ask the plain functions to stop."""
        if self._loop.is_running():
            self._on_loop(self._cancel_all)
        else:
            self._abandon()
        self._threads.cancel()

    def carry(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done) -> None:
        """Await on the loop what a plain function returned in its thread."""
        if not self._on_loop(partial(self._await, run, coroutine, done)):
            coroutine.close()
            end(run, CANCELLED, "the event loop has ended", self._clock.now())
            done(run)

    def _on_loop(self, callback: Callable[[], None]) -> bool:
        """Call something on the loop's thread soon; if the loop is closed, end what it will never carry out."""
        try:
            if running_loop() is self._loop:
                self._loop.call_soon(callback)
            else:
                self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            self._abandon()
            return False
        return True

    # -- on the loop's thread ------------------------------------------------------------------------------------

    def _take(self) -> None:
        for _ in range(_SLICE):
            if not self._incoming:
                self._woken = False
                if not self._incoming:  # nothing came between the look and the mark
                    return
                self._woken = True
            run, done = self._incoming.popleft()
            self._start_task(run, done, run.then, self._carry_out(run))
        self._loop.call_soon(self._take)

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done) -> None:
        task = self._start_task(run, done, None, perform_coroutine(run, coroutine, self._clock, self._logger))
        # A task that is cancelled before its first step leaves it as it is.
        task.add_done_callback(lambda _: coroutine.close())

    def _start_task(
        self, run: Run, done: Done, then: Run | None, work: Coroutine[Any, Any, None]
    ) -> asyncio.Task[None]:
        task = self._make_task(work, context=self._context.copy())
        if task.done():
            self._ended(run, done, then)
        else:
            self._tasks[task] = (run, done, then)
            task.add_done_callback(self._task_ended)
        return task

    async def _carry_out(self, run: Run) -> None:
        coroutine = perform(run, self._context, self._clock, self._logger)
        if coroutine is not None:
            await perform_coroutine(run, coroutine, self._clock, self._logger)

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        waiting = self._tasks.pop(task, None)
        if waiting is not None:
            if not waiting[0].ended:
                end(waiting[0], CANCELLED, "cancelled before it started", self._clock.now())
            self._ended(*waiting)
            if not self._tasks:
                self._tell_idle()

    def _ended(self, run: Run, done: Done, then: Run | None) -> None:
        try:
            done(run)
        except BaseException:
            self._logger.exception("Error while recording the end of %s", run)
        if then is not None:
            self._start_task(then, done, then.then, self._carry_out(then))

    def _cancel_all(self) -> None:
        while self._incoming:
            head, done = self._incoming.popleft()
            self._cancel_group(head, done)
        for task, (head, _, _) in list(self._tasks.items()):
            for run in chain(head):
                run.cancel()
            task.cancel()

    def _cancel_group(self, head: Run, done: Done) -> None:
        for run in chain(head):
            end(run, CANCELLED, "cancelled before it started", self._clock.now())
            done(run)

    def _tell_idle(self) -> None:
        if not self._tasks and not self._incoming:
            self._idle.set()

    def _abandon(self) -> None:
        """End what a loop that has ended will not carry out."""
        self._woken = False
        left = [(run, done) for run, done, _ in self._tasks.values()]
        self._tasks.clear()
        while self._incoming:
            left.append(self._incoming.popleft())
        for head, done in left:
            for run in chain(head):
                end(run, CANCELLED, "the event loop has ended", self._clock.now())
                done(run)


class _Threads(ThreadPoolExecutor):
    """The threads for plain functions; a coroutine that one of them returns is awaited on the scheduler's loop."""

    def __init__(self, owner: LoopExecutor, max_workers: int) -> None:
        super().__init__(max_workers)
        self._owner = owner

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done, then: Run | None) -> None:
        def finish(ended: Run) -> None:
            self._ended[-1] += 1
            done(ended)
            if then is not None:
                self._queue.put((then, done))

        self._owner.carry(run, coroutine, finish)


def _task_maker(loop: asyncio.AbstractEventLoop) -> Callable[..., asyncio.Task[None]]:
    """Return what makes tasks: eager ones where Python has them and the program has not chosen its own kind."""
    if sys.version_info >= (3, 12) and loop.get_task_factory() is None:
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task
