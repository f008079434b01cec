"""What keeps forks away from transactions of SQLite, and what stores and executors forget in a forked child."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rota.executors.debug import DebugExecutor
from rota.executors.processpool import ProcessPoolExecutor
from rota.jobstores.memory import MemoryJobStore
from tests.needs import need

need("sqlalchemy", "sql")

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore  # noqa: E402  # after need()
from rota.jobstores.sqlalchemy.databases.sqlite_forks import ForkGate  # noqa: E402


class Other:
    """Another thread, which does what it is asked for, one thing after another."""

    def __init__(self, *calls):
        self.done = []
        self.gates = [threading.Event() for _ in calls]
        self.calls = calls
        self.thread = threading.Thread(target=self._work)
        self.thread.start()

    def _work(self):
        for call, gate in zip(self.calls, self.gates, strict=True):
            assert gate.wait(20)
            call()
            self.done.append(call)

    def go_on(self):
        self.gates[len(self.done)].set()

    def wait(self, count):
        for _ in range(4000):
            if len(self.done) >= count:
                return
            threading.Event().wait(0.005)
        raise AssertionError("the other thread is stuck")


@pytest.fixture
def gate():
    return ForkGate()


def test_a_fork_waits_for_the_transaction_of_another_thread(gate):
    other = Other(gate.enter, gate.leave)
    other.go_on()
    other.wait(1)
    closed = []
    forking = threading.Thread(target=lambda: (gate.close(), closed.append(list(other.done)), gate.open()))
    forking.start()
    while gate._forking is None:
        assert forking.is_alive()
    assert not closed
    other.go_on()
    forking.join(20)
    assert len(closed) == 1


def test_a_transaction_waits_for_the_fork_of_another_thread(gate):
    gate.close()
    other = Other(gate.enter, gate.leave)
    other.go_on()
    threading.Event().wait(0.05)
    assert not other.done
    gate.open()
    other.wait(1)
    other.go_on()
    other.wait(2)
    assert gate._inside == []


def test_a_thread_that_is_inside_or_forks_itself_may_enter_again(gate):
    gate.enter()
    other = Other(gate.close, gate.open)
    other.go_on()
    while gate._forking is None:
        threading.Event().wait(0.001)
    gate.enter()  # a part of the same transaction; to wait here would make the fork wait, too
    gate.leave()
    gate.leave()
    other.wait(1)
    other.go_on()
    other.wait(2)
    gate.enter()
    gate.close()  # a fork in the middle of one's own transaction
    gate.enter()
    gate.open()
    gate.leave()
    gate.leave()
    assert gate._inside == []


def test_forks_come_one_after_another(gate):
    gate.close()
    other = Other(gate.close, gate.open)
    other.go_on()
    threading.Event().wait(0.05)
    assert not other.done
    gate.open()
    other.wait(1)
    other.go_on()
    other.wait(2)
    gate.enter()
    gate.leave()


def test_a_child_forgets_the_threads_that_are_not_in_it(gate):
    other = Other(gate.enter)
    other.go_on()
    other.wait(1)
    gate.enter()
    gate.forget()
    assert gate._inside == [threading.get_ident()]
    gate.leave()
    gate.close()
    gate.open()


def test_a_fork_finds_no_open_connection_of_an_idle_store(tmp_path):
    store = SQLAlchemyJobStore(url=f"sqlite:///{tmp_path / 'jobs'}")
    store.start(None, "default")
    pool: Any = store.engine.pool
    assert pool.checkedin() + len(store._server.connections._kept) > 0
    store._server.connections.close_idle()
    assert pool.checkedin() + len(store._server.connections._kept) == 0
    assert store.get_all_jobs() == []  # and the parent goes on
    store.shutdown()


def test_stores_that_share_an_engine_share_its_lock_in_a_child_too(monkeypatch, tmp_path):
    from sqlalchemy import create_engine

    engine = create_engine(f"sqlite:///{tmp_path / 'jobs'}")
    stores = [SQLAlchemyJobStore(engine=engine, tablename=name) for name in ("a", "b")]
    before = stores[0]._server.connections._write_lock
    assert stores[1]._server.connections._write_lock is before
    monkeypatch.setattr("rota.jobstores.sqlalchemy.connections.getpid", lambda: -1)
    for store in stores:
        store.forked()
    assert stores[0]._server.connections._write_lock is stores[1]._server.connections._write_lock
    assert stores[0]._server.connections._write_lock is not before
    engine.dispose()


def test_the_memory_store_is_copied_whole():
    store = MemoryJobStore()
    store.before_fork()
    other = Other(store.remove_all_jobs)
    other.go_on()
    threading.Event().wait(0.05)
    assert not other.done
    store.after_fork()
    other.wait(1)
    store.before_fork()
    store.forked()  # a child has nobody who would let the lock go
    other = Other(store.remove_all_jobs)
    other.go_on()
    other.wait(1)


def test_executors_forget_the_locks_and_runs_of_the_parent():
    pool = ProcessPoolExecutor(1)
    held = pool._lock
    held.acquire()
    pool.forked()
    assert pool._lock is not held
    executor = DebugExecutor()
    executor._submissions.counts["j"] = 1
    with executor._submissions.lock:
        executor.forked()
    assert executor._submissions.counts == {}
    held = executor._submissions.lock
    other = Other(held.acquire)
    other.go_on()
    other.wait(1)


def test_a_child_has_none_of_the_commands_of_its_parent():
    from rota import commands

    commands._lock.acquire()
    commands._running.add("a process of the parent")  # type: ignore[arg-type]
    commands._forget()
    assert commands.stop_commands() == 0
