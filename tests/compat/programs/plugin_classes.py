"""Own executors and stores named in the configuration by a reference, with a logger of the program's own."""

import logging
import threading

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.background import BackgroundScheduler

messages = []


class Keep(logging.Handler):
    def emit(self, record):
        messages.append(record.name)


class CountingExecutor(ThreadPoolExecutor):
    submitted = 0

    def _do_submit_job(self, job, run_times):
        type(self).submitted += len(run_times)
        super()._do_submit_job(job, run_times)


class CountingStore(MemoryJobStore):
    added = 0

    def add_job(self, job):
        type(self).added += 1
        super().add_job(job)


ran = threading.Event()
logger = logging.getLogger("my.scheduler")
logger.setLevel(logging.DEBUG)
logger.addHandler(Keep())
scheduler = BackgroundScheduler(
    {
        "apscheduler.executors.default": {"class": "__main__:CountingExecutor", "max_workers": 2},
        "apscheduler.jobstores.default": {"class": "__main__:CountingStore"},
    },
    logger=logger,
)
scheduler.add_job(ran.set, "interval", seconds=0.1)
scheduler.start()
assert ran.wait(20)
scheduler.shutdown()
assert CountingStore.added == 1
assert CountingExecutor.submitted >= 1
assert "my.scheduler" in messages
print("done")
