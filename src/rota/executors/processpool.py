"""The process pool: each of its threads serves one worker process, so that no worker can keep another one waiting.

It does not use concurrent.futures, whose pool breaks as a whole when one worker dies.
"""

from __future__ import annotations

import atexit
import pickle
from multiprocessing import (
    get_context,
    util,  # noqa: F401  # its handler at exit must be registered before ours
)
from os import getpid
from queue import Empty
from weakref import WeakSet

from ..clock import SECOND
from ..core.overlaps import TERMINATE_OTHER
from ..core.policy import Policy
from ..core.run import Run, asked_to_stop, fail, is_expired, time_of
from ..core.states import CANCELLED, FAILED, LOST, MISSED, end, succeed
from ..errors import (
    ConfigurationError,
    SerializationError,
    UnknownOptionError,
    WorkerProcessError,
)
from ..texts import error_text, text_of
from .process_handle import Settings, WorkerDied, WorkerProcess, forget_all, is_being_prepared
from .process_main import pack_around, pack_call
from .steps import NOT_STARTED, cancel_group, is_stopped_by, log_failure, may_start, write_attempt
from .worker_pool import WorkerPool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from typing import Any

    from ..logs import GuardedLogger
    from .around import Calls
    from .steps import Done
    from .worker_pool import Items

__all__ = ("ProcessPoolExecutor",)

_POOL_OPTIONS = ("mp_context", "initializer", "initargs", "max_tasks_per_child")
#: After so many workers in a row that ended before they were ready, what waits is failed.
_START_ATTEMPTS = 3
#: Seconds that the workers have to end when the interpreter exits, after their runs were cancelled.
_GRACE = 5.0


