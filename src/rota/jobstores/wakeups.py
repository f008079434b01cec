"""The thread in which a store hears of what other processes have changed, and which comes back whatever happens to its connection.

It wakes a scheduler up; what it listens to, stores say.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import Event, Thread

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

#: How long it waits after an error (seconds).
PAUSE = 1.0


class ListenerThread(ABC):
    """A thread that waits for wake-ups.

    :param name: what debuggers show
    :param wake: called when another process tells something, and after each new connection: something may have been missed
    :param listening: called with True when it listens and with False when it does not any more
    """

    def __init__(self, name: str, wake: Callable[[], None], listening: Callable[[bool], None]) -> None:
        self._wake = wake
        self._listening = listening
        self._stopped = Event()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @abstractmethod
    def stop(self) -> None:
        """End the thread."""

    @abstractmethod
    def _listen(self) -> None:
        """Listen until it is stopped or the connection is lost; whatever is raised is the end of the connection."""

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception:  # a cut connection, which the passes of the engine notice and report
                pass
            if not self._stopped.is_set():  # else the store listens anew already, perhaps
                self._listening(False)
                self._stopped.wait(PAUSE)
