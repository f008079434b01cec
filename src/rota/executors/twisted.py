"""The executor of TwistedScheduler: plain functions run in the reactor's thread pool, coroutine functions on the reactor.

On the asyncio reactor a coroutine may await asyncio's futures and Deferreds; on any other reactor it awaits Deferreds.
"""

from __future__ import annotations

import threading
from functools import partial

from ..compat.absent import inner_name
from ..core.room import Room
from ..core.run import time_of
from ..core.states import CANCELLED, CLAIMED, end
from ..errors import MissingExtraError
from .base import UNBOUNDED, NativeExecutor
from .steps import cancel_group, chain, close_quietly, is_coroutine_function, perform_coroutine
from .tasks import Tasks

try:
    from twisted.internet.defer import Deferred
except ImportError as exc:
    raise MissingExtraError("TwistedExecutor", "twisted") from exc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Coroutine, Generator, Sequence
    from contextvars import Context
    from typing import Any

    from ..core.run import Run
    from .steps import Done
    from .tasks import Entry

__all__ = ("TwistedExecutor",)


class TwistedExecutor(NativeExecutor):
    """Runs plain functions in the reactor's thread pool and coroutine functions on the reactor.

    ``async def`` jobs may await Deferreds. Where the reactor is Twisted's asyncio reactor they may await anything that
    asyncio offers as well; for such jobs on another reactor, give them a ``threadpool`` executor, which has a loop.
    """

    skips_cancelled = True

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: all runs, also the coroutines
        self._room = Room(0)
        #: heads of groups that wait for a thread or work in one, and which run of its group each has in hand
        self._threaded: dict[Run, Run] = {}
        #: with each run, what a function returned, the run's callback, the rest of its group, what takes that, and the work itself
        self._tasks = Tasks(self._ended)
        #: runs that were handed to the reactor, which has not begun them yet
        self._posted: dict[Run, Done] = {}
        self._working = threading.local()

    def start(self, scheduler: Any, alias: str) -> None:
        """Make the executor ready to work on the scheduler's reactor."""
        super().start(scheduler, alias)
        self._reactor = scheduler._reactor
        self._loop: AbstractEventLoop | None = getattr(self._reactor, "_asyncioEventloop", None)

    def capacity(self) -> int:
        """Return room for any number of coroutines."""
        return UNBOUNDED

    def function_room(self) -> int:
        """Return room for the free threads and about a tenth of a second of work, at the pace of the runs so far."""
        room, in_hand = self._room, len(self._threaded)
        with self._changed:
            left = room.left(self._threads, in_hand)
        return left if in_hand <= room.worth_at else 0

    def function_workers(self) -> int | None:
        """Return the number of threads that the reactor has."""
        return self._threads

    def free_workers(self) -> int:
        """Return how many of the reactor's threads have none of this executor's functions, less those that wait for one."""
        return self._threads - len(self._threaded)

    @property
    def _threads(self) -> int:
        return int(self._reactor.getThreadPool().max)

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Carry runs out: plain functions in the reactor's threads, coroutine functions on the reactor."""
        coroutines: list[Run] = []
        plain: list[Run] = []
        for head in runs:
            assert head.job is not None
            (coroutines if is_coroutine_function(head.job.func) else plain).append(head)
        count = sum(len(chain(head)) for head in runs)
        with self._changed:
            self._room.submitted += count
        if coroutines:
            self._posted.update(dict.fromkeys(coroutines, done))
            try:  # first, as it takes all of them or raises
                self._reactor.callFromThread(self._begin_all, coroutines, done)
            except BaseException:
                for head in coroutines:
                    del self._posted[head]
                with self._changed:
                    self._room.submitted -= count
                raise
        for head in plain:
            self._to_thread(head, done)

    def shutdown(self, wait: bool = True) -> None:
        """Stop the executor; on the reactor's thread, or without ``wait``, what is under way goes on by itself."""
        from twisted.python.threadable import isInIOThread  # rare

        if wait and not isInIOThread():  # type: ignore[no-untyped-call]
            own = getattr(self._working, "runs", 0)  # a run does not wait for itself
            with self._changed:
                self._changed.wait_for(lambda: self._room.in_flight <= own)

    def cancel(self) -> None:
        """Cancel the coroutines, and ask the plain functions to stop; those that have not started will not."""
        for current in list(self._threaded.values()):
            cancel_group(current)
        if self._reactor.running:
            self._reactor.callFromThread(self._tasks.cancel_all)
        else:
            self.loop_has_ended()

    def loop_has_ended(self) -> None:
        """End what the reactor will not carry out any more, and report what ended in its last turn."""
        left = [(run, done) for run, _, done, *_ in self._tasks.take_all()]
        while self._posted:
            left.append(self._posted.popitem())
        for head, done in left:
            for run in chain(head):
                if run.status == CLAIMED:  # else only the callback of its task did not come any more
                    end(run, CANCELLED, "the reactor has ended", time_of(run, self._clock))
                self._finish(run, done)

    def cancel_run(self, run: Run) -> None:
        """Cancel the coroutine of a run; a plain function in a thread is asked by its flag alone."""
        self._reactor.callFromThread(self._tasks.cancel_run, run)

    def _finish(self, run: Run, done: Done) -> None:
        with self._changed:
            self._room.ended[0] += 1
            if run.started_at is not None and run.finished_at is not None:
                self._room.busy[0] += run.finished_at - run.started_at
            self._changed.notify_all()
        self._report(run, done)

    # -- plain functions, in the reactor's threads ---------------------------------------------------------------

    def _to_thread(self, head: Run, done: Done) -> None:
        self._threaded[head] = head
        try:
            self._reactor.getThreadPool().callInThread(self._work, head, done)
        except BaseException as exc:  # the reactor's pool has been stopped, or no thread can be started
            self._threaded.pop(head, None)
            for run in chain(head):
                self._refuse(run, exc)
                self._finish(run, done)

    def _work(self, head: Run, done: Done) -> None:
        run: Run | None = head
        self._working.runs = 1
        try:
            while run is not None:
                then = run.then
                self._threaded[head] = run
                coroutine = self._perform(run, self._context, self._clock, self._log)
                if coroutine is not None:
                    work = perform_coroutine(run, coroutine, self._clock, self._log)
                    begin = partial(self._begin, run, then, done, self._to_thread, work, coroutine)
                    self._posted[run] = done
                    try:
                        self._reactor.callFromThread(begin)
                        return
                    except BaseException as exc:  # the reactor is gone
                        del self._posted[run]
                        close_quietly(work)
                        close_quietly(coroutine)
                        self._refuse(run, exc)
                self._finish(run, done)
                run = then
        finally:
            self._working.runs = 0
            self._threaded.pop(head, None)

    # -- coroutines, on the reactor's thread ---------------------------------------------------------------------

    def _begin_all(self, heads: Sequence[Run], done: Done) -> None:
        for head in heads:
            self._begin_function(head, done)

    def _begin_function(self, run: Run, done: Done) -> None:
        self._begin(run, run.then, done, self._post, self._carry_out(run))

    def _post(self, run: Run, done: Done) -> None:
        # In another turn of the reactor, not within this call: a group may be long.
        self._posted[run] = done
        self._reactor.callFromThread(self._begin_function, run, done)

    async def _carry_out(self, run: Run) -> None:
        coroutine = self._perform(run, self._context, self._clock, self._log)
        if coroutine is not None:
            await perform_coroutine(run, coroutine, self._clock, self._log)

    def _begin(
        self,
        run: Run,
        then: Run | None,
        done: Done,
        go_on: Callable[[Run, Done], None],
        work: Coroutine[Any, Any, None],
        awaited: Coroutine[Any, Any, Any] | None = None,
    ) -> None:
        """Drive a coroutine, which may await another one; when it has ended, the next run of its group goes to ``go_on``."""
        self._posted.pop(run, None)
        make_task = _DeferredTask if self._loop is None else self._make_task
        self._tasks.begin(make_task, work, self._context.copy(), (run, awaited, done, then, go_on, work))

    def _make_task(self, work: Coroutine[Any, Any, None], context: Context) -> Any:
        # Task factories need not know of contexts; a task copies the one in which it is made.
        assert self._loop is not None
        return context.run(self._loop.create_task, _either(work, self._loop))

    def _ended(self, entry: Entry, error: BaseException | None) -> None:
        run, awaited, done, then, go_on, work = entry
        if not run.ended:
            close_quietly(work)  # a task that is cancelled before its first step leaves it as it is
        self._end_unfinished(run, awaited, error)
        self._finish(run, done)
        if then is not None:
            go_on(then, done)


