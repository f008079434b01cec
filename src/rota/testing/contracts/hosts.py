"""What every scheduler must do, one sentence for each invariant; for pytest.

Knows the public interface of schedulers only. Derive a :class:`~.host_access.Host` that knows how to reach the loop (or
thread) on which your scheduler lives, and give it to :class:`HostContract` by the fixture ``host``::

    class TestMyScheduler(HostContract):
        @pytest.fixture
        def host(self):
            host = MyHost()
            yield host
            host.close()
"""

from __future__ import annotations

import threading

import pytest

from ...errors import SchedulerAlreadyRunningError, SchedulerNotRunningError
from ...events import (
    EVENT_ALL,
    EVENT_JOB_CANCELLED,
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_SUBMITTED,
    EVENT_SCHEDULER_SHUTDOWN,
    EVENT_SCHEDULER_STARTED,
)
from ...schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED
from .cancelling import CancellingContract
from .host_access import MOMENT, FailingStore, Host, SlowStore
from .hostile_hosts import HostileHostContract
from .listeners import ListenerContract
from .renewals import RenewalContract
from .results import ResultContract
from .stopping import StoppingContract
from .timeouts import TimeoutContract

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class HostContract(
    CancellingContract,
    ListenerContract,
    RenewalContract,
    ResultContract,
    StoppingContract,
    TimeoutContract,
    HostileHostContract,
):
    """The invariants of schedulers, as programs see them."""

    @pytest.fixture
    def host(self) -> Any:
        """Return the :class:`Host`."""
        raise NotImplementedError("give the fixture `host`")

    @pytest.fixture
    def scheduler(self, host: Host) -> Any:
        """Return a scheduler that is not running yet, and end it if the test does not."""
        scheduler = host.make()
        yield scheduler
        if scheduler.running:
            host.shutdown(scheduler, wait=False)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    # -- starting and adding -------------------------------------------------------------------------------------

    def test_a_job_added_before_the_start_runs(self, host: Host, scheduler: Any) -> None:
        """What was added to a stopped scheduler is not lost."""
        ran = threading.Event()
        job = scheduler.add_job(ran.set)
        assert job.pending
        host.start(scheduler)
        assert scheduler.state == STATE_RUNNING
        host.wait_until(ran.is_set, "the job has run")

    def test_a_job_added_after_the_start_runs(self, host: Host, scheduler: Any) -> None:
        """A new job wakes the host."""
        ran = threading.Event()
        host.start(scheduler)
        host.pause(0.02)
        host.call(scheduler.add_job, ran.set)
        host.wait_until(ran.is_set, "the job has run")

    def test_jobs_may_be_added_from_any_thread(self, host: Host, scheduler: Any) -> None:
        """add_job() is thread-safe, and the wake-up reaches a host that waits."""
        ran: list[int] = []
        host.start(scheduler)
        for number in range(10):
            host.in_thread(scheduler.add_job, ran.append, args=(number,))
        host.wait_until(lambda: len(ran) == 10, "all jobs have run")
        assert sorted(ran) == list(range(10))

    def test_a_run_that_is_asked_for_starts_at_once(self, host: Host, scheduler: Any) -> None:
        """run_job() wakes the host, whoever calls it."""
        ran: list[int] = []
        scheduler.add_job(ran.append, "interval", args=(1,), days=1, id="daily")
        host.start(scheduler)
        host.call(scheduler.run_job, "daily")
        host.wait_until(lambda: scheduler.get_job("daily").running == 0, "the first run has ended")
        host.in_thread(scheduler.run_job, "daily")
        host.wait_until(lambda: len(ran) == 2, "the job has run twice")

    def test_a_job_with_an_interval_runs_again_and_again(self, host: Host, scheduler: Any) -> None:
        """The host's timer is armed anew after every pass."""
        ran: list[int] = []
        scheduler.add_job(ran.append, "interval", args=(1,), seconds=0.02)
        host.start(scheduler)
        host.wait_until(lambda: len(ran) >= 5, "the job has run five times")

    def test_an_async_job_runs(self, host: Host, scheduler: Any) -> None:
        """``async def`` works in every scheduler."""
        ran = threading.Event()

        async def work() -> None:
            await host.nap()
            ran.set()

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.wait_until(ran.is_set, "the job has run")

    def test_a_scheduler_that_runs_cannot_be_started(self, host: Host, scheduler: Any) -> None:
        """Starting twice is an error that changes nothing."""
        host.start(scheduler)
        with pytest.raises(SchedulerAlreadyRunningError):
            host.start(scheduler)
        ran = threading.Event()
        host.call(scheduler.add_job, ran.set)
        host.wait_until(ran.is_set, "the job has run")

    def test_a_running_scheduler_is_healthy(self, host: Host, scheduler: Any) -> None:
        """health() is the truth about the host."""
        assert scheduler.health()["alive"] is False
        host.start(scheduler)
        host.wait_until(
            lambda: scheduler.health()["alive"] and scheduler.health()["last_tick"], "it is alive"
        )
        host.shutdown(scheduler)
        assert scheduler.health()["alive"] is False

    # -- pausing -------------------------------------------------------------------------------------------------

    def test_nothing_runs_after_a_paused_start_until_resume(self, host: Host, scheduler: Any) -> None:
        """start(paused=True) gives time to look at the jobs first."""
        ran = threading.Event()
        scheduler.add_job(ran.set)
        host.start(scheduler, paused=True)
        assert scheduler.state == STATE_PAUSED
        host.pause(MOMENT)
        assert not ran.is_set()
        host.call(scheduler.resume)
        host.wait_until(ran.is_set, "the job has run")

    def test_nothing_starts_while_it_is_paused(self, host: Host, scheduler: Any) -> None:
        """pause() and resume() work at any time, from any thread."""
        ran: list[int] = []
        host.start(scheduler)
        host.in_thread(scheduler.pause)
        host.call(scheduler.add_job, ran.append, args=(1,))
        host.pause(MOMENT)
        assert ran == []
        host.in_thread(scheduler.resume)
        host.wait_until(lambda: ran, "the job has run")

    # -- shutting down -------------------------------------------------------------------------------------------

    def test_shutdown_waits_for_the_runs_under_way(self, host: Host, scheduler: Any) -> None:
        """No run is cut off, and its event comes before the scheduler's last."""
        gate, begun, codes = threading.Event(), [], []
        scheduler.add_listener(
            lambda event: codes.append(event.code), EVENT_JOB_EXECUTED | EVENT_SCHEDULER_SHUTDOWN
        )

        def work() -> None:
            begun.append("plain")
            host.block(gate)

        async def work_async() -> None:
            begun.append("coroutine")
            await host.nap()

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.call(scheduler.add_job, work_async)
        host.wait_until(lambda: len(begun) == 2, "both have begun")
        threading.Timer(0.05, gate.set).start()
        host.shutdown(scheduler)
        assert scheduler.state == STATE_STOPPED
        host.wait_until(lambda: len(codes) >= 3, "all events have come")
        assert codes == [EVENT_JOB_EXECUTED, EVENT_JOB_EXECUTED, EVENT_SCHEDULER_SHUTDOWN]

    def test_shutdown_from_another_thread_waits_too(self, host: Host, scheduler: Any) -> None:
        """A program may shut its scheduler down from wherever it is."""
        gate, begun, ended = threading.Event(), threading.Event(), []

        def work() -> None:
            begun.set()
            ended.append(host.block(gate))

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.wait_until(begun.is_set, "the job has begun")
        threading.Timer(0.05, gate.set).start()
        host.in_thread(scheduler.shutdown)
        assert ended == [True]
        assert scheduler._closed.is_set()

    def test_shutdown_without_wait_returns_at_once(self, host: Host, scheduler: Any) -> None:
        """The runs under way are asked to stop, and end in the background."""
        gate, begun = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            host.block(gate)

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.wait_until(begun.is_set, "the job has begun")
        host.call(scheduler.shutdown, wait=False)
        assert scheduler.state == STATE_STOPPED
        host.wait_until(scheduler._closed.is_set, "the rest has ended in the background")
        assert not gate.is_set()

    def test_shutdown_with_a_timeout_asks_the_rest_to_stop(self, host: Host, scheduler: Any) -> None:
        """A drain has an end."""
        begun, cancelled = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            try:
                host.block(threading.Event())
            finally:
                cancelled.set()

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.wait_until(begun.is_set, "the job has begun")
        host.shutdown(scheduler, timeout=0.05)
        host.wait_until(cancelled.is_set, "the job was asked to stop")
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    def test_no_run_starts_after_shutdown(self, host: Host, scheduler: Any) -> None:
        """From the moment shutdown() is called nothing is claimed any more."""
        ran: list[int] = []
        host.start(scheduler)
        host.call(scheduler.add_job, ran.append, "interval", args=(1,), seconds=0.01)
        host.wait_until(lambda: ran, "the job has run")
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        count = len(ran)
        host.pause(MOMENT)
        assert len(ran) == count

    def test_a_stopped_scheduler_cannot_be_shut_down(self, host: Host, scheduler: Any) -> None:
        """Nor paused, nor resumed; all of that is an error that says so."""
        for method in (scheduler.shutdown, scheduler.pause, scheduler.resume):
            with pytest.raises(SchedulerNotRunningError):
                host.call(method)
        host.start(scheduler)
        host.shutdown(scheduler)
        with pytest.raises(SchedulerNotRunningError):
            host.call(scheduler.shutdown)

    def test_it_can_be_started_again(self, host: Host, scheduler: Any) -> None:
        """A shutdown is not the end of a scheduler object."""
        for _ in range(3):
            ran, ran_async = threading.Event(), threading.Event()

            async def work(ran_async: threading.Event = ran_async) -> None:
                await host.nap()
                ran_async.set()

            host.start(scheduler)
            host.call(scheduler.add_job, ran.set)
            host.call(scheduler.add_job, work)
            host.wait_until(ran.is_set, "the plain job has run")
            host.wait_until(ran_async.is_set, "the async job has run")
            host.shutdown(scheduler)
            host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")

    # -- from inside a job or a listener -------------------------------------------------------------------------

    @pytest.mark.parametrize("wait", [True, False])
    @pytest.mark.parametrize("kind", ["plain", "async"])
    def test_a_job_may_shut_its_scheduler_down(
        self, host: Host, scheduler: Any, kind: str, wait: bool
    ) -> None:
        """Called inside a job, shutdown() returns, and the rest happens when the job has ended."""
        went_on: list[int] = []

        def plain() -> None:
            scheduler.shutdown(wait=wait)
            went_on.append(scheduler.state)

        async def coroutine() -> None:
            plain()

        host.start(scheduler)
        host.call(scheduler.add_job, plain if kind == "plain" else coroutine)
        host.wait_until(lambda: went_on and scheduler._closed.is_set(), "the scheduler is shut down")
        assert went_on == [STATE_STOPPED]

    def test_a_job_may_add_and_remove_jobs(self, host: Host, scheduler: Any) -> None:
        """Nothing that a job may want of its scheduler makes a deadlock."""
        ran = threading.Event()

        def work() -> None:
            scheduler.pause_job("repeated")
            scheduler.resume_job("repeated")
            scheduler.remove_job("repeated")
            scheduler.add_job(ran.set)

        host.start(scheduler)
        host.call(scheduler.add_job, print, "interval", hours=1, id="repeated")
        host.call(scheduler.add_job, work)
        host.wait_until(ran.is_set, "the job that a job has added has run")
        assert scheduler.get_job("repeated") is None

    def test_a_listener_may_use_the_scheduler(self, host: Host, scheduler: Any) -> None:
        """Nor does anything that a listener may want."""
        ran = threading.Event()

        def listener(event: Any) -> None:
            if event.job_id == "first":
                scheduler.add_job(ran.set, id="second")

        scheduler.add_listener(listener, EVENT_JOB_EXECUTED)
        host.start(scheduler)
        host.call(scheduler.add_job, int, id="first")
        host.wait_until(ran.is_set, "the job that the listener has added has run")

    def test_a_listener_may_shut_the_scheduler_down(self, host: Host, scheduler: Any) -> None:
        """Whichever thread it is called in."""
        scheduler.add_listener(lambda event: scheduler.shutdown(), EVENT_JOB_EXECUTED)
        host.start(scheduler)
        host.call(scheduler.add_job, int)
        host.wait_until(
            lambda: scheduler.state == STATE_STOPPED and scheduler._closed.is_set(),
            "the scheduler is shut down",
        )

    # -- events --------------------------------------------------------------------------------------------------

    def test_the_events_of_a_run_come_in_their_order(self, host: Host, scheduler: Any) -> None:
        """Started, submitted, executed, shut down."""
        events: list[Any] = []
        scheduler.add_listener(events.append, EVENT_ALL)
        host.start(scheduler)
        host.call(scheduler.add_job, int, id="job")
        executed = lambda: any(event.code == EVENT_JOB_EXECUTED for event in events)  # noqa: E731
        host.wait_until(executed, "the job was executed")
        host.shutdown(scheduler)
        host.wait_until(lambda: events[-1].code == EVENT_SCHEDULER_SHUTDOWN, "the last event has come")
        wanted = (
            EVENT_SCHEDULER_STARTED,
            EVENT_JOB_SUBMITTED,
            EVENT_JOB_EXECUTED,
            EVENT_SCHEDULER_SHUTDOWN,
        )
        assert tuple(event.code for event in events if event.code in wanted) == wanted

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def test_an_exception_in_a_job_or_a_listener_harms_nobody(self, host: Host, scheduler: Any) -> None:
        """Not even SystemExit goes further than where it was raised."""
        ran = threading.Event()
        codes: list[int] = []

        def listener(event: Any) -> None:
            codes.append(event.code)
            raise SystemExit("a listener")

        def fail() -> None:
            raise SystemExit("a job")

        async def fail_async() -> None:
            raise SystemExit("a coroutine job")

        scheduler.add_listener(listener)
        host.start(scheduler)
        host.call(scheduler.add_job, fail)
        host.call(scheduler.add_job, fail_async)
        host.wait_until(lambda: codes.count(EVENT_JOB_ERROR) == 2, "both jobs have failed")
        host.call(scheduler.add_job, ran.set)
        host.wait_until(ran.is_set, "the next job has run")

    def test_a_store_that_fails_is_tried_again(self, host: Host) -> None:
        """The loop of a host ends by shutdown() only."""
        scheduler = host.make(jobstores={"default": FailingStore(3)}, jobstore_retry_interval=0.02)
        ran = threading.Event()
        host.start(scheduler)
        host.call(scheduler.add_job, ran.set)
        host.wait_until(ran.is_set, "the job has run")
        host.shutdown(scheduler)

    def test_an_overridden_pass_that_raises_is_made_again(self, host: Host) -> None:
        """Programs override _process_jobs(); what it raises does not end the host."""
        failures: list[BaseException] = [ValueError("once"), SystemExit("twice")]

        class Overridden(host.scheduler_class):  # type: ignore[misc,name-defined]
            def _process_jobs(self) -> Any:
                if failures:
                    raise failures.pop()
                return super()._process_jobs()

        scheduler = host.make(Overridden)
        ran = threading.Event()
        scheduler.add_job(ran.set)
        host.start(scheduler)
        host.wait_until(ran.is_set, "the job has run")
        host.shutdown(scheduler)
        assert not failures

    # -- slow stores ---------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("method", ["due", "finish"])
    @pytest.mark.parametrize("kind", ["plain", "async"])
    def test_nothing_blocks_the_loop_while_a_slow_store_works(
        self, host: Host, method: str, kind: str
    ) -> None:
        """Passes and records of a store that does I/O are made where they hold nobody up."""
        store = SlowStore(method)
        scheduler = host.make(jobstores={"default": store})
        ran = threading.Event()

        async def work() -> None:
            await host.nap()
            ran.set()

        host.start(scheduler)
        host.call(scheduler.add_job, ran.set if kind == "plain" else work)
        host.wait_until(store.entered.is_set, "the store is at work")
        # If the store blocked the loop, this would come back only after the store.
        assert host.call(store.left.is_set) is False
        store.go_on.set()
        host.wait_until(ran.is_set, "the job has run")
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert [run.status for run in store.get_runs()] == ["succeeded"]

    def test_a_slow_store_holds_up_no_shutdown_on_the_loop(self, host: Host) -> None:
        """shutdown() on a loop returns at once, and the pass under way ends aside."""
        store = SlowStore("due")
        scheduler = host.make(jobstores={"default": store})
        codes: list[int] = []
        scheduler.add_listener(
            lambda event: codes.append(event.code), EVENT_JOB_CANCELLED | EVENT_SCHEDULER_SHUTDOWN
        )
        host.start(scheduler)
        host.wait_until(store.entered.is_set, "the store is at work")
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        host.wait_until(lambda: codes, "the last event has come")
        assert codes == [EVENT_SCHEDULER_SHUTDOWN]
