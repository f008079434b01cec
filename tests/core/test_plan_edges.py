"""Planning at its edges: both sides of each limit, and what a plan says of the rarer kinds of jobs."""

from __future__ import annotations

import pytest

from rota import work
from rota.clock import HELD, SECOND
from rota.core.plan import (
    AFTER_RUN,
    due_time,
    due_time_of,
    forgotten,
    is_by_hand,
    latest,
    once_more,
    plan,
    quarantine,
    quarantined_instead,
)
from rota.core.states import ACTIVE, MISSED, PAUSED, QUARANTINED, SKIPPED
from rota.errors import TooMuchWorkError
from tests.core.test_plan import START, ListTrigger, at, every, make_job, seconds


def told(decision):
    """Return the nominal times of the runs, and (first, last, count, status, reason) of the records, in seconds."""
    records = [
        (*seconds((record.nominal, record.last)), record.count, record.status, record.reason)
        for record in decision.records
    ]
    return seconds(run.nominal for run in decision.runs), records


# ------------------------------------------------------------------------------------------------------- one time


def test_a_decision_knows_no_error_of_a_job_that_is_well():
    decision = plan(make_job(every(10), START), START)
    assert (decision.error, decision.state, decision.version) == (None, ACTIVE, 7)


def test_a_job_is_due_at_its_time_and_not_a_microsecond_before():
    assert told(plan(make_job(every(10), START), START)) == ([0], [])
    decision = plan(make_job(every(10), START, START + 2), START + 1)
    assert told(decision) == ([], [])
    assert (decision.next_nominal, decision.next_due) == (START, START + 2)


@pytest.mark.parametrize(("nominal", "due"), [(None, None), (START, None), (None, START)])
def test_a_job_without_a_time_is_left_as_it_is(nominal, due):
    job = make_job(every(10), START)
    job.next_nominal, job.next_due = nominal, due
    decision = plan(job, at(5))
    assert told(decision) == ([], [])
    assert (decision.next_nominal, decision.next_due) == (nominal, due)


@pytest.mark.parametrize(
    ("running", "limit", "runs"), [(0, 1, True), (1, 1, False), (2, 1, False), (2, 3, True), (3, 3, False)]
)
def test_a_job_runs_while_fewer_of_its_runs_than_the_limit_are_under_way(running, limit, runs):
    decision = plan(make_job(every(10), START, running=running, max_instances=limit), START)
    assert (bool(decision.runs), not decision.records) == (runs, runs)


def test_the_grace_time_ends_with_its_last_microsecond():
    job = make_job(every(10), START, misfire_grace_time=5)
    assert told(plan(job, at(5))) == ([0], [])
    assert told(plan(job, at(5) + 1)) == ([], [(0, 0, 1, MISSED, "too late")])


def test_of_several_times_the_latest_runs_up_to_the_last_microsecond_of_the_grace_time():
    job = make_job(every(10), START, misfire_grace_time=5)
    assert told(plan(job, at(35))) == ([30], [(0, 20, 3, SKIPPED, "coalesced")])
    assert told(plan(job, at(35) + 1)) == ([], [(0, 30, 4, MISSED, "too late")])


@pytest.mark.parametrize(("late", "missed", "runs"), [(0, 20, [30]), (1, 30, [])])
def test_each_of_several_times_has_its_own_grace_time(late, missed, runs):
    decision = plan(make_job(every(10), START, misfire_grace_time=1, coalesce=False), at(31) + late)
    count = missed // 10 + 1
    assert told(decision) == (runs, [(0, missed, count, MISSED, "too late")])


def test_times_that_are_too_late_are_one_record_whatever_lies_between():
    decision = plan(make_job(every(10), START, misfire_grace_time=1, coalesce=False), at(31.5))
    assert told(decision) == ([], [(0, 30, 4, MISSED, "too late")])


def test_the_next_time_is_owed_from_its_very_microsecond():
    job = make_job(every(10), START)
    assert told(plan(job, at(10) - 1)) == ([0], [])
    assert told(plan(job, at(10))) == ([10], [(0, 0, 1, SKIPPED, "coalesced")])


def test_the_record_of_coalesced_times_ends_with_the_one_before_the_run():
    decision = plan(make_job(ListTrigger([START, START + 1, START + 2]), START), START + 2)
    (record,) = decision.records
    assert (record.nominal, record.last, record.count) == (START, START + 1, 2)
    assert [run.nominal for run in decision.runs] == [START + 2]


def test_a_run_and_a_record_carry_the_job_s_executor_and_its_due_time():
    job = make_job(every(10, jitter=5), START, at(3))
    job.executor = "gpu"
    (run,) = plan(job, at(4)).runs
    assert (run.executor, run.due, run.job, run.job_id) == ("gpu", at(3), job, "j")
    job.running = 1
    (record,) = plan(job, at(4)).records
    assert (record.executor, record.due, record.job, record.finished_at) == ("gpu", at(3), job, at(4))


