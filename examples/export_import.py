"""Jobs as a JSON file: written by one scheduler, read by another; readable, and safe to read.

Run:    python examples/export_import.py
Output: the file names __main__:backup; imported: backup, cron[hour='2'], ['/var/data']
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from rota.schedulers.background import BackgroundScheduler


def backup(folder: str) -> None:
    print("backing up", folder)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "jobs.json"

        old = BackgroundScheduler(timezone="UTC")
        old.add_job(backup, "cron", hour=2, args=["/var/data"], id="backup")
        old.start(paused=True)
        old.export_jobs(file)
        old.shutdown()

        (job,) = json.loads(file.read_text(encoding="utf-8"))["jobs"]
        print("the file names", job["func"])

        new = BackgroundScheduler(timezone="UTC")
        new.start(paused=True)  # nothing runs before resume()
        new.import_jobs(file)
        for imported in new.get_jobs():
            print(f"imported: {imported.id}, {imported.trigger}, {list(imported.args)}")
        new.shutdown()


if __name__ == "__main__":
    main()
