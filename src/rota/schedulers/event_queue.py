"""One listener's events on their way to it: a bounded queue, and a thread of its own unless the host calls it otherwise.

It calls the listener outside all locks, and knows neither engine nor scheduler.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from queue import SimpleQueue
from threading import Event, Lock, Thread, get_ident
from time import sleep

from ..interrupts import is_interrupt
from ..texts import repr_of, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..logs import GuardedLogger

#: How many events wait for one listener, at most; the oldest makes room for the newest.
LIMIT = 10_000
#: Seconds after which a thread that has called its listener looks again before it goes to sleep. In a burst the wake-ups cost
#: more than the calls do: each takes the interpreter lock from those who carry runs out.
LULL = 0.001

#: The queue that calls the listener in which this code is: threads alone do not tell greenlets apart.
_calling: ContextVar[EventQueue | None] = ContextVar("rota.event_queue", default=None)


class EventQueue:
    """The events that wait for one listener, in order.

    :param callback: the listener
    :param mask: the codes of the events that it wants
    :param tells_of_drops: whether it is logged that events are dropped
    """

    __slots__ = (
        "_awake",
        "_empty",
        "_events",
        "_lock",
        "_logger",
        "_pumping",
        "_tells",
        "_thread",
        "_tokens",
        "callback",
        "calls",
        "closed",
        "dropped",
        "mask",
    )

    def __init__(self, callback: Callable[[Any], Any], mask: int, tells_of_drops: bool = True) -> None:
        self.callback = callback
        self.mask = mask
        #: how many events were dropped because the queue was full
        self.dropped = 0
        self._tells = tells_of_drops
        #: how often the listener has been called from the queue; who waits sees by it whether it goes on
        self.calls = 0
        self._events: deque[Any] = deque(maxlen=LIMIT)
        #: True once nothing is taken any more
        self.closed = False
        #: whether somebody has been asked to pump, and has not seen the queue empty since
        self._awake = False
        #: identity of the thread that calls the listener now
        self._pumping: int | None = None
        #: set unless somebody waits
        self._empty = Event()
        self._empty.set()
        self._lock = Lock()
        self._thread: Thread | None = None
        self._tokens: SimpleQueue[None] = SimpleQueue()
        self._logger: GuardedLogger | None = None

    def renewed(self) -> EventQueue:
        """Return an empty queue of the same listener."""
        return EventQueue(self.callback, self.mask)

    def call(self, event: Any, logger: GuardedLogger | None) -> None:
        """Call the listener with an event; whatever it raises is logged, except what a signal raised."""
        try:
            self.callback(event)
        except BaseException as exc:  # as in APScheduler, not even SystemExit stops the scheduler
            if is_interrupt(exc):
                raise
            if logger is not None:
                logger.exception("Error notifying listener (%s)", text_of(exc))

    def put(self, event: Any, logger: GuardedLogger, start: Callable[[EventQueue], None]) -> None:
        """Queue an event. Thread-safe, and it never raises.

        :param start: called with this queue when :meth:`pump` has to be called soon
        """
        if self.closed:
            return
        self._logger = logger
        events = self._events
        if len(events) >= LIMIT:
            self._drop(logger)
        events.append(event)
        if not self._awake:
            self._awake = True
            try:
                start(self)
            except BaseException as exc:  # no thread, or no loop any more: the next event tries again
                self._awake = False
                if is_interrupt(exc):
                    raise
                logger.error(
                    "Events wait for the listener %r: it cannot be called now (%s)", self.callback, exc
                )

    def pump(self) -> None:
        """Call the listener with all events that wait; never two at a time."""
        while self._pumping is None:
            self._pump()
            if not self._events:  # else they came at the end, and whoever brought them was sent away
                return

    def _pump(self) -> None:
        self._pumping = get_ident()
        token = _calling.set(self)
        try:
            while True:
                while self._events:
                    try:
                        event = self._events.popleft()
                    except IndexError:  # closed meanwhile
                        break
                    self.calls += 1
                    self.call(event, self._logger)
                    del event
                self._awake = False
                if not self._events:
                    break
                self._awake = True  # it came between the last look and the mark
        finally:
            _calling.reset(token)
            self._pumping = None
            if not self._empty.is_set():  # setting it again takes a lock
                self._empty.set()

    def pump_in_thread(self) -> None:
        """Have the queue's own thread call :meth:`pump`.

        :raises RuntimeError: if the thread cannot be started
        """
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = Thread(target=self._serve, name="rota-listener", daemon=True)
                    thread.start()
                    self._thread = thread
        self._tokens.put(None)

    def close(self) -> None:
        """End the thread; what still waits is dropped."""
        self.closed = True
        self._events.clear()
        self._tokens.put(None)

    def wait_empty(self, seconds: float) -> bool:
        """Wait until the listener has been called with everything that waits, at most so long; return whether that is so."""
        self._empty.clear()
        return self.is_empty or (self._empty.wait(seconds) and self.is_empty)

    @property
    def is_stranded(self) -> bool:
        """Whether events wait and nobody is about to call the listener, as no thread could be started."""
        return bool(self._events) and not self._awake

    @property
    def is_empty(self) -> bool:
        """Whether no event waits and the listener is not being called."""
        return not self._events and self._pumping is None

    @property
    def is_current(self) -> bool:
        """Whether the caller is the listener, or something that it calls."""
        # A task that the listener has started has its context, but runs when the listener does not.
        return self._pumping == get_ident() and _calling.get() is self

    def report(self) -> dict[str, Any]:
        """Return how the listener is, as JSON-able data."""
        return {
            "listener": getattr(self.callback, "__qualname__", None) or repr_of(self.callback),
            "waiting": len(self._events),
            "busy": self._pumping is not None,
            "dropped": self.dropped,
        }

    def _serve(self) -> None:
        while not self.closed:
            self._tokens.get()
            while True:
                calls = self.calls
                self.pump()
                if self.calls == calls:
                    self._awake = False  # pump() has said so, unless somebody else is just ending one
                    break
                self._awake = True  # nobody needs to wake a thread that is about to look again
                sleep(LULL)

    def _drop(self, logger: GuardedLogger) -> None:
        self.dropped += 1
        if self.dropped == 1 and self._tells:
            logger.error(
                "The listener %r does not keep up: %d events wait for it, and the oldest are dropped from now on. "
                "The ledger is complete; get_runs() has what the listener misses",
                self.callback,
                LIMIT,
            )
