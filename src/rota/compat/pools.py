"""``_pool`` of the pool executors, as programs see it: the interface of concurrent.futures.

A pool of concurrent.futures is made only for programs that submit to it. It knows only the attributes of its executor.
"""

from __future__ import annotations

from ..errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor, Future
    from typing import Any


class PoolView:
    """What programs see as ``_pool`` of a thread or process pool of Rota's.

    :param executor: whose it is
    :param make: makes a pool of concurrent.futures of that kind, for those who submit to it by themselves
    """

    def __init__(self, executor: Any, make: Callable[[], Executor]) -> None:
        self._executor = executor
        self._make = make
        self._own: Executor | None = None

    @property
    def _max_workers(self) -> int:
        workers: int = self._executor.max_workers
        return workers

    @_max_workers.setter
    def _max_workers(self, value: int) -> None:
        if value <= 0:
            raise ConfigurationError(f"_max_workers must be a positive integer, got {value!r}")
        self._executor.max_workers = value

    @property
    def _threads(self) -> set[Any]:
        return set(self._executor._threads)

    @property
    def _work_queue(self) -> Any:
        return self._executor._queue

    @property
    def _shutdown(self) -> bool:
        stopped: bool = self._executor._stopped
        return stopped

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Have something called in a worker of the program's own pool; see :class:`concurrent.futures.Executor`."""
        return self._mine().submit(fn, *args, **kwargs)

    def map(self, fn: Callable[..., Any], *iterables: Any, **options: Any) -> Any:
        """Have something called for each item; see :class:`concurrent.futures.Executor`."""
        return self._mine().map(fn, *iterables, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the pool that was made for the program, if there is one."""
        own, self._own = self._own, None
        if own is not None:
            own.shutdown(wait, cancel_futures=cancel_futures)

    def _mine(self) -> Executor:
        if self._own is None:
            self._own = self._make()
        return self._own

    def __repr__(self) -> str:
        return f"<_pool of {self._executor!r}>"
