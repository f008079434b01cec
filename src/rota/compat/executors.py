"""Executors of ours of which a program has replaced a part, and what programs read of executors.

It knows only the attributes of the executor that it is given, and carries nothing out: runs go the way of third-party executors.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import MethodType

from ..errors import ConfigurationError
from .overrides import own_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime
    from typing import Any, NoReturn

    from ..job.handle import Job


def obey_run_job(executor: Any) -> None:
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
    executor.use_hooks()
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


def under_way(executor: Any, counted: dict[str, int]) -> dict[str, int]:
    """Return how many runs of each job an executor has in hand: APScheduler's ``_instances``.

    :param counted: how many APScheduler's methods were given; where the program's own count, they change this dictionary
    """
    if "submit" in vars(executor):
        return counted
    counts = _Counts(counted)
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
