"""The Twisted scheduler: lives on a Twisted reactor.

A host only: everything but the reactor's own calls is in loop.py.
"""

from __future__ import annotations

from ..compat.absent import inner_name
from ..errors import MissingExtraError
from ..util import maybe_ref
from .loop import LoopScheduler, loop_of_programs

try:
    from twisted.internet.defer import Deferred
    from twisted.python.threadable import isInIOThread
except ImportError as exc:
    raise MissingExtraError("TwistedScheduler", "twisted") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..executors.base import BaseExecutor


class TwistedScheduler(LoopScheduler):
    """A scheduler that runs on a Twisted reactor.

    Plain functions run in the reactor's thread pool, coroutine functions on the reactor. On the reactor's thread
    :meth:`shutdown` returns a Deferred that fires when the runs under way have ended.

    Extra option:

    :param reactor: the reactor, or a textual reference to it; by default the global one, which is installed when
        :meth:`start` is called if the program has not chosen one by then
    """

    _reactor = loop_of_programs()

    def _configure(self, config: dict[str, Any]) -> None:
        self._given_loop = self._current_loop = maybe_ref(config.pop("reactor", None))
        super()._configure(config)

    def _create_default_executor(self) -> BaseExecutor:
        from ..executors.twisted import TwistedExecutor  # import time

        return TwistedExecutor()

    def _find_loop(self) -> None:
        if self._given_loop is not None:
            self._current_loop = self._given_loop
        else:
            from twisted.internet import reactor  # optional

            self._current_loop = reactor

    def _post(self, callback: Callable[[], None]) -> None:
        self._current_loop.callFromThread(callback)

    def _call_later(self, seconds: float, callback: Callable[[], None]) -> Callable[[], object]:
        delayed = self._current_loop.callLater(seconds, callback)

        def call_off() -> None:
            if delayed.active():
                delayed.cancel()

        return call_off

    def _on_loop(self) -> bool:
        return self._current_loop is not None and self._current_loop.running and bool(isInIOThread())  # type: ignore[no-untyped-call]

    def _host_is_alive(self) -> bool:
        return self._current_loop is not None and bool(self._current_loop.running)

    def _finish_signal(self) -> tuple[Any, Callable[[], None] | None]:
        finished: Deferred[None] = Deferred()

        def fire() -> None:
            self._post_if_alive(lambda: finished.callback(None))

        return finished, fire


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
