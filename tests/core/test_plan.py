"""Planning: every nominal time ends in exactly one run or record, and the schedule always moves forward."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from rota.clock import HELD, SECOND
from rota.core.plan import GROUP_LIMIT, due_time, plan, quarantine
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.states import ACTIVE, CLAIMED, ENDED, MISSED, QUARANTINED, SKIPPED
from rota.job import Job
from rota.triggers.base import BaseTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.interval import IntervalTrigger

START = 1_861_920_000 * SECOND  # 2029-01-01


class ListTrigger(BaseTrigger):
    """Fires at the given instants; the port's default methods do the rest."""

    def __init__(self, times, jitter=None):
        self.times = sorted(times)
        self.jitter = jitter

    def get_next_fire_time(self, previous_fire_time, now):
        raise NotImplementedError

    def after(self, instant, previous=None):
        return next((time for time in self.times if time > instant), None)


def make_job(trigger, nominal, due=None, running=0, **options):
    job = Job.__new__(Job)
    job.id, job.name, job.trigger = "j", "j", trigger
    job.policy = with_options(DEFAULT_POLICY, options)
    job.set_next(nominal, due)
    job.running, job.version = running, 7
    return job


def seconds(instants):
    return [(instant - START) / SECOND for instant in instants]


def every(interval, **options):
    return IntervalTrigger(seconds=interval, start_date=datetime(2029, 1, 1, tzinfo=UTC), **options)


def at(second):
    return START + int(second * SECOND)


# ------------------------------------------------------------------------------------------------------- the table

# owed: every 10 s from 0 on. (options, running, now) → (runs, records as (first, last, count, status, reason), next)
TABLE = [
    ("on time", {}, 0, 0, [0], [], 10),
    ("a little late", {}, 0, 9.9, [0], [], 10),
    (
        "coalesced: the latest runs, the others are one record",
        {},
        0,
        35,
        [30],
        [(0, 20, 3, SKIPPED, "coalesced")],
        40,
    ),
    ("coalesced exactly at a nominal time", {}, 0, 30, [30], [(0, 20, 3, SKIPPED, "coalesced")], 40),
    ("each time runs, oldest first", {"coalesce": False}, 0, 35, [0, 10, 20, 30], [], 40),
    ("within the grace time", {"misfire_grace_time": 5}, 0, 5, [0], [], 10),
    ("beyond the grace time", {"misfire_grace_time": 5}, 0, 5.1, [], [(0, 0, 1, MISSED, "too late")], 10),
    (
        "coalesced, and the latest is within the grace time",
        {"misfire_grace_time": 5},
        0,
        34,
        [30],
        [(0, 20, 3, SKIPPED, "coalesced")],
        40,
    ),
    (
        "coalesced, and even the latest is too late",
        {"misfire_grace_time": 5},
        0,
        36,
        [],
        [(0, 30, 4, MISSED, "too late")],
        40,
    ),
    (
        "not coalesced: what is too late is one record, the rest runs",
        {"misfire_grace_time": 15, "coalesce": False},
        0,
        35,
        [20, 30],
        [(0, 10, 2, MISSED, "too late")],
        40,
    ),
    (
        "not coalesced, all too late",
        {"misfire_grace_time": 1, "coalesce": False},
        0,
        35,
        [],
        [(0, 30, 4, MISSED, "too late")],
        40,
    ),
    ("it runs already", {}, 1, 0, [], [(0, 0, 1, SKIPPED, "max_instances")], 10),
    ("it runs already and more is owed", {}, 1, 35, [], [(0, 30, 4, SKIPPED, "max_instances")], 40),
    ("it may run once more", {"max_instances": 2}, 1, 0, [0], [], 10),
]