class ProcessPoolExecutor(WorkerPool):
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
    in_workers = True
    #: what is around the calls in the workers; None: nothing
    _around: bytes | None = None
    #: called with each run that a worker has been given
    _started: Callable[[Run], object] | None = None

    def __init__(self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None) -> None:
        super().__init__(max_workers)
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
            context,
            options.get("initializer"),
            tuple(options.get("initargs", ())),
            None if limit is None else int(limit),
        )
        #: what APScheduler passes to its pool
        self.pool_kwargs = {**options, "mp_context": context}
        _pools.add(self)

    def _reset(self) -> None:
        super()._reset()
        self._pid = getpid()
        #: the worker of each thread
        self._workers: dict[int, WorkerProcess] = {}
        self._names = 0

    def _make_pool(self) -> Executor:
        from concurrent.futures import ProcessPoolExecutor as Pool  # only for programs that ask for it

        return Pool(self.max_workers, **self.pool_kwargs)

    def use_calls(self, calls: Calls | None) -> None:
        """Call jobs in this way from now on, in the workers.

        :raises ConfigurationError: if a middleware, or the factory of a resource, cannot be sent there
        """
        around = None if calls is None else calls.packed(pack_around)
        super().use_calls(calls)
        self._around, self._started = around, None if calls is None else calls.started

    def forked(self) -> None:
        """Leave the workers to the parent process."""
        super().forked()
        forget_all()

    def submit(self, runs: Sequence[Run], done: Done) -> None:
        """Queue runs for the workers; more are started while there are fewer than runs under way."""
        if self._pid != getpid():  # threads and workers are the parent's
            forget_all()
            self._reset()
        super().submit(runs, done)

    def shutdown(self, wait: bool = True) -> None:
        """End the workers after what is queued; with ``wait``, wait for that."""
        if self._pid == getpid():
            super().shutdown(wait)

    def cancel(self) -> None:
        """End queued runs as cancelled, and terminate the workers whose runs are under way."""
        if self._pid == getpid():
            super().cancel()
            for index in list(self._under_way):
                worker = self._workers.get(index)
                if worker is not None:
                    worker.terminate()

    def terminate_run(self, run: Run) -> None:
        """End the worker that carries out a run; the next run of its group, or of another one, gets a new worker."""
        for worker in list(self._workers.values()):
            worker.terminate_run(run)

    # -- on the thread of one worker -----------------------------------------------------------------------------

    def _work(self, index: int, queue: Items) -> None:
        ended, busy, under_way, report = self._room.ended, self._room.busy, self._under_way, self._report
        try:
            while True:
                try:
                    item = queue.get_nowait()
                except Empty:
                    if index in self._workers:
                        self._workers[index].rested = True
                    item = queue.get()
                if item is None:
                    return
                run: Run | None
                run, done, cancellations = item
                under_way[index] = (run, done)
                if (
                    cancellations != self._cancellations
                ):  # between the queue and here, cancel() saw it in neither
                    cancel_group(run)
                while run is not None:
                    then = run.then
                    under_way[index] = (run, done)
                    self._carry_out(index, run)
                    ended[index] += 1
                    if run.started_at is not None and run.finished_at is not None:
                        busy[index] += run.finished_at - run.started_at
                    report(run, done)
                    self._retire_worker(index)
                    run = then
                under_way.pop(index, None)
                del item, run, done, then  # a waiting thread keeps nothing alive
        finally:
            worker = self._workers.pop(index, None)
            if worker is not None:
                worker.retire()

    def _carry_out(self, index: int, run: Run) -> None:
        """Have a run carried out by a worker, and write the outcome into it."""
        while not run.ended:
            try:
                worker = self._ready_worker(index, run)
                # Before it is asked, so that whoever asks it to stop sees that it has started, or is heard here.
                now = run.started_at = time_of(run, self._clock)
                if run.cancelled:
                    run.started_at = None
                    return end(run, CANCELLED, NOT_STARTED, now)
                if is_expired(run, now):
                    run.started_at = None
                    return end(run, MISSED, "expired", now)
                assert worker is not None
                message = pack_call(run, self._around)
                # Last of all, as starting a worker and pickling take their time.
                if not may_start(run, self._clock):
                    return None
            except (SerializationError, WorkerProcessError) as exc:
                fail(run, exc, "", time_of(run, self._clock))
                return self._log.error("%s", exc)
            exchange = self._exchange_to_be_ended if _may_be_ended(run) else self._exchange
            payload = exchange(index, worker, run, message)
            if payload is not None:
                write_outcome(run, payload, time_of(run, self._clock), self._log)
        return None

    def _exchange_to_be_ended(
        self, index: int, worker: WorkerProcess, run: Run, message: bytes
    ) -> bytes | None:
        """Let a worker carry out a call, which :meth:`terminate_run` may end; see :meth:`_exchange`."""
        if hasattr(run, "watch"):
            run.watch.begin(run)
        worker.serve(run)
        if run.cancelled:  # asked after that, so whoever comes later finds the worker
            worker.kill()
        payload = self._exchange(index, worker, run, message)
        if payload is not None:
            worker.serve(None)
        return payload

    def _exchange(self, index: int, worker: WorkerProcess, run: Run, message: bytes) -> bytes | None:
        """Let a worker carry out a call; None if it dies. The run has ended then, unless another worker may have it."""
        try:
            worker.send(message)
        except WorkerDied:
            if run.cancelled:
                self._end_with_worker(index, run)
            else:  # it died while it was idle: it cannot have begun
                run.started_at = None
                if hasattr(run, "watch"):
                    run.watch.forget(run)
                self._replace(index)
            return None
        if self._started is not None:
            self._started(run)
        try:
            return worker.receive_outcome(run)
        except WorkerDied:
            self._end_with_worker(index, run)
            return None

    def _ready_worker(self, index: int, run: Run) -> WorkerProcess | None:
        """Return the living worker of this thread, a new one if there is none; None if the run was cancelled meanwhile.

        :raises WorkerProcessError: if none can be started
        """
        worker = self._workers.get(index)
        if worker is not None:
            if not worker.rested or worker.is_alive():
                worker.rested = False
                return worker
            self._replace(index)
        why: object = "this process is to be a worker itself and still runs the main module"
        attempts = 0 if is_being_prepared() else _START_ATTEMPTS
        for attempt in range(1, attempts + 1):
            if run.cancelled:
                return None
            with self._lock:
                self._names += 1
                name = f"rota-worker-{self._names}"
            try:
                worker = self._workers[index] = WorkerProcess(self._settings, name)
                worker.wait_until_ready()
            except WorkerProcessError as exc:
                self._workers.pop(index, None)
                if not run.cancelled:
                    self._log.error("Start %d of a worker process failed: %s", attempt, exc)
                    why = exc
            else:
                return worker
        if run.cancelled:
            return None
        error = WorkerProcessError(
            f"No worker process could be started ({why}). The main module of a program that uses a process pool must "
            f"guard what it does by  if __name__ == '__main__':"
        )
        if not any(worker.ready for worker in list(self._workers.values())):
            self._fail_queued(error)
        raise error

    def _retire_worker(self, index: int) -> None:
        """Let a worker end that has carried out as many runs as it may."""
        most, worker = self._settings.max_tasks, self._workers.get(index)
        if most is not None and worker is not None and worker.tasks >= most:
            del self._workers[index]
            worker.retire()

    def _fail_queued(self, error: WorkerProcessError) -> None:
        for head, done, _ in self._unqueue():
            self._end_queued(head, done, lambda run, now: fail(run, error, "", now))

    def _replace(self, index: int) -> None:
        self._log.warning("An idle %s; it is replaced", self._workers.pop(index).end())

    def _end_with_worker(self, index: int, run: Run) -> None:
        """End a run whose worker has died while it carried the run out."""
        how, now = self._workers.pop(index).end(), time_of(run, self._clock)
        if run.cancelled:
            end(run, CANCELLED, f"cancelled while it was running; {how}", now)
        else:
            end(run, LOST, how, now)
            Run.some_again = True
            self._log.error(
                'The run of job "%s" is lost: %s', run.job_id if run.job is None else run.job, how
            )

    def _end_at_exit(self) -> None:
        """End the workers of a program that ends without a shutdown."""
        threads = list(self._threads)
        if self._pid == getpid() and self._workers:
            self.cancel()
            self.shutdown(wait=False)
            until = self._clock.monotonic() + int(_GRACE * SECOND)
            for thread in threads:
                thread.join(max(0.0, (until - self._clock.monotonic()) / SECOND))
            for worker in list(self._workers.values()):
                worker.kill()


