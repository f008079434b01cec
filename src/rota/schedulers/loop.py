"""What all schedulers share that live on somebody else's event loop: asyncio, Tornado, Twisted, Qt.

A host only: it calls the engine when it is due and never blocks the loop; with a store that does I/O, passes and records
are made on one helper thread, and only the timer is touched on the loop.
"""

from __future__ import annotations

import sys
from abc import abstractmethod
from contextlib import suppress
from queue import SimpleQueue
from threading import Lock, Thread, current_thread, get_ident

from ..clock import SLICE
from ..errors import ConfigurationError, SchedulerAlreadyRunningError, SchedulerNotRunningError
from ..events import EVENT_SCHEDULER_STALLED
from ..interrupts import is_interrupt
from ..logs import GuardedLogger
from .base import STATE_STOPPED, BaseScheduler
from .processes import stop_at_exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from ..engine.completions import Completions
    from ..engine.engine import Engine
    from .event_queue import EventQueue

#: Seconds until the next pass after one that failed outside the engine's own guard.
_RETRY = 1.0


def loop_of_programs() -> Any:
    """Return a property that gives a host's loop, and that programs which were written for APScheduler assign before start()."""

    def read(self: LoopScheduler) -> Any:
        return self._current_loop

    def assign(self: LoopScheduler, loop: Any) -> None:
        self._given_loop = self._current_loop = loop

    return property(read, assign)


