"""An executor of the program's own, in the documented manner: _do_submit_job, run_job, _run_job_success, _run_job_error."""

import sys
import threading

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler


class ThreadEachExecutor(BaseExecutor):
    """A new thread for each submission."""

    def start(self, scheduler, alias):
        super().start(scheduler, alias)
        self.threads = []

    def shutdown(self, wait=True):
        if wait:
            for thread in self.threads:
                thread.join(20)

    def _do_submit_job(self, job, run_times):
        def work():
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            except BaseException:
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)

        thread = threading.Thread(target=work, name="mine")
        self.threads.append(thread)
        thread.start()


outcomes = {}
both = threading.Event()


def listener(event):
    outcomes[event.job_id] = event
    if len(outcomes) == 2:
        both.set()


def good():
    return threading.current_thread().name


def bad():
    raise ValueError("on purpose")


scheduler = BackgroundScheduler(executors={"default": ThreadEachExecutor()})
scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
scheduler.add_job(good, "interval", seconds=0.1, id="good")
scheduler.add_job(bad, "interval", seconds=0.1, id="bad")
scheduler.start()
assert both.wait(20), outcomes
scheduler.shutdown()
assert outcomes["good"].retval == "mine"
assert isinstance(outcomes["bad"].exception, ValueError)
print("done")