def _may_be_ended(run: Run) -> bool:
    """Whether the worker of a run may be ended before it returns: its time is limited, or a later time may take its place."""
    if Policy.some_time_out and hasattr(run, "watch"):
        return True
    return Policy.some_wait and run.job is not None and run.job.policy.overlap == TERMINATE_OTHER


def write_outcome(run: Run, payload: bytes, now: int, logger: GuardedLogger) -> None:
    """Write what a worker sent into the run."""
    try:
        outcome = pickle.loads(payload)
    except BaseException as exc:  # unpickling may raise anything
        error = SerializationError(
            f"The return value of job {run.job_id!r} cannot be unpickled here ({text_of(exc) or error_text(exc)})"
        )
        fail(run, error, "", now)
        return logger.error("%s", run.error)
    if outcome[0]:
        return succeed(run, outcome[1], now)
    asked = asked_to_stop(run)
    if asked is not None:  # whatever it has raised
        return end(run, CANCELLED, asked, now)
    _, pickled, type_name, text, frames, formatted, wish, complaint = outcome
    failure: BaseException = WorkerProcessError(f"{type_name}: {text}")
    if pickled is not None:
        try:
            restored = pickle.loads(pickled)
            failure = restored if isinstance(restored, BaseException) else failure
        except BaseException:  # unpickling may raise anything; the text is there all the same
            pass
    if is_stopped_by(run, failure):
        return end(run, CANCELLED, "cancelled while it was running", now)
    write_attempt(run, failure, frames, wish, now)
    if run.status != FAILED:
        return None
    run.error_type, run.error = type_name, text
    return log_failure(run, complaint, logger, f" in its worker process\n{formatted}")


#: The pools of this process; a pool that is gone has no workers.
_pools: WeakSet[ProcessPoolExecutor] = WeakSet()


def _at_exit() -> None:
    for pool in list(_pools):
        pool._end_at_exit()


# After multiprocessing's own handler, which waits for all processes, so that it is called before that one; schedulers see to
# it that theirs come even before.
atexit.register(_at_exit)
