"""What a scheduler has around its calls: its middleware. Its executors are told when that changes.

It calls nothing of it; :mod:`rota.executors.around` does, where the runs are carried out.
"""

from __future__ import annotations

from ..executors.around import Calls, named_middleware

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..executors.around import Middleware
    from .hooks import Hooks


class Around:
    """The middleware of one scheduler.

    :param scheduler: the scheduler, for its executors
    :ivar calls: how its executors call jobs; None: plainly
    """

    def __init__(self, scheduler: Hooks) -> None:
        self._scheduler = scheduler
        self._middleware: tuple[Middleware, ...] = ()
        self.calls: Calls | None = None

    def add_middleware(self, around: Any) -> None:
        """Enter a middleware inside those that are there already, from the next call on.

        :raises OptionTypeError: if it is none
        :raises ConfigurationError: if there is a process pool, and its workers could not import it
        """
        named = named_middleware(around)
        with self._scheduler._executors_lock:
            self._choose((*self._middleware, named))

    def _choose(self, middleware: tuple[Middleware, ...]) -> None:
        """Have all executors call jobs inside this middleware; if one of them cannot, all stays as it was."""
        calls = Calls(middleware) if middleware else None
        executors = list(self._scheduler._executors.values())
        try:
            for executor in executors:
                executor.use_calls(calls)
        except BaseException:
            for executor in executors:
                executor.use_calls(self.calls)
            raise
        self._middleware, self.calls = middleware, calls