@pytest.mark.parametrize(
    ("options", "running", "now", "runs", "records", "following"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_what_becomes_of_a_due_job(options, running, now, runs, records, following):
    decision = plan(make_job(every(10), START, running=running, **options), at(now))
    assert seconds(run.nominal for run in decision.runs) == runs
    assert [
        (*seconds((record.nominal, record.last)), record.count, record.status, record.reason)
        for record in decision.records
    ] == records
    assert seconds((decision.next_nominal, decision.next_due)) == [following, following]
    assert decision.state == ACTIVE
    assert decision.version == 7


def test_a_job_that_is_not_due_is_left_as_it_is():
    decision = plan(make_job(every(10), at(10)), at(9))
    assert (decision.runs, decision.records, decision.next_nominal) == ([], [], at(10))


def test_the_schedule_ends_with_its_last_time():
    decision = plan(make_job(ListTrigger([START]), START), START)
    assert [run.nominal for run in decision.runs] == [START]
    assert (decision.state, decision.next_nominal) == (ENDED, None)


def test_a_schedule_whose_last_times_were_missed_ends_with_their_record():
    trigger = ListTrigger([at(0), at(10), at(20)])
    decision = plan(make_job(trigger, at(0), misfire_grace_time=1), at(1000))
    assert (decision.runs, decision.state) == ([], ENDED)
    assert [(record.count, record.status) for record in decision.records] == [(3, MISSED)]


def test_more_missed_times_than_a_group_holds_wait_until_the_group_has_finished():
    decision = plan(make_job(every(1), START, coalesce=False), at(250))
    assert seconds(run.nominal for run in decision.runs) == list(range(GROUP_LIMIT))
    assert (decision.next_nominal, decision.next_due) == (at(100), HELD)


def test_the_runs_of_a_group_follow_each_other_in_order():
    runs = plan(make_job(every(1), START, coalesce=False), at(3)).runs
    assert [run.then for run in runs] == [*runs[1:], None]


def test_a_group_that_holds_all_that_is_owed_does_not_hold_the_job_up():
    decision = plan(make_job(every(1), START, coalesce=False), at(GROUP_LIMIT - 1))
    assert len(decision.runs) == GROUP_LIMIT
    assert decision.next_due == decision.next_nominal == at(GROUP_LIMIT)


def test_a_week_of_missed_seconds_is_planned_by_arithmetic_not_by_counting():
    class Counting(IntervalTrigger):
        asked = 0

        def after(self, instant, previous=None):
            Counting.asked += 1
            return super().after(instant, previous)

    trigger = Counting(seconds=1, start_date=datetime(2029, 1, 1, tzinfo=UTC))
    decision = plan(make_job(trigger, START), at(7 * 86400))
    assert decision.records[0].count == 7 * 86400
    assert Counting.asked < 10


def test_jitter_moves_the_due_time_and_never_the_nominal_time():
    job = make_job(every(10, jitter=5), START)
    dues = [due_time(job, at(10 * n)) - at(10 * n) for n in range(200)]
    assert all(0 <= delay < 5 * SECOND for delay in dues)
    assert len(set(dues)) == 200
    decision = plan(job, at(0))
    assert decision.next_nominal == at(10)
    assert decision.next_due == due_time(job, at(10))


def test_the_due_time_is_the_same_on_every_node():
    first, second = (make_job(every(10, jitter=5), START) for _ in range(2))
    assert due_time(first, at(10)) == due_time(second, at(10))


def test_no_owed_time_runs_before_its_jitter_has_passed():
    job = make_job(
        every(1, jitter=60), START, due_time(make_job(every(1, jitter=60), START), START), coalesce=False
    )
    now = job.next_due
    decision = plan(job, now)
    assert decision.runs
    assert all(run.due <= now for run in decision.runs)
    assert decision.next_due > now


def test_the_grace_time_counts_from_the_due_time():
    job = make_job(every(100, jitter=50), START, at(40), misfire_grace_time=5)
    assert [run.nominal for run in plan(job, at(45)).runs] == [START]
    assert [record.status for record in plan(job, at(46)).records] == [MISSED]


@pytest.mark.parametrize("coalesce", [True, False])
def test_a_first_run_that_its_user_set_beside_the_trigger_s_times_is_counted_too(coalesce):
    job = make_job(CronTrigger(second="*/7", timezone=UTC), at(3), coalesce=coalesce)
    decision = plan(job, at(15))
    if coalesce:
        (record,) = decision.records
        assert (*seconds((record.nominal, record.last)), record.count) == (3, 7, 2)
        assert seconds(run.nominal for run in decision.runs) == [14]
    else:
        assert seconds(run.nominal for run in decision.runs) == [3, 7, 14]


def test_a_trigger_that_raises_is_not_caught_here():
    class Broken(ListTrigger):
        def after(self, instant, previous=None):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        plan(make_job(Broken([START]), START), START)


def test_quarantine_keeps_the_job_s_time_and_says_why():
    decision = quarantine(make_job(every(10), START), "no such module")
    assert (decision.state, decision.error) == (QUARANTINED, "no such module")
    assert (decision.next_nominal, decision.next_due) == (START, None)
    assert decision.runs == decision.records == []


# --------------------------------------------------------------------------------------------------- the properties

POLICIES = st.fixed_dictionaries(
    {
        "coalesce": st.booleans(),
        "misfire_grace_time": st.none() | st.integers(1, 200),
        "max_instances": st.integers(1, 3),
    }
)


def walk(job, steps):
    """Plan again and again, at later and later times; a held group finishes before the next step.

    Yields each decision with the time of it.
    """
    now = START
    for wait, busy in steps:
        now += wait * SECOND
        job.running = busy
        if job.next_due == HELD:
            job.next_due = job.next_nominal
        if job.next_due > now:
            continue
        decision = plan(job, now)
        yield now, decision
        job.set_next(decision.next_nominal, decision.next_due)
        if decision.state == ENDED:
            return


@given(
    times=st.lists(st.integers(0, 2000), min_size=1, max_size=300, unique=True),
    jitter=st.none() | st.integers(1, 100),
    policy=POLICIES,
    steps=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 3)), max_size=30),
)
def test_every_nominal_time_is_in_exactly_one_run_or_record(times, jitter, policy, steps):
    trigger = ListTrigger([at(time) for time in times], jitter)
    first = trigger.times[0]
    job = make_job(trigger, first, **policy)
    job.next_due = due_time(job, first)
    accounted, ended = [], False
    for now, decision in walk(job, steps):
        before = len(accounted)
        for run in decision.runs:
            assert run.status == CLAIMED
            assert run.due <= now
            accounted.append(run.nominal)
        for record in decision.records:
            covered = [time for time in trigger.times if record.nominal <= time <= record.last]
            assert record.count == len(covered)
            assert record.status in (MISSED, SKIPPED)
            accounted.extend(covered)
        accounted.sort()
        assert len(accounted) > before, "a pass over a due job always gets on"
        if decision.state == ENDED:
            ended = True
        else:
            assert decision.next_nominal > accounted[-1]
            assert decision.next_due > now or decision.next_due == HELD
            if decision.next_due == HELD:
                assert decision.runs
        if policy["misfire_grace_time"] is None:
            assert all(record.status == SKIPPED for record in decision.records)
        if policy["coalesce"]:
            assert len(decision.runs) <= 1
    expected = trigger.times if ended else [time for time in trigger.times if time < job.next_nominal]
    assert accounted == expected


