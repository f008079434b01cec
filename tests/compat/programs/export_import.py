"""Jobs written to a file by one scheduler and read by another."""

import io
import json
from datetime import timezone

from apscheduler.schedulers.background import BackgroundScheduler


def report(name, copies=1):
    return name * copies


first = BackgroundScheduler(timezone=timezone.utc)
first.start(paused=True)
first.add_job(
    report,
    "cron",
    hour=3,
    args=["a"],
    kwargs={"copies": 2},
    id="nightly",
    name="the nightly",
    max_instances=4,
)
first.add_job(report, "interval", hours=2, args=["b"], id="often")
times = {job.id: job.next_run_time for job in first.get_jobs()}
first.export_jobs("jobs.json")
text = io.StringIO()
first.export_jobs(text)
assert {job["id"] for job in json.loads(text.getvalue())["jobs"]} == {"nightly", "often"}
first.shutdown()

second = BackgroundScheduler(timezone=timezone.utc)
second.start(paused=True)
second.import_jobs("jobs.json")
assert {job.id: job.next_run_time for job in second.get_jobs()} == times
nightly = second.get_job("nightly")
assert (list(nightly.args), dict(nightly.kwargs), nightly.name, nightly.max_instances) == (
    ["a"],
    {"copies": 2},
    "the nightly",
    4,
)
assert nightly.func is report
assert str(nightly.trigger) == "cron[hour='3']"
second.add_jobstore("memory", "other")
text.seek(0)
second.import_jobs(text, "other")
assert {job.id for job in second.get_jobs("other")} == {"nightly", "often"}
second.shutdown()
print("done")
