"""AsyncIOScheduler keeps the contract of hosts, and lives well with asyncio."""

from __future__ import annotations

import asyncio
import threading
import warnings

import pytest

from rota.errors import ConfigurationError, NoEventLoopError, SchedulerAlreadyRunningError
from rota.events import EVENT_JOB_EXECUTED, EVENT_SCHEDULER_STALLED
from rota.schedulers.asyncio import AsyncIOScheduler
from rota.testing.contracts.host_access import PATIENCE, Host, SlowStore
from rota.testing.contracts.hostile_hosts import HangingTrigger
from rota.testing.contracts.hosts import HostContract


class AsyncIOHost(Host):
    """An asyncio loop in a thread of its own."""

    listeners_have_threads = False

    scheduler_class = AsyncIOScheduler

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="loop")
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, func, *args, **kwargs):
        async def call():
            return func(*args, **kwargs)

        return self.run(call())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    def shutdown(self, scheduler, **options):
        async def shutdown():
            await scheduler.shutdown(**options)

        self.run(shutdown())

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


class TestAsyncIO(HostContract):
    """On a loop in another thread."""

    @pytest.fixture
    def host(self):
        host = AsyncIOHost()
        yield host
        host.close()

    def test_listeners_are_told_that_a_trigger_hangs_while_the_loop_stands_still(self, host):
        scheduler = host.make(lease=0.3)
        told, seen = [], []

        def noticed():
            seen.append(scheduler.health()["alive"])
            return told and not seen[-1]

        trigger = HangingTrigger(noticed)
        scheduler.add_listener(told.append, EVENT_SCHEDULER_STALLED)
        host.start(scheduler)
        host.call(scheduler.add_job, int, trigger, id="stuck")
        trigger.hangs = True
        host.call(scheduler.wakeup)
        host.wait_until(lambda: trigger.seen is not None, "the trigger has returned")
        assert trigger.seen, "it was told before the trigger returned"
        assert [event.job_id for event in told] == ["stuck"]
        host.shutdown(scheduler)

    def test_listeners_are_called_on_the_loop_s_thread(self, host):
        scheduler = host.make(jobstores={"default": SlowStore()})
        names = []
        scheduler.add_listener(
            lambda event: names.append(threading.current_thread().name), EVENT_JOB_EXECUTED
        )

        async def work():
            pass

        host.start(scheduler)
        host.call(scheduler.add_job, work)
        host.in_thread(scheduler.add_job, int)
        host.wait_until(lambda: len(names) == 2, "both events have come")
        host.shutdown(scheduler)
        assert names == ["loop", "loop"]


async def until_closed(scheduler):
    async with asyncio.timeout(PATIENCE):
        while not scheduler._closed.is_set():  # noqa: ASYNC110  # set by another thread
            await asyncio.sleep(0.001)


def test_awaiting_shutdown_waits_for_the_runs():
    ended = []

    async def work():
        await asyncio.sleep(0.05)
        ended.append("work")

    async def main():
        scheduler = AsyncIOScheduler()
        scheduler.start()
        scheduler.add_job(work)
        await asyncio.sleep(0.01)
        await scheduler.shutdown()
        ended.append("shutdown")
        scheduler.start()  # at once, since all is over
        await scheduler.shutdown()

    asyncio.run(main())
    assert ended == ["work", "shutdown"]


def test_ignoring_what_shutdown_returns_warns_nobody():
    async def main():
        scheduler = AsyncIOScheduler()
        scheduler.start()
        scheduler.shutdown()

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        asyncio.run(main(), debug=True)


def test_a_timeout_of_the_caller_does_not_disturb_the_shutdown():
    async def main():
        gate = asyncio.Event()
        scheduler = AsyncIOScheduler()
        scheduler.start()
        scheduler.add_job(gate.wait)
        await asyncio.sleep(0.01)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(scheduler.shutdown(), 0.01)
        assert not scheduler._closed.is_set()
        gate.set()
        await until_closed(scheduler)

    asyncio.run(main())


