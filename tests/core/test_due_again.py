"""Due times that wait for room, and retries that come to wait meanwhile: the claims of these times end them; in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rota import Retry, current_run
from rota.clock import SECOND, moment
from rota.core.states import CLAIMED, FAILED, SKIPPED, SUCCEEDED, WAITING
from rota.engine.due_again import waiting_retries
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.interval import IntervalTrigger

UNTIL_NEXT = Retry(wait_initial=600, wait_jitter=0, until="next")
SUPERSEDED = (FAILED, "superseded")


@pytest.fixture(params=["memory", "sqlite"])
def scheduler(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ManualScheduler]:
    stores = {} if request.param == "memory" else {"default": f"sqlite:///{tmp_path / 'jobs'}"}
    scheduler = ManualScheduler(jobstores=stores)
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


async def fail_after(seconds: float, first: int, backfilled: float) -> None:
    """Fail in the first try of one time, after so many seconds; runs of a backfill take long."""
    run = current_run()
    if run.origin == "backfill":
        await asyncio.sleep(backfilled)
    elif run.nominal == first and run.attempt == 1:
        await asyncio.sleep(seconds)
        raise ConnectionError


def add(scheduler: ManualScheduler, seconds: float, backfilled: float = 0, **options: Any) -> datetime:
    """Add a job that is due each minute from now on, of which the first try fails after so many seconds."""
    now = scheduler.clock.now()
    trigger = IntervalTrigger(minutes=1, start_date=moment(now - 120 * SECOND))
    scheduler.add_job(
        fail_after, trigger, [seconds, now, backfilled], id="j", **{"retry": UNTIL_NEXT, **options}
    )
    return moment(now)


def ends(scheduler: ManualScheduler) -> list[tuple[str, str | None]]:
    return [(run.status, run.reason) for run in reversed(scheduler.get_runs("j"))]


@pytest.mark.parametrize("overlap", ["buffer_one", "buffer_all"])
def test_a_time_that_waits_for_a_try_goes_on_when_that_fails_and_its_retry_ends(
    scheduler: ManualScheduler, overlap: str
) -> None:
    add(scheduler, 90, overlap=overlap)
    scheduler.advance(seconds=89)
    assert ends(scheduler) == [(CLAIMED, None)]
    scheduler.advance(seconds=2)
    assert ends(scheduler) == [SUPERSEDED, (SUCCEEDED, None)]
    scheduler.advance(seconds=30)
    assert ends(scheduler) == [SUPERSEDED, (SUCCEEDED, None), (SUCCEEDED, None)]


@pytest.mark.parametrize(
    "options", [{}, {"retry": Retry(wait_initial=600, wait_jitter=0)}], ids=["next", "plain"]
)
def test_so_does_a_time_that_waits_only_as_a_run_of_a_backfill_has_a_place(
    scheduler: ManualScheduler, options: dict[str, Any]
) -> None:
    first = add(scheduler, 90, 3000, max_instances=2, **options)
    assert scheduler.backfill("j", first - timedelta(minutes=1), first - timedelta(minutes=1)) == 1
    scheduler.advance(seconds=91)
    assert ends(scheduler) == [(CLAIMED, None), SUPERSEDED, (SUCCEEDED, None)]


def test_a_retry_that_has_come_to_wait_since_its_job_was_planned_ends_as_well(
    scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread, or node, has given it back between the look at it and the claim that lets the time wait."""
    misses: list[dict[str, Any]] = [{}]

    def look(*args: Any) -> dict[str, Any]:
        return misses.pop() if misses else waiting_retries(*args)

    monkeypatch.setattr("rota.engine.busy.waiting_retries", look)
    add(scheduler, 30, overlap="buffer_one")
    scheduler.advance(seconds=59)
    assert ends(scheduler) == [(WAITING, None)]
    scheduler.advance(seconds=2)
    assert misses == []
    assert ends(scheduler) == [SUPERSEDED, (SUCCEEDED, None)]


def test_so_does_a_retry_of_a_run_whose_node_has_died(tmp_path: Path) -> None:
    clock = VirtualClock()
    nodes = [
        ManualScheduler(clock=clock, jobstores={"default": f"sqlite:///{tmp_path / 'jobs'}"}, lease=120)
        for _ in range(2)
    ]
    dying, living = nodes
    dying.start()
    add(dying, 5000, overlap="buffer_one")
    dying.run_pending()
    living.start()
    living.advance(seconds=61)
    assert ends(living) == [(CLAIMED, None)]
    living.advance(seconds=180)
    assert ends(living)[:2] == [SUPERSEDED, (SKIPPED, "coalesced")]
    assert set(ends(living)[2:]) == {(SUCCEEDED, None)}
    for node in nodes:
        node.shutdown(wait=False)


@pytest.mark.parametrize("options", [{}, {"overlap": "buffer_one", "retry": True}], ids=["skip", "no until"])
def test_where_no_time_waits_or_none_ends_a_retry_nothing_is_read_for_that(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    scheduler = ManualScheduler()
    scheduler.start()
    add(scheduler, 30, **options)
    scheduler.advance(seconds=1)
    looked = []
    for name in ("lookup_job", "find_runs"):
        original = getattr(MemoryJobStore, name)
        monkeypatch.setattr(
            MemoryJobStore,
            name,
            lambda *args, original=original: looked.append(args) or original(*args),
        )
    scheduler.advance(seconds=30)
    assert [run.status for run in MemoryJobStore.get_runs(scheduler._lookup_jobstore("default"))] == [WAITING]
    assert looked == []
    scheduler.shutdown(wait=False)
