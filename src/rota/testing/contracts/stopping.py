"""What programs may expect of every scheduler while it stops, and of the removal of a store; for pytest.

Part of :class:`~rota.testing.contracts.hosts.HostContract`; knows the public interface of schedulers only.
"""

from __future__ import annotations

import threading
from time import sleep

import pytest

from ...errors import SchedulerAlreadyRunningError
from ...events import EVENT_JOB_EXECUTED
from ...jobstores.memory import MemoryJobStore
from .host_access import PATIENCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .host_access import Host


class StoppingContract:
    """A shutdown under way is a state of its own: calls reach the stores until the last run has ended."""

    @pytest.mark.parametrize("wait", [True, False])
    @pytest.mark.parametrize("kind", ["plain", "async"])
    def test_a_job_reaches_the_stores_while_its_scheduler_stops(
        self, host: Host, scheduler: Any, kind: str, wait: bool
    ) -> None:
        """A job that plans its next step during a deploy has it stored, and sees and changes what is there."""
        begun, gate = threading.Event(), threading.Event()
        seen: list[Any] = []

        def use() -> None:
            job = scheduler.add_job(int, "interval", hours=1, id="next")
            seen.append(job.pending)
            seen.append([job.pending for job in scheduler.add_jobs([{"func": int, "id": "later"}])])
            scheduler.reschedule_job("kept", trigger="interval", minutes=1)
            seen.append(scheduler.pause_job("kept").next_run_time)
            scheduler.resume_job("kept")
            scheduler.modify_job("kept", name="changed")
            scheduler.remove_job("gone")
            seen.append(sorted((job.id, job.name) for job in scheduler.get_jobs()))
            seen.append(scheduler.get_job("gone"))
            seen.append([run.job_id for run in scheduler.get_runs(status="claimed")])
            with pytest.raises(SchedulerAlreadyRunningError, match="shutting down"):
                scheduler.start()
            with pytest.raises(SchedulerAlreadyRunningError, match="shutting down"):
                scheduler.configure()
            seen.append(scheduler.running)

        def work() -> None:
            begun.set()
            try:
                host.block(gate)
            finally:
                use()

        async def work_async() -> None:
            begun.set()
            try:
                while not gate.is_set():
                    await host.nap()
            finally:
                use()

        host.start(scheduler)
        host.call(scheduler.add_job, int, "interval", hours=1, id="kept", name="kept")
        host.call(scheduler.add_job, int, "interval", hours=1, id="gone")
        host.call(scheduler.add_job, work if kind == "plain" else work_async, id="work")
        host.wait_until(begun.is_set, "the job has begun")
        _when(lambda: not scheduler.running, gate.set)
        host.shutdown(scheduler, wait=wait)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        names = [("kept", "changed"), ("later", "int"), ("next", "int")]
        assert seen == [False, [False], None, names, None, ["work"], False]

    def test_a_listener_and_a_request_reach_the_stores_while_the_scheduler_stops(
        self, host: Host, scheduler: Any
    ) -> None:
        """Until the last event of a run is delivered."""
        begun, pending = threading.Event(), []

        def follow(event: Any) -> None:
            if event.job_id == "work":
                pending.append(scheduler.add_job(int, "interval", hours=1, id="next").pending)

        gate = threading.Event()

        def request() -> None:
            pending.append(scheduler.add_job(int, "interval", hours=1, id="asked").pending)
            gate.set()

        def work() -> None:
            begun.set()
            host.block(gate)

        scheduler.add_listener(follow, EVENT_JOB_EXECUTED)
        host.start(scheduler)
        host.call(scheduler.add_job, work, id="work")
        host.wait_until(begun.is_set, "the job has begun")
        _when(lambda: not scheduler.running, request)
        host.shutdown(scheduler)
        host.wait_until(scheduler._closed.is_set, "the scheduler is shut down")
        assert pending == [False, False]
        assert host.call(scheduler.add_job, int, id="after").pending

    # -- removing a store ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("where", ["other thread", "loop", "inside", "listener"])
    def test_a_store_that_is_removed_takes_the_ends_of_its_runs(
        self, host: Host, scheduler: Any, where: str
    ) -> None:
        """It is shut down after that; who must not wait for it does not."""
        store = _NotedStore()
        gate, begun = threading.Event(), threading.Event()

        def work() -> None:
            begun.set()
            host.block(gate)

        def remove(event: Any = None) -> None:
            _when(lambda: scheduler._jobstores.get("second") is not store, gate.set)
            scheduler.remove_jobstore("second")
            store.notes.append("returned")

        if where == "listener":
            scheduler.add_listener(remove, EVENT_JOB_EXECUTED)
        host.start(scheduler)
        host.call(scheduler.add_jobstore, store, "second")
        host.call(scheduler.add_job, work, jobstore="second")
        host.wait_until(begun.is_set, "the job has begun")
        if where == "other thread":
            host.in_thread(remove)
        elif where == "loop":
            host.call(remove)
        else:
            host.call(scheduler.add_job, remove if where == "inside" else int)
        host.wait_until(lambda: {"shut down", "returned"} <= {*store.notes}, "the store is closed")
        assert [note for note in store.notes if note != "returned"] == ["succeeded", "shut down"]
        assert where != "other thread" or store.notes[-1] == "returned"
        if where != "listener":
            host.call(scheduler.add_jobstore, store, "second")  # it belongs to nobody
            assert host.call(scheduler.add_job, int, jobstore="second", id="again").pending is False

    def test_a_shutdown_closes_a_store_whose_removal_still_waits(self, host: Host, scheduler: Any) -> None:
        """What is removed from inside a job is not forgotten."""
        store = _NotedStore()
        done = threading.Event()

        def work() -> None:
            scheduler.remove_jobstore("second")
            scheduler.shutdown()
            done.set()

        host.start(scheduler)
        host.call(scheduler.add_jobstore, store, "second")
        host.call(scheduler.add_job, work, jobstore="second")
        host.wait_until(lambda: done.is_set() and scheduler._closed.is_set(), "the scheduler is shut down")
        host.wait_until(lambda: "shut down" in store.notes, "the store is closed")
        assert store.notes == ["succeeded", "shut down"]


class _NotedStore(MemoryJobStore):
    """A store that notes the ends of runs and its own."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def finish(self, runs: Any, now: int) -> Any:
        self.notes += [run.status for run in runs]
        return super().finish(runs, now)

    def shutdown(self) -> None:
        self.notes.append("shut down")
        super().shutdown()


def _when(condition: Callable[[], bool], then: Callable[[], object]) -> None:
    """Call something in another thread as soon as something is so."""

    def watch() -> None:
        for _ in range(int(PATIENCE / 0.002)):
            if condition():
                break
            sleep(0.002)
        then()

    threading.Thread(target=watch, name="other").start()
