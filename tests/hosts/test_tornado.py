"""TornadoScheduler keeps the contract of hosts, on a real IOLoop."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from rota.errors import MissingExtraError
from rota.testing.contracts.host_access import PATIENCE, Host
from rota.testing.contracts.hosts import HostContract
from tests.needs import need

need("tornado", "tornado")


class TornadoHost(Host):
    """An IOLoop in a thread of its own."""

    listeners_have_threads = False

    def __init__(self):
        from rota.schedulers.tornado import TornadoScheduler

        self.scheduler_class = TornadoScheduler
        started = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(started,), name="loop")
        self.thread.start()
        assert started.wait(PATIENCE)

    def _run(self, started):
        from tornado.ioloop import IOLoop

        self.loop = IOLoop(make_current=True)
        self.loop.add_callback(started.set)
        self.loop.start()
        self.loop.close()

    def make(self, cls=None, **options):
        return super().make(cls, io_loop=self.loop, **options)

    def call(self, func, *args, **kwargs):
        async def call():
            return func(*args, **kwargs)

        return self.run(call())

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop.asyncio_loop).result(PATIENCE)

    def shutdown(self, scheduler, **options):
        async def shutdown():
            await scheduler.shutdown(**options)

        self.run(shutdown())

    def close(self):
        self.loop.add_callback(self.loop.stop)
        self.thread.join()


class TestTornado(HostContract):
    """On a loop in another thread."""

    @pytest.fixture
    def host(self):
        host = TornadoHost()
        yield host
        host.close()


def test_the_default_loop_is_the_current_one_at_the_start():
    from rota.schedulers.tornado import TornadoScheduler

    scheduler = TornadoScheduler()

    async def main():
        ran = asyncio.Event()

        async def work():
            ran.set()

        scheduler.start()
        scheduler.add_job(work)
        await asyncio.wait_for(ran.wait(), PATIENCE)
        await scheduler.shutdown()

    for _ in range(2):
        asyncio.run(main())


def test_without_tornado_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "tornado", None)
    monkeypatch.setitem(sys.modules, "tornado.ioloop", None)
    monkeypatch.delitem(sys.modules, "rota.schedulers.tornado", raising=False)
    with pytest.raises(MissingExtraError, match=r"rota\[tornado\]"):
        import rota.schedulers.tornado  # noqa: F401
