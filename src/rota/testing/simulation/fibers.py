"""What several nodes do at the same time, in threads of which exactly one runs: who goes on when is decided by who resumes them.

It switches; it knows no store and no scheduler.
"""

from __future__ import annotations

from threading import Semaphore, Thread, current_thread

from ...clock import SECOND, SYSTEM_CLOCK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

#: How many real seconds a fiber may run before it is taken to be blocked for ever.
PATIENCE = 30.0


class Fiber:
    """Something that is done in a thread of its own, which may be interrupted where it calls :meth:`pause`.

    :param who: on whose behalf
    :param kind: what is done, in a word
    """

    def __init__(self, who: Any, kind: str, work: Callable[[], object]) -> None:
        self.who = who
        self.kind = kind
        self.is_over = False
        #: returns whether there is no use in going on yet
        self.waits: Callable[[], bool] = lambda: False
        #: what the owner keeps with it
        self.data: Any = None
        self._work = work
        self._error: BaseException | None = None
        self._go = Semaphore(0)
        self._back = Semaphore(0)
        self._thread = Thread(target=self._run, name=f"simulated {kind}", daemon=True)
        self._thread.start()

    def resume(self) -> None:
        """Go on until it pauses or is over; raise what it raised.

        :raises TimeoutError: if it does neither
        """
        began = SYSTEM_CLOCK.monotonic()
        self._go.release()
        if not self._back.acquire(timeout=PATIENCE):
            took = (SYSTEM_CLOCK.monotonic() - began) / SECOND
            raise TimeoutError(
                f"{self.kind} of {self.who} neither ends nor pauses, {took:.0f} s of real time"
            )
        if self._error is not None:
            raise self._error

    def pause(self) -> None:
        """Let whoever resumed this fiber go on; called in its thread."""
        self._back.release()
        self._go.acquire()

    def _run(self) -> None:
        self._go.acquire()
        try:
            self._work()
        except BaseException as exc:
            self._error = exc
        self.is_over = True
        self._back.release()


class Fibers:
    """Those that have begun and are not over."""

    def __init__(self) -> None:
        self.paused: list[Fiber] = []
        self._running: Fiber | None = None

    @property
    def running(self) -> Fiber | None:
        """The fiber whose thread this is."""
        fiber = self._running
        return fiber if fiber is not None and fiber._thread is current_thread() else None

    def begin(self, who: Any, kind: str, work: Callable[[], object]) -> None:
        """Do something until it is over, or pauses."""
        self.go_on(Fiber(who, kind, work))

    def go_on(self, fiber: Fiber) -> None:
        """Let a fiber go on until it is over, or pauses again."""
        if fiber in self.paused:
            self.paused.remove(fiber)
        before, self._running = self._running, fiber
        try:
            fiber.resume()
        finally:
            self._running = before
            if not fiber.is_over:
                self.paused.append(fiber)

    def ready(self) -> list[Fiber]:
        """Return the fibers that could go on."""
        return [fiber for fiber in self.paused if not fiber.waits()]

    def of(self, who: Any) -> set[str]:
        """Return what somebody is doing."""
        return {fiber.kind for fiber in self.paused if fiber.who is who}
