"""What the pools share: threads on one queue, how much work they are given, and how threads start and end.

It carries no run out: its subclasses say how a thread does. There is no future and no lock per run.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from queue import Empty, SimpleQueue

from ..core.room import Room
from ..errors import ConfigurationError
from .base import NativeExecutor
from .steps import cancel_group, cancel_unstarted, chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Executor
    from typing import Any

    from ..core.run import Run
    from .steps import Done, WriteEnd

    #: the head of a group, its callback, and how often the pool had been cancelled when it was queued
    Item = tuple[Run, Done, int]
    Items = SimpleQueue[Item | None]


class WorkerPool(NativeExecutor):
    """Base class of executors with a fixed number of workers, each served by a thread of its own.

    :param max_workers: the maximum number of workers (they are started when there is work for them)
    :raises ConfigurationError: if ``max_workers`` is not positive
    """

    skips_cancelled = True

    def __init__(self, max_workers: int) -> None:
        self.max_workers = int(max_workers)
        if self.max_workers <= 0:
            raise ConfigurationError(f"max_workers must be a positive integer, got {max_workers!r}")
        self._name = "rota"
        self._reset()

    def _reset(self) -> None:
        self._queue: Items = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._lock = threading.RLock()
        self._stopped = False
        #: whether a thread that is needed could not be started
        self._short = False
        self._room = Room(self.max_workers)
        #: what each thread has in hand
        self._under_way: dict[int, tuple[Run, Done]] = {}
        #: how often cancel() was called: a thread compares it with that of its item, which cancel() may have missed
        self._cancellations = 0

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the pool ready; threads start with the first runs."""
        super().start(scheduler, alias)
        self._reset()
        self._name = f"rota-{alias}"

    def forked(self) -> None:
        """Leave the threads and what they have in hand to the parent process."""
        super().forked()
        self._reset()

    @property
    def _pool(self) -> Any:
        """A pool of concurrent.futures, as programs that derive from ours see it; ours carries runs out itself."""
        view = self.__dict__.get("_pool_view")
        if view is None:
            from ..compat.pools import PoolView  # rare

            view = self.__dict__.setdefault("_pool_view", PoolView(self, self._make_pool))
        return view

    @_pool.setter
    def _pool(self, value: Any) -> None:
        from ..compat.executors import use_pool  # rare

        self.__dict__["_pool_view"] = value
        use_pool(self)

    @abstractmethod
    def _make_pool(self) -> Executor:
        """Return a pool of concurrent.futures of this kind, for programs that submit to it by themselves."""

    def capacity(self) -> int:
        """Return room for about a tenth of a second of work, at the pace of the runs so far; at least the free workers."""
        room = self._room
        left = room.left(self.max_workers, room.in_flight)
        # A group keeps one worker busy, however many runs it has.
        return left or max(self.free_workers(), 0)

    def worth_a_pass(self) -> bool:
        """Whether so much room has come free that another pass of the engine pays."""
        if self._short:
            with self._lock:
                self._start_threads()
        room = self._room
        return room.in_flight <= room.worth_at or self.free_workers() > 0

    def function_workers(self) -> int | None:
        """Return the number of workers."""
        return self.max_workers

    def free_workers(self) -> int:
        """Return how many workers have nothing to do, less what is queued."""
        return self.max_workers - len(self._under_way) - self._queue.qsize()

    @property
    def in_flight(self) -> int:
        """How many runs wait for a worker or keep one busy."""
        return self._room.in_flight

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Queue runs for the workers; more threads are started while there are fewer than runs under way."""
        count = len(runs)
        for head in runs:
            if head.then is not None:
                count += len(chain(head)) - 1
        with self._lock:
            self._room.submitted += count
            self._stopped = False
            self._start_threads()
            put = self._queue.put
            cancellations = self._cancellations
            for head in runs:
                put((head, done, cancellations))

    def shutdown(self, wait: bool = True) -> None:
        """Let the workers end after what is queued; with ``wait``, wait for them."""
        while True:
            with self._lock:
                self._stopped = True
                threads, self._threads = self._threads, []
                for _ in threads:
                    self._queue.put(None)
            if wait:
                for thread in threads:
                    if thread is not threading.current_thread():
                        thread.join()
            self._join(wait)
            if threads and not wait:
                if "_pool_view" in self.__dict__:
                    self.__dict__["_pool_view"].shutdown(False)
                return None
            # No thread is left for what was queued later, or no thread could be started for it.
            with self._lock:
                items = self._unqueue()
                for item in items:
                    self._queue.put(item)
                if items:
                    self._start_threads()
            if not self._threads:
                if "_pool_view" in self.__dict__:
                    self.__dict__["_pool_view"].shutdown(wait)
                return self._cancel_queued()

    def _join(self, wait: bool) -> None:
        """End what works outside of the threads after what it has in hand; with ``wait``, wait for that."""

    def cancel(self) -> None:
        """End queued runs as cancelled, and ask the runs under way to stop."""
        with self._lock:
            self._cancellations += 1
        self._cancel_queued()
        for head, _ in list(self._under_way.values()):
            cancel_group(head)

    def _cancel_queued(self) -> None:
        for head, done, _ in self._unqueue():
            self._end_queued(head, done, cancel_unstarted)

    def _end_queued(self, head: Run, done: Done, write_end: WriteEnd) -> None:
        """End each run of a group that was queued and that no worker carries out, count it and report it."""

        def write_and_count(run: Run, now: int) -> None:
            write_end(run, now)
            self._count_unmeasured()

        self._end_group(head, done, write_and_count)

    def _unqueue(self) -> list[Item]:
        """Take the queued runs out; the orders to end stay in the queue."""
        items: list[Item] = []
        orders = 0
        while True:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if item is None:
                orders += 1
            else:
                items.append(item)
        for _ in range(orders):
            self._queue.put(None)
        return items

    def _queue_rest(self, run: Run, done: Done) -> None:
        """Queue the rest of a group whose beginning was carried out elsewhere; it is taken even after a shutdown."""
        with self._lock:
            self._queue.put((run, done, self._cancellations))
            if self._stopped:
                self._start_threads()
                for _ in self._threads:
                    self._queue.put(None)
                self._threads = []

    def _count_unmeasured(self, index: int = 0) -> None:
        """Count a run as ended that tells nothing about how long runs keep a worker busy.

        :param index: which place counts it; without the lock, only the worker itself counts in its place
        """
        with self._lock:
            self._room.ended[index] += 1
            self._room.unmeasured += 1

    def _start_threads(self) -> None:
        """Start threads while there are fewer than runs, under the lock; the next pass tries again for those that do not start."""
        room = self._room
        wanted = min(self.max_workers, room.in_flight)
        while len(self._threads) < wanted:
            thread = threading.Thread(
                target=self._main,
                args=(len(room.ended), self._queue),
                name=f"{self._name}_{len(self._threads)}",
                daemon=True,
            )
            room.ended.append(0)
            room.busy.append(0)
            try:
                thread.start()
            except Exception as exc:  # a limit of the system
                room.ended.pop()
                room.busy.pop()
                if not self._short:
                    self._log.error(
                        "Worker thread %s cannot be started (%s); %d work, and it is tried again",
                        thread.name,
                        exc,
                        len(self._threads),
                    )
                self._short = True
                return
            self._threads.append(thread)
        self._short = False

    def _main(self, index: int, queue: Items) -> None:
        try:
            self._work(index, queue)
        except BaseException as exc:
            self._log.error("A worker thread has ended; it is replaced", exc_info=exc)
            self._end_under_way(index, exc)
        finally:
            with self._lock:
                thread = threading.current_thread()
                if thread in self._threads:
                    self._threads.remove(thread)
                    self._short = True

    def _end_under_way(self, index: int, exc: BaseException) -> None:
        """End the runs of a thread that was ended by an error outside of all jobs, such as a clock that raises."""
        item = self._under_way.pop(index, None)
        if item is not None and not item[0].ended:
            self._end_queued(*item, lambda run, _: self._refuse(run, exc))

    @abstractmethod
    def _work(self, index: int, queue: Items) -> None:
        """Carry out what is queued until there is None; whatever happens, each run is reported."""
