"""Runs that ``run_job()`` returns: waiting for their ends, and what they return.

It waits in the thread of whoever asks; a run holds its value as long as somebody holds the run, and nothing else does.
"""

from __future__ import annotations

from threading import Event, Lock
from weakref import WeakKeyDictionary, WeakValueDictionary

from ..clock import SECOND
from ..core.run import Run, outcome_of
from ..core.states import CLAIMED
from ..errors import (
    JobValueError,
    NoResultError,
    OptionTypeError,
    RunTimeoutError,
    StoreNotStartedError,
    WouldBlockError,
)
from ..executors.steps import is_coroutine_function
from ..texts import repr_of
from .arguments import in_zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..engine.store_state import StoreState
    from ..executors.base import BaseExecutor
    from .book import JobBook

#: The first and the longest pause (seconds) between two looks into the store: the end may come from elsewhere.
FIRST_LOOK = 0.02
LAST_LOOK = 1.0

#: How many workers of an executor wait for a run of the same one.
_blocked: WeakKeyDictionary[BaseExecutor, int] = WeakKeyDictionary()
_counting = Lock()


class AskedRun(Run):
    """A run as ``run_job()`` returns it: the newest that this process knows of it, as any run shows it.

    :param book: the job book of the scheduler
    :param state: the store of its job
    :param run: the run as it was asked for
    """

    __slots__ = ("__weakref__", "_book", "_calls", "_end", "_outcome", "_run", "_state")

    def __init__(self, book: JobBook, state: StoreState, run: Run) -> None:
        self._book = book
        self._state = state
        #: the run, or the newest record of it
        self._run = run
        self._end = Event()
        #: what it has raised and returned in this process
        self._outcome: tuple[BaseException | None, Any] | None = None
        #: called when it has ended, in any thread; nothing may be raised
        self._calls: list[Callable[[], object]] = []

    # -- the end -------------------------------------------------------------------------------------------------

    def has_ended(self, run: Run, outcome: tuple[BaseException | None, Any] | None = None) -> None:
        """Take the end of the run. Thread-safe; it calls no code of users.

        :param outcome: what it has raised, and returned; None: what its record tells
        """
        self._outcome = self._outcome or outcome
        self._run = run
        self._end.set()
        for call in list(self._calls):
            call()

    def call_at_end(self, call: Callable[[], object]) -> None:
        """Have something called when the run has ended; at once if it has."""
        self._calls.append(call)
        if self._end.is_set():
            call()

    def call_no_more(self, call: Callable[[], object]) -> None:
        """Undo :meth:`call_at_end`."""
        self._calls.remove(call)

    def look(self) -> bool:
        """Ask the store whether the run has ended; return it.

        :raises NoResultError: if the store has no record of it any more, or is closed
        """
        if self._end.is_set():
            return True
        book = self._book
        try:
            found = self._state.store.get_run(self.job_id, self.nominal)
        except StoreNotStartedError as exc:
            raise NoResultError(self, _NOBODY_LOOKS) from exc
        if self._end.is_set():
            return True
        if found is None:
            raise NoResultError(
                self, "has no record any more: it was pruned, or its store was emptied or replaced"
            )
        in_zone(book, [found])
        if found.ended:
            self.has_ended(found)
        elif not book.goes_to_stores():
            raise NoResultError(self, _NOBODY_LOOKS)
        elif not self._is_ours:
            self._run = found
        return found.ended

    @property
    def _is_ours(self) -> bool:
        """Whether the store is in the memory of this process: what is known here is the run itself."""
        return self._state.completions.in_hand is None

    # -- what users call -----------------------------------------------------------------------------------------

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended, wherever it is carried out; see :meth:`rota.core.run.Run.wait`."""
        until = _until(timeout, self._now())
        if self._end.is_set():
            return True
        blocks = self._check()
        if blocks is not None:
            _count(blocks, 1)
        try:
            return self._wait(until, blocks)
        finally:
            if blocks is not None:
                _count(blocks, -1)

    def _wait(self, until: float | None, blocks: BaseExecutor | None) -> bool:
        scheduler, pause = self._book.scheduler, FIRST_LOOK
        while not self.look():
            left = None if until is None else until - self._now()
            if left is not None and left <= 0:
                return False
            if blocks is not None and not self._is_under_way:
                _refuse_circle(blocks, self)
            longest = LAST_LOOK if self._is_known_here else pause
            if scheduler._wait_for_event(self._end, longest if left is None else min(left, longest)):
                return True
            pause = min(2 * pause, LAST_LOOK)
        return True

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end, and return what the job returned; see :meth:`rota.core.run.Run.result`."""
        if not self.wait(timeout):
            raise RunTimeoutError(self, timeout)
        return self.outcome()

    def outcome(self) -> Any:
        """Return what the run has returned, or raise its error; it must have ended."""
        if self._outcome is None:
            return outcome_of(self)
        exception, value = self._outcome
        if exception is not None:
            raise exception
        return value

    def cancel(self, reason: str = "cancelled") -> None:
        """Ask the run to stop, wherever it is; see :meth:`rota.core.run.Run.cancel`."""
        from .governed import cancel  # import time

        if self._end.is_set():
            return
        try:
            found = cancel(self._book, self.job_id, self.scheduled_run_time, reason, self._state.alias)
        except JobValueError:  # it has ended meanwhile
            self.look()
            return
        if found.ended:
            self.has_ended(found)

    def _now(self) -> float:
        return self._book.scheduler.clock.monotonic() / SECOND

    # -- who may wait --------------------------------------------------------------------------------------------

    @property
    def _is_known_here(self) -> bool:
        """Whether the run is in the hands of this process, which tells of its end."""
        return self._is_ours or (self.job_id, self.nominal) in (self._state.completions.in_hand or {})

    @property
    def _is_under_way(self) -> bool:
        here = (self._state.completions.in_hand or {}).get((self.job_id, self.nominal), self._run)
        return here.status == CLAIMED and here.started_at is not None

    def _check(self) -> BaseExecutor | None:
        """Refuse a wait that would never end, or hold up a loop; return the executor of which it keeps a worker busy.

        :raises WouldBlockError: saying what to do instead
        """
        from asyncio import _get_running_loop  # import time

        scheduler = self._book.scheduler
        if _get_running_loop() is not None:
            raise WouldBlockError(
                self,
                "would block the loop that runs in this thread; await scheduler.aio.wait(run) or "
                "scheduler.aio.result(run)",
            )
        if scheduler._on_loop():
            raise WouldBlockError(
                self, "would block the scheduler's loop; call it in another thread, or add a listener"
            )
        caller = scheduler._run_inside()
        if scheduler._in_pass():
            raise WouldBlockError(
                self,
                "would never end here: this is the thread that starts the runs; give the job an executor",
            )
        if caller is None or self._is_under_way:
            return None
        job = self._run.job or scheduler._lookup_job(self.job_id, self._state.alias)[0]
        if caller.job_id == self.job_id and job.policy.limit <= 1 and not self._is_handed_over:
            raise WouldBlockError(
                self,
                "would never end here: it waits for the end of this run of the same job (max_instances=1)",
            )
        executor = scheduler._executors.get(job.executor)
        if executor is None or caller.executor != job.executor:
            return None
        if executor.function_room() is not None and is_coroutine_function(job.func):
            return None
        free = executor.free_workers()
        if free < (0 if self._is_handed_over else 1):
            raise _no_worker(self)
        return executor

    @property
    def _is_handed_over(self) -> bool:
        """Whether the executor has the run already, and counts it."""
        if self._is_ours:
            return self._run.status == CLAIMED and self._run not in self._state.requested
        return self._is_known_here


