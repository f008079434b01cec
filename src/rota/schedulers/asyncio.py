"""The asyncio scheduler: lives on an asyncio event loop.

A host only: everything but the loop's own calls is in loop.py.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop

from ..compat.absent import inner_name
from ..errors import NoEventLoopError
from ..util import maybe_ref
from .loop import AwaitableScheduler, loop_of_programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable
    from typing import Any

    from ..executors.base import BaseExecutor


class AsyncIOScheduler(AwaitableScheduler):
    """A scheduler that runs on an asyncio event loop.

    Coroutine functions run on the loop, plain functions in threads. ``await scheduler.shutdown()`` waits until the runs
    under way have ended; not awaiting it is fine, too.

    Extra option:

    :param event_loop: the loop, or a textual reference to it; by default the one that runs when :meth:`start` is called
    """

    _current_loop: AbstractEventLoop | None = None
    _given_loop: AbstractEventLoop | None = None

    _eventloop = loop_of_programs()

    def _configure(self, config: dict[str, Any]) -> None:
        self._given_loop = self._current_loop = maybe_ref(config.pop("event_loop", None))
        super()._configure(config)

    def _create_default_executor(self) -> BaseExecutor:
        from ..executors.asyncio import AsyncIOExecutor  # import time

        return AsyncIOExecutor()

    def _find_loop(self) -> None:
        loop = self._given_loop or running_loop()
        if loop is None:
            raise NoEventLoopError(
                "There is no running event loop: call start() inside a coroutine (asyncio.run(main())), or give the "
                "scheduler a loop by AsyncIOScheduler(event_loop=…)"
            )
        if loop.is_closed():
            raise NoEventLoopError(f"The event loop {loop!r} is closed; give the scheduler another one")
        self._current_loop = loop

    def _loop(self) -> AbstractEventLoop:
        assert self._current_loop is not None
        return self._current_loop

    def _asyncio_loop(self) -> AbstractEventLoop:
        return self._loop()

    def _post(self, callback: Callable[[], None]) -> None:
        loop = self._loop()
        if running_loop() is loop:
            loop.call_soon(callback, context=self._base_context)
        else:
            loop.call_soon_threadsafe(callback, context=self._base_context)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        return self._loop().call_later(seconds, callback, context=self._base_context).cancel

    def _on_loop(self) -> bool:
        return self._current_loop is not None and running_loop() is self._current_loop

    def _host_is_alive(self) -> bool:
        return self._current_loop is not None and self._current_loop.is_running()


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