def test_a_job_that_awaits_the_end_of_its_own_scheduler_does_not_wait_for_itself():
    async def main():
        scheduler = AsyncIOScheduler()
        scheduler.start()
        went_on = asyncio.Event()

        async def work():
            await scheduler.shutdown()
            went_on.set()

        scheduler.add_job(work)
        await asyncio.wait_for(went_on.wait(), PATIENCE)
        await until_closed(scheduler)

    asyncio.run(main())


def test_starting_while_a_shutdown_needs_the_loop_is_refused_and_not_a_deadlock():
    async def main():
        gate = asyncio.Event()
        scheduler = AsyncIOScheduler()
        scheduler.start()
        scheduler.add_job(gate.wait)
        await asyncio.sleep(0.01)
        finished = scheduler.shutdown()
        with pytest.raises(SchedulerAlreadyRunningError, match="still shutting down"):
            scheduler.start()
        gate.set()
        await finished
        scheduler.start()
        await scheduler.shutdown()

    asyncio.run(main())


def test_starting_without_a_loop_says_what_to_do():
    with pytest.raises(NoEventLoopError, match="inside a coroutine"):
        AsyncIOScheduler().start()


def test_a_closed_loop_is_refused():
    loop = asyncio.new_event_loop()
    loop.close()
    with pytest.raises(NoEventLoopError, match="closed"):
        AsyncIOScheduler(event_loop=loop).start()


def test_a_loop_may_be_given_that_does_not_run_yet():
    loop = asyncio.new_event_loop()
    try:
        scheduler = AsyncIOScheduler(event_loop=loop)
        ran = asyncio.Event()

        async def work():
            ran.set()

        scheduler.add_job(work)
        scheduler.start()

        async def main():
            await asyncio.wait_for(ran.wait(), PATIENCE)
            await scheduler.shutdown()

        loop.run_until_complete(main())
    finally:
        loop.close()


def test_a_scheduler_follows_the_program_from_loop_to_loop():
    scheduler = AsyncIOScheduler()

    async def main():
        ran = asyncio.Event()

        async def work():
            ran.set()

        scheduler.start()
        scheduler.add_job(work)
        await asyncio.wait_for(ran.wait(), PATIENCE)
        await scheduler.shutdown()

    for _ in range(3):
        asyncio.run(main())


def test_a_loop_that_ends_before_its_scheduler_ends_the_runs_on_it(caplog):
    scheduler = AsyncIOScheduler()
    statuses = []
    scheduler.add_listener(lambda event: statuses.append(event.code))

    async def main():
        scheduler.start()
        scheduler.add_job(asyncio.sleep, args=(PATIENCE,), id="long")
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert scheduler.running
    assert not scheduler.health()["alive"]
    scheduler.shutdown()  # and this does not wait for ever
    assert [run.status for run in scheduler.get_runs("long")] == ["cancelled"]


@pytest.mark.parametrize("is_closed", [True, False], ids=["closed", "stopped"])
@pytest.mark.parametrize("goes_on", [True, False], ids=["under way", "ended in the last turn"])
def test_what_a_loop_leaves_behind_is_recorded_by_a_shutdown_after_it(is_closed, goes_on):
    loop = asyncio.new_event_loop()
    scheduler = AsyncIOScheduler(event_loop=loop)

    async def work():
        loop.stop()  # its task's callback comes in the next turn
        if goes_on:
            await asyncio.Event().wait()

    scheduler.add_job(work, id="work")
    scheduler.start()
    loop.run_forever()
    if is_closed:
        loop.close()
    try:
        scheduler.shutdown()  # does not wait for ever
        assert [run.status for run in scheduler.get_runs("work")] == ["cancelled" if goes_on else "succeeded"]
    finally:
        loop.close()