@given(
    length=st.integers(1, 5000),
    policy=POLICIES,
    jitter=st.none() | st.floats(0.001, 3),
    steps=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 1)), min_size=1, max_size=20),
)
def test_an_interval_loses_and_repeats_nothing_however_late_it_is(length, policy, jitter, steps):
    trigger = every(length / 100, jitter=jitter)
    interval = trigger.microseconds
    job = make_job(trigger, START, **policy)
    expected = START
    for _, decision in walk(job, steps):
        spans = [(run.nominal, run.nominal, 1) for run in decision.runs]
        spans += [(record.nominal, record.last, record.count) for record in decision.records]
        for first, last, count in sorted(spans):
            assert first == expected
            assert last == first + (count - 1) * interval
            expected = last + interval
        assert decision.next_nominal == expected


@given(
    late=st.integers(0, 10**6),
    grace=st.integers(1, 10**6),
    coalesce=st.booleans(),
)
def test_what_runs_is_never_later_than_the_grace_time_allows(late, grace, coalesce):
    now = at(late / 1000)
    job = make_job(every(7), START, coalesce=coalesce, misfire_grace_time=grace / 1000)
    assume(job.policy.misfire_grace)
    decision = plan(job, now)
    assert all(now - run.due <= job.policy.misfire_grace for run in decision.runs)
    for record in decision.records:
        if record.status == MISSED:
            assert now - record.last > job.policy.misfire_grace
