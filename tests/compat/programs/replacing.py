"""The usual start-up of a program with lasting jobs: a fixed id and replace_existing=True."""

from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.schedulers.background import BackgroundScheduler


def old():
    pass


def new():
    pass


for function in (old, new):
    scheduler = BackgroundScheduler()
    scheduler.add_jobstore("sqlalchemy", url="sqlite:///jobs.sqlite")
    scheduler.add_job(function, "interval", hours=1, id="the job", replace_existing=True)
    scheduler.start(paused=True)
    assert [job.name for job in scheduler.get_jobs()] == [function.__name__]
    try:
        scheduler.add_job(function, "interval", hours=1, id="the job")
    except ConflictingIdError as error:
        assert isinstance(error, KeyError)
        assert "the job" in str(error)
    else:
        raise AssertionError("two jobs of one id")
    scheduler.shutdown()

scheduler = BackgroundScheduler()
scheduler.add_jobstore("sqlalchemy", url="sqlite:///jobs.sqlite")
scheduler.add_job(new, "interval", hours=1, id="the job")
try:
    scheduler.start(paused=True)
except ConflictingIdError:
    pass
else:
    raise AssertionError("a pending job took the place of a stored one unasked")
print("done")
