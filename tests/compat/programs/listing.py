"""print_jobs() and get_jobs(): the texts and the order that people rely on."""

import io
from datetime import timezone

from apscheduler.schedulers.background import BackgroundScheduler


def job():
    pass


scheduler = BackgroundScheduler(timezone=timezone.utc)
scheduler.add_job(job, "date", run_date="2100-01-02 00:00:00", id="second", name="the second")
before = io.StringIO()
scheduler.print_jobs(out=before)
assert (
    before.getvalue() == "Pending jobs:\n    the second (trigger: date[2100-01-02 00:00:00 UTC], pending)\n"
), before.getvalue()

scheduler.start(paused=True)
scheduler.add_jobstore("memory", "empty")
scheduler.add_job(job, "cron", hour=1, id="stopped", next_run_time=None)
scheduler.add_job(job, "date", run_date="2100-01-01 00:00:00", id="first", name="the first")
assert [found.id for found in scheduler.get_jobs()] == ["first", "second", "stopped"]
after = io.StringIO()
scheduler.print_jobs(out=after)
assert after.getvalue() == (
    "Jobstore default:\n"
    "    the first (trigger: date[2100-01-01 00:00:00 UTC], next run at: 2100-01-01 00:00:00 UTC)\n"
    "    the second (trigger: date[2100-01-02 00:00:00 UTC], next run at: 2100-01-02 00:00:00 UTC)\n"
    "    job (trigger: cron[hour='1'], paused)\n"
    "Jobstore empty:\n"
    "    No scheduled jobs\n"
), after.getvalue()
only = io.StringIO()
scheduler.print_jobs("empty", out=only)
assert only.getvalue() == "Jobstore empty:\n    No scheduled jobs\n"
scheduler.shutdown()
print("done")
