"""The supervisor of the process pool: one thread that starts, feeds, watches, replaces and ends the workers.

A worker that dies is replaced at once, its run ends as lost, and the rest of the queue goes on. Only the supervising
thread touches workers; other threads hand runs over and wake it.
"""

from __future__ import annotations

import atexit
import pickle
import signal
import threading
from collections import deque
from multiprocessing import (
    connection,
    util,  # noqa: F401  # its handler at exit must be registered before ours
)
from os import getpid

from ..core.admission import Pace, ahead
from ..core.run import CANCELLED, LOST, MISSED, Run, end, fail, is_expired, succeed
from ..errors import SerializationError, WorkerProcessError
from . import process_worker
from .base import chain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import logging
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from typing import Any

    from ..clock import Clock
    from .base import Done

#: After so many workers in a row that ended before they were ready, what waits is failed.
_START_ATTEMPTS = 3
#: Seconds after which busy workers are looked at even if their pipes are silent.
_HEARTBEAT = 1.0
#: Seconds that an idle worker has to end after its pipe was closed.
_GRACE = 5.0
#: Seconds to wait after an error of the supervisor itself.
_ERROR_PAUSE = 0.1


class Settings:
    """How workers are made."""

    __slots__ = ("context", "initargs", "initializer", "max_tasks", "max_workers")

    def __init__(
        self,
        max_workers: int,
        context: Any,
        initializer: Any,
        initargs: tuple[Any, ...],
        max_tasks: int | None,
    ) -> None:
        self.max_workers = max_workers
        self.context = context
        self.initializer = initializer
        self.initargs = initargs
        self.max_tasks = max_tasks


class _Worker:
    """A worker process as the supervisor sees it."""

    __slots__ = ("done", "pipe", "process", "ready", "run", "tasks", "trouble")

    def __init__(self, process: BaseProcess, pipe: Connection) -> None:
        self.process = process
        self.pipe = pipe
        self.ready = False
        self.run: Run | None = None
        self.done: Done | None = None
        self.tasks = 0
        #: why the worker says it cannot work
        self.trouble: str | None = None


