"""Wake-ups that a server pushes: what others add or change is heard, and what one does oneself is not."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from rota.clock import HOUR, SECOND, SYSTEM_CLOCK
from rota.testing.contracts.store_jobs import claim, finish, make_job
from tests.adapters.places import KINDS
from tests.servers import Etcd, PostgreSQL, Redis, ZooKeeper, private

if TYPE_CHECKING:
    from tests.adapters.places import Place

PATIENCE = 20
SERVERS = {"postgresql": PostgreSQL, "redis": Redis, "etcd": Etcd, "zookeeper": ZooKeeper}
every_kind = pytest.mark.parametrize("place", SERVERS, indirect=True)


class Ear:
    """Hears wake-ups of a started store: one when it begins to listen, and those of others, none of its own."""

    def __init__(self, store: Any) -> None:
        self.heard = threading.Event()
        self.store = store
        store.on_wake(self.heard.set)
        self.wait("it does not listen")

    def wait(self, why: str) -> None:
        """Wait for a wake-up."""
        assert self.heard.wait(PATIENCE), why
        self.heard.clear()


@every_kind
def test_a_job_that_is_due_soon_wakes_the_others_and_not_oneself(place: Place) -> None:
    ear = Ear(place.open())
    other = place.open()
    now = SYSTEM_CLOCK.now()
    ear.store.add_job(make_job("mine", now + HOUR))
    other.add_job(make_job("later", now + 2 * HOUR))
    assert not ear.heard.wait(0.3)
    other.add_job(make_job("soon", now + SECOND))
    ear.wait("a new job woke nobody")
    other.add_job(make_job("elsewhere", now + 2 * SECOND, executor="other"))
    ear.wait("a new job of another executor woke nobody")


@every_kind
def test_a_change_wakes_the_others(place: Place) -> None:
    ear = Ear(place.open())
    other = place.open()
    now = SYSTEM_CLOCK.now()
    ear.store.add_job(make_job("job", now + 24 * HOUR))
    job = other.lookup_job("job")
    job.set_next(now)
    assert other.save_job(job, job.version)
    ear.wait("a change woke nobody")


@every_kind
def test_a_job_that_waited_for_a_run_elsewhere_wakes_everybody_when_that_ends(place: Place) -> None:
    ear = Ear(place.open())
    other = place.open()
    now = SYSTEM_CLOCK.now()
    ear.store.add_job(make_job("backlog", now - 1000 * SECOND, every=1, coalesce=False))
    runs = claim(ear.store, now)
    assert finish(other, runs, now) == []
    ear.wait("the end of the runs woke nobody")


@pytest.mark.parametrize("kind", SERVERS)
def test_wake_ups_survive_a_restart_of_the_server(kind: str) -> None:
    with private(SERVERS[kind]) as server:
        before = set(threading.enumerate())
        place = KINDS[kind](server.url(), kind)
        try:
            ear = Ear(place.open())
            usual = ear.store.poll_interval
            server.stop()
            deadline = time.monotonic() + PATIENCE
            while ear.store.poll_interval == usual:
                assert time.monotonic() < deadline, "it looks as rarely as if it heard of changes"
                time.sleep(0.02)
            ear.heard.clear()
            server.start()
            ear.wait("it does not listen again")
            deadline = time.monotonic() + PATIENCE
            while ear.store.poll_interval != usual:
                assert time.monotonic() < deadline, "it does not trust what it hears again"
                time.sleep(0.02)
            place.open().add_job(make_job("job", SYSTEM_CLOCK.now()))
            ear.wait("a new job woke nobody after the restart")
        finally:
            place.close()
        deadline = time.monotonic() + PATIENCE
        while any("rota" in thread.name for thread in set(threading.enumerate()) - before):
            assert time.monotonic() < deadline, "the listener does not end"
            time.sleep(0.02)
