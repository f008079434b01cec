"""Jobs in SQLite are there again after a restart; a function of the main program is found by its reference."""

import threading
from datetime import datetime, timedelta

from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler

URL = "sqlite:///jobs.sqlite"
seen = []
ran = threading.Event()


def alarm(when):
    seen.append(when)
    ran.set()


first = BackgroundScheduler()
first.add_jobstore("sqlalchemy", url=URL)
first.start()
first.add_job(alarm, "interval", hours=1, args=["hourly"], id="hourly", name="an hourly alarm")
first.add_job(alarm, "date", run_date=datetime.now() + timedelta(days=1), args=["tomorrow"], id="tomorrow")
planned = first.get_job("hourly").next_run_time
first.shutdown()

second = BackgroundScheduler(jobstores={"default": {"type": "sqlalchemy", "url": URL}})
second.start()
assert [job.id for job in second.get_jobs()] == ["hourly", "tomorrow"]
hourly = second.get_job("hourly")
assert (hourly.name, list(hourly.args), hourly.next_run_time) == ("an hourly alarm", ["hourly"], planned)
hourly.modify(next_run_time=datetime.now(planned.tzinfo))
assert ran.wait(20)
second.remove_job("tomorrow")
try:
    second.remove_job("tomorrow")
except JobLookupError as error:
    assert isinstance(error, KeyError)
else:
    raise AssertionError("a job was removed twice")
assert second.get_job("tomorrow") is None
second.remove_all_jobs()
assert second.get_jobs() == []
second.shutdown()
assert seen == ["hourly"], seen
print("done")
