"""The gevent scheduler: runs in a greenlet.

A host only: the loop is the blocking scheduler's; here its waits give way to other greenlets.
"""

from __future__ import annotations

from threading import get_ident

from ..clock import SLICE
from ..compat.absent import inner_name
from ..errors import MissingExtraError
from ..interrupts import is_interrupt
from .base import STATE_STOPPED, BaseScheduler
from .blocking import BlockingScheduler

try:
    import gevent
    from gevent.event import Event
    from gevent.lock import RLock
    from gevent.monkey import get_original, is_module_patched
except ImportError as exc:
    raise MissingExtraError("GeventScheduler", "gevent") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from ..engine.completions import Completions
    from ..engine.engine import Engine
    from ..engine.store_state import StoreState
    from ..executors.base import BaseExecutor
    from ..logs import GuardedLogger
    from .event_queue import EventQueue

#: Seconds between two looks for the end of a shutdown.
_POLL = 0.01


class GeventScheduler(BlockingScheduler):
    """A scheduler that runs as a greenlet; jobs are greenlets, too.

    A pass over a store that does I/O does not block the hub: in a program with patched sockets the store's own waits give
    way, in others the pass is made by a thread of the hub's pool.
    """

    _greenlet: Any = None
    _kept_alive_by = "join the greenlet that start() returns, or whatever else the program waits for"
    _hub: Any = None
    #: the hub's thread
    _thread: int | None = None

    def __init__(
        self, gconfig: Mapping[str, Any] = {}, **options: Any
    ) -> None:  # APScheduler's signature; never changed
        #: set while no pass is under way
        self._at_rest = Event()
        self._at_rest.set()
        super().__init__(gconfig, **options)

    def start(self, paused: bool = False) -> Any:
        """Start the scheduler in a greenlet of the calling thread's hub.

        :param paused: True: process no jobs before :meth:`resume` is called
        :return: the greenlet; it ends when the scheduler has been shut down
        """
        self._lifecycle.check_startable()  # before anything that the running loop uses is replaced
        while not self._lifecycle.closed.is_set():  # a shutdown that nobody waited for
            gevent.sleep(_POLL)
        self._hub = gevent.get_hub()
        self._thread = _native_ident()
        self._event = Event()
        BaseScheduler.start(self, paused)
        self._greenlet = gevent.spawn(self._main_loop)
        return self._greenlet

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`. Other greenlets run while it waits."""
        inside = self.state != STATE_STOPPED and self._lifecycle.is_inside()
        if self._on_other_thread():
            self._call_on_hub(self._shut_down, wait, timeout, inside)
        else:
            self._shut_down(wait, timeout, inside)

    def _shut_down(self, wait: bool, timeout: float | None, inside: bool) -> None:
        if inside:
            self._stop_claiming(timeout)
            self._lifecycle.drain_aside(wait, timeout)
            return
        BaseScheduler.shutdown(self, wait, timeout)
        if self._greenlet is not None and gevent.getcurrent() is not self._greenlet:
            self._greenlet.join()

    def __enter__(self) -> Self:
        return BaseScheduler.__enter__(self)

    def wakeup(self) -> None:
        """Make the greenlet look for due jobs now. Thread-safe."""
        if self._hub is not None:
            self._hub.loop.run_callback_threadsafe(self._event.set)

    def _create_lock(self) -> Any:
        return RLock()

    def _create_default_executor(self) -> BaseExecutor:
        from ..executors.gevent import GeventExecutor  # import time

        return GeventExecutor()

    def _make_engine_logger(self) -> GuardedLogger:
        from ..logs import given_logger  # import time
        from .queued_logger import QueuedLogger  # import time

        logger = QueuedLogger(given_logger(self) or self._logger)
        if is_module_patched("threading"):
            # Its thread is a greenlet of this hub. Started by a native one, it would be of a hub that nobody runs.
            logger.queue.pump_in_thread()
        return logger

    def _dispatch_event(self, event: Any) -> None:
        """Call the listeners, in the hub's thread if this is a pass in a thread of its pool."""
        if self._on_other_thread() and self._lifecycle.ticking == get_ident():
            self._enqueue_event(event)
        else:
            super()._dispatch_event(event)

    _dispatch_event.is_rotas = True  # type: ignore[attr-defined]

    def _pump_soon(self, queue: EventQueue) -> None:
        self._hub.loop.run_callback_threadsafe(gevent.spawn, queue.pump)

    def _wait_for_listener(self, queue: EventQueue) -> bool:
        if not self._on_other_thread():
            gevent.sleep(_POLL)
        return queue.is_empty or (self._on_other_thread() and super()._wait_for_listener(queue))

    # -- passes --------------------------------------------------------------------------------------------------

    def _main_loop(self) -> None:
        event = self._event
        while self.state != STATE_STOPPED:
            event.clear()
            wait = self._guarded_pass()
            if wait is None or wait > 0:
                event.wait(SLICE if wait is None else min(wait, SLICE))
            else:
                gevent.sleep(0)

    def _guarded_pass(self) -> float | None:
        self._at_rest.clear()
        try:
            if self._lifecycle.ticks_may_block and not _patched():
                waited: float | None = self._hub.threadpool.apply(self._process_jobs)
                return waited
            return self._process_jobs()
        except BaseException as exc:  # an overridden _process_jobs() may raise anything
            if is_interrupt(exc):
                raise
            self._log.exception("A pass over the job stores failed; trying again")
            return 1.0
        finally:
            self._at_rest.set()

    def _offload(self, work: Callable[[], object]) -> None:
        """Record ended runs where waiting for the store does not block the hub."""
        if _patched():
            self._hub.loop.run_callback_threadsafe(gevent.spawn, work)
        else:
            self._hub.loop.run_callback_threadsafe(self._hub.threadpool.spawn, work)

    def _replace_pass(self) -> bool:
        return False  # it hangs in the hub, as everything else does

    # -- opening and closing -------------------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        engine = self._lifecycle.require_engine()
        engine.set_offload(self._offload)
        if _patched():  # a patched socket belongs to the hub of the thread that made it
            engine.where_sockets_are = self._call_on_hub

    def _drain(self, wait: bool = True, timeout: float | None = None) -> None:
        if not self._on_other_thread():
            self._at_rest.wait()
        super()._drain(wait, timeout)

    def _do_aside(self, work: Callable[[], object]) -> Any:
        if self._on_other_thread():
            return self._hub.loop.run_callback_threadsafe(gevent.spawn, work)
        return gevent.spawn(work)

    def _wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        if is_module_patched("threading") or self._on_other_thread():
            return super()._wait_idle(ends, timeout, wanted)
        idle: bool = self._hub.threadpool.apply(super()._wait_idle, (ends, timeout, wanted))
        return idle

    def _finish_removal(self, state: StoreState) -> None:
        if self._on_other_thread():
            self._call_on_hub(self._finish_removal, state)
        else:
            self._at_rest.wait()
            super()._finish_removal(state)

    def _wait_closed(self, seconds: float) -> bool:
        if not self._lifecycle.closed.is_set():
            with gevent.Timeout(seconds, False):
                while not self._lifecycle.closed.is_set():
                    gevent.sleep(_POLL)
        return self._lifecycle.closed.is_set()

    def _wait_for_event(self, event: Any, seconds: float) -> bool:
        if self._on_other_thread():
            return bool(event.wait(seconds))
        with gevent.Timeout(seconds, False):
            while not event.is_set():  # it may be set by a thread of its own, of which no greenlet hears
                gevent.sleep(_POLL)
        return bool(event.is_set())

    def _on_other_thread(self) -> bool:
        return self._thread is not None and _native_ident() != self._thread

    def _call_on_hub(self, call: Callable[..., None], *args: Any) -> None:
        """Call something in a greenlet of the hub from another thread, and wait for its end."""
        ended = get_original("threading", "Event")()
        errors: list[BaseException] = []

        def run() -> None:
            try:
                call(*args)
            except BaseException as exc:  # it belongs to the waiting thread
                errors.append(exc)
            finally:
                ended.set()

        self._hub.loop.run_callback_threadsafe(gevent.spawn, run)
        ended.wait()
        if errors:
            raise errors[0]


def _native_ident() -> int:
    ident: int = get_original("_thread", "get_ident")()
    return ident


def _patched() -> bool:
    """Whether what waits for a socket gives way to other greenlets."""
    patched: bool = is_module_patched("socket")
    return patched


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
