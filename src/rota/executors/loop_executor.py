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

from ..core.run import Run, time_of
from ..core.states import CANCELLED, CLAIMED, end
from .base import UNBOUNDED, NativeExecutor
from .pool import ThreadPoolExecutor
from .steps import (
    chain,
    close_quietly,
    is_coroutine_function,
    perform_coroutine,
)
from .tasks import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from typing import Any

    from ..compat.futures import PendingFutures
    from .around import Calls
    from .steps import Done
    from .tasks import Entry

#: How many tasks are made before the loop gets control back.
_SLICE = 100
#: Seconds after which a shutdown that waits looks whether the loop still runs.
_HEARTBEAT = 1.0


class LoopExecutor(NativeExecutor):
    """Runs coroutine functions as tasks on the scheduler's asyncio loop and plain functions in threads.

    :param max_workers: the maximum number of threads for plain functions
    """

    skips_cancelled = True
    _loop: asyncio.AbstractEventLoop

    def __init__(self, max_workers: int = 10) -> None:
        self._threads = _Threads(self, max_workers)
        self._incoming: deque[tuple[Run, Done]] = deque()
        #: with each run, what a function returned, the run's callback, and the rest of its group
        self._tasks = Tasks(self._ended)
        self._woken = False
        self._idle = threading.Event()

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready to work on the scheduler's loop."""
        super().start(scheduler, alias)
        self._loop = self._loop_of(scheduler)
        self._make_task = _task_maker(self._loop)
        self._woken = False
        self._threads.start(scheduler, alias)

    def use_calls(self, calls: Calls | None) -> None:
        """Call jobs in this way from now on, on the loop and in the threads."""
        super().use_calls(calls)
        self._threads.use_calls(calls)

    def _loop_of(self, scheduler: Any) -> asyncio.AbstractEventLoop:
        raise NotImplementedError

    @property
    def _eventloop(self) -> asyncio.AbstractEventLoop | None:
        """The loop: APScheduler's name, for programs that derive from this."""
        return self.__dict__.get("_loop")

    @property
    def _pending_futures(self) -> PendingFutures:
        """What is under way, as futures that can be awaited: APScheduler's name, for programs that wait for their jobs."""
        found: PendingFutures | None = self.__dict__.get("_futures_view")
        if found is None:
            from ..compat.futures import PendingFutures  # rare

            view = PendingFutures(self._tasks, self._runs_without_task, lambda: self._eventloop)
            found = self.__dict__.setdefault("_futures_view", view)
        return found

    def _runs_without_task(self) -> Iterator[Run]:
        """Yield the runs under way that are no tasks: coroutines that wait to begin, groups' later runs, functions in threads."""
        for head, _ in [*self._incoming, *self._threads.under_way]:
            for run in chain(head):
                if not run.ended:
                    yield run
        for head, *_ in list(self._tasks.entries.values()):
            yield from chain(head)[1:]

    def capacity(self) -> int:
        """Return room for any number of coroutines, but for no more of them at once than the loop starts between two passes.

        If more were taken, they would become due again before they have started, and be skipped again and again.
        """
        return max(_SLICE, UNBOUNDED - len(self._incoming))

    def function_room(self) -> int:
        """Return how many more plain functions there is room for: what the threads have."""
        return self._threads.capacity() if self._threads.worth_a_pass() else 0

    def function_workers(self) -> int | None:
        """Return the number of threads."""
        return self._threads.function_workers()

    def free_workers(self) -> int:
        """Return how many threads have nothing to do, less what is queued."""
        return self._threads.free_workers()

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out: coroutine functions on the loop, plain functions in threads."""
        plain, coroutines = [], []
        for head in runs:
            job: Any = head.job  # never None here
            if is_coroutine_function(job.func):
                coroutines.append((head, done))
            else:
                plain.append(head)
        if coroutines:
            self._incoming.extend(coroutines)
            self._wake()
        if plain:
            self._threads.submit(plain, done)

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._on_loop(self._take)

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
            self.loop_has_ended()
        self._threads.cancel()

    def cancel_run(self, run: Run) -> None:
        """Cancel the task of a run; a plain function in a thread is asked by its flag alone."""
        self._on_loop(partial(self._tasks.cancel_run, run))

    def carry(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done) -> None:
        """Await on the loop what a plain function returned in its thread."""
        if not self._on_loop(partial(self._await, run, coroutine, done)):
            close_quietly(coroutine)
            self._end_on_closed_loop(run)
            self._report(run, done)

    def _on_loop(self, callback: Callable[[], None]) -> bool:
        """Call something on the loop's thread soon; if the loop is closed, end what it will never carry out."""
        try:
            if running_loop() is self._loop:
                self._loop.call_soon(callback)
            else:
                self._loop.call_soon_threadsafe(callback)
        except RuntimeError:
            self.loop_has_ended()
            return False
        return True

    # -- on the loop's thread ------------------------------------------------------------------------------------

    def _take(self) -> None:
        incoming, begin = self._incoming, self._tasks.begin
        try:
            for _ in range(_SLICE):
                if not incoming:
                    self._woken = False
                    if not incoming:  # nothing came between the look and the mark
                        return
                    self._woken = True
                run, done = incoming.popleft()
                begin(
                    self._make_task, self._carry_out(run), self._context.copy(), (run, None, done, run.then)
                )
        except BaseException:  # Ctrl-C goes through; the rest is taken when the loop goes on
            self._on_loop(self._take)
            raise
        self._on_loop(self._take)

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done) -> None:
        # A task that is cancelled before its first step leaves it as it is.
        work = perform_coroutine(run, coroutine, self._clock, self._log)
        self._tasks.begin(self._make_task, work, self._context.copy(), (run, coroutine, done, None))

    async def _carry_out(self, run: Run) -> None:
        coroutine = self._perform(run, self._context, self._clock, self._log)
        if coroutine is not None:
            await perform_coroutine(run, coroutine, self._clock, self._log)

    def _ended(self, entry: Entry, error: BaseException | None) -> None:
        run, awaited, done, then = entry
        if run.status == CLAIMED or awaited is not None:
            self._end_unfinished(run, awaited, error)
        self._report(run, done)
        if then is not None:
            self._incoming.appendleft((then, done))
            self._wake()
        elif not self._tasks.entries:
            self._tell_idle()

    def _cancel_all(self) -> None:
        while self._incoming:
            self._cancel_group(*self._incoming.popleft())
        self._tasks.cancel_all()

    def _tell_idle(self) -> None:
        if not self._tasks.entries and not self._incoming:
            self._idle.set()

    def loop_has_ended(self) -> None:
        """End what the loop will not carry out any more, and report what ended in its last turn."""
        self._woken = False
        left: list[tuple[Run, Done]] = [(run, done) for run, _, done, _ in self._tasks.take_all()]
        while self._incoming:
            left.append(self._incoming.popleft())
        for head, done in left:
            for run in chain(head):
                if run.status == CLAIMED:  # else only the callback of its task did not come any more
                    self._end_on_closed_loop(run)
                self._report(run, done)

    def _end_on_closed_loop(self, run: Run) -> None:
        end(run, CANCELLED, "the event loop has ended", time_of(run, self._clock))


