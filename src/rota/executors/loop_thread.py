"""A private asyncio loop on a thread of its own: where ``async def`` jobs run in a scheduler that has no loop.

It carries coroutines out and says when they have ended; it knows neither scheduler, store nor executor.
"""

from __future__ import annotations

from collections import deque
from contextvars import copy_context
from os import getpid
from threading import Lock, Thread, current_thread

from ..core.run import CANCELLED, Run, end
from .base import perform_coroutine

TYPE_CHECKING = False
if TYPE_CHECKING:
    import asyncio
    import logging
    from collections.abc import Callable, Coroutine
    from contextvars import Context
    from typing import Any

    from ..clock import Clock

    Item = tuple[Run, Coroutine[Any, Any, Any], Callable[[], None], Clock, logging.Logger, Context | None]


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

    def submit(
        self,
        run: Run,
        coroutine: Coroutine[Any, Any, Any],
        finish: Callable[[], None],
        clock: Clock,
        logger: logging.Logger,
        context: Context | None = None,
    ) -> None:
        """Await a run's coroutine on the loop; does not wait for it.

        :param coroutine: what :func:`~rota.executors.base.perform` returned
        :param finish: called once, on the loop's thread, after the outcome has been written into the run
        :param context: the context variables that the job sees (a copy of them); by default the caller's
        """
        if context is None:
            context = copy_context()
        if self._pid != getpid():
            self._forget()
        with self._lock:
            running = self._running
            if running is None:
                running = self._running = _RunningLoop(self._name, self._make_thread, self._make_loop)
            running.add((run, coroutine, finish, clock, logger, context))

    def cancel_all(self) -> None:
        """Cancel all coroutines that are under way; each ends as cancelled (unless it suppresses that)."""
        running = self._running
        if running is not None and self._pid == getpid():
            running.cancel_all()

    def stop(self, wait: bool = True, cancel: bool = True) -> None:
        """End the thread.

        :param wait: whether to wait for the thread's end (never done on the thread itself)
        :param cancel: whether to cancel what is under way; else the thread ends after it
        """
        if self._pid != getpid():
            self._forget()
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.stop(cancel)
            if wait and running.thread is not current_thread():
                running.thread.join()


class _RunningLoop:
    """One loop, one thread, from their start to their end."""

    def __init__(
        self,
        name: str,
        make_thread: Callable[..., Any],
        make_loop: Callable[[], asyncio.AbstractEventLoop] | None,
    ) -> None:
        if make_loop is None:
            from asyncio import new_event_loop

            make_loop = new_event_loop
        self.loop = make_loop()
        self.incoming: deque[Item] = deque()
        self.tasks: dict[asyncio.Task[None], Item] = {}
        self.woken = False
        self.cancel_at_end = True
        self.thread = make_thread(target=self._main, name=name, daemon=True)
        self.thread.start()

    def add(self, item: Item) -> None:
        self.incoming.append(item)
        if not self.woken:  # one wake-up for all that comes until the loop looks
            self.woken = True
            self.loop.call_soon_threadsafe(self._take)

    def cancel_all(self) -> None:
        self._call(self._cancel_all)

    def stop(self, cancel: bool) -> None:
        self.cancel_at_end = cancel
        self._call(self.loop.stop)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            self.loop.call_soon_threadsafe(callback)
        except RuntimeError:
            pass  # the loop is closed, so there is nothing left to cancel or to stop

    # -- on the loop's thread ------------------------------------------------------------------------------------

    def _main(self) -> None:
        import asyncio

        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
            self._take()
            if self.cancel_at_end:
                self._cancel_all()
            while self.tasks:
                self.loop.run_until_complete(asyncio.wait(self.tasks))
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            self.loop.close()

    def _take(self) -> None:
        self.woken = False
        while self.incoming:
            item = self.incoming.popleft()
            run, coroutine, _, clock, logger, context = item
            task = self.loop.create_task(
                perform_coroutine(run, coroutine, clock, logger), context=_copy(context)
            )
            self.tasks[task] = item
            task.add_done_callback(self._ended)

    def _cancel_all(self) -> None:
        self._take()
        for task, item in list(self.tasks.items()):
            item[0].cancelled = True
            task.cancel()

    def _ended(self, task: asyncio.Task[None]) -> None:
        run, coroutine, finish, clock, logger, _ = self.tasks.pop(task)
        if not run.ended:  # cancelled before its first step
            coroutine.close()
            end(run, CANCELLED, "cancelled before it started", clock.now())
        try:
            finish()
        except BaseException:
            logger.exception("Error while recording the end of %s", run)


def _copy(context: Context | None) -> Context | None:
    return None if context is None else context.copy()
