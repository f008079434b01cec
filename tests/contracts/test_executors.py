"""Rota's executors keep the contract of executors."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from inspect import CORO_CLOSED, getcoroutinestate
from queue import SimpleQueue
from types import SimpleNamespace
from typing import Any

import pytest

from rota.executors.asyncio import AsyncIOExecutor
from rota.executors.debug import DebugExecutor
from rota.executors.pool import ProcessPoolExecutor, ThreadPoolExecutor
from rota.testing.contracts.executor_jobs import (
    PATIENCE,
    Ended,
    add,
    add_async,
    nap_async,
    stamp,
    wait_for_file,
)
from rota.testing.contracts.executors import ExecutorContract
from tests.needs import need
from tests.present import present


class TestThreadPool(ExecutorContract):
    """The thread pool."""

    @pytest.fixture
    def make(self):
        def make():
            executor = ThreadPoolExecutor()
            executor.start(None, "default")
            return executor

        return make


@pytest.fixture
def no_threads(monkeypatch):
    """Let no thread start while a list is empty; what is in it are the starts that may still succeed."""
    allowed, start = [], threading.Thread.start

    def try_to_start(thread):
        if not allowed:
            raise RuntimeError("can't start new thread")
        allowed.pop()
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", try_to_start)
    return allowed


def test_runs_wait_for_a_thread_that_cannot_be_started_and_the_next_pass_tries_again(no_threads):
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(3), Ended()
    pool.start(None, "default")
    runs = [helper.run_of(add, number) for number in range(6)]
    pool.submit(runs[:3], ended)
    assert (pool.in_flight, ended.runs) == (3, [])
    no_threads.extend("x")
    pool.submit(runs[3:], ended)  # one thread serves them all
    assert ended.wait(6, PATIENCE)
    assert sorted(run.retval for run in ended.runs) == [0, 1, 2, 3, 4, 5]
    assert pool.in_flight == 0
    no_threads.extend("xx")
    pool.shutdown()


def test_a_pass_without_new_runs_starts_the_threads_that_could_not_be_started(no_threads):
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(3), Ended()
    pool.start(None, "default")
    pool.submit([helper.run_of(add, 1)], ended)
    assert not ended.runs
    no_threads.extend("xxx")
    pool.worth_a_pass()
    assert ended.wait(1, PATIENCE)
    pool.shutdown()


def test_a_shutdown_ends_runs_for_which_there_never_was_a_thread(no_threads):
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(3), Ended()
    pool.start(None, "default")
    pool.submit([helper.run_of(add, 1), helper.group_of(add, add)], ended)
    pool.shutdown()
    assert [run.status for run in ended.runs] == ["cancelled"] * 3
    assert pool.in_flight == 0


def test_a_coroutine_for_whose_loop_there_is_no_thread_fails_and_the_next_one_tries_again(no_threads):
    helper, pool = ExecutorContract(), ThreadPoolExecutor(1)
    pool.start(None, "default")
    no_threads.append("x")
    (run,) = helper.carry_out(pool, helper.run_of(add_async, 1))
    assert (run.status, run.error) == ("failed", "can't start new thread")
    no_threads.append("x")
    (run,) = helper.carry_out(pool, helper.run_of(add_async, 1))
    assert run.retval == 1
    pool.shutdown()


def test_the_rest_of_a_group_is_carried_out_although_the_pool_was_shut_down_meanwhile():
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(1), Ended()
    pool.start(None, "default")
    head = helper.group_of(nap_async, stamp, nap_async, stamp)
    pool.submit([head], ended)
    helper.wait_until(lambda: head.started_at, "the first run has begun")
    pool.shutdown(wait=False)
    assert ended.wait(4, PATIENCE)
    assert {run.status for run in ended.runs} == {"succeeded"}


def test_coroutines_take_no_room_of_idle_threads():
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(2), Ended()
    pool.start(None, "default")
    before = pool.capacity()
    pool.submit([helper.run_of(helper.wait_async) for _ in range(before)], ended)
    helper.wait_until(lambda: pool.capacity() == before, "the coroutines wait on their loop")
    assert pool.worth_a_pass()
    pool.cancel()
    pool.shutdown()
    assert len(ended.runs) == before


class SlowHands(SimpleQueue[Any]):
    """A queue from which a thread has taken something a moment before it can say so."""

    def __init__(self):
        super().__init__()
        self.taken, self.go_on = threading.Event(), threading.Event()

    def get(self, block=True, timeout=None):
        item = super().get(block, timeout)
        self.taken.set()
        assert self.go_on.wait(PATIENCE)
        return item


def test_cancel_reaches_what_a_thread_has_just_taken_from_the_queue():
    helper, pool, ended = ExecutorContract(), ThreadPoolExecutor(1), Ended()
    pool.start(None, "default")
    pool._queue = queue = SlowHands()
    pool.submit([helper.group_of(add, add, add)], ended)
    assert queue.taken.wait(PATIENCE)
    pool.cancel()
    pool.submit([helper.run_of(add, 1)], ended)
    queue.go_on.set()
    assert ended.wait(4, PATIENCE)
    assert [run.status for run in ended.runs] == ["cancelled"] * 3 + ["succeeded"]
    pool.shutdown()


class TestDebug(ExecutorContract):
    """The debug executor."""

    inline = True

    @pytest.fixture
    def make(self):
        def make():
            executor = DebugExecutor()
            executor.start(None, "default")
            return executor

        return make


class TestProcessPool(ExecutorContract):
    """The process pool."""

    pickles = True

    @pytest.fixture
    def make(self):
        def make():
            executor = ProcessPoolExecutor(2)
            executor.start(None, "default")
            return executor

        return make


class LoopInThread:
    """An asyncio loop that runs in a thread while a test lasts."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, name="loop")
        self.thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()


