"""Rule R4: a nominal time is planned only if it has no record, however its job comes back."""

from __future__ import annotations

import pytest

from rota.clock import HELD, SECOND, moment
from rota.core.plan import (
    AFTER_RUN,
    due_time,
    forgotten,
    is_forgotten,
    once_more,
    plan,
    quarantined_instead,
    superseding,
)
from rota.core.recorded import (
    first_nominal,
    firsts_of,
    is_recorded,
    leave_out_recorded,
    next_unrecorded,
    ranges_of,
    standing_from,
)
from rota.core.run import Run
from rota.core.states import ENDED, MISSED, QUARANTINED, SKIPPED, SUCCEEDED
from rota.triggers.date import DateTrigger
from tests.core.test_plan import START, ListTrigger, every, make_job, seconds

DAY = 86_400 * SECOND


def at(second, last=None, status=SUCCEEDED):
    """Return a record of a time, or of a range of times, so many seconds after the start."""
    return (START + second * SECOND, START + (second if last is None else last) * SECOND, status)


def decide(job, second, *recorded):
    decision = plan(job, START + second * SECOND)
    leave_out_recorded(decision, recorded)
    return decision


def ranges(decision):
    return [
        (*seconds([record.nominal, record.last]), record.count, record.status) for record in decision.records
    ]


# ------------------------------------------------------------------------------------------------- at the claim


def test_a_time_that_has_a_record_does_not_run_and_leaves_no_other_and_the_job_moves_on():
    decision = decide(make_job(every(10), START), 5, at(0))
    assert (decision.runs, decision.records) == ([], [])
    assert seconds([decision.next_nominal, decision.next_due]) == [10, 10]


@pytest.mark.parametrize("recorded", [(), (at(0),)])
def test_a_claim_that_has_no_run_left_ends_no_retry(recorded):
    retry = Run("j", START - SECOND, START - SECOND)
    decision = superseding(plan(make_job(every(10), START, running=1), START, free=1), [retry])
    assert decision.superseded == [retry]
    leave_out_recorded(decision, recorded)
    assert (len(decision.runs), bool(decision.superseded)) == ((0, False) if recorded else (1, True))
    quarantined_instead(decision, "wrong")
    assert (decision.state, list(decision.superseded)) == (QUARANTINED, [])


def test_a_claim_that_has_some_of_its_runs_left_ends_a_retry():
    retry = Run("j", START - SECOND, START - SECOND)
    owed = plan(make_job(every(10), START, running=1, coalesce=False), START + 45 * SECOND, free=1)
    decision = superseding(owed, [retry])
    leave_out_recorded(decision, [at(0)])
    assert (len(decision.runs), decision.superseded) == (4, [retry])


def test_a_claim_without_runs_ends_no_retry():
    retry = Run("j", START - SECOND, START - SECOND)
    waiting = plan(make_job(every(10), START, running=1, overlap="buffer_one"), START)
    assert not superseding(waiting, [retry]).superseded


def test_a_date_that_has_a_record_ends_its_job():
    decision = decide(make_job(DateTrigger(moment(START)), START), 5, at(0))
    assert (decision.runs, decision.state) == ([], ENDED)


def test_a_time_beside_a_record_runs():
    decision = decide(
        make_job(every(10), START),
        5,
        at(10),
        (START - 1, START - 1, SUCCEEDED),
        (START + 1, START + 1, SUCCEEDED),
    )
    assert seconds([run.nominal for run in decision.runs]) == [0]


@pytest.mark.parametrize(("second", "runs"), [(10, []), (20, []), (30, []), (40, [40])])
def test_a_range_of_times_that_did_not_run_is_the_record_of_each_of_them(second, runs):
    decision = decide(make_job(every(10), START + second * SECOND), second, at(10, 30, SKIPPED))
    assert seconds([run.nominal for run in decision.runs]) == runs


def test_a_range_says_nothing_of_what_lies_between_its_times():
    decision = decide(make_job(every(10), START + 15 * SECOND), 15, at(0, 30, SKIPPED))
    assert seconds([run.nominal for run in decision.runs]) == [15]


def test_of_several_runs_those_without_a_record_are_executed_one_after_another():
    decision = decide(make_job(every(10), START, coalesce=False), 45, at(0), at(20), at(40))
    assert seconds([run.nominal for run in decision.runs]) == [10, 30]
    first, second = decision.runs
    assert (first.then, second.then) == (second, None)
    assert seconds([decision.next_nominal]) == [50]


