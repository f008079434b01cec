"""The process pool as users see it; the workers are looked after in process_supervisor.py.

It holds no process itself, and does not use concurrent.futures, whose pool breaks as a whole when one worker dies.
"""

from __future__ import annotations

import threading
from multiprocessing import get_context
from os import getpid

from ..errors import ConfigurationError, UnknownOptionError
from .base import NativeExecutor, chain
from .process_supervisor import Settings, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..core.run import Run
    from .base import Done

__all__ = ("ProcessPoolExecutor",)

_POOL_OPTIONS = ("mp_context", "initializer", "initargs", "max_tasks_per_child")


class ProcessPoolExecutor(NativeExecutor):
    """Runs jobs in worker processes; coroutine functions run on an event loop inside the worker.

    Callables, arguments and return values are pickled. Workers are started when there is work for them. Cancelling
    terminates the workers that are busy.

    :param max_workers: the maximum number of processes
    :param pool_kwargs: ``mp_context`` (a multiprocessing context or the name of a start method, default "spawn"),
        ``initializer``, ``initargs`` and ``max_tasks_per_child``, as concurrent.futures has them
    :raises ConfigurationError: if ``max_workers`` or ``max_tasks_per_child`` is not positive, or the start method
        unknown
    :raises UnknownOptionError: if ``pool_kwargs`` holds anything else
    """

    slow_to_stop = True

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        self.max_workers = int(max_workers)
        if self.max_workers <= 0:
            raise ConfigurationError(f"max_workers must be a positive integer, got {max_workers!r}")
        options = dict(pool_kwargs or {})
        for name in options:
            if name not in _POOL_OPTIONS:
                raise UnknownOptionError(
                    f"pool_kwargs has no option {name!r} for processes; it takes {', '.join(_POOL_OPTIONS)}"
                )
        context = options.get("mp_context") or "spawn"
        if isinstance(context, str):
            try:
                context = get_context(context)
            except ValueError as exc:
                raise ConfigurationError(f"pool_kwargs['mp_context']: {exc}") from exc
        limit = options.get("max_tasks_per_child")
        if limit is not None and int(limit) <= 0:
            raise ConfigurationError(
                f"pool_kwargs['max_tasks_per_child'] must be positive or None, got {limit!r}"
            )
        self._settings = Settings(
            self.max_workers,
            context,
            options.get("initializer"),
            tuple(options.get("initargs", ())),
            None if limit is None else int(limit),
        )
        self._start_lock = threading.Lock()
        self._supervisor: Supervisor | None = None

    def forked(self) -> None:
        """Leave the workers to the parent process."""
        super().forked()
        self._start_lock = threading.Lock()
        self._supervisor = None

    def capacity(self) -> int:
        """Return room for the free workers and about a tenth of a second of work, at the pace of the runs so far."""
        supervisor = self._supervisor
        return self.max_workers if supervisor is None else supervisor.room()

    def roomy(self) -> bool:
        """Whether so much room has come free that another pass of the engine pays."""
        supervisor = self._supervisor
        return supervisor is None or supervisor.roomy()

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Queue runs for the workers."""
        with self._start_lock:
            supervisor = self._supervisor
            if supervisor is None or supervisor.pid != getpid():
                supervisor = self._supervisor = Supervisor(self._settings, self._clock, self._logger)
            supervisor.add([(head, done) for head in runs], sum(len(chain(head)) for head in runs))

    def shutdown(self, wait: bool = True) -> None:
        """End the workers after what is queued; with ``wait``, wait for that."""
        with self._start_lock:
            supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None and supervisor.pid == getpid():
            supervisor.stop()
            if wait and supervisor.thread is not threading.current_thread():
                supervisor.thread.join()

    def cancel(self) -> None:
        """End queued runs as cancelled, and terminate the workers whose runs are under way."""
        supervisor = self._supervisor
        if supervisor is not None and supervisor.pid == getpid():
            supervisor.cancel()