def old_factory(loop, work):
    """Make tasks as before there were contexts."""
    return asyncio.Task(work, loop=loop)


def raising_factory(loop, work, **options):
    raise SystemExit("no tasks today")


TASK_FACTORIES = {"old": old_factory, "raising": raising_factory, "none": lambda loop, work, **options: None}


def returns_coroutine():
    return add_async(1)


class OnLoop(ExecutorContract):
    """What holds for executors on an asyncio loop besides."""

    executor_class: Any
    scheduler_on: Any

    @pytest.fixture
    def host(self):
        running = LoopInThread()
        yield running
        running.close()

    @pytest.fixture
    def make(self, host):
        self.scheduler = self.scheduler_on(host.loop)

        def make():
            executor = self.executor_class()
            executor.start(self.scheduler, "default")
            return executor

        return make

    def restart(self, executor):
        executor.start(self.scheduler, "default")

    def test_coroutines_run_on_the_scheduler_s_loop(self, host, executor):
        async def where():
            return asyncio.get_running_loop()

        def returns_coroutine():
            return where()

        runs = self.carry_out(executor, self.run_of(where), self.run_of(returns_coroutine))
        assert [run.retval for run in runs] == [host.loop, host.loop]

    def test_a_plain_function_never_blocks_the_loop(self, host, executor, tmp_path):
        runs = [self.run_of(wait_for_file, str(tmp_path / "gate")) for _ in range(20)]
        assert self.beats_while(host, executor, runs) >= 10
        (tmp_path / "gate").touch()

    def beats_while(self, host, executor, runs):
        """Return how often the loop went round between the submission, made on it, and a moment later."""
        beats = 0

        async def beat():
            nonlocal beats
            executor.submit(runs, lambda run: None)
            for _ in range(20):
                await asyncio.sleep(0.001)
                beats += 1

        asyncio.run_coroutine_threadsafe(beat(), host.loop).result(PATIENCE)
        return beats

    @pytest.mark.parametrize("factory", TASK_FACTORIES.values(), ids=TASK_FACTORIES)
    def test_a_task_factory_of_the_program_s_never_stops_the_executor(self, host, factory):
        host.loop.set_task_factory(factory)
        executor = self.executor_class()
        executor.start(self.scheduler_on(host.loop), "default")
        tried = [self.run_of(add_async, number) for number in range(3)] + [self.run_of(returns_coroutine)]
        self.carry_out(executor, *tried)
        assert all(run.status == "succeeded" or run.error for run in tried)
        works = factory is old_factory
        assert {run.status == "succeeded" for run in tried} == {works}
        host.loop.set_task_factory(None)
        (run,) = self.carry_out(executor, self.run_of(add, 1))
        assert run.retval == 1
        executor.shutdown()

    def test_a_task_that_others_cancel_is_a_cancelled_run(self, host, executor):
        async def cancel_me():
            present(asyncio.current_task()).cancel()
            await asyncio.sleep(PATIENCE)

        (run,) = self.carry_out(executor, self.run_of(cancel_me))
        assert (run.status, run.reason) == ("cancelled", "cancelled while it was running")

    def test_tasks_that_are_cancelled_before_their_first_step_end_too(self, host, executor):
        async def never():
            raise AssertionError

        ended = Ended()

        def submit_and_cancel():
            executor.submit([self.run_of(never)], ended)
            executor._take()
            for task in asyncio.all_tasks(host.loop):
                task.cancel()

        host.loop.call_soon_threadsafe(submit_and_cancel)
        (run,) = self.wait(ended, 1)
        assert run.status in ("cancelled", "failed")  # an eager task has had its first step

    def test_what_a_function_returned_does_not_stay_unawaited_if_it_is_cancelled_before_its_first_step(
        self, host, executor
    ):
        async def never():
            raise AssertionError

        coroutine, ended = never(), Ended()

        def carry_and_cancel():
            executor.carry(self.run_of(never), coroutine, ended)
            executor.cancel()

        host.loop.call_soon_threadsafe(carry_and_cancel)
        self.wait(ended, 1)
        self.wait_until(lambda: getcoroutinestate(coroutine) == CORO_CLOSED, "the coroutine is closed")

    def test_runs_that_are_left_on_a_closed_loop_end(self, host):
        executor = self.executor_class()
        other = LoopInThread()
        executor.start(self.scheduler_on(other.loop), "default")
        ended = Ended()
        under_way, late = self.run_of(self.wait_async), self.run_of(self.wait_async)
        executor.submit([under_way], ended)
        self.wait_until(lambda: under_way.started_at, "the run has started")
        tasks = list(executor._tasks)
        other.close()
        executor.submit([late], ended)
        runs = self.wait(ended, 2)
        assert {(run.status, run.reason) for run in runs} == {("cancelled", "the event loop has ended")}
        executor.shutdown()
        for task in tasks:
            task.get_coro().close()
            task._log_destroy_pending = False


