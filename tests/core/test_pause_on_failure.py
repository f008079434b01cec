"""Jobs that are paused after failures in a row: what is counted, and what programs see of it."""

from __future__ import annotations

import pytest

from rota import Cancel, Retry
from rota.clock import SECOND
from rota.core.pauses import Pause, count_ends, only_counted, pause_of, text_of
from rota.core.policy import DEFAULT_POLICY, with_options
from rota.core.run import Run, fail
from rota.core.states import ACTIVE, ENDED, LOST, PAUSED, QUARANTINED, TIMED_OUT, end, set_job_state, succeed
from rota.events import EVENT_JOB_ERROR, EVENT_JOB_PAUSED
from rota.schedulers.config import default_policy
from rota.testing import ManualScheduler
from rota.testing.contracts.store_jobs import START, make_job
from tests.core.test_eight_methods import EightMethods
from tests.present import present


def job(failures=2, **attributes):
    return make_job(pause_on_failure=failures, **attributes)


def run(status, at, job=None):
    made = Run("job", START, START, job)
    made.started_at = START
    if status == "succeeded":
        succeed(made, None, START + at)
    elif status == "failed":
        fail(made, ValueError("wrong"), "frames", START + at)
    else:
        end(made, status, "why", START + at)
    return made


# ------------------------------------------------------------------------------------------------------- what is counted


@pytest.mark.parametrize("status", ["failed", TIMED_OUT, LOST])
def test_what_has_failed_timed_out_or_been_lost_is_counted(status):
    one = job()
    assert count_ends(one, [run(status, 1)], START)
    assert (one.state, pause_of(one).failures) == (ACTIVE, [START + 1])


@pytest.mark.parametrize("status", ["missed", "skipped", "cancelled"])
def test_what_was_missed_skipped_or_cancelled_leaves_the_count(status):
    one = job(1)
    assert not count_ends(one, [run(status, 1)], START)
    one.paused = text_of(Pause(failures=[START]))
    assert not count_ends(one, [run(status, 1)], START)


def test_a_job_without_the_option_counts_nothing():
    one = make_job()
    assert not count_ends(one, [run("failed", 1)], START)
    assert one.paused is None


def test_a_success_without_failures_before_changes_nothing():
    one = job()
    assert not count_ends(one, [run("succeeded", 1)], START)
    assert one.paused is None


def test_a_success_while_others_run_is_kept_for_their_earlier_ends():
    one = job(1, max_instances=2)
    one.running = 1
    assert count_ends(one, [run("succeeded", 5)], START)
    one.running = 0
    assert count_ends(one, [run("failed", 4)], START)
    assert (one.state, one.paused) == (ACTIVE, None)
    assert count_ends(one, [run("failed", 6)], START)
    assert one.state == PAUSED


def test_runs_that_are_recorded_together_count_in_the_order_of_their_ends():
    one = job()
    count_ends(one, [run("failed", 3), run("succeeded", 2), run("failed", 1)], START)
    assert (one.state, pause_of(one).failures) == (ACTIVE, [START + 3])
    two = job()
    runs = [run("succeeded", 3), run("failed", 2), run("failed", 1)]
    count_ends(two, runs, START)
    assert two.state == PAUSED
    assert [hasattr(each, "pauses") for each in runs] == [False, True, False]


def test_the_pause_keeps_what_the_job_owed_and_names_the_run():
    one = job(1)
    one.set_next(START + 60 * SECOND)
    last = run("failed", 1)
    last.attempt = 3
    assert count_ends(one, [last], START + 2)
    pause = pause_of(one)
    assert (one.state, one.next_nominal, one.revision) == (PAUSED, None, 1)
    assert (pause.since, pause.at, pause.failures) == (START + 60 * SECOND, START + 2, None)
    assert pause.note == (
        "the failure of the run of 2026-01-01 00:00:00+00:00 (attempt 3, failed): ValueError: wrong"
    )
    assert last.pauses == (pause.note, 1)


def test_a_paused_job_and_one_that_is_over_count_nothing():
    for state in (PAUSED, ENDED, QUARANTINED):
        one = job(1)
        set_job_state(one, state)
        assert not count_ends(one, [run("failed", 1)], START)


def test_a_job_on_hold_is_paused_as_well():
    one = job(1)
    one.set_next(None)
    one.paused = text_of(Pause(since=START, at=START - 5, hold="migration", active=True))
    assert count_ends(one, [run("failed", 1)], START + 5)
    pause = pause_of(one)
    assert (one.state, pause.hold, pause.active, pause.since) == (PAUSED, "migration", False, START)
    assert (pause.held, pause.at) == (START - 5, START + 5)
    assert not count_ends(one, [run("failed", 1)], START + 6)


def test_what_is_damaged_of_the_count_counts_for_nothing():
    one = job()
    one.paused = '{"failures":["x",null,5],"good":"y"}'
    assert pause_of(one).failures == [5]
    assert pause_of(one).good is None
    assert only_counted(Pause(note="x")) is None


