"""The lease of a node and the thread that renews it: in time, late, in trouble, at the end."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rota.clock import SECOND, SYSTEM_CLOCK
from rota.core.run import Run
from rota.engine import renewals as renewals_module
from rota.engine.lease import Lease
from rota.engine.renewals import Renewals
from rota.jobstores.memory import MemoryJobStore
from rota.logs import GuardedLogger, get_logger
from rota.testing import ManualScheduler, VirtualClock
from tests.present import present

LENGTH = 15 * SECOND
PATIENCE = 20


class Store(MemoryJobStore):
    """A store with a clock of its own, whose answers the test decides; it notes what it was asked."""

    durable = True
    offset = 0
    answer: Any
    node_clock = SYSTEM_CLOCK

    def __init__(self):
        super().__init__()
        self.answer = None
        self.asked = []

    def now(self):
        return self.node_clock.now() + self.offset

    def renew(self, node, now, lease, in_hand=(), in_doubt=False):
        self.asked.append((len(in_hand), in_doubt))
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer

    def rescue(self, node, now, room=None, known=(), in_doubt=False, ownerless=False, may_take=None):
        self.asked.append(ownerless)
        return []


def new_lease(store=None, clock=None):
    store, clock = store or Store(), clock or VirtualClock()
    store.node_clock = clock
    return Lease(store, clock, GuardedLogger(get_logger("test")), LENGTH)


def trusts(lease):
    """Whether nobody is declared dead at the moment."""
    lease.rescue(0, {}, ())
    return lease._store.asked.pop()


def test_a_lease_is_renewed_after_a_third_of_it():
    clock = VirtualClock()
    lease = new_lease(clock=clock)
    renewed = []
    for _ in range(16):
        before = lease.renewed_at
        lease.keep({})
        renewed.append(lease.renewed_at != before)
        clock.advance(1)
    assert [second for second, was in enumerate(renewed) if was] == [0, 5, 10, 15]


def test_a_pass_leaves_renewing_to_the_thread_unless_that_is_late():
    clock = VirtualClock()
    lease = new_lease(clock=clock)
    lease.kept = True
    lease.keep({})
    begun = lease.renewed_at
    clock.advance(7)
    lease.keep({})
    assert lease.renewed_at == begun
    clock.advance(1)
    lease.keep({})
    assert lease.renewed_at == begun + 8 * SECOND


@pytest.mark.parametrize("trouble", ["late", "failed", "run out", "the store's clock jumps"])
def test_who_was_cut_off_declares_nobody_dead_for_one_lease(trouble):
    clock, store = VirtualClock(), Store()
    lease = new_lease(store, clock)
    for _ in range(3):  # from the first on it declares nobody dead either, for half a lease
        lease.renew({})
        clock.advance(5)
    lease.renew({})
    assert not trusts(lease)
    clock.advance(8 if trouble == "late" else 5)
    if trouble == "failed":
        store.answer = ConnectionError("away")
        with pytest.raises(ConnectionError):
            lease.renew({})
    if trouble == "the store's clock jumps":
        store.offset = 60 * SECOND
    store.answer = [] if trouble == "run out" else None
    lease.renew({})
    store.answer = None
    for _ in range(3):
        assert trusts(lease)
        clock.advance(5)
        lease.renew({})
    assert not trusts(lease)


def test_who_begins_declares_nobody_dead_until_the_living_have_had_time_to_renew():
    """The store may have been away, or its clock set, just before: all leases of the living look as if they were over."""
    clock, store = VirtualClock(), Store()
    lease = new_lease(store, clock)
    lease.renew({})
    assert trusts(lease)
    assert lease.wait(True) == lease.every / SECOND
    clock.advance(5)
    lease.renew({})
    assert trusts(lease)
    assert lease.wait(True) == 2.5, "it looks as soon as it may"
    assert not lease.wants_rescue(())
    clock.advance(2.5)
    assert lease.wants_rescue(())
    assert not trusts(lease)
    assert not lease.wants_rescue(())


def test_the_clock_is_measured_before_anybody_is_declared_dead_and_if_it_was_set_nobody_is():
    class Server(Store):
        moved = 0
        seen = None

        def measure_clock(self):
            moved, self.moved = self.moved, 0
            self.offset += moved
            return moved

        def rescue(self, node, now, *args, **options):
            self.seen = now
            return super().rescue(node, now, *args, **options)

    clock, store = VirtualClock(), Server()
    lease = new_lease(store, clock)
    lease.renew({})
    store.moved = -60 * SECOND
    now = store.now()
    lease.rescue(now, {}, ())
    assert store.seen == now - 60 * SECOND
    assert store.asked.pop() is True
    clock.advance(5)
    assert trusts(lease)
    for _ in range(4):
        lease.renew({})
        clock.advance(5)
    assert not trusts(lease)


def test_who_is_late_declares_nobody_dead_while_another_thread_renews_its_lease():
    clock = VirtualClock()
    lease = new_lease(clock=clock)
    lease.renew({})
    clock.advance(8)
    lease._in_turn.acquire()
    lease.keep({})
    assert trusts(lease)


def test_after_a_renewal_without_an_answer_the_store_is_asked_whose_the_runs_are():
    store = Store()
    lease = new_lease(store)
    lease.renew({})
    store.answer = ConnectionError("the answer is lost")
    with pytest.raises(ConnectionError):
        lease.renew({})
    store.answer = []
    lease.renew({})
    store.answer = None
    lease.renew({})
    assert [in_doubt for _, in_doubt in store.asked] == [False, False, True, False]


def test_a_look_that_a_late_renewal_overtakes_leaves_the_doubt():
    clock = VirtualClock()

    class Slow(Store):
        def rescue(self, *args, **kwargs):
            clock.advance(20)  # the lease is over for the store, so it shows nothing of this node's own …
            found = super().rescue(*args, **kwargs)
            lease.renew({})  # … and another thread renews it before the answer comes
            return found

    lease = new_lease(Slow(), clock)
    lease.renew({})
    lease.doubt()
    lease.rescue(0, {}, ())
    assert lease.in_doubt


def test_after_a_late_renewal_the_node_looks_for_runs_that_it_does_not_know_of():
    clock = VirtualClock()
    lease = new_lease(clock=clock)
    lease.renew({})
    assert not lease.in_doubt
    clock.advance(20)
    lease.renew({})
    assert lease.in_doubt
    lease.rescue(0, {}, ())
    assert not lease.in_doubt


def test_an_answer_dispels_no_doubt_that_came_meanwhile():
    lease = new_lease()
    first = lease.doubt()
    lease.doubt()
    lease.dispel(first)
    assert lease.in_doubt


def test_a_lease_that_has_ended_is_not_renewed_any_more():
    store = Store()
    lease = new_lease(store)
    lease.renew({})
    lease.end([], 0)
    lease.renew({})
    assert len(store.asked) == 1


def test_what_is_lost_is_said_and_what_has_ended_meanwhile_is_not(caplog):
    clock, store = VirtualClock(), Store()
    scheduler = ManualScheduler(jobstores={"default": store}, clock=clock, lease=15)
    scheduler.start()
    scheduler.tick()
    lease = present(present(scheduler._engine).stores["default"].lease)
    run = Run("j", 0, 0)
    for lost, said in (([run], "1 of its runs"), ([], "nobody has taken anything over")):
        store.answer = lost
        lease.renew({("j", 0): run})
        assert said in caplog.text
        caplog.clear()


# ------------------------------------------------------------------------------------------- who works, and who does not


def test_a_node_works_no_more_when_no_pass_has_come_back_for_four_leases():
    scheduler = ManualScheduler(jobstores={"default": Store()}, lease=15)
    scheduler.start()
    scheduler.tick()
    engine = present(scheduler._engine)
    scheduler.clock.advance(60)
    assert engine.works()
    scheduler.clock.advance(0.1)
    assert not engine.works()
    scheduler.tick()
    assert engine.works()


def test_a_node_works_no_more_when_its_host_is_gone_but_a_shutdown_works_without_it():
    scheduler = ManualScheduler(jobstores={"default": Store()}, lease=15)
    scheduler.start()
    scheduler._host_is_alive = lambda: False
    assert not present(scheduler._engine).works()
    scheduler._stop_claiming()
    assert present(scheduler._engine).works()
    scheduler._drain()


def test_in_virtual_time_there_is_no_thread():
    scheduler = ManualScheduler(jobstores={"default": Store()}, lease=15)
    scheduler.start()
    scheduler.tick()
    assert present(scheduler._engine).stores["default"].renewals is None


# ---------------------------------------------------------------------------------------------------------- the thread


class Keeper:
    """Renewals of a short lease, and what they do."""

    def __init__(self):
        self.renewed = threading.Semaphore(0)
        self.works = True
        self.error = None
        self.looked = threading.Event()
        self.lease = Lease(Store(), SYSTEM_CLOCK, GuardedLogger(get_logger("test")), SECOND // 20)
        self.renewals = Renewals(
            self.lease, self.renew, self.does_work, SYSTEM_CLOCK, GuardedLogger(get_logger("test"))
        )

    def does_work(self):
        self.looked.set()
        return self.works

    def renew(self):
        self.renewed.release()
        error, self.error = self.error, None
        if error is not None:
            raise error
        self.lease.renew({})

    def wait_for_renewals(self, count=3):
        for _ in range(count):
            assert self.renewed.acquire(timeout=PATIENCE)


@pytest.fixture
def keeper():
    keeper = Keeper()
    keeper.lease.renew({})
    keeper.renewals.ensure()
    yield keeper
    keeper.renewals.stop()


def test_the_thread_renews_again_and_again(keeper):
    assert keeper.lease.kept
    keeper.wait_for_renewals()
    keeper.renewals.stop()
    assert not keeper.lease.kept


@pytest.mark.parametrize("error", [ConnectionError("away"), SystemExit(3)])
def test_whatever_a_store_raises_the_thread_goes_on(keeper, error):
    keeper.error = error
    keeper.wait_for_renewals(5)


def test_the_thread_ends_when_the_node_does_no_work_and_a_pass_starts_another(keeper):
    keeper.wait_for_renewals()
    keeper.works = False
    join = keeper.renewals._join
    join(PATIENCE)
    assert not keeper.lease.kept
    keeper.works = True
    keeper.renewals.ensure()
    assert keeper.renewals._join is not join
    keeper.renewed = threading.Semaphore(0)
    keeper.wait_for_renewals()


def test_a_lease_that_has_ended_gets_no_thread(keeper):
    keeper.renewals.stop()
    keeper.lease.ended = True
    keeper.renewals.ensure()
    assert not keeper.lease.kept


def test_without_a_thread_the_passes_renew(keeper, monkeypatch):
    def no_thread(name, main):
        raise RuntimeError("can't start new thread")

    keeper.renewals.stop()
    monkeypatch.setattr(renewals_module, "start_thread", no_thread)
    keeper.renewals.ensure()
    assert not keeper.lease.kept
