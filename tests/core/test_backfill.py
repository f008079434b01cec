"""Which times of a job are missing, which of them one step opens, and what is left of the records of several times."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from rota.clock import FIRST_SHOWN, HELD, LAST_SHOWN, SECOND, instant, moment
from rota.core.backfill import (
    FEW,
    LOOKED_AT,
    MOST,
    OPENED,
    OUT_OF_ONE,
    WAIT_AT_ONCE,
    Backfill,
    backfill_of,
    is_missing,
    is_of,
    is_wanted,
    last_instant,
    meets_backfill,
    openings,
    record_for,
    times_from,
    wanted_among,
)
from rota.core.extras import BACKFILL, RERUN, Extra
from rota.core.openings import WALKED, Cut, by_run, cut_of, opened_again, stands_for
from rota.core.plan import due_time, record_of
from rota.core.run import Run
from rota.core.states import (
    CANCELLED,
    CLAIMED,
    END_STATES,
    FAILED,
    LOST,
    MANUAL,
    MISSED,
    PAUSED,
    SKIPPED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    end,
)
from rota.testing.contracts.store_jobs import START, BrokenTrigger, make_job
from rota.triggers.base import BaseTrigger
from rota.triggers.cron import CronTrigger
from rota.triggers.date import DateTrigger
from rota.triggers.interval import IntervalTrigger
from tests.core.test_plan import ListTrigger

MINUTE = 60 * SECOND
NOW = START + 100_000 * MINUTE


def job_of(**attributes):
    return make_job(due=None, **attributes)


def at(minute):
    return START + minute * MINUTE


def record(first, last=None, status=SKIPPED, reason="paused", started=None, extra=None):
    last = first if last is None else last
    found = record_of(job_of(), at(first), at(last), last - first + 1, status, reason, NOW)
    found.started_at = started
    if extra is not None:
        found.extra = extra
    return found


def spans(records):
    return [((each.nominal - START) // MINUTE, (each.last - START) // MINUTE, each.count) for each in records]


# ------------------------------------------------------------------------------------------------------------- missing


@pytest.mark.parametrize("reason", ["max_instances", "coalesced", "paused", "on hold", "too late"])
def test_a_time_that_the_schedule_has_left_out_is_missing(reason):
    assert is_missing(record(0, reason=reason))
    assert not is_missing(record(0, reason=reason, started=NOW))  # the job has said so itself


@pytest.mark.parametrize("reason", ["too late", "expired", "older than the ledger remembers", None])
def test_a_missed_time_is_missing(reason):
    assert is_missing(record(0, status=MISSED, reason=reason))


@pytest.mark.parametrize("reason", [None, "nothing to do", "Paused", "skipped ahead"])
def test_what_a_job_has_skipped_itself_is_not_missing(reason):
    assert not is_missing(record(0, reason=reason))


def test_a_time_without_a_record_is_missing_and_one_that_has_ended_otherwise_is_not():
    assert is_missing(None)
    for status in set(END_STATES) - {MISSED, SKIPPED}:
        assert not is_missing(record(0, status=status, reason="paused"))
    for status in (CLAIMED, WAITING):
        run = Run("job", START, START)
        run.status = status
        assert not is_missing(run)


@pytest.mark.parametrize("status", [SUCCEEDED, FAILED, LOST, TIMED_OUT, CANCELLED, MISSED, SKIPPED])
def test_every_time_that_has_ended_runs_again_once_if_that_is_wanted(status):
    every = Backfill(START, NOW, NOW, only_missing=False)
    assert is_wanted(record(0, status=status, reason=None), every)
    done = Extra()
    done.backfill = NOW
    assert not is_wanted(record(0, status=status, extra=done), every)
    done.backfill = NOW - 1
    assert is_wanted(record(0, status=status, extra=done), every)
    assert is_wanted(None, every)


@pytest.mark.parametrize("status", [CLAIMED, WAITING])
@pytest.mark.parametrize("only_missing", [True, False])
def test_what_has_not_ended_is_left_alone(status, only_missing):
    run = Run("job", START, START)
    run.status = status
    assert not is_wanted(run, Backfill(START, NOW, NOW, only_missing))


def test_times_to_come_and_those_that_the_schedule_owes_are_not_missing():
    assert last_instant(make_job(due=at(5)), at(10)) == at(5) - 1
    assert last_instant(make_job(due=at(50)), at(10)) == at(10)
    assert last_instant(job_of(), at(10)) == at(10)
    paused = make_job(due=at(5))
    paused.state = PAUSED
    assert last_instant(paused, at(10)) == at(10)


# --------------------------------------------------------------------------------------------------------------- times


def test_times_are_looked_at_in_steps():
    job = job_of()
    times, following = times_from(job, at(0), at(LOOKED_AT + 5))
    assert (len(times), times[0], following) == (LOOKED_AT, at(0), at(LOOKED_AT - 1) + 1)
    times, following = times_from(job, following, at(LOOKED_AT + 5))
    assert ([(time - START) // MINUTE for time in times], following) == (
        list(range(LOOKED_AT, LOOKED_AT + 6)),
        at(LOOKED_AT + 5) + 1,
    )


def test_both_ends_of_a_range_belong_to_it():
    assert times_from(job_of(), at(1), at(3))[0] == [at(1), at(2), at(3)]
    assert times_from(job_of(), at(1) + 1, at(3) - 1)[0] == [at(2)]
    assert times_from(job_of(), at(3), at(1)) == ([], at(1) + 1)


def test_a_step_ends_early_if_it_may_not_go_on_and_does_something_all_the_same():
    assert times_from(job_of(), at(0), at(9), lambda: False) == ([at(0)], at(0) + 1)


def test_the_times_of_a_date_are_its_one():
    job = job_of(trigger=DateTrigger(moment(START)))
    assert times_from(job, at(-10), at(10))[0] == [START]
    assert times_from(job, at(1), at(10))[0] == []


def test_times_that_the_clocks_repeat_or_leave_out_are_those_of_the_schedule():
    zone = ZoneInfo("Europe/Berlin")
    for day in (datetime(2026, 3, 29, tzinfo=zone), datetime(2026, 10, 25, tzinfo=zone)):
        job = job_of(trigger=CronTrigger(hour=2, minute=30, timezone=zone))
        first, last = instant(day), instant(day + timedelta(days=1))
        times, _ = times_from(job, first, last)
        assert times == [
            instant(each) for each in job.trigger.occurrences(day, day + timedelta(days=1)) if each.hour
        ]


def test_a_trigger_that_raises_raises():
    with pytest.raises(RuntimeError):
        times_from(job_of(trigger=BrokenTrigger()), START, NOW)


# ---------------------------------------------------------------------------------------------------------------- cuts


@pytest.mark.parametrize(
    ("times", "left"),
    [
        ([0], [(1, 9, 9)]),
        ([9], [(0, 8, 9)]),
        ([4], [(0, 3, 4), (5, 9, 5)]),
        ([1], [(0, 0, 1), (2, 9, 8)]),
        ([8], [(0, 7, 8), (9, 9, 1)]),
        ([0, 1, 2], [(3, 9, 7)]),
        ([3, 4], [(0, 2, 3), (5, 9, 5)]),
        (list(range(10)), []),
    ],
)
def test_what_is_left_of_a_record_stands_for_all_its_other_times(times, left):
    found = record(0, 9)
    cut = cut_of(job_of(), found, [at(time) for time in times])
    assert spans(cut.left) == left
    for piece in cut.left:
        assert (piece.status, piece.reason, piece.finished_at, piece.job) == (SKIPPED, "paused", NOW, None)
    assert sum(piece.count for piece in cut.left) + len(times) == 10
    assert spans([found]) == [(0, 9, 10)]
    assert cut.splits


def test_a_cut_of_a_record_of_one_time_leaves_nothing():
    cut = Cut(record(3))
    assert (cut.left, cut.splits) == ([], False)
    assert cut_of(job_of(), record(3), [at(3)]).left == []


def test_the_pieces_of_a_record_of_another_schedule_hold_all_its_times():
    hourly = job_of(trigger=IntervalTrigger(hours=1, start_date=moment(START), timezone="UTC"))
    found = record(0, 90)
    cut = cut_of(hourly, found, [at(60)])
    assert [(piece.nominal, piece.last) for piece in cut.left] == [(at(0), at(60) - 1), (at(60) + 1, at(90))]
    assert sum(piece.count for piece in cut.left) == found.count - 1
    gone = job_of(trigger=DateTrigger(moment(at(4))))
    cut = cut_of(gone, record(0, 9), [at(4)])
    assert [(piece.nominal, piece.last) for piece in cut.left] == [(at(0), at(4) - 1), (at(4) + 1, at(9))]
    assert sum(piece.count for piece in cut.left) == 9


def test_many_times_of_a_trigger_that_has_to_be_asked_for_each_are_not_walked_over():
    class Slow(BaseTrigger):
        timezone, asked = UTC, 0

        def get_next_fire_time(self, previous, now):
            Slow.asked += 1
            found = moment(START + -(-(instant(now) - START) // MINUTE) * MINUTE)
            return found if previous is None or found > previous else previous + timedelta(minutes=1)

    found = record(0, 90_000)
    job = job_of()
    job.trigger = Slow()
    cut = cut_of(job, found, [at(0), at(1)])
    assert spans(cut.left) == [(2, 90_000, 89_999)]
    assert Slow.asked < 10


def test_a_cut_knows_what_was_looked_at_though_the_record_changes_in_its_place():
    found = record(0, 9)
    cut = cut_of(job_of(), found, [at(4)])
    assert cut.is_same(found)
    for name, value in (("status", FAILED), ("attempt", 2), ("last", at(8)), ("count", 9)):
        before = getattr(found, name)
        setattr(found, name, value)
        assert not cut.is_same(found)
        setattr(found, name, before)
    assert not cut.is_same(None)


def test_runs_are_those_of_the_cut_whose_record_stands_for_them():
    job = job_of()
    first, second = record(0, 4), record(7, 9)
    runs = [opened_again(job, first, at(2), NOW), opened_again(job, second, at(9), NOW)]
    runs.append(Run("other", at(2), at(2)))
    runs.append(Run("job", at(5), at(5)))
    cuts = [cut_of(job, first, [at(2)]), cut_of(job, second, [at(9)])]
    assert by_run(cuts, runs) == {("job", at(2)): cuts[0], ("job", at(9)): cuts[1]}


def test_a_record_of_two_times_is_split_and_so_is_one_that_reaches_further_than_its_first_time():
    assert Cut(record(0, 1)).splits
    two = record(0, 1)
    two.last = two.nominal
    assert Cut(two).splits
    far = record(0, 1)
    far.count = 1
    assert Cut(far).splits


def test_a_cut_covers_the_times_of_its_record_from_the_first_to_the_last():
    cut = Cut(record(2, 4))
    covered = [time for time in range(7) if cut.covers(Run("job", at(time), at(time)))]
    assert covered == [2, 3, 4]
    assert repr(cut) == f"<Cut {cut.found.id} 0>"


@pytest.mark.parametrize(("count", "walked"), [(WALKED, True), (WALKED + 1, False)])
def test_so_many_times_of_such_a_trigger_are_walked_over_and_no_more(count, walked):
    class Slow(BaseTrigger):
        timezone, asked = UTC, 0

        def get_next_fire_time(self, previous, now):
            Slow.asked += 1
            found = moment(START + -(-(instant(now) - START) // MINUTE) * MINUTE)
            return found if previous is None or found > previous else previous + timedelta(minutes=1)

    job = job_of()
    job.trigger = Slow()
    cut_of(job, record(0, count - 1), [at(0)])
    assert (Slow.asked > WALKED) == walked
    assert WALKED == 1000


def test_a_record_of_fewer_times_than_its_trigger_has_there_keeps_its_count():
    found = record(0, 9)
    found.count = 4  # the schedule had other times then
    cut = cut_of(job_of(), found, [at(9)])
    assert [piece.count for piece in cut.left] == [3]
    cut = cut_of(job_of(), found, [at(5)])
    assert [piece.count for piece in cut.left] == [2, 1]
    found.count = 2
    cut = cut_of(job_of(), found, [at(5)])
    assert [piece.count for piece in cut.left] == [1, 1]


def test_a_piece_reaches_up_to_the_microsecond_before_what_is_taken_out():
    job = job_of(trigger=ListTrigger([START, START + 1, START + 2]))
    found = record_of(job, START, START + 2, 3, SKIPPED, "paused", NOW)
    (piece,) = cut_of(job, found, [START + 2]).left
    assert (piece.nominal, piece.last, piece.count) == (START, START + 1, 2)


def test_the_due_times_of_pieces_are_those_of_their_times():
    found = record(0, 9)
    found.due = START + 7
    before, after = cut_of(job_of(), found, [at(4)]).left
    assert (before.due, after.due) == (START + 7, at(5))


def test_a_run_in_the_place_of_one_time_of_several_has_the_due_time_of_that_time():
    found = record(0, 9)
    found.due = START + 7
    assert [opened_again(job_of(), found, at(time), NOW).due for time in (0, 4)] == [START + 7, at(4)]
    found.due = HELD
    assert opened_again(job_of(), found, at(0), NOW).due == at(0)


def test_a_run_in_the_place_of_another_knows_what_that_was_started_by():
    found = record(3, status=FAILED, reason=None)
    found.extra = Extra(MANUAL)
    found.extra.parent, found.extra.kwargs = "other@0#1", {"x": 1}
    run = opened_again(job_of(), found, at(3), NOW, BACKFILL)
    assert (run.extra.parent, run.extra.kwargs, run.extra.waiting_for) == ("other@0#1", {"x": 1}, BACKFILL)
    assert (run.extra.succeeded_at, run.extra.not_before) == (None, NOW)
    assert opened_again(job_of(), record(3), at(3), NOW).extra.succeeded_at is None


def test_a_record_of_several_stands_for_times_of_the_trigger():
    found = record(0, 9)
    assert stands_for(job_of(), found, at(5))
    assert not stands_for(job_of(), found, at(5) + 1)
    assert stands_for(None, found, at(5) + 1)
    assert not stands_for(job_of(), found, at(10))
    assert not stands_for(None, found, at(10))
    assert [stands_for(None, found, at(time)) for time in (-1, 0, 9)] == [False, True, True]


def test_what_is_opened_again_begins_anew_and_keeps_what_it_was():
    job = job_of()
    found = record(3, status=SUCCEEDED, reason=None)
    found.attempt, found.extra = 4, Extra(MANUAL)
    found.extra.args, found.extra.key = (1,), "once"
    run = opened_again(job, found, at(3), NOW)
    assert (run.status, run.attempt, run.tries, run.origin) == (WAITING, 4, 0, MANUAL)
    assert (run.extra.waiting_for, run.extra.asked_at, run.extra.args) == (RERUN, NOW, (1,))
    assert (run.extra.succeeded_at, run.extra.key) == (NOW, None)
    end(run, FAILED, None, NOW)
    assert opened_again(job, run, at(3), NOW + 1).extra.succeeded_at == NOW


# ------------------------------------------------------------------------------------------------------------ one step


def step(times, records, backfill=None, job=None, **more):
    backfill = backfill or Backfill(START, NOW, NOW)
    return openings(job or job_of(), [at(time) for time in times], records, backfill, NOW, **more)


def test_missing_times_become_waiting_runs():
    done = record(1, status=SUCCEEDED, reason=None)
    runs, cuts, reached = step(range(4), [done, record(2)])
    assert [(run.nominal, run.attempt, run.origin) for run in runs] == [
        (at(0), 0, BACKFILL),
        (at(2), 1, "schedule"),
        (at(3), 0, BACKFILL),
    ]
    for run in runs:
        assert (run.status, run.extra.waiting_for, run.tries) == (WAITING, BACKFILL, 0)
        assert (run.extra.not_before, run.extra.asked_at, run.extra.backfill) == (NOW, NOW, NOW)
    assert [cut.found.nominal for cut in cuts] == [at(2)]
    assert reached is None


@pytest.mark.parametrize("chain", [True, False])
def test_whether_the_runs_of_a_backfill_start_others_is_the_backfill_s_to_say(chain):
    runs, _, _ = step(range(2), [record(1)], Backfill(START, NOW, NOW, chain=chain))
    assert [run.extra.unchained for run in runs] == [not chain] * 2


def test_a_time_stands_in_the_first_record_that_has_it():
    first, second = record(0, 5), record(2, 5, reason="own")
    assert record_for(job_of(), [first, second], [at(3)]) == {at(3): first}


def test_a_run_is_of_the_backfill_that_has_opened_it():
    (run,), _, _ = step(range(1), [], Backfill(START, NOW, NOW - 1))
    assert is_of(run)
    assert is_of(run, Backfill(START, NOW, NOW - 1))
    assert not is_of(run, Backfill(START, NOW, NOW))


def test_how_much_one_step_does_is_bounded():
    assert (LOOKED_AT, OPENED, OUT_OF_ONE, WAIT_AT_ONCE, FEW, MOST) == (1000, 100, 20, 200, 100, 1_000_000)


def test_one_step_opens_so_many_runs_and_says_where_to_go_on():
    runs, _, reached = step(range(10), [], most=4)
    assert ([run.nominal for run in runs], reached) == ([at(0), at(1), at(2), at(3)], at(4))
    runs, _, reached = step(range(4), [], most=4)
    assert (len(runs), reached) == (4, None)


def test_one_step_takes_some_times_out_of_one_record():
    runs, (cut,), reached = step(range(100), [record(10, 80)])
    assert len(runs) == 10 + OUT_OF_ONE
    assert (spans(cut.left), reached) == ([(30, 80, 51)], at(30))
    runs, (cut,), reached = step(range(5, 25), [record(0, 24)])
    assert (len(runs), spans(cut.left), reached) == (OUT_OF_ONE, [(0, 4, 5)], None)


def test_several_records_are_cut_in_one_step():
    runs, cuts, reached = step(range(12), [record(6, 11), record(0, 3)])
    assert [run.nominal for run in runs] == [at(time) for time in range(12)]
    assert [(cut.found.nominal, spans(cut.left)) for cut in cuts] == [(at(0), []), (at(6), [])]
    assert reached is None


def test_runs_by_hand_among_the_times_are_no_times():
    by_hand = Run("job", at(2) + 7, at(2))
    by_hand.status = SUCCEEDED
    runs, cuts, _ = step(range(4), [by_hand, record(0, 3)])
    assert (len(runs), len(cuts)) == (4, 1)


def test_the_due_time_of_a_run_has_the_jitter_of_its_time():
    trigger = IntervalTrigger(minutes=1, start_date=moment(START), timezone="UTC", jitter=30)
    job = job_of(trigger=trigger)
    runs, _, _ = step(range(5), [record(1)], job=job)
    assert [run.due for run in runs if run.nominal != at(1)] == [
        due_time(job, at(time)) for time in (0, 2, 3, 4)
    ]


def test_counting_and_opening_agree():
    records = [record(0, 30), record(40, status=SUCCEEDED, reason=None), record(50, reason="own")]
    times = [at(time) for time in range(100)]
    wanted = wanted_among(job_of(), times, records, Backfill(START, NOW, NOW))
    assert wanted == [at(time) for time in range(100) if time not in (40, 50)]


# ------------------------------------------------------------------------------------------------------ what is stored


def test_what_is_left_of_a_backfill_comes_back_from_its_text():
    left = (
        Backfill(START, NOW, NOW + 5, only_missing=False, chain=False).from_(START + 9, 3).from_(START + 9, 4)
    )
    assert left.passed == 7
    found = backfill_of(left.text())
    assert found is not None
    assert [getattr(found, name) for name in Backfill.__slots__] == [
        getattr(left, name) for name in Backfill.__slots__
    ]
    assert not found.is_over
    assert not found.from_(NOW).is_over
    assert found.from_(NOW + 1).is_over


def test_unless_it_is_said_only_missing_times_run_and_start_the_jobs_after_theirs():
    left = Backfill(START, NOW, NOW)
    assert (left.only_missing, left.chain) == (True, True)


@pytest.mark.parametrize(
    ("name", "value", "is_sound"),
    [
        ("start", FIRST_SHOWN, True),
        ("start", FIRST_SHOWN - 1, False),
        ("end", LAST_SHOWN + 1, True),
        ("end", LAST_SHOWN + 2, False),
        ("next", None, False),
        ("next", 1.5, False),
        ("asked_at", True, False),
        ("only_missing", 1, False),
        ("chain", None, False),
        ("chain", False, True),
        ("passed", 0, True),
        ("passed", -1, False),
        ("passed", 2**70, True),
        ("passed", 1.5, False),
        ("passed", True, False),
        ("passed", None, False),
    ],
)
def test_each_part_of_a_stored_backfill_is_looked_at(name, value, is_sound):
    values = {**json.loads(Backfill(START, NOW, NOW).text()), name: value}
    found = backfill_of(json.dumps(values))
    assert (found is not None) == is_sound
    assert not is_sound or getattr(found, name) == value


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "null", '{"start": 1}', Backfill(1, 2, 3).text().replace("1", '"1"'), "[" * 5000]
)
def test_what_is_damaged_is_no_backfill(text):
    assert backfill_of(text) is None


def test_of_a_backfill_of_an_earlier_version_no_times_were_counted():
    values = json.loads(Backfill(START, NOW, NOW).from_(START, 5).text())
    del values["passed"]
    found = backfill_of(json.dumps(values))
    assert found is not None
    assert found.passed == 0


@pytest.mark.parametrize(("more", "is_too_long"), [(0, False), (1, True), (2**70, True)])
def test_no_backfill_comes_to_more_times_than_may_be_asked_for(more, is_too_long):
    left = Backfill(START, NOW, NOW).from_(START, MOST + more)
    assert left.is_too_long == is_too_long
    found = backfill_of(left.text())
    assert found is not None
    assert found.is_too_long == is_too_long


def test_whether_a_busy_job_is_busy_with_a_backfill():
    (run, *_), _, _ = step(range(1), [])
    run.status = CLAIMED
    plain = Run("job", START, START)
    assert meets_backfill([plain, run])
    assert not meets_backfill([plain])
    assert not meets_backfill([])
    by_hand = Run("job", START, START)
    by_hand.extra = Extra(MANUAL)
    assert not meets_backfill([by_hand])
    run.extra.waiting_for = "retry"  # its next try
    assert meets_backfill([run])


def test_the_instants_of_the_tests_are_times_of_the_trigger():
    assert moment(at(0), UTC).isoformat() == "2026-01-01T00:00:00+00:00"
