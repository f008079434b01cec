"""Twisted's reactor for tests: it can be run once in a process, so all tests share one, in a thread of its own.

With ROTA_TEST_REACTOR=asyncio it is Twisted's asyncio reactor.
"""

from __future__ import annotations

import os
import threading

import pytest

from tests.needs import need

_thread: threading.Thread | None = None


def running_reactor():
    """Return the reactor; the first call starts it."""
    global _thread
    need("twisted", "twisted")
    if _thread is None and os.environ.get("ROTA_TEST_REACTOR") == "asyncio":
        from twisted.internet import asyncioreactor

        asyncioreactor.install()
    from twisted.internet import reactor

    if _thread is None:
        started = threading.Event()
        reactor.callWhenRunning(started.set)
        _thread = threading.Thread(target=reactor.run, args=(False,), name="reactor")
        _thread.start()
        assert started.wait(10), "the reactor does not start"
    return reactor


@pytest.fixture(scope="session")
def running_twisted():
    """Run the reactor until all tests have ended."""
    running = running_reactor()
    yield running
    if _thread is not None and _thread.is_alive():
        running.callFromThread(running.stop)
        _thread.join(10)
