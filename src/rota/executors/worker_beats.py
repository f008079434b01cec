"""What a run in a worker process says of itself, on its way to the pool: the newest once a second, the rest before the outcome.

A run that says nothing sends nothing. The thread that sends is started by the first run that says something, or whose log is kept.
"""

from __future__ import annotations

import json
from threading import Event, Lock, Thread
from time import sleep

from ..clock import SYSTEM_CLOCK
from ..core.run import said_by

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.beats import Said
    from ..core.run import Run

#: The first byte of what a worker sends beside outcomes.
BEAT = b"h"
LOG = b"l"
#: Seconds from one message to the next.
PAUSE = 1.0


class Speaker:
    """Sends what the runs of one worker process say of themselves.

    :param send: sends a message to the pool
    :param sleep: waits for as many seconds; its thread waits by nothing else
    """

    monotonic = SYSTEM_CLOCK.monotonic

    def __init__(self, send: Callable[[bytes], None], sleep: Callable[[float], object] = sleep) -> None:
        self._send = send
        self._sleep = sleep
        #: held while something is sent; the outcome is sent when no other thread sends any more
        self._in_turn = Lock()
        self._has_news = Event()
        self._thread: Thread | None = None
        self._run: Run | None = None

    def claimed(self, run: Run) -> Run:
        """Return the run, and take note that it is the one under way."""
        self._run = run
        return run

    def add(self, said: Said) -> None:
        """Take note that there is something to send. It does not wait, and raises nothing."""
        self._has_news.set()
        if self._thread is None:
            thread = self._thread = Thread(target=self._main, name="rota-beats", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # there can be no more threads; it is sent before the outcome
                pass

    def finish(self) -> None:
        """Send what the run has said last, and the rest of its log, before its outcome.

        :raises OSError: if the pool is gone
        """
        with self._in_turn:
            run, self._run = self._run, None
            said = None if run is None else getattr(run, "said", None)
            if said is not None:
                said.is_over = True
                self._tell(said)

    def _main(self) -> None:
        try:
            while self._has_news.wait():
                self._has_news.clear()
                with self._in_turn:
                    said = None if self._run is None else getattr(self._run, "said", None)
                    if said is not None:
                        self._tell(said)
                        if said.log is not None:  # it may log more
                            self._has_news.set()
                self._sleep(PAUSE)
        except OSError:
            pass  # the pool is gone

    def _tell(self, said: Said) -> None:
        if said.is_noted:
            said.is_noted = False  # before it is read: what is said from now on is new
            self._send(BEAT + json.dumps((said.progress, said.note)).encode())
        logged = "" if said.log is None else said.log.taken()
        if logged:
            self._send(LOG + logged.encode("utf-8", "backslashreplace"))


def hear(run: Run, message: bytes) -> None:
    """Take what a worker process says of its run into the run that the pool has."""
    kind, content = message[:1], message[1:]
    try:
        if kind == BEAT:
            progress, note = json.loads(content)
            run.heartbeat(progress, note)
        elif kind == LOG and run.job is not None:
            said_by(run).log_kept(run.job.policy.keep_log).add(content.decode("utf-8", "replace"))
    except (TypeError, ValueError):
        pass  # the job has written into the pipe of its worker
