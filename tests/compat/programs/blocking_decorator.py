"""A blocking scheduler with decorated jobs; a job ends it, and start() returns."""

from datetime import datetime

from apscheduler.schedulers.blocking import BlockingScheduler

scheduler = BlockingScheduler()
seen = []


@scheduler.scheduled_job("cron", second="*", id="every_second")
def every_second():
    seen.append(datetime.now())
    if len(seen) == 2:
        scheduler.shutdown(wait=False)


@scheduler.scheduled_job("interval", hours=1)
def hourly():
    seen.append("never")


every_second_is_still_a_function = every_second
assert callable(every_second_is_still_a_function)
scheduler.start()
assert len(seen) == 2, seen
assert not scheduler.running
print("done")
