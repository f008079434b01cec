"""A job store as third parties write them: states pickled into a table of the application's own database."""

import pickle
import sqlite3
import threading
from datetime import datetime, timezone

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import datetime_to_utc_timestamp, utc_timestamp_to_datetime


class TableJobStore(BaseJobStore):
    def __init__(self, path):
        super().__init__()
        self.path = path

    def start(self, scheduler, alias):
        super().start(scheduler, alias)
        self.database = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None)
        self.database.execute(
            "CREATE TABLE IF NOT EXISTS app_jobs (id TEXT PRIMARY KEY, next_run_time REAL, state BLOB)"
        )
        self._logger.debug("store %s is open", self._alias)

    def shutdown(self):
        self.database.close()

    def lookup_job(self, job_id):
        row = self.database.execute("SELECT state FROM app_jobs WHERE id = ?", [job_id]).fetchone()
        return self._reconstitute_job(row[0]) if row else None

    def get_due_jobs(self, now):
        return self._select("WHERE next_run_time <= ? ORDER BY next_run_time", datetime_to_utc_timestamp(now))

    def get_next_run_time(self):
        row = self.database.execute("SELECT min(next_run_time) FROM app_jobs").fetchone()
        return utc_timestamp_to_datetime(row[0])

    def get_all_jobs(self):
        jobs = self._select("ORDER BY next_run_time")
        self._fix_paused_jobs_sorting(jobs)
        return jobs

    def add_job(self, job):
        try:
            self.database.execute("INSERT INTO app_jobs VALUES (?, ?, ?)", self._row(job))
        except sqlite3.IntegrityError:
            raise ConflictingIdError(job.id)

    def update_job(self, job):
        id_, next_run_time, state = self._row(job)
        changed = self.database.execute(
            "UPDATE app_jobs SET next_run_time = ?, state = ? WHERE id = ?", [next_run_time, state, id_]
        )
        if not changed.rowcount:
            raise JobLookupError(id_)

    def remove_job(self, job_id):
        if not self.database.execute("DELETE FROM app_jobs WHERE id = ?", [job_id]).rowcount:
            raise JobLookupError(job_id)

    def remove_all_jobs(self):
        self.database.execute("DELETE FROM app_jobs")

    def _row(self, job):
        return [job.id, datetime_to_utc_timestamp(job.next_run_time), pickle.dumps(job.__getstate__())]

    def _select(self, clause, *values):
        rows = self.database.execute("SELECT state FROM app_jobs " + clause, values).fetchall()
        return [self._reconstitute_job(state) for (state,) in rows]

    def _reconstitute_job(self, state):
        state = pickle.loads(state)
        state["jobstore"] = self
        job = Job.__new__(Job)
        job.__setstate__(state)
        job._scheduler = self._scheduler
        job._jobstore_alias = self._alias
        return job


seen = []
enough = threading.Event()


def work(value):
    seen.append(value)
    if len(seen) == 3:
        enough.set()


scheduler = BackgroundScheduler(jobstores={"default": TableJobStore("app.sqlite")}, timezone=timezone.utc)
scheduler.add_job(work, "interval", seconds=0.1, args=["x"], id="ticker", replace_existing=True)
scheduler.start()
assert enough.wait(20), seen
job = scheduler.add_job(work, "date", run_date=datetime(2100, 1, 1), args=["y"], id="later")
assert scheduler.get_job("later").next_run_time == datetime(2100, 1, 1, tzinfo=timezone.utc)
job.pause()
assert [found.id for found in scheduler.get_jobs()] == ["ticker", "later"]
job.resume()
job.modify(name="another name")
assert scheduler.get_job("later").name == "another name"
try:
    scheduler.add_job(work, "date", run_date=datetime(2100, 1, 1), args=["y"], id="later")
except ConflictingIdError:
    pass
else:
    raise AssertionError("two jobs of one id")
scheduler.shutdown()

again = BackgroundScheduler(jobstores={"default": TableJobStore("app.sqlite")}, timezone=timezone.utc)
again.start(paused=True)
assert {found.id for found in again.get_jobs()} == {"ticker", "later"}
assert again.get_job("ticker").args == ("x",)
again.remove_job("later")
again.remove_all_jobs()
assert again.get_jobs() == []
again.shutdown()
print("done")
