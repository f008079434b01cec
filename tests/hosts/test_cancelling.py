"""Runs that wait for a worker, of threads and of processes, and are cancelled meanwhile: they end at once."""

from __future__ import annotations

from datetime import timedelta
from time import sleep
from typing import TYPE_CHECKING, Any

import pytest

from rota import BackgroundScheduler
from rota.clock import moment
from rota.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from rota.testing.contracts.executor_jobs import PATIENCE, wait_for_file

if TYPE_CHECKING:
    from pathlib import Path


def wait_until(condition: Any) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if condition():
            return
        sleep(0.01)
    raise AssertionError("waited in vain")


@pytest.mark.parametrize("pool", [ThreadPoolExecutor, ProcessPoolExecutor])
def test_a_run_that_waits_for_the_only_worker_ends_when_it_is_cancelled(pool: Any, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    scheduler = BackgroundScheduler(executors={"default": pool(1)})
    scheduler.start()
    due = moment(scheduler.clock.now()) - timedelta(seconds=25)
    end = due + timedelta(seconds=20)
    scheduler.add_job(
        wait_for_file, "interval", args=[str(gate)], seconds=10, end_date=end, id="job",
        next_run_time=due, coalesce=False,
    )  # fmt: skip
    wait_until(lambda: any(run.started_at for run in scheduler.get_runs("job", status="claimed")))
    record = scheduler.cancel_run("job", end, "not needed")
    assert (record.status, record.reason, record.started_at) == ("cancelled", "not needed", None)
    assert len(scheduler.get_runs("job", status="claimed")) == 2
    gate.touch()
    scheduler.shutdown()
    assert [run.status for run in reversed(scheduler.get_runs("job"))] == [
        "succeeded", "succeeded", "cancelled",
    ]  # fmt: skip