# ----------------------------------------------------------------------------------------------------------- a group


def test_a_group_holds_a_hundred_runs():
    decision = plan(make_job(every(1), START, coalesce=False), at(250))
    assert seconds(run.nominal for run in decision.runs) == list(range(100))


def test_a_group_whose_rest_is_owed_already_at_this_very_microsecond_holds_the_job():
    job = make_job(every(1), START, coalesce=False)
    assert plan(job, at(100)).next_due == HELD
    assert plan(job, at(100) - 1).next_due == at(100)


def test_a_job_is_held_for_no_group_of_which_nothing_runs():
    decision = plan(make_job(every(1), START, running=1, coalesce=False), at(250))
    assert (decision.next_nominal, decision.next_due) == (at(251), at(251))


def test_a_job_is_not_held_for_a_time_whose_jitter_has_not_passed():
    """Its nominal time is past, and it is due later: it need not wait for the group's end."""
    trigger = ListTrigger([at(0), at(1)], jitter=1000)
    job = make_job(trigger, at(0), coalesce=False)
    due = due_time(job, at(1))
    assert due > at(2)
    decision = plan(job, at(2))
    assert told(decision) == ([0], [])
    assert (decision.next_nominal, decision.next_due) == (at(1), due)
    job = make_job(trigger, at(0), coalesce=False, misfire_grace_time=10**6)
    assert told(plan(job, due - 1)) == ([0], [])
    assert told(plan(job, due)) == ([0, 1], [])


# ------------------------------------------------------------------------------------------------- jitter and spread


@pytest.mark.parametrize("options", [{"jitter": 8}, {"spread": 7}, {"jitter": 8, "spread": 9}], ids=str)
@pytest.mark.parametrize("grace", [None, 1, 6, 15])
@pytest.mark.parametrize("coalesce", [True, False])
def test_what_runs_and_what_is_missed_goes_by_the_due_time_of_each_time(options, grace, coalesce):
    trigger = every(10, **options)
    for tenth in range(300, 500, 7):
        now = at(tenth / 10)
        job = make_job(trigger, START, START, coalesce=coalesce, misfire_grace_time=grace)
        dues = {nominal: due_time_of(job, nominal) for nominal in range(START, now + 1, 10 * SECOND)}
        owed = [nominal for nominal, due in dues.items() if due <= now]
        late = [nominal for nominal in owed if grace is not None and now - dues[nominal] > grace * SECOND]
        decision = plan(job, now)
        runs = [run.nominal for run in decision.runs]
        if coalesce:
            last = max(owed)
            assert runs == ([] if last in late else [last])
            following = last + 10 * SECOND
        else:
            following = next((nominal for nominal, due in dues.items() if due > now), max(dues) + 10 * SECOND)
            assert runs == [nominal for nominal in owed if nominal < following and nominal not in late]
            missed = [nominal for nominal in owed if nominal < following and nominal in late]
            assert sum(record.count for record in decision.records) == len(missed)
        assert [run.due for run in decision.runs] == [dues[nominal] for nominal in runs]
        assert (decision.next_nominal, decision.next_due) == (following, due_time(job, following))


def test_what_jitter_and_spread_add_is_the_same_for_ever():
    """Other nodes, and releases to come, must find the same due times."""
    assert due_time(make_job(every(10, jitter=5), START), START) - START == 3_991_942
    assert due_time(make_job(every(10, spread=10), START), START) - START == 2_080_193
    assert due_time(make_job(every(10, spread=4, jitter=5), START), START) - START == 4_824_019


def test_spread_is_the_same_for_each_time_and_never_reaches_the_next():
    job = make_job(every(10, spread=8), START)
    assert len({due_time(job, nominal) - nominal for nominal in range(START, at(100), 10 * SECOND)}) == 1
    job = make_job(ListTrigger([at(0), at(2), at(50)]), START)
    job.trigger.spread = 40
    first, second, last = (due_time(job, nominal) - nominal for nominal in (at(0), at(2), at(50)))
    assert 0 <= first < 2 * SECOND
    assert second == last
    assert 0 <= second - 20 * first < 20, "the same part of forty seconds as of two"


def test_the_due_time_of_the_pending_time_is_the_one_that_is_stored():
    job = make_job(every(10, jitter=5), START, START + 1)
    assert due_time_of(job, START) == START + 1
    assert due_time_of(job, at(10)) == due_time(job, at(10)) != START + 1
    for due in (None, HELD):
        job.next_due = due
        assert due_time_of(job, START) == due_time(job, START)


