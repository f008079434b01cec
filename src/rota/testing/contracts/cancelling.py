"""What programs may expect of every scheduler when they cancel a run that waits behind others; for pytest.

Part of :class:`~rota.testing.contracts.hosts.HostContract`; knows the public interface of schedulers only.
"""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest

from ...clock import moment
from ...events import EVENT_JOB_CANCELLED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host_access import Host


class CancellingContract:
    """A run that was claimed and has not started ends when it is cancelled, whatever is executed before it."""

    @pytest.mark.parametrize("kind", ["plain", "async"])
    @pytest.mark.parametrize("place", [1, 2, 3], ids=["next", "between", "last"])
    def test_a_run_of_a_group_that_is_cancelled_before_its_turn_ends_at_once(
        self, host: Host, scheduler: Any, kind: str, place: int
    ) -> None:
        """The others of its group go on, and it never starts."""
        begun, gate = threading.Event(), threading.Event()
        called: list[int] = []
        told: list[Any] = []

        def work() -> None:
            called.append(1)
            begun.set()
            host.block(gate)

        async def work_async() -> None:
            called.append(1)
            begun.set()
            while not gate.is_set():
                await host.nap()

        scheduler.add_listener(lambda event: told.append(event.run.scheduled_run_time), EVENT_JOB_CANCELLED)
        host.start(scheduler)
        due = moment(scheduler.clock.now()) - timedelta(seconds=35)
        every = {"seconds": 10, "end_date": due + timedelta(seconds=30)}
        times = [due + timedelta(seconds=10 * number) for number in range(4)]
        func = work if kind == "plain" else work_async
        host.call(scheduler.add_job, func, "interval", id="job", next_run_time=due, coalesce=False, **every)
        host.wait_until(begun.is_set, "the first run has begun")
        record = host.call(scheduler.cancel_run, "job", times[place], "not needed")
        assert (record.status, record.reason, record.started_at) == ("cancelled", "not needed", None)
        host.wait_until(lambda: told, "its end is told of")
        found = {run.scheduled_run_time: run for run in host.call(scheduler.get_runs, "job")}
        assert [found[time].status for time in times].count("claimed") == 3
        assert found[times[place]].status == "cancelled"
        assert (len(called), gate.is_set()) == (1, False)
        gate.set()
        host.wait_until(
            lambda: len(scheduler.get_runs("job", status="succeeded")) == 3, "the others have ended"
        )
        assert (len(called), told) == (3, [times[place]])
        assert len(scheduler.get_runs("job")) == 4
