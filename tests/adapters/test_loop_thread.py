"""The private event loop for coroutine jobs: made when needed, ended without leftovers, forgotten by forked children."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading

import pytest

from rota.clock import SYSTEM_CLOCK
from rota.core.run import Run
from rota.executors.loop_thread import LoopThread
from rota.testing.contracts.executor_jobs import PATIENCE

LOGGER = logging.getLogger("rota.test")


@pytest.fixture
def loop_thread():
    thread = LoopThread("test-loop")
    yield thread
    thread.stop()


def submit(loop_thread, coroutine):
    """Submit a coroutine; return its run and the event of its end."""
    run, ended = Run("job", 0, 0), threading.Event()
    loop_thread.submit(run, coroutine, ended.set, SYSTEM_CLOCK, LOGGER)
    return run, ended


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "test-loop"]


async def give(value):
    await asyncio.sleep(0)
    return value


def test_there_is_no_thread_before_the_first_coroutine_and_one_for_all(loop_thread):
    assert threads() == []
    for value in range(3):
        run, ended = submit(loop_thread, give(value))
        assert ended.wait(PATIENCE)
        assert run.retval == value
        assert len(threads()) == 1


def test_it_is_made_anew_after_a_stop(loop_thread):
    for _ in range(3):
        _, ended = submit(loop_thread, give(1))
        assert ended.wait(PATIENCE)
        loop_thread.stop()
        assert threads() == []


def test_stopping_cancels_what_is_under_way(loop_thread):
    runs = [submit(loop_thread, asyncio.sleep(PATIENCE)) for _ in range(5)]
    loop_thread.stop()
    assert all(ended.is_set() for _, ended in runs)
    assert {run.status for run, _ in runs} == {"cancelled"}


def test_stopping_without_cancelling_waits(loop_thread):
    run, ended = submit(loop_thread, asyncio.sleep(0.05, "slept"))
    loop_thread.stop(cancel=False)
    assert ended.is_set()
    assert run.retval == "slept"


def test_it_may_be_stopped_from_its_own_thread(loop_thread):
    stopped = threading.Event()

    async def stop():
        loop_thread.stop()
        stopped.set()

    _, ended = submit(loop_thread, stop())
    assert stopped.wait(PATIENCE)
    assert ended.wait(PATIENCE)


def test_a_callback_that_raises_costs_the_others_nothing(loop_thread, caplog):
    def fail():
        raise ValueError("a callback")

    loop_thread.submit(Run("job", 0, 0), give(1), fail, SYSTEM_CLOCK, LOGGER)
    run, ended = submit(loop_thread, give(2))
    assert ended.wait(PATIENCE)
    assert run.retval == 2
    assert "a callback" in caplog.text


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_makes_a_loop_of_its_own(loop_thread):
    _, ended = submit(loop_thread, give(1))
    assert ended.wait(PATIENCE)
    child = os.fork()
    if child == 0:
        run, ended = submit(loop_thread, give(7))
        ended.wait(PATIENCE)
        os._exit(run.retval or 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    run, ended = submit(loop_thread, give(2))
    assert ended.wait(PATIENCE)
    assert run.retval == 2


def test_a_task_that_a_job_made_and_that_raises_system_exit_does_not_end_the_loop(loop_thread):
    async def exit_aside():
        async def leave():
            raise SystemExit(1)

        task = asyncio.ensure_future(leave())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await task

    first, ended = submit(loop_thread, exit_aside())
    second, ended_too = submit(loop_thread, give(2))
    assert ended.wait(PATIENCE)
    assert ended_too.wait(PATIENCE)
    assert (first.status, first.error_type) == ("failed", "SystemExit")
    assert second.retval == 2
    assert len(threads()) == 1


def test_a_job_that_stops_the_loop_does_not_end_it(loop_thread):
    async def stop():
        asyncio.get_running_loop().stop()

    _, ended = submit(loop_thread, stop())
    assert ended.wait(PATIENCE)
    run, ended = submit(loop_thread, give(2))
    assert ended.wait(PATIENCE)
    assert run.retval == 2


@pytest.mark.parametrize(
    ("factory", "status"),
    [
        (
            lambda loop, work: asyncio.Task(work, loop=loop),
            "succeeded",
        ),  # the form before there were contexts
        (lambda loop, work, **options: None, "failed"),
    ],
)
def test_a_task_factory_that_a_job_sets_costs_no_more_than_its_runs(loop_thread, factory, status):
    async def set_factory(value):
        asyncio.get_running_loop().set_task_factory(value)

    _, ended = submit(loop_thread, set_factory(factory))
    assert ended.wait(PATIENCE)
    for _ in range(2):
        run, ended = submit(loop_thread, give(2))
        assert ended.wait(PATIENCE)
        assert run.status == status


def test_what_a_job_leaves_in_a_thread_does_not_hold_up_the_end_of_the_loop(loop_thread):
    gate = threading.Event()

    async def leave_behind():
        asyncio.get_running_loop().run_in_executor(None, gate.wait, PATIENCE)

    _, ended = submit(loop_thread, leave_behind())
    assert ended.wait(PATIENCE)
    loop_thread.stop()
    assert threads() == []
    gate.set()


def test_coroutines_see_an_empty_context_unless_one_is_handed_over(loop_thread):
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("of the caller")
    shown = contextvars.Context()
    shown.run(variable.set, "handed over")

    async def look():
        before = variable.get()
        variable.set("changed")
        return before

    for context, expected in ((None, "unset"), (shown, "handed over"), (shown, "handed over")):
        run, ended = Run("job", 0, 0), threading.Event()
        loop_thread.submit(run, look(), ended.set, SYSTEM_CLOCK, LOGGER, context)
        assert ended.wait(PATIENCE)
        assert run.retval == expected
