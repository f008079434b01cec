"""An event loop in virtual time, and the executor that runs jobs inline on it.

The loop reads no real clock, waits for nothing and has no sockets; whoever owns it moves the time and calls ``run_ready()``.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from heapq import heappop, heappush
from itertools import count

from ..clock import SECOND
from ..executors.base import NativeExecutor
from ..executors.steps import chain, perform_coroutine
from ..executors.tasks import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Checkers let nobody make an AbstractEventLoop some of whose methods are not carried out.
    from asyncio import BaseEventLoop as AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence
    from contextvars import Context
    from typing import Any

    from ..clock import Clock
    from ..core.run import Run
    from ..executors.steps import Done
    from ..executors.tasks import Entry
else:
    AbstractEventLoop = asyncio.AbstractEventLoop


class VirtualLoop(AbstractEventLoop):
    """An asyncio loop whose time is a clock's: ``await asyncio.sleep(3600)`` ends when the clock has moved by an hour.

    Tasks, futures, timeouts, locks, queues and gather() work. There is no network and no subprocess (their methods raise
    NotImplementedError); what is sent to a thread (``asyncio.to_thread``) is called at once, in this thread.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = count()
        self._debug = False
        self._closed = False
        self._running = False
        self._on_error: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None
        #: what went wrong outside of any task, where no exception handler is set
        self.errors: list[dict[str, Any]] = []

    # -- what the owner calls ------------------------------------------------------------------------------------

    def run_ready(self) -> bool:
        """Run everything that can go on at the present time; return whether there was anything."""
        worked = False
        before = events._get_running_loop()
        events._set_running_loop(self)
        self._running = True
        try:
            while True:
                now = self.time()
                while self._timers and self._timers[0][0] <= now:
                    self._ready.append(heappop(self._timers)[2])
                if not self._ready:
                    return worked
                handle = self._ready.popleft()
                if not handle.cancelled():
                    worked = True
                    handle._run()
        finally:
            self._running = False
            events._set_running_loop(before)

    def next_timer(self) -> int | None:
        """Return the monotonic time (microseconds) at which something goes on, or None."""
        while self._timers and self._timers[0][2].cancelled():
            heappop(self._timers)
        return round(self._timers[0][0] * SECOND) if self._timers else None

    # -- what asyncio calls --------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._clock.monotonic() / SECOND

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        # Whole microseconds, as the clock has them: a timer never comes a rounding error after its time.
        when = round(when * SECOND) / SECOND
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heappush(self._timers, (when, next(self._order), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is left out when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=self, **kwargs)

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as exc:  # it is the outcome of the call
            future.set_exception(exc)
        return future

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def get_debug(self) -> bool:
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        self._debug = enabled

    def set_exception_handler(self, handler: Any) -> None:
        self._on_error = handler

    def get_exception_handler(self) -> Any:
        return self._on_error

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self._on_error is not None:
            self._on_error(self, context)
        else:
            self.errors.append(context)


class VirtualExecutor(NativeExecutor):
    """Runs jobs in virtual time, in the thread that moves it.

    A plain function is called at once and takes no virtual time (unless it moves the clock). A coroutine runs on a
    :class:`VirtualLoop`: while it sleeps, other jobs go on.

    :param loop: the loop; the executor does not drive it
    """

    skips_cancelled = True

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        #: with each run, its coroutine, the run's callback, and the rest of its group
        self._tasks = Tasks(self._ended)
        #: how many runs have been handed over and have not ended
        self.under_way = 0

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Call plain functions, and start coroutines."""

        def ended(run: Run) -> None:
            self.under_way -= 1
            done(run)

        for head in runs:
            self.under_way += len(chain(head))
        for head in runs:
            self._go_on(head, ended)

    def cancel(self) -> None:
        """Cancel the coroutines that are under way."""
        self._tasks.cancel_all()

    def cancel_run(self, run: Run) -> None:
        """Cancel the coroutine of a run."""
        self._tasks.cancel_run(run)

    def _go_on(self, first: Run | None, done: Done) -> None:
        """Run a group, as far as it goes without waiting."""
        run = first
        while run is not None:
            then = run.then
            coroutine = self._perform(run, self._context, self._clock, self._log)
            if coroutine is not None:
                self._await(run, coroutine, then, done)
                return
            self._report(run, done)
            run = then

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], then: Run | None, done: Done) -> None:
        work = perform_coroutine(run, coroutine, self._clock, self._log)
        self._tasks.begin(self._loop.create_task, work, self._context.copy(), (run, coroutine, done, then))

    def _ended(self, entry: Entry, error: BaseException | None) -> None:
        run, coroutine, done, then = entry
        self._end_unfinished(run, coroutine, error, "cancelled while it was running")
        self._report(run, done)
        self._go_on(then, done)
