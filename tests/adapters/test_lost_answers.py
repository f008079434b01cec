"""Answers of a durable store about waiting runs that are lost: nothing is executed twice, and nothing is left."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

import pytest

from rota import Retry
from rota.clock import SECOND, moment
from rota.core.states import SUCCEEDED, WAITING
from rota.errors import StoreUnavailableError
from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import START, claim, make_job

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = Retry(wait_initial=60, wait_jitter=0)
#: two minutes after the first time of the jobs
NOW = START + 120 * SECOND
calls: list[str] = []


def work(*args: object) -> None:
    calls.append("called")


class Losing(SQLAlchemyJobStore):
    """Loses answers, before or after it has done what it was asked for.

    :ivar loses: the name of the method whose next answer is lost
    """

    loses: str | None = None
    does_it = True

    def _lose(self, method: str, *args: Any) -> Any:
        if self.loses == method:
            self.loses = None
            if self.does_it:
                getattr(super(), method)(*args)
            raise StoreUnavailableError("the connection was lost")
        return getattr(super(), method)(*args)

    def give_back(self, runs: Any, now: int) -> Any:
        # Who hears no answer has changed no run.
        return self._lose("give_back", list(map(copy, runs)) if self.loses == "give_back" else runs, now)

    def take_waiting(self, *args: Any) -> Any:
        return self._lose("take_waiting", *args)


@pytest.fixture
def url(tmp_path: Path) -> str:
    calls.clear()
    return f"sqlite:///{tmp_path / 'jobs.sqlite'}"


@pytest.fixture
def store(url: str) -> Losing:
    return Losing(url)


@pytest.fixture
def scheduler(store: Losing) -> Iterator[ManualScheduler]:
    clock = VirtualClock(moment(NOW))
    scheduler = ManualScheduler(
        clock=clock, jobstores={"default": store}, lease=15, jobstore_retry_interval=1
    )
    yield scheduler
    scheduler.shutdown(wait=False)


def leave_by_a_dead_node(url: str, **options: Any) -> int:
    """Claim what is due as a node that does nothing more; return how many runs."""
    dead = SQLAlchemyJobStore(url)
    dead.start(None, "default")
    dead.add_job(make_job(func=work, **options))
    runs = claim(dead, NOW, "dead node")
    dead.shutdown()
    return len(runs)


def test_a_run_of_a_dead_node_waits_though_the_answer_that_it_does_was_lost(
    url: str, store: Losing, scheduler: ManualScheduler
) -> None:
    leave_by_a_dead_node(url, every=3600, retry=PLAIN)
    store.loses = "give_back"
    scheduler.start()
    scheduler.advance(seconds=40)
    assert store.loses is None
    assert calls == []
    assert [run.status for run in scheduler.get_runs()] == [WAITING]
    scheduler.advance(seconds=60)
    assert calls == ["called"]
    assert [(run.status, run.tries) for run in scheduler.get_runs()] == [(SUCCEEDED, 1)]


def test_a_run_of_a_dead_node_that_cannot_be_given_back_is_executed_at_once(
    url: str, store: Losing, scheduler: ManualScheduler
) -> None:
    leave_by_a_dead_node(url, every=3600, retry=PLAIN)
    store.loses, store.does_it = "give_back", False
    scheduler.start()
    scheduler.advance(seconds=45)
    assert calls == ["called"]
    assert [(run.status, run.tries) for run in scheduler.get_runs()] == [(SUCCEEDED, 1)]


def test_a_waiting_run_is_executed_though_the_answer_that_it_was_taken_was_lost(
    store: Losing, scheduler: ManualScheduler
) -> None:
    scheduler.start()
    scheduler.add_job(work, "interval", hours=1, id="job")
    store.loses = "take_waiting"
    scheduler.run_job("job")
    scheduler.advance(seconds=20)
    assert store.loses is None
    assert calls == ["called"]
    assert [run.status for run in scheduler.get_runs()] == [SUCCEEDED]


def test_runs_of_a_dead_node_wait_for_the_same_time(url: str, scheduler: ManualScheduler) -> None:
    retry = Retry(wait_initial=60, wait_jitter=0.5, until=None)
    assert leave_by_a_dead_node(url, every=60, coalesce=False, retry=retry) == 3
    scheduler.start()
    scheduler.advance(seconds=40)
    waiting = scheduler.get_runs(status=WAITING)
    assert len(waiting) == 3
    assert len({run.not_before for run in waiting}) == 1
