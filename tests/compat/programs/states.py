"""Starting twice, stopping twice, starting again, and asking for the state."""

import threading

from apscheduler.schedulers import SchedulerAlreadyRunningError, SchedulerNotRunningError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import STATE_PAUSED, STATE_RUNNING, STATE_STOPPED


def refused(call, error):
    try:
        call()
    except error:
        return True
    return False


scheduler = BackgroundScheduler()
assert scheduler.state == STATE_STOPPED
assert refused(scheduler.pause, SchedulerNotRunningError)
assert refused(scheduler.resume, SchedulerNotRunningError)
scheduler.start()
assert scheduler.state == STATE_RUNNING
assert refused(scheduler.start, SchedulerAlreadyRunningError)
ran = threading.Event()
scheduler.add_job(ran.set, "interval", seconds=0.05)
assert ran.wait(20), "a refused start() left the scheduler deaf"
scheduler.pause()
assert scheduler.state == STATE_PAUSED
scheduler.resume()
scheduler.shutdown()
scheduler.start(paused=True)
assert (scheduler.running, scheduler.state) == (True, STATE_PAUSED)
scheduler.shutdown(wait=True)
assert not scheduler.running
print("done")
