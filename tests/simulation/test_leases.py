"""Leases and rescue in virtual time: what the simulation has found once, as small stories."""

from __future__ import annotations

from typing import Any

import pytest

from rota.testing import ManualScheduler, VirtualClock
from rota.testing.simulation.arenas import sql
from tests.core.engine_kit import Gate
from tests.needs import need

need("sqlalchemy", "sql")

WORK = "rota.testing.simulation.nodes:work"


class Site:
    """One database, one clock, and any number of nodes; a lease lasts 15 seconds."""

    def __init__(self):
        self.make_store, self.observer = sql()
        self.clock = VirtualClock()

    def node(self, room=1000, **options):
        gate = Gate(room)
        scheduler: Any = ManualScheduler(
            clock=self.clock,
            jobstores={"default": self.make_store()},
            executors={"default": gate},
            lease=15,
            **options,
        )
        scheduler.gate = gate
        scheduler.start()
        return scheduler

    def die(self, scheduler):
        scheduler.gate.held.clear()
        scheduler.state = 0

    def pass_time(self, seconds, *schedulers):
        """Let time pass in steps of a second, with passes of these nodes."""
        for _ in range(seconds):
            self.clock.advance(1)
            for scheduler in schedulers:
                scheduler.tick()

    def statuses(self):
        return sorted((run.status, run.attempt) for run in self.observer.get_runs())


@pytest.fixture
def site():
    return Site()


def fail_once_after(store, method):
    """Let a method do its work and then raise, once: its answer is lost."""
    original = getattr(store, method)

    def lose(*args):
        delattr(store, method)
        original(*args)
        raise ConnectionError("the answer is lost")

    setattr(store, method, lose)


