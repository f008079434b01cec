"""BackgroundScheduler and BlockingScheduler keep the contract of hosts."""

from __future__ import annotations

import threading

import pytest

from rota.errors import ConfigurationError
from rota.schedulers.background import BackgroundScheduler
from rota.schedulers.blocking import BlockingScheduler
from rota.testing.host_contract import HostContract
from rota.testing.hosts import PATIENCE, Host


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
