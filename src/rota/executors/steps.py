"""The steps by which all executors carry a run out: the call, the wait for a coroutine, the outcome.

It starts no thread and knows no executor. Whatever a job does becomes its run's outcome; none of this raises.
"""

from __future__ import annotations

import sys
from contextvars import Context, ContextVar
from functools import partial
from types import CoroutineType

from ..core.policy import Policy
from ..core.run import Run, fail, is_expired, time_of
from ..core.states import CANCELLED, CLAIMED, FAILED, MISSED, end, succeed, withhold
from ..errors import CommandStoppedError, NoCurrentRunError, RunOutcome
from ..texts import error_text, text_of, traceback_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from types import CodeType
    from typing import Any

    from ..clock import Clock
    from ..core.run import ShowsTime, Wish
    from ..logs import GuardedLogger

    #: called once for each run, from any thread, after the run has ended
    Done = Callable[[Run], None]
    #: writes the end of a run, at an instant
    WriteEnd = Callable[[Run, int], object]

#: Why a run that was cancelled has no outcome of its own.
NOT_STARTED = "cancelled before it started"
#: What is logged where a predicate, or a class that is derived from an outcome, has failed itself.
NOTHING_FOLLOWS = 'What is to follow the failure of job "%s" cannot be told, so nothing does: %s'
#: The flag of ``async def`` in a code object, and what markcoroutinefunction() leaves on others (inspect is slow to load).
_CO_COROUTINE = 0x80
_COROUTINE_MARKS = ("_is_coroutine_mark", "_is_coroutine_marker", "_is_coroutine")
#: Attributes of classes and exceptions as they are, whatever a metaclass or a property makes of them.
_name_of = type.__dict__["__name__"].__get__
_bases_of = type.__dict__["__mro__"].__get__
_traceback = BaseException.__dict__["__traceback__"]

#: The runs that third-party executors have in hand, with the clock of their permission; by the identity of their job.
submitted: dict[int, tuple[Sequence[Run], Clock]] = {}
_current: ContextVar[Run] = ContextVar("rota.current_run")


def current_run() -> Run:
    """Return the run that the calling code belongs to: its id, attempt, nominal time, deadline and cancel flag.

    Works in threads, coroutines and worker processes, and in what they call.

    :raises NoCurrentRunError: outside a run
    """
    try:
        return _current.get()
    except LookupError:
        raise NoCurrentRunError(
            "current_run() was called outside a run; only code that a job calls has one"
        ) from None


def chain(head: Run) -> Sequence[Run]:
    """Return the members of a group, in the order of their execution."""
    runs = [head]
    while runs[-1].then is not None:
        runs.append(runs[-1].then)
    return runs


def cancel_group(head: Run) -> None:
    """Ask a run and what follows it in its group to stop."""
    for run in chain(head):
        run.cancelled = True


def cancel_unstarted(run: Run, now: int) -> None:
    """End a run that has not started as cancelled."""
    end(run, CANCELLED, NOT_STARTED, now)


def is_coroutine_function(func: Any) -> bool:
    """Whether calling something gives a coroutine; partials and objects with an async ``__call__`` count.

    A lambda that returns a coroutine is not recognised before it is called. Nor is an object whose attributes cannot be read,
    which fails when it is called.
    """
    try:
        while isinstance(func, partial):
            func = func.func
        code = getattr(func, "__code__", None)
        if code is None:
            code = getattr(getattr(type(func), "__call__", None), "__code__", None)  # noqa: B004  # which, not whether
        if code is not None and code.co_flags & _CO_COROUTINE:
            return True
        return any(hasattr(func, mark) for mark in _COROUTINE_MARKS)
    except BaseException:
        return False


def is_coroutine(value: Any) -> bool:
    """Whether a return value is a coroutine, Python's or Cython's."""
    kind = type(value)
    if kind is CoroutineType:
        return True
    if _name_of(kind) != "coroutine":
        return False
    try:
        return hasattr(kind, "send") and hasattr(kind, "close") and hasattr(kind, "__await__")
    except BaseException:  # a metaclass may do anything
        return False


