"""BackgroundScheduler and BlockingScheduler keep the contract of hosts."""

from __future__ import annotations

import threading

import pytest

from rota.errors import ConfigurationError, SchedulerAlreadyRunningError
from rota.events import EVENT_SCHEDULER_SHUTDOWN
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.blocking import BlockingScheduler
from rota.testing.contracts.host_access import PATIENCE, Host, SlowStore
from rota.testing.contracts.hosts import HostContract


class BackgroundHost(Host):
    """A scheduler with a thread of its own."""

    scheduler_class = BackgroundScheduler


class TestBackground(HostContract):
    """In its own thread."""

    @pytest.fixture
    def host(self):
        return BackgroundHost()


class BlockingHost(Host):
    """A scheduler whose start() blocks the thread that calls it, which is another one than the test's."""

    scheduler_class = BlockingScheduler

    def __init__(self):
        self.threads = []

    def start(self, scheduler, paused=False):
        if scheduler.running:
            scheduler.start(paused)  # raises
        errors = []
        started = threading.Event()
        scheduler.add_listener(lambda event: started.set(), 1)

        def run():
            try:
                scheduler.start(paused)
            except BaseException as exc:
                errors.append(exc)

        thread = threading.Thread(target=run, name="blocking")
        thread.start()
        self.threads.append(thread)
        assert started.wait(PATIENCE), errors

    def close(self):
        for thread in self.threads:
            thread.join(PATIENCE)
            assert not thread.is_alive(), "start() has not returned after the shutdown"


class TestBlocking(HostContract):
    """In a thread that it blocks."""

    @pytest.fixture
    def host(self):
        host = BlockingHost()
        yield host
        host.close()


def test_with_starts_and_waits_for_the_runs_at_the_end():
    gate, ended = threading.Event(), []

    def work():
        while scheduler.running:
            gate.wait(0.001)
        ended.append("work")

    with BackgroundScheduler() as scheduler:
        begun = threading.Event()
        scheduler.add_job(lambda: (begun.set(), work()))
        assert begun.wait(PATIENCE)
    assert ended == ["work"]
    assert scheduler._closed.is_set()
    with pytest.raises(KeyError), scheduler:  # started anew, and shut down whatever is raised
        raise KeyError
    assert not scheduler.running
    with scheduler:
        scheduler.shutdown(wait=False)  # leaving has nothing left to do
    scheduler.start(paused=True)
    with scheduler:  # one that runs already stays as it is
        assert scheduler.state == 2


def test_a_blocking_scheduler_has_no_with_form_and_says_what_to_write():
    with pytest.raises(ConfigurationError, match="with BackgroundScheduler"), BlockingScheduler():
        pass


@pytest.mark.parametrize("wait", [True, False])
def test_starting_in_the_listener_of_the_shutdown_is_refused_and_not_a_deadlock(wait):
    errors = []

    def start_again(event):
        try:
            scheduler.start()
        except SchedulerAlreadyRunningError as exc:
            errors.append(str(exc))

    def stop():
        scheduler.shutdown(wait)

    begun, gate = threading.Event(), threading.Event()
    scheduler = BackgroundScheduler()
    scheduler.add_listener(start_again, EVENT_SCHEDULER_SHUTDOWN)
    scheduler.start()
    scheduler.add_job(lambda: (begun.set(), gate.wait(PATIENCE)))
    assert begun.wait(PATIENCE)
    stopper = threading.Thread(target=stop, daemon=True)  # it would not end
    stopper.start()
    gate.set()
    stopper.join(PATIENCE)
    assert not stopper.is_alive()
    assert len(errors) == 1 and "still shutting down" in errors[0]
    scheduler.start()
    scheduler.remove_listener(start_again)
    scheduler.shutdown()


@pytest.mark.parametrize("how", [{"wait": False}, {"timeout": 0.1}])
def test_a_store_that_hangs_holds_up_no_shutdown_that_is_not_to_wait(how):
    class HangingStore(SlowStore):
        def due(self, now, room):
            self.entered.set()
            self.go_on.wait(20)
            return super().due(now, room)

    store = HangingStore()
    scheduler = BackgroundScheduler(jobstores={"default": store})
    scheduler.start()
    assert store.entered.wait(10)
    scheduler.shutdown(**how)
    assert not store.go_on.is_set()  # it came back while the store hung
    assert not scheduler.running
    store.go_on.set()
    assert scheduler._closed.wait(10)
