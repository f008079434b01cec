"""Runs whose time is limited, in every scheduler; part of the host contract.

Knows the public interface of schedulers only.
"""

from __future__ import annotations

import threading

import pytest

from ...errors import RunTimedOutError
from ...events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_TIMED_OUT
from ...executors.base import current_run
from .host_access import PATIENCE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class TimeoutContract:
    """A time that is over is told once, and decides how the run ends; no run holds up a shutdown beyond its time."""

    @pytest.mark.parametrize("option", ["timeout", "heartbeat_timeout"])
    def test_a_coroutine_is_cancelled_when_its_time_is_over(
        self, host: Host, scheduler: Any, option: str
    ) -> None:
        """The host is woken for that, although nothing else is due for days."""
        told: list[Any] = []

        async def work() -> None:
            while True:
                await host.nap()

        scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_TIMED_OUT)
        host.start(scheduler)
        host.call(scheduler.add_job, work, id="j", **{option: 0.05})
        host.wait_until(lambda: len(told) == 2, "both events have come")
        assert [event.code for event in told] == [EVENT_JOB_TIMED_OUT, EVENT_JOB_ERROR]
        (run,) = host.in_thread(scheduler.get_runs, "j")
        reason = {"timeout": "timeout", "heartbeat_timeout": "no heartbeat"}[option]
        assert (run.status, run.reason, told[0].reason) == ("timed_out", reason, reason)
        assert isinstance(told[1].exception, RunTimedOutError)
        assert 0.05 <= run.duration < PATIENCE

    def test_a_coroutine_that_says_that_it_is_alive_goes_on(self, host: Host, scheduler: Any) -> None:
        """Each beat gives it more time."""
        told: list[Any] = []

        async def work() -> str:
            for _ in range(100):
                current_run().heartbeat()
                await host.nap()
            return "done"

        scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_TIMED_OUT)
        host.start(scheduler)
        host.call(scheduler.add_job, work, id="j", heartbeat_timeout=PATIENCE)
        host.wait_until(lambda: told, "it has ended")
        assert [(event.code, event.retval) for event in told] == [(EVENT_JOB_EXECUTED, "done")]

    def test_a_function_is_asked_or_stopped_when_its_time_is_over(self, host: Host, scheduler: Any) -> None:
        """It keeps its place until it has returned."""
        told: list[Any] = []
        gate = threading.Event()

        def work() -> bool:
            return host.block(gate)

        scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_TIMED_OUT)
        host.start(scheduler)
        host.call(scheduler.add_job, work, id="j", timeout=0.05)
        host.wait_until(lambda: len(told) == 2, "both events have come")
        assert [event.code for event in told] == [EVENT_JOB_TIMED_OUT, EVENT_JOB_ERROR]
        (run,) = host.in_thread(scheduler.get_runs, "j")
        assert (run.status, run.reason) == ("timed_out", "timeout")

    @pytest.mark.parametrize("wait", [True, False])
    def test_a_shutdown_goes_on_without_a_run_that_ignores_that_its_time_is_over(
        self, host: Host, scheduler: Any, wait: bool
    ) -> None:
        """Its end is recorded and told then; what it does later changes nothing."""
        told: list[Any] = []
        begun, gate, ended = threading.Event(), threading.Event(), threading.Event()

        async def work() -> str:
            begun.set()
            try:
                while not gate.is_set():
                    try:
                        await host.nap()
                    except BaseException as exc:
                        if "CancelledError" not in type(exc).__name__:
                            raise
                return "ignored"
            finally:
                ended.set()

        scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED | EVENT_JOB_TIMED_OUT)
        host.start(scheduler)
        host.call(scheduler.add_job, work, id="j", timeout=0.05)
        host.wait_until(begun.is_set, "the job has begun")
        host.shutdown(scheduler, wait=wait)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert not ended.is_set()
        assert [event.code for event in told] == [EVENT_JOB_TIMED_OUT, EVENT_JOB_ERROR]
        assert (told[1].outcome, told[1].run.reason) == ("timed_out", "timeout")
        gate.set()
        host.wait_until(ended.is_set, "the job has ended")
        host.pause(0.02)
        assert len(told) == 2
