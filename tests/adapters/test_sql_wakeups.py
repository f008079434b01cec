"""Wake-ups between processes through the SQL store: pushed by PostgreSQL, found by a look elsewhere."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from rota.clock import SECOND, SYSTEM_CLOCK
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing.contract_jobs import claim, finish, make_job
from tests.servers import PostgreSQL, private

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATIENCE = 20


class Ear:
    """Hears wake-ups."""

    def __init__(self) -> None:
        self.heard = threading.Event()

    def __call__(self) -> None:
        self.heard.set()

    def wait(self, why: str) -> None:
        assert self.heard.wait(PATIENCE), why
        self.heard.clear()


@pytest.fixture
def open_store(postgresql_url: str) -> Iterator[Callable[[], SQLAlchemyJobStore]]:
    stores: list[SQLAlchemyJobStore] = []

    def make(url: str = postgresql_url) -> SQLAlchemyJobStore:
        store = SQLAlchemyJobStore(url)
        stores.append(store)
        store.start(None, "default")
        return store

    yield make
    for store in stores:
        store.shutdown()


@pytest.fixture
def listening(open_store: Callable[[], SQLAlchemyJobStore]) -> tuple[SQLAlchemyJobStore, Ear]:
    """Return a store that listens, and what hears it."""
    store, ear = open_store(), Ear()
    store.on_wake(ear)
    ear.wait("it does not listen")
    return store, ear


def test_a_job_that_is_due_soon_wakes_the_others_and_not_oneself(
    open_store: Callable[[], SQLAlchemyJobStore], listening: tuple[SQLAlchemyJobStore, Ear]
) -> None:
    store, ear = listening
    other = open_store()
    now = SYSTEM_CLOCK.now()
    store.add_job(make_job("mine", now))
    other.add_job(make_job("tomorrow", now + 86_400 * SECOND))
    assert not ear.heard.wait(0.3)
    other.add_job(make_job("soon", now + SECOND))
    ear.wait("a new job woke nobody")


def test_a_change_wakes_the_others(
    open_store: Callable[[], SQLAlchemyJobStore], listening: tuple[SQLAlchemyJobStore, Ear]
) -> None:
    _, ear = listening
    other = open_store()
    now = SYSTEM_CLOCK.now()
    other.add_job(make_job("job", now + 86_400 * SECOND))
    job = other.lookup_job("job")
    assert job is not None
    job.set_next(now)
    assert other.save_job(job, job.version)
    ear.wait("a change woke nobody")


def test_a_job_that_waited_for_a_run_elsewhere_wakes_everybody_when_that_ends(
    open_store: Callable[[], SQLAlchemyJobStore], listening: tuple[SQLAlchemyJobStore, Ear]
) -> None:
    store, ear = listening
    other = open_store()
    now = SYSTEM_CLOCK.now()
    store.add_job(make_job("backlog", now - 1000 * SECOND, every=1, coalesce=False))
    runs = claim(store, now)
    ear.heard.clear()
    assert finish(other, runs, now) == []
    ear.wait("the end of the runs woke nobody")


def test_wake_ups_survive_a_restart_of_the_server(
    open_store: Callable[..., SQLAlchemyJobStore],
) -> None:
    with private(PostgreSQL) as server:
        store, ear = open_store(server.url()), Ear()
        store.on_wake(ear)
        ear.wait("it does not listen")
        slow = store.poll_interval
        server.restart()
        ear.wait("it does not listen again")
        assert store.poll_interval == slow
        open_store(server.url()).add_job(make_job("job", SYSTEM_CLOCK.now()))
        ear.wait("a new job woke nobody after the restart")
        store.shutdown()
        assert "rota-listen" not in [thread.name for thread in threading.enumerate()]
