"""Walks over the times of custom triggers are taken in parts, and come to what they would come to as a whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from rota.clock import SECOND, instant
from rota.core.plan import forgotten, plan
from rota.core.walks import NotYet, Walks, walks_by_step
from rota.errors import TooMuchWorkError
from rota.testing import ManualScheduler
from rota.triggers.base import BaseTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.rrule import RRuleTrigger
from tests.core.engine_kit import outcomes
from tests.core.test_plan import START, ListTrigger, every, make_job
from tests.present import present


class Steps:
    """How many steps a pass may take."""

    def __init__(self, most):
        self.most = self.left = most

    def __call__(self):
        self.left -= 1
        return self.left > 0


def in_parts(job, now, most):
    """Plan a job in passes of so many steps; time goes on meanwhile. Return the decision and how many passes it took."""
    steps = Steps(most)
    walks = Walks(steps)
    passes = 1
    while True:
        walks.now, steps.left = now + (passes - 1) * SECOND, most
        try:
            return plan(job, walks.time_of(job) if walks else now, walks), passes
        except NotYet:
            passes += 1


def content(decision):
    runs = [(run.nominal, run.due, run.then and run.then.nominal) for run in decision.runs]
    records = [
        (record.nominal, record.last, record.count, record.status, record.reason)
        for record in decision.records
    ]
    return runs, records, decision.next_nominal, decision.next_due, decision.state


@pytest.mark.parametrize("most", [1, 7, 100, 10_000])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"running": 1},
        {"coalesce": False},
        {"coalesce": False, "misfire_grace_time": 20},
        {"misfire_grace_time": 20},
        {"due": forgotten(START, 50 * SECOND)},
    ],
    ids=str,
)
@pytest.mark.parametrize("jitter", [None, 3])
def test_a_plan_in_parts_is_the_plan_as_a_whole(most, options, jitter):
    times = [START + (3 * number + number % 2) * SECOND for number in range(60)]
    now = START + 150 * SECOND
    whole = plan(make_job(ListTrigger(times, jitter), START, **options), now)
    decision, passes = in_parts(make_job(ListTrigger(times, jitter), START, **options), now, most)
    assert content(decision) == content(whole)
    assert (passes == 1) is (most == 10_000) or options == {"coalesce": False} or passes < 100


def test_a_walk_goes_on_where_it_was_and_asks_nothing_twice():
    trigger = ListTrigger([START + number * SECOND for number in range(1000)])
    asked = []
    original = trigger.after
    trigger.after = lambda instant, previous=None: asked.append(instant) or original(instant, previous)
    _, passes = in_parts(make_job(trigger, START), START + 900 * SECOND, 100)
    assert passes == 18
    assert len(asked) <= 2 * 900 + 2 * passes


@pytest.mark.parametrize("change", ["the job", "the clock"])
def test_a_walk_begins_anew_when_its_job_is_changed_or_the_clock_set_back(change):
    steps = Steps(5)
    walks = Walks(steps)
    job = make_job(ListTrigger([START + number * SECOND for number in range(100)]), START)
    walks.now = START + 50 * SECOND
    with pytest.raises(NotYet):
        plan(job, walks.now, walks)
    walks.now += SECOND
    assert walks.time_of(job) == START + 50 * SECOND
    if change == "the job":
        job.version += 1
    else:
        walks.now = START + 20 * SECOND
    assert walks.time_of(job) == walks.now
    assert not walks


def test_a_trigger_that_can_tell_its_times_at_once_is_not_walked_over():
    walks = Walks(lambda: False)
    walks.now = START + 1000 * SECOND
    (run,) = plan(make_job(every(1), START), walks.now, walks).runs
    assert run.nominal == START + 1000 * SECOND


def listed(number):
    return ListTrigger([START + n * SECOND for n in range(number)])


def test_a_walk_takes_one_step_at_least_and_as_many_as_it_may():
    walks = Walks(lambda: False)
    job = make_job(listed(4), START)
    for _ in range(3):
        with pytest.raises(NotYet):
            walks.latest(job, START, START + 3 * SECOND)
    assert walks.latest(job, START, START + 3 * SECOND) == (START + 3 * SECOND, 4)
    assert Walks(lambda: True).latest(job, START, START + 3 * SECOND) == (START + 3 * SECOND, 4)


def test_a_walk_includes_the_end_of_its_range_and_nothing_after_it():
    walks, job = Walks(lambda: True), make_job(listed(4), START)
    assert walks.latest(job, START, START + 2 * SECOND) == (START + 2 * SECOND, 3)
    assert walks.latest(job, START, START + 2 * SECOND - 1) == (START + SECOND, 2)
    assert walks.latest(job, START + SECOND, START + 2 * SECOND) == (START + 2 * SECOND, 2)
    assert walks.latest(job, START, START) == (START, 1)


def test_a_walk_goes_no_farther_than_the_limit(monkeypatch):
    monkeypatch.setattr("rota.core.walks.WALK_LIMIT", 5)
    job = make_job(listed(50), START)
    assert Walks(lambda: True).latest(job, START, START + 40 * SECOND) == (START + 4 * SECOND, 5)


def test_a_walk_that_takes_too_much_work_ends_where_it_is_and_raises_if_it_is_nowhere():
    class Weary(ListTrigger):
        def after(self, instant, previous=None):
            if instant >= self.times[2]:
                raise TooMuchWorkError("enough")
            return super().after(instant, previous)

    job = make_job(Weary(listed(9).times), START)
    walks = Walks(lambda: True)
    assert walks.latest(job, START, START + 8 * SECOND) == (START + 2 * SECOND, 3)
    assert walks.latest(job, START + SECOND, START + 8 * SECOND) == (START + 2 * SECOND, 2)
    with pytest.raises(TooMuchWorkError):
        walks.latest(job, START + 2 * SECOND, START + 8 * SECOND)


def begun(*ids):
    """Return walks of some jobs that are not over, begun one second after the start."""
    walks = Walks(lambda: False)
    walks.now = START + SECOND
    for name in ids:
        job = make_job(listed(9), START)
        job.id = name
        with pytest.raises(NotYet):
            walks.latest(job, START, START + 8 * SECOND)
    return walks


def test_a_job_is_planned_by_the_time_at_which_its_walk_began():
    walks, job = begun("j"), make_job(listed(9), START)
    assert walks
    assert walks.time_of(job) == START + SECOND
    walks.now += 5 * SECOND
    assert walks.time_of(job) == START + SECOND
    other = make_job(listed(9), START)
    other.id = "other"
    assert walks.time_of(other) == START + 6 * SECOND
    walks.now = START + SECOND - 1
    assert walks.time_of(job) == START + SECOND - 1
    assert not walks


def test_the_walks_of_jobs_that_were_planned_or_are_gone_are_forgotten():
    walks, job = begun("a", "b", "c"), make_job(listed(9), START)
    walks.now += SECOND

    def times():
        found = []
        for job.id in "abc":
            found.append((walks.time_of(job) - START) // SECOND)
        return found

    walks.is_over("a")
    walks.is_over("unknown")
    assert times() == [2, 1, 1]
    walks.keep({"b"})
    assert walks
    assert times() == [2, 1, 2]
    walks.keep(())
    assert not walks


def test_walks_that_have_not_begun_are_none():
    assert not Walks(lambda: True)
    assert Walks(lambda: True).now == 0


def test_only_a_trigger_with_no_other_way_is_walked_over():
    class Counted(ListTrigger):
        counts_work = True

    class Knowing(ListTrigger):
        def latest(self, first, now):
            return now, 1

    assert walks_by_step(listed(1))
    assert not walks_by_step(Counted([]))
    assert not walks_by_step(Knowing([]))
    assert not walks_by_step(every(1))
    assert not walks_by_step(object())


def test_a_trigger_with_many_times_to_walk_over_does_not_hold_up_the_others():
    class Secondly(BaseTrigger):
        """Each of its calls takes a millisecond."""

        calls = 0

        def get_next_fire_time(self, previous_fire_time, now):
            self.calls += 1
            scheduler.clock.advance(0.001)
            return (previous_fire_time or now) + timedelta(seconds=1)

        def __str__(self):
            return "each second"

    scheduler = ManualScheduler(timezone="UTC")
    scheduler.start()
    trigger = Secondly()
    scheduler.add_job(int, trigger, id="many")
    scheduler.clock.advance(1000)
    before, most = trigger.calls, 0
    while not scheduler.get_runs("many", "succeeded"):
        since = trigger.calls
        present(scheduler._engine).tick()
        most = max(most, trigger.calls - since)
        scheduler.clock.advance(0.02)
    assert trigger.calls - before > 1900
    assert most <= 30, "a pass went on with the walk, instead of making way for due jobs"
    assert [status for status, _, _ in outcomes(scheduler, "many")] == ["skipped", "succeeded"]
    (skipped,) = scheduler.get_runs("many", "skipped")
    assert skipped.count > 990


def test_a_rule_with_many_times_is_walked_over_in_parts_too_and_comes_to_the_same():
    rule = RRuleTrigger("FREQ=SECONDLY", dtstart=datetime(2026, 1, 1, tzinfo=UTC), timezone="UTC")
    job = make_job(rule, instant(datetime(2026, 1, 2, tzinfo=UTC)))
    now = job.next_nominal + 5000 * SECOND + 1
    found, passes = in_parts(job, now, 1)
    assert content(found) == content(plan(job, now))
    assert passes > 9, "a step has walked over more than some hundred times"


def test_times_that_are_found_by_arithmetic_take_one_part():
    trigger = CronTrigger(second="*", timezone="UTC") & CronTrigger(minute="*/2", timezone="UTC")
    assert trigger.counts_work
    job = make_job(trigger, instant(datetime(2026, 1, 2, tzinfo=UTC)))
    now = job.next_nominal + 5000 * SECOND
    found, passes = in_parts(job, now, 1)
    assert content(found) == content(plan(job, now))
    assert passes == 1


@pytest.mark.parametrize("trigger", ["minus", "or"])
def test_the_times_of_a_combination_are_counted_right_where_many_are_owed(trigger):
    five, fifteen = CronTrigger(minute="*/5", timezone="UTC"), CronTrigger(minute="*/15", timezone="UTC")
    job = make_job(
        five - fifteen if trigger == "minus" else five | fifteen,
        instant(datetime(2026, 1, 2, 0, 5, tzinfo=UTC)),
    )
    now = job.next_nominal + 50 * 3600 * SECOND
    found, _ = in_parts(job, now, 1)
    times = {number * 5 for number in range(1, 601)}
    owed = sum(number % 15 != 0 for number in times) if trigger == "minus" else len(times)
    assert sum(record.count for record in found.records) + len(found.runs) in (owed, owed + 1)
