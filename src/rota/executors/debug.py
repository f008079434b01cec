"""The debug executor: jobs run at once, in the thread that submits them.

It starts no thread, except for coroutines that are submitted from a running event loop.
"""

from __future__ import annotations

from ..compat.absent import inner_name
from ..core.run import time_of
from ..interrupts import is_interrupt
from .base import NativeExecutor
from .steps import perform_coroutine, record_failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from ..core.run import Run
    from .steps import Done

__all__ = ("DebugExecutor",)


class DebugExecutor(NativeExecutor):
    """Runs each job in the scheduler's own thread before anything else happens; for tests and debuggers."""

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out, one after another; they have ended when this returns."""
        left = iter(runs)
        then: Run | None = None
        context, clock, log = self._context, self._clock, self._log
        try:
            for head in left:
                run: Run | None = head
                while run is not None:
                    then = run.then  # done() unlinks the run
                    try:
                        coroutine = self._perform(run, context, clock, log)
                        if coroutine is not None:
                            self._complete(run, coroutine)
                    except BaseException as exc:  # what a coroutine left on its loop, or Ctrl-C
                        if not run.ended:
                            record_failure(run, exc, time_of(run, clock), log)
                        if is_interrupt(exc):
                            raise
                    finally:
                        self._report(run, done)
                    run = then
        except BaseException:  # Ctrl-C: what has not begun does not begin
            for head in (*(() if then is None else (then,)), *left):
                self._cancel_group(head, done)
            raise

    def _complete(self, run: Run, coroutine: Coroutine[Any, Any, Any]) -> None:
        from asyncio import Runner, _get_running_loop  # rare

        if _get_running_loop() is None:
            with Runner() as runner:
                work = perform_coroutine(run, coroutine, self._clock, self._log)
                runner.run(work, context=self._context.copy())
            return
        # A thread runs one event loop at a time, so this one waits for another thread's.
        from threading import Event  # rare

        from .loop_thread import LoopThread  # import time

        thread, ended = LoopThread(), Event()
        thread.submit(run, coroutine, ended.set, self._clock, self._log, self._context)
        ended.wait()
        thread.stop()


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
