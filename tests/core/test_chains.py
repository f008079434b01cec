"""Which jobs the end of a run starts, which chains there may be, and the trigger that names them: without a scheduler."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import pytest

from rota import After
from rota.clock import NO_TIME, SECOND
from rota.codec.triggers import trigger_of, trigger_spec
from rota.core.chains import (
    LONGEST_CHAIN,
    MOST_CHILDREN,
    SKIPPED_AHEAD,
    check_place,
    ends_among,
    followers,
    has_inside,
    moved_on,
    parents_among,
    starts_others,
    trouble,
)
from rota.core.extras import BACKFILL, RERUN, RETRY, SCHEDULE, Extra, extra_of
from rota.core.pauses import Pause, text_of
from rota.core.plan import plan
from rota.core.run import Run
from rota.core.states import (
    ACTIVE,
    CANCELLED,
    CLAIMED,
    END_STATES,
    ENDED,
    FAILED,
    LOST,
    MANUAL,
    MISSED,
    PAUSED,
    QUARANTINED,
    SKIPPED,
    SNOOZED,
    SUCCEEDED,
    TIMED_OUT,
    WAITING,
    end,
    set_job_state,
)
from rota.errors import TriggerError
from rota.testing.contracts.store_jobs import START, make_job
from rota.triggers.base import BaseTrigger
from rota.triggers.combining import OrTrigger
from rota.triggers.cron import CronTrigger
from tests.present import present


def child(id="child", on="succeeded", delay=0, after="job"):
    return make_job(id, NO_TIME, trigger=After(after, on, delay))


def ended(status=SUCCEEDED, reason=None, attempt=1):
    run = Run("job", START, START)
    run.attempt = attempt
    end(run, status, reason, START + SECOND)
    return run


# ----------------------------------------------------------------------------------------------------- what an end starts


@pytest.mark.parametrize("status", END_STATES)
def test_each_end_counts_for_what_its_name_says_and_for_nothing_else(status):
    counting = {
        SUCCEEDED: {"succeeded", "any"},
        FAILED: {"failed", "any"},
        TIMED_OUT: {"failed", "any"},
        LOST: {"failed", "any"},
        CANCELLED: {"any"},
        SKIPPED: set(),
        MISSED: set(),
    }
    jobs = [child(on, on) for on in ("succeeded", "failed", "any")]
    run = ended(status)
    assert run.count == 1
    assert {left.job_id for left in followers(run, jobs, START)} == counting[status]
    assert starts_others(run) == bool(counting[status])


def test_what_is_left_waits_from_the_end_on_and_knows_its_parent():
    (left,) = followers(ended(attempt=3), [child(delay=1.5)], START)
    assert (left.status, left.origin, left.waiting_for, left.attempt) == (WAITING, "after", "after", 0)
    assert (left.nominal, left.last, left.count) == (START + SECOND, START + SECOND, 1)
    assert (left.due, extra_of(left).not_before) == (START + SECOND * 5 // 2, START + SECOND * 5 // 2)
    assert (left.parent, left.executor) == (f"job@{START}#3", "default")


def test_an_end_whose_time_is_not_known_counts_from_now():
    run = ended()
    run.finished_at = None
    (left,) = followers(run, [child()], START + 9)
    assert left.nominal == START + 9


def test_a_key_that_is_taken_is_passed_over():
    taken = {START + SECOND + number for number in range(3)}
    (left,) = followers(ended(), [child()], START, lambda id, at: id == "child" and at in taken)
    assert (left.nominal, left.last) == (START + SECOND + 3,) * 2


@pytest.mark.parametrize(("pause", "reason"), [(Pause(), "paused"), (Pause(hold="deploying"), "on hold")])
def test_a_paused_job_gets_a_record(pause, reason):
    job = child()
    job.set_next(None)
    job.paused = text_of(pause)
    assert job.state == PAUSED
    (left,) = followers(ended(), [job], START)
    assert (left.status, left.reason, left.finished_at) == (SKIPPED, reason, START + SECOND)
    assert (left.name, left.func, left.job, left.parent) == (job.name, job.func_ref, None, f"job@{START}#1")


def test_a_job_in_quarantine_has_its_run_wait_and_one_that_is_over_gets_nothing():
    broken, over = child("broken"), child("over")
    set_job_state(broken, QUARANTINED)
    set_job_state(over, ENDED)
    assert [(left.job_id, left.status) for left in followers(ended(), [broken, over], START)] == [
        ("broken", WAITING)
    ]


def test_jobs_of_other_parents_and_with_other_triggers_get_nothing():
    assert followers(ended(), [child(after="else"), make_job("plain"), child("job")], START) == []


def test_a_range_a_time_that_was_cancelled_ahead_and_a_rerun_without_its_chain_start_nothing():
    run = ended(SUCCEEDED)
    run.count = 2
    assert not starts_others(run)
    assert not starts_others(ended(CANCELLED, SKIPPED_AHEAD))
    assert starts_others(ended(CANCELLED, "not needed"))
    alone = ended()
    extra_of(alone).unchained = True
    assert not starts_others(alone)
    assert not starts_others(Run("job", START, START))


@pytest.mark.parametrize(
    ("kind", "owner", "starts"),
    [
        (RERUN, None, False),
        (BACKFILL, None, False),
        (RERUN, "node", True),
        (BACKFILL, "node", True),
        (MANUAL, None, True),
        (RETRY, None, True),
        (SNOOZED, None, True),
    ],
)
def test_what_was_opened_again_and_is_cancelled_before_it_was_taken_starts_nothing(kind, owner, starts):
    run = ended(CANCELLED, "not needed")
    extra_of(run).waiting_for, run.owner = kind, owner
    assert starts_others(run) is starts


def test_parents_say_so_themselves_or_are_known():
    run, other = ended(), ended()
    other.job_id = "other"
    assert parents_among([run, other], {"job"}) == [run]
    run.job = make_job()
    assert parents_among([run], ()) == []
    run.job.chained = True
    assert parents_among([run], ()) == [run]
    assert parents_among([ended(SKIPPED)], {"job"}) == []


def test_without_any_chain_nobody_is_a_parent(monkeypatch):
    child()
    record = ended(LOST)
    decision = plan(make_job(), START)
    decision.records = [record, ended(SKIPPED)]
    assert ends_among([decision]) == [record]
    monkeypatch.setattr(BaseTrigger, "some_chain", False)
    assert ends_among([decision]) == []
    assert parents_among([ended()], {"job"}) == []


def test_a_run_whose_key_is_taken_moves_on_by_a_microsecond():
    (run,) = followers(ended(), [child()], START)
    before = run.nominal
    moved_on(run)
    assert (run.nominal, run.last) == (before + 1, before + 1)


def test_the_record_of_a_paused_job_ends_when_its_parent_has_ended():
    job = child(delay=60)
    set_job_state(job, PAUSED)
    parent = ended()
    (record,) = followers(parent, [job], START + 1000 * SECOND)
    assert record.finished_at == parent.finished_at == START + SECOND


# --------------------------------------------------------------------------------------------------- what may be a chain


def refused(chains, job_id, parent):
    """Return the trouble with a job in a forest, given as child: parent."""
    chains = {**chains, job_id: parent}

    def children_of(id):
        return sorted(child for child, of in chains.items() if of == id)

    return trouble(job_id, parent, chains.get, children_of)


def test_a_job_may_follow_one_that_is_not_there_yet():
    assert refused({}, "b", "a") is None


@pytest.mark.parametrize(
    ("nominal", "due"), [(NO_TIME, START - 1), (NO_TIME, 5), (START - 1, NO_TIME), (0, NO_TIME)]
)
def test_a_job_that_another_one_starts_owes_no_time_whatever_is_stored_of_it(nominal, due):
    job = child()
    assert not check_place(job)
    job.set_next(nominal, due)
    assert check_place(job) == (due == NO_TIME)  # the others are due
    decision = plan(job, START)
    assert (decision.runs, decision.records, decision.state) == ([], [], ACTIVE)
    assert (decision.next_nominal, decision.next_due) == (NO_TIME, NO_TIME)


def test_a_job_whose_trigger_has_another_one_inside_is_put_into_quarantine_as_nothing_starts_it():
    inside = make_job("inside", NO_TIME, trigger=OrTrigger([After("job")]))
    assert check_place(inside)
    assert inside.state == QUARANTINED
    assert str(inside.error).startswith("no run starts it")
    assert not check_place(make_job("timed", every=60))


def test_itself_and_circles_are_refused_by_their_names():
    assert 'closes a circle: "a" after "a"' in refused({}, "a", "a")
    said = refused({"b": "a", "c": "b"}, "a", "c")
    assert 'closes a circle: "a" after "c" after "b" after "a"' in said
    assert "schedule of its own" in said


def test_the_twenty_first_child_is_refused_and_one_that_is_there_already_is_not():
    chains = {f"child{number:02}": "a" for number in range(MOST_CHILDREN - 1)}
    assert refused(chains, "last", "a") is None
    chains["last"] = "a"
    assert refused(chains, "last", "a") is None
    said = refused(chains, "one-more", "a")
    assert 'the 21st job after "a"' in said
    assert "after one of child00, child01, child02 …" in said


def test_a_chain_of_a_hundred_jobs_is_the_longest():
    chains = {f"job{number}": f"job{number - 1}" for number in range(1, LONGEST_CHAIN - 1)}
    assert refused(chains, "end", f"job{LONGEST_CHAIN - 2}") is None
    assert "more than 100 jobs" in refused({**chains, "end": "job98"}, "one-more", "end")
    # From its top, and in the middle.
    assert refused(chains, "job0", "top") is None
    chains["end"] = f"job{LONGEST_CHAIN - 2}"
    assert "more than 100 jobs with those after it" in refused(chains, "job0", "top")
    half = {f"low{number}": f"low{number - 1}" for number in range(1, 60)}
    high = {f"high{number}": f"high{number - 1}" for number in range(1, 41)}
    assert "more than 100 jobs" in refused({**half, **high}, "low0", "high40")
    del high["high40"]
    assert refused({**half, **high}, "low0", "high39") is None


def no_parent(id: str) -> str | None:
    """Return None: it has none."""
    return None


def test_jobs_after_a_job_are_counted_no_further_than_needed():
    asked = []
    low = {f"low{number}": f"low{number - 1}" for number in range(1, 200)}

    def children_of(id):
        asked.append(id)
        return [child for child, of in low.items() if of == id]

    assert "more than 100 jobs with those after it" in present(trouble("low0", "top", no_parent, children_of))
    assert len(asked) <= LONGEST_CHAIN + 1


def test_a_circle_that_is_there_already_is_counted_once():
    below = {"job": ["low"], "low": ["job"]}
    assert trouble("job", "top", no_parent, lambda id: below.get(id, [])) is None


# ---------------------------------------------------------------------------------------------------------- the trigger


def test_it_says_what_it_is_in_words_and_as_a_call():
    assert str(After("import")) == "after import"
    assert str(After("import", "failed", 90)) == "after import (on failed) + 90 s"
    assert repr(After("import", delay=timedelta(minutes=1))) == "After(job_id='import', delay=60)"
    assert After("import", "any").explain() == "After each run of import that has ended, whatever its end"
    assert After("import", delay=60).explain() == "1 minute after each run of import that has succeeded"
    assert "import" in After("import", "failed").explain("vi")


def test_it_has_no_times():
    trigger, start = After("import"), datetime(2026, 1, 1, tzinfo=UTC)
    assert trigger.get_next_fire_time(None, start) is None
    assert trigger.get_next_fire_time(start, start) is None
    assert (trigger.next(5, start), list(trigger.occurrences(start))) == ([], [])
    assert trigger.at_or_before(START) is None
    assert trigger.lint() == []
    job = make_job("child", NO_TIME, trigger=trigger)
    assert (job.state, job.next_run_time) == (ACTIVE, None)


def test_a_time_that_was_given_by_hand_is_followed_by_none():
    job = make_job("child", START, trigger=After("job"))
    decision = plan(job, START)
    assert [run.nominal for run in decision.runs] == [START]
    assert (decision.next_nominal, decision.next_due, decision.state) == (NO_TIME, NO_TIME, ACTIVE)


@pytest.mark.parametrize(
    "trigger", [After("a"), After("ü b", "failed", 0.5), After("a", "any", 3600)], ids=str
)
def test_it_comes_back_from_its_spec_and_from_a_pickle(trigger):
    assert trigger_of(trigger_spec(trigger)) == trigger
    assert pickle.loads(pickle.dumps(trigger)) == trigger
    assert hash(pickle.loads(pickle.dumps(trigger))) == hash(trigger)


def test_equal_ones_wait_for_the_same():
    assert After("a", "any", 60) == After("a", on="any", delay=timedelta(minutes=1))
    assert len({After("a"), After("b"), After("a", "any"), After("a", delay=1)}) == 4
    assert After("a").same_schedule(After("a"))
    assert not After("a").same_schedule(After("b"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("",), "job_id must be the id of a job, got ''"),
        (("a\nb",), "job_id must be the id of a job"),
        ((7,), "job_id must be the id of a job, got 7; write After("),
        (("a", "sucess"), 'on must be "succeeded", "failed" or "any", got \'sucess\''),
        (("a", None), "on must be"),
        (("a", ["failed"]), "on must be"),
        (("a", "any", -1), "delay must be from 0 to"),
        (("a", "any", float("inf")), "delay must be from 0 to"),
        (("a", "any", float("nan")), "delay must be from 0 to"),
        (("a", "any", 1e12), "delay must be from 0 to"),
        (("a", "any", "60"), "delay must be a number of seconds or a timedelta, got '60'"),
        (("a", "any", True), "delay must be a number of seconds"),
    ],
)
def test_what_it_cannot_mean_is_refused(arguments, said):
    with pytest.raises(TriggerError) as refusal:
        After(*arguments)
    assert said in str(refusal.value)


def test_one_inside_another_trigger_is_found():
    cron = CronTrigger(hour=3, timezone="UTC")
    assert has_inside(After("a") | cron)
    assert has_inside(cron | (cron | After("a")))
    assert not has_inside(cron | cron)
    assert not has_inside(After("a"))


def test_a_run_that_ended_without_a_job_at_hand_is_no_parent_unless_it_is_known():
    run = ended()
    assert run.job is None
    assert parents_among([run], ()) == []
    assert run.status != CLAIMED


@pytest.mark.parametrize("reason", [RERUN, BACKFILL])
def test_a_run_that_was_opened_again_and_ends_before_it_is_executed_starts_nothing_twice(reason):
    run = Run("first", START, START)
    run.attempt, run.extra = 2, Extra(SCHEDULE)
    run.extra.waiting_for, run.status = reason, WAITING
    end(run, CANCELLED, "not any more", START)
    assert not starts_others(run)
    run.owner = "node"  # it was taken: that is another attempt
    assert starts_others(run)
    run.owner, run.attempt = None, 0  # nobody has executed it: it may be opened and cancelled again
    assert not starts_others(run)
