"""The claim protocol's rules, as far as they are Python: R2 and R3."""

from __future__ import annotations

import pytest

from rota.clock import HELD
from rota.core.plan import Decision, plan, quarantine
from rota.core.policy import Policy
from rota.core.run import Run
from rota.core.states import CANCELLED, ENDED, FAILED, LOST, QUARANTINED, SUCCEEDED, TIMED_OUT
from rota.core.transitions import is_allowed, marked, may_claim, moved, not_ended_well, released, rooms_of
from rota.triggers.date import DateTrigger
from tests.core.test_plan import START, at, every, make_job


def labelled(job):
    job.name, job.func_ref = "nightly", "module:work"
    return job


@pytest.mark.parametrize(
    ("running", "limit", "may"), [(0, 1, True), (1, 1, False), (2, 1, False), (1, 2, True)]
)
def test_r2_a_run_is_claimed_only_while_fewer_than_the_limit_are_under_way(running, limit, may):
    assert may_claim(running, limit) is may


def test_r3_a_claim_names_its_node_and_its_time_in_runs_and_records():
    decision = plan(make_job(every(10), START), at(35))
    runs = marked(decision, "node", at(36))
    assert runs == [*decision.runs, *decision.records]
    assert len(runs) == 2
    assert {(run.owner, run.claimed_at) for run in runs} == {("node", at(36))}


def test_r3_a_claim_moves_the_job():
    job = make_job(every(1), START, coalesce=False, running=0)
    decision = plan(job, at(250))
    job.running = 2
    moved(decision)
    assert (job.next_nominal, job.next_due, job.state, job.error) == (at(100), HELD, "active", None)
    assert (job.version, job.running) == (8, 102)


def test_r3_how_many_runs_are_under_way_is_what_the_store_says_if_it_does():
    job = make_job(every(10), START)
    moved(plan(job, START), running=0)
    assert job.running == 0


def test_r3_a_quarantine_moves_the_job_too():
    job = make_job(every(10), START)
    moved(quarantine(job, "no such module"))
    assert (job.state, job.error, job.next_nominal, job.next_due) == (
        QUARANTINED,
        "no such module",
        START,
        None,
    )
    moved(Decision(job))
    assert job.error is None


def test_records_of_a_job_whose_schedule_is_over_keep_its_name_and_its_runs_do_not():
    decision = plan(labelled(make_job(DateTrigger(every(10).start_date), START, misfire_grace_time=1)), at(5))
    (record,) = marked(decision, "node", at(5))
    assert decision.state == ENDED
    assert (record.name, record.func) == ("nightly", "module:work")


def test_records_of_a_job_that_goes_on_have_their_job():
    decision = plan(labelled(make_job(every(10), START, misfire_grace_time=1)), at(5))
    (record,) = marked(decision, "node", at(5))
    assert (record.name, record.func) == (None, None)


def test_r3_retries_that_end_with_the_claim_are_under_way_no_more():
    job = make_job(every(10), START, running=2)
    decision = Decision(job)
    decision.superseded = [Run("j", at(1), at(1))]
    moved(decision)
    assert job.running == 1


# ------------------------------------------------------------------------------------------------------------- R2 and R6


def decided(runs=0, waits=False, limit=2):
    job = make_job(every(10), START, max_instances=limit)
    decision = Decision(job)
    decision.runs = [Run("j", at(number), at(number)) for number in range(runs)]
    if waits:
        decision.waits_for_room = True
    return decision


@pytest.mark.parametrize(
    ("runs", "waits", "allowed"),
    [
        (1, False, [True, True, False, False]),
        (3, False, [True, True, False, False]),
        (0, True, [False, False, True, True]),
        (1, True, [True, True, False, False]),
        (0, False, [True, True, True, True]),
    ],
)
def test_r2_runs_need_a_place_and_waiting_for_one_needs_that_there_is_none(runs, waits, allowed):
    assert [is_allowed(decided(runs, waits), running) for running in range(4)] == allowed


def ended(job_id, status, finished):
    run = Run(job_id, START, START)
    run.status, run.finished_at = status, finished
    return run


def test_r6_the_last_end_of_a_job_says_whether_it_ended_well():
    runs = [
        ended("a", FAILED, at(1)),
        ended("a", SUCCEEDED, at(2)),
        ended("b", TIMED_OUT, at(2)),
        ended("b", SUCCEEDED, at(1)),
    ]
    assert not_ended_well(runs) == not_ended_well(reversed(runs)) == {"b"}
    assert not_ended_well([ended("a", LOST, at(1)), ended("b", CANCELLED, at(1))]) == {"a"}
    assert not_ended_well([]) == set()


def test_r6_of_ends_at_one_time_the_later_one_in_the_batch_is_the_last():
    both = [ended("a", FAILED, at(1)), ended("a", SUCCEEDED, at(1))]
    assert (not_ended_well(both), not_ended_well(reversed(both))) == (set(), {"a"})
    unknown = [ended("a", SUCCEEDED, None), ended("a", FAILED, 0)]
    assert (not_ended_well(unknown), not_ended_well(reversed(unknown))) == ({"a"}, set())
    assert not_ended_well([ended("a", SUCCEEDED, None), ended("a", FAILED, -1)]) == set()
    assert not_ended_well([ended("a", FAILED, 1), ended("a", SUCCEEDED, None)]) == {"a"}


def test_r6_jobs_that_may_wait_for_one_place_of_several_are_known_by_their_runs(monkeypatch):
    buffering = make_job(every(10), START, max_instances=2, overlap="buffer_one")
    runs = [
        Run("unknown", START, START),
        Run("plain", START, START, make_job(every(10), START)),
        Run("j", START, START, buffering),
    ]
    assert rooms_of(runs) == {"unknown", "j"}
    monkeypatch.setattr(Policy, "some_wait", False)
    assert rooms_of(runs) == set()


@pytest.mark.parametrize(
    ("due", "running", "spare", "expected"),
    [(HELD, 0, 0, at(10)), (HELD, 1, 0, HELD), (HELD, 1, 1, at(10)), (HELD, 2, 1, HELD), (at(5), 0, 0, at(5)), (None, 0, 0, None)],
)  # fmt: skip
def test_r6_a_job_that_waits_for_room_becomes_due_when_so_many_have_ended(due, running, spare, expected):
    assert released(at(10), due, running, spare) == expected


def test_r6_a_job_waits_for_the_end_of_all_its_runs_unless_it_is_said_that_some_may_go_on():
    assert [released(at(10), HELD, running) for running in (0, 1)] == [at(10), HELD]