class Supervisor:
    """One incarnation of the pool, from its first run to its shutdown."""

    def __init__(self, settings: Settings, clock: Clock, logger: logging.Logger) -> None:
        self.pid = getpid()
        self._settings = settings
        self._clock = clock
        self._logger = logger
        self._queue: deque[tuple[Run, Done]] = deque()
        self._workers: list[_Worker] = []
        #: processes that have been told to end
        self._retired: list[BaseProcess] = []
        self._failed_starts = 0
        self._names = 0
        self._stopping = False
        self._cancelling = False
        self._submitted = 0
        self._ended = 0
        self._busy = 0
        self._pace = Pace()
        self._woken = False
        self._wake_receiver, self._wake_sender = connection.Pipe(duplex=False)
        self.thread = threading.Thread(target=self._main, name="rota-processes", daemon=True)
        # Registered after multiprocessing's own handler, so it runs before that one waits for the workers.
        atexit.register(self._at_exit)
        self.thread.start()

    # -- on any thread -------------------------------------------------------------------------------------------

    def room(self) -> int:
        return max(0, self._settings.max_workers + self._ahead() + self._ended - self._submitted)

    def roomy(self) -> bool:
        return self._submitted - self._ended <= self._settings.max_workers + self._ahead() // 2

    def _ahead(self) -> int:
        self._pace.update(self._busy, self._ended)
        return ahead(self._settings.max_workers, self._pace.average)

    def add(self, items: list[tuple[Run, Done]], count: int) -> None:
        self._submitted += count
        self._queue.extend(items)
        self._wake()

    def stop(self) -> None:
        self._stopping = True
        self._wake()

    def cancel(self) -> None:
        self._cancelling = True
        self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            try:
                self._wake_sender.send_bytes(b"w")
            except OSError:
                pass  # it has ended, so there is nothing to wake

    def _at_exit(self) -> None:
        """End the workers of a program that ends without a shutdown."""
        if self.pid == getpid():
            self.stop()
            self.cancel()
            self.thread.join(_GRACE)

    # -- on the supervising thread -------------------------------------------------------------------------------

    def _main(self) -> None:
        while True:
            try:
                if not self._step():
                    break
            except Exception:
                self._logger.exception("The supervisor of the worker processes met an error and goes on")
                connection.wait([self._wake_receiver], _ERROR_PAUSE)
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            self._retired.append(worker.process)
        for process in self._retired:
            _end_process(process, _GRACE)
        self._wake_receiver.close()
        self._wake_sender.close()
        atexit.unregister(self._at_exit)

    def _step(self) -> bool:
        """Feed the workers, wait for something to happen, and see to it; False when all is done."""
        if self._cancelling:
            self._cancel_everything()
        self._feed()
        if self._stopping and not self._queue and not any(worker.run is not None for worker in self._workers):
            return False
        restless = self._retired or any(
            worker.run is not None or not worker.ready for worker in self._workers
        )
        pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in self._workers}
        happened = connection.wait([self._wake_receiver, *pipes], _HEARTBEAT if restless else None)
        for pipe in happened:
            if pipe is self._wake_receiver:
                self._wake_receiver.recv_bytes()
                self._woken = False
            else:
                self._receive(pipes[pipe])
        if not happened:
            self._look_round()
        return True

    def _look_round(self) -> None:
        """Find the dead whose pipes are silent: a grandchild that inherited a pipe keeps it open."""
        for worker in list(self._workers):
            if worker.process.exitcode is not None and not worker.pipe.poll():
                self._bury(worker)
        for process in [process for process in self._retired if process.exitcode is not None]:
            self._retired.remove(process)
            process.close()

    def _feed(self) -> None:
        if not self._queue:
            return
        for worker in list(self._workers):
            while self._queue and worker.ready and worker.run is None:
                self._hand_over(worker, *self._queue.popleft())
        ready = sum(worker.ready for worker in self._workers)
        if ready and self._failed_starts >= _START_ATTEMPTS:
            return  # those that live have to do
        wanted = min(self._settings.max_workers, ready + len(self._queue))
        while self._queue and len(self._workers) < wanted:
            self._start_worker()

    def _hand_over(self, worker: _Worker, run: Run, done: Done) -> None:
        now = self._clock.now()
        if run.cancelled:
            end(run, CANCELLED, "cancelled before it started", now)
            return self._finish(run, done)
        if is_expired(run, now):
            end(run, MISSED, "expired", now)
            return self._finish(run, done)
        run.started_at = now
        try:
            message = process_worker.pack_call(run)
        except SerializationError as exc:
            fail(run, exc, "", now)
            self._logger.error("%s", exc)
            return self._finish(run, done)
        worker.run, worker.done = run, done
        try:
            worker.pipe.send_bytes(message)
        except OSError:
            # It died while it was idle: it cannot have begun, so the run goes to another worker.
            run.started_at = worker.run = worker.done = None
            self._queue.appendleft((run, done))
            self._bury(worker)
        return None

    def _start_worker(self) -> None:
        settings = self._settings
        ours, theirs = connection.Pipe()
        inherited: tuple[Connection, ...] = ()
        if settings.context.get_start_method() == "fork":
            inherited = (ours, *(worker.pipe for worker in self._workers))
        self._names += 1
        process = settings.context.Process(
            target=process_worker.main,
            args=(theirs, settings.initializer, settings.initargs, inherited),
            name=f"rota-worker-{self._names}",
        )
        try:
            _start_without_sigint(process)
        except Exception as exc:  # pickling the initializer may raise anything; the pool goes on
            ours.close()
            self._start_failed(f"a worker process cannot be started: {type(exc).__name__}: {exc}")
        else:
            self._workers.append(_Worker(process, ours))
        finally:
            theirs.close()

    def _receive(self, worker: _Worker) -> None:
        try:
            message = worker.pipe.recv_bytes()
        except (EOFError, OSError):
            self._bury(worker)
            return
        kind, payload = message[:1], message[1:]
        if kind == process_worker.READY:
            worker.ready = True
            self._failed_starts = 0
        elif kind == process_worker.BROKEN:
            worker.trouble = f"its initializer raised an exception:\n{payload.decode()}"
        else:
            self._take_outcome(worker, payload)

    def _take_outcome(self, worker: _Worker, payload: bytes) -> None:
        run, done = worker.run, worker.done
        assert run is not None and done is not None
        worker.run = worker.done = None
        worker.tasks += 1
        write_outcome(run, payload, self._clock.now(), self._logger)
        if self._settings.max_tasks is not None and worker.tasks >= self._settings.max_tasks:
            self._workers.remove(worker)
            worker.pipe.close()
            self._retired.append(worker.process)
        self._finish(run, done)

    def _bury(self, worker: _Worker) -> None:
        """See to a worker that has died: end its run, and make room for another worker."""
        if worker not in self._workers:
            return
        self._workers.remove(worker)
        worker.pipe.close()
        pid = worker.process.pid
        code = _end_process(worker.process, 1.0)
        how = process_worker.describe_exit(pid, code)
        run, done = worker.run, worker.done
        if run is not None and done is not None:
            if run.cancelled:
                end(run, CANCELLED, f"cancelled while it was running; {how}", self._clock.now())
            else:
                end(run, LOST, how, self._clock.now())
                self._logger.error('The run of job "%s" is lost: %s', run.job or run.job_id, how)
            self._finish(run, done)
        elif not worker.ready:
            self._start_failed(worker.trouble or f"{how} before it was ready; its error output tells why")
        else:
            self._logger.warning("An idle %s; it is replaced when there is work", how)

    def _start_failed(self, why: str) -> None:
        self._failed_starts += 1
        self._logger.error("Start %d of a worker process failed: %s", self._failed_starts, why)
        if self._failed_starts < _START_ATTEMPTS or any(worker.ready for worker in self._workers):
            return
        self._failed_starts = 0
        error = WorkerProcessError(
            f"No worker process could be started ({why}). The main module of a program that uses a process pool must "
            f"guard what it does by  if __name__ == '__main__':"
        )
        waiting, now = list(self._queue), self._clock.now()
        self._queue.clear()
        for head, done in waiting:
            for run in chain(head):
                fail(run, error, "", now)
                self._finish(run, done, follow=False)

    def _cancel_everything(self) -> None:
        self._cancelling = False
        while self._queue:
            head, done = self._queue.popleft()
            for run in chain(head):
                end(run, CANCELLED, "cancelled before it started", self._clock.now())
                self._finish(run, done, follow=False)
        for worker in list(self._workers):
            if worker.run is not None:
                for run in chain(worker.run):
                    run.cancel()
                worker.process.terminate()

    def _finish(self, run: Run, done: Done, follow: bool = True) -> None:
        following = run.then
        self._ended += 1
        if run.started_at is not None and run.finished_at is not None:
            self._busy += run.finished_at - run.started_at
        try:
            done(run)
        except Exception:
            self._logger.exception("Error while recording the end of %s", run)
        if follow and following is not None:
            self._queue.appendleft((following, done))


