"""The Tornado scheduler: lives on a Tornado IOLoop.

A host only: everything but the loop's own calls is in loop.py.
"""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop
from functools import partial

from ..compat.absent import inner_name
from ..errors import MissingExtraError
from ..util import maybe_ref
from .loop import AwaitableScheduler, loop_of_programs

try:
    from tornado.ioloop import IOLoop
except ImportError as exc:
    raise MissingExtraError("TornadoScheduler", "tornado") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..executors.base import BaseExecutor


class TornadoScheduler(AwaitableScheduler):
    """A scheduler that runs on a Tornado IOLoop.

    Coroutine functions run on the loop, plain functions in threads. ``await scheduler.shutdown()`` waits until the runs
    under way have ended; not awaiting it is fine, too.

    Extra option:

    :param io_loop: the IOLoop, or a textual reference to it; by default the current one when :meth:`start` is called
    """

    _current_loop: IOLoop | None = None
    _given_loop: IOLoop | None = None

    _ioloop = loop_of_programs()

    def _configure(self, config: dict[str, Any]) -> None:
        self._given_loop = self._current_loop = maybe_ref(config.pop("io_loop", None))
        super()._configure(config)

    def _create_default_executor(self) -> BaseExecutor:
        from ..executors.tornado import TornadoExecutor  # import time

        return TornadoExecutor()

    def _find_loop(self) -> None:
        self._current_loop = self._given_loop or IOLoop.current()

    def _loop(self) -> IOLoop:
        assert self._current_loop is not None
        return self._current_loop

    def _post(self, callback: Callable[[], None]) -> None:
        self._loop().add_callback(callback)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        loop = self._loop()
        return partial(loop.remove_timeout, loop.call_later(seconds, callback))

    def _asyncio_loop(self) -> Any:
        return getattr(self._current_loop, "asyncio_loop", None)

    def _on_loop(self) -> bool:
        loop = self._asyncio_loop()
        return loop is not None and running_loop() is loop

    def _host_is_alive(self) -> bool:
        loop = self._asyncio_loop()
        return loop is not None and bool(loop.is_running())


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
