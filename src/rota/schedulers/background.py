"""The background scheduler: runs in a thread of its own; start() returns at once.

A host only: the loop is the blocking scheduler's.
"""

from __future__ import annotations

from threading import Thread, current_thread

from ..compat.absent import inner_name
from ..util import asbool
from .base import BaseScheduler
from .blocking import BlockingScheduler
from .lifecycle import CLOSING_GRACE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self


class BackgroundScheduler(BlockingScheduler):
    """A scheduler that runs in the background, in a thread of its own.

    Extra option:

    :param daemon: whether the thread is a daemon (default True): the program then ends without waiting for it. Runs under way
        get a few seconds to end
    """

    _thread: Thread | None = None
    _kept_alive_by = (
        "let the main thread wait or work, use a BlockingScheduler if the program does nothing else, "
        "or pass daemon=False"
    )

    def start(self, paused: bool = False) -> Any:
        """Start the scheduler and its thread.

        :param paused: True: process no jobs before :meth:`resume` is called
        """
        self._lifecycle.check_startable()  # before anything that the running loop uses is replaced
        self._prepare_loop()
        BaseScheduler.start(self, paused)
        self._thread = Thread(target=self._main_loop, name="Rota", daemon=self._daemon)
        self._thread.start()

    def shutdown(self, wait: bool = True, timeout: float | None = None) -> Any:
        """Stop; see :meth:`~rota.schedulers.base.BaseScheduler.shutdown`."""
        super().shutdown(wait, timeout)
        thread = self._replacement or self._thread
        if thread is not None and thread is not current_thread() and not self._lifecycle.is_inside():
            thread.join(None if wait and timeout is None else CLOSING_GRACE)  # a pass may hang in a store
            if not thread.is_alive():
                self._thread = self._replacement = None

    def __enter__(self) -> Self:
        return BaseScheduler.__enter__(self)

    def _configure(self, config: dict[str, Any]) -> None:
        self._daemon = asbool(config.pop("daemon", True))
        super()._configure(config)

    def _host_is_alive(self) -> bool:
        thread = self._replacement or self._thread
        return thread is not None and thread.is_alive()


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
