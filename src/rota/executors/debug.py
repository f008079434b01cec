"""The debug executor: jobs run at once, in the thread that submits them.

It starts no thread, except for coroutines that are submitted from a running event loop.
"""

from __future__ import annotations

from .base import NativeExecutor, perform, perform_coroutine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from typing import Any

    from ..core.run import Run
    from .base import Done

__all__ = ("DebugExecutor",)


class DebugExecutor(NativeExecutor):
    """Runs each job in the scheduler's own thread before anything else happens; for tests and debuggers."""

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out, one after another; they have ended when this returns."""
        for head in runs:
            run: Run | None = head
            while run is not None:
                then = run.then  # done() unlinks the run
                coroutine = perform(run, self._context, self._clock, self._logger)
                if coroutine is not None:
                    self._complete(run, coroutine)
                done(run)
                run = then

    def _complete(self, run: Run, coroutine: Coroutine[Any, Any, Any]) -> None:
        from asyncio import Runner, _get_running_loop

        if _get_running_loop() is None:
            with Runner() as runner:
                work = perform_coroutine(run, coroutine, self._clock, self._logger)
                runner.run(work, context=self._context.copy())
            return
        # A thread runs one event loop at a time, so this one waits for another thread's.
        from threading import Event

        from .loop_thread import LoopThread

        thread, ended = LoopThread(), Event()
        thread.submit(run, coroutine, ended.set, self._clock, self._logger, self._context)
        ended.wait()
        thread.stop()
