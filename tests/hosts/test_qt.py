"""QtScheduler keeps the contract of hosts, with PySide6 and with PyQt6 (each in a process of its own)."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading

import pytest

from rota.errors import MissingExtraError
from rota.events import EVENT_JOB_EXECUTED
from rota.testing.contracts.host_access import Host
from rota.testing.contracts.hosts import HostContract
from tests.needs import need

BINDING = os.environ.get("ROTA_TEST_QT")

if BINDING is None:

    @pytest.mark.parametrize("binding", ["PySide6", "PyQt6"])
    @pytest.mark.timeout(180)  # the whole file once more, on a machine that may be busy
    def test_the_scheduler_keeps_its_contract(binding):
        need(f"{binding}.QtCore", "qt")
        ended = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
            env={**os.environ, "ROTA_TEST_QT": binding, "QT_QPA_PLATFORM": "offscreen"},
            capture_output=True,
            text=True,
            timeout=170,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def test_without_qt_the_extra_is_named(monkeypatch):
        from rota.schedulers.qt import QtScheduler

        for name in ("PySide6", "PyQt6", "PySide2", "PyQt5"):
            monkeypatch.setitem(sys.modules, name, None)
            monkeypatch.delitem(sys.modules, f"{name}.QtCore", raising=False)
        with pytest.raises(MissingExtraError, match=r"rota\[qt\]"):
            QtScheduler().start()

else:

    class QtHost(Host):
        """The event loop of the application in the test's own thread."""

        application = None
        listeners_have_threads = False

        def __init__(self):
            from rota.schedulers.qt import QtScheduler

            self.scheduler_class = QtScheduler
            self.core = importlib.import_module(f"{BINDING}.QtCore")
            QtHost.application = QtHost.application or self.core.QCoreApplication([])

        def pause(self, seconds):
            loop = self.core.QEventLoop()
            self.core.QTimer.singleShot(max(1, int(seconds * 1000)), loop.quit)
            loop.exec()

    class TestQt(HostContract):
        """In this thread."""

        @pytest.fixture
        def host(self):
            return QtHost()

        def test_the_binding_that_the_program_has_loaded_is_used(self, host, scheduler):
            host.start(scheduler)
            assert isinstance(scheduler._bridge, host.core.QObject)

        def test_listeners_are_called_on_the_application_s_thread_and_jobs_are_not(self, host, scheduler):
            names = []
            scheduler.add_listener(
                lambda event: names.append(threading.current_thread().name), EVENT_JOB_EXECUTED
            )
            host.start(scheduler)
            scheduler.add_job(lambda: names.append(threading.current_thread().name))
            host.wait_until(lambda: len(names) == 2, "job and event have come")
            assert names[0] != "MainThread"
            assert names[1] == "MainThread"

        def test_a_start_in_another_thread_lives_on_the_application_s_loop(self, host, scheduler):
            ran = []
            host.in_thread(scheduler.start)
            host.in_thread(scheduler.add_job, ran.append, "interval", args=(1,), seconds=0.01)
            host.wait_until(lambda: len(ran) >= 3, "the job has run three times")
            assert scheduler._bridge.thread() == host.application.thread()

        def test_the_longest_wait_fits_a_32_bit_timer(self, host, scheduler):
            host.start(scheduler)
            scheduler._call_later(1e9, lambda: None)()
