"""Waiting for runs that were asked for, in every scheduler; part of the host contract.

Knows the public interface of schedulers and runs only.
"""

from __future__ import annotations

import pytest

from ...errors import WouldBlockError
from .host_access import PATIENCE, Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class _Value:
    """What a job returns, and no ledger keeps as it is."""


class ResultContract:
    """``Run.wait()``, ``Run.result()`` and ``Run.cancel()`` of a run that ``run_job()`` returned."""

    def test_the_result_of_a_run_is_what_the_job_returned(self, host: Host, scheduler: Any) -> None:
        """Any thread but the loop's may wait, and it is told of the end."""
        value = _Value()
        scheduler.add_job(lambda: value, "interval", days=1, id="daily")
        host.start(scheduler)
        run = host.in_thread(scheduler.run_job, "daily")
        assert host.in_thread(run.result, PATIENCE) is value
        assert run.status == "succeeded"

    def test_the_result_of_a_coroutine_is_what_it_returned(self, host: Host, scheduler: Any) -> None:
        """``async def`` works in every scheduler."""
        value = _Value()

        async def work() -> _Value:
            await host.nap()
            return value

        scheduler.add_job(work, "interval", days=1, id="daily")
        host.start(scheduler)
        run = host.call(scheduler.run_job, "daily")
        assert host.in_thread(run.result, PATIENCE) is value

    def test_the_error_of_a_run_is_raised_where_its_result_is_asked_for(
        self, host: Host, scheduler: Any
    ) -> None:
        """The exception itself, in the process in which it was raised."""
        error = ValueError("no")

        def fail() -> None:
            raise error

        scheduler.add_job(fail, "interval", days=1, id="daily")
        host.start(scheduler)
        run = host.in_thread(scheduler.run_job, "daily")
        with pytest.raises(ValueError, match="no") as caught:
            host.in_thread(run.result, PATIENCE)
        assert caught.value is error

    def test_the_thread_of_a_loop_is_not_held_up_by_a_wait(self, host: Host, scheduler: Any) -> None:
        """There it is refused with the remedy; a host without a loop waits."""
        scheduler.add_job(int, "interval", days=1, id="daily")
        host.start(scheduler, paused=True)
        run = host.call(scheduler.run_job, "daily")
        on_loop = host.call(scheduler._on_loop)
        if on_loop:
            with pytest.raises(WouldBlockError, match=r"aio|another thread"):
                host.call(run.wait, PATIENCE)
        host.call(scheduler.resume)
        if not on_loop:
            assert host.call(run.wait, PATIENCE)
        assert host.in_thread(run.result, PATIENCE) == 0

    def test_whoever_asked_for_a_run_cancels_it(self, host: Host, scheduler: Any) -> None:
        """A coroutine ends by that."""
        began: list[int] = []

        async def work() -> None:
            began.append(1)
            while True:
                await host.nap()

        scheduler.add_job(work, "interval", days=1, id="daily")
        host.start(scheduler)
        run = host.in_thread(scheduler.run_job, "daily")
        host.wait_until(lambda: began, "the job has begun")
        host.in_thread(run.cancel, "enough")
        assert host.in_thread(run.wait, PATIENCE)
        assert (run.status, run.reason) == ("cancelled", "enough")
