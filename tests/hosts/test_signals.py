"""What Ctrl-C and SIGTERM do to a program whose main thread is a BlockingScheduler, in processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from rota.schedulers.blocking import SignalSafeEvent
from tests.present import present

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

HEAD = """
import logging, os, signal, sys, threading, time
from rota.schedulers.blocking import BlockingScheduler
from tests.present import present
scheduler = BlockingScheduler()
begun = threading.Event()
def work():
    print("begun", flush=True)
    for _ in range(20_000):  # until the signal has stopped the scheduler, which waits for this
        if not scheduler.running:
            break
        time.sleep(0.001)
    print("ended", flush=True)
def stubborn():
    print("begun", flush=True)
    time.sleep(30)
scheduler.add_listener(lambda event: print("recorded", flush=True), 2**12)
"""


def ended(program, *signals):
    """Start a program, send it a signal for each line "begun" that it prints, and return its output, errors and exit status."""
    lines = []
    waiting = list(signals)
    with subprocess.Popen(
        [sys.executable, "-c", HEAD + textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        for line in present(process.stdout):
            lines.append(line.strip())
            if line.strip() in ("begun", "again") and waiting:
                process.send_signal(waiting.pop(0))
        errors = present(process.stderr).read()
        status = process.wait()
        watchdog.cancel()
    return lines, errors, status


def test_a_program_that_catches_nothing_ends_without_a_traceback_and_its_runs_end():
    lines, errors, status = ended(
        """
        scheduler.add_job(work)
        scheduler.start()
        print("not reached")
        """,
        signal.SIGINT,
    )
    assert (lines, errors, status) == (["begun", "ended", "recorded"], "", 130)


@pytest.mark.parametrize("caught", ["KeyboardInterrupt", "SystemExit", "(KeyboardInterrupt, SystemExit)"])
def test_the_usual_idioms_work_and_may_shut_down_once_more(caught):
    lines, errors, status = ended(
        f"""
        scheduler.add_job(work)
        try:
            scheduler.start()
        except {caught}:
            print("caught", scheduler.running)
            scheduler.shutdown()
        finally:
            scheduler.shutdown(wait=False)
        """,
        signal.SIGINT,
    )
    assert (lines, errors, status) == (["begun", "ended", "recorded", "caught False"], "", 0)


def test_after_sigterm_start_returns_and_shutdown_has_nothing_to_do():
    lines, errors, status = ended(
        """
        scheduler.add_job(work)
        try:
            scheduler.start()
        finally:
            scheduler.shutdown()
        print("returned")
        """,
        signal.SIGTERM,
    )
    assert (lines, errors, status) == (["begun", "ended", "recorded", "returned"], "", 0)


def test_a_second_ctrl_c_does_not_wait_for_runs_that_do_not_stop():
    lines, errors, status = ended(
        """
        scheduler.add_job(stubborn)
        def watch():
            while scheduler.running:
                time.sleep(0.001)
            print("again", flush=True)
        scheduler.add_listener(lambda event: threading.Thread(target=watch, daemon=True).start(), 1)
        scheduler.start()
        """,
        signal.SIGINT,
        signal.SIGINT,
    )
    assert lines[:2] == ["begun", "again"]
    assert status == 130
    assert "1 runs are still under way" in errors
    assert "Traceback" not in errors


def test_one_ctrl_c_ends_a_start_that_hangs():
    lines, errors, status = ended(
        """
        from rota.jobstores.memory import MemoryJobStore
        class Hanging(MemoryJobStore):
            def start(self, scheduler, alias):
                print("begun", flush=True)
                time.sleep(30)
        scheduler.add_jobstore(Hanging())
        scheduler.start()
        """,
        signal.SIGINT,
    )
    assert (lines, errors, status) == (["begun"], "", 130)


def test_ctrl_c_does_not_wait_for_a_shutdown_that_takes_long():
    lines, errors, status = ended(
        """
        scheduler.add_listener(lambda event: threading.Thread(target=shut_down).start(), 2**15)
        def shut_down():
            threading.Thread(target=scheduler.shutdown, daemon=True).start()
            while scheduler.running:
                time.sleep(0.001)
            print("again", flush=True)
        def stubborn():
            time.sleep(30)
        scheduler.add_job(stubborn)
        scheduler.start()
        """,
        signal.SIGINT,
    )
    assert lines[:1] == ["again"]
    assert status == 130
    assert "Traceback" not in errors


def test_a_handler_of_the_program_stays():
    lines, _, status = ended(
        """
        def handler(signum, frame):
            print("handled", flush=True)
            scheduler.shutdown(wait=False)
        signal.signal(signal.SIGINT, handler)
        signal.signal(signal.SIGTERM, handler)
        scheduler.add_job(work)
        scheduler.start()
        print(signal.getsignal(signal.SIGINT) is handler, signal.getsignal(signal.SIGTERM) is handler)
        """,
        signal.SIGTERM,
    )
    assert lines[:2] == ["begun", "handled"]
    assert lines[-1] == "True True"
    assert status == 0


def test_the_handlers_are_put_back():
    lines, errors, status = ended(
        """
        before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        scheduler.add_job(scheduler.shutdown)
        scheduler.start()
        print(before == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))
        """
    )
    assert (lines[-1], errors, status) == ("True", "", 0)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_at_any_point_of_the_main_thread_makes_no_deadlock(number):
    """Another thread wakes the main loop as fast as it can, so that the signal comes while locks are held."""
    lines, _, status = ended(
        f"""
        logging.basicConfig(stream=sys.stderr, level=logging.DEBUG)
        scheduler.add_job(int, "interval", seconds=0.001, max_instances=100)
        def wake():
            for _ in range(300):
                scheduler.wakeup()
                time.sleep(0.0005)
            for _ in range(20):
                os.kill(os.getpid(), signal.{number})
                if {number == "SIGINT"}:
                    break
        threading.Timer(0.2, wake).start()
        try:
            scheduler.start()
        except KeyboardInterrupt:
            pass
        print("over")
        """
    )
    assert lines[-1] == "over"
    assert status == 0


def test_an_event_that_a_handler_sets_ends_the_wait_of_its_own_thread():
    event = SignalSafeEvent()
    assert not event.is_set()
    assert not event.wait(0.001)
    event.set()
    event.set()
    assert event.is_set()
    assert event.wait(0.001)
    assert not event.is_set()
    event.set()
    event.clear()
    event.clear()
    assert not event.is_set()
    previous = signal.signal(signal.SIGUSR1, lambda *_: event.set())
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert event.wait(20)
    finally:
        signal.signal(signal.SIGUSR1, previous)
