"""``scheduler.aio``: which methods it has, with which signatures, and that no loop waits for them."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import ContextVar

import pytest

from rota import AsyncIOScheduler, BackgroundScheduler
from rota.errors import ConflictingIdError, JobLookupError, NoEventLoopError
from rota.jobstores.memory import MemoryJobStore
from rota.schedulers.aio import Aio
from rota.schedulers.base import BaseScheduler
from tests.present import present

#: Public methods that are no coroutines there, and why.
EXEMPT = {
    "add_executor": "asks no store",
    "add_listener": "asks no store",
    "add_middleware": "asks no store",
    "configure": "asks no store; of a scheduler that was not started",
    "health": "at once, from memory, whatever the stores do",
    "pause": "asks no store",
    "remove_executor": "asks no store; on the loop's own thread it does not wait",
    "remove_listener": "asks no store",
    "resume": "asks no store",
    "scheduled_job": "a decorator; what it decorates is added when a module is imported",
    "shutdown": "can be awaited itself where the scheduler lives on a loop",
    "start": "must be called where the scheduler is to live",
    "wakeup": "asks no store",
}

word: ContextVar[str] = ContextVar("word", default="unset")


class WaitingStore(MemoryJobStore):
    """A store whose steps wait until the test lets them go on."""

    def __init__(self):
        super().__init__()
        self.entered, self.gate = threading.Event(), threading.Event()
        self.thread = None

    def add_job(self, job):
        self.thread = threading.get_ident()
        self.entered.set()
        assert self.gate.wait(20)
        super().add_job(job)


def public(cls):
    return {
        name: value
        for name, value in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_") and name != "call"
    }


#: Coroutines that are no methods of a scheduler, but of what run_job() returns.
OF_RUNS = {"wait", "result"}


def test_every_public_method_is_there_as_a_coroutine_or_exempt_for_a_reason():
    methods, coroutines = public(BaseScheduler), public(Aio)
    assert not set(coroutines) & set(EXEMPT)
    assert set(methods) == (set(coroutines) - OF_RUNS) | set(EXEMPT)
    assert all(map(inspect.iscoroutinefunction, coroutines.values()))


@pytest.mark.parametrize("name", sorted(set(public(Aio)) - OF_RUNS))
def test_a_coroutine_has_name_signature_and_description_of_its_method(name):
    method, coroutine = public(BaseScheduler)[name], public(Aio)[name]
    assert inspect.signature(coroutine) == inspect.signature(method)
    assert (coroutine.__name__, coroutine.__qualname__) == (name, f"Aio.{name}")
    assert coroutine.__doc__ == method.__doc__


def test_a_loop_goes_on_while_a_store_makes_a_call_wait():
    async def main():
        store = WaitingStore()
        async with AsyncIOScheduler(jobstores={"default": store}) as scheduler:
            adding = asyncio.ensure_future(scheduler.aio.add_job(int, "interval", hours=1, id="j"))
            assert await asyncio.to_thread(store.entered.wait, 20)
            beats = 0
            for _ in range(100):
                await asyncio.sleep(0)
                beats += 1
            assert not adding.done()
            store.gate.set()
            job = await adding
            assert (beats, job.id) == (100, "j")
            assert store.thread != threading.get_ident()

    asyncio.run(main())


def test_calls_return_and_raise_what_the_methods_do():
    async def main():
        with BackgroundScheduler() as scheduler:
            aio = scheduler.aio
            job = await aio.add_job(int, "interval", hours=1, id="j")
            assert [
                one.id for one in await aio.add_jobs([{"func": int, "id": "k"}, {"func": int, "id": "l"}])
            ] == ["k", "l"]
            assert present(await aio.get_job("j")).id == job.id
            assert "j" in [one.id for one in await aio.get_jobs()]
            with pytest.raises(ConflictingIdError):
                await aio.add_job(int, "interval", hours=1, id="j")
            with pytest.raises(JobLookupError):
                await aio.remove_job("none")
            assert (await aio.pause_job("j")).state == "paused"
            assert present(await aio.resume_job("j")).state == "active"
            assert (await aio.modify_job("j", name="other")).name == "other"
            assert (await aio.reschedule_job("j", trigger="interval", minutes=5)).id == "j"
            assert (await aio.run_job("j")).job_id == "j"
            assert isinstance(await aio.get_runs("j"), list)
            await aio.remove_all_jobs()
            assert await aio.get_jobs() == []

    asyncio.run(main())


def test_a_subclass_s_own_method_is_called_with_the_context_of_the_caller():
    class Own(BackgroundScheduler):
        def get_job(self, job_id, jobstore=None):
            return word.get(), job_id

    async def main():
        word.set("the caller's")
        return await Own().aio.get_job("j")

    assert asyncio.run(main()) == ("the caller's", "j")


def test_a_call_that_is_cancelled_while_it_waits_is_carried_out_all_the_same():
    async def main():
        store = WaitingStore()
        with BackgroundScheduler(jobstores={"default": store}) as scheduler:
            adding = asyncio.ensure_future(scheduler.aio.add_job(int, "interval", hours=1, id="j"))
            assert await asyncio.to_thread(store.entered.wait, 20)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            store.gate.set()
            for _ in range(1000):
                if scheduler.get_job("j") is not None:
                    break
                await asyncio.sleep(0.01)
            assert scheduler.get_job("j") is not None

    asyncio.run(main())


def test_where_no_asyncio_loop_runs_the_call_is_refused_with_the_remedy():
    scheduler = BackgroundScheduler()
    coroutine = scheduler.aio.add_job(int, id="j")
    with pytest.raises(
        NoEventLoopError, match=r"^scheduler\.aio\.add_job\(\) must be awaited on a running asyncio loop"
    ):
        coroutine.send(None)
    assert scheduler.get_jobs() == []