def test_the_default_of_an_ini_file_is_a_number_or_a_truth_value():
    for text, failures in (("3", 3), ("true", 1), ("no", 0)):
        assert default_policy({"pause_on_failure": text}).pause_on_failure == failures
    assert with_options(DEFAULT_POLICY, {"pause_on_failure": False}) is DEFAULT_POLICY


# ----------------------------------------------------------------------------------------------- what programs see of it


class Calls:
    """Fails or not, as it is told."""

    def __init__(self, *ends):
        self.ends = list(ends)

    def __call__(self):
        what = self.ends.pop(0) if self.ends else None
        if what is not None:
            raise what


WRONG = ValueError("wrong")


@pytest.fixture(params=["memory", "sqlite", "eight methods"])
def scheduler(request, tmp_path):
    stores = {
        "memory": None,
        "sqlite": {"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"},
        "eight methods": {"default": EightMethods()},
    }[request.param]
    scheduler = ManualScheduler(jobstores=stores or {})
    scheduler.start()
    yield scheduler
    scheduler.shutdown(wait=False)


calls = Calls()


def call():
    calls()


def add(scheduler, *ends, **options):
    calls.ends = list(ends)
    return scheduler.add_job(call, "interval", minutes=1, id="job", **options)


def test_failures_in_a_row_pause_a_job_and_that_is_told_after_the_last_of_them(scheduler):
    seen = []
    scheduler.add_listener(seen.append, EVENT_JOB_ERROR | EVENT_JOB_PAUSED)
    add(scheduler, WRONG, None, WRONG, WRONG, pause_on_failure=2)
    scheduler.advance(minutes=10)
    assert [each.status for each in scheduler.get_runs("job")] == ["failed", "failed", "succeeded", "failed"]
    assert [event.code for event in seen] == [EVENT_JOB_ERROR] * 3 + [EVENT_JOB_PAUSED]
    assert seen[-1].note.startswith("2 failures in a row")
    assert scheduler.get_job("job").next_run_time is None


def test_a_job_that_is_resumed_counts_anew(scheduler):
    add(scheduler, WRONG, WRONG, WRONG, pause_on_failure=2)
    scheduler.advance(minutes=5, seconds=30)
    scheduler.resume_job("job")
    scheduler.advance(minutes=2)
    assert [each.status for each in scheduler.get_runs("job", ("failed", "succeeded"))] == [
        "succeeded", "failed", "failed", "failed",
    ]  # fmt: skip


def test_a_pause_by_hand_and_a_resume_begin_anew_too(scheduler):
    add(scheduler, WRONG, WRONG, pause_on_failure=2)
    scheduler.advance(minutes=1)
    scheduler.pause_job("job")
    scheduler.resume_job("job")
    scheduler.advance(minutes=2)
    assert scheduler.get_job("job").next_run_time is not None


def test_only_the_last_try_counts(scheduler):
    add(scheduler, WRONG, WRONG, WRONG, pause_on_failure=True, max_attempts=3, retry=Retry(wait_initial=2))
    scheduler.advance(seconds=65)
    assert scheduler.get_job("job").next_run_time is not None
    scheduler.advance(minutes=2)
    assert [each.status for each in scheduler.get_runs("job")] == ["failed"]
    assert scheduler.get_job("job").next_run_time is None


def test_what_a_job_cancels_itself_is_no_failure(scheduler):
    add(scheduler, Cancel("not today"), pause_on_failure=True)
    scheduler.advance(minutes=2)
    assert [each.status for each in scheduler.get_runs("job")] == ["succeeded", "cancelled"]


def test_a_hold_keeps_the_count_and_its_release_too():
    scheduler = ManualScheduler()
    scheduler.start()
    add(scheduler, WRONG, WRONG, pause_on_failure=2)
    scheduler.advance(minutes=1)
    scheduler.hold(all=True)
    scheduler.release(all=True)
    scheduler.advance(minutes=1)
    assert present(scheduler.get_job("job")).state == "paused"
    scheduler.shutdown()


def test_the_pause_is_among_the_edits_of_the_job_and_explained(tmp_path):
    scheduler = ManualScheduler(jobstores={"default": f"sqlite:///{tmp_path / 'jobs.sqlite'}"})
    scheduler.start()
    add(scheduler, WRONG, pause_on_failure=True)
    scheduler.advance(minutes=3)
    (change,) = scheduler.get_changes("job")
    assert change.what.startswith("paused: the failure of the run of ")
    assert "the failure of the run of" in scheduler.explain("job")
    assert scheduler.modify_job("job", pause_on_failure=3).policy.pause_on_failure == 3
    scheduler.resume_job("job")
    assert [run.reason for run in scheduler.get_runs("job", "skipped")] == ["paused"]
    scheduler.shutdown()
