"""Nothing that a process keeps grows with the number of ids that it has seen: the whole scheduler, on each kind of store."""

from __future__ import annotations

from asyncio import sleep

import pytest

from rota.engine import announcements as announcing
from rota.jobstores import retention
from rota.jobstores.eight_methods import EightMethodsLedger
from rota.jobstores.memory import MemoryJobStore
from rota.jobstores.memory_ledger import MemoryLedger
from rota.testing import ManualScheduler
from rota.testing.growth import grown
from tests.core.test_eight_methods import EightMethods


def work() -> None:
    """Do nothing."""


def fail() -> None:
    """Raise something."""
    raise ValueError("as it shall")


async def slow() -> None:
    """Take longer than a second."""
    await sleep(5)


def store_of(kind, tmp_path):
    if kind == "sqlite":
        return f"sqlite:///{tmp_path / 'jobs'}"
    if kind == "memory":
        in_memory = MemoryJobStore()
        in_memory._runs = MemoryLedger(20)
        in_memory._mutex = in_memory._runs.lock
        return in_memory
    store = EightMethods()
    store.__dict__["_memory_ledger"] = EightMethodsLedger(20)
    return store


@pytest.mark.slow
@pytest.mark.timeout(240)  # on a machine that may be busy
@pytest.mark.parametrize("kind", ["memory", "eight methods", pytest.param("sqlite", marks=pytest.mark.slow)])
def test_no_container_of_a_scheduler_grows_with_the_ids_it_has_seen(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(retention, "BUSY", 8)
    monkeypatch.setattr(announcing, "MOST_SKIPPING", 8)
    store = store_of(kind, tmp_path)
    scheduler = ManualScheduler(jobstores={"default": store})
    seen = [0]
    scheduler.add_listener(lambda event: seen.__setitem__(0, seen[0] + 1))
    scheduler.start()

    def act(number):
        for name, func in (("once", work), ("raises", fail)):
            scheduler.add_job(func, id=f"{name}{number}")
        scheduler.add_job(slow, "interval", seconds=1, id=f"skips{number}")
        scheduler.add_job(work, "interval", seconds=2, id=f"again{number}")
        scheduler.pause_job(f"again{number}")
        scheduler.resume_job(f"again{number}")
        scheduler.advance(seconds=20)
        scheduler.add_job(work, id=f"again{number}", replace_existing=True)
        for name in ("skips", "again"):
            if scheduler.get_job(f"{name}{number}"):
                scheduler.remove_job(f"{name}{number}")
        scheduler.health()
        scheduler.advance(seconds=10)

    found = grown(act, 25, scheduler)
    assert seen[0] > 0
    scheduler.shutdown()
    assert found == []


def test_a_job_that_waited_for_its_runs_is_forgotten_when_it_was_removed():
    store = EightMethods()
    scheduler = ManualScheduler(jobstores={"default": store})
    scheduler.start()

    scheduler.add_job(slow, "interval", seconds=1, mode="delay", id="held")
    scheduler.advance(seconds=1)
    assert list(store._ledger.held) == ["held"]
    scheduler.remove_job("held")
    scheduler.advance(seconds=10)
    assert store._ledger.held == {}
    scheduler.shutdown()
