"""Runs start only with the permission of their node's lease: what lies in a queue while a process stands still, in virtual time."""

from __future__ import annotations

from contextvars import Context
from typing import Any

import pytest

from rota.events import EVENT_ALL
from rota.executors.base import BaseExecutor, NativeExecutor, run_job
from rota.executors.steps import chain, perform
from rota.testing import ManualScheduler, VirtualClock
from rota.testing.simulation.arenas import sql
from tests.needs import need

need("sqlalchemy", "sql")

LEASE = 15
calls = []


def work(node):
    calls.append(node)


class Queue(NativeExecutor):
    """Keeps groups until its only worker takes them, in the steps of every executor."""

    def __init__(self):
        self.groups = []

    @property
    def under_way(self):
        return sum(len(chain(head)) for head, _ in self.groups)

    def submit(self, runs, done):
        self.groups += [(head, done) for head in runs]

    def work(self, count=1000):
        while self.groups and count:
            run, done = self.groups.pop(0)
            count -= 1
            while run is not None:
                then = run.then
                perform(run, Context(), self._clock, self._log)
                self._report(run, done)
                run = then

    def cancel(self):
        while self.groups:
            head, done = self.groups.pop(0)
            for run in chain(head):
                run.cancel()
                perform(run, Context(), self._clock, self._log)
                self._report(run, done)


class Foreign(BaseExecutor):
    """An executor in APScheduler's manner, with one worker."""

    def __init__(self):
        self.waiting = []

    @property
    def under_way(self):
        return len(self.waiting)

    def _do_submit_job(self, job, run_times):
        self.waiting.append((job, run_times))

    def work(self):
        while self.waiting:
            job, run_times = self.waiting.pop(0)
            self._run_job_success(job.id, run_job(job, "default", run_times, "test"))


class Site:
    """One database, one clock, and any number of nodes."""

    def __init__(self):
        self.make_store, self.observer = sql()
        self.clock = VirtualClock()
        self.nodes = 0
        calls.clear()

    def node(self, executor=Queue, **options):
        """Return a started node with its queue and the log of its events."""
        scheduler: Any = ManualScheduler(
            clock=self.clock,
            jobstores={"default": self.make_store()},
            executors={"default": executor()},
            lease=LEASE,
            **options,
        )
        scheduler.queue = scheduler._executors["default"]
        scheduler.events = []
        scheduler.add_listener(lambda event: scheduler.events.append(event.code), EVENT_ALL)
        scheduler.start()
        scheduler.lease = scheduler._engine.states[0].lease
        scheduler.add_jobs_for = lambda count, **options: [
            scheduler.add_job(f"{__name__}:work", args=["work"], id=f"j{number}", **options)
            for number in range(count)
        ]
        return scheduler

    def pass_time(self, seconds, *awake):
        for _ in range(seconds):
            self.clock.advance(1)
            for node in awake:
                node.tick()

    def statuses(self):
        return sorted((run.job_id, run.status, run.attempt) for run in self.observer.get_runs(limit=1000))


@pytest.fixture
def site():
    return Site()


@pytest.mark.parametrize("executor", [Queue, Foreign])
def test_a_woken_node_starts_nothing_of_what_another_one_has_taken_over(site, executor):
    sleeper, other = site.node(executor), site.node(executor)
    sleeper.add_jobs_for(5)
    sleeper.tick()
    assert sleeper.queue.under_way == 5
    site.pass_time(25, other)
    other.queue.work()
    assert len(calls) == 5
    sleeper.events.clear()
    sleeper.queue.work()  # it comes before the first pass
    sleeper.tick()
    sleeper.queue.work()
    assert len(calls) == 5, "taken over, and started here all the same"
    assert sleeper._engine.in_flight == 0
    assert sleeper.events == [], "they have an owner, and it tells what becomes of them"
    other.tick()
    assert site.statuses() == [(f"j{number}", "succeeded", 2) for number in range(5)]


@pytest.mark.parametrize("executor", [Queue, Foreign])
def test_a_woken_node_starts_what_nobody_has_taken_when_its_lease_is_renewed(site, executor):
    node = site.node(executor)
    node.add_jobs_for(3)
    node.tick()
    site.clock.sleep(100)
    node.queue.work()
    assert calls == []
    assert node._engine.in_flight == 3
    node.tick()
    node.queue.work()
    assert len(calls) == 3
    node.tick()
    assert site.statuses() == [(f"j{number}", "succeeded", 1) for number in range(3)]


def test_of_a_queue_only_what_is_still_this_node_s_is_started(site):
    sleeper = site.node()
    other = site.node()
    sleeper.add_jobs_for(4)
    sleeper.tick()
    other.queue.capacity = lambda: 2 - other.queue.under_way
    site.pass_time(22, other)
    assert other.queue.under_way == 2
    sleeper.tick()  # the lease is renewed, and it is known whose they are, before a worker looks
    sleeper.queue.work()
    assert len(calls) == 2
    other.queue.work()
    sleeper.tick()
    other.tick()
    assert [status[1:] for status in site.statuses()].count(("succeeded", 1)) == 2
    assert [status[1:] for status in site.statuses()].count(("succeeded", 2)) == 2
    assert sleeper._engine.in_flight == 0


