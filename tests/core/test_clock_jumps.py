"""Clocks that are wrong or are set, of nodes and of a store's server: no time runs twice, none is lost, and intervals go on."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from rota.clock import DAY, HOUR, MINUTE, SECOND, instant
from rota.jobstores.memory import MemoryJobStore
from rota.testing import ManualScheduler, VirtualClock
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.core.engine_kit import FlakyStore, names, started
from tests.present import present

START = instant(VirtualClock().datetime())


FOUR = pytest.param(4, marks=pytest.mark.slow)


class World:
    """Nodes with a clock each, which time passes for alike, on one store whose server may have a clock of its own.

    :param nodes: how many
    :param serves: whether the server has a clock; else all nodes are on one machine, whose clock is theirs
    """

    def __init__(self, nodes=1, serves=True):
        from sqlalchemy import create_engine
        from sqlalchemy.pool import StaticPool

        self.serves = serves
        #: by how much the server's clock is ahead, and how much time has passed
        self.shift = self.passed = 0
        self.ran = []
        _ran.clear()
        shared = VirtualClock()
        self.clocks = [VirtualClock() if serves else shared for _ in range(nodes)]
        self.engine = create_engine(
            "sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False}
        )
        self.nodes = [
            ManualScheduler(clock=clock, jobstores={"default": served(self)}, lease=15)
            for clock in self.clocks
        ]
        for node in self.nodes:
            node.start()

    @property
    def now(self):
        return (START + self.passed + self.shift) if self.serves else self.clocks[0].now()

    def set(self, seconds, node=None):
        """Set the clock that counts, or that of a node."""
        if node is not None:
            self.clocks[node].set(self.clocks[node].now() + seconds * SECOND)
        elif self.serves:
            self.shift += seconds * SECOND
        else:
            self.clocks[0].set(self.clocks[0].now() + seconds * SECOND)

    def pass_time(self, seconds, step=1):
        """Let time pass; return how many runs there were."""
        before = len(_ran)
        for _ in range(int(seconds / step)):
            for clock in {id(clock): clock for clock in self.clocks}.values():
                clock.advance(step)
            self.passed += int(step * SECOND)
            for node in self.nodes:
                node.run_pending()
        return len(_ran) - before

    def check(self):
        """Check that nothing ran twice, and that the ledger says of everything that ran that it did."""
        assert max(Counter(_ran).values(), default=0) <= 1
        runs = self.nodes[0].get_runs(limit=100_000)
        assert sorted(_ran) == sorted((run.job_id, run.nominal) for run in runs if run.status == "succeeded")

    def close(self):
        for node in self.nodes:
            node.shutdown()
        self.engine.dispose()


def served(world):
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    class Served(SQLAlchemyJobStore):
        """A store whose server's clock is the world's."""

        def now(self):
            return world.now

        @property
        def clock_offset(self):
            return world.now - self.clock.now()

    return (Served if world.serves else SQLAlchemyJobStore)(engine=world.engine, keep_runs=None)


_ran = []


def work():
    from rota.executors.base import current_run

    run = current_run()
    _ran.append((run.job_id, run.nominal))


@pytest.fixture
def make_world():
    worlds = []

    def make(*args, **options):
        worlds.append(World(*args, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


# ------------------------------------------------------------------------------- nodes whose clocks are wrong or set


@pytest.mark.thorough
@pytest.mark.parametrize("sign", [1, -1])
def test_a_nodes_own_jump_changes_nothing_where_the_server_has_a_clock(make_world, sign):
    world = make_world(nodes=2)
    world.nodes[0].add_job(work, "interval", seconds=10, id="interval")
    world.nodes[0].add_job(work, "cron", second="*/15", id="cron")
    ran = [world.pass_time(30, step=5)]
    for node, amount in ((0, 3), (1, -3600), (0, -6), (1, 90_000)):
        world.set(sign * amount, node)
        ran.append(world.pass_time(30, step=5))
    assert ran == [6, 5, 5, 5, 5]
    expected = {("interval", START + n * 10 * SECOND) for n in range(1, 16)}
    expected |= {("cron", START + n * 15 * SECOND) for n in range(11)}
    assert set(_ran) == expected
    world.check()


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_jobs_of_a_node_whose_clock_is_wrong_begin_by_the_servers(make_world, wrong):
    world = make_world(nodes=2)
    world.set(wrong // SECOND, 0)
    node = world.nodes[0]
    node.add_job(work, id="now")
    node.add_job(work, "interval", seconds=10, id="name")
    node.add_job(work, IntervalTrigger(seconds=10, now=node.clock.now()), id="object")
    node.add_job(work, "interval", seconds=10, first="now", id="first")
    node.add_job(work, "interval", minutes=1, first="aligned", id="aligned")
    node.add_job(
        work, "date", run_date=node.clock.datetime() - timedelta(microseconds=wrong - 5 * SECOND), id="date"
    )
    added = node.add_jobs([{"func": work, "trigger": "interval", "seconds": 20, "id": "several"}])
    node.reschedule_job("name", trigger="interval", seconds=30)
    times = {job.id: job.next_nominal - START for job in (*node.get_jobs(), *added)}
    assert times == {
        "now": 0,
        "name": 30 * SECOND,
        "object": 10 * SECOND,
        "first": 0,
        "aligned": 0,
        "date": 5 * SECOND,
        "several": 20 * SECOND,
    }
    world.pass_time(10)
    assert sorted(_ran) == [
        ("aligned", START),
        ("date", START + 5 * SECOND),
        ("first", START),
        ("first", START + 10 * SECOND),
        ("now", START),
        ("object", START + 10 * SECOND),
    ]


def test_jobs_that_waited_for_the_start_begin_by_the_servers_clock_too(make_world):
    world = make_world()
    node = ManualScheduler(clock=VirtualClock(), jobstores={"default": served(world)})
    node.clock.advance(hours=1)
    node.add_job(work, "interval", seconds=10, id="interval")
    node.add_job(work, id="once")
    node.start()
    assert {job.id: job.next_nominal for job in node.get_jobs()} == {
        "interval": START + 10 * SECOND,
        "once": START,
    }
    node.shutdown()


@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_a_job_is_resumed_from_the_servers_time_on(make_world, wrong):
    world = make_world()
    node = world.nodes[0]
    node.add_job(work, "cron", minute="*", id="job")
    node.pause_job("job")
    world.set(wrong // SECOND, 0)
    node.resume_job("job")
    assert node.get_job("job").next_nominal == START
    node.run_job("job")
    assert [run.nominal for run in node.get_runs("job")] == [START + 1]


@pytest.mark.thorough
@pytest.mark.parametrize("wrong", [-HOUR, HOUR])
def test_lateness_is_judged_by_the_servers_clock(make_world, wrong):
    world = make_world(nodes=2)
    world.set(wrong // SECOND, 0)
    for number, options in enumerate(({"misfire_grace_time": 5}, {"expires": 5})):
        world.nodes[0].add_job(work, "interval", seconds=10, id=f"job{number}", **options)
    assert world.pass_time(30) == 6
    assert {run.status for run in world.nodes[0].get_runs()} == {"succeeded"}
    assert all(run.started_at == run.nominal for run in world.nodes[0].get_runs())


# --------------------------------------------------------------------------------------- the clock that counts is set


@pytest.mark.thorough
@pytest.mark.parametrize("serves", [True, False], ids=["server", "machine"])
@pytest.mark.parametrize("nodes", [1, FOUR])
def test_after_the_clock_was_set_back_intervals_go_on(make_world, serves, nodes):
    world = make_world(nodes, serves)
    world.nodes[0].add_job(work, "interval", seconds=10, id="interval")
    assert world.pass_time(60, step=5) == 6
    for back in (3, 40, 40, 90_000):
        world.set(-back)
        assert 5 <= world.pass_time(60, step=5) <= 6
        world.check()
    world.nodes[0].remove_job("interval")


@pytest.mark.thorough
@pytest.mark.parametrize("serves", [True, False], ids=["server", "machine"])
@pytest.mark.parametrize("nodes", [1, FOUR])
def test_after_the_clock_was_set_forward_nothing_comes_in_a_burst(make_world, serves, nodes):
    world = make_world(nodes, serves)
    world.nodes[0].add_job(work, "interval", seconds=10, id="interval")
    world.pass_time(60, step=5)
    for ahead in (3, 3, 90_000):
        world.set(ahead)
        assert 6 <= world.pass_time(60, step=5) <= 7
        world.check()
    recorded = sum(run.count for run in world.nodes[0].get_runs("interval", limit=1000))
    assert recorded == (world.now - START) // (10 * SECOND)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("serves", [True, False], ids=["server", "machine"])
def test_clocks_that_are_set_again_and_again_cost_no_time(make_world, serves, seed):
    rng = random.Random(seed)
    world = make_world(4, serves)
    world.nodes[0].add_job(work, "interval", seconds=10, id="interval")
    world.nodes[0].add_job(work, "cron", minute="*", id="cron")
    furthest = seen = world.now
    for _ in range(12):
        before = len(_ran)
        world.pass_time(30, step=5)
        furthest = max(furthest, world.now)
        intervals = sum(1 for id, _ in _ran[before:] if id == "interval")
        assert 2 <= intervals <= 4, f"{intervals} runs in three intervals"
        jump = rng.choice((1, -1)) * rng.choice((3, 15, 61, 3600, 7 * 3600))
        if world.serves and rng.random() < 0.5:
            world.set(jump, rng.randrange(4))
        else:
            world.set(jump)
    world.check()
    # The schedule of a calendar is in the ledger once, up to the latest time that there was; before the first, nothing.
    runs = world.nodes[0].get_runs("cron", limit=100_000)
    assert sum(run.count for run in runs) == (furthest - seen) // MINUTE + 1
    assert {run.status for run in runs} <= {"succeeded", "skipped"}


@pytest.mark.thorough
def test_a_time_without_a_record_is_taken_as_it_is_and_one_with_a_record_lets_the_schedule_move(make_world):
    world = make_world()
    world.nodes[0].add_job(work, "interval", seconds=10, id="job")
    world.pass_time(60)
    world.set(-DAY // SECOND)
    world.pass_time(60)
    yesterday = START - DAY
    assert [nominal for _, nominal in _ran[6:]] == [yesterday + n * 10 * SECOND for n in range(7, 13)]
    world.set(-30)
    world.pass_time(60)
    assert [nominal for _, nominal in _ran[12:]] == [yesterday + n * 10 * SECOND + 1 for n in range(10, 15)]
    world.check()


@pytest.mark.thorough
def test_an_interval_goes_on_beside_records_that_it_meets_later(make_world):
    world = make_world()
    world.nodes[0].add_job(work, "interval", seconds=10, id="job")
    world.pass_time(60)
    world.set(-100)  # before its first record
    assert world.pass_time(121) == 12
    world.check()


@pytest.mark.parametrize("nodes", [1, FOUR])
def test_each_job_is_moved_once_by_one_node(make_world, nodes):
    world = make_world(nodes)
    for number in range(5):
        world.nodes[0].add_job(work, "interval", seconds=10, id=f"job{number}")
    world.pass_time(10)
    before = {job.id: job.version for job in world.nodes[0].get_jobs()}
    world.set(-3600)
    for node in world.nodes:
        node.run_pending()
    assert [job.next_nominal - world.now for job in world.nodes[0].get_jobs()] == [10 * SECOND] * 5
    versions = {job.id: job.version for job in world.nodes[-1].get_jobs()}
    assert len(set(versions.values()) & set(before.values())) == 0
    for node in world.nodes:
        node.run_pending()
    assert versions == {job.id: job.version for job in world.nodes[0].get_jobs()}


def test_what_waits_for_a_time_that_was_given_goes_on_waiting(make_world):
    world = make_world()
    node, later = world.nodes[0], VirtualClock().datetime() + timedelta(minutes=5)
    node.add_job(work, "interval", seconds=10, start_date=later, id="start")
    node.add_job(work, "interval", seconds=10, id="next", next_run_time=later)
    node.add_job(work, "interval", seconds=10, id="changed")
    node.add_job(work, "cron", minute=5, id="cron")
    world.pass_time(20)
    node.modify_job("changed", next_run_time=later)
    before = {job.id: job.next_nominal for job in node.get_jobs()}
    world.set(-60)
    world.pass_time(30)
    assert {job.id: job.next_nominal for job in node.get_jobs()} == before


def test_a_first_time_that_is_one_interval_away_stays_that_in_memory():
    scheduler, _ = started()
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", minutes=10, id="job")
    scheduler.advance(minutes=4)
    scheduler.clock.set(scheduler.clock.datetime() - timedelta(hours=1))
    scheduler.run_pending()
    scheduler.advance(minutes=10)
    assert ran


@pytest.mark.thorough
def test_an_interval_that_counts_from_the_end_goes_on_too(make_world):
    world = make_world()
    world.nodes[0].add_job(work, "interval", seconds=10, mode="delay", id="job")
    world.pass_time(60)
    world.set(-3600)
    assert world.pass_time(60) >= 5
    world.check()


@pytest.mark.thorough
@pytest.mark.parametrize("first", [61, 3600])
def test_a_clock_that_is_set_back_again_before_the_next_time_stops_no_interval(make_world, first):
    world = make_world(1)
    world.nodes[0].add_job(work, "interval", seconds=30, id="job")
    world.pass_time(95)
    for seconds in (first, 3600):
        world.set(-seconds)
        world.nodes[0].run_pending()
    assert world.pass_time(301) == 10


@pytest.mark.parametrize("serves", [True, False], ids=["server", "machine"])
@pytest.mark.parametrize("nodes", [1, FOUR])
@pytest.mark.parametrize("days", [0, 7])
def test_a_clock_that_is_put_right_just_after_a_run_does_not_bring_its_time_again(
    make_world, serves, nodes, days
):
    world = make_world(nodes, serves)
    world.nodes[0].add_job(work, "interval", hours=1, first="now", id="job")
    assert world.pass_time(3600, step=600) == 2
    world.pass_time(5, step=5)
    world.set(-20 - days * 86_400)
    assert world.pass_time(3600, step=600) == 0
    assert world.pass_time(20, step=20) == 1
    world.check()


@pytest.mark.parametrize(("minutes", "kept"), [(3, True), (70, False)])
def test_a_clock_that_is_weeks_ahead_forgets_nothing_if_it_is_put_right_within_the_hour(
    tmp_path, minutes, kept
):
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"})
    scheduler.start()
    scheduler.add_job(work, "interval", days=365, first="now", id="job")
    scheduler.advance(minutes=2)
    scheduler.clock.set(scheduler.clock.now() + 40 * DAY)
    scheduler.advance(minutes=minutes)
    scheduler.clock.set(scheduler.clock.now() - 40 * DAY)
    scheduler.advance(minutes=5)
    assert bool(scheduler.get_runs("job")) == kept
    scheduler.shutdown()


@pytest.mark.parametrize("mode", ["rate", "delay"])
def test_after_the_clock_was_set_back_while_no_scheduler_ran_intervals_go_on(tmp_path, caplog, mode):
    clock = VirtualClock()

    def start():
        scheduler = ManualScheduler(
            clock=clock, jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"}
        )
        scheduler.start()
        return scheduler

    scheduler = start()
    scheduler.add_job(work, "interval", seconds=30, mode=mode, id="job")
    scheduler.advance(seconds=95)
    scheduler.shutdown()
    clock.set(clock.now() - DAY)
    scheduler = start()
    scheduler.advance(minutes=5)
    assert len(scheduler.get_runs("job")) == 13
    assert "the clock was set back while no scheduler was there" in caplog.text
    scheduler.shutdown()


def test_a_job_that_is_removed_while_the_others_are_moved_hinders_nobody():
    class Removing(MemoryJobStore):
        def recorded(self, since):
            if "gone" in since:
                self.remove_job("gone")
            return super().recorded(since)

    scheduler, _ = started(jobstores={"default": Removing()})
    for id in ("gone", "stays"):
        scheduler.add_job(int, "interval", seconds=10, id=id)
    scheduler.advance(seconds=30)
    scheduler.clock.set(scheduler.clock.datetime() - timedelta(hours=1))
    scheduler.run_pending()
    assert [job.id for job in scheduler.get_jobs()] == ["stays"]
    assert scheduler.get_job("stays").next_nominal - scheduler.clock.now() <= 10 * SECOND


def test_a_store_that_fails_while_jobs_are_moved_has_them_moved_later():
    class Store(FlakyStore):
        def save_job(self, job, version):
            self._fail("save_job")
            return super().save_job(job, version)

    store = Store()
    scheduler, log = started(jobstores={"default": store})
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", seconds=10, id="job")
    scheduler.advance(seconds=30)
    store.broken = {"save_job"}
    scheduler.clock.set(scheduler.clock.datetime() - timedelta(hours=1))
    scheduler.run_pending()
    assert "SCHEDULER_DEGRADED" in names(log)
    store.broken = set()
    ran.clear()
    scheduler.advance(seconds=60)
    assert len(ran) >= 5


@pytest.mark.thorough
@pytest.mark.parametrize("serves", [True, False])
def test_a_job_with_very_many_records_of_a_time_that_has_not_come_goes_on_when_the_clock_is_set_back(
    make_world, serves
):
    world = make_world(nodes=1, serves=serves)
    world.nodes[0].add_job(work, "interval", seconds=1, id="j")
    world.pass_time(2)
    world.set(3600)
    world.pass_time(1100)
    world.set(-3600)
    assert world.pass_time(20) >= 18
    world.check()


def test_a_node_that_has_not_seen_the_servers_clock_set_back_runs_nothing_again_that_another_one_has_moved(
    tmp_path,
):
    """It takes the time that has passed for owed, until it asks the server."""
    from rota.jobstores.sqlalchemy import SQLAlchemyJobStore

    shift = 0
    clocks = [VirtualClock(), VirtualClock()]

    class Server(SQLAlchemyJobStore):
        """A store that knows the time of its server as it was when it was measured."""

        has_clock = True
        ahead = 0

        def now(self):
            return self.clock.now() + self.ahead

        @property
        def clock_offset(self):
            return self.ahead

        def measure_clock(self):
            before, self.ahead = self.ahead, shift
            return shift - before

    nodes = [
        ManualScheduler(clock=clock, jobstores={"default": Server(f"sqlite:///{tmp_path}/jobs")}, lease=15)
        for clock in clocks
    ]
    for node in nodes:
        node.start()
    _ran.clear()
    nodes[0].add_job(work, "interval", seconds=1, id="j", coalesce=False, max_instances=100)

    def pass_time(seconds, *some):
        for _ in range(seconds):
            for clock in clocks:
                clock.advance(1)
            for node in some:
                node.run_pending()

    pass_time(5, *nodes)
    shift = 60 * SECOND
    for node in nodes:
        present(node._jobstores["default"]).measure_clock()
    pass_time(7, *nodes)
    shift = 0
    present(nodes[0]._jobstores["default"]).measure_clock()  # it renews its lease first
    before = len(_ran)
    pass_time(1, nodes[0])
    nodes[1].run_pending()
    pass_time(3, *reversed(nodes))
    assert len(_ran) - before <= 5, "the minute was executed again"
    pass_time(20, *nodes)
    assert len(_ran) - before >= 22
    assert max(Counter(_ran).values()) == 1
    for node in nodes:
        node.shutdown()


# --------------------------------------------------------------------------------------------- when it is measured


class Measured(FlakyStore):
    """A store whose server has a clock; it notes when that is measured."""

    measured = 0
    has_clock = True

    def measure_clock(self):
        self.measured += 1
        self._fail("measure")
        return 0


def test_after_an_outage_the_clock_is_measured_before_anything_is_claimed():
    store = Measured()
    scheduler, _ = started(jobstores={"default": store})
    ran = []
    scheduler.add_job(lambda: ran.append(1), "interval", seconds=10, id="job")
    scheduler.advance(seconds=10)
    store.broken = {"due"}
    scheduler.advance(seconds=10)
    assert store.measured == 0 or store.tries
    store.broken, store.measured = {"measure"}, 0
    scheduler.advance(seconds=60)
    assert store.measured
    assert len(ran) == 1
    store.broken = set()
    scheduler.advance(seconds=60)
    assert len(ran) > 1


@pytest.mark.parametrize("what", ["suspended", "asleep", "set"])
def test_after_a_suspension_the_clock_is_measured_before_anything_is_claimed(what):
    store = Measured()
    scheduler, _ = started(jobstores={"default": store})
    scheduler._engine.slice = 30
    scheduler.add_job(int, "interval", hours=1, id="job")
    scheduler.run_pending()
    store.measured = 0
    scheduler.clock.advance(29)
    scheduler.tick()
    assert store.measured == 0
    if what == "suspended":
        scheduler.clock.advance(60)
    elif what == "asleep":
        scheduler.clock.sleep(20)
    else:
        scheduler.clock.set(scheduler.clock.datetime() + timedelta(seconds=20))
    scheduler.tick()
    assert store.measured == 1
    scheduler.clock.advance(1)
    scheduler.tick()
    assert store.measured == 1


def test_a_trigger_without_a_start_of_its_own_can_be_moved_and_one_with_a_start_cannot():
    given = IntervalTrigger(seconds=10, start_date=VirtualClock().datetime())
    assert given.moved(HOUR) is given
    assert IntervalTrigger(seconds=10, now=START).moved(HOUR).first(0) == START + 10 * SECOND + HOUR
    aligned = IntervalTrigger(minutes=25, first="aligned", now=START + 1)
    assert (present(aligned.moved(HOUR).first(0)) - present(aligned.first(0))) % (25 * MINUTE) == 0
    dated = DateTrigger(VirtualClock().datetime())
    assert dated.moved(HOUR) is dated
    assert DateTrigger(now=START).moved(-HOUR).first(0) == START - HOUR
