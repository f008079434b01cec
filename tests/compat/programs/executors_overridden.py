"""Programs that override or replace the inner methods of the executors that come with the library."""

import asyncio
import sys
import threading
import types

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_JOB_MAX_INSTANCES
from apscheduler.executors.asyncio import AsyncIOExecutor
from apscheduler.executors.base import MaxInstancesReachedError, run_coroutine_job, run_job
from apscheduler.executors.pool import BasePoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import iscoroutinefunction_partial

notes = []


def in_context(job, jobstore_alias, run_times, logger_name):
    notes.append("context")
    return run_job(job, jobstore_alias, run_times, logger_name)


class ContextExecutor(ThreadPoolExecutor):
    """Submits to the pool of its base class by itself, as extensions for web frameworks do."""

    def _do_submit_job(self, job, run_times):
        def callback(future):
            exc = future.exception()
            if exc:
                self._run_job_error(job.id, exc, exc.__traceback__)
            else:
                self._run_job_success(job.id, future.result())

        future = self._pool.submit(in_context, job, job._jobstore_alias, run_times, self._logger.name)
        future.add_done_callback(callback)


class Mixin:
    """Stands before the executor in the list of bases."""

    def _run_job_success(self, job_id, events):
        notes.append(("success", job_id, [event.retval for event in events]))
        super()._run_job_success(job_id, events)


class MixedExecutor(Mixin, ThreadPoolExecutor):
    pass


class ClaimingExecutor(ThreadPoolExecutor):
    """Lets nobody run what another process has claimed, and says that others are full."""

    def submit_job(self, job, run_times):
        if job.id == "full":
            raise MaxInstancesReachedError(job)
        if job.id == "elsewhere":
            notes.append("left out")
            return None
        assert self._instances[job.id] < job.max_instances
        return super().submit_job(job, run_times)


class OwnPool(BasePoolExecutor):
    """A pool of another kind: each job gets a thread."""

    def __init__(self):
        super().__init__(None)

    def _do_submit_job(self, job, run_times):
        def work():
            try:
                events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            except BaseException:
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)

        threading.Thread(target=work).start()

    def shutdown(self, wait=True):
        pass


def answer():
    return 42


def run_on(executor, *ids, expected=1, replace=None):
    """Run jobs of these ids once on an executor; return the events."""
    events, enough = [], threading.Event()

    def listener(event):
        events.append(event)
        if len(events) == expected:
            enough.set()

    scheduler = BackgroundScheduler(executors={"default": executor})
    scheduler.add_listener(listener, EVENT_JOB_EXECUTED | EVENT_JOB_MAX_INSTANCES)
    scheduler.start()
    if replace is not None:
        replace(executor)
    for id in ids:
        scheduler.add_job(answer, id=id, misfire_grace_time=None)
    assert enough.wait(20), (executor, events)
    scheduler.shutdown()
    return events


assert [event.retval for event in run_on(ContextExecutor(3), "a")] == [42]
assert notes == ["context"]
assert ContextExecutor(3)._pool._max_workers == 3

del notes[:]
run_on(MixedExecutor(), "a")
assert notes == [("success", "a", [42])]

del notes[:]
events = run_on(ClaimingExecutor(), "elsewhere", "full", "a", expected=2)
assert sorted((event.job_id, event.code) for event in events) == [
    ("a", EVENT_JOB_EXECUTED),
    ("full", EVENT_JOB_MAX_INSTANCES),
], events
assert notes == ["left out"]

run_on(OwnPool(), "a")
assert isinstance(ThreadPoolExecutor(), BasePoolExecutor)


# On an object that has been started already.


def replace(executor):
    original = executor._do_submit_job

    def noting(self, job, run_times):
        notes.append(job.id)
        return original(job, run_times)

    executor._do_submit_job = types.MethodType(noting, executor)


del notes[:]
run_on(ThreadPoolExecutor(), "replaced", replace=replace)
assert notes == ["replaced"]


# On asyncio, with the set of futures that programs wait for.


class TaskExecutor(AsyncIOExecutor):
    def _do_submit_job(self, job, run_times):
        if not iscoroutinefunction_partial(job.func):
            return super()._do_submit_job(job, run_times)

        def callback(future):
            self._pending_futures.discard(future)
            try:
                events = future.result()
            except BaseException:
                self._run_job_error(job.id, *sys.exc_info()[1:])
            else:
                self._run_job_success(job.id, events)

        work = run_coroutine_job(job, job._jobstore_alias, run_times, self._logger.name)
        future = self._eventloop.create_task(work)
        future.add_done_callback(callback)
        self._pending_futures.add(future)


async def main(executor):
    begun, release = asyncio.Event(), asyncio.Event()
    ended = []

    async def wait():
        begun.set()
        await release.wait()
        ended.append("job")

    scheduler = AsyncIOScheduler(executors={"default": executor})
    scheduler.start()
    scheduler.add_job(wait, misfire_grace_time=None)
    await begun.wait()
    assert len(executor._pending_futures) == 1
    pending = asyncio.gather(*executor._pending_futures)
    release.set()
    await pending
    assert ended == ["job"]
    await asyncio.sleep(0)
    assert not executor._pending_futures
    scheduler.shutdown()


asyncio.run(main(AsyncIOExecutor()))
asyncio.run(main(TaskExecutor()))
print("done")
