"""What every scheduler must do about hostile jobs, and what its jobs see of the context of others; for pytest.

Part of :class:`~rota.testing.contracts.hosts.HostContract`; knows the public interface of schedulers only.
"""

from __future__ import annotations

import threading
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import timedelta
from time import sleep

import pytest

from ...clock import SECOND, SYSTEM_CLOCK
from ...events import EVENT_ALL, EVENT_SCHEDULER_STALLED, JobOnFailureErrorEvent
from ...triggers.base import BaseTrigger
from . import hostile_jobs, middleware_jobs
from .executor_jobs import look_and_set, look_and_set_async, setting
from .host_access import PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime
    from typing import Any

    from .host_access import Host


class HangingTrigger(BaseTrigger):
    """Fires each tenth of a second; in the planning that the test wants it hangs until somebody has noticed it.

    :ivar hangs: whether the next planning hangs
    :ivar seen: whether it was noticed; None: it has not hung yet
    """

    def __init__(self, noticed: Callable[[], object]) -> None:
        self._noticed = noticed
        self.hangs = False
        self.seen: bool | None = None

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next time, at once or at last."""
        if self.hangs and previous_fire_time is not None:
            self.hangs = False
            until, seen = SYSTEM_CLOCK.monotonic() + int(PATIENCE) * SECOND, False
            while not seen and SYSTEM_CLOCK.monotonic() < until:
                sleep(0.005)
                seen = bool(self._noticed())
            self.seen = seen
        return (previous_fire_time or now) + timedelta(seconds=0.1)

    def __str__(self) -> str:
        return "hanging"


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

    def test_each_call_is_inside_the_middleware_of_its_scheduler(self, host: Host, scheduler: Any) -> None:
        """Functions and coroutines, of jobs that were added before it and after it, outermost first."""
        scheduler.add_job(middleware_jobs.look, id="before")
        scheduler.add_middleware(middleware_jobs.outer)
        host.start(scheduler)
        scheduler.add_middleware(middleware_jobs.inner)
        for func in (middleware_jobs.look, middleware_jobs.look_async, middleware_jobs.look_later):
            host.call(scheduler.add_job, func, id=func.__name__)
        host.wait_until(lambda: len(self._ended(scheduler)) == 4, "all have ended")
        found = {run.job_id: run.retval for run in self._ended(scheduler)}
        assert found.pop("before").startswith("outer of before")
        assert found == {id: f"outer of {id} > inner" for id in ("look", "look_async", "look_later")}

    def test_resources_are_filled_at_the_call_and_one_that_is_gone_leaves_its_jobs_waiting(
        self, host: Host, scheduler: Any
    ) -> None:
        """The others run meanwhile; it is taken when it is there again."""
        scheduler.resources["bot"] = "bot"
        host.start(scheduler)
        host.call(scheduler.add_job, middleware_jobs.ask, args=[1], id="plain")
        host.call(scheduler.add_job, middleware_jobs.ask_async, args=[1], id="coroutine")
        host.wait_until(lambda: len(self._ended(scheduler)) == 2, "both have ended")
        assert [run.retval for run in self._ended(scheduler)] == ["1 bot default"] * 2
        host.call(scheduler.pause)
        host.call(scheduler.add_job, middleware_jobs.ask, args=[2], id="waiting")
        del scheduler.resources["bot"]
        host.call(scheduler.resume)
        host.call(scheduler.add_job, middleware_jobs.look, id="other")
        host.wait_until(lambda: len(self._ended(scheduler)) == 3, "the other has ended")
        assert not scheduler.get_runs("waiting")
        scheduler.resources["bot"] = "another"
        host.wait_until(lambda: len(self._ended(scheduler)) == 4, "what has waited has ended")
        assert scheduler.get_runs("waiting")[0].retval == "2 another default"

    def test_hostile_middleware_costs_its_own_runs_only(self, host: Host, scheduler: Any) -> None:
        """It raises anything anywhere, hides errors, or returns what cannot be entered."""
        ticks: list[int] = []
        scheduler.add_middleware(middleware_jobs.outer)
        scheduler.add_middleware(middleware_jobs.hostile)
        host.start(scheduler)
        host.call(scheduler.add_job, lambda: ticks.append(1), "interval", seconds=0.05, id="neighbour")
        words = {}
        for func, kinds in (
            (middleware_jobs.asked, middleware_jobs.WRONGS),
            (middleware_jobs.asked_async, middleware_jobs.WRONGS),
            (middleware_jobs.fail_as_asked, middleware_jobs.WRONG_ABOUT_ERRORS),
            (middleware_jobs.fail_as_asked_async, middleware_jobs.WRONG_ABOUT_ERRORS),
        ):
            for kind, (_, said) in kinds.items():
                id = f"{func.__name__} {kind}"
                host.call(scheduler.add_job, func, args=[kind], id=id)
                words[id] = said
        host.wait_until(lambda: len(self._ended(scheduler)) == len(words), "all have ended")
        seen = len(ticks)
        host.wait_until(lambda: len(ticks) > seen, "the neighbour runs on")
        for run in self._ended(scheduler):
            assert (run.status, run.error_type) == ("failed", "MiddlewareError"), (run.job_id, run.error)
            assert words[run.job_id] in run.error, run.job_id
        assert not {run.status for run in scheduler.get_runs("neighbour")} & {"failed", "lost", "cancelled"}
        host.shutdown(scheduler, timeout=10)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def test_what_is_to_be_told_of_a_failure_is_called_once_and_hurts_nobody(
        self, host: Host, scheduler: Any
    ) -> None:
        """Functions and coroutines; what it raises is told, and its run stays as it is."""
        told: list[str] = []
        errors: list[Any] = []

        def tell(run: Any) -> None:
            told.append(run.job_id)

        async def tell_async(run: Any) -> None:
            await host.nap()
            told.append(run.job_id)

        def exploding(run: Any) -> None:
            told.append(run.job_id)
            raise SystemExit("told")

        scheduler.add_listener(errors.append, JobOnFailureErrorEvent)
        host.start(scheduler)
        for func in (middleware_jobs.fail_as_asked, middleware_jobs.fail_as_asked_async):
            for handler in (tell, tell_async, exploding):
                id = f"{func.__name__} {handler.__name__}"
                host.call(scheduler.add_job, func, args=["no"], id=id, on_failure=handler)
        host.wait_until(lambda: len(told) == 6 and len(errors) == 2, "all have been told")
        assert len(set(told)) == 6
        assert {event.reason for event in errors} == {"SystemExit: told"}
        assert [run.status for run in scheduler.get_runs()] == ["failed"] * 6
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert len(told) == 6

    def test_middleware_that_never_leaves_holds_its_own_run_only(self, host: Host, scheduler: Any) -> None:
        """The run stays under way, as one whose job does not return; a shutdown leaves it behind in its time."""
        gate, entered = threading.Event(), threading.Event()

        @asynccontextmanager
        async def never_leaving(run: Any) -> AsyncIterator[None]:
            yield
            while run.job_id == "stuck" and not gate.is_set():
                entered.set()
                try:
                    await host.nap()
                except BaseException:
                    continue

        scheduler.add_middleware(never_leaving)
        host.start(scheduler)
        host.call(scheduler.add_job, middleware_jobs.look_async, id="stuck")
        host.wait_until(entered.is_set, "it is about to be left")
        host.call(scheduler.add_job, middleware_jobs.look_async, id="other")
        host.wait_until(lambda: self._ended(scheduler), "another run has ended")
        assert [run.job_id for run in self._ended(scheduler)] == ["other"]
        assert [run.status for run in scheduler.get_runs("stuck")] == ["claimed"]
        before = SYSTEM_CLOCK.monotonic()
        host.shutdown(scheduler, timeout=0.1)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert SYSTEM_CLOCK.monotonic() - before < 15 * SECOND
        gate.set()
        host.pause(0.1)

    def test_a_trigger_that_hangs_is_seen_and_told_and_its_job_runs_when_it_returns(self, host: Host) -> None:
        """How long something takes changes no job; a host that can go on without it does."""
        scheduler = host.make(lease=0.3)
        told: list[Any] = []
        trigger = HangingTrigger(lambda: told or not scheduler.health()["alive"])
        scheduler.add_listener(told.append, EVENT_SCHEDULER_STALLED)
        host.start(scheduler)
        host.call(scheduler.add_job, int, trigger, id="stuck")
        trigger.hangs = True
        host.call(scheduler.wakeup)
        host.wait_until(lambda: trigger.seen is not None, "the trigger has hung and has returned")
        assert trigger.seen, "nobody said so"
        seen = len(scheduler.get_runs("stuck", limit=1000))
        host.wait_until(lambda: len(scheduler.get_runs("stuck", limit=1000)) > seen, "its job runs")
        assert scheduler.get_job("stuck").state == "active"
        host.wait_until(lambda: scheduler.health()["alive"], "the scheduler is alive")
        assert all(event.job_id == "stuck" for event in told)
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

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