@pytest.mark.parametrize(("later", "found"), [(99, True), (100, False)])
def test_a_hundred_later_times_are_looked_at_for_one_whose_jitter_has_passed(later, found):
    """If there is none among them, the pending time runs, or is skipped, alone: it is due for certain."""
    job = make_job(ListTrigger([], jitter=1000), START, START)
    now, due = min((due_time(job, START + n), START + n) for n in range(1, 400))
    waiting = [due + n for n in range(1, 400) if due_time(job, due + n) > now]
    job.trigger.times = [START, due, *waiting[:later]]
    decision = plan(job, now)
    assert [run.nominal for run in decision.runs] == [due if found else START]
    assert [(record.nominal, record.last, record.count) for record in decision.records] == [
        (START, START, 1)
    ] * found
    job.running = 1
    (record,) = plan(job, now).records
    assert (record.nominal, record.last, record.count) == (START, due if found else START, 1 + found)


def test_a_time_that_is_due_among_the_last_hundred_is_found():
    trigger = ListTrigger([START + number for number in range(90)], jitter=1000)
    job = make_job(trigger, START, START)
    now = min(due_time(job, nominal) for nominal in trigger.times[1:])
    (due,) = (nominal for nominal in trigger.times[1:] if due_time(job, nominal) == now)
    assert told(plan(job, now - 1))[0] == [0]
    decision = plan(job, now)
    assert [run.nominal for run in decision.runs] == [due]
    (record,) = decision.records
    assert (record.nominal, record.last, record.count) == (START, due - 1, due - START)


# ----------------------------------------------------------------------------------------- counted from a run's end


def delay(**options):
    return every(60, mode="delay", **options)


def test_a_delay_s_grace_time_ends_with_its_last_microsecond():
    job = make_job(delay(), START, misfire_grace_time=5)
    assert told(plan(job, at(5))) == ([0], [])
    decision = plan(job, at(5) + 1)
    assert told(decision) == ([], [(0, 0, 1, MISSED, "too late")])
    assert decision.next_nominal == decision.next_due == at(65) + 1


def test_a_delay_that_is_late_while_it_runs_is_skipped_once():
    decision = plan(make_job(delay(), START, running=1, misfire_grace_time=5), at(500))
    assert told(decision) == ([], [(0, 0, 1, SKIPPED, "max_instances")])
    assert (decision.next_nominal, decision.next_due) == (AFTER_RUN, HELD)


def test_the_mark_of_a_job_that_waits_for_its_run_is_part_of_what_is_stored():
    assert AFTER_RUN == 0


def test_a_forgotten_time_of_a_delay_is_one_record_and_the_next_is_counted_from_now():
    decision = plan(make_job(delay(), START, forgotten(START, 100 * SECOND)), at(1000))
    assert told(decision) == ([], [(0, 0, 1, MISSED, "older than the ledger remembers")])
    assert decision.next_nominal == at(1060)


# ------------------------------------------------------------------------------------------------------- forgotten


def test_what_is_forgotten_ends_with_the_time_that_is_as_old_as_the_ledger_remembers():
    job = make_job(every(10), START, forgotten(START, 50 * SECOND))
    decision = plan(job, at(100))
    assert told(decision) == ([], [(0, 50, 6, MISSED, "older than the ledger remembers")])
    assert decision.next_nominal == at(60)
    assert decision.records[0].due == START
    assert plan(job, at(100) - 1).next_nominal == at(50)


def test_a_forgotten_time_is_one_even_if_the_clock_is_set_back():
    job = make_job(every(10), START, forgotten(START, 50 * SECOND))
    decision = plan(job, at(20))
    assert told(decision) == ([], [(0, 0, 1, MISSED, "older than the ledger remembers")])


# --------------------------------------------------------------------------------------------------------- by hand


def test_a_run_by_hand_leaves_the_job_as_it_is():
    job = make_job(every(10), at(10), at(12))
    job.state, job.error = QUARANTINED, "no such module"
    decision = once_more(job, at(1))
    assert (decision.next_nominal, decision.next_due) == (at(10), at(12))
    assert (decision.state, decision.error, decision.version) == (QUARANTINED, "no such module", 7)
    job = make_job(every(10), None)
    decision = once_more(job, at(1))
    assert (decision.state, decision.next_nominal, decision.next_due) == (PAUSED, None, None)
    assert decision.records == []


def test_only_the_decision_of_a_run_by_hand_is_one_by_hand():
    job = make_job(every(10), START)
    assert is_by_hand(once_more(job, at(1)))
    assert is_by_hand(plan(job, START)) is False
    assert is_by_hand(quarantine(job, "")) is False


