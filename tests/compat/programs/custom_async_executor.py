"""An executor of the program's own for coroutines, on a loop in a thread, with run_coroutine_job."""

import asyncio
import sys
import threading

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.base import BaseExecutor, run_coroutine_job
from apscheduler.schedulers.background import BackgroundScheduler


class LoopThreadExecutor(BaseExecutor):
    def start(self, scheduler, alias):
        super().start(scheduler, alias)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def shutdown(self, wait=True):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(20)
        self.loop.close()

    def _do_submit_job(self, job, run_times):
        def callback(future):
            try:
                events = future.result()
            except BaseException:
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)

        coroutine = run_coroutine_job(job, job._jobstore_alias, run_times, self._logger.name)
        asyncio.run_coroutine_threadsafe(coroutine, self.loop).add_done_callback(callback)


outcomes = {}
both = threading.Event()


def listener(event):
    outcomes[event.job_id] = event
    if len(outcomes) == 2:
        both.set()


async def good(value):
    await asyncio.sleep(0)
    return value, threading.current_thread() is executor.thread


async def bad():
    await asyncio.sleep(0)
    raise ValueError("on purpose")


executor = LoopThreadExecutor()
scheduler = BackgroundScheduler()
scheduler.add_executor(executor, "loop")
scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_ERROR)
scheduler.add_job(good, "interval", seconds=0.1, args=[5], id="good", executor="loop")
scheduler.add_job(bad, "interval", seconds=0.1, id="bad", executor="loop")
scheduler.start()
assert both.wait(20), outcomes
scheduler.remove_all_jobs()
scheduler.shutdown()
assert outcomes["good"].retval == (5, True)
assert isinstance(outcomes["bad"].exception, ValueError)
print("done")
