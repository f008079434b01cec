"""The executor of TornadoScheduler: coroutine functions run on its IOLoop, plain functions in threads.

Everything it does is in loop_executor.py; it only knows where the scheduler keeps its loop.
"""

from __future__ import annotations

from ..compat.absent import inner_name
from .loop_executor import LoopExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any

__all__ = ("TornadoExecutor",)


class TornadoExecutor(LoopExecutor):
    """Runs jobs on the scheduler's IOLoop.

    Coroutine functions become tasks; plain functions run in threads, so that they never block the loop.

    :param max_workers: the maximum number of threads for plain functions
    """

    def __init__(self, max_workers: int = 10) -> None:
        super().__init__(max_workers)

    def _loop_of(self, scheduler: Any) -> AbstractEventLoop:
        loop: AbstractEventLoop = scheduler._ioloop.asyncio_loop
        return loop


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
