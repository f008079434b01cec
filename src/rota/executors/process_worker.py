"""What a worker process of the process pool does: it receives calls, carries them out, and sends back how they ended.

It knows nothing of the pool beyond the connection to it, and it never prints or logs: the parent does that.
"""

from __future__ import annotations

import pickle
import signal
import traceback
from contextlib import suppress
from contextvars import copy_context
from multiprocessing.reduction import ForkingPickler

from ..core.run import Run
from ..errors import SerializationError
from ..job import Job
from .base import _current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from typing import Any

#: The first byte of what a worker sends.
READY = b"r"
BROKEN = b"b"
OUTCOME = b"o"


def pack_call(run: Run) -> bytes:
    """Return a run and its call as bytes for a worker.

    :raises SerializationError: if the callable or an argument cannot be pickled; the message names it
    """
    job = run.job
    assert job is not None
    times = (
        run.job_id,
        run.nominal,
        run.due,
        run.executor,
        run.attempt,
        run.owner,
        run.claimed_at,
        run.started_at,
        _zone_of(job),
    )
    try:
        return bytes(ForkingPickler.dumps((times, job.name, job.policy, job.func, job.args, job.kwargs)))
    except Exception as exc:
        raise SerializationError(
            f"Job {job.id!r} cannot be sent to a worker process: {_culprit(job)} cannot be pickled ({exc}). Use "
            f"module-level functions and picklable arguments, or a thread pool"
        ) from exc


def _zone_of(job: Job) -> str | None:
    """Return the name of the zone in which a job's times are shown."""
    try:
        name = getattr(job.trigger, "timezone", None).key  # type: ignore[union-attr]
    except Exception:  # the zone may be anybody's
        return None
    return name if type(name) is str else None


def _culprit(job: Job) -> str:
    parts: list[tuple[str, Any]] = [("its function", job.func)]
    parts += [(f"args[{index}]", value) for index, value in enumerate(job.args)]
    parts += [(f"kwargs[{key!r}]", value) for key, value in job.kwargs.items()]
    for name, value in parts:
        try:
            ForkingPickler.dumps(value)
        except Exception:  # pickling may raise anything; that it raises is the answer
            return name
    return "one of its arguments"


def main(
    connection: Connection,
    initializer: Callable[..., Any] | None,
    initargs: tuple[Any, ...],
    inherited: tuple[Connection, ...],
) -> None:
    """Serve the pool until it closes the connection.

    :param inherited: the parent's ends of all pipes (a forked worker has copies of them, which would keep others alive)
    """
    # Ctrl-C is for the parent, which drains the pool.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    for other in inherited:
        other.close()
    try:
        if _initialize(connection, initializer, initargs):
            connection.send_bytes(READY)
            while True:
                connection.send_bytes(OUTCOME + carry_out(connection.recv_bytes()))
    except (EOFError, OSError):
        pass  # the pool is gone or has no more work for this worker


def _initialize(
    connection: Connection, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]
) -> bool:
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException:  # whatever it is, the pool is told
            connection.send_bytes(BROKEN + traceback.format_exc().encode())
            return False
    return True


def carry_out(message: bytes) -> bytes:
    """Carry out a call from :func:`pack_call` and return the outcome as bytes for :func:`unpack_outcome`."""
    try:
        times, name, policy, func, args, kwargs = pickle.loads(message)
        run = _run(times, name, policy)
        retval = copy_context().run(_call, run, func, args, kwargs)
    except BaseException as exc:  # it is the outcome of the run
        return _pack_failure(exc)
    try:
        return bytes(ForkingPickler.dumps((True, retval)))
    except Exception as exc:  # pickling may raise anything
        return _pack_failure(
            SerializationError(
                f"Job {run.job_id!r} has run, but its return value (a {type(retval).__qualname__}) cannot be pickled "
                f"to be sent back ({exc}); return plain data or None"
            )
        )


def _run(times: tuple[Any, ...], name: str, policy: Any) -> Run:
    job_id, nominal, due, executor, attempt, owner, claimed_at, started_at, zone = times
    job: Job = Job.__new__(Job)
    job.id, job.name, job.policy, job.executor = job_id, name, policy, executor
    run = Run(job_id, nominal, due, job, executor)
    run.attempt, run.owner, run.claimed_at, run.started_at = attempt, owner, claimed_at, started_at
    if zone is not None:
        from zoneinfo import ZoneInfo  # not every job has one

        with suppress(Exception):  # the times are shown in UTC then
            run.timezone = ZoneInfo(zone)
    return run


def _call(run: Run, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    _current.set(run)
    retval = func(*args, **kwargs)
    if type(retval).__name__ == "coroutine" and hasattr(retval, "send"):
        import asyncio

        return asyncio.run(retval)
    return retval


def _pack_failure(exc: BaseException) -> bytes:
    frames = "".join(traceback.format_tb(exc.__traceback__))
    formatted = "".join(traceback.format_exception(exc))
    try:
        text = str(exc)
    except Exception:  # a broken __str__ must not cost the outcome
        text = "(its text cannot be formatted)"
    pickled = None
    try:
        pickled = bytes(ForkingPickler.dumps(exc))
        pickle.loads(pickled)
    except Exception:  # many exceptions cannot be pickled, or not unpickled
        pickled = None
    return bytes(ForkingPickler.dumps((False, pickled, type(exc).__qualname__, text, frames, formatted)))


def describe_exit(pid: int | None, code: int | None) -> str:
    """Return how a worker process ended, in words."""
    if code is None:
        return f"worker process {pid} is gone"
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"worker process {pid} was killed by {name} (exit code {code})"
    return f"worker process {pid} ended with exit code {code}"
