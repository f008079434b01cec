"""GeventScheduler keeps the contract of hosts, in plain and in monkey-patched programs."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import ClassVar

import pytest

from rota.engine.native import start_thread
from rota.errors import MissingExtraError
from rota.executors.base import current_run
from rota.testing.contracts.host_access import PATIENCE, Host, SlowStore
from rota.testing.contracts.hosts import HostContract
from rota.testing.contracts.renewals import LeasedStore
from tests.needs import need

gevent = need("gevent", "gevent")
PATCHED = os.environ.get("ROTA_TEST_PATCHED") == "1"


class GeventHost(Host):
    """The hub of the test's own thread."""

    listeners_have_threads = False

    def __init__(self):
        from rota.schedulers.gevent import GeventScheduler

        self.scheduler_class = GeventScheduler

    def pause(self, seconds):
        gevent.sleep(seconds)

    def block(self, gate):
        with gevent.Timeout(PATIENCE):
            while not gate.is_set() and not current_run().cancelled:
                gevent.sleep(0.002)
        return gate.is_set()


class TestGevent(HostContract):
    """In this thread."""

    @pytest.fixture
    def host(self):
        return GeventHost()


def test_start_returns_the_greenlet_which_ends_with_the_scheduler():
    scheduler = GeventHost().make()
    greenlet = scheduler.start()
    assert isinstance(greenlet, gevent.Greenlet)
    gevent.sleep(0.01)
    assert not greenlet.dead
    scheduler.shutdown()
    assert greenlet.dead


def test_with_starts_and_waits_for_the_runs_at_the_end():
    ended = []

    def work():
        gevent.sleep(0.05)
        ended.append("work")

    with GeventHost().make() as scheduler:
        scheduler.add_job(work)
        gevent.sleep(0.01)
    assert ended == ["work"]
    assert scheduler._closed.is_set()


def test_listeners_are_called_in_the_hub_s_thread():
    host = GeventHost()
    scheduler = host.make(jobstores={"default": SlowStore()})
    names = []
    scheduler.add_listener(lambda event: names.append(threading.get_ident()))
    scheduler.start()
    scheduler.add_job(int)
    host.wait_until(lambda: len(names) >= 6, "the events have come")
    scheduler.shutdown()
    if not PATCHED:  # there, each greenlet is a thread of its own
        assert set(names) == {threading.get_ident()}


if PATCHED:

    def test_a_lease_is_renewed_by_the_thread_to_which_the_sockets_of_its_store_belong():
        class Server(LeasedStore):
            waits_for_sockets = True
            threads: ClassVar = set()

            def renew(self, *args, **options):
                self.threads.add(gevent.monkey.get_original("_thread", "get_ident")())
                super().renew(*args, **options)

        host, store = GeventHost(), Server()
        scheduler = host.make(jobstores={"default": store}, lease=0.3)
        scheduler.start()
        host.wait_until(lambda: store.renewals >= 5, "the lease was renewed several times")
        scheduler.shutdown()
        assert store.threads == {gevent.monkey.get_original("_thread", "get_ident")()}

    def test_what_the_thread_of_the_leases_logs_is_written_if_it_is_the_first_to_log():
        host, lines = GeventHost(), []

        class Listing(logging.Handler):
            def emit(self, record):
                lines.append(record.getMessage())

        handler = Listing()
        logging.getLogger("rota.scheduler").addHandler(handler)
        try:
            scheduler = host.make()
            scheduler.start()
            start_thread("native", lambda: scheduler._engine.logger.error("by a native thread"))
            host.wait_until(lambda: "by a native thread" in lines, "the line is written")
            scheduler.shutdown()
        finally:
            logging.getLogger("rota.scheduler").removeHandler(handler)


if not PATCHED:

    @pytest.mark.timeout(180)  # the whole file once more, on a machine that may be busy
    def test_all_this_holds_in_a_patched_program_too():
        program = (
            "import sys; from gevent import monkey; monkey.patch_all(); import pytest;"
            f"sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {__file__!r}]))"
        )
        ended = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "ROTA_TEST_PATCHED": "1"},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr


def test_without_gevent_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "gevent", None)
    for name in ("rota.schedulers.gevent", "rota.executors.gevent"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(MissingExtraError, match=r"rota\[gevent\]"):
        import rota.schedulers.gevent
    with pytest.raises(MissingExtraError, match=r"rota\[gevent\]"):
        import rota.executors.gevent  # noqa: F401