class LoopScheduler(BaseScheduler):
    """Base class of the schedulers on a foreign event loop.

    A host says how to post a callback to its loop (thread-safe), how to call one later, whether the caller is on the
    loop's thread, and where its loop is.
    """

    #: the loop, and the one that the program has given, where the host needs one
    _current_loop: Any = None
    _given_loop: Any = None
    _timer: Callable[[], object] | None = None
    _woken = False
    _kept_alive_by = "its event loop has to go on, in asyncio by `await asyncio.Event().wait()` at the end of main(), for example"
    #: tells the caller of shutdown() on the loop that all is done
    _notify: Callable[[], None] | None = None

    def __init__(
        self, gconfig: Mapping[str, Any] = {}, **options: Any
    ) -> None:  # APScheduler's signature; never changed
        self._helper = _HelperThread(GuardedLogger("rota.scheduler"))
        super().__init__(gconfig, **options)

    def start(self, paused: bool = False) -> Any:
        """Start on the loop; jobs are processed as soon as the loop runs.

        :param paused: True: process no jobs before :meth:`resume` is called
        :raises SchedulerAlreadyRunningError: if the scheduler is running, or a shutdown needs the loop to end
        """
        self._lifecycle.check_startable()
        if not self._lifecycle.closed.is_set() and self._on_loop():
            raise SchedulerAlreadyRunningError(
                "The scheduler is still shutting down, and waiting for that here would block the loop; await what "
                "shutdown() returned before you call start()"
            )
        self._find_loop()
        self._base_context = self._context.copy()
        self._helper = _HelperThread(self._log)
        self._aside = self._again = self._woken = False
        self._timer = None  # one that an ended loop has left behind
        super().start(paused)
        self.wakeup()  # a paused scheduler looks after its stores, too

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`.

        On the loop's thread it returns at once, since the runs under way may need the loop to end: no run starts any
        more, and the rest happens while the loop goes on. In a coroutine on another asyncio loop it returns at once, too, and
        what it returns can be awaited there. In any other thread it waits, and returns None, as other schedulers do.
        """
        elsewhere = None if self._on_loop() else _running_loop()
        if elsewhere is None and not self._on_loop():
            super().shutdown(wait, timeout)
            return None
        self._stop_claiming(timeout)
        signal, notify = self._finish_signal() if elsewhere is None else _future_on(elsewhere)
        if self._lifecycle.is_inside():
            self._lifecycle.drain_aside(wait, timeout)
            if notify is not None:
                notify()  # the caller cannot wait for its own end
            return signal
        self._notify = notify
        if self._draining_takes_time():
            self._lifecycle.drain_aside(wait, timeout)
        else:
            self._drain(wait, timeout)
        return signal

    def _may_wait(self) -> bool:
        return not self._on_loop() and super()._may_wait()

    def _draining_takes_time(self) -> bool:
        if self._lifecycle.require_engine().in_flight or self._lifecycle.ticks_may_block:
            return True
        return any(executor.slow_to_stop for executor in self._executors.values())

    def wakeup(self) -> None:
        """Make the loop look for due jobs soon. Thread-safe."""
        if not self._woken and self.state != STATE_STOPPED:
            self._woken = True
            try:
                self._post(self._tick)
            except RuntimeError as exc:
                self._log.warning(
                    "The event loop of the scheduler is gone (%s); no more jobs are processed", exc
                )

    def _dispatch_event(self, event: Any) -> None:
        """Call the listeners, on the loop's thread if the caller is none of the program's threads."""
        if self._in_own_thread() and not self._on_loop():
            self._enqueue_event(event)
        else:
            super()._dispatch_event(event)

    _dispatch_event.is_rotas = True  # type: ignore[attr-defined]

    def _enqueue_event(self, event: Any) -> None:
        super()._enqueue_event(event)
        if event.code == EVENT_SCHEDULER_STALLED and not self._aside:
            # The loop stands still: for once, listeners are told elsewhere.
            for queue in self._listening.queues:
                if not queue.is_empty:
                    queue.pump_in_thread()

    def _pump_soon(self, queue: EventQueue) -> None:
        try:
            self._post(queue.pump)
        except RuntimeError:  # the loop is closed; the listeners get the events all the same
            queue.pump_in_thread()

    def _wait_for_listener(self, queue: EventQueue) -> bool:
        if self._on_loop() or not self._host_is_alive():
            queue.pump()
        return super()._wait_for_listener(queue)

    def _in_own_thread(self) -> bool:
        life = self._lifecycle
        return self._helper.is_current() or life.ticking == get_ident() or life.drainer is current_thread()

    # -- what a host implements ----------------------------------------------------------------------------------

    @abstractmethod
    def _find_loop(self) -> None:
        """Take hold of the loop at every start; raise if there is none."""

    @abstractmethod
    def _post(self, callback: Callable[[], None]) -> None:
        """Call something on the loop's thread soon. Thread-safe; raises RuntimeError if the loop is closed."""

    @abstractmethod
    def _call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        """Call something on the loop after a time; only used on the loop's thread.

        :return: a function that calls it off
        """

    @abstractmethod
    def _on_loop(self) -> bool:
        """Whether the caller is on the loop's thread."""

    def _finish_signal(self) -> tuple[Any, Callable[[], None] | None]:
        """Return what shutdown() gives its caller to wait for (or None), and what makes it come true, in any thread."""
        return None, None

    # -- passes --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Make a pass, here or on the helper thread; called on the loop's thread only."""
        self._woken = False
        self._stop_timer()
        if self.state == STATE_STOPPED:
            return
        if self._aside:
            self._again = True
        elif self._lifecycle.ticks_may_block:
            self._aside = True
            self._helper.call(self._tick_aside)
        else:
            wait: float | None = _RETRY
            try:
                wait = self._guarded_pass()
            finally:  # Ctrl-C goes through, and the next pass comes all the same
                self._start_timer(wait)

    def _tick_aside(self) -> None:
        wait: float | None = _RETRY
        try:
            wait = self._guarded_pass()
        finally:
            self._post_if_alive(lambda: self._after_tick_aside(wait))

    def _after_tick_aside(self, wait: float | None) -> None:
        self._aside = False
        if self._again:
            self._again = False
            self._tick()
        elif not self._woken:
            self._start_timer(wait)

    def _guarded_pass(self) -> float | None:
        try:
            return self._base_context.copy().run(self._process_jobs)
        except BaseException as exc:  # an overridden _process_jobs() may raise anything
            if is_interrupt(exc):
                raise
            self._log.exception("A pass over the job stores failed; trying again")
            return _RETRY

    def _start_timer(self, wait: float | None) -> None:
        self._stop_timer()
        if self.state != STATE_STOPPED:
            seconds = SLICE if wait is None else min(max(wait, 0.0), SLICE)
            self._timer = self._call_later(seconds, self._tick)

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer()

    def _post_if_alive(self, callback: Callable[[], None]) -> None:
        try:
            self._post(callback)
        except RuntimeError:
            pass  # the loop is closed: it has no timer any more, and nobody on it waits

    # -- opening and closing -------------------------------------------------------------------------------------

    def _open(self) -> None:
        super()._open()
        self._lifecycle.require_engine().set_offload(self._helper.call, self._at_end_of_turn)

    def _at_end_of_turn(self, work: Callable[[], None]) -> None:
        """Do something after the callbacks that the loop has at hand; in other threads at once."""
        if self._on_loop():
            try:
                self._post(work)
                return
            except RuntimeError:
                pass  # the loop is closed
        work()

    def _stop_claiming(self, timeout: Any = None) -> None:
        super()._stop_claiming(timeout)
        self._post_if_alive(self._stop_idle_timer)

    def _stop_idle_timer(self) -> None:
        if self.state == STATE_STOPPED:
            self._stop_timer()

    def _drain(self, wait: bool = True, timeout: float | None = None) -> None:
        # Once it is over, start() may make a new helper and a new signal.
        helper, notify = self._helper, self._notify
        self._notify = None
        try:
            super()._drain(wait, timeout)
        finally:
            helper.stop()
            if notify is not None:
                notify()

    def _wait_idle(
        self, ends: Engine | Completions, timeout: float | None, wanted: Callable[[], bool] | None = None
    ) -> bool:
        def look() -> bool:
            if self.state == STATE_STOPPED and not self._host_is_alive():
                self._end_what_is_left_on_the_loop()
            return wanted is None or wanted()

        return super()._wait_idle(ends, timeout, look)

    def _end_what_is_left_on_the_loop(self) -> None:
        from ..executors.base import NativeExecutor  # rare

        for executor in self._lifecycle.registry.executors().values():
            if isinstance(executor, NativeExecutor):
                executor.loop_has_ended()

    def _stop_at_exit(self) -> None:
        # Where the loop has ended, what was under way on it ends only if it is cancelled.
        stop_at_exit(self._lifecycle, self._host_is_alive())

    def _stop_in_child(self) -> None:
        super()._stop_in_child()
        self._timer = self._notify = None


class AwaitableScheduler(LoopScheduler):
    """Base class of the schedulers whose :meth:`shutdown` can be awaited on their loop, and that have an ``async with`` form."""

    def __enter__(self) -> Self:
        """Refuse: on the loop, leaving a plain ``with`` statement could not wait for the runs.

        :raises ConfigurationError: saying what to write instead
        """
        raise ConfigurationError(
            f"A {type(self).__name__} has no plain with form, as leaving it could not wait on the loop; write "
            f"`async with {type(self).__name__}() as scheduler:`"
        )

    async def __aenter__(self) -> Self:
        """Start the scheduler, unless it runs already."""
        if not self.running:
            self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Shut the scheduler down, unless somebody has, and wait for the runs under way."""
        with suppress(SchedulerNotRunningError):
            await self.shutdown()

    @abstractmethod
    def _asyncio_loop(self) -> Any:
        """Return the asyncio loop."""

    def _finish_signal(self) -> tuple[Any, Callable[[], None] | None]:
        return _future_on(self._asyncio_loop())


def _running_loop() -> Any:
    """Return the asyncio loop that runs in the calling thread, or None."""
    asyncio = sys.modules.get("asyncio")  # not loaded for nothing by hosts without it
    return None if asyncio is None else asyncio._get_running_loop()


def _future_on(loop: Any) -> tuple[Any, Callable[[], None]]:
    """Return a future of an asyncio loop, and what sets it, in any thread."""
    future = loop.create_future()

    def set_it() -> None:
        if not future.done():
            future.set_result(None)

    def finished() -> None:
        try:
            loop.call_soon_threadsafe(set_it)
        except RuntimeError:
            pass  # the loop is closed, and nobody on it waits

    return future, finished


class _HelperThread:
    """One thread that does what may block, in the order in which it is asked; it is started when there is something."""

    def __init__(self, logger: GuardedLogger) -> None:
        self._logger = logger
        self._lock = Lock()
        self._thread: Thread | None = None
        self._calls: SimpleQueue[Callable[[], object] | None] = SimpleQueue()

    def call(self, work: Callable[[], object]) -> None:
        """Do something on the thread, after everything before it; does not wait. Thread-safe."""
        with self._lock:
            if self._thread is None:
                self._thread = Thread(target=self._main, name="rota-helper", daemon=True)
                self._thread.start()
            self._calls.put(work)

    def stop(self) -> None:
        """End the thread after what it has been asked for; waits, except on the thread itself."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._calls.put(None)
        if thread is not None and thread is not current_thread():
            thread.join()

    def is_current(self) -> bool:
        """Whether the caller is on this thread."""
        return self._thread is current_thread()

    def _main(self) -> None:
        while True:
            work = self._calls.get()
            if work is None:
                return
            try:
                work()
            except BaseException:
                self._logger.exception("Error in the helper thread of the scheduler")
            del work  # a waiting thread keeps nothing alive
