"""A scheduler that works only while it holds a lock on a file, so that one of several processes runs the jobs."""

import fcntl
import threading

from apscheduler.schedulers.background import BackgroundScheduler


class LockedScheduler(BackgroundScheduler):
    held = None
    passes = 0

    def _process_jobs(self):
        self.passes += 1
        if self.held is None:
            handle = open("scheduler.lock", "w")
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                handle.close()
                return 0.05
            self.held = handle
        return super()._process_jobs()


ran = threading.Event()
refused = threading.Event()


def job():
    ran.set()


blocker = open("scheduler.lock", "w")
fcntl.flock(blocker, fcntl.LOCK_EX)
scheduler = LockedScheduler()
scheduler.start()
scheduler.add_job(job, "interval", seconds=0.05)
assert not ran.wait(0.5), "ran without the lock"
assert scheduler.passes >= 3, scheduler.passes
blocker.close()
assert ran.wait(20), "did not run with the lock"
scheduler.shutdown()
assert scheduler.held is not None
print("done")