def test_a_job_whose_whole_group_has_records_does_not_wait_for_its_end():
    job = make_job(every(1), START, coalesce=False)
    decision = plan(job, START + 500 * SECOND)
    assert decision.next_due == HELD
    leave_out_recorded(decision, [at(second) for second in range(100)])
    assert decision.runs == []
    assert seconds([decision.next_nominal, decision.next_due]) == [100, 100]


def test_a_job_that_counts_from_its_run_is_planned_at_once_if_that_has_a_record():
    decision = decide(make_job(every(10, mode="delay"), START), 5, at(0))
    assert (decision.runs, decision.next_nominal, decision.next_due) == ([], AFTER_RUN, AFTER_RUN)


def test_a_job_that_waits_for_the_end_of_another_run_goes_on_waiting_whatever_has_a_record():
    buffered = make_job(every(10), START, running=1, overlap="buffer_one")
    counted = make_job(every(10, mode="delay"), START, running=1)
    for job in (buffered, counted):
        decision = decide(job, 5, at(0))
        assert (decision.runs, decision.records, decision.next_due) == ([], [], HELD)


def test_of_a_range_the_times_without_a_record_are_recorded_in_pieces():
    decision = decide(make_job(every(10), START), 95, at(0), at(30, 40, MISSED), at(60))
    assert ranges(decision) == [(10, 20, 2, SKIPPED), (50, 50, 1, SKIPPED), (70, 80, 2, SKIPPED)]
    assert {record.reason for record in decision.records} == {"coalesced"}
    assert seconds([run.nominal for run in decision.runs]) == [90]


def test_a_range_that_lies_in_another_is_left_out():
    assert decide(make_job(every(10), START + 20 * SECOND), 45, at(0, 30, SKIPPED)).records == []


@pytest.mark.parametrize(
    ("options", "recorded", "runs", "left"),
    [
        ({}, [at(0, 40, SKIPPED)], [], [(15, 15, 1, SKIPPED)]),
        ({"coalesce": False}, [at(0, 40, SKIPPED)], [15], []),
        ({"running": 1}, [at(0, 40, MISSED)], [], [(15, 15, 1, SKIPPED)]),
        ({"misfire_grace_time": 1}, [at(0, 40, SKIPPED)], [], [(15, 15, 1, MISSED)]),
        ({}, [at(0, 20, SKIPPED)], [40], [(15, 15, 1, SKIPPED), (30, 30, 1, SKIPPED)]),
        ({}, [at(0, 30, SKIPPED)], [40], [(15, 15, 1, SKIPPED)]),
        ({}, [at(0, 40, SKIPPED), at(15)], [], []),
        ({}, [at(0, 20, SKIPPED), at(15, 30, SKIPPED)], [40], []),
        ({}, [at(0, 10, SKIPPED)], [40], [(15, 30, 3, SKIPPED)]),
    ],
    ids=str,
)
def test_a_job_that_is_set_back_between_two_times_of_a_range_has_none_of_them_recorded_again(
    options, recorded, runs, left
):
    trigger = ListTrigger([START + n * SECOND for n in range(0, 100, 10)])
    decision = decide(make_job(trigger, START + 15 * SECOND, **options), 45, *recorded)
    assert seconds([run.nominal for run in decision.runs]) == runs
    assert ranges(decision) == left
    assert seconds([decision.next_nominal, decision.next_due]) == [50, 50]


