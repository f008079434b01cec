"""What the hot paths send to a database: looking for damage costs plain jobs no statement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from rota.clock import moment
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.contracts.store_jobs import START, task

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[ManualScheduler]:
    """Give a scheduler on a file of SQLite."""
    scheduler = ManualScheduler(
        clock=VirtualClock(START), jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}
    )
    scheduler.start()
    yield scheduler
    scheduler.shutdown()


def heard_by(scheduler: ManualScheduler) -> list[str]:
    """Return a list to which the first word of each statement is added."""
    heard: list[str] = []
    store: Any = scheduler._jobstores["default"]
    event.listen(store.engine, "before_cursor_execute", lambda *args: heard.append(args[2].split()[0]))
    return heard


def test_a_second_of_plain_jobs_sends_what_it_always_sent(scheduler: ManualScheduler) -> None:
    for id in ("one", "two"):
        scheduler.add_job(task, "interval", seconds=1, id=id, start_date=moment(START))
    scheduler.advance(seconds=3)
    heard = heard_by(scheduler)
    scheduler.advance(seconds=1)
    an_end = ["BEGIN", "UPDATE", "UPDATE", "DELETE", "COMMIT"]
    a_claim = ["BEGIN", "SELECT", "UPDATE", "INSERT", "COMMIT"]
    assert heard == ["SELECT", "SELECT", "SELECT", *a_claim, *an_end, *an_end, "SELECT"]
    heard.clear()
    scheduler.add_job(task, "interval", seconds=60)
    assert heard == ["INSERT"]


def test_a_job_that_this_node_runs_as_often_as_it_may_is_not_counted_anew(scheduler: ManualScheduler) -> None:
    scheduler.add_job(sleep, "interval", seconds=1, id="long", start_date=moment(START))
    scheduler.advance(seconds=3)
    heard = heard_by(scheduler)
    scheduler.advance(seconds=1)
    assert scheduler.get_runs("long")[0].reason == "max_instances"
    assert "".join(heard).count("BEGIN") == 1  # the claim that records the time as skipped


async def sleep() -> None:
    """Take a minute of virtual time."""
    import asyncio

    await asyncio.sleep(60)