def test_while_the_database_is_away_queued_runs_wait(site):
    node = site.node(jobstore_retry_interval=2)
    store = node._engine.states[0].store
    node.add_jobs_for(3)
    node.tick()
    renew = store.renew

    def away(*args):
        raise ConnectionError("the database is away")

    store.renew = away
    for _ in range(20):
        site.clock.advance(1)
        node.tick()
    node.queue.work(1)
    for _ in range(10):
        site.clock.advance(1)
        node.tick()
        node.queue.work()
    assert calls == []
    assert node._engine.in_flight == 3
    store.renew = renew
    site.pass_time(12, node)
    node.queue.work()
    assert len(calls) == 3
    node.tick()
    assert [run.status for run in site.observer.get_runs()] == ["succeeded"] * 3


def test_a_shutdown_gives_back_what_waits_for_its_permission(site):
    node, other = site.node(), site.node()
    node.add_jobs_for(3)
    node.tick()
    site.clock.sleep(LEASE)
    node.queue.work()
    other.tick()
    node.shutdown()
    assert calls == []
    other.lease.asked = True
    other.tick()
    other.queue.work()
    other.tick()
    assert site.statuses() == [(f"j{number}", "succeeded", 1) for number in range(3)]


def test_a_shutdown_of_a_node_whose_runs_are_others_changes_nothing(site):
    sleeper, other = site.node(), site.node()
    sleeper.add_jobs_for(3)
    sleeper.tick()
    site.pass_time(25, other)
    sleeper.queue.work()
    sleeper.shutdown()
    other.tick()
    assert other.queue.under_way == 3
    other.queue.work()
    other.tick()
    assert site.statuses() == [(f"j{number}", "succeeded", 2) for number in range(3)]


def test_a_removed_store_gets_back_what_waits_for_its_permission(site):
    node = site.node()
    node.add_jobs_for(2)
    node.tick()
    site.clock.sleep(LEASE)
    node.queue.work()
    node.remove_jobstore("default")
    assert node._engine.in_flight == 0
    assert calls == []
    other = site.node()
    other.tick()
    other.queue.work()
    assert len(calls) == 2


def test_a_claim_that_was_overtaken_before_anybody_knew_of_it_starts_nothing(site):
    """The process stands still between the claim and its runs; the renewal that comes first cannot ask for them."""
    sleeper, other = site.node(), site.node()
    store = sleeper._engine.states[0].store
    claim = store.claim

    def claim_and_stand_still(*args):
        won = claim(*args)
        site.pass_time(25, other)
        sleeper._engine.renew(sleeper._engine.states[0])
        return won

    store.claim = claim_and_stand_still
    sleeper.add_jobs_for(1)
    sleeper.tick()
    store.claim = claim
    sleeper.queue.work()
    sleeper.tick()
    sleeper.queue.work()
    assert calls == []
    assert sleeper._engine.in_flight == 0
    other.queue.work()
    other.tick()
    assert site.statuses() == [("j0", "succeeded", 2)]


def test_times_that_follow_one_another_keep_their_order_when_their_permission_comes_back(site):
    node = site.node()
    node.add_job(
        f"{__name__}:work", "interval", seconds=60, args=["work"], id="j", coalesce=False, max_instances=9
    )
    node.tick()
    site.clock.sleep(200)
    node.tick()
    assert node.queue.under_way == 3
    site.clock.sleep(LEASE)
    node.queue.work()
    node.tick()
    (head, _) = node.queue.groups[0]
    nominals = [run.nominal for run in chain(head)]
    assert len(node.queue.groups) == 1
    assert (len(nominals), nominals) == (3, sorted(nominals))
    node.queue.work()
    assert len(calls) == 3


def test_a_group_leaves_when_a_renewal_that_was_under_way_says_in_the_middle_of_it_that_it_is_anothers(site):
    class Slow(Queue):
        """Its worker takes one member of a group at a time."""

        def step(self):
            head, done = self.groups.pop(0)
            if head.then is not None:
                self.groups.insert(0, (head.then, done))
            perform(head, Context(), self._clock, self._log)
            self._report(head, done)

    sleeper, other = site.node(Slow), site.node()
    sleeper.add_job(
        f"{__name__}:work", "interval", seconds=60, args=["work"], id="j", coalesce=False, max_instances=9
    )
    sleeper.tick()
    site.clock.sleep(200)
    sleeper.tick()
    sleeper.pause_job("j")
    site.clock.sleep(2 * LEASE)
    other.tick()
    site.pass_time(LEASE + 5, other)
    store = sleeper._jobstores["default"]

    def renew(*args):
        del store.renew
        sleeper.queue.step()  # its permission is over: it waits for another one
        return store.renew(*args)

    store.renew = renew
    sleeper.tick()
    sleeper.queue.step()  # these hear at once that another node has them
    sleeper.queue.step()
    sleeper.tick()
    assert sleeper._engine.in_flight == 0
    other.queue.work()
    other.tick()
    assert site.statuses() == [("j", "succeeded", 2)] * 3


def test_runs_of_a_store_without_leases_ask_nobody():
    queue = Queue()
    scheduler = ManualScheduler(executors={"default": queue})
    scheduler.start()
    scheduler.add_job(work, args=["work"])
    scheduler.tick()
    ((run, _),) = queue.groups
    assert run.permission is None
    queue.work()
    scheduler.shutdown()
