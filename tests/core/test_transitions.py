"""The claim protocol's rules, as far as they are Python: R2 and R3."""

from __future__ import annotations

import pytest

from rota.clock import HELD
from rota.core.plan import Decision, plan, quarantine
from rota.core.states import ENDED, QUARANTINED
from rota.core.transitions import marked, may_claim, moved
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
