"""The executor of GeventScheduler: each run is a greenlet; coroutine functions run on a private event loop.

That loop has a native thread even if the program has patched threading, so that it never blocks the hub.
"""

from __future__ import annotations

import sys
from functools import partial

from ..compat.absent import inner_name
from ..core.run import Run
from ..errors import MissingExtraError
from ..logs import GuardedLogger
from .base import NativeExecutor
from .steps import cancel_group, close_quietly

try:
    import gevent
    from gevent.event import Event
    from gevent.monkey import get_original, is_module_patched
    from gevent.threadpool import ThreadPool
except ImportError as exc:
    raise MissingExtraError("GeventExecutor", "gevent") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from .loop_thread import LoopThread
    from .steps import Done

__all__ = ("GeventExecutor",)

#: Seconds between two looks of a native thread that waits for greenlets to end.
_POLL = 0.01


class GeventExecutor(NativeExecutor):
    """Runs each job in a greenlet of the scheduler's hub."""

    skips_cancelled = True

    def __init__(self) -> None:
        #: the greenlets, and which run of its group each has in hand
        self._greenlets: dict[gevent.Greenlet[..., Any], Run] = {}
        self._awaited = 0
        self._idle = Event()
        self._idle.set()
        self._loop_thread: LoopThread | None = None

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready; runs go to the hub of the thread that calls this."""
        super().start(scheduler, alias)
        self._hub = gevent.get_hub()
        self._thread = _native_ident()

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out, each group in a greenlet."""
        self._on_hub(self._spawn_all, tuple(runs), done)

    def shutdown(self, wait: bool = True) -> None:
        """Stop the executor; what is under way goes on, and with ``wait`` this waits for it."""
        if wait:
            self._wait()
        if self._loop_thread is not None and not self._awaited:
            loop_thread, self._loop_thread = self._loop_thread, None
            loop_thread.stop()

    def cancel(self) -> None:
        """Kill the greenlets that have begun and cancel the coroutines; the others end as cancelled."""
        self._on_hub(self._cancel_all)

    def cancel_run(self, run: Run) -> None:
        """Kill the greenlet that has a run in hand, or cancel its coroutine."""
        self._on_hub(self._cancel_run, run)

    def _cancel_run(self, run: Run) -> None:
        for greenlet, current in list(self._greenlets.items()):
            if current is run:
                self._hub.loop.run_callback(self._kill, greenlet, run)
        if self._loop_thread is not None:
            self._loop_thread.cancel_run(run)

    def _kill(self, greenlet: gevent.Greenlet[..., Any], run: Run) -> None:
        """Kill a greenlet, called by the hub, if its run is under way still: it may have come to the next one of its group."""
        if self._greenlets.get(greenlet) is run and run.started_at is not None and not run.ended:
            greenlet.throw(gevent.GreenletExit)

    def _on_hub(self, call: Callable[..., None], *args: Any) -> None:
        """Call something on the hub's thread: at once if this is it, else soon."""
        if _native_ident() == self._thread:
            call(*args)
        else:
            self._hub.loop.run_callback_threadsafe(call, *args)

    def _wait(self) -> None:
        if _native_ident() != self._thread:
            sleep = get_original("time", "sleep")
            while self._greenlets or self._awaited:
                sleep(_POLL)
        elif gevent.getcurrent() is not self._hub:
            current = gevent.getcurrent()
            gevent.joinall([greenlet for greenlet in list(self._greenlets) if greenlet is not current])
            self._idle.wait()

    # -- on the hub's thread -------------------------------------------------------------------------------------

    def _spawn_all(self, heads: Sequence[Run], done: Done) -> None:
        for head in heads:
            self._spawn(head, done)

    def _spawn(self, head: Run, done: Done) -> None:
        try:
            greenlet = gevent.Greenlet(self._work, head, done)
            self._greenlets[greenlet] = head
            greenlet.start()
        except BaseException as exc:
            self._refuse_group(head, done, exc)

    def _work(self, head: Run, done: Done) -> None:
        greenlet = gevent.getcurrent()
        run: Run | None = head
        try:
            while run is not None:
                then = run.then
                self._greenlets[greenlet] = run
                try:
                    coroutine = self._perform(run, self._context, self._clock, self._log)
                except BaseException as exc:  # it was killed while the outcome was written or logged
                    coroutine = None
                    if not run.ended:
                        self._refuse(run, exc)
                if coroutine is not None:
                    self._await(run, coroutine, then, done)
                    return
                self._report(run, done)
                run = then
        finally:
            self._greenlets.pop(greenlet, None)

    def _await(self, run: Run, coroutine: Coroutine[Any, Any, Any], then: Run | None, done: Done) -> None:
        self._awaited += 1
        self._idle.clear()
        try:
            if self._loop_thread is None:
                from .loop_thread import LoopThread  # import time

                self._loop_thread = LoopThread(make_thread=_NativeThread, make_loop=_native_loop)
            finish = partial(
                self._hub.loop.run_callback_threadsafe, gevent.spawn, self._awaited_ended, run, then, done
            )
            log = _LoggerOfHub(self._log, self._hub) if is_module_patched("threading") else self._log
            self._loop_thread.submit(run, coroutine, finish, self._clock, log, self._context)
        except BaseException as exc:  # no thread for the loop
            close_quietly(coroutine)
            self._refuse(run, exc)
            self._awaited_ended(run, then, done)

    def _awaited_ended(self, run: Run, then: Run | None, done: Done) -> None:
        try:
            self._report(run, done)
        finally:
            if then is not None:
                self._spawn(then, done)
            self._awaited -= 1
            if not self._awaited:
                self._idle.set()

    def _cancel_all(self) -> None:
        for greenlet, current in list(self._greenlets.items()):
            begun = current.started_at is not None and not current.ended
            cancel_group(current)
            if begun:  # the others see the mark when they begin
                greenlet.kill(block=False)
        if self._loop_thread is not None:
            self._loop_thread.cancel_all()


class _LoggerOfHub(GuardedLogger):
    """A logger for a native thread: its lines are written by greenlets of the hub.

    The locks of logging's handlers are gevent's in a patched program. Where threads of the operating system share one, a greenlet
    that waits for it may be forgotten.
    """

    __slots__ = ("_hub",)

    def __init__(self, logger: GuardedLogger, hub: gevent.Hub) -> None:
        super().__init__(logger)
        self._hub = hub

    def _log(self, method: str, message: str, args: tuple[object, ...], exc_info: Any) -> None:
        if exc_info is True:
            exc_info = sys.exc_info()[1]
        write = super()._log
        self._hub.loop.run_callback_threadsafe(gevent.spawn, write, method, message, args, exc_info)


def _native_ident() -> int:
    ident: int = get_original("_thread", "get_ident")()
    return ident


def _native_loop() -> AbstractEventLoop:
    """Return an event loop that waits in the operating system, not in a hub, even where gevent has patched selectors."""
    from asyncio import SelectorEventLoop  # import time

    return SelectorEventLoop(get_original("selectors", "DefaultSelector")())


class _NativeThread:
    """A thread of the operating system, started and joined without blocking the hub."""

    def __init__(self, target: Callable[[], None], name: str, daemon: bool) -> None:
        self._target = target
        self._pool = ThreadPool(1)

    def start(self) -> None:
        self._ended = self._pool.spawn(self._target)

    def join(self) -> None:
        self._ended.wait()
        self._pool.kill()


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
