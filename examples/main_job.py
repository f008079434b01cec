"""The main job: a scheduler on a SQLite file that watches this machine and keeps the results in order.

It measures the load every five seconds, closes and compresses the log every minute, reports on each day, and takes
stock of the disk once. Stop it and start it again: what was missed in between has its record, and nothing is done twice.

Needs:  pip install 'rota[cli,sql]'
Run:    rota run examples/main_job.py     (or: make run)
Look:   rota -s sqlite:///rota-data/rota.sqlite runs
Files:  rota-data/ in the current folder, or where ROTA_DATA says
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock

from rota.jobstores.sqlalchemy import SQLAlchemyJobStore
from rota.schedulers.blocking import BlockingScheduler

DATA = Path(os.environ.get("ROTA_DATA", "rota-data"))
DATA.mkdir(parents=True, exist_ok=True)
SAMPLES = DATA / "load.csv"
writing = Lock()  # the jobs run in threads of one process


def sample_load() -> str:
    """Append the load of this moment to load.csv: its average over a minute, and the seconds of work this process took."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0  # Windows has no such number
    row = [datetime.now(UTC).isoformat(timespec="milliseconds"), f"{load:.2f}", f"{time.process_time():.3f}"]
    with writing, SAMPLES.open("a", newline="") as file:
        csv.writer(file).writerow(row)
    return f"load {load:.2f}"


def compress_log() -> str:
    """Close the samples so far and compress them: load-20261224T180000.csv.gz and so on."""
    if SAMPLES.exists():
        with writing:
            SAMPLES.rename(DATA / f"load-{datetime.now(UTC):%Y%m%dT%H%M%S}.csv")
    before = after = 0
    raw_files = sorted(DATA.glob("load-*.csv"))  # also those of a run that was cut short
    for raw in raw_files:
        part, packed = raw.with_suffix(".part"), raw.with_suffix(".csv.gz")
        with raw.open("rb") as source, gzip.open(part, "wb") as target:
            shutil.copyfileobj(source, target)
        part.replace(packed)
        before, after = before + raw.stat().st_size, after + packed.stat().st_size
        raw.unlink()
    return f"{len(raw_files)} files compressed, {before} bytes to {after}"


def report_day() -> str:
    """Write yesterday's samples down as a JSON report: how many, and the lowest, mean and highest load."""
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    loads = [float(load) for at, load, _ in read_samples() if at.startswith(yesterday.isoformat())]
    report = {"day": yesterday.isoformat(), "samples": len(loads)}
    if loads:
        report |= {"lowest": min(loads), "mean": round(sum(loads) / len(loads), 3), "highest": max(loads)}
    (DATA / f"report-{yesterday}.json").write_text(json.dumps(report, indent=2) + "\n")
    return f"{len(loads)} samples on {yesterday}"


def take_stock() -> str:
    """Write down how full the disk is and what lies in the folder of this program, as inventory.json."""
    disk = shutil.disk_usage(DATA)
    files = sorted(
        path for path in Path().rglob("*.py") if not any(part.startswith(".") for part in path.parts)
    )
    inventory = {
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "disk": {"total": disk.total, "used": disk.used, "free": disk.free},
        "python_files": len(files),
        "python_bytes": sum(path.stat().st_size for path in files),
    }
    (DATA / "inventory.json").write_text(json.dumps(inventory, indent=2) + "\n")
    return f"{disk.free / disk.total:.0%} of the disk is free"


def read_samples() -> list[list[str]]:
    """Return all samples that there are, compressed or not."""
    rows: list[list[str]] = []
    for path in sorted(DATA.glob("load-*.csv.gz")):
        with gzip.open(path, "rt", newline="") as file:
            rows.extend(csv.reader(file))
    if SAMPLES.exists():
        with SAMPLES.open(newline="") as file:
            rows.extend(csv.reader(file))
    return rows


scheduler = BlockingScheduler(
    jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{DATA / 'rota.sqlite'}")}
)

# With fixed ids, and replaced where they exist: an unchanged job goes on in its rhythm when the program starts again.
scheduler.add_job(sample_load, "interval", seconds=5, id="sample-load", replace_existing=True)
scheduler.add_job(compress_log, "cron", minute="*", id="compress-log", replace_existing=True)
scheduler.add_job(
    report_day, "calendarinterval", days=1, hour=0, minute=5, id="report-day", replace_existing=True
)
if not (DATA / "inventory.json").exists():  # once is once: not again at the next start
    soon = datetime.now(UTC) + timedelta(seconds=3)
    scheduler.add_job(take_stock, "date", run_date=soon, id="take-stock", replace_existing=True)

if __name__ == "__main__":
    scheduler.start()
