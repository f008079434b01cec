"""BackgroundScheduler and BlockingScheduler keep the contract of hosts."""

from __future__ import annotations

import threading

import pytest

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