class _Threads(ThreadPoolExecutor):
    """The threads for plain functions; a coroutine that one of them returns is awaited on the scheduler's loop."""

    def __init__(self, owner: LoopExecutor, max_workers: int) -> None:
        super().__init__(max_workers)
        self._owner = owner

    @property
    def under_way(self) -> list[tuple[Run, Done]]:
        """What each thread has in hand: a run, and its callback."""
        return list(self._under_way.values())

    @property
    def exiting(self) -> bool:  # type: ignore[override]
        """Whether the interpreter exits; see :class:`~rota.executors.base.BaseExecutor`."""
        return self._owner.exiting

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], done: Done, then: Run | None) -> None:
        def finish(ended: Run) -> None:
            try:
                done(ended)
            finally:  # the rest of the group is carried out even if recording the end fails
                if then is not None:
                    self._queue_rest(then, done)

        self._owner.carry(run, coroutine, finish)
        self._owner.room_came_free()


def _task_maker(loop: asyncio.AbstractEventLoop) -> Callable[..., asyncio.Task[None]]:
    """Return what makes tasks: eager ones where Python has them and the program has not chosen its own kind."""
    if loop.get_task_factory() is not None:
        # Factories of the old form know no contexts; a task copies the one in which it is made.
        return lambda work, context: context.run(loop.create_task, work)
    if sys.version_info >= (3, 12):
        return partial(asyncio.Task, loop=loop, eager_start=True)
    return loop.create_task
