"""Jobs without an id: @scheduled_job names them by their function, and add_job() warns where copies would pile up."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from rota.errors import TransientJobError
from rota.references import AWAITED, default_id
from rota.testing import ManualScheduler, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HERE = __name__


def tick() -> None: ...


def tock() -> None: ...


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    yield f"sqlite:///{tmp_path / 'jobs'}"
    AWAITED.clear()


def start(url: str | None) -> ManualScheduler:
    return ManualScheduler(clock=VirtualClock(), jobstores={"default": url} if url else {})


@pytest.mark.parametrize("started", [True, False])
def test_a_decorated_function_is_one_job_however_often_the_program_starts(url: str, started: bool) -> None:
    for _ in range(3):
        scheduler = start(url)
        if started:
            scheduler.start()
        scheduler.scheduled_job("interval", hours=1)(tick)
        scheduler.scheduled_job("cron", hour=9)(tick)
        scheduler.scheduled_job("cron", hour=10)(tock)
        if not started:
            scheduler.start()
        ids = sorted(job.id for job in scheduler.get_jobs())
        assert ids == [f"{HERE}:tick", f"{HERE}:tick#2", f"{HERE}:tock"]
        scheduler.shutdown()


def test_functions_of_one_name_are_two_jobs_in_memory() -> None:
    scheduler = start(None)
    scheduler.start()
    done = []
    for number in range(2):

        @scheduler.scheduled_job("interval", hours=1)
        def _(number: int = number) -> None:
            done.append(number)

    scheduler.advance(hours=1)
    assert sorted(done) == [0, 1]
    assert not any("<locals>" in job.id for job in scheduler.get_jobs())
    scheduler.shutdown()


@pytest.mark.thorough
def test_the_main_program_names_its_jobs_by_its_file_or_module(tmp_path: Path) -> None:
    program = (
        "from rota.testing import ManualScheduler\n"
        "scheduler = ManualScheduler()\n"
        "@scheduler.scheduled_job('interval', hours=1)\n"
        "def tick(): ...\n"
        "print(scheduler.get_jobs()[0].id)\n"
    )
    (tmp_path / "report.py").write_text(program)
    for how in ([str(tmp_path / "report.py")], ["-m", "report"]):
        result = subprocess.run(
            [sys.executable, *how], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
        )
        assert result.stdout == "report:tick\n"


def test_a_long_name_is_cut_to_what_stores_keep() -> None:
    long, longer = default_id(f"m:{'x' * 300}"), default_id(f"m:{'x' * 301}")
    assert len(long) == len(longer) == 180
    assert long != longer


@pytest.mark.parametrize("started", [True, False])
def test_a_recurring_job_without_an_id_in_a_durable_store_is_warned_of_once(
    url: str, started: bool, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = start(url)
    if started:
        scheduler.start()
    for _ in range(2):
        scheduler.add_job(tick, "interval", hours=1)
        scheduler.add_jobs([{"func": tock, "trigger": "cron", "hour": 9}])
    messages = [record.message for record in caplog.records if "was given no id" in record.message]
    assert len(messages) == 2
    assert f"Give it id='{HERE}:tick' and replace_existing=True" in messages[0]
    assert messages[1].startswith("add_job(tock)")


def test_what_is_refused_is_not_warned_of(url: str, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = start(url)
    scheduler.start()
    with pytest.raises(TransientJobError):
        scheduler.add_job(lambda: None, "interval", hours=1)
    with pytest.raises(TransientJobError):
        scheduler.add_jobs([{"func": lambda: None, "trigger": "cron", "hour": 9}])
    assert "was given no id" not in caplog.text


def test_what_is_meant_to_be_many_is_not_warned_of(url: str, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = start(url)
    scheduler.start()
    scheduler.add_job(tick)
    scheduler.add_job(tick, "date", run_date=datetime(2090, 1, 1, tzinfo=UTC))
    scheduler.add_job(tick, "interval", hours=1, id="given")
    scheduler.scheduled_job("interval", hours=1)(tick)
    memory: Any = start(None)
    memory.start()
    memory.add_job(tick, "interval", hours=1)
    assert "was given no id" not in caplog.text
