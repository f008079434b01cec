"""The list of event listeners: who wants which events, and telling them, in the caller or by their queues.

A listener may raise, hang, or change the list while it is called: the other listeners are called all the same. No lock is held
during a call.
"""

from __future__ import annotations

from ..clock import SECOND
from ..errors import ArgumentMismatchError, OptionTypeError
from ..events import CODES, EVENT_ALL
from ..interrupts import is_interrupt
from ..texts import repr_of
from ..util import check_callable_args, iscoroutinefunction_partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..clock import Clock
    from ..events import SchedulerEvent
    from ..logs import GuardedLogger
    from .event_queue import EventQueue
    from .hooks import Hooks

#: How long a shutdown waits for one call of a listener (seconds).
DELIVERY_GRACE = 10.0


class Listeners:
    """Listeners with their masks; ``mask`` is the OR of all, so that nobody makes an event that nobody wants."""

    __slots__ = ("_entries", "_overridden", "changed", "mask")

    def __init__(self) -> None:
        self._entries: tuple[EventQueue, ...] = ()
        #: where a subclass overrides _dispatch_event(), which is to see every event: the queue that calls it with the engine's
        self._overridden: EventQueue | None = None
        self.mask = 0
        #: called after the mask may have changed
        self.changed: Callable[[], object] = bool

    def queue_all_for(self, dispatch: Callable[[Any], None]) -> None:
        """Have all events of the engine queued for a subclass's own ``_dispatch_event()``: whom it calls is its business."""
        from .event_queue import EventQueue  # import time

        self._overridden = EventQueue(dispatch, EVENT_ALL)
        self.mask = EVENT_ALL
        self.changed()

    def add(self, callback: Callable[[Any], Any], mask: int | type[SchedulerEvent]) -> None:
        """Add a listener for the events in ``mask``, or those of a class.

        :raises OptionTypeError: if it is no plain function of one argument, or the mask neither number nor class
        """
        from .event_queue import EventQueue  # import time

        if isinstance(mask, type) and mask in CODES:
            mask = CODES[mask]
        _check(callback, mask)
        assert isinstance(mask, int)
        self._replace((*self._entries, EventQueue(callback, mask)))

    def remove(self, callback: Callable[[Any], Any]) -> None:
        """Remove a listener wherever it stands in the list; it is not called any more."""
        gone = [entry for entry in self._entries if entry.callback == callback]
        self._replace(tuple(entry for entry in self._entries if entry not in gone))
        for entry in gone:
            entry.close()

    def set(self, wanted: list[tuple[Callable[[Any], Any], int]]) -> None:
        """Let these be the listeners and their masks; those that stay keep their queues.

        :raises OptionTypeError: as :meth:`add`; nothing is changed then
        """
        from .event_queue import EventQueue  # import time

        left = list(self._entries)
        entries = []
        for callback, mask in wanted:
            known = next((one for one in left if one.callback == callback and one.mask == mask), None)
            if known is None:
                _check(callback, mask)
                known = EventQueue(callback, mask)
            else:
                left.remove(known)
            entries.append(known)
        self._replace(tuple(entries))
        for entry in left:
            entry.close()

    def dispatch(self, event: Any, logger: GuardedLogger) -> None:
        """Call the listeners that want this event, in the order in which they were added: events of a caller's own act."""
        for entry in self._entries:
            if event.code & entry.mask:
                entry.call(event, logger)

    def enqueue(self, event: Any, logger: GuardedLogger, start: Callable[[EventQueue], None]) -> None:
        """Queue an event for the listeners that want it: events of the engine, which may not wait for them.

        :param start: has a queue pumped soon, where the host calls listeners
        """
        if self._overridden is not None:
            self._overridden.put(event, logger, start)
            return
        for entry in self._entries:
            if event.code & entry.mask:
                entry.put(event, logger, start)

    @property
    def entries(self) -> tuple[EventQueue, ...]:
        """All listeners, each as the queue that has its callback and its mask."""
        return self._entries

    @property
    def queues(self) -> tuple[EventQueue, ...]:
        """The queues in which events of the engine wait."""
        return self._entries if self._overridden is None else (self._overridden,)

    def renew(self) -> None:
        """Give every listener a new queue and no thread; what waited is gone (after a shutdown, or in a forked child)."""
        before = self._entries
        self._replace(tuple(entry.renewed() for entry in before))
        for entry in before:
            entry.close()
        if self._overridden is not None:
            self._overridden.close()
            self._overridden = self._overridden.renewed()

    def _replace(self, entries: tuple[EventQueue, ...]) -> None:
        # The tuple is replaced, never changed: a dispatch under way goes on with the list that it began with.
        self._entries = entries
        mask = 0 if self._overridden is None else EVENT_ALL
        for entry in entries:
            mask |= entry.mask
        self.mask = mask
        self.changed()


def tell(scheduler: Hooks, event: Any, logger: GuardedLogger) -> None:
    """Call ``_dispatch_event()``; what it raises must not undo for the caller what the store has done already."""
    try:
        scheduler._dispatch_event(event)
    except BaseException as exc:  # a subclass may override it
        if is_interrupt(exc):
            raise
        logger.exception("_dispatch_event() failed for %r", event)


def wait_delivered(
    queues: tuple[EventQueue, ...],
    timeout: float | None,
    wait: Callable[[EventQueue], bool],
    clock: Clock,
    logger: GuardedLogger,
) -> None:
    """Wait until the listeners have been called with what waits for them.

    One that does not get on is left alone after a while: without a time-out, when a single call takes DELIVERY_GRACE seconds.

    :param timeout: seconds at most for each listener; None: as long as it gets on
    :param wait: waits a moment; returns whether a listener has been called with all that waited for it
    """
    limit = DELIVERY_GRACE if timeout is None else min(timeout, DELIVERY_GRACE)
    for queue in queues:
        calls, until = queue.calls, clock.monotonic() + int(limit * SECOND)
        while not queue.is_current and not wait(queue):
            now = clock.monotonic()
            if timeout is None and queue.calls != calls:
                calls, until = queue.calls, now + int(limit * SECOND)
            elif now >= until:
                logger.error(
                    "The listener %r still works; events are left that it does not get", queue.callback
                )
                break


def _check(callback: Any, mask: object) -> None:
    """Refuse what could not be called with an event, or would not do anything then."""
    if not callable(callback):
        raise OptionTypeError(f"A listener must be callable with one argument, got {repr_of(callback)}")
    if iscoroutinefunction_partial(callback):
        raise OptionTypeError(
            f"A listener is called and not awaited, so it cannot be async, as {repr_of(callback)} is; it may hand the event to "
            f"your loop (asyncio.run_coroutine_threadsafe())"
        )
    try:
        check_callable_args(callback, (None,), {})
    except ArgumentMismatchError as exc:
        raise OptionTypeError(f"A listener is called with one argument, the event: {exc}") from None
    if not isinstance(mask, int):
        raise OptionTypeError(
            f"The mask of a listener is an OR of event codes of rota.events, or one of its classes, not {repr_of(mask)}"
        )
