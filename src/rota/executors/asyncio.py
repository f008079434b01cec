"""The executor of AsyncIOScheduler: coroutine functions run as tasks on its event loop, plain functions in threads.

Everything it does is in loop_executor.py; it only knows where the scheduler keeps its loop.
"""

from __future__ import annotations

from ..compat.absent import inner_name
from .loop_executor import LoopExecutor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any

__all__ = ("AsyncIOExecutor",)


class AsyncIOExecutor(LoopExecutor):
    """Runs jobs on the scheduler's event loop.

    Coroutine functions become tasks; plain functions run in a pool of ten threads, so that they never block the loop.
    """

    def __init__(self) -> None:
        super().__init__()

    def _loop_of(self, scheduler: Any) -> AbstractEventLoop:
        loop: AbstractEventLoop = scheduler._eventloop
        return loop


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
