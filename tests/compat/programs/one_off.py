"""Jobs that run once: at a date given in several forms, and at once without a trigger."""

import threading
from datetime import date, datetime, timedelta

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.schedulers.background import BackgroundScheduler

seen = []
all_ran = threading.Event()


def my_job(text):
    seen.append(text)
    if len(seen) == 3:
        all_ran.set()


scheduler = BackgroundScheduler()
scheduler.add_job(my_job, "date", run_date=date(2100, 11, 6), args=["date"], id="date")
scheduler.add_job(my_job, "date", run_date=datetime(2100, 11, 6, 16, 30, 5), args=["datetime"], id="datetime")
scheduler.add_job(my_job, "date", run_date="2100-11-06 16:30:06", args=["text"], id="text")
scheduler.add_job(my_job, args=["at once"])
scheduler.add_job(my_job, "date", args=["now"])
scheduler.add_job(my_job, "date", run_date=datetime.now() + timedelta(seconds=0.2), args=["soon"], id="soon")
scheduler.start()
assert all_ran.wait(20), seen
assert sorted(seen) == ["at once", "now", "soon"], seen
assert [job.id for job in scheduler.get_jobs()] == ["date", "datetime", "text"]
assert scheduler.get_job("soon") is None
assert scheduler.get_job("text").next_run_time.replace(tzinfo=None) == datetime(2100, 11, 6, 16, 30, 6)
ran = threading.Event()
scheduler.add_listener(lambda event: ran.set(), EVENT_JOB_EXECUTED)
scheduler.add_job(
    my_job, "interval", hours=5, args=["first now"], next_run_time=datetime.now(), id="first now"
)
assert ran.wait(20)
assert scheduler.get_job("first now") is not None
scheduler.shutdown()
print("done")