class TestAsyncIO(OnLoop):
    """The asyncio executor."""

    executor_class = AsyncIOExecutor

    def scheduler_on(self, loop):
        return SimpleNamespace(_eventloop=loop)


class TestTornado(OnLoop):
    """The Tornado executor."""

    @property
    def executor_class(self):
        need("tornado", "tornado")
        from rota.executors.tornado import TornadoExecutor

        return TornadoExecutor

    def scheduler_on(self, loop):
        return SimpleNamespace(_ioloop=SimpleNamespace(asyncio_loop=loop))


def wait_for_file_in_greenlet(path):
    """Do what wait_for_file() does, without blocking the hub."""
    from pathlib import Path

    import gevent

    from rota.executors.base import current_run

    with gevent.Timeout(PATIENCE):
        while not Path(path).exists():
            if current_run().cancelled:
                return "cancelled"
            gevent.sleep(0.005)
    return "found"


class TestGevent(ExecutorContract):
    """The gevent executor, on the hub of the test's own thread."""

    wait_for_file = staticmethod(wait_for_file_in_greenlet)

    @pytest.fixture
    def make(self):
        need("gevent", "gevent")
        from rota.executors.gevent import GeventExecutor

        def make():
            executor = GeventExecutor()
            executor.start(None, "default")
            return executor

        return make

    def wait(self, ended, count):
        import gevent

        until = time.monotonic() + PATIENCE
        while ended.count() < count:
            assert time.monotonic() < until, f"only {ended.count()} of {count} runs have ended"
            gevent.sleep(0.001)
        return ended.runs

    def pause(self, seconds):
        import gevent

        gevent.sleep(seconds)

    def test_other_greenlets_run_while_a_coroutine_waits(self, executor):
        import gevent

        async def wait():
            await asyncio.sleep(0.05)

        runs = [self.run_of(wait)]
        beats = 0
        executor.submit(runs, lambda run: None)
        while not runs[0].ended:
            gevent.sleep(0.001)
            beats += 1
            assert beats < 10_000
        assert beats >= 5

    def test_a_run_that_ends_before_it_is_killed_costs_the_next_one_of_its_group_nothing(self, executor):
        import gevent

        def first():
            head.cancelled = True
            executor.cancel_run(head)
            return 1

        def second():
            gevent.sleep(0.01)
            return 2

        head = self.group_of(first, second)
        runs = self.carry_out(executor, head)
        assert [(run.status, run.retval) for run in runs] == [("succeeded", 1), ("succeeded", 2)]


@pytest.mark.timeout(180)  # the whole file once more, on a machine that may be busy
def test_the_gevent_executor_keeps_its_contract_in_a_patched_program():
    need("gevent", "gevent")
    program = (
        "import sys; from gevent import monkey; monkey.patch_all(); import pytest;"
        f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', '-k', 'TestGevent', {__file__!r}]))"
    )
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=170, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
