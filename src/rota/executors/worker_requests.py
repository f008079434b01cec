"""How a run in a worker process hears that somebody asks it to stop: the pool writes that into the pipe, which the run reads.

It does so when it looks at its ``cancelled``; no thread waits for it, and a run that does not look pays nothing.
"""

from __future__ import annotations

from os import getpid
from threading import Lock

from ..core.run import Run

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .channel import Channel

#: The first byte of a request; a call is a pickle, which begins with another one.
STOP = b"c"
_slot = Run.__dict__["cancelled"]
_is_cancelled, _set_cancelled = _slot.__get__, _slot.__set__


def request_of(run: Run) -> bytes:
    """Return the message by which a run is asked to stop."""
    return STOP + f"{run.attempt}@{run.nominal}@{run.job_id}".encode("utf-8", "surrogatepass")


class Requests:
    """Reads what the pool asks of the run that this worker process carries out.

    :param channel: the pipe from the pool, of which nobody else reads meanwhile
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._lock = Lock()
        self._run: Run | None = None
        self._pid = getpid()

    def begin(self, run: Run) -> None:
        """Listen for a run from now on, which looks by its ``cancelled``."""
        run.__class__ = HearingRun
        _requests[0] = self
        self._run = run

    def end(self) -> None:
        """Listen no more; what a thread that the job has left behind asks for is not read."""
        with self._lock:
            self._run = None

    def is_asked(self, run: Run) -> bool:
        """Whether somebody has asked a run to stop since it looked last."""
        with self._lock:
            if (
                run is not self._run or getpid() != self._pid
            ):  # a process that the job has forked has the same pipe
                return False
            try:
                while self._channel.has_more():
                    if self._channel.receive() == request_of(run):
                        return True
            except (EOFError, OSError):
                pass  # the pool is gone
        return False


#: what this process listens by
_requests: list[Requests | None] = [None]


class HearingRun(Run):
    """A run in a worker process: it looks into the pipe when it is asked whether somebody has asked it to stop."""

    __slots__ = ()

    @property
    def cancelled(self) -> bool:
        """True once somebody asked the run to stop."""
        if _is_cancelled(self):
            return True
        requests = _requests[0]
        if requests is None or not requests.is_asked(self):
            return False
        _set_cancelled(self, True)
        return True

    @cancelled.setter
    def cancelled(self, value: bool) -> None:
        _set_cancelled(self, value)