def test_context_variables_of_the_caller_do_not_reach_the_jobs_of_others():
    from rota.executors.base import current_run

    async def main():
        scheduler = AsyncIOScheduler()
        scheduler.start()
        ids, both = [], asyncio.Event()

        async def second():
            ids.append(current_run().job_id)
            both.set()

        async def first():
            ids.append(current_run().job_id)
            scheduler.add_job(second, id="second")

        scheduler.add_job(first, id="first")
        await asyncio.wait_for(both.wait(), PATIENCE)
        await scheduler.shutdown()
        return ids

    assert asyncio.run(main()) == ["first", "second"]


def test_ending_a_process_pool_does_not_block_the_loop():
    from rota.executors.pool import ProcessPoolExecutor
    from rota.testing.contracts.executor_jobs import stamp

    async def main():
        scheduler = AsyncIOScheduler(executors={"default": ProcessPoolExecutor(1)})
        ran = asyncio.Event()
        scheduler.add_listener(lambda event: ran.set(), EVENT_JOB_EXECUTED)
        scheduler.start()
        scheduler.add_job(stamp)
        await asyncio.wait_for(ran.wait(), PATIENCE)
        finished = scheduler.shutdown()
        assert not finished.done()  # the workers are ended by another thread
        await finished
        assert scheduler._closed.is_set()

    asyncio.run(main())


def test_shutdown_can_be_awaited_on_another_loop_and_blocks_neither():
    host = AsyncIOHost()
    try:
        scheduler = host.make()
        host.start(scheduler)
        begun, ended = threading.Event(), []

        async def work():
            begun.set()
            while scheduler.running:  # noqa: ASYNC110  # its state has no event to wait for
                await asyncio.sleep(0.001)
            ended.append("work")

        host.call(scheduler.add_job, work)
        assert begun.wait(PATIENCE)

        async def elsewhere():
            ticks = asyncio.create_task(asyncio.sleep(0, "this loop goes on"))
            finished = scheduler.shutdown()
            assert not scheduler.running
            assert await ticks == "this loop goes on"
            await asyncio.wait_for(finished, PATIENCE)
            ended.append("shutdown")
            assert scheduler._closed.is_set()

        asyncio.run(elsewhere())
        assert ended == ["work", "shutdown"]
    finally:
        host.close()


def test_a_job_on_another_loop_that_awaits_the_shutdown_does_not_wait_for_itself():
    from rota.executors.pool import ThreadPoolExecutor

    async def main():
        scheduler = AsyncIOScheduler(executors={"default": ThreadPoolExecutor(2)})
        scheduler.start()
        went_on = threading.Event()

        async def work():
            await scheduler.shutdown()
            went_on.set()

        scheduler.add_job(work)
        await until_closed_after(went_on, scheduler)

    async def until_closed_after(event, scheduler):
        async with asyncio.timeout(PATIENCE):
            while not event.is_set():  # noqa: ASYNC110  # set by another thread
                await asyncio.sleep(0.001)
        await until_closed(scheduler)

    asyncio.run(main())


def test_async_with_starts_and_waits_for_the_runs_at_the_end():
    ended = []

    async def work():
        await asyncio.sleep(0.05)
        ended.append("work")

    async def main():
        async with AsyncIOScheduler() as scheduler:
            scheduler.add_job(work)
            await asyncio.sleep(0.01)
        assert scheduler._closed.is_set()
        with pytest.raises(KeyError):
            async with scheduler:  # started anew, and shut down whatever is raised
                raise KeyError
        assert not scheduler.running
        async with scheduler:
            await scheduler.shutdown()  # leaving has nothing left to do
        scheduler.start(paused=True)
        async with scheduler:  # one that runs already stays as it is
            assert scheduler.state == 2

    asyncio.run(main())
    assert ended == ["work"]


def test_a_plain_with_names_the_right_form():
    with pytest.raises(ConfigurationError, match="async with AsyncIOScheduler"), AsyncIOScheduler():
        pass
