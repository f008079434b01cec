"""The clock of a store's server, as a node measures it: pure, with clocks and servers that the test drives."""

from __future__ import annotations

import pytest

from rota.clock import HOUR, SECOND, Clock
from rota.jobstores.server_clock import Offset, settled

MILLISECOND = SECOND // 1000


class World:
    """The true time, a node whose wall clock is wrong, and a server that answers after a while and rounds down."""

    def __init__(self, node=0, server=0, unit=1, trips=((0, 0),)):
        self.elapsed = 1_800_000_000 * SECOND
        #: by how much the wall clock of the node, and that of the server, are ahead of the true time
        self.node, self.server = node, server
        self.unit = unit
        #: how long (microseconds) requests and answers take, one after another; the last one again and again
        self.trips = list(trips)
        self.asked = 0
        self.clock = NodeClock(self)
        self.offset = Offset(unit)

    def ask(self):
        there, back = self.trips.pop(0) if len(self.trips) > 1 else self.trips[0]
        self.asked += 1
        self.elapsed += there
        told = self.elapsed + self.server
        self.elapsed += back
        return told // self.unit * self.unit

    def measure(self):
        return self.offset.measure(self.ask, self.clock)

    @property
    def error(self):
        """By how much what the node takes for the server's time is ahead of that."""
        return self.offset.now(self.clock) - (self.elapsed + self.server)


class NodeClock(Clock):
    def __init__(self, world):
        self.world = world

    def now(self):
        return self.world.elapsed + self.world.node

    def monotonic(self):
        return self.world.elapsed - 1_799_999_000 * SECOND


def test_before_anything_was_measured_the_nodes_own_clock_counts():
    world = World(node=5 * SECOND)
    assert world.offset.now(world.clock) == world.clock.now()
    assert world.offset.against(world.clock) is None


def test_a_server_that_cannot_tell_leaves_it_at_that():
    world = World(node=5 * SECOND)
    assert world.offset.measure(lambda: None, world.clock) == 0
    assert world.offset.against(world.clock) is None


@pytest.mark.parametrize("node", [0, HOUR, -HOUR, 3 * SECOND])
@pytest.mark.parametrize("server", [0, HOUR, -24 * HOUR])
def test_a_wrong_clock_of_the_node_does_not_count(node, server):
    world = World(node, server)
    assert world.measure() == server - node
    assert world.error == 0
    assert world.offset.against(world.clock) == server - node


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 3 * SECOND, -3 * SECOND])
def test_a_jump_of_the_nodes_clock_changes_nothing_before_and_after_it_is_measured_again(jump):
    world = World()
    world.measure()
    world.node += jump
    assert world.error == 0
    assert world.measure() == 0
    assert world.error == 0


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 3 * SECOND, -3 * SECOND])
def test_a_jump_of_the_servers_clock_counts_once_it_is_measured(jump):
    world = World()
    world.measure()
    world.server += jump
    assert world.error == -jump
    assert world.measure() == jump
    assert world.error == 0


def test_the_answer_with_the_shortest_round_trip_counts():
    slow, quick = (900 * MILLISECOND, 0), (2 * MILLISECOND, 2 * MILLISECOND)
    world = World(trips=[slow, slow, quick, slow])
    world.measure()
    assert world.asked == 5
    assert world.error == 0


def test_one_answer_is_enough_as_long_as_it_does_not_contradict():
    world = World(trips=[(MILLISECOND, MILLISECOND)])
    world.measure()
    asked = world.asked
    world.measure()
    assert world.asked - asked == 1


def test_time_does_not_go_back_by_an_error_of_measurement():
    world = World(
        trips=[(MILLISECOND, MILLISECOND)] * 5 + [(0, 800 * MILLISECOND), (800 * MILLISECOND, 0)] * 20
    )
    world.measure()
    assert world.error == 0
    for _ in range(20):
        assert world.measure() == 0
    assert world.error == 0


def test_clocks_that_drift_apart_are_followed_by_the_smallest_steps():
    world = World(trips=[(MILLISECOND, MILLISECOND)])
    world.measure()
    for _ in range(100):
        world.elapsed += 10 * SECOND
        world.server -= MILLISECOND // 2
        assert -MILLISECOND <= world.measure() <= 0
        assert abs(world.error) <= MILLISECOND


def test_a_server_that_rounds_down_to_milliseconds_is_right_to_one():
    world = World(node=HOUR, unit=MILLISECOND)
    world.elapsed += 999
    world.measure()
    assert abs(world.error) < MILLISECOND


@pytest.mark.parametrize("node", [0, 700 * MILLISECOND, -700 * MILLISECOND])
@pytest.mark.parametrize("fraction", range(0, 1000, 90))
def test_a_node_within_a_second_of_a_server_that_tells_seconds_keeps_its_own_clock(node, fraction):
    world = World(node, unit=SECOND)
    world.elapsed += fraction * MILLISECOND
    for _ in range(10):
        world.measure()
        assert world.offset.now(world.clock) == world.clock.now()
        world.elapsed += 5170 * MILLISECOND


@pytest.mark.parametrize("node", [HOUR, -HOUR, 5 * SECOND, -5 * SECOND])
def test_a_node_further_from_a_server_that_tells_seconds_follows_that_to_the_second(node):
    world = World(node, unit=SECOND)
    world.elapsed += 480 * MILLISECOND
    world.measure()
    for _ in range(10):
        assert abs(world.error) < SECOND
        world.elapsed += 5170 * MILLISECOND
        assert world.measure() <= SECOND


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 5 * SECOND, -5 * SECOND])
def test_a_jump_of_the_nodes_clock_changes_nothing_where_the_server_tells_seconds(jump):
    world = World(unit=SECOND)
    world.measure()
    world.node += jump
    for _ in range(5):
        assert world.error == 0
        world.measure()
        world.elapsed += 5 * SECOND


def test_the_next_offset_is_the_nearest_that_can_be_true_or_the_middle_if_a_clock_was_set():
    assert settled(None, 10, 20) == 15
    assert [settled(ahead, 10, 20) for ahead in (5, 10, 12, 20, 25)] == [10, 10, 12, 20, 20]
    assert settled(HOUR, 10, 20) == settled(-HOUR, 10, 20) == 15
