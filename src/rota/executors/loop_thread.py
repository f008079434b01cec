"""A private asyncio loop on a thread of its own: where ``async def`` jobs run in a scheduler that has no loop.

It carries coroutines out and says when they have ended; it knows neither scheduler, store nor executor.
"""

from __future__ import annotations

from collections import deque
from contextvars import Context
from functools import partial
from os import getpid
from threading import Lock, Thread, current_thread

from ..core.run import Run, fail, time_of
from ..core.states import CLAIMED
from ..logs import GuardedLogger
from ..texts import traceback_of
from .steps import cancel_unstarted, close_quietly, perform_coroutine
from .tasks import Tasks

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine
    from typing import Any

    from ..clock import Clock
    from .tasks import Entry

    Item = tuple[Run, Coroutine[Any, Any, Any], Callable[[], None], Clock, Any, Context]


#: Seconds for closing the asynchronous generators that jobs have left open.
_CLOSING = 1.0


class LoopThread:
    """Runs coroutines on a loop of its own.

    The thread is made on first use, and anew after :meth:`stop`. All methods are thread-safe. A forked child forgets
    the parent's loop.

    :param name: name of the thread
    :param make_thread: makes the thread, as :class:`threading.Thread` does
    :param make_loop: makes the loop, by default asyncio's
    """

    def __init__(
        self,
        name: str = "rota-loop",
        make_thread: Callable[..., Any] = Thread,
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None = None,
    ) -> None:
        self._name = name
        self._make_thread = make_thread
        self._make_loop = make_loop
        self._forget()

    def _forget(self) -> None:
        self._pid = getpid()
        self._lock = Lock()
        self._running: _RunningLoop | None = None
        #: loops that were told to end and still carry something out
        self._ending: list[_RunningLoop] = []

    def submit(
        self,
        run: Run,
        coroutine: Coroutine[Any, Any, Any],
        finish: Callable[[], None],
        clock: Clock,
        logger: Any,
        context: Context | None = None,
    ) -> None:
        """Await a run's coroutine on the loop; does not wait for it.

        :param coroutine: what :func:`~rota.executors.base.perform` returned
        :param finish: called once, on the loop's thread, after the outcome has been written into the run
        :param context: the context variables that the job sees (a copy of them); by default none
        :raises RuntimeError: if there is no thread and none can be started; the coroutine has not been taken then
        """
        if context is None:
            context = Context()
        if self._pid != getpid():
            self._forget()
        with self._lock:
            running = self._running
            item = (run, coroutine, finish, clock, logger, context)
            if running is None or not running.add(item):
                running = self._running = _RunningLoop(self._name, self._make_thread, self._make_loop)
                running.add(item)

    def cancel_all(self) -> None:
        """Cancel all coroutines that are under way; each ends as cancelled (unless it suppresses that)."""
        if self._pid != getpid():
            return
        with self._lock:
            loops = [*self._ending, *([] if self._running is None else [self._running])]
        for running in loops:
            running.cancel_all()

    def cancel_run(self, run: Run) -> None:
        """Cancel the coroutine of a run, if it is under way."""
        if self._pid != getpid():
            return
        with self._lock:
            loops = [*self._ending, *([] if self._running is None else [self._running])]
        for running in loops:
            running.cancel_run(run)

    def stop(self, wait: bool = True, cancel: bool = True) -> None:
        """End the thread.

        :param wait: whether to wait for the thread's end (never done on the thread itself)
        :param cancel: whether to cancel what is under way; else the thread ends after it
        """
        if self._pid != getpid():
            self._forget()
        with self._lock:
            running, self._running = self._running, None
            ending = [] if running is None else [running]
            self._ending = [*(loop for loop in self._ending if not loop.loop.is_closed()), *ending]
            waited_for = list(self._ending)
        if running is not None:
            running.stop(cancel)
        if wait:
            for loop in waited_for:
                if loop.thread is not current_thread():
                    loop.thread.join()


class _RunningLoop:
    """One loop, one thread, from their start to their end."""

    def __init__(
        self,
        name: str,
        make_thread: Callable[..., Any],
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    ) -> None:
        if make_loop is None:
            from asyncio import new_event_loop  # import time

            make_loop = new_event_loop
        self.loop = make_loop()
        self.incoming: deque[Item] = deque()
        #: with each run, what it was submitted with
        self.tasks = Tasks(self._ended)
        self.woken = False
        self.stopping = False
        self.cancel_at_end = True
        self.thread = make_thread(target=self._main, name=name, daemon=True)
        try:
            self.thread.start()
        except BaseException:  # a limit of the system; the next coroutine tries again
            self.loop.close()
            raise

    def add(self, item: Item) -> bool:
        """Take a coroutine; False if the loop has ended."""
        self.incoming.append(item)
        if self.woken:  # one wake-up for all that comes until the loop looks
            return True
        self.woken = True
        if self._call(self._take):
            return True
        self.incoming.clear()
        return False

    def cancel_all(self) -> None:
        self._call(self._cancel_all)

    def cancel_run(self, run: Run) -> None:
        self._call(partial(self.tasks.cancel_run, run))

    def stop(self, cancel: bool) -> None:
        self.cancel_at_end = cancel
        self._call(self._stop)

    def _call(self, callback: Callable[[], None]) -> bool:
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            return False  # the loop is closed, so there is nothing left to cancel or to stop
        return True

    # -- on the loop's thread ------------------------------------------------------------------------------------

    def _main(self) -> None:
        import asyncio  # import time

        asyncio.set_event_loop(self.loop)
        try:
            while not self.stopping:
                self._guarded(self.loop.run_forever)
            self._take()
            self.loop.set_task_factory(None)  # jobs may have set one
            if self.cancel_at_end:
                self._cancel_all()
            while self.tasks.entries:
                self._guarded(lambda: self.loop.run_until_complete(asyncio.wait(self.tasks)))
            closing = self.loop.shutdown_asyncgens()
            self._guarded(lambda: self.loop.run_until_complete(asyncio.wait_for(closing, _CLOSING)))
            helpers = getattr(self.loop, "_default_executor", None)
            if helpers is not None:  # what jobs have left running in it is not waited for
                helpers.shutdown(wait=False)
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _guarded(self, run: Callable[[], object]) -> None:
        """Run the loop; a SystemExit in a task that a job has made, or a job that stops the loop, does not end it."""
        try:
            run()
        except BaseException:
            GuardedLogger("rota.executors").exception("Error on the event loop of coroutine jobs")

    def _stop(self) -> None:
        self.stopping = True
        self.loop.stop()

    def _take(self) -> None:
        self.woken = False
        incoming, begin = self.incoming, self.tasks.begin
        while incoming:
            item = incoming.popleft()
            run, coroutine, _, clock, logger, context = item
            begin(self._make_task, perform_coroutine(run, coroutine, clock, logger), context.copy(), item)

    def _make_task(self, work: Coroutine[Any, Any, None], context: Context) -> asyncio.Task[None]:
        # Task factories need not know of contexts; a task copies the one in which it is made.
        return context.run(self.loop.create_task, work)

    def _cancel_all(self) -> None:
        self._take()
        self.tasks.cancel_all()

    def _ended(self, entry: Entry, error: BaseException | None) -> None:
        run, coroutine, finish, clock, logger, _ = entry
        if run.status == CLAIMED:  # cancelled before its first step, or its task could not be made
            close_quietly(coroutine)
            if error is None:
                cancel_unstarted(run, time_of(run, clock))
            else:
                fail(run, error, traceback_of(error), time_of(run, clock))
        try:
            finish()
        except BaseException:
            logger.exception("Error while recording the end of %s", run)
