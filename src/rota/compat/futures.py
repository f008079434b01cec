"""``_pending_futures`` of the asyncio executor: what it has under way, as futures that programs await before they stop.

It looks at what it is given of the executor; it starts and ends no run.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, MutableSet

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable
    from typing import Any

    from ..core.run import Run

#: Seconds between two checks whether a run that is not a task has ended: a plain function in its thread.
_LOOK = 0.01


class PendingFutures(MutableSet["asyncio.Future[Any]"]):
    """A live set: the tasks of coroutines, futures of everything else that is under way, and what a program's own methods add.

    :param tasks: the tasks under way
    :param others: returns the runs under way that are not tasks
    :param loop: returns the loop, None if there is none yet
    """

    __slots__ = ("_added", "_loop", "_others", "_tasks", "_watches")

    def __init__(
        self,
        tasks: Collection[asyncio.Future[Any]],
        others: Callable[[], Iterable[Run]],
        loop: Callable[[], asyncio.AbstractEventLoop | None],
    ) -> None:
        self._tasks = tasks
        self._others = others
        self._loop = loop
        self._added: set[asyncio.Future[Any]] = set()
        #: the futures of runs that are not tasks, by the identities of the runs
        self._watches: dict[int, asyncio.Future[Any]] = {}

    _from_iterable = set  # what set operations make

    def add(self, value: asyncio.Future[Any]) -> None:
        """Add a future of the program's own, as an overridden _do_submit_job() does."""
        self._added.add(value)

    def discard(self, value: asyncio.Future[Any]) -> None:
        """Remove such a future."""
        self._added.discard(value)

    def __iter__(self) -> Iterator[asyncio.Future[Any]]:
        return iter(self._current())

    def __len__(self) -> int:
        return len(self._tasks) + len(self._added) + sum(1 for _ in self._others())

    def __contains__(self, value: object) -> bool:
        return value in self._tasks or value in self._added or value in self._watches.values()

    def __repr__(self) -> str:
        return f"<{len(self)} pending futures>"

    def _current(self) -> list[asyncio.Future[Any]]:
        found: list[asyncio.Future[Any]] = [*self._tasks, *self._added]
        loop = self._loop()
        if loop is not None and asyncio._get_running_loop() is loop:
            found += [self._watch(run, loop) for run in self._others()]
        return found

    def _watch(self, run: Run, loop: asyncio.AbstractEventLoop) -> asyncio.Future[Any]:
        watch = self._watches.get(id(run))
        if watch is None:
            watch = self._watches[id(run)] = loop.create_task(_end_of(run))
            watch.add_done_callback(lambda _: self._watches.pop(id(run), None))
        return watch


async def _end_of(run: Run) -> None:
    while not run.ended:  # noqa: ASYNC110  # it ends in any thread, and tells its callback only
        await asyncio.sleep(_LOOK)