def context_of(scheduler: Any) -> Context:
    """Return the context that a scheduler hands to its jobs; an empty one if there is none."""
    context = getattr(scheduler, "_context", None)
    return context if isinstance(context, Context) else Context()


def may_start(run: Run, clock: Clock) -> bool:
    """Whether a run has its permission to start; without it, the run and what follows it in its group are withheld.

    They are reported like all others; the engine may submit them again.
    """
    permission = run.permission
    if permission is None or (run.status == CLAIMED and clock.monotonic() < permission.until):
        return True
    _withhold(run)
    return False


def _withhold(run: Run) -> None:
    for member in chain(run):
        withhold(member)


def call(run: Run, job: Any) -> Any:
    """Call a job as its run."""
    _current.set(run)
    kwargs = job._rare.kwargs
    return job.func(*job.args, **kwargs) if kwargs else job.func(*job.args)


def perform(
    run: Run,
    context: Context,
    clock: Clock,
    logger: GuardedLogger,
    call: Callable[[Run, Any], Any] = call,
) -> Any:
    """Call a run's job and write the outcome into the run.

    The steps: cancelled, not permitted, too late? call, outcome. Whatever the job raises (BaseException too, as in APScheduler) is
    its outcome.

    :param context: the context variables that the job sees; a copy of it is made for the run
    :param call: calls the job; another one where the scheduler has something around its calls (:mod:`rota.executors.around`)
    :return: None, or a coroutine that the caller has to await by :func:`perform_coroutine` (the run has not ended then)
    """
    job = run.job
    own: ShowsTime = clock
    if run.permission is not None:
        if not run.cancelled and not may_start(run, clock):
            return None
        own = run.permission.clock or clock
    # Before it is asked, so that whoever asks it to stop sees that it has started, or is heard here.
    now = run.started_at = own.now()
    if run.cancelled:
        run.started_at = None
        return end(run, CANCELLED, NOT_STARTED, now)
    if job is not None and job.policy.expires is not None and is_expired(run, now):
        run.started_at = None
        return end(run, MISSED, "expired", now)
    if Policy.some_time_out and hasattr(run, "watch"):
        run.watch.begin(run)
    try:
        retval = context.copy().run(call, run, job)
        if retval is not None and is_coroutine(retval):
            return retval
    except BaseException as exc:  # it is the outcome of the run
        record_failure(run, exc, own.now(), logger)
    else:
        succeed(run, retval, own.now())
    return None


async def perform_coroutine(
    run: Run, coroutine: Coroutine[Any, Any, Any], clock: Clock, logger: GuardedLogger
) -> None:
    """Await the coroutine that :func:`perform` returned and write the outcome into the run.

    It needs a context of its own (a task has one), in which the run stays the current one. A run that has been
    ended meanwhile (as its loop was closed) stays as it is.
    """
    permission = run.permission
    if permission is not None and clock.monotonic() >= permission.until and _has_not_begun(run):
        _withhold(run)
        return close_quietly(coroutine)
    _current.set(run)
    try:
        retval = await coroutine
    except BaseException as exc:  # it is the outcome of the run
        if not run.ended:
            record_failure(run, exc, time_of(run, clock), logger)
    else:
        if run.status == CLAIMED:
            succeed(run, retval, time_of(run, clock))


def _has_not_begun(run: Run) -> bool:
    """Whether nothing of the job was executed when its coroutine was made, which has waited for its turn on the loop since."""
    return run.status == CLAIMED and run.job is not None and is_coroutine_function(run.job.func)


def record_failure(run: Run, exc: BaseException, now: int, logger: GuardedLogger) -> None:
    """End a run with what it raised, and log it with its traceback, which begins in the job's own code.

    A run that was asked to stop and raises what it was stopped by has been cancelled. A CancelledError that a job gets from
    something it waits for, while nobody asked it to stop, is a failure like any other.
    """
    extra = getattr(run, "extra", None)
    if extra is not None and extra.cancel is not None:  # whatever it raises, it was asked to stop
        return end(run, CANCELLED, extra.cancel, now)
    if is_stopped_by(run, exc):
        return end(run, CANCELLED, "cancelled while it was running", now)
    if issubclass(type(exc), CommandStoppedError):
        return end(run, CANCELLED, text_of(exc), now)
    drop_own_frames(exc)
    wish, complaint = wish_after(run, exc)
    write_attempt(run, exc, traceback_of(exc), wish, now)
    if run.status != FAILED:  # it has said how it goes on
        return None
    log_failure(run, complaint, logger, "", exc_info=exc)
    clear_frames(exc)
    return None