@pytest.mark.parametrize("then", [[], [101]])
def test_what_a_group_leaves_over_and_has_a_record_is_passed_over_with_it(then):
    trigger = ListTrigger([START + n * SECOND for n in (*range(101), *then)])
    job = make_job(trigger, START + SECOND // 2, coalesce=False)
    decision = decide(job, 100, at(0, 100, SKIPPED))
    assert seconds([run.nominal for run in decision.runs]) == [0.5]
    if then:
        assert (decision.next_nominal, decision.next_due) == (START + 101 * SECOND, HELD)
    else:
        assert (decision.next_nominal, decision.next_due, decision.state) == (None, None, ENDED)


def test_a_range_stays_whole_over_the_key_of_a_run_by_hand():
    decision = decide(make_job(every(10), START), 45, (START + 15 * SECOND, START + 15 * SECOND, SUCCEEDED))
    assert ranges(decision) == [(0, 30, 4, SKIPPED)]


def test_a_trigger_that_raises_when_its_records_are_looked_at_puts_its_own_job_into_quarantine():
    class Moody(ListTrigger):
        broken = False

        def after(self, instant, previous=None):
            if self.broken:
                raise RuntimeError("broken")
            return super().after(instant, previous)

    trigger = Moody([START, START + 10 * SECOND])
    decision = plan(make_job(trigger, START), START + 5 * SECOND)
    trigger.broken = True
    leave_out_recorded(decision, [(START - SECOND, START + SECOND, SKIPPED)])
    assert (decision.runs, decision.records, decision.next_due) == ([], [], None)
    assert (decision.state, decision.error) == (QUARANTINED, "planning failed: RuntimeError: broken")


def test_without_records_a_decision_stays_as_it_is():
    job = make_job(every(10), START, coalesce=False)
    decision = plan(job, START + 25 * SECOND)
    runs, records = decision.runs, decision.records
    leave_out_recorded(decision, [])
    assert (decision.runs, decision.records) == (runs, records)


# ---------------------------------------------------------------------------------------------------- at the door


@pytest.mark.parametrize(
    ("recorded", "following"),
    [
        ([], 0),
        ([at(10)], 0),
        ([at(0)], 10),
        ([at(0), at(10), at(30)], 20),
        ([at(-30, 30, SKIPPED), at(5), at(40)], 50),
    ],
)
def test_the_next_time_is_the_first_without_a_record(recorded, following):
    assert seconds([next_unrecorded(every(10), recorded, START)]) == [following]


def test_a_schedule_all_of_whose_times_have_records_has_no_next_time():
    trigger = ListTrigger([START, START + SECOND])
    assert next_unrecorded(trigger, [at(0), at(1)], START) is None


def test_a_record_stands_for_the_times_of_the_trigger_that_it_spans():
    assert [is_recorded(every(10), at(0, 30), START + second * SECOND) for second in (-10, 0, 10, 11, 30, 40)] == [
        False, True, True, False, True, False,
    ]  # fmt: skip


def micro(first, last=None, status=SKIPPED):
    """Return a record of a time, or of a range of times, so many microseconds after the start."""
    return (START + first, START + (first if last is None else last), status)


def test_the_times_of_a_trigger_may_be_microseconds_apart():
    trigger = ListTrigger([START, START + 1, START + 2, START + 5])
    assert [is_recorded(trigger, micro(0, 5), START + n) for n in range(7)] == [
        True, True, True, False, False, True, False,
    ]  # fmt: skip


def test_the_records_that_count_from_an_instant_on_are_those_that_reach_it_oldest_first():
    records = [at(30), at(0, 20, SKIPPED), at(10), at(0, 19, MISSED), at(20)]
    assert standing_from(records, START + 20 * SECOND) == [at(0, 20, SKIPPED), at(20), at(30)]


# ---------------------------------------------------------------------------------------------- what a decision writes


def test_the_first_time_that_a_decision_writes_is_that_of_a_run_or_of_a_record():
    assert first_nominal(plan(make_job(every(10), START), START)) == START
    assert first_nominal(plan(make_job(every(10), START), START + 35 * SECOND)) == START
    job = make_job(every(10), START, coalesce=False, misfire_grace_time=25)
    assert first_nominal(plan(job, START + 35 * SECOND)) == START
    assert first_nominal(plan(make_job(every(10), START), START - 1)) is None


def test_only_records_of_several_times_are_ranges():
    several = plan(make_job(every(10), START), START + 35 * SECOND)
    one = plan(make_job(every(10), START), START + 15 * SECOND)
    none = plan(make_job(every(10), START), START)
    assert ranges_of([none, several, one]) == [("j", START, START + 20 * SECOND)]


def test_decisions_of_several_times_are_those_that_may_come_back_into_a_range():
    several = plan(make_job(every(10), START), START + 35 * SECOND)
    group = plan(make_job(every(10), START, coalesce=False), START + 15 * SECOND)
    skipped = plan(make_job(every(10), START, running=1), START + 15 * SECOND)
    one = plan(make_job(every(10), START), START)
    missed = plan(make_job(every(10), START, misfire_grace_time=1), START + 5 * SECOND)
    none = plan(make_job(every(10), START), START - 1)
    assert firsts_of([none, several, one, group, skipped, missed]) == [("j", START)] * 3


@pytest.mark.parametrize(("key", "stays"), [(15, True), (20, False)])
def test_a_run_by_hand_stays_inside_a_range_unless_its_very_key_has_a_record(key, stays):
    decision = once_more(make_job(every(10), START + 100 * SECOND), START + 15 * SECOND)
    decision.runs[0].nominal = START + key * SECOND
    leave_out_recorded(decision, [at(0, 90, SKIPPED), at(20)])
    assert bool(decision.runs) is stays


def test_a_run_by_hand_stays_even_at_a_time_of_a_range():
    decision = once_more(make_job(every(10), START + 100 * SECOND), START + 15 * SECOND)
    decision.runs[0].nominal = START + 10 * SECOND
    leave_out_recorded(decision, [at(0, 90, SKIPPED)])
    assert decision.runs


def test_a_range_of_records_takes_out_the_run_at_its_last_time():
    decision = decide(make_job(every(10), START + 30 * SECOND), 30, at(10, 30, SKIPPED))
    assert (decision.runs, decision.next_nominal) == ([], START + 40 * SECOND)


def test_a_group_of_which_something_is_left_goes_on_holding_the_job():
    decision = plan(make_job(every(1), START, coalesce=False), START + 500 * SECOND)
    leave_out_recorded(decision, [at(0)])
    assert (len(decision.runs), decision.next_due) == (99, HELD)
    assert decision.runs[0].then is decision.runs[1]
    assert decision.runs[-1].then is None


def test_a_job_that_is_not_held_keeps_its_due_time_when_its_run_has_a_record():
    job = make_job(every(10, jitter=5), START, START)
    decision = decide(job, 5, at(0))
    assert decision.runs == []
    assert decision.next_due == due_time(job, START + 10 * SECOND) != decision.next_nominal


def test_nothing_is_left_after_a_record_that_reaches_the_end_of_the_schedule():
    trigger = ListTrigger([START + n * SECOND for n in (0, 10, 20, 30, 40)])
    decision = plan(make_job(trigger, START, running=1), START + 45 * SECOND)
    leave_out_recorded(decision, [at(30, 90, SKIPPED), at(40)])
    assert ranges(decision) == [(0, 20, 3, SKIPPED)]
    assert decision.state == ENDED


def test_pieces_carry_status_reason_time_and_due_time_of_what_they_are_of():
    decision = decide(make_job(every(10), START, running=1), 45, at(20))
    assert ranges(decision) == [(0, 10, 2, SKIPPED), (30, 40, 2, SKIPPED)]
    for piece in decision.records:
        assert (piece.reason, piece.finished_at) == ("max_instances", START + 45 * SECOND)
        assert piece.due == piece.nominal


def test_a_record_without_a_reason_or_a_time_has_pieces_without_them():
    decision = plan(make_job(every(10), START, running=1), START + 45 * SECOND)
    decision.records[0].reason = decision.records[0].finished_at = None
    leave_out_recorded(decision, [at(0)])
    (piece,) = decision.records
    assert (piece.reason, piece.finished_at) == ("", 0)


@pytest.mark.parametrize(
    ("recorded", "left"),
    [
        ([at(0)], [(10, 40)]),
        ([at(40)], [(0, 30)]),
        ([at(-10, 0, SKIPPED)], [(10, 40)]),
        ([at(-10, 10, SKIPPED)], [(20, 40)]),
        ([at(40, 60, SKIPPED)], [(0, 30)]),
        ([at(30, 60, SKIPPED)], [(0, 20)]),
        ([at(-10)], [(0, 40)]),
        ([at(50)], [(0, 40)]),
        ([at(-20, -10, SKIPPED), at(50, 60, SKIPPED)], [(0, 40)]),
        ([at(0, 40, SKIPPED)], []),
        ([at(-10, 50, SKIPPED)], []),
        ([at(0, 20, SKIPPED), at(10, 30, SKIPPED)], [(40, 40)]),
        ([at(10, 20, SKIPPED), at(10), at(20)], [(0, 0), (30, 40)]),
        ([at(-5, 15, SKIPPED)], [(0, 40)]),  # these count from other times
        ([at(15, 25, SKIPPED)], [(0, 40)]),
        ([at(11, 19, SKIPPED)], [(0, 40)]),
    ],
    ids=str,
)
def test_what_is_left_of_a_range_beside_the_records_in_it(recorded, left):
    decision = decide(make_job(every(10), START, running=1), 45, *recorded)
    assert [(first, last) for first, last, _, _ in ranges(decision)] == left
    assert [count for _, _, count, _ in ranges(decision)] == [
        (last - first) // 10 + 1 for first, last in left
    ]


@pytest.mark.parametrize(
    ("recorded", "left"),
    [
        ([at(-5, 15, SKIPPED)], [(20, 40)]),
        ([at(15, 25, SKIPPED)], [(0, 10), (30, 40)]),
        ([at(35, 90, SKIPPED)], [(0, 30)]),
        ([at(41, 90, SKIPPED)], [(0, 40)]),
        ([at(-90, -1, SKIPPED)], [(0, 40)]),
    ],
    ids=str,
)
def test_a_record_whose_ends_are_no_times_of_the_trigger_stands_for_those_between_them(recorded, left):
    trigger = ListTrigger([START + n * SECOND for n in (-10, 0, 10, 20, 30, 40, 50)])
    decision = plan(make_job(trigger, START, running=1), START + 45 * SECOND)
    leave_out_recorded(decision, recorded)
    assert [(first, last) for first, last, _, _ in ranges(decision)] == left


@pytest.mark.parametrize(
    ("recorded", "left"),
    [
        ([micro(1)], [(0, 0), (2, 4)]),
        ([micro(0), micro(4)], [(1, 3)]),
        ([micro(1, 2)], [(0, 0), (3, 4)]),
        ([micro(3, 9)], [(0, 2)]),
        ([micro(-3, 1)], [(2, 4)]),
    ],
    ids=str,
)
def test_pieces_of_times_that_are_microseconds_apart(recorded, left):
    trigger = ListTrigger([START + n for n in range(5)])
    decision = plan(make_job(trigger, START, running=1), START + 4)
    leave_out_recorded(decision, recorded)
    assert [(record.nominal - START, record.last - START) for record in decision.records] == left


def test_an_interrupt_while_records_are_looked_at_is_no_error_of_the_trigger():
    class Interrupted(ListTrigger):
        broken = False

        def after(self, instant, previous=None):
            if self.broken:
                raise KeyboardInterrupt
            return super().after(instant, previous)

    trigger = Interrupted([START, START + SECOND])
    decision = plan(make_job(trigger, START), START)
    trigger.broken = True
    with pytest.raises(KeyboardInterrupt):
        leave_out_recorded(decision, [(START - SECOND, START + SECOND, SKIPPED)])


# ------------------------------------------------------------------------------------ older than the ledger remembers


def test_a_time_is_forgotten_when_the_ledger_keeps_its_records_for_a_shorter_time():
    assert is_forgotten(START, START + DAY + 1, DAY)
    assert not is_forgotten(START, START + DAY, DAY)
    assert not is_forgotten(START, START + 1000 * DAY, None)


def test_a_date_that_is_forgotten_is_recorded_as_missed_and_does_not_run():
    decision = plan(make_job(DateTrigger(moment(START)), START, forgotten(START, DAY)), START + 2 * DAY)
    assert (decision.runs, decision.state) == ([], ENDED)
    assert ranges(decision) == [(0, 0, 1, MISSED)]
    (record,) = decision.records
    assert (record.reason, record.due) == ("older than the ledger remembers", START)


def test_of_a_forgotten_schedule_the_times_that_the_ledger_remembers_are_planned():
    job = make_job(every(3600), START, forgotten(START, DAY))
    decision = plan(job, START + 2 * DAY)
    assert ranges(decision) == [(0, 86_400, 25, MISSED)]
    assert seconds([decision.next_nominal, decision.next_due]) == [90_000, 90_000]


def test_a_job_that_is_stored_and_late_runs_however_old_its_time_is():
    decision = plan(make_job(DateTrigger(moment(START)), START), START + 1000 * DAY)
    assert seconds([run.nominal for run in decision.runs]) == [0]


def test_the_mark_of_a_forgotten_time_is_no_due_time_that_a_job_can_have():
    job = make_job(every(10), START, forgotten(START, DAY))
    assert job.next_due < due_time(job, START)
    assert job.next_run_time == moment(START)


# -------------------------------------------------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("now", "taken", "key"),
    [
        (START + 1, (), START + 1),
        (START, (), START + 1),
        (START - 1, (), START - 1),
        (START - 1, (START - 1,), START + 1),
        (START + 1, (START + 1, START + 2), START + 3),
    ],
)
def test_the_key_of_a_run_by_hand_has_no_record_and_is_no_time_of_the_job(now, taken, key):
    (run,) = once_more(make_job(every(10), START + 10 * SECOND), now, taken).runs
    assert (run.nominal, run.due, run.origin) == (key, now, "manual")


def test_the_key_of_a_run_by_hand_is_not_the_time_that_its_user_has_set():
    (run,) = once_more(make_job(every(10), START + 7), START + 7).runs
    assert run.nominal == START + 8
    later = START + 7 + 10 * SECOND  # on the grid that begins at that time
    (run,) = once_more(make_job(every(10), START + 7), later).runs
    assert run.nominal == later + 1


def test_a_trigger_that_raises_or_fires_all_the_time_hinders_no_run_by_hand():
    class Broken(ListTrigger):
        def after(self, instant, previous=None):
            raise RuntimeError("broken")

    (run,) = once_more(make_job(Broken([]), None), START).runs
    assert run.nominal == START
    (run,) = once_more(make_job(ListTrigger(range(START, START + 5000)), None), START).runs
    assert run.nominal >= START
