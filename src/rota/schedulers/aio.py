"""``scheduler.aio``: the methods of a scheduler that may wait for a job store, as coroutines.

It calls the scheduler in threads of the running loop's default executor; it does nothing itself.
"""

from __future__ import annotations

from ..errors import NoEventLoopError
from .base import BaseScheduler

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping
    from typing import Any, Concatenate, ParamSpec, TypeVar

    from ..core.run import Run

    Given = ParamSpec("Given")
    Result = TypeVar("Result")


def _in_thread(
    method: Callable[Concatenate[Any, Given], Result],
) -> Callable[Concatenate[Aio, Given], Coroutine[Any, Any, Result]]:
    """Return a coroutine function with the signature of a method, which calls the scheduler's method of that name in a thread."""
    name = method.__name__

    async def call(self: Aio, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
        return await self.call(name, args, kwargs)  # type: ignore[no-any-return]

    call.__name__, call.__qualname__, call.__doc__ = name, f"Aio.{name}", method.__doc__
    call.__wrapped__ = method  # type: ignore[attr-defined]
    return call


class Aio:
    """The methods of a scheduler that may wait for a job store, as coroutines: ``await scheduler.aio.add_job(…)``.

    Names, parameters, results and errors are those of the methods. Each is carried out in a thread of the running asyncio loop's
    default executor, which sees a copy of the caller's context variables; so listeners to the caller's own acts are called there.
    One that is cancelled while it waits goes on in its thread, and what it does is done.

    :param scheduler: the scheduler
    """

    def __init__(self, scheduler: BaseScheduler) -> None:
        self._scheduler = scheduler

    async def call(self, name: str, args: Iterable[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a method of the scheduler in a thread, and return what it returns.

        :raises NoEventLoopError: if no asyncio loop runs here
        """
        from asyncio import _get_running_loop, to_thread  # import time

        if _get_running_loop() is None:
            raise NoEventLoopError(
                f"scheduler.aio.{name}() must be awaited on a running asyncio loop, got none; call scheduler.{name}() itself, in "
                f"a thread if it may not block: deferToThread() of Twisted, trio.to_thread.run_sync(), a greenlet of gevent"
            )
        return await to_thread(getattr(self._scheduler, name), *args, **kwargs)

    add_jobstore = _in_thread(BaseScheduler.add_jobstore)  # type: ignore[arg-type]  # self is no keyword
    remove_jobstore = _in_thread(BaseScheduler.remove_jobstore)
    add_job = _in_thread(BaseScheduler.add_job)  # type: ignore[arg-type]  # self is no keyword
    add_jobs = _in_thread(BaseScheduler.add_jobs)
    get_job = _in_thread(BaseScheduler.get_job)
    get_jobs = _in_thread(BaseScheduler.get_jobs)
    get_runs = _in_thread(BaseScheduler.get_runs)
    print_jobs = _in_thread(BaseScheduler.print_jobs)
    modify_job = _in_thread(BaseScheduler.modify_job)  # type: ignore[arg-type]  # self is no keyword
    reschedule_job = _in_thread(BaseScheduler.reschedule_job)  # type: ignore[arg-type]  # self is no keyword
    pause_job = _in_thread(BaseScheduler.pause_job)
    resume_job = _in_thread(BaseScheduler.resume_job)
    run_job = _in_thread(BaseScheduler.run_job)
    remove_job = _in_thread(BaseScheduler.remove_job)
    remove_all_jobs = _in_thread(BaseScheduler.remove_all_jobs)
    export_jobs = _in_thread(BaseScheduler.export_jobs)
    import_jobs = _in_thread(BaseScheduler.import_jobs)
    find_jobs = _in_thread(BaseScheduler.find_jobs)  # type: ignore[arg-type]  # self is no keyword
    count_jobs = _in_thread(BaseScheduler.count_jobs)  # type: ignore[arg-type]  # self is no keyword
    find_runs = _in_thread(BaseScheduler.find_runs)  # type: ignore[arg-type]  # self is no keyword
    count_runs = _in_thread(BaseScheduler.count_runs)  # type: ignore[arg-type]  # self is no keyword
    run_counts = _in_thread(BaseScheduler.run_counts)  # type: ignore[arg-type]  # self is no keyword
    get_run = _in_thread(BaseScheduler.get_run)
    last_runs = _in_thread(BaseScheduler.last_runs)
    get_running = _in_thread(BaseScheduler.get_running)
    get_nodes = _in_thread(BaseScheduler.get_nodes)
    get_changes = _in_thread(BaseScheduler.get_changes)
    explain = _in_thread(BaseScheduler.explain)
    cancel_run = _in_thread(BaseScheduler.cancel_run)
    rerun = _in_thread(BaseScheduler.rerun)
    backfill = _in_thread(BaseScheduler.backfill)
    cancel_backfill = _in_thread(BaseScheduler.cancel_backfill)
    hold = _in_thread(BaseScheduler.hold)
    release = _in_thread(BaseScheduler.release)

    async def wait(self, run: Run, timeout: float | None = None) -> bool:  # noqa: ASYNC109  # as Run.wait()
        """Wait for the end of a run that ``run_job()`` returned, as :meth:`~rota.core.run.Run.wait` does; the loop goes on.

        No thread is kept busy by that. It may be called in a job of the same executor, too, if that is a coroutine.

        :param run: the run
        :param timeout: the longest wait (seconds); None: any time
        :return: False if it has not ended by then
        """
        from .results import wait_on_loop  # rare

        return await wait_on_loop(run, timeout)

    async def result(self, run: Run, timeout: float | None = None) -> Any:  # noqa: ASYNC109  # as Run.result()
        """Wait for the end of a run that ``run_job()`` returned, and return its result: :meth:`~rota.core.run.Run.result`.

        :param run: the run
        :param timeout: the longest wait (seconds); None: any time
        :return: what the job returned
        :raises TimeoutError: if the run has not ended by then
        """
        from .results import result_on_loop  # rare

        return await result_on_loop(run, timeout)

    drain = _in_thread(BaseScheduler.drain)
    undrain = _in_thread(BaseScheduler.undrain)
