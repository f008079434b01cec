"""A worker process as the process pool sees it: how it is started, given a call, asked for the outcome, and ended.

One thread serves one worker, and only that thread waits for it: what pickling, unpickling, a full pipe or a stopped process
cost, they cost this worker. It decides nothing about the run, and it does not start another worker.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from multiprocessing import connection, current_process

from ..errors import WorkerProcessError
from ..texts import error_text
from . import process_main
from .channel import Channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from typing import Any

    from ..core.run import Run

#: Milliseconds after which a worker is looked at even if its pipe is silent: a grandchild that inherited the pipe keeps it open.
_HEARTBEAT = 1000
#: Seconds that a worker has to end: after its pipe was closed, and after it was asked to.
_GRACE = 5.0
#: Seconds that a forked worker has for its first word; one that is forked while other threads hold locks may never come to it.
FORK_PATIENCE = 15
#: Seconds that any other worker has for it: it imports the main module of the program before that.
PATIENCE = 600
#: One process is started at a time, so that a forked one inherits no pipe that nobody knows of.
_starting = threading.Lock()
#: The parent's ends of the pipes of all living workers.
_pipes: set[Connection] = set()


class Settings:
    """How workers are made."""

    __slots__ = ("context", "initargs", "initializer", "max_tasks")

    def __init__(
        self, context: Any, initializer: Any, initargs: tuple[Any, ...], max_tasks: int | None
    ) -> None:
        self.context = context
        self.initializer = initializer
        self.initargs = initargs
        self.max_tasks = max_tasks


class WorkerDied(Exception):
    """The worker has ended, or its pipe is broken."""


class WorkerIsSilent(Exception):
    """The worker lives, and has not said anything in time."""


class WorkerProcess:
    """One worker process, from its start to its end.

    :param settings: how it is made
    :param name: its name
    :raises WorkerProcessError: if it cannot be started
    """

    def __init__(self, settings: Settings, name: str) -> None:
        self.tasks = 0
        #: whether it has said that it can take calls
        self.ready = False
        #: whether it may have died since its last answer, as there was nothing for it to do
        self.rested = False
        self._ended = False
        #: the run that it carries out, if that has a limit of time; held while that changes, or the worker is ended for it
        self._serves: Run | None = None
        #: the run that was asked to stop last
        self._asked: Run | None = None
        self._serving = threading.Lock()
        try:
            ours, theirs = connection.Pipe()
        except OSError as exc:  # a limit of the system
            raise WorkerProcessError(f"a worker process has no pipe: {error_text(exc)}") from None
        self._pipe = Channel(ours, _HEARTBEAT)
        try:
            with _starting:
                self._is_forked = is_forked = settings.context.get_start_method() == "fork"
                process = settings.context.Process(
                    target=process_main.main,
                    args=(
                        theirs,
                        settings.initializer,
                        settings.initargs,
                        (ours, *_pipes) if is_forked else (),
                    ),
                    name=name,
                )
                _start_without_sigint(process)
                _pipes.add(ours)
        except BaseException as exc:  # pickling the initializer may raise anything
            ours.close()
            raise WorkerProcessError(f"a worker process cannot be started: {error_text(exc)}") from None
        finally:
            theirs.close()
        self._process: BaseProcess = process
        self.pid = process.pid

    def wait_until_ready(self) -> None:
        """Wait until the worker can take a call.

        :raises WorkerProcessError: if its initializer raises, if it ends before, or does not even begin in time
        """
        patience = FORK_PATIENCE if self._is_forked else PATIENCE
        try:
            self._receive(patience)
            message = self._receive()
        except WorkerIsSilent:
            why = ", as a process may that is forked while other threads hold locks" * self._is_forked
            raise WorkerProcessError(
                f"{self.end(0)}: it had not begun {patience} s after its start{why}"
            ) from None
        except WorkerDied:
            raise WorkerProcessError(
                f"{self.end()} before it was ready; its error output tells why"
            ) from None
        if message[:1] == process_main.BROKEN:
            self.end()
            raise WorkerProcessError(
                f"its initializer raised an exception:\n{message[1:].decode(errors='replace')}"
            )
        self.ready = True

    def is_alive(self) -> bool:
        """Whether the process is still there."""
        return self._process.exitcode is None

    def send(self, message: bytes) -> None:
        """Give the worker a call.

        :raises WorkerDied: if it has not taken all of it, and so has not begun
        """
        self.tasks += 1
        try:
            self._pipe.send(message)
        except OSError:
            raise WorkerDied from None

    def serve(self, run: Run | None) -> None:
        """Take note that it carries out a run that has a limit of time; None: it does so no more."""
        with self._serving:
            self._serves = run

    def terminate_run(self, run: Run) -> None:
        """Make the process end at once if it carries out this run."""
        with self._serving:
            if self._serves is run:
                self.kill()

    def receive_outcome(self, run: Run) -> bytes:
        """Wait for the outcome of the call and return it, pickled.

        :param run: the run that is carried out; what it says of itself meanwhile is told to it
        :raises WorkerDied: if the worker has ended before that
        """
        while (message := self._receive(run=run))[:1] != process_main.OUTCOME:
            from .worker_beats import hear  # most runs say nothing

            hear(run, message)
            if run.cancelled:  # one that says something each second
                with suppress(OSError):  # the next look finds out
                    self._ask_to_stop(run)
        return message[1:]

    def _ask_to_stop(self, run: Run) -> None:
        """Tell the worker once that somebody has asked its run to stop. Only here it is written while a call is under way."""
        if self._asked is not run:
            from .worker_requests import request_of  # rare

            self._asked = run
            self._pipe.send(request_of(run))

    def _receive(self, patience: int | None = None, run: Run | None = None) -> bytes:
        """Wait for a message and return it.

        :param run: a run that is carried out, which may be asked to stop meanwhile; that is looked at once a second
        :raises WorkerDied: if the worker has ended
        :raises WorkerIsSilent: if nothing has come in so many seconds
        """
        silent = 0
        try:
            while (message := self._pipe.receive()) is None:
                if not self.is_alive() and not self._pipe.has_more():
                    raise WorkerDied
                silent += 1
                if silent == patience:  # one look a second
                    raise WorkerIsSilent
                if run is not None and run.cancelled:
                    self._ask_to_stop(run)
            return message
        except (EOFError, OSError):
            raise WorkerDied from None

    def terminate(self) -> None:
        """Ask the process to end, and make it end if it does not (it ignores the signal, or is stopped). Does not wait."""
        _quietly(self._process.terminate)
        timer = threading.Timer(_GRACE, self.kill)
        timer.daemon = True
        try:
            timer.start()
        except Exception:  # no thread can be started
            self.kill()

    def kill(self) -> None:
        """Make the process end at once."""
        if not self._ended:
            _quietly(self._process.kill)

    def end(self, grace: float = 1.0) -> str:
        """Close the pipe, wait for the process's end, by force after ``grace`` seconds, and return how it ended, in words."""
        _pipes.discard(self._pipe.connection)
        self._pipe.close()
        process = self._process
        process.join(grace)
        if process.exitcode is None:
            process.kill()
            process.join(_GRACE)
        code = process.exitcode
        self._ended = True
        if code is not None:
            process.close()
        return process_main.describe_exit(self.pid, code)

    def retire(self) -> None:
        """Let an idle worker end after the cleaning up that it may have to do; waits for that."""
        self.end(_GRACE)


def is_being_prepared() -> bool:
    """Whether this is a child that multiprocessing still prepares, where it starts no process and says so in eighteen lines."""
    return bool(getattr(current_process(), "_inheriting", False))


def forget_all() -> None:
    """Forget the workers of the parent, in a forked child."""
    global _starting
    _starting = threading.Lock()
    _pipes.clear()


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except (OSError, ValueError):
        pass  # it has ended


def _start_without_sigint(process: BaseProcess) -> None:
    """Start a process in which Ctrl-C is blocked from its first instruction on."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    from multiprocessing import resource_tracker  # not on Windows

    resource_tracker.ensure_running()  # starting it later would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