def log_failure(
    run: Run, complaint: str | None, logger: GuardedLogger, where: str, exc_info: BaseException | None = None
) -> None:
    """Log that a job has raised an exception.

    :param complaint: why it cannot be told what is to follow, if it cannot
    :param where: where it has, in words, with what is to be shown of the exception
    """
    job = run.job_id if run.job is None else run.job
    if complaint is not None:
        logger.error(NOTHING_FOLLOWS, job, complaint)
    # Whether it has failed for good is told by whoever decides about that.
    log = logger.warning if hasattr(run, "wish") else logger.error
    log('Job "%s" raised an exception%s', job, where, exc_info=exc_info)


def wish_after(run: Run, exc: BaseException) -> tuple[Wish | None, str | None]:
    """Return what is to follow an attempt that has raised an exception, and why that cannot be told, if it cannot."""
    if not (issubclass(type(exc), RunOutcome) or _has_retry(run)):
        return None, None
    try:
        from ..core.tries import wish_of  # most jobs are not tried again
        from ..trust.names import callable_named  # likewise: rare

        return wish_of(run, exc, callable_named), None
    except BaseException as error:  # a predicate, or a class of the user's, has failed
        return None, error_text(error)


def write_attempt(run: Run, exc: BaseException, frames: str, wish: Wish | None, now: int) -> None:
    """Write into a run what its job has raised, and what is to follow.

    :param frames: the traceback as a text
    :param wish: what :func:`wish_after` has found
    """
    if wish is not None or _has_retry(run):
        Run.some_again = True
    if wish is not None:
        from ..core.tries import follow  # most jobs are not tried again

        if follow(run, wish, now):
            return
    fail(run, exc, frames, now)


def _has_retry(run: Run) -> bool:
    return run.job is not None and run.job.policy.retry is not None


def is_stopped_by(run: Run, exc: BaseException) -> bool:
    """Whether an exception is how a run ends that was asked to stop: CancelledError, or gevent's GreenletExit."""
    # By name, as neither asyncio nor Twisted nor gevent need be loaded.
    names = [_name_of(base) for base in _bases_of(type(exc))]
    if "CancelledError" in names:
        return run.cancelled or _task_is_cancelled()
    return run.cancelled and "GreenletExit" in names


def drop_own_frames(exc: BaseException) -> None:
    """Let the traceback of an exception begin in the code of the job, not in Rota's."""
    traceback = _traceback.__get__(exc)
    while traceback is not None and traceback.tb_frame.f_code in _OWN_CODE:
        traceback = traceback.tb_next
    _traceback.__set__(exc, traceback)


def clear_frames(exc: BaseException) -> None:
    """Let go of the locals that the traceback of an exception keeps alive."""
    traceback = _traceback.__get__(exc)
    while traceback is not None:
        try:
            traceback.tb_frame.clear()
        except BaseException:  # one that is still executed, or a finalizer of the job's
            pass
        traceback = traceback.tb_next


def close_quietly(coroutine: Any) -> None:
    """Close a coroutine that will not be awaited; what it raises then is ignored."""
    try:
        coroutine.close()
    except BaseException:
        pass


#: The code whose frames come before those of the job in a traceback.
_OWN_CODE: set[CodeType] = {perform.__code__, perform_coroutine.__code__, call.__code__}


def is_ours(*functions: Any) -> None:
    """Leave the frames of these functions, too, out of the tracebacks of jobs."""
    _OWN_CODE.update(function.__code__ for function in functions)


def _task_is_cancelled() -> bool:
    """Whether the current asyncio task was asked to stop."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        task: Any = asyncio.current_task()
        return task is not None and task.cancelling() > 0
    except Exception:  # no loop runs here, or its tasks are of another kind
        return False
