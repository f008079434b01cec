"""TwistedScheduler keeps the contract of hosts, on the default reactor and on the asyncio reactor."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from rota.errors import MissingExtraError
from rota.testing.contracts.host_access import PATIENCE, Host
from rota.testing.contracts.hosts import HostContract
from tests.needs import need

pytest_plugins = ["tests.reactor"]
need("twisted", "twisted")
ON_ASYNCIO = os.environ.get("ROTA_TEST_REACTOR") == "asyncio"


class TwistedHost(Host):
    """The reactor, which runs in another thread."""

    listeners_have_threads = False

    def __init__(self, reactor):
        from rota.schedulers.twisted import TwistedScheduler

        self.scheduler_class = TwistedScheduler
        self.reactor = reactor

    def call(self, func, *args, **kwargs):
        from twisted.internet.threads import blockingCallFromThread

        return blockingCallFromThread(self.reactor, lambda: func(*args, **kwargs))

    async def nap(self):
        from twisted.internet import task

        await task.deferLater(self.reactor, 0.01, lambda: None)


class TestTwisted(HostContract):
    """On the reactor in another thread."""

    @pytest.fixture
    def host(self, running_twisted):
        return TwistedHost(running_twisted)


if not ON_ASYNCIO:

    @pytest.mark.timeout(180)  # the whole file once more, on a machine that may be busy
    def test_all_this_holds_on_the_asyncio_reactor_too():
        environment = {**os.environ, "ROTA_TEST_REACTOR": "asyncio"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=170, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


PROGRAM = """
from twisted.internet import reactor, task
from rota.schedulers.twisted import TwistedScheduler

scheduler = TwistedScheduler()

async def work():
    await task.deferLater(reactor, 0.01, lambda: None)
    print("ran", flush=True)
    scheduler.shutdown().addCallback(lambda _: None)
    reactor.callLater(0.05, reactor.stop)

scheduler.add_job(work)
scheduler.start()
reactor.run()
print("over", scheduler.state)
"""


def test_a_program_on_the_main_thread_s_reactor():
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ran\nover 0\n", "")


LEFT_BEHIND = """
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from rota.schedulers.twisted import TwistedScheduler

scheduler = TwistedScheduler()

async def work():
    reactor.callLater(0, reactor.stop)
    await Deferred()

scheduler.add_job(work, id="work")
scheduler.start()
reactor.run()
scheduler.shutdown()
print([run.status for run in scheduler.get_runs("work")])
"""


def test_what_the_reactor_leaves_behind_is_recorded_by_a_shutdown_after_it():
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "['cancelled']\n", "")


def test_without_twisted_the_extra_is_named(monkeypatch):
    for name in ("twisted", "twisted.internet", "twisted.internet.defer"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("rota.schedulers.twisted", "rota.executors.twisted"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"rota\[twisted\]"):
        import rota.schedulers.twisted
    with pytest.raises(MissingExtraError, match=r"rota\[twisted\]"):
        import rota.executors.twisted  # noqa: F401
