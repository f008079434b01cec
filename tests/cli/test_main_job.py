"""The main job, as `make run` runs it: real work, stopped and started again, and a ledger that adds up."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from datetime import datetime

import pytest

from tests.cli.processes import SOURCES, Rota, rota
from tests.needs import need

need("typer", "cli")
need("sqlalchemy", "sql")

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")

MAIN_JOB = str(SOURCES / "examples" / "main_job.py")


def ledger(capsys, data):
    code, out, _ = rota(capsys, "-s", f"sqlite:///{data}/rota.sqlite", "runs", "-n", "1000", "--json")
    assert code == 0
    return json.loads(out)


def test_the_main_job_can_be_stopped_and_started_and_its_ledger_adds_up(tmp_path, capsys):
    data = tmp_path / "rota-data"
    with Rota("run", MAIN_JOB, cwd=tmp_path) as process:
        process.wait_for("take-stock")
        process.wait_for("sample-load")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    first = ledger(capsys, data)
    assert {run["status"] for run in first} <= {"succeeded"}
    assert json.loads((data / "inventory.json").read_text())["disk"]["total"] > 0

    # Nobody is there for an hour: all that has happened is moved that far into the past.
    hour = 3600 * 1_000_000
    with sqlite3.connect(data / "rota.sqlite") as db:
        db.execute(
            f"UPDATE rota_runs SET nominal = nominal - {hour}, last = last - {hour}, due = due - {hour}"
        )
        db.execute(
            f"UPDATE rota_jobs SET next_nominal = next_nominal - {hour}, next_due = next_due - {hour} "
            "WHERE id IN ('sample-load', 'compress-log')"
        )
    db.close()

    with Rota("run", MAIN_JOB, cwd=tmp_path) as process:
        process.wait_for("sample-load")
        process.wait_for("sample-load")
        process.signal(signal.SIGTERM)
        assert process.end() == 0, process.told()
    runs = ledger(capsys, data)
    for job_id, seconds in (("sample-load", 5), ("compress-log", 60)):
        of_job = [run for run in reversed(runs) if run["job_id"] == job_id]
        (left_out,) = (run for run in of_job if run["status"] == "skipped")
        assert left_out["reason"] == "coalesced"
        # An hour's worth; a busy machine may have taken its time in between.
        assert 3600 // seconds - 1 <= left_out["count"] <= 3660 // seconds
        # Every time has exactly one record: they lie on one grid, without a gap and without a double.
        last = None
        for run in of_job:
            at = datetime.fromisoformat(run["scheduled"])
            assert last is None or (at - last).total_seconds() == seconds
            last = datetime.fromisoformat(run["last_scheduled"])
    assert {run["status"] for run in runs} == {"succeeded", "skipped"}
    assert len([run for run in runs if run["job_id"] == "take-stock"]) == 1


def test_the_jobs_of_the_main_job_do_their_work(tmp_path, monkeypatch):
    import gzip
    import importlib.util
    from datetime import UTC, timedelta

    monkeypatch.setenv("ROTA_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("main_job_under_test", MAIN_JOB)
    assert spec is not None
    assert spec.loader is not None
    main_job = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main_job)
    ids = {
        job.id: str(job.trigger).partition("[")[0].partition("(")[0] for job in main_job.scheduler.get_jobs()
    }
    assert ids == {
        "sample-load": "interval",
        "compress-log": "cron",
        "report-day": "CalendarIntervalTrigger",
        "take-stock": "date",
    }
    yesterday = datetime.now(UTC) - timedelta(days=1)
    (tmp_path / "load-left-over.csv").write_text(
        f"{yesterday.isoformat()},1.50,0.1\n{yesterday.isoformat()},0.50,0.1\n"
    )
    assert main_job.sample_load().startswith("load ")
    assert main_job.compress_log().startswith("2 files compressed")
    assert sorted(path.suffix for path in tmp_path.glob("load*")) == [".gz", ".gz"]
    assert main_job.compress_log().startswith("0 files compressed")
    assert main_job.sample_load().startswith("load ")
    assert main_job.report_day().startswith("2 samples on ")
    report = json.loads((tmp_path / f"report-{yesterday.date()}.json").read_text())
    assert report == {
        "day": str(yesterday.date()),
        "samples": 2,
        "lowest": 0.5,
        "mean": 1.0,
        "highest": 1.5,
    }
    with gzip.open(tmp_path / "load-left-over.csv.gz", "rt") as file:
        assert file.read().count("\n") == 2
