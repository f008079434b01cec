"""What listeners may expect of every scheduler, and what they cannot do to it; for pytest.

Part of :class:`~rota.testing.contracts.hosts.HostContract`; knows the public interface of schedulers only.
"""

from __future__ import annotations

import logging
import threading
from asyncio import CancelledError

import pytest

from ...clock import moment
from ...events import (
    EVENT_ALL,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_STARTED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    JobStartedEvent,
)
from ...jobstores.memory import MemoryJobStore
from ...triggers.base import BaseTrigger
from .middleware_jobs import fail_as_asked, look, look_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .host_access import Host


class ListenerContract:
    """Listeners are called one event at a time, in order, and cost nobody but themselves."""

    def test_a_listener_that_hangs_holds_up_no_job_and_no_other_listener(
        self, host: Host, scheduler: Any
    ) -> None:
        """Each has a queue of its own; health() shows who does not get on."""
        if not host.listeners_have_threads:
            pytest.skip("listeners run on the loop here; one that blocks it blocks its host")
        gate, called, executed = threading.Event(), threading.Event(), []

        def hang(event: Any) -> None:
            called.set()
            gate.wait(20)

        scheduler.add_listener(hang, EVENT_JOB_EXECUTED)
        scheduler.add_listener(lambda event: executed.append(event.job_id), EVENT_JOB_EXECUTED)
        host.start(scheduler)
        host.call(scheduler.add_job, int, id="first")
        host.wait_until(called.is_set, "the listener hangs")
        for number in range(20):
            host.call(scheduler.add_job, int, id=f"job {number}")
        host.wait_until(lambda: len(executed) == 21, "the other listener has all events")
        assert executed[0] == "first"
        reports = scheduler.health()["listeners"]
        (hanging,) = [report for report in reports if report["listener"].endswith("hang")]
        others = [report for report in reports if report is not hanging]
        assert hanging["busy"]
        assert hanging["waiting"] == 20
        assert all(not report["waiting"] and not report["dropped"] for report in others)
        assert {run.status for run in scheduler.get_runs()} == {"succeeded"}
        host.shutdown(scheduler, timeout=0.2)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down although the listener hangs")
        gate.set()

    def test_a_shutdown_waits_until_the_listeners_have_all_events(self, host: Host, scheduler: Any) -> None:
        """The last event that anybody gets is that of the shutdown."""
        codes: list[int] = []
        scheduler.add_listener(lambda event: codes.append(event.code), EVENT_ALL)
        host.start(scheduler)
        for _ in range(50):
            host.call(scheduler.add_job, int)
        host.shutdown(scheduler)
        host.wait_until(lambda: codes[-1] == EVENT_SCHEDULER_SHUTDOWN, "the last event has come")
        ended = len(scheduler.get_runs(status="succeeded"))
        assert codes.count(EVENT_JOB_EXECUTED) == ended

    def test_the_events_of_a_run_come_in_order(self, host: Host, scheduler: Any) -> None:
        """It was handed over, it starts, it ends: whatever it is and however it ends, one of each."""
        told: dict[str, list[int]] = {}
        wanted = EVENT_JOB_SUBMITTED | EVENT_JOB_STARTED | EVENT_JOB_EXECUTED | EVENT_JOB_ERROR

        def listen(event: Any) -> None:
            told.setdefault(event.job_id, []).append(event.code)

        scheduler.add_listener(listen, wanted)
        host.start(scheduler)
        for number in range(20):
            host.call(scheduler.add_job, look, id=f"plain {number}")
            host.call(scheduler.add_job, look_async, id=f"coroutine {number}")
            host.call(scheduler.add_job, fail_as_asked, args=["no"], id=f"failing {number}")
        host.wait_until(lambda: sum(map(len, told.values())) == 180, "all events have come")
        for job_id, codes in told.items():
            end = EVENT_JOB_ERROR if job_id.startswith("failing") else EVENT_JOB_EXECUTED
            assert codes == [EVENT_JOB_SUBMITTED, EVENT_JOB_STARTED, end], job_id

    def test_a_listener_for_a_class_gets_the_events_of_that_class_only(
        self, host: Host, scheduler: Any
    ) -> None:
        """Also one that is added while the scheduler runs; who is removed gets nothing more."""
        started: list[Any] = []
        host.start(scheduler)
        host.call(scheduler.add_job, look, id="before")
        host.wait_until(lambda: scheduler.get_runs("before", "succeeded"), "the first has run")
        scheduler.add_listener(started.append, JobStartedEvent)
        host.call(scheduler.add_job, look, id="during")
        host.wait_until(lambda: started, "the start is told")
        scheduler.remove_listener(started.append)
        host.call(scheduler.add_job, look, id="after")
        host.wait_until(lambda: scheduler.get_runs("after", "succeeded"), "the last has run")
        (event,) = started
        (run,) = scheduler.get_runs("during")
        assert type(event) is JobStartedEvent
        assert (event.job_id, event.jobstore, event.attempt) == ("during", "default", 1)
        assert event.scheduled_run_time == run.scheduled_run_time
        assert event.started_at == moment(run.started_at)

    def test_a_shutdown_by_a_listener_loses_no_outcome(self, host: Host) -> None:
        """The runs that were under way are recorded, each with its one end."""
        under_way: list[Any] = []

        def stop(event: Any) -> None:
            if scheduler.running:
                under_way.extend(scheduler.get_runs(status="claimed"))
                scheduler.shutdown()

        store = MemoryJobStore()
        scheduler = host.make(jobstores={"default": store})
        scheduler.add_listener(stop, EVENT_JOB_EXECUTED)
        for number in range(30):
            scheduler.add_job(int, id=str(number))
        host.start(scheduler)
        host.wait_until(lambda: not scheduler.running, "the listener has shut the scheduler down")
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        ends = {run.job_id: run.status for run in store.get_runs()}
        assert all(ends[run.job_id] in ("succeeded", "cancelled") for run in under_way)
        assert "claimed" not in ends.values()

    def test_whatever_a_trigger_or_a_store_raises_does_not_end_the_host(self, host: Host) -> None:
        """Not even what is no Exception: SystemExit, or a cancellation."""
        store = RaisingStore()
        scheduler = host.make(jobstores={"default": store}, jobstore_retry_interval=0.02)
        ran: list[int] = []
        scheduler.add_job(ran.append, "interval", seconds=0.02, args=[1], id="good")
        scheduler.add_job(int, RaisingTrigger(), id="bad")
        host.start(scheduler)
        host.wait_until(lambda: scheduler.get_job("bad").state == "quarantined", "the trigger has raised")
        host.wait_until(lambda: not store.raises and len(ran) > 3, "the good job goes on")
        assert scheduler.health()["alive"]
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def test_a_logging_handler_that_hangs_holds_up_no_job(self, host: Host) -> None:
        """What the passes log is written elsewhere."""
        gate, entered = threading.Event(), threading.Event()

        class Hanging(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                entered.set()
                gate.wait(20)

        logger = logging.getLogger("rota.testing.hanging")
        handler = Hanging(logging.ERROR)
        logger.addHandler(handler)
        try:
            scheduler = host.make(logger=logger)
            ran: list[int] = []
            scheduler.add_job(ran.append, "interval", seconds=0.02, args=[1], id="good")
            scheduler.add_job(int, RaisingTrigger(), id="bad")
            host.start(scheduler)
            host.wait_until(entered.is_set, "the handler hangs")
            before = len(ran)
            host.wait_until(lambda: len(ran) > before + 3, "the good job goes on")
            gate.set()
            host.shutdown(scheduler)
            host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        finally:
            gate.set()
            logger.removeHandler(handler)


class RaisingStore(MemoryJobStore):
    """A store that raises what is no Exception, each thing once."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: list[BaseException] = [SystemExit("a store"), CancelledError("a store")]

    def due(self, now: int, room: Any) -> Any:
        """Find due jobs, or raise."""
        if self.raises:
            raise self.raises.pop()
        return super().due(now, room)


class RaisingTrigger(BaseTrigger):
    """A trigger that has one time, and raises SystemExit when it is asked for the next."""

    def get_next_fire_time(self, previous_fire_time: Any, now: Any) -> Any:
        """Return now, or raise."""
        if previous_fire_time is None:
            return now
        raise SystemExit("a trigger")

    def __str__(self) -> str:
        return "once"
