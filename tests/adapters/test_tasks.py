"""The registry of the coroutines that are under way on a loop: each is told of once when it ends, unless it is taken out."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from rota.core.run import Run
from rota.executors.tasks import Tasks


class Ends(list[Any]):
    """Notes which entries have ended, and with which errors."""

    def __call__(self, entry, error):
        self.append((entry[0].job_id, error))


@pytest.fixture
def ends():
    return Ends()


def make_task(work, context=None):
    return asyncio.get_running_loop().create_task(work)


async def wait():
    await asyncio.Event().wait()


async def give_up():
    raise ValueError("before the outcome was written")


def test_a_task_is_there_until_it_has_ended(ends):
    async def main():
        tasks, entry = Tasks(ends), (Run("a", 0, 0), None)
        tasks.begin(make_task, asyncio.sleep(0), None, entry)
        assert (list(tasks.entries.values()), len(tasks), ends) == ([entry], 1, [])
        (task,) = tasks
        assert task in tasks
        await task
        await asyncio.sleep(0)
        assert (len(tasks), ends) == (0, [("a", None)])

    asyncio.run(main())


def test_a_task_that_has_ended_when_it_is_made_is_told_of_at_once(ends):
    async def main():
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        work = wait()
        tasks = Tasks(ends)
        tasks.begin(lambda work, context: done, work, None, (Run("a", 0, 0), None))
        assert (len(tasks), ends) == (0, [("a", None)])
        work.close()

    asyncio.run(main())


def test_what_kept_a_task_from_being_made_is_told_and_the_work_is_closed(ends):
    def refuse(work, context):
        raise ValueError("no tasks here")

    work = wait()
    Tasks(ends).begin(refuse, work, None, (Run("a", 0, 0), None))
    ((job_id, error),) = ends
    assert (job_id, str(error)) == ("a", "no tasks here")
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED


def test_an_error_is_told_only_if_the_run_has_no_outcome(ends):
    async def main():
        tasks = Tasks(ends)
        for job_id in ("a", "b"):
            tasks.begin(make_task, give_up(), None, (Run(job_id, 0, 0), None))
        started = list(tasks)
        tasks.entries[started[1]][0].status = "failed"
        await asyncio.gather(*started, return_exceptions=True)
        await asyncio.sleep(0)
        assert [(job_id, type(error)) for job_id, error in ends] == [("a", ValueError), ("b", type(None))]

    asyncio.run(main())


def test_cancelling_asks_the_rest_of_the_groups_to_stop_too(ends):
    async def main():
        tasks, head, following = Tasks(ends), Run("a", 0, 0), Run("a", 1, 1)
        head.then = following
        tasks.begin(make_task, wait(), None, (head, None))
        (task,) = tasks
        tasks.cancel_all()
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert (head.cancelled, following.cancelled, task.cancelled(), ends) == (
            True,
            True,
            True,
            [("a", None)],
        )

    asyncio.run(main())


def test_a_run_that_was_cancelled_on_its_way_is_cancelled_when_its_task_is_made(ends):
    async def main():
        tasks, run = Tasks(ends), Run("a", 0, 0)
        run.cancelled = True
        tasks.begin(make_task, wait(), None, (run, None))
        (task,) = tasks
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(main())


def test_nobody_hears_of_tasks_that_were_taken_out(ends):
    async def main():
        tasks, entry = Tasks(ends), (Run("a", 0, 0), None)
        tasks.begin(make_task, asyncio.sleep(0), None, entry)
        (task,) = tasks
        assert tasks.take_all() == [entry]
        await task
        await asyncio.sleep(0)
        assert (len(tasks), ends) == (0, [])

    asyncio.run(main())
