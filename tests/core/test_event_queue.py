"""A listener's queue: bounded, in order, and nothing that a listener does reaches who puts an event in."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from rota.events import EVENT_ALL, EVENT_JOB_EXECUTED, JobEvent
from rota.logs import GuardedLogger
from rota.schedulers import event_queue
from rota.schedulers.event_queue import EventQueue
from rota.schedulers.listeners import Listeners
from tests.present import present

LOGGER = GuardedLogger(logging.getLogger("rota.tests.events"))


def event(name):
    return JobEvent(EVENT_JOB_EXECUTED, name, "default")


def waits(queue):
    """Nobody pumps: the events wait."""


def test_events_wait_in_order_until_the_host_calls_the_listener():
    got, started = [], []
    queue = EventQueue(lambda event: got.append(event.job_id), EVENT_ALL)
    for name in "abc":
        queue.put(event(name), LOGGER, started.append)
    assert got == []
    assert started == [queue]  # asked for once
    queue.pump()
    assert got == ["a", "b", "c"]
    assert queue.is_empty
    queue.put(event("d"), LOGGER, started.append)
    assert started == [queue, queue]


def test_a_full_queue_drops_the_oldest_counts_it_and_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(event_queue, "LIMIT", 3)
    got = []
    queue = EventQueue(lambda event: got.append(event.job_id), EVENT_ALL)
    for name in "abcde":
        queue.put(event(name), LOGGER, waits)
    assert queue.report()["dropped"] == 2
    queue.pump()
    assert got == ["c", "d", "e"]
    assert len([line for line in caplog.messages if "does not keep up" in line]) == 1


@pytest.mark.parametrize("error", [ValueError, SystemExit, GeneratorExit])
def test_what_a_listener_raises_is_logged_and_the_next_event_comes(error, caplog):
    got = []

    def listener(event):
        got.append(event.job_id)
        raise error("a listener")

    queue = EventQueue(listener, EVENT_ALL)
    queue.put(event("a"), LOGGER, waits)
    queue.put(event("b"), LOGGER, waits)
    queue.pump()
    assert got == ["a", "b"]
    assert caplog.messages == ["Error notifying listener (a listener)"] * 2


def test_a_listener_that_waits_for_its_own_queue_is_not_called_inside_itself():
    got = []

    def listener(event):
        got.append(event.job_id)
        assert queue.is_current
        queue.pump()

    queue = EventQueue(listener, EVENT_ALL)
    queue.put(event("a"), LOGGER, waits)
    queue.put(event("b"), LOGGER, waits)
    queue.pump()
    assert got == ["a", "b"]
    assert not queue.is_current


def test_where_nobody_can_be_started_the_next_event_tries_again(caplog):
    got = []

    def refuses(queue):
        raise RuntimeError("can't start new thread")

    queue = EventQueue(lambda event: got.append(event.job_id), EVENT_ALL)
    queue.put(event("a"), LOGGER, refuses)
    assert "can't start new thread" in caplog.text
    assert queue.is_stranded
    queue.put(event("b"), LOGGER, EventQueue.pump)
    assert got == ["a", "b"]
    assert not queue.is_stranded


def test_a_listener_that_was_removed_is_not_called_any_more():
    got = []
    listeners = Listeners()
    listeners.add(got.append, EVENT_ALL)
    listeners.enqueue(event("a"), LOGGER, waits)
    (queue,) = listeners.queues
    listeners.remove(got.append)
    queue.pump()
    assert got == []
    assert listeners.mask == 0
    listeners.enqueue(event("b"), LOGGER, waits)
    assert got == []


def test_events_that_follow_each_other_closely_wake_the_thread_once(monkeypatch):
    got, lulls, woken, threads, rested = [], [], [], set(), threading.Event()

    def listen(event):
        threads.add(threading.get_ident())
        got.append(event.job_id)

    def lull(seconds):
        """The thread has called the listener; there are more events before it looks again."""
        if threading.get_ident() not in threads:
            return  # of a queue of another test
        lulls.append(seconds)
        if len(lulls) <= 3:
            for name in "xy":
                queue.put(event(name), LOGGER, woken.append)
        elif len(lulls) == 4:
            rested.set()

    monkeypatch.setattr(event_queue, "sleep", lull)
    queue = EventQueue(listen, EVENT_ALL)
    queue.put(event("a"), LOGGER, EventQueue.pump_in_thread)
    assert rested.wait(10.0)
    assert got == ["a", *"xyxyxy"]
    assert woken == []
    queue.close()


def test_a_thread_that_has_waited_in_vain_is_woken_by_the_next_event():
    got = []
    queue = EventQueue(lambda event: got.append(event.job_id), EVENT_ALL)
    queue.put(event("a"), LOGGER, EventQueue.pump_in_thread)
    until = time.monotonic() + 10.0
    while queue._awake and time.monotonic() < until:
        time.sleep(0.001)
    assert not queue._awake
    assert queue.is_empty
    queue.put(event("b"), LOGGER, EventQueue.pump_in_thread)
    while len(got) < 2 and time.monotonic() < until:
        queue.wait_empty(1.0)
    queue.close()
    assert got == ["a", "b"]


def test_a_thread_calls_the_listener_and_ends_with_its_queue():
    got = []
    queue = EventQueue(got.append, EVENT_ALL)
    queue.put(event("a"), LOGGER, EventQueue.pump_in_thread)
    while not queue.wait_empty(5.0):
        pass
    assert len(got) == 1
    thread = present(queue._thread)
    queue.close()
    thread.join(5.0)
    assert not thread.is_alive()
