"""Stores and executors under aliases, added and removed while the scheduler runs; the first store that has the id wins."""

import threading

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

ran = threading.Event()


def job():
    pass


scheduler = BackgroundScheduler()
scheduler.add_jobstore(MemoryJobStore(), "alternative")
scheduler.start()
scheduler.add_executor(ThreadPoolExecutor(max_workers=2), "small")
scheduler.add_executor("threadpool", "by name", max_workers=1)
scheduler.add_listener(lambda event: ran.set() if event.jobstore == "late" else None, EVENT_JOB_EXECUTED)
scheduler.add_jobstore("memory", alias="late")
scheduler.add_job(job, "interval", hours=1, id="a", jobstore="alternative")
scheduler.add_job(job, "interval", hours=1, id="b")
scheduler.add_job(job, "interval", seconds=0.1, id="c", jobstore="late", executor="by name")
assert ran.wait(20)
assert {found.id for found in scheduler.get_jobs()} == {"a", "b", "c"}
assert scheduler.get_job("a").id == "a"
assert scheduler.get_job("a", "default") is None
scheduler.remove_all_jobs("alternative")
assert {found.id for found in scheduler.get_jobs()} == {"b", "c"}
scheduler.remove_jobstore("late")
assert {found.id for found in scheduler.get_jobs()} == {"b"}
scheduler.remove_executor("by name")
for call, error in [
    (lambda: scheduler.add_jobstore("memory", "alternative"), ValueError),
    (lambda: scheduler.add_executor("threadpool", "small"), ValueError),
    (lambda: scheduler.remove_jobstore("late"), KeyError),
    (lambda: scheduler.remove_executor("by name"), KeyError),
    (lambda: scheduler.add_jobstore(17, "x"), TypeError),
    (lambda: scheduler.add_executor(17, "x"), TypeError),
    (lambda: scheduler.add_jobstore("no such store", "x"), LookupError),
]:
    try:
        call()
    except error:
        pass
    else:
        raise AssertionError(error)
scheduler.shutdown()
print("done")