def test_the_key_of_a_run_by_hand_passes_each_time_of_the_job_one_after_another():
    (run,) = once_more(make_job(ListTrigger([START, START + 1]), None), START).runs
    assert run.nominal == START + 2
    (run,) = once_more(make_job(ListTrigger([START, START + 2]), None), START).runs
    assert run.nominal == START + 1


def test_after_a_thousand_microseconds_the_key_of_a_run_by_hand_is_taken_as_it_is():
    (run,) = once_more(make_job(ListTrigger(range(START, START + 5000)), None), START).runs
    assert run.nominal == START + 1000


def test_a_run_by_hand_finds_a_key_however_many_were_asked_for_at_its_instant():
    (run,) = once_more(make_job(every(10), at(10)), START + 1, range(START + 1, START + 4000)).runs
    assert run.nominal == START + 4000


def test_times_that_a_job_only_has_from_its_pending_one_on_are_no_keys_either():
    class FromPending(ListTrigger):
        def after(self, instant, previous=None):
            return None if previous is None else max(instant, previous) + 1

    job = make_job(FromPending([]), START)
    assert once_more(job, START + 5).runs[0].nominal == START + 5 + 1000
    assert once_more(job, START - 5).runs[0].nominal == START - 5


def test_an_interrupt_while_a_trigger_is_asked_is_no_answer():
    class Interrupted(ListTrigger):
        def after(self, instant, previous=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        once_more(make_job(Interrupted([]), None), START)


# -------------------------------------------------------------------------------------------- quarantine, and work


def test_a_decision_that_cannot_be_carried_out_becomes_a_quarantine():
    decision = plan(make_job(every(10), START), at(35))
    assert decision.runs
    assert decision.records
    quarantined_instead(decision, "planning failed")
    assert (decision.runs, decision.records) == ([], [])
    assert (decision.next_nominal, decision.next_due) == (START, None)
    assert (decision.state, decision.error, decision.version) == (QUARANTINED, "planning failed", 7)


class Spender(ListTrigger):
    """Each question to it takes a hundredth of what one call may take."""

    counts_work = True

    def after(self, instant, previous=None):
        work.spend(work.STEPS // 100)
        return super().after(instant, previous)

    def latest(self, first, now):
        work.spend(work.STEPS // 100)
        return super().latest(first, now)


class Uncounted(Spender):
    counts_work = False


def times(number):
    return [START + n * SECOND for n in range(number)]


class HeavySpender(Spender):
    """One question to it takes more than a whole plan may."""

    def after(self, instant, previous=None):
        work.spend(work.STEPS_OF_A_PLAN + 1)
        return super().after(instant, previous)


@pytest.mark.parametrize("options", [{"coalesce": False}, {"due": forgotten(START, 50 * SECOND)}], ids=str)
def test_a_plan_that_asks_for_too_much_work_is_refused(options):
    with pytest.raises(TooMuchWorkError, match="HeavySpender must find its next times"):
        plan(make_job(HeavySpender(times(99)), START, **options), at(98))


def test_only_the_work_of_triggers_that_count_it_is_counted():
    decision = plan(make_job(Uncounted(times(99)), START, coalesce=False), at(98))
    assert len(decision.runs) == 99


def test_what_is_registered_as_a_trigger_and_says_nothing_of_work_counts_none():
    class Registered:
        """Has the methods of a trigger and is none."""

        regular, jitter, spread, follows_end = True, None, None, False

        def after(self, instant, previous=None):
            work.spend(work.STEPS // 2)
            return instant + SECOND

        def latest(self, first, now):
            return now - (now - first) % SECOND, (now - first) // SECOND + 1

    assert len(plan(make_job(Registered(), START, coalesce=False), at(90)).runs) == 91


def test_of_a_range_that_takes_too_much_work_as_many_times_as_could_be_counted_are_found():
    last, count = latest(Spender(times(1000)), START, at(999))
    assert count == (last - START) // SECOND + 1
    assert 50 < count < 110
    assert latest(Uncounted(times(1000)), START, at(999)) == (at(999), 1000)


def test_a_trigger_that_takes_too_much_work_to_count_is_asked_for_one_time_after_another():
    class Uncountable(Spender):
        def latest(self, first, now):
            raise TooMuchWorkError("it has too many")

    assert latest(Uncountable(times(20)), START, at(9)) == (at(9), 10)


def test_the_last_of_some_times_is_the_one_at_the_end_of_the_range_itself():
    trigger = ListTrigger([at(0), at(10), at(20)])
    assert latest(trigger, at(0), at(20)) == (at(20), 3)
    assert latest(trigger, at(0), at(20) - 1) == (at(10), 2)
    assert latest(trigger, at(0), at(10)) == (at(10), 2)
    assert latest(trigger, at(0), at(10) - 1) == (at(0), 1)
    assert latest(trigger, at(20), at(90)) == (at(20), 1)
