"""A one-off job in a custom store runs and is removed from it."""

import threading
from datetime import datetime

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler


class DictJobStore(BaseJobStore):
    """The shortest store there is: a dictionary."""

    def __init__(self):
        super().__init__()
        self.jobs = {}

    def lookup_job(self, job_id):
        return self.jobs.get(job_id)

    def get_due_jobs(self, now):
        return [
            job for job in self.get_all_jobs() if job.next_run_time is not None and job.next_run_time <= now
        ]

    def get_next_run_time(self):
        return min(
            (job.next_run_time for job in self.jobs.values() if job.next_run_time is not None), default=None
        )

    def get_all_jobs(self):
        return sorted(
            self.jobs.values(), key=lambda job: (job.next_run_time is None, job.next_run_time or datetime.max)
        )

    def add_job(self, job):
        if job.id in self.jobs:
            raise ConflictingIdError(job.id)
        self.jobs[job.id] = job

    def update_job(self, job):
        if job.id not in self.jobs:
            raise JobLookupError(job.id)
        self.jobs[job.id] = job

    def remove_job(self, job_id):
        if self.jobs.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self):
        self.jobs.clear()


seen = []
ended = threading.Event()


def listener(event):
    seen.append(event.code)
    if {EVENT_JOB_EXECUTED, EVENT_JOB_REMOVED} <= set(seen):
        ended.set()


store = DictJobStore()
scheduler = BackgroundScheduler()
scheduler.add_jobstore(store, "dict")
scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_REMOVED)
scheduler.start()
box = []
scheduler.add_job(lambda: box.append("ran"), jobstore="dict", misfire_grace_time=60)
assert ended.wait(20), seen
scheduler.shutdown()
assert box == ["ran"]
assert store.jobs == {}
print("done")
