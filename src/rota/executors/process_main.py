"""What a worker process of the process pool does: it receives calls, carries them out, and sends back how they ended.

It knows nothing of the pool beyond the connection to it, and it never prints or logs: the parent does that.
"""

from __future__ import annotations

import pickle
import signal
import traceback
from contextlib import suppress
from contextvars import Context
from functools import partial
from multiprocessing.reduction import ForkingPickler
from types import FunctionType

from ..core.policy import Policy
from ..core.run import Run, heard
from ..errors import ConfigurationError, SerializationError
from ..job.handle import Job
from ..texts import error_text, shortened, text_of, traceback_of, type_name
from .channel import Channel
from .steps import _current, drop_own_frames, is_coroutine, is_ours, wish_after
from .worker_requests import STOP, Requests

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection
    from typing import Any

    from .around import Middleware, WorkerCalls
    from .worker_beats import Speaker

#: The first byte of what a worker sends. The first message of all comes before the initializer is called.
STARTED = b"s"
READY = b"r"
BROKEN = b"b"
OUTCOME = b"o"
#: Seconds from one look to the next whether the run of a coroutine is asked to stop.
LOOK = 0.5
#: For these, and for functions, no reducer that is registered with multiprocessing is asked: the pickle is the same without its
#: pickler, which takes longer to be made than to work.
_ATOMS = {type(None), bool, int, float, str, bytes}
#: what is around calls in this worker, and the bytes that say so
_calls: tuple[bytes, WorkerCalls] | None = None


def pack_call(run: Run, around: bytes | None = None) -> bytes:
    """Return a run and its call as bytes for a worker.

    :param around: what is around the call, from :func:`pack_around`
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
        policy = job.policy.for_workers().key()
        call: tuple[Any, ...] = (times, job.name, policy, job.func, job.args, job.kwargs)
        if around is not None:
            call = (*call, around)
        if type(job.func) is FunctionType and not job.kwargs and all(type(arg) in _ATOMS for arg in job.args):
            return pickle.dumps(call)
        return bytes(ForkingPickler.dumps(call))
    except BaseException as exc:  # pickling may raise anything
        raise SerializationError(
            f"Job {job.id!r} cannot be sent to a worker process: {_culprit(job)} cannot be pickled "
            f"({text_of(exc) or error_text(exc)}). Use module-level functions and picklable arguments, or a thread pool"
        ) from None


def pack_around(middleware: Sequence[Middleware], factories: Mapping[str, Callable[[], Any]]) -> bytes:
    """Return middleware and factories of resources as bytes for a worker.

    :raises ConfigurationError: if one of them cannot be pickled; the message names it
    """
    named: list[tuple[str, Any]] = [(f"middleware {name}", around) for name, around in middleware]
    named += [(f"the factory of resource {name!r}", factory) for name, factory in factories.items()]
    for what, each in named:
        try:
            pickle.loads(ForkingPickler.dumps(each))
        except BaseException as exc:  # pickling may raise anything
            raise ConfigurationError(
                f"{what} must be importable where there is a process pool, as it is called in the worker processes, got one "
                f"that cannot be sent there ({text_of(exc) or error_text(exc)}); move it to the top level of its module"
            ) from None
    return bytes(ForkingPickler.dumps((tuple(middleware), dict(factories))))


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
        except BaseException:  # pickling may raise anything; that it raises is the answer
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
        channel = Channel(connection)
        channel.send(STARTED)
        if _initialize(channel, initializer, initargs):
            channel.send(READY)
            listeners = heard[None] = Listeners(channel.send)
            requests = Requests(channel)
            while (message := channel.receive()) is not None:
                if message[:1] == STOP:  # of a run that has ended meanwhile
                    continue
                outcome = carry_out(message, requests)
                requests.end()
                if listeners.speaker is not None:
                    listeners.speaker.finish()
                channel.send(OUTCOME + outcome)
    except (EOFError, OSError):
        pass  # the pool is gone or has no more work for this worker


class Listeners:
    """Makes what sends what runs say of themselves, when the first one says something.

    :param send: sends a message to the pool
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self.speaker: Speaker | None = None

    def listener_of(self, run: Run) -> Speaker:
        """Return what sends what runs say."""
        if self.speaker is None:
            from .worker_beats import Speaker  # most runs say nothing

            self.speaker = Speaker(self._send)
        return self.speaker


def _initialize(channel: Channel, initializer: Callable[..., Any] | None, initargs: tuple[Any, ...]) -> bool:
    if initializer is not None:
        try:
            initializer(*initargs)
        except BaseException:  # whatever it is, the pool is told
            channel.send(BROKEN + traceback.format_exc().encode())
            return False
    return True


