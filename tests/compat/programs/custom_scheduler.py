"""A scheduler for a loop of the program's own: start, shutdown, wakeup, _process_jobs, and its default executor and store."""

import threading

from apscheduler.executors.debug import DebugExecutor
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.base import BaseScheduler


class HandScheduler(BaseScheduler):
    """Works when it is told to, in the thread that tells it."""

    woken = 0
    locks = 0

    def start(self, paused=False):
        super().start(paused)

    def shutdown(self, wait=True):
        super().shutdown(wait)

    def wakeup(self):
        self.woken += 1

    def step(self):
        return self._process_jobs()

    def _create_lock(self):
        self.locks += 1
        return threading.RLock()

    def _create_default_executor(self):
        return DebugExecutor()

    def _create_default_jobstore(self):
        return MemoryJobStore()


seen = []


def job():
    seen.append(threading.current_thread())


scheduler = HandScheduler()
assert scheduler.locks >= 1
scheduler.start()
assert scheduler.step() is None
before = scheduler.woken
scheduler.add_job(job, "interval", hours=1)
assert scheduler.woken > before
wait = scheduler.step()
assert 0 < wait <= 3600, wait
scheduler.add_job(job, misfire_grace_time=60)
scheduler.step()
assert seen == [threading.current_thread()], seen
scheduler.pause()
scheduler.add_job(job)
scheduler.step()
assert len(seen) == 1
scheduler.shutdown()
print("done")
