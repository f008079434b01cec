"""What loop hosts share, on a loop that a test turns by hand and that refuses calls from the wrong thread."""

from __future__ import annotations

import heapq
import logging
import threading
from itertools import count

import pytest

from rota.schedulers.loop import LoopScheduler
from rota.testing.contracts.host_access import SlowStore


class FakeLoop:
    """A loop without time: posted calls and timers run when the test says so, in the thread that made the loop."""

    def __init__(self):
        self.thread = threading.current_thread()
        self.posted = []
        self.timers = []
        self.now = 0.0
        self.closed = False
        self._order = count()
        self._changed = threading.Condition()

    def post(self, callback):
        if self.closed:
            raise RuntimeError("the loop is closed")
        with self._changed:
            self.posted.append(callback)
            self._changed.notify_all()

    def call_later(self, seconds, callback):
        assert threading.current_thread() is self.thread, "a timer was set in the wrong thread"
        assert seconds >= 0
        entry = [self.now + seconds, next(self._order), callback]
        heapq.heappush(self.timers, entry)

        def call_off():
            assert threading.current_thread() is self.thread, "a timer was called off in the wrong thread"
            if entry in self.timers:
                self.timers.remove(entry)
                heapq.heapify(self.timers)

        return call_off

    def turn(self):
        """Run what is posted."""
        posted, self.posted = self.posted, []
        for callback in posted:
            callback()

    def wait_and_turn(self):
        """Wait until another thread has posted something, and run it."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.posted, 10), "nothing was posted"
        self.turn()

    def fire(self):
        """Let the earliest timer fire, and return how long it has waited."""
        when, _, callback = heapq.heappop(self.timers)
        waited, self.now = when - self.now, when
        callback()
        return waited


class FakeLoopScheduler(LoopScheduler):
    """A scheduler on the fake loop, whose passes the test describes."""

    def __init__(self, loop, **options):
        self.loop = loop
        self.passes = []
        self.answers = []
        super().__init__(**options)

    def _find_loop(self):
        pass

    def _post(self, callback):
        self.loop.post(callback)

    def _call_later(self, seconds, callback):
        return self.loop.call_later(seconds, callback)

    def _on_loop(self):
        return threading.current_thread() is self.loop.thread

    def _process_jobs(self):
        self.passes.append(threading.current_thread())
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer
        return super()._process_jobs()


@pytest.fixture
def loop():
    return FakeLoop()


@pytest.fixture
def scheduler(loop):
    scheduler = FakeLoopScheduler(loop)
    yield scheduler
    if scheduler.running:
        scheduler.shutdown()


def test_many_wake_ups_make_one_pass(loop, scheduler):
    scheduler.start()
    for _ in range(10):
        scheduler.wakeup()
    assert len(loop.posted) == 1
    loop.turn()
    assert len(scheduler.passes) == 1


def test_a_wake_up_during_a_pass_makes_another_one(loop, scheduler):
    scheduler.start()
    scheduler._process_jobs = lambda: scheduler.passes.append(0) or scheduler.wakeup()
    loop.turn()
    assert len(scheduler.passes) == 1
    assert len(loop.posted) == 1


@pytest.mark.parametrize(("answer", "wait"), [(0, 0), (-1, 0), (0.25, 0.25), (1e9, 30), (None, 30)])
def test_the_timer_is_armed_for_what_the_pass_says_but_never_for_long(loop, scheduler, answer, wait):
    scheduler.answers = [answer, 5]
    scheduler.start()
    loop.turn()
    assert len(loop.timers) == 1
    assert loop.fire() == wait
    assert len(scheduler.passes) == 2


def test_the_timer_is_armed_again_after_a_pass_that_raises(loop, scheduler, caplog):
    scheduler.answers = [ValueError("broken"), 5]
    scheduler.start()
    loop.turn()
    assert "trying again" in caplog.text
    assert loop.fire() == 1
    assert len(scheduler.passes) == 2


def test_ctrl_c_during_a_pass_reaches_the_program_and_the_timer_is_armed_again(loop, scheduler):
    scheduler.answers = [KeyboardInterrupt(), 5]
    scheduler.start()
    with pytest.raises(KeyboardInterrupt):
        loop.turn()
    assert loop.fire() == 1
    assert len(scheduler.passes) == 2


def test_there_is_never_more_than_one_timer(loop, scheduler):
    scheduler.answers = [3, 2, 1]
    scheduler.start()
    loop.turn()
    for _ in range(2):
        scheduler.wakeup()
        loop.turn()
    assert [when for when, _, _ in loop.timers] == [1]


def test_a_shutdown_leaves_no_timer_and_what_is_posted_late_does_nothing(loop, scheduler):
    scheduler.answers = [3]
    scheduler.start()
    loop.turn()
    scheduler.wakeup()
    scheduler.shutdown()
    loop.turn()
    assert loop.timers == []
    assert len(scheduler.passes) == 1
    scheduler.wakeup()
    assert loop.posted == []


def test_passes_of_a_slow_store_are_made_in_one_other_thread_and_never_overlap(loop):
    store = SlowStore("due")
    scheduler = FakeLoopScheduler(loop, jobstores={"default": store})
    scheduler.start()
    loop.turn()
    assert store.entered.wait(10)
    for _ in range(3):  # wake-ups that come while the pass is under way
        scheduler.wakeup()
        loop.turn()
    assert len(scheduler.passes) == 1
    assert loop.timers == []
    store.go_on.set()
    loop.wait_and_turn()  # the first pass hands over, and the one that was asked for begins
    loop.wait_and_turn()
    assert len(scheduler.passes) == 2
    assert len(set(scheduler.passes)) == 1
    assert scheduler.passes[0] is not loop.thread
    assert len(loop.timers) == 1
    scheduler.shutdown()
    scheduler._lifecycle.drainer.join(10)
    assert scheduler._closed.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name == "rota-helper"]


def test_a_loop_that_is_gone_is_reported_once_and_breaks_no_caller(loop, scheduler, caplog):
    scheduler.start()
    loop.turn()
    loop.closed = True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            scheduler.wakeup()
    assert caplog.text.count("event loop of the scheduler is gone") == 1
    scheduler.shutdown()


def test_a_paused_scheduler_has_a_timer_too(loop, scheduler):
    scheduler.start(paused=True)
    loop.turn()
    assert len(loop.timers) == 1