_NOBODY_LOOKS = (
    "had not ended when its scheduler was shut down, or its store removed; another scheduler can look for it"
)


def _of_run(name: str) -> property:
    def get(self: AskedRun) -> Any:
        return getattr(self._run, name)

    def put(self: AskedRun, value: Any) -> None:
        setattr(self._run, name, value)

    return property(get, put)


for _name in Run.__slots__:
    setattr(AskedRun, _name, _of_run(_name))


def asked(book: JobBook, state: StoreState, run: Run, is_new: bool) -> AskedRun:
    """Return a run as whoever asks for it sees it, who is told of its end while he holds it.

    :param is_new: False: somebody may have asked for it before, and holds it still: it is the same object then
    """
    completions = state.completions
    if completions.asked is None:
        completions.asked = WeakValueDictionary()
    key = run.job_id, run.nominal
    known = None if is_new else completions.asked.get(key)
    if isinstance(known, AskedRun):
        return known
    made = AskedRun(book, state, run)
    completions.asked[key] = made
    if run.ended:
        made.has_ended(run)
    return made


async def wait_on_loop(run: Run, timeout: float | None) -> bool:  # noqa: ASYNC109  # as Run.wait()
    """Wait for the end of a run without holding the running asyncio loop up; return whether it has ended."""
    from asyncio import Event, get_running_loop, to_thread, wait_for  # import time

    if not isinstance(run, AskedRun):
        return run.wait(timeout)
    until = _until(timeout, run._now())
    loop, ended, pause = get_running_loop(), Event(), FIRST_LOOK

    def tell() -> None:
        try:
            loop.call_soon_threadsafe(ended.set)
        except RuntimeError:  # the loop is closed: nobody waits any more
            pass

    run.call_at_end(tell)
    try:
        while not await to_thread(run.look):
            left = None if until is None else until - run._now()
            if left is not None and left <= 0:
                return False
            longest = LAST_LOOK if run._is_known_here else pause
            try:
                await wait_for(ended.wait(), longest if left is None else min(left, longest))
                return True
            except TimeoutError:
                pause = min(2 * pause, LAST_LOOK)
        return True
    finally:
        run.call_no_more(tell)


async def result_on_loop(run: Run, timeout: float | None) -> Any:  # noqa: ASYNC109  # as Run.result()
    """Wait as :func:`wait_on_loop` does, and return what the job returned."""
    if not await wait_on_loop(run, timeout):
        raise RunTimeoutError(run, timeout)
    return run.result(0)


def _until(timeout: Any, now: float) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
        raise OptionTypeError(
            f"timeout must be a number of seconds from 0 on, or None, got {repr_of(timeout)}"
        )
    return now + timeout


def _count(executor: BaseExecutor, change: int) -> None:
    with _counting:
        _blocked[executor] = _blocked.get(executor, 0) + change


def _refuse_circle(executor: BaseExecutor, run: Run) -> None:
    """Refuse to go on waiting where all workers wait for runs that none of them could start."""
    workers = executor.function_workers()
    if workers is not None and _blocked.get(executor, 0) >= workers:
        raise _no_worker(run)


def _no_worker(run: Run) -> WouldBlockError:
    return WouldBlockError(
        run,
        "could never end: this job and that run share an executor, of which no worker is free; give one of their jobs "
        "another executor, or the executor more workers",
    )
