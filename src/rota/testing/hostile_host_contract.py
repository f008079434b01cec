"""What every scheduler must do about hostile jobs, and what its jobs see of the context of others; for pytest.

Part of :class:`~rota.testing.host_contract.HostContract`; knows the public interface of schedulers only.
"""

from __future__ import annotations

import threading
from contextvars import Context

import pytest

from ..clock import SECOND, SYSTEM_CLOCK
from ..events import EVENT_ALL
from . import hostile_jobs
from .executor_jobs import look_and_set, look_and_set_async, setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .hosts import Host


class HostileHostContract:
    """Whatever jobs, listeners and triggers do, each run has one end, its neighbours run, and shutdown() returns."""

    @pytest.mark.parametrize("func", [look_and_set, look_and_set_async])
    def test_a_run_sees_nothing_of_the_context_of_whoever_started_the_scheduler(
        self, host: Host, scheduler: Any, func: Any
    ) -> None:
        """A scheduler that is started inside a web request does not show every job that request."""

        start = scheduler.start

        def start_and_show(*args: Any) -> Any:
            token = setting.set("the first visitor")
            try:
                scheduler.add_job(func)
                return start(*args)
            finally:
                setting.reset(token)

        scheduler.start = start_and_show
        host.start(scheduler)
        host.call(scheduler.add_job, func)
        assert self._results(host, scheduler, 2) == ["unset"] * 2

    @pytest.mark.parametrize("func", [look_and_set, look_and_set_async])
    def test_each_run_sees_a_copy_of_the_context_that_the_scheduler_hands_over(
        self, host: Host, func: Any
    ) -> None:
        """What jobs are to see is handed over on purpose."""
        context = Context()
        context.run(setting.set, "handed over")
        scheduler = host.make(context=context)
        context.run(setting.set, "changed later")
        host.start(scheduler)
        host.call(scheduler.add_job, func)
        host.call(scheduler.add_job, func)
        assert self._results(host, scheduler, 2) == ["handed over"] * 2
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def _results(self, host: Host, scheduler: Any, count: int) -> list[Any]:
        host.wait_until(
            lambda: sum(run.ended for run in scheduler.get_runs()) == count, f"{count} runs have ended"
        )
        return [run.retval for run in scheduler.get_runs()]

    def test_hostile_jobs_cost_themselves_only(self, host: Host, scheduler: Any) -> None:
        """Odd results, errors and arguments, in functions and coroutines, with listeners that raise."""

        def hostile_listener(event: Any) -> None:
            raise SystemExit("a listener")

        ticks: list[int] = []
        scheduler.add_listener(hostile_listener, EVENT_ALL)
        host.start(scheduler)
        host.call(scheduler.add_job, lambda: ticks.append(1), "interval", seconds=0.05, id="neighbour")
        expected = set()
        for func, kinds in (
            (hostile_jobs.give, hostile_jobs.RESULTS),
            (hostile_jobs.give_async, hostile_jobs.RESULTS),
            (hostile_jobs.fail, hostile_jobs.ERRORS),
            (hostile_jobs.fail_async, hostile_jobs.ERRORS),
        ):
            for kind in kinds:
                id = f"{func.__name__} {kind}"
                host.call(scheduler.add_job, func, args=[kind], id=id)
                expected.add(id)
        host.wait_until(
            lambda: len({run.job_id for run in self._ended(scheduler)}) == len(expected), "all have ended"
        )
        seen = len(ticks)
        host.wait_until(lambda: len(ticks) > seen, "the neighbour runs on")
        assert scheduler.health()["alive"]
        ended = [run.job_id for run in self._ended(scheduler)]
        assert sorted(ended) == sorted(expected)
        statuses = {run.status for run in scheduler.get_runs("neighbour")}
        assert not statuses & {"failed", "lost", "cancelled"}
        host.shutdown(scheduler, timeout=10)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def _ended(self, scheduler: Any) -> list[Any]:
        return [run for run in scheduler.get_runs(limit=1000) if run.ended and run.job_id != "neighbour"]

    def test_a_coroutine_that_swallows_cancellation_does_not_hold_up_a_shutdown_beyond_its_time(
        self, host: Host, scheduler: Any
    ) -> None:
        """Who does not listen is left behind."""
        begun, gate = threading.Event(), threading.Event()

        async def deaf() -> None:
            while not gate.is_set():
                begun.set()
                try:
                    await host.nap()
                except BaseException:
                    continue

        host.start(scheduler)
        host.call(scheduler.add_job, deaf)
        host.wait_until(begun.is_set, "the coroutine has begun")
        before = SYSTEM_CLOCK.monotonic()
        host.shutdown(scheduler, timeout=0.1)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert SYSTEM_CLOCK.monotonic() - before < 15 * SECOND
        gate.set()
        host.pause(0.1)
