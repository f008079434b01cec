"""``rota run``: keeps a scheduler in the foreground, whatever its host, and drains it on SIGTERM, SIGHUP and Ctrl-C.

The host's loop has the main thread; a thread of its own waits for the end and shuts down. It shows nothing itself.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from ..commands import stop_commands
from ..events import EVENT_SCHEDULER_SHUTDOWN
from ..schedulers.background import BackgroundScheduler
from ..schedulers.blocking import BlockingScheduler
from .output import CliError

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ..schedulers.base import BaseScheduler
    from .reports import Report

#: How often a drain checks whether runs are under way (seconds).
_LOOK = 0.1
#: How often a wait in the main thread lets signal handlers run, where the wait itself does not (seconds).
_SLICE = 0.5
#: How long commands have between SIGTERM and SIGKILL (seconds).
_TERM_GRACE = 2.0


class Foreground:
    """One scheduler in the foreground, from its start to the end of its drain.

    :param scheduler: the scheduler; it may be running already
    :param report: what is shown
    :param seconds: stop after this time; None: run until a signal comes
    """

    def __init__(self, scheduler: BaseScheduler, report: Report, seconds: float | None = None) -> None:
        self.scheduler = scheduler
        self.report = report
        self.code = 0
        self._seconds = seconds
        self._signals: list[int] = []
        self._stop = Event()
        self._now = Event()
        self._ended = Event()
        self._leave: Callable[[], object] = self._ended.set
        self._error: BaseException | None = None

    def run(self) -> int:
        """Run until the scheduler has ended; return the exit code."""
        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # not under nohup
            numbers.append(signal.SIGHUP)
        previous = {number: signal.signal(number, self._handle) for number in numbers}
        self.scheduler.add_listener(self._on_shutdown, EVENT_SCHEDULER_SHUTDOWN)
        try:
            host_of(self.scheduler)(self)
            if self._error is not None:
                raise self._error
        finally:
            self.report.end()
            for number, handler in previous.items():
                signal.signal(number, handler)
        return self.code

    def stop(self) -> None:
        """Begin to drain. Thread-safe."""
        self._stop.set()

    # -- what the hosts use --------------------------------------------------------------------------------------

    def watch(self, leave: Callable[[], object]) -> None:
        """Begin to wait for the end; the scheduler runs now.

        :param leave: ends the host's loop; thread-safe
        """
        self._leave = leave
        self.report.begin()
        Thread(target=self._control, name="rota-control", daemon=True).start()

    def wait(self) -> None:
        """Wait in the main thread until all is over."""
        while not self._ended.wait(_SLICE):
            pass

    def is_over(self) -> bool:
        """Whether the scheduler has ended."""
        return self._ended.is_set()

    # -- the end -------------------------------------------------------------------------------------------------

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self._signals.append(number)
        if len(self._signals) > 2:
            self.report.abandon()
            os._exit(128 + number)
        if self._stop.is_set():
            self._now.set()
        self._stop.set()

    def _on_shutdown(self, event: Any) -> None:
        self._stop.set()

    def _control(self) -> None:
        try:
            self._stop.wait(self._seconds)
            if self.scheduler.running:
                self._drain()
        except BaseException as exc:  # the main thread reports it
            self._error = exc
        finally:
            self._ended.set()
            self._leave()

    def _drain(self) -> None:
        """Start nothing more and let the runs under way end; a second signal ends them."""
        self._stop.set()
        scheduler = self.scheduler
        scheduler.pause()
        said = 0
        while not self._now.wait(_LOOK if said else 0):
            under_way = scheduler.health()["in_flight"]
            if not under_way or not scheduler.running:
                break
            if under_way != said:
                said = under_way
                self.report.note(
                    f"draining: {said} run{'s' if said > 1 else ''} under way; Ctrl-C again stops at once"
                )
        if not self._now.is_set():
            if scheduler.running:
                self.report.settle()
                scheduler.shutdown(wait=True)
            return
        self.report.note("stopping at once")
        self.code = 128 + self._signals[-1]
        if stop_commands():
            self._wait_for_commands()
        if scheduler.running:
            scheduler.shutdown(wait=True, timeout=0)
        stop_commands(force=True)
        self.report.end()
        sys.stdout.flush()
        os._exit(self.code)  # threads that go on working would hold up the interpreter's exit

    def _wait_for_commands(self) -> None:
        for _ in range(int(_TERM_GRACE / _LOOK)):
            if not self.scheduler.health()["in_flight"]:
                return
            Event().wait(_LOOK)


# -- hosts -------------------------------------------------------------------------------------------------------


def host_of(scheduler: BaseScheduler) -> Callable[[Foreground], None]:
    """Return the function that runs this kind of scheduler in the main thread.

    :raises CliError: for one that needs an application of its own
    """
    kinds = {cls.__module__: cls.__name__ for cls in type(scheduler).__mro__}
    if "rota.schedulers.gevent" in kinds:
        return _run_gevent
    if isinstance(scheduler, BackgroundScheduler):
        return _run_background
    if isinstance(scheduler, BlockingScheduler):
        return _run_blocking
    if "rota.schedulers.asyncio" in kinds or "rota.schedulers.tornado" in kinds:
        return _run_asyncio
    if "rota.schedulers.twisted" in kinds:
        return _run_twisted
    raise CliError(
        f"a {type(scheduler).__name__} lives on the event loop of its application; start the application itself: python …"
    )


def _run_background(foreground: Foreground) -> None:
    if not foreground.scheduler.running:
        foreground.scheduler.start()
    foreground.watch(lambda: None)
    foreground.wait()


def _run_blocking(foreground: Foreground) -> None:
    scheduler = foreground.scheduler
    if scheduler.running:  # started by the module, in a thread of its own
        _run_background(foreground)
        return
    from ..events import EVENT_SCHEDULER_STARTED  # import time

    scheduler.add_listener(lambda event: foreground.watch(lambda: None), EVENT_SCHEDULER_STARTED)
    scheduler.start()
    foreground.stop()
    foreground.wait()


def _run_asyncio(foreground: Foreground) -> None:
    import asyncio  # import time

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()
        foreground.scheduler.start()
        foreground.watch(lambda: loop.call_soon_threadsafe(over.set))
        while not over.is_set():
            try:  # a short wait: not every loop lets signal handlers run while it sleeps
                await asyncio.wait_for(over.wait(), _SLICE)
            except TimeoutError:
                pass

    asyncio.run(main())


def _run_gevent(foreground: Foreground) -> None:
    # The hub runs while its thread waits by gevent's own means; its libraries are loaded by their schedulers only.
    sleep = import_module("gevent").sleep
    if not foreground.scheduler.running:
        foreground.scheduler.start()
    foreground.watch(lambda: None)
    while not foreground.is_over():
        sleep(_LOOK)


def _run_twisted(foreground: Foreground) -> None:
    reactor: Any = import_module("twisted.internet.reactor")

    def begin() -> None:
        foreground.scheduler.start()
        foreground.watch(lambda: reactor.callFromThread(reactor.stop))

    reactor.callWhenRunning(begin)
    reactor.run(installSignalHandlers=False)
