"""How the tests of schedulers reach the scheduler that they test, and stores that are slow or fail for them.

Knows the public interface of schedulers only; the tests are in ``hosts``.
"""

from __future__ import annotations

import threading
from time import sleep

from ...clock import SECOND, SYSTEM_CLOCK
from ...executors.base import current_run
from ...jobstores.memory import MemoryJobStore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ...schedulers.base import BaseScheduler

#: Seconds after which a test fails that waits for something.
PATIENCE = 20.0
#: Seconds for which a test looks whether something happens that must not.
MOMENT = 0.1


class Host:
    """How the tests reach a scheduler; the defaults are those of one that has a thread of its own."""

    #: the class of the scheduler
    scheduler_class: type[BaseScheduler]
    #: whether listeners are called in threads of their own; False: on the scheduler's loop
    listeners_have_threads = True

    def make(self, cls: type[BaseScheduler] | None = None, **options: Any) -> Any:
        """Return a new scheduler.

        :param cls: a subclass of the host's scheduler class
        """
        return (cls or self.scheduler_class)(**options)

    def call(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call something on the loop's thread, and return what it returns."""
        return func(*args, **kwargs)

    def start(self, scheduler: Any, paused: bool = False) -> None:
        """Start a scheduler."""
        self.call(scheduler.start, paused)

    def shutdown(self, scheduler: Any, **options: Any) -> None:
        """Shut a scheduler down from the loop's thread; wait until that is over, if the host can tell."""
        self.call(scheduler.shutdown, **options)

    def pause(self, seconds: float) -> None:
        """Let the loop run for a time; override it if the test's own thread drives the loop."""
        sleep(seconds)

    async def nap(self) -> None:
        """Wait for a moment, in a coroutine job."""
        from asyncio import sleep  # import time

        await sleep(0.01)

    def block(self, gate: threading.Event) -> bool:
        """Block a plain job until a gate is open or the run is cancelled; override it if plain jobs may not block."""
        until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
        while not gate.is_set() and not current_run().cancelled:
            if SYSTEM_CLOCK.monotonic() > until:
                raise TimeoutError("the gate of the test was not opened")
            gate.wait(0.005)
        return gate.is_set()

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until something is so."""
        until = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND
        while not condition():
            assert SYSTEM_CLOCK.monotonic() < until, f"waited in vain until {what}"
            self.pause(0.002)

    def in_thread(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call something in a thread that is not the loop's, while the loop runs, and return what it returns."""
        outcome: list[Any] = []

        def work() -> None:
            try:
                outcome.append((True, func(*args, **kwargs)))
            except BaseException as exc:  # it belongs to the test
                outcome.append((False, exc))

        threading.Thread(target=work, name="other").start()
        self.wait_until(lambda: outcome, "the other thread has ended")
        succeeded, value = outcome[0]
        if not succeeded:
            raise value
        return value


class SlowStore(MemoryJobStore):
    """A store that does I/O: some of its methods take half a second, or until the test lets them go on."""

    does_io = True

    def __init__(self, *slow: str) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.left = threading.Event()
        self.go_on = threading.Event()
        self._slow = slow

    def due(self, now: int, room: Any) -> Any:
        """Find due jobs, slowly."""
        return self._slowly("due", super().due, now, room)

    def finish(self, runs: Any, now: int) -> Any:
        """Record ended runs, slowly."""
        return self._slowly("finish", super().finish, runs, now)

    def _slowly(self, name: str, method: Callable[..., Any], *args: Any) -> Any:
        if name in self._slow and not self.go_on.is_set():
            self.entered.set()
            self.go_on.wait(0.5)
            self.left.set()
        return method(*args)


class FailingStore(MemoryJobStore):
    """A store in which looking for due jobs fails a few times."""

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures = failures

    def due(self, now: int, room: Any) -> Any:
        """Find due jobs, or fail."""
        if self.failures:
            self.failures -= 1
            raise OSError("the disk is not there")
        return super().due(now, room)