def test_the_runs_of_a_dead_node_are_executed_again_within_its_lease_and_a_renewal(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    assert len(first.gate.held) == 1
    site.die(first)
    site.pass_time(15, second)
    assert second.gate.held == []
    site.pass_time(5, second)
    (entry,) = second.gate.held
    assert entry[0].attempt == 2
    second.gate.release()
    assert site.statuses() == [("succeeded", 2)]


def test_a_living_node_keeps_its_runs_however_long_they_take(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    site.pass_time(120, first, second)
    assert second.gate.held == []
    first.gate.release()
    assert site.statuses() == [("succeeded", 1)]


def test_a_run_that_kills_its_nodes_is_tried_max_attempts_times_and_then_recorded_as_lost(site):
    site.node().add_job(WORK, id="j", max_attempts=2)
    for _ in range(2):
        victim = site.node()
        site.pass_time(25, victim)
        assert len(victim.gate.held) == 1
        site.die(victim)
    last = site.node()
    site.pass_time(25, last)
    assert last.gate.held == []
    assert site.statuses() == [("lost", 2)]


def test_a_run_that_must_not_be_repeated_is_recorded_as_lost(site):
    first, second = site.node(), site.node()
    lost = []
    second.add_listener(lambda event: lost.append(event.job_id), 2**19)
    first.add_job(WORK, id="j", on_lost="lost")
    first.tick()
    site.die(first)
    site.pass_time(25, second)
    assert site.statuses() == [("lost", 1)]
    assert lost == ["j"]


def test_the_outcome_of_a_node_that_overslept_is_refused_and_announced(site):
    first, second = site.node(), site.node()
    refused = []
    first.add_listener(lambda event: refused.append(event.run.attempt), 2**21)
    first.add_job(WORK, id="j")
    first.tick()
    site.pass_time(25, second)
    first.gate.release()
    first.tick()
    assert refused == [1]
    second.gate.release()
    assert site.statuses() == [("succeeded", 2)]


def test_a_node_that_overslept_renews_its_lease_and_goes_on(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, "interval", seconds=100, start_date=site.clock.datetime(), id="j")
    first.tick()
    site.pass_time(25, second)
    site.pass_time(60, first, second)
    assert [run.attempt for run, _ in first.gate.held] == [1]
    assert [run.attempt for run, _ in second.gate.held] == [2], "the run of the time before is another node's"
    second.gate.release()
    site.pass_time(20, first)
    assert [run.attempt for run, _ in first.gate.held] == [1, 1]
    first.gate.release()
    assert site.statuses() == [("succeeded", 1), ("succeeded", 2)]


def test_a_node_whose_machine_slept_renews_its_lease_at_once_and_declares_nobody_dead(site):
    node = site.node()
    node.tick()
    lease = node._engine.states[0].lease
    site.clock.sleep(3)
    node.tick()
    assert lease.renewed_at == site.clock.monotonic()
    assert lease.no_takeover_until == site.clock.monotonic() + lease.length


def test_a_node_that_overslept_alone_keeps_its_runs_and_starts_none_again(site):
    node = site.node()
    node.add_job(WORK, id="j")
    node.tick()
    site.clock.advance(1000)
    site.pass_time(60, node)
    assert [run.attempt for run, _ in node.gate.held] == [1]
    node.gate.release()
    assert site.statuses() == [("succeeded", 1)]


def test_after_an_outage_nobody_is_declared_dead_before_it_had_a_whole_lease_to_renew(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    second.tick()
    site.clock.advance(20)  # neither reaches the store
    site.pass_time(4, second)
    first.tick()
    site.pass_time(60, first, second)
    assert second.gate.held == []
    first.gate.release()
    assert site.statuses() == [("succeeded", 1)]


def test_after_an_outage_a_dead_node_is_noticed_one_lease_later(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    second.tick()
    site.die(first)
    site.clock.advance(20)
    site.pass_time(15, second)
    assert second.gate.held == []
    site.pass_time(6, second)
    assert [run.attempt for run, _ in second.gate.held] == [2]


def test_a_renewal_that_failed_once_is_an_outage_too(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    site.die(first)
    site.pass_time(10, second)
    fail_once_after(second._jobstores["default"], "renew")
    site.pass_time(10, second)
    assert second.gate.held == [], "it would have been taken over after twenty seconds"
    site.pass_time(15, second)
    assert len(second.gate.held) == 1


def test_what_was_given_back_is_taken_at_once_even_after_an_outage(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="given back")
    first.add_job(WORK, id="under way")
    first.tick()
    second.tick()
    site.clock.advance(20)
    first.tick()
    store, lease = first._jobstores["default"], first._engine.stores["default"].lease
    store.leave(
        lease.node, [run for run, _ in first.gate.held if run.job_id == "given back"], site.clock.now()
    )
    second.tick()
    assert [run.job_id for run, _ in second.gate.held] == ["given back"]


def test_what_a_node_executes_it_does_not_take_over_from_the_node_that_took_it(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, id="j")
    first.tick()
    site.pass_time(25, second)
    assert len(second.gate.held) == 1
    site.die(second)
    site.pass_time(60, first)
    assert [run.attempt for run, _ in first.gate.held] == [1]
    first.gate.release()
    site.pass_time(10, first)
    assert [run.attempt for run, _ in first.gate.held] == [3]
    first.gate.release()
    assert site.statuses() == [("succeeded", 3)]


@pytest.mark.parametrize("method", ["claim", "rescue"])
def test_runs_whose_claim_or_rescue_was_answered_by_an_error_are_executed_all_the_same(site, method):
    first, second = site.node(), site.node(room=2)
    second.pause()
    second.add_job(
        WORK, "interval", seconds=1, end_date=site.clock.datetime().replace(second=5), coalesce=False, id="j"
    )
    if method == "rescue":
        site.clock.advance(6)
        first.tick()
        site.die(first)
    else:
        first.shutdown()
        site.clock.advance(6)
    second.resume()
    fail_once_after(second._jobstores["default"], method)
    for _ in range(40):
        site.pass_time(1, second)
        second.gate.release()
    assert {status for status, _ in site.statuses()} == {"succeeded"}
    assert len(site.statuses()) == 5


def test_an_outcome_whose_recording_was_answered_by_an_error_is_recorded_once(site):
    node = site.node()
    executed = []
    node.add_listener(lambda event: executed.append(event.job_id), 2**12)
    node.add_job(WORK, id="j")
    node.tick()
    fail_once_after(node._jobstores["default"], "finish")
    node.gate.release()
    assert executed == []
    site.pass_time(2, node)
    assert executed == ["j"]
    assert site.statuses() == [("succeeded", 1)]


def test_more_is_rescued_as_a_node_has_room_not_once_for_each_renewal(site):
    first, second = site.node(), site.node(room=1)
    second.pause()
    for number in range(8):
        first.add_job(WORK, id=f"j{number}")
    first.tick()
    assert len(first.gate.held) == 8
    site.die(first)
    site.clock.advance(20)
    second.resume()
    for seconds in (5, 3):
        second.tick()
        assert second.gate.held == []  # it has just begun
        site.clock.advance(seconds)
    for _ in range(8):
        second.tick()
        assert len(second.gate.held) == 1
        second.gate.release()
    assert site.statuses() == [("succeeded", 2)] * 8


def test_a_rescued_group_is_not_spread_over_several_nodes(site):
    first, second, third = site.node(), site.node(room=1), site.node(room=5)
    second.pause()
    third.pause()
    first.add_job(WORK, "interval", seconds=1, coalesce=False, id="j")
    site.clock.advance(4)
    first.tick()
    first.pause_job("j")
    site.die(first)
    site.clock.advance(20)
    second.resume()
    third.resume()
    second.tick()
    site.pass_time(12, third, second)
    assert [len(node.gate.held) for node in (second, third)] == [4, 0]


def test_a_node_in_doubt_does_not_take_what_it_has_in_hand_for_something_new(site):
    node = site.node()
    node.add_job(WORK, id="j")
    node.tick()
    site.clock.advance(30)
    fail_once_after(node._jobstores["default"], "rescue")
    site.pass_time(3, node)
    assert len(node.gate.held) == 1
    node.gate.release()
    assert site.statuses() == [("succeeded", 1)]


def test_a_shutdown_gives_back_what_has_not_started_and_others_take_it_at_once(site):
    class Queue(Gate):
        def cancel(self):
            while self.held:
                run, done = self.held.pop(0)
                run.status, run.reason = "cancelled", "cancelled before it started"
                done(run)

    first, second = site.node(), site.node()
    first.gate.__class__ = Queue
    second.pause()
    for number in range(3):
        first.add_job(WORK, id=f"j{number}")
    first.tick()
    first.gate.held[0][0].started_at = site.clock.now()
    first.gate.release(1)
    first.shutdown(wait=False)
    second.resume()
    second.tick()
    assert sorted(run.attempt for run, _ in second.gate.held) == [1, 1]
    second.gate.release()
    assert site.statuses() == [("succeeded", 1)] * 3


def test_max_instances_holds_across_nodes(site):
    first, second = site.node(), site.node()
    first.add_job(WORK, "interval", seconds=1, max_instances=2, id="j")
    site.pass_time(10, first, second)
    assert len(first.gate.held) + len(second.gate.held) == 2


def test_each_node_claims_only_what_it_has_room_for_and_others_take_the_rest(site):
    first, second = site.node(room=2), site.node(room=3)
    for number in range(10):
        first.add_job(WORK, id=str(number))
    site.pass_time(2, first, second)
    assert [len(first.gate.held), len(second.gate.held)] == [2, 3]
    assert len({run.job_id for run, _ in [*first.gate.held, *second.gate.held]}) == 5