class _DeferredTask:
    """A coroutine that awaits Deferreds, as the registry sees tasks."""

    def __init__(self, work: Coroutine[Any, Any, None], context: Context) -> None:
        self._deferred = context.run(Deferred.fromCoroutine, work)
        self._deferred.addErrback(lambda failure: None)  # what is not in the run's outcome is nobody's

    def done(self) -> bool:
        return bool(self._deferred.called)

    def add_done_callback(self, callback: Callable[[_DeferredTask], None]) -> None:
        self._deferred.addBoth(lambda result: callback(self))

    def cancel(self) -> None:
        self._deferred.cancel()

    def cancelled(self) -> bool:
        return True  # only then has it ended without an outcome of its run


async def _either(work: Coroutine[Any, Any, None], loop: AbstractEventLoop) -> None:
    """Let a coroutine on the asyncio reactor await Deferreds as well as asyncio's futures."""
    await _Either(work, loop)


class _Either:
    def __init__(self, work: Coroutine[Any, Any, None], loop: AbstractEventLoop) -> None:
        self._work = work
        self._loop = loop

    def __await__(self) -> Generator[Any, Any, None]:
        error: BaseException | None = None
        while True:
            try:
                awaited = self._work.send(None) if error is None else self._work.throw(error)
            except StopIteration:
                return
            error = None
            try:
                if isinstance(awaited, Deferred):
                    yield from self._fired(awaited).__await__()
                else:
                    yield awaited
            except BaseException as exc:  # it belongs to the coroutine
                error = exc

    async def _fired(self, deferred: Deferred[Any]) -> None:
        """Wait until a Deferred has a result, which it keeps: its awaiter takes it."""
        future = self._loop.create_future()

        def fire(result: Any) -> Any:
            if not future.done():
                future.set_result(None)
            return result

        deferred.addBoth(fire)
        try:
            await future
        except BaseException:
            deferred.cancel()
            deferred.addErrback(lambda failure: None)  # nobody else will look at it
            raise


if not TYPE_CHECKING:  # for checkers, a name is there or not

    def __getattr__(name: str) -> Any:
        return inner_name(__name__, name)
