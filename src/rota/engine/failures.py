"""What jobs want to be called with runs that have failed for good (``on_failure``), handed to their executors.

It calls nothing itself, and writes nothing: the ends are in the store already.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from ..core.policy import DEFAULT_POLICY
from ..core.run import ON_FAILURE, Run
from ..core.states import FAILED, LOST, SUCCEEDED, TIMED_OUT
from ..events import EVENT_JOB_ON_FAILURE_ERROR, JobOnFailureErrorEvent
from ..interrupts import is_interrupt
from ..texts import error_text
from .announcements import local

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from typing import Any

    from ..core.handlers import Nameless
    from ..job.handle import Job
    from .outlet import Outlet

_FAILURES = (FAILED, LOST, TIMED_OUT)
#: What a record has; its zone is that of the job.
_KEPT = tuple(name for name in Run.__slots__ if name not in ("timezone", "said", "watch"))


class Failures:
    """The failed runs of one store of which somebody is to be told.

    :param outlet: the scheduler, as its engine sees it
    :param alias: the alias of the store
    """

    __slots__ = ("_alias", "_outlet", "_waiting")

    def __init__(self, outlet: Outlet, alias: str) -> None:
        self._outlet = outlet
        self._alias = alias
        #: the record of a run, its job, and what is to be called
        self._waiting: deque[tuple[Run, Job, str | Nameless]] = deque()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def note(self, runs: Sequence[Run], unrecorded: Container[int] = ()) -> None:
        """Take note of those of the ended runs that have failed, and whose jobs name whom to tell.

        :param unrecorded: the identities of runs whose end is not in the store
        """
        for run in runs:
            job = run.job
            if job is None or run.status not in _FAILURES or id(run) in unrecorded:
                continue
            handler = job.policy.on_failure
            if handler is not None:
                record: Run = Run.__new__(Run)
                for name in _KEPT:
                    if hasattr(run, name):  # most runs have nothing beside them
                        setattr(record, name, getattr(run, name))
                record.timezone = local(job, run.last).tzinfo
                record.name, record.func = job.name, job.func_ref
                # What it keeps must be fit for a worker process.
                record.job = record.then = record.permission = record.exception = None
                self._waiting.append((record, job, handler))

    def tell(self) -> None:
        """Have executors call what is to be told. No lock may be held: an executor may call it at once."""
        from ..trust.names import callable_named  # import time: nobody comes here before a job has failed

        while self._waiting:
            try:
                record, job, handler = self._waiting.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                func = callable_named(handler) if isinstance(handler, str) else handler.func
                executor = self._outlet.executors[record.executor]
                executor.submit([_call_of(record, job, func)], partial(self._ended, record))
            except BaseException as exc:  # it leads nowhere, or its executor is gone
                if is_interrupt(exc):
                    raise
                self._failed(record, error_text(exc), exc)

    def _ended(self, record: Run, run: Run) -> None:
        if run.status != SUCCEEDED:
            exc = run.exception
            self._failed(record, run.reason or run.status if exc is None else error_text(exc), exc)

    def _failed(self, record: Run, why: str, exc: BaseException | None) -> None:
        self._outlet.logger.error('The on_failure of job "%s" has failed: %s', record.name, why)
        event = JobOnFailureErrorEvent(
            EVENT_JOB_ON_FAILURE_ERROR, record.job_id, self._alias, why, exc, record
        )
        self._outlet.dispatch(event)


def _call_of(record: Run, job: Job, func: Any) -> Run:
    """Return the call of what is to be told as a run, which no store knows."""
    twin = job.copy()
    twin.func, twin.func_ref, twin.args, twin.kwargs = func, None, (record,), {}
    twin._home = (job._home[0], None)  # it is in no store
    twin.name, twin.policy = f"on_failure of {job.name}", DEFAULT_POLICY
    run = Run(job.id, record.nominal, record.due, twin, record.executor)
    run.attempt, run.owner, run.reason = record.attempt, record.owner, ON_FAILURE
    return run