def carry_out(message: bytes, requests: Requests | None = None) -> bytes:
    """Carry out a call from :func:`pack_call` and return the outcome as bytes, which the pool writes into the run.

    :param requests: what hears that the run is asked to stop; None: nobody asks
    """
    run = None
    try:
        times, name, policy, func, args, kwargs, *around = pickle.loads(message)
        run = _run(times, name, policy)
        if requests is not None:
            requests.begin(run)
        call: Any = partial(_call_inside, _calls_of(*around)) if around else _call
        if run.job is not None and run.job.policy.keep_log:
            from .kept_logs import Printed  # most jobs keep no logs

            with Printed(run):
                retval = Context().run(call, run, func, args, kwargs)
        else:
            retval = Context().run(call, run, func, args, kwargs)
    except BaseException as exc:  # it is the outcome of the run
        return _pack_failure(exc, run)
    try:
        return (
            pickle.dumps((True, retval))
            if type(retval) in _ATOMS
            else bytes(ForkingPickler.dumps((True, retval)))
        )
    except BaseException as exc:  # pickling may raise anything
        return _pack_failure(
            SerializationError(
                f"Job {run.job_id!r} has run, but its return value (a {type_name(retval)}) cannot be pickled to be sent "
                f"back ({text_of(exc) or error_text(exc)}); return plain data or None"
            )
        )


def _run(times: tuple[Any, ...], name: str, policy: tuple[Any, ...]) -> Run:
    job_id, nominal, due, executor, attempt, owner, claimed_at, started_at, zone = times
    job: Job = Job.__new__(Job)
    job.id, job.name, job.policy, job.executor = job_id, name, Policy(*policy), executor
    run = Run(job_id, nominal, due, job, executor)
    run.attempt, run.owner, run.claimed_at, run.started_at = attempt, owner, claimed_at, started_at
    if zone is not None:
        from zoneinfo import ZoneInfo  # not every job has one

        with suppress(Exception):  # the times are shown in UTC then
            run.timezone = ZoneInfo(zone)
    return run


def _call(run: Run, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    _current.set(run)
    return _awaited(func(*args, **kwargs))


def _call_inside(calls: WorkerCalls, run: Run, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    job: Any = run.job
    job.func, job.args, job.kwargs = func, args, kwargs
    return _awaited(calls.call(run, job))


def _calls_of(around: bytes) -> WorkerCalls:
    """Return what is around calls in this worker, of what the pool has sent."""
    global _calls
    if _calls is None or _calls[0] != around:
        from .around import WorkerCalls  # most programs have nothing around their calls

        made = {} if _calls is None else _calls[1].made
        middleware, factories = pickle.loads(around)
        _calls = around, WorkerCalls(middleware, factories, made)
    return _calls[1]


def _awaited(retval: Any) -> Any:
    """Return what a job has returned; a coroutine is awaited on a loop of its own."""
    if is_coroutine(retval):
        import asyncio  # import time

        error, retval = asyncio.run(_outcome(retval))
        if error is not None:
            raise error
    return retval


async def _outcome(coroutine: Any) -> tuple[BaseException | None, Any]:
    """Await a job's coroutine; what it raises is returned, so that its traceback holds nothing of asyncio.

    It is cancelled, once, when somebody asks its run to stop.
    """
    import asyncio  # import time

    task, loop, run = asyncio.current_task(), asyncio.get_running_loop(), _current.get()
    looks: asyncio.TimerHandle

    def look() -> None:
        nonlocal looks
        if run.cancelled and task is not None:
            task.cancel()
        else:
            looks = loop.call_later(LOOK, look)

    looks = loop.call_later(LOOK, look)
    try:
        return None, await coroutine
    except BaseException as exc:  # it is the outcome of the run
        return exc, None
    finally:
        looks.cancel()


is_ours(carry_out, _call, _call_inside, _awaited, _outcome)


def _pack_failure(exc: BaseException, run: Run | None = None) -> bytes:
    """Return a failure as bytes.

    :param run: the run whose job has raised it, None: it is not the job's
    """
    drop_own_frames(exc)
    wish, complaint = None, None
    if run is not None:
        wish, complaint = wish_after(run, exc)
    pickled = None
    try:
        pickled = bytes(ForkingPickler.dumps(exc))
        pickle.loads(pickled)
    except BaseException:  # many exceptions cannot be pickled, or not unpickled
        pickled = None
    frames, text = shortened(traceback_of(exc)), shortened(text_of(exc))
    return bytes(
        ForkingPickler.dumps(
            (False, pickled, type_name(exc), text, frames, _formatted(exc, frames), wish, complaint)
        )
    )


def _formatted(exc: BaseException, frames: str) -> str:
    """Return an exception as Python prints it, as far as that is possible."""
    try:
        return shortened("".join(traceback.format_exception(exc)))
    except BaseException:
        return f"{frames}{error_text(exc)}"


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
