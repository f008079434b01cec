"""The Twisted executor keeps the contract of executors, on the default reactor and on the asyncio reactor."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from inspect import CORO_CLOSED, getcoroutinestate
from types import SimpleNamespace

import pytest

from rota.testing.contracts.executor_jobs import PATIENCE, Ended, add_async, wait_for_file
from rota.testing.contracts.executors import ExecutorContract
from tests.needs import need

pytest_plugins = ["tests.reactor"]
need("twisted", "twisted")
ON_ASYNCIO = os.environ.get("ROTA_TEST_REACTOR") == "asyncio"


async def wait_on_reactor(seconds=10 * PATIENCE):
    """Await a Deferred that fires after a time."""
    from twisted.internet import reactor, task

    return await task.deferLater(reactor, seconds, lambda: "awake")


async def nap_on_reactor():
    """Await a Deferred that fires soon."""
    return await wait_on_reactor(0.05)


async def cancelled_deferred():
    """Await a Deferred that was cancelled."""
    from twisted.internet.defer import Deferred

    deferred = Deferred()
    deferred.cancel()
    await deferred


class TestTwisted(ExecutorContract):
    """The Twisted executor, on the reactor that runs in another thread."""

    wait_async = staticmethod(wait_on_reactor)
    nap_async = staticmethod(nap_on_reactor)
    inner_cancellation = staticmethod(cancelled_deferred)

    @pytest.fixture
    def make(self, running_twisted):
        from rota.executors.twisted import TwistedExecutor

        self.scheduler = SimpleNamespace(_reactor=running_twisted)

        def make():
            executor = TwistedExecutor()
            executor.start(self.scheduler, "default")
            return executor

        return make

    def restart(self, executor):
        executor.start(self.scheduler, "default")

    def test_coroutines_run_on_the_reactor_s_thread_and_plain_functions_do_not(self, executor):
        async def where():
            return threading.current_thread().name

        def plain():
            return threading.current_thread().name

        runs = [self.run_of(where), self.run_of(plain)]
        self.carry_out(executor, *runs)
        assert runs[0].retval == "reactor"
        assert runs[1].retval != "reactor"

    def test_a_coroutine_takes_the_result_of_a_deferred(self, executor):
        (run,) = self.carry_out(executor, self.run_of(nap_on_reactor))
        assert run.retval == "awake", run.error

    def test_a_coroutine_takes_the_failure_of_a_deferred(self, executor):
        async def fails():
            from twisted.internet import reactor, task

            def fail():
                raise ValueError("no such thing")

            await task.deferLater(reactor, 0.001, fail)

        (run,) = self.carry_out(executor, self.run_of(fails))
        assert (run.status, run.error_type) == ("failed", "ValueError")

    def test_plain_functions_never_block_the_reactor(self, executor, tmp_path):
        from twisted.internet import reactor

        gate = tmp_path / "gate"
        beats, enough = [], threading.Event()

        def beat():
            beats.append(1)
            if len(beats) < 20:
                reactor.callLater(0.001, beat)
            else:
                enough.set()

        runs = [self.run_of(wait_for_file, str(gate)) for _ in range(20)]
        reactor.callFromThread(executor.submit, runs, lambda run: None)
        reactor.callFromThread(beat)
        assert enough.wait(PATIENCE), "the reactor stands still"
        gate.touch()

    if ON_ASYNCIO:

        def test_a_task_factory_that_knows_no_contexts_makes_the_tasks(self, executor):
            from twisted.internet import reactor

            loop = reactor._asyncioEventloop
            loop.set_task_factory(lambda loop, work: asyncio.Task(work, loop=loop))
            try:
                runs = self.carry_out(executor, *[self.run_of(add_async, number) for number in range(3)])
            finally:
                loop.set_task_factory(None)
            assert [run.retval for run in runs] == [0, 1, 2]

        def test_a_coroutine_may_await_asyncio_and_deferreds_by_turns(self, executor):
            async def both():
                await asyncio.sleep(0.01)
                first = await nap_on_reactor()
                await asyncio.sleep(0.01)
                return first, await asyncio.wait_for(asyncio.sleep(0, "slept"), 1)

            (run,) = self.carry_out(executor, self.run_of(both))
            assert run.retval == ("awake", "slept"), run.error

        def test_what_a_function_returned_does_not_stay_unawaited_if_it_is_cancelled_before_its_first_step(
            self, executor
        ):
            from twisted.internet import reactor

            async def never():
                raise AssertionError

            coroutine, ended = never(), Ended()

            def submit_and_cancel():
                executor.submit([self.run_of(lambda: coroutine)], ended)
                self.wait_until(lambda: not executor._threaded, "the function has returned")
                executor.cancel()

            reactor.callFromThread(submit_and_cancel)
            (run,) = self.wait(ended, 1)
            assert run.reason == "cancelled before it started"
            assert getcoroutinestate(coroutine) == CORO_CLOSED


if not ON_ASYNCIO:

    @pytest.mark.timeout(180)  # the whole file once more, on a machine that may be busy
    def test_all_this_holds_on_the_asyncio_reactor_too():
        environment = {**os.environ, "ROTA_TEST_REACTOR": "asyncio"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=170, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