def write_outcome(run: Run, payload: bytes, now: int, logger: logging.Logger) -> None:
    """Write what a worker sent into the run."""
    try:
        outcome = pickle.loads(payload)
    except Exception as exc:  # unpickling may raise anything
        fail(
            run,
            SerializationError(f"The return value of job {run.job_id!r} cannot be unpickled here ({exc})"),
            "",
            now,
        )
        logger.error("%s", run.error)
        return
    if outcome[0]:
        succeed(run, outcome[1], now)
        return
    _, pickled, type_name, text, frames, formatted = outcome
    try:
        error = pickle.loads(pickled) if pickled is not None else WorkerProcessError(f"{type_name}: {text}")
    except Exception:  # unpickling may raise anything; the text is there all the same
        error = WorkerProcessError(f"{type_name}: {text}")
    fail(run, error, frames, now)
    run.error_type, run.error = type_name, text
    logger.error('Job "%s" raised an exception in its worker process\n%s', run.job or run.job_id, formatted)


def _start_without_sigint(process: BaseProcess) -> None:
    """Start a process in which Ctrl-C is blocked from its first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # starting it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_process(process: BaseProcess, grace: float) -> int | None:
    """Wait for a process's end, by force after ``grace`` seconds, so that no zombie stays; return its exit code."""
    process.join(grace)
    if process.exitcode is None:
        process.kill()
        process.join(grace)
    code = process.exitcode
    if code is not None:
        process.close()
    return code
