"""Executors of ours of which a program has replaced a part, and what programs read of executors.

It carries nothing out itself: runs go the way of third-party executors, by :class:`~rota.executors.base.BaseExecutor`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import MethodType

from ..core.run import CANCELLED, end, fail, time_of
from ..errors import ConfigurationError, MaxInstancesReachedError
from ..events import EVENT_JOB_MAX_INSTANCES, JobSubmissionEvent
from ..executors.base import BaseExecutor
from ..executors.steps import chain
from ..interrupts import is_interrupt
from .overrides import own_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime
    from typing import Any, NoReturn

    from ..executors.base import NativeExecutor, Submission
    from ..job import Job


def obey(executor: BaseExecutor) -> None:
    """Give an executor its runs by the methods that its program has replaced."""
    own = vars(executor)
    if "submit" not in own:
        own["submit"] = MethodType(BaseExecutor.submit, executor)


def obey_run_job(executor: NativeExecutor) -> None:
    """Let an executor call the function run_job() that a program has put into the module of its class, as APScheduler does.

    :raises ConfigurationError: if an executor of that kind cannot do that
    """
    module = own_module(type(executor))
    function = vars(sys.modules[module]).get("run_job")
    if function is None and module == "rota.executors.processpool":
        function = vars(sys.modules.get("rota.executors.pool", sys)).get("run_job")
    if function is None:
        return
    if getattr(executor, "_pool", None) is None:
        raise ConfigurationError(
            f"{module}.run_job was replaced, and {type(executor).__name__} calls no such function; override its "
            f"_do_submit_job(job, run_times), or add a listener for what happens to runs"
        )
    use_pool(executor)


def use_pool(executor: Any) -> None:
    """Let a pool executor hand each job to its attribute ``_pool``, unless its program says otherwise."""
    obey(executor)
    if type(executor)._do_submit_job.__module__ == "rota.executors.base":
        vars(executor).setdefault("_do_submit_job", MethodType(submit_to_pool, executor))


def submit_to_pool(executor: Any, job: Job, run_times: list[datetime]) -> None:
    """Have the attribute ``_pool`` of an executor call run_job(), and report what it returns or raises."""
    pool: Any = import_module("rota.executors.pool")  # whoever replaces run_job() there is obeyed

    def report(future: Future[Any]) -> None:
        exc = future.exception()
        if exc is None:
            executor._run_job_success(job.id, future.result())
        else:
            executor._run_job_error(job.id, exc, exc.__traceback__)

    arguments = job, job._jobstore_alias, run_times, executor._logger.name
    executor._pool.submit(pool.run_job, *arguments).add_done_callback(report)


def submit_by_override(
    executor: BaseExecutor, job: Job, run_times: list[datetime], submission: Submission
) -> None:
    """Give a job to an executor whose program has replaced submit_job(); whatever that does, each run ends.

    :param submission: what APScheduler's submit_job(), which the program mostly calls, is to take
    """
    counted = executor._counts.get(job.id, 0)
    with executor._legacy_lock:
        executor._given[job.id] = submission
    error: BaseException | None = None
    try:
        executor.submit_job(job, run_times)
    except BaseException as exc:
        if is_interrupt(exc):
            raise
        error = exc
    with executor._legacy_lock:
        is_left = executor._given.pop(job.id, None) is not None
        if is_left and error is None and executor._counts.get(job.id, 0) > counted:
            executor._counts[job.id] -= 1  # it counts runs by itself, so it reports them, too
            executor._enter(job.id, submission)
            is_left = False
    if is_left:
        _end_unsubmitted(executor, job, run_times, submission, error)
    elif error is not None:
        executor._log.error('Error after job "%s" was submitted', job, exc_info=error)


def _end_unsubmitted(
    executor: BaseExecutor,
    job: Job,
    run_times: list[datetime],
    submission: Submission,
    error: BaseException | None,
) -> None:
    """End the runs that submit_job() of a program did not submit."""
    submission.forget()
    assert submission.head is not None and submission.done is not None
    is_full = isinstance(error, MaxInstancesReachedError)
    if is_full:
        executor._log.warning(
            'Execution of job "%s" skipped: maximum number of running instances reached (%d)',
            job,
            job.max_instances,
        )
    elif error is not None:
        executor._log.error('Error submitting job "%s" to executor "%s"', job, job.executor, exc_info=error)
    for run in chain(submission.head):
        now = time_of(run, executor._clock)
        if error is not None and not is_full:
            fail(run, error, "", now)
        else:
            run.started_at = (
                now  # what has not started is given back, and would be claimed as long as this node lives
            )
            reason = f"submit_job() of {type(executor).__qualname__} did not submit it"
            end(run, CANCELLED, "max_instances" if is_full else reason, now)
        executor._report(run, submission.done)
    if is_full and executor._scheduler is not None:
        executor._scheduler._dispatch_event(
            JobSubmissionEvent(
                EVENT_JOB_MAX_INSTANCES, job.id, getattr(job, "_jobstore_alias", None), run_times
            )
        )


def under_way(executor: NativeExecutor) -> dict[str, int]:
    """Return how many runs of each job an executor has in hand: APScheduler's ``_instances``.

    Where the program's own methods count, it is the dictionary that they change; else it is a look at the ledger.
    """
    if "submit" in vars(executor):
        return executor._counts
    counts = _Counts(executor._counts)
    engine = getattr(executor._scheduler, "_engine", None)
    executors = getattr(executor._scheduler, "_executors", {})
    aliases = {alias for alias, other in executors.items() if other is executor}
    for state in () if engine is None else engine.states:
        in_hand = state.completions.in_hand
        runs = state.store._ledger.under_way if in_hand is None else in_hand.values()
        for run in list(runs):
            if run.executor in aliases:
                dict.__setitem__(counts, run.job_id, counts.get(run.job_id, 0) + 1)
    return counts


class _Counts(dict[str, int]):
    """How many runs of each job are under way; an unknown job has none. It cannot be changed."""

    __slots__ = ()

    def __missing__(self, job_id: str) -> int:
        return 0

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError(
            "_instances must be left as it is, got a change to it; the runs under way are counted in the ledger: to let a job "
            "run once more beside itself use modify_job(max_instances=…), and scheduler.get_runs(status='claimed') shows them"
        )

    __setitem__ = __delitem__ = pop = popitem = clear = update = setdefault = _refuse
