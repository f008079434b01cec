"""Two runs of one job overlap in an executor of the program's own, and the second ends first."""

import sys
import threading

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.base import BaseExecutor, run_job
from apscheduler.schedulers.background import BackgroundScheduler


class ThreadEachExecutor(BaseExecutor):
    def _do_submit_job(self, job, run_times):
        def work():
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            except BaseException:
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)

        threading.Thread(target=work, daemon=True).start()


calls = []
second_ended = threading.Event()
both_ended = threading.Event()
outcomes = []


def job():
    calls.append(1)
    number = len(calls)
    if number == 1:
        assert second_ended.wait(20)
    return number


def listener(event):
    outcomes.append((event.scheduled_run_time, event.retval))
    second_ended.set()
    if any(value == 1 for _, value in outcomes):
        both_ended.set()


scheduler = BackgroundScheduler(executors={"default": ThreadEachExecutor()})
scheduler.add_listener(listener, EVENT_JOB_EXECUTED)
scheduler.add_job(job, "interval", seconds=0.3, id="j", max_instances=2)
scheduler.start()
assert both_ended.wait(20), outcomes
scheduler.shutdown(wait=False)
values = [value for _, value in sorted(outcomes)]
assert outcomes[0][1] == 2, outcomes
assert values == sorted(values), outcomes
print("done")
